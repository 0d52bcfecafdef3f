"""Files as `torch.save` wrote them before 2020, and still does with _use_new_zipfile_serialization=False.

Five pickles in a row (a magic number, the protocol, facts about the machine, the object, the keys of its
storages), then each storage: its number of elements in 8 bytes, and its bytes.
"""

import struct
import sys
from collections.abc import Callable
from pickle import UnpicklingError
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tensor.saving import storages
from tensor.saving.pickler import Pickler
from tensor.saving.storages import Element, MapLocation, Storage, Storages
from tensor.saving.unpickler import CorruptPickle, Unpickler

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


def encode(value: Any) -> list[bytes | memoryview]:
    """Return the parts of the file, in order."""
    memory = Storages()
    pickled = Pickler(memory, view_metadata=True).dump(value)
    system = {
        "protocol_version": PROTOCOL,
        "little_endian": sys.byteorder == "little",
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    keys = [str(key) for key in range(len(memory.arrays))]
    parts: list[bytes | memoryview] = [_plain(MAGIC), _plain(PROTOCOL), _plain(system), pickled, _plain(keys)]
    for key, array in enumerate(memory.arrays):
        parts += [struct.pack("<q", memory.count(key)), memory.read(key)]
        assert array.nbytes == len(parts[-1])
    return parts


def _plain(value: Any) -> bytes:
    return Pickler(Storages()).dump(value)


def read(stream: IO[bytes], size: int, to: MapLocation, encoding: str) -> tuple[Any, set[str]]:
    """Return the object in a file of `size` bytes, and which element types were read as wider ones."""
    pending: dict[str, tuple[Element, int, Storage]] = {}
    total = 0

    def find(element: Element | None, key: str, location: str, count: int) -> Storage:
        nonlocal total
        if element is None:
            raise ValueError("a storage without a type")
        if key not in pending:
            raw = np.dtype(element.raw).itemsize
            total += count * raw
            if total > size:
                raise ValueError("storages larger than the file")
            array = np.zeros(count, storages.target_of(element, set())._array)
            pending[key] = element, count, storages.relocate(Storage(array, location), to)
        if pending[key][:2] != (element, count):
            raise ValueError(f"storage {key} is of two sizes or types")
        return pending[key][2]

    reader = Unpickler(stream, find, encoding)
    try:
        magic = reader.load()
    except UnpicklingError:
        magic = None
    if magic != MAGIC:
        raise UnpicklingError("load: not a file of torch.save, nor a safetensors file (invalid magic number)")
    protocol, system = reader.load(), reader.load()
    if protocol != PROTOCOL or not isinstance(system, dict):
        raise UnpicklingError(f"load: expected protocol {PROTOCOL}, got {protocol!r}")
    if system.get("little_endian") is not True:
        raise UnpicklingError(
            "load: the file comes from a big-endian machine; save it anew in the zip format"
        )
    value, keys = reader.load(), reader.load()
    if not isinstance(keys, list):
        raise CorruptPickle("load: the file is damaged: it has no list of storages")
    for key in keys:
        if key not in pending:
            raise CorruptPickle(f"load: the file is damaged: nothing uses its storage {key!r}")
        element, count, storage = pending.pop(key)
        storage.fill(_next(element, count, stream.read))
    if pending:
        raise CorruptPickle("load: the file is cut off: storages are missing")
    return value, reader.widened


def _next(element: Element, count: int, take: Callable[[int], bytes]) -> NDArray:
    """Read the elements of the next storage of the file."""
    head = take(8)
    if len(head) < 8 or struct.unpack("<q", head)[0] != count:
        raise CorruptPickle(f"load: the file is damaged or cut off: expected a storage of {count} elements")
    data = take(count * np.dtype(element.raw).itemsize)
    if len(data) < count * np.dtype(element.raw).itemsize:
        raise CorruptPickle("load: the file is cut off: a storage ends too early")
    return storages.convert(np.frombuffer(data, np.uint8), element, storages.target_of(element, set()))
