"""Working memory of the kernels, kept between calls.

A kernel that packs or pads an operand needs room for it. Asking the system for that room in every call costs
more than some of the kernels: fresh pages are cleared one by one. So each Python thread keeps one piece,
which grows to the largest that was asked for.
"""

import threading

import numpy as np

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class _Memory(threading.local):
    def __init__(self):
        self.pieces: dict[np.dtype, np.ndarray] = {}


_memory = _Memory()
NOTHING = {np.dtype(t): np.empty(0, t) for t in ("float32", "float64")}
"""An empty array of each float type: what a kernel is given for an argument that is left out."""
_LARGEST_KEPT = 1 << 26  # bytes; beyond, the memory is given back after the call


def scratch(count: int, dtype: np.dtype) -> np.ndarray:
    """Return (count,) or more numbers of this thread's working memory, aligned, holding anything.

    The next call returns the same memory: a kernel asks once, and passes nothing of it on.
    """
    pieces = _memory.pieces
    piece = pieces.get(dtype)
    if piece is None or piece.size < count:
        extra = ALIGNMENT // dtype.itemsize
        room = np.empty(count + extra, dtype)
        skip = -room.ctypes.data % ALIGNMENT // dtype.itemsize
        piece = room[skip : skip + count]
        if piece.nbytes <= _LARGEST_KEPT:
            pieces[dtype] = piece
    return piece
