"""Save and load objects: which format a file has, where it is, and what may go wrong with it."""

import io
import os
import pickle as standard_pickle
from pathlib import Path
from typing import IO, Any

from tensor.devices import device as Device
from tensor.files import atomic_write
from tensor.saving import archive, flat, legacy
from tensor.saving.storages import MapLocation, MapLocationFailed, warn_of_widening

File = str | os.PathLike[str] | IO[bytes]


def save(
    obj: Any,
    f: File,
    pickle_module: Any = standard_pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write an object to a file as `torch.save` does; PyTorch reads it, also with weights_only=True.

    obj: tensors, parameters, and plain containers, numbers, strings, NumPy arrays and so on around them, as
        state dicts of modules, optimisers and schedulers are. Tensors that share memory still share it when
        loaded; a view is saved with the whole of its memory, as by PyTorch.
    f: a path, or an object with `write`. A path that ends in .safetensors takes a flat dict of tensors, in
        that format. A file is replaced only once the new one is complete.
    pickle_protocol: 2 to 5 are accepted; what is written is readable as any of them.
    _use_new_zipfile_serialization: False for the format of before 2020.

    Raises TypeError for an object that is more than data, such as a whole module: save its state_dict().
    """
    if pickle_module is not standard_pickle:
        raise TypeError("save: pickle_module cannot be replaced: files are written without pickle")
    if type(pickle_protocol) is not int or not 2 <= pickle_protocol <= 5:
        raise ValueError(f"save: expected a pickle_protocol from 2 to 5, got {pickle_protocol!r}")
    path = Path(os.fspath(f)) if isinstance(f, str | os.PathLike) else None
    if path is None and not hasattr(f, "write"):
        raise AttributeError(f"save: expected a path or a file to write to, got {type(f).__name__}")
    if path is not None and path.suffix == flat.SUFFIX:
        parts: Any = [flat.encode(obj)]
    elif _use_new_zipfile_serialization:
        parts = archive.encode(obj)
    else:
        parts = legacy.encode(obj)
    if path is None:
        _write(f, parts, "archive")  # type: ignore[arg-type]
        return
    if not path.parent.is_dir():
        raise RuntimeError(f"save: Parent directory {path.parent} does not exist.")
    with atomic_write(path) as stream:
        _write(stream, parts, path.stem if path.stem.isascii() and path.stem else "archive")


def _write(stream: IO[bytes], parts: Any, name: str) -> None:
    if isinstance(parts, tuple):
        archive.write(stream, parts, name)
    else:
        for part in parts:
            stream.write(part)


def load(
    f: File,
    map_location: MapLocation = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    encoding: str = "utf-8",
) -> Any:
    """Read what `save`, or PyTorch's `torch.save`, wrote; also safetensors files.

    f: a path, or an object with `read`, `seek` and `tell`.
    map_location: where tensors go: a device, a dict from the file's devices, or a function called as
        map_location(storage, location). By default where they were saved, which must be there.
    weights_only: accepted. A file is always read as data, also with False: whatever it names, no code runs.
    mmap: map the tensors of a path's zip file into memory, copied only where they are written to.
    encoding: of the byte strings in pickles of Python 2.

    Element types that the engine has not are read as a wider one that holds their values, with a warning.
    Raises UnpicklingError for a file that holds more than data (a whole module), RuntimeError or
    UnpicklingError for one that is damaged, FileNotFoundError where there is none.
    """
    if pickle_module is not None and pickle_module is not standard_pickle:
        raise TypeError("load: pickle_module cannot be replaced: files are read without pickle")
    if not isinstance(weights_only, bool | None) or not isinstance(mmap, bool | None):
        raise TypeError("load: weights_only and mmap must be True, False or None")
    if not (map_location is None or isinstance(map_location, str | Device | dict) or callable(map_location)):
        kind = type(map_location).__name__
        raise TypeError(f"load: map_location must be a device, a dict or a function, got {kind}")
    try:
        value, widened = _open(f, map_location, bool(mmap), encoding)
    except MapLocationFailed as failed:
        raise failed.error from None
    warn_of_widening(widened)
    return value


def _open(f: File, map_location: MapLocation, mmap: bool, encoding: str) -> tuple[Any, set[str]]:
    if isinstance(f, str | os.PathLike):
        path = Path(os.fspath(f))
        if path.is_dir():
            raise IsADirectoryError(21, "Is a directory", str(path))
        with open(path, "rb") as stream:
            return _read(stream, map_location, path if mmap else None, encoding)
    if mmap:
        raise ValueError("load: f must be a file path in order to use the mmap argument")
    for name in ("read", "seek", "tell"):
        if not hasattr(f, name):
            raise AttributeError(f"load: expected a path or a file with {name}(), got {type(f).__name__}")
    return _read(f, map_location, None, encoding)


def _read(stream: IO[bytes], to: MapLocation, mapped: Path | None, encoding: str) -> tuple[Any, set[str]]:
    start = stream.tell()
    size = stream.seek(0, io.SEEK_END) - start
    stream.seek(start)
    head = stream.read(9)
    stream.seek(start)
    if not head:
        raise EOFError("load: Ran out of input: the file is empty")
    if head[:4] == b"PK\x03\x04":
        return archive.read(stream, start + size, to, mapped, encoding)
    if mapped is not None:
        raise RuntimeError("load: mmap can only be used with files saved with torch.save in the zip format")
    if flat.looks_like_one(head):
        return flat.decode(stream.read(), to)
    return legacy.read(stream, size, to, encoding)
