"""Read and write IDX, the file format of MNIST (http://yann.lecun.com/exdb/mnist, archived).

Big-endian: two zero bytes, a type code, the number of dimensions, each size as uint32, then the elements.
A file may be gzipped; its first bytes tell, not its name.
"""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tensor.data.split import Split
from tensor.files import atomic_write

TYPES: dict[int, np.dtype] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
CODES = {dtype.newbyteorder("="): code for code, dtype in TYPES.items()}
CHUNK = 1 << 20


class DataError(ValueError):
    """Data that cannot be used: one sentence with the file, what was expected, what was found, the repair."""


def read_idx(path: str | os.PathLike[str]) -> NDArray:
    """Read an IDX file, gzipped or not, into a new array of native byte order.

    The result is uint8, int8, int16, int32, float32 or float64, of the shape in the header. Raises DataError
    if the file is missing or unreadable, is not IDX, or holds fewer or more bytes than its header says.
    """
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not packed:
                return _read(file, path, os.fstat(file.fileno()).st_size)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read(unpacked, path, None)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = str(error).rstrip(".")
        raise DataError(
            f"{path}: expected a whole gzip file, got a broken one ({reason}); fetch it again"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path") from None


def _read(file: IO[bytes] | gzip.GzipFile, path: str | os.PathLike[str], size: int | None) -> NDArray:
    """Read header and elements; `size` is the number of bytes in the file where that is known."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError(
            f"{path}: expected an IDX file, which begins 00 00, got {magic.hex(' ') or 'an empty file'}"
        )
    code, dims = magic[2], magic[3]
    if code not in TYPES:
        known = ", ".join(f"0x{known:02x}" for known in TYPES)
        raise DataError(f"{path}: expected an IDX type code ({known}), got 0x{code:02x}")
    header = file.read(4 * dims)
    if len(header) < 4 * dims:
        raise DataError(
            f"{path}: expected the sizes of {dims} dimensions, got {len(header)} bytes; fetch it again"
        )
    shape = struct.unpack(f">{dims}I", header)
    dtype = TYPES[code]
    expected = math.prod(shape) * dtype.itemsize
    found = None if size is None else size - 4 - 4 * dims
    if found is None or found == expected:
        # in pieces: a broken header may promise more than any memory holds
        data = bytearray()
        while len(data) <= expected and (piece := file.read(min(CHUNK, expected + 1 - len(data)))):
            data += piece
        found = len(data)
    if found < expected:
        raise DataError(f"{path}: expected {expected} bytes of data for {shape}, got {found}; fetch it again")
    if found > expected:
        raise DataError(f"{path}: expected {expected} bytes of data for {shape}, got more; fetch it again")
    try:
        array = np.frombuffer(data, dtype).reshape(shape)
    except ValueError as error:  # more dimensions than NumPy has, or an empty array of absurd size
        raise DataError(
            f"{path}: expected a shape that NumPy can hold, got {len(shape)} dimensions ({error})"
        ) from None
    return array.astype(dtype.newbyteorder("="), copy=False)


def write_idx(path: str | os.PathLike[str], array: NDArray) -> None:
    """Write `array` as IDX, gzipped if `path` ends in .gz; `path` is replaced only once all is written.

    array: uint8, int8, int16, int32, float32 or float64, at most 255 dimensions. Raises DataError for another
    dtype or a size beyond uint32, OSError where the file cannot be written.
    """
    code = CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        known = ", ".join(str(dtype) for dtype in CODES)
        raise DataError(f"{path}: expected {known} to write as IDX, got {array.dtype}; cast it with astype")
    if any(size >= 1 << 32 for size in array.shape):
        raise DataError(f"{path}: expected sizes below 2**32 to write as IDX, got {array.shape}")
    header = struct.pack(f">4B{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    data = np.ascontiguousarray(array, TYPES[code]).tobytes()
    with atomic_write(path) as file:
        if Path(path).suffix != ".gz":
            file.write(header)
            file.write(data)
            return
        # no name and no time inside: the same array gives the same bytes
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            packed.write(header)
            packed.write(data)


def load_directory(data_dir: str | os.PathLike[str], name: str = "idx", classes: int = 10) -> Split:
    """Load the four files of a folder in the form of MNIST (Fashion-MNIST, KMNIST, ...).

    The files are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same with `t10k`; a dot in
    place of the hyphen before `idx` and a final `.gz` are accepted. Raises DataError where a file is missing
    or broken, where images are not (N, H, W) uint8, labels not (N,) integers in 0..classes-1, or their counts
    differ.
    """
    folder = Path(data_dir)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}; --data-dir names the folder that holds the IDX files")
    train_images, train_labels = _load_part(folder, "train", classes)
    test_images, test_labels = _load_part(folder, "t10k", classes)
    if train_images.shape[1:] != test_images.shape[1:]:
        raise DataError(
            f"{folder}: expected training and test images of one size, got {train_images.shape[1:]} and "
            f"{test_images.shape[1:]}; put the files of one data set in the folder"
        )
    return Split(train_images, train_labels, test_images, test_labels, name, classes)


def find_file(folder: Path, part: str, kind: str) -> Path:
    """Find the file of a `part` (train, t10k) and `kind` (images-idx3, labels-idx1), by any of its names."""
    name = f"{part}-{kind}-ubyte"
    dotted = f"{part}-{kind.replace('-', '.')}-ubyte"
    for candidate in (name, dotted, name + ".gz", dotted + ".gz"):
        if (folder / candidate).is_file():
            return folder / candidate
    raise DataError(
        f"{folder}: expected {name} (or {dotted}, gzipped or not), found neither; check --data-dir"
    )


def _load_part(folder: Path, part: str, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images_path = find_file(folder, part, "images-idx3")
    labels_path = find_file(folder, part, "labels-idx1")
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise DataError(
            f"{images_path}: expected images of 3 dimensions, uint8, got {images.ndim} dimensions, "
            f"{images.dtype}; images and labels may be swapped"
        )
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"{labels_path}: expected labels of 1 dimension, integers, got {labels.ndim} dimensions, "
            f"{labels.dtype}; images and labels may be swapped"
        )
    if len(images) != len(labels):
        raise DataError(
            f"{labels_path}: expected a label for each of {len(images)} images, got {len(labels)} labels; "
            "images and labels must come from the same set"
        )
    if images.size == 0:
        raise DataError(f"{images_path}: expected images, got none {images.shape}")
    if labels.min() < 0 or labels.max() >= classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise DataError(f"{labels_path}: expected labels from 0 to {classes - 1}, got {wrong}")
    return images, labels.astype(np.int64)
