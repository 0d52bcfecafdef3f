"""Reading whole rows by their positions: what an embedding does, and a batch out of data kept on the GPU.

A row is moved as words, whatever its elements are: two of eight bytes at a time where rows lie at multiples
of sixteen, and else one, as wide as can be.
"""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, empty, on_device
from kernels.cuda.compile import INTEGERS, cuda, kernel, threads
from kernels.cuda.memory import contiguous
from kernels.cuda.vectors import BYTES, load, store

_WORDS = ("int64", "int32", "int16", "uint8")
_BLOCK = threads(256)
_MOST_BLOCKS = 1 << 16
_ENOUGH_THREADS = 1 << 18  # about what a large GPU runs at once
_ALL = slice(None)


@kernel("int64, int64, int64, int64, int64, W*, K*, out W*", [f"{w} {k}" for w in _WORDS for k in INTEGERS])
def _take_rows(rows, words, step, count, paired, x, positions, out):
    """out[row] = x[positions[row]], of rows that are `step` words apart in x."""
    first, wide = cuda.threadIdx.x, cuda.blockDim.x
    at_once = cuda.blockDim.y
    for row in range(cuda.blockIdx.x * at_once + cuda.threadIdx.y, rows, cuda.gridDim.x * at_once):
        position = np.int64(positions[row])
        start, to = (position + count if position < 0 else position) * step, row * words
        if paired:
            last, hop = words - 2, 2 * wide
            for i in range(2 * first, words, 4 * hop):
                # All are read before any is written, which the compiler could not see to.
                a = load(x, start + i, 2)
                b = load(x, start + min(i + hop, last), 2)
                c = load(x, start + min(i + 2 * hop, last), 2)
                d = load(x, start + min(i + 3 * hop, last), 2)
                store(out, to + i, a)
                if i + hop < words:
                    store(out, to + i + hop, b)
                if i + 2 * hop < words:
                    store(out, to + i + 2 * hop, c)
                if i + 3 * hop < words:
                    store(out, to + i + 3 * hop, d)
        else:
            for i in range(first, words, wide):
                out[to + i] = x[start + i]


def take_rows(x: DeviceArray, index, out: DeviceArray | None = None) -> DeviceArray | None:
    """Return x[index], copied, if index is one array of integers for the first dim, and rows lie in order.

    None for other indices and layouts. out: in order, to be filled and returned.
    """
    first, *others = index if isinstance(index, tuple) else (index,)
    if isinstance(first, slice) or any(not isinstance(i, slice) or i != _ALL for i in others):
        return None
    if not hasattr(first, "dtype") or first.dtype == np.bool_ or not x.size or len(others) >= x.ndim:
        return None
    if not x[0].flags.c_contiguous:
        return None
    positions = contiguous(on_device(first))
    if out is None:
        out = empty((*positions.shape, *x.shape[1:]), x.dtype)
    if not out.size:
        return out
    nbytes, step = math.prod(x.shape[1:]) * x.itemsize, x.strides[0]
    both = nbytes | step | x.address | out.address
    word = next(w for w in map(np.dtype, _WORDS) if both % w.itemsize == 0)
    paired = both % BYTES == 0
    words = nbytes // word.itemsize
    items = words // 2 if paired else words
    each = 1 if items * positions.size < _ENOUGH_THREADS else 4
    wide = min(1 << (-(-items // each) - 1).bit_length(), _BLOCK)
    at_once = _BLOCK // wide
    _take_rows.launch(
        min(-(-positions.size // at_once), _MOST_BLOCKS), (wide, at_once),
        positions.size, words, step // word.itemsize, x.shape[0], int(paired),
        _as_words(x, word), positions, _as_words(out, word),
    )  # fmt: skip
    return out


def _as_words(x: DeviceArray, word: np.dtype) -> DeviceArray:
    """Return all the memory of x, from its first element on, as words."""
    return x.strided((x.span * x.itemsize // word.itemsize,), (word.itemsize,), dtype=word)
