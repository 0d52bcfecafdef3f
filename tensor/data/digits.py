"""The built-in digits: 70,000 hand-written ones that nobody wrote, and no download.

They are drawn from strokes (`tensor/data/strokes.py`) by `kernels/cpu/raster.py`, once, and kept in the
cache. No image of MNIST or of any other collection went into them.
"""

import hashlib
import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

import numpy as np
from numpy.typing import NDArray

from kernels.cpu import raster
from kernels.cpu.compile import cache_root
from tensor.data import stroke_tables, strokes
from tensor.data.idx import DataError, read_idx, write_idx
from tensor.data.split import Split
from tensor.files import atomic_write

TRAIN_COUNT, TRAIN_SEED = 60_000, 0
TEST_COUNT, TEST_SEED = 10_000, 1
CHUNK = 1_000

# the names of MNIST, so that the cached folder is itself a `--data-dir`
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
CHECKSUMS = "checksums"

Progress = Callable[[int, int], None]
"""Called as progress(done, total)."""


def generate(
    count: int, seed: int = 0, progress: Progress | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw the first `count` digits of `seed`; return images (count, 28, 28) uint8 and labels (count,) uint8.

    The same seed gives the same digits: the first 100 of 1,000 are the 100 of 100. Labels are drawn evenly
    from 0..9. `progress` is called after every 1,000 digits. Raises ValueError for a negative count.
    """
    if count < 0:
        raise ValueError(f"generate: count must not be negative, got {count}")
    images = np.empty((count, raster.SIZE, raster.SIZE), np.uint8)
    labels = np.empty(count, np.uint8)
    tables = stroke_tables.stroke_tables()
    for first in range(0, count, CHUNK):
        last = min(first + CHUNK, count)
        raster.draw_digits(
            np.uint64(seed % 2**64), np.uint64(first), *tables, images[first:last], labels[first:last]
        )
        if progress is not None:
            progress(last, count)
    return images, labels


def load(progress: Progress | None = None) -> Split:
    """Return 60,000 digits to train on and 10,000 others to test on, from the cache or newly drawn.

    Drawing takes a few seconds, and `progress` is called meanwhile; it is not called when the cache serves. A
    broken cache is drawn anew. Where the cache cannot be written, a warning says so and the digits are
    returned all the same.
    """
    folder = cache_root() / f"digits-{version()}"
    try:
        return _split(_read_cache(folder))
    except DataError:
        pass
    total = TRAIN_COUNT + TEST_COUNT
    report: Progress = progress or (lambda done, total: None)
    report(0, total)
    train = generate(TRAIN_COUNT, TRAIN_SEED, lambda done, _: report(done, total))
    test = generate(TEST_COUNT, TEST_SEED, lambda done, _: report(TRAIN_COUNT + done, total))
    arrays = [*train, *test]
    try:
        _write_cache(folder, arrays)
    except OSError as error:
        warnings.warn(
            f"digits: not kept for the next run, {error.filename or folder}: {error.strerror or error}; "
            "set LIFTGRAD_CACHE to a folder that can be written",
            stacklevel=2,
        )
    return _split(arrays)


def version() -> str:
    """Return 12 hex digits that change with the code that draws: another version, another cache."""
    digest = hashlib.sha256()
    for module in (raster, strokes, stroke_tables):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:12]


def _split(arrays: list[NDArray]) -> Split:
    train_images, train_labels, test_images, test_labels = arrays
    return Split(
        train_images, train_labels.astype(np.int64), test_images, test_labels.astype(np.int64), name="digits"
    )


def _checksums(arrays: list[NDArray]) -> str:
    return "".join(
        f"{zlib.crc32(array.data):08x} {array.dtype} {array.shape} {name}\n"
        for name, array in zip(FILES, arrays, strict=True)
    )


def _read_cache(folder: Path) -> list[NDArray]:
    """Return the four cached arrays; DataError unless all are there and are the bytes that were written."""
    try:
        expected = (folder / CHECKSUMS).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: expected cached digits, got {error}") from None
    arrays = [read_idx(folder / name) for name in FILES]
    if _checksums(arrays) != expected:
        raise DataError(f"{folder}: expected the digits that were cached, got other bytes")
    return arrays


def _write_cache(folder: Path, arrays: list[NDArray]) -> None:
    """Keep the arrays; the checksums come last, so that they vouch for files already in place."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(FILES, arrays, strict=True):
        write_idx(folder / name, array)
    with atomic_write(folder / CHECKSUMS, "w", encoding="ascii") as file:
        file.write(_checksums(arrays))
    for old in folder.parent.iterdir():  # 55 MB a version
        if old != folder and re.fullmatch("digits-[0-9a-f]{12}", old.name):
            rmtree(old, ignore_errors=True)
