"""The zip archive of a `.pt` file: one pickle, the bytes of each storage, and a few words about them.

Entries are stored as they are, and storages begin at multiples of 64 bytes, so that they can be mapped.
"""

import struct
import sys
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tensor.saving import storages
from tensor.saving.pickler import Pickler
from tensor.saving.storages import Element, MapLocation, Storage, Storages
from tensor.saving.unpickler import Unpickler

ALIGNMENT = 64
_ZIP64_FROM = 2**31 // 2  # bytes of an entry; the wider header is allowed for smaller ones, too
_HEADER, _ZIP64_EXTRA = 30, 20
_YEAR_ONE = (1980, 1, 1, 0, 0, 0)  # of zip; the same object gives the same bytes on any day


_DAMAGED = (EOFError, LookupError, ValueError, OverflowError, struct.error)


def encode(value: Any) -> tuple[bytes, Storages]:
    """Return the pickle of an object and its storages; TypeError for what files do not hold."""
    memory = Storages()
    return Pickler(memory).dump(value), memory


def write(stream: IO[bytes], encoded: tuple[bytes, Storages], name: str) -> None:
    """Write what `encode` returned; `name` is the folder within the archive."""
    pickled, memory = encoded
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        _add(archive, f"{name}/data.pkl", pickled)
        _add(archive, f"{name}/.format_version", b"1")
        _add(archive, f"{name}/.storage_alignment", b"%d" % ALIGNMENT)
        _add(archive, f"{name}/byteorder", sys.byteorder.encode())
        for key in range(len(memory.arrays)):
            _add(archive, f"{name}/data/{key}", memory.read(key))
        _add(archive, f"{name}/version", b"3\n")


def _add(archive: zipfile.ZipFile, name: str, data: bytes | memoryview) -> None:
    info = zipfile.ZipInfo(name, _YEAR_ONE)
    info.file_size = len(data)
    wide = len(data) >= _ZIP64_FROM
    start = archive.fp.tell() + _HEADER + len(name.encode()) + (_ZIP64_EXTRA if wide else 0)  # type: ignore[union-attr]
    # An extra field of at least its own four bytes fills up to the next multiple.
    padding = -(start + 4) % ALIGNMENT
    info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    with archive.open(info, "w", force_zip64=wide) as entry:
        entry.write(data)


def read(
    stream: IO[bytes], size: int, to: MapLocation, mapped: Path | None, encoding: str
) -> tuple[Any, set[str]]:
    """Return the object in an archive of `size` bytes, and which element types were read as wider ones.

    mapped: the file to map storages from, if any.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            return _Archive(archive, size, to, mapped, encoding).load()
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, *_DAMAGED) as error:
        raise RuntimeError(f"load: the file is damaged or cut off: {error}") from None


class _Archive:
    def __init__(
        self, archive: zipfile.ZipFile, size: int, to: MapLocation, mapped: Path | None, encoding: str
    ) -> None:
        self._archive, self._to, self._mapped, self._encoding = archive, to, mapped, encoding
        self._infos = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in self._infos if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise RuntimeError("load: a zip archive, but not one of torch.save: it has no data.pkl")
        self._folder = pickles[0].partition("/")[0]
        if f"{self._folder}/constants.pkl" in self._infos:
            raise RuntimeError(
                "load: this is a TorchScript archive, which holds a program; where it was made, save the "
                "module's state_dict() with torch.save"
            )
        # Nothing is unpacked to files, and nothing can become larger than the file: no bombs.
        if any(info.compress_type != zipfile.ZIP_STORED for info in self._infos.values()):
            raise RuntimeError("load: the archive is compressed; torch.save stores its entries as they are")
        if any(info.flag_bits & 1 or info.header_offset < 0 for info in self._infos.values()):
            raise RuntimeError("load: the file is damaged: it has entries that are encrypted or nowhere")
        if sum(info.file_size for info in self._infos.values()) > size:
            raise RuntimeError("load: the file is damaged: its entries are larger than the file")
        self._foreign_order = self._byteorder() != sys.byteorder
        self._storages: dict[str, tuple[Element | None, int, Storage]] = {}

    def _byteorder(self) -> str:
        name = f"{self._folder}/byteorder"
        order = self._archive.read(name).decode("latin1") if name in self._infos else "little"
        if order not in ("little", "big"):
            raise RuntimeError(f"load: the file is damaged: its byteorder is {order!r}")
        return order

    def load(self) -> tuple[Any, set[str]]:
        with self._archive.open(f"{self._folder}/data.pkl") as stream:
            reader = Unpickler(stream, self._find, self._encoding)
            return reader.load(), reader.widened

    def _find(self, element: Element | None, key: str, location: str, count: int) -> Storage:
        known = self._storages.get(key)
        if known is None:
            array = self._read(element, key, count)
            self._storages[key] = known = (
                element,
                count,
                storages.relocate(Storage(array, location), self._to),
            )
        elif known[:2] != (element, count):
            raise ValueError(f"storage {key} is of two sizes or types")
        return known[2]

    def _read(self, element: Element | None, key: str, count: int) -> NDArray:
        name = f"{self._folder}/data/{key}"
        raw = np.dtype(np.uint8 if element is None else element.raw)
        info = self._infos.get(name)
        if info is None or info.file_size != count * raw.itemsize:
            found = "none" if info is None else f"{info.file_size} bytes"
            raise ValueError(f"storage {key} should be {count * raw.itemsize} bytes, and there are {found}")
        if self._mapped is not None and count and not self._foreign_order:
            array: NDArray = np.memmap(self._mapped, np.uint8, "c", self._start(info), info.file_size)
            array = array.view(np.ndarray)
        else:
            array = np.empty(info.file_size, np.uint8)
            with self._archive.open(info) as stream:
                _fill(array.data, stream)
        if self._foreign_order:
            array = array.view(raw).byteswap().view(np.uint8)
        if element is None:
            return array
        target = storages.target_of(element, set())
        return storages.convert(array, element, target)

    def _start(self, info: zipfile.ZipInfo) -> int:
        """Return where an entry's data begins."""
        stream = self._archive.fp
        assert stream is not None
        stream.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", stream.read(4))
        return info.header_offset + _HEADER + name + extra


def _fill(memory: memoryview, stream: IO[bytes]) -> None:
    done = 0
    while done < len(memory):
        count = stream.readinto(memory[done : done + (64 << 20)])  # type: ignore[attr-defined]
        if not count:
            raise EOFError("an entry ends too early")
        done += count
    stream.read(1)  # at the end the checksum is compared
