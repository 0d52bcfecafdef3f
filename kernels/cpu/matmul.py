"""Matrix products: `c[t] = a[t] @ b[t]`, by register tiles.

Two kinds of tile cover every layout without a copy of the larger operand: `tile` where the rows of b are
contiguous (a may have any strides: `x.T @ g` is as fast as `x @ g`), `dot` where both operands are
contiguous along the inner dimension (`x @ weight.T`). The inner sum of each element runs in one fixed order,
whatever the number of threads: threads share out blocks of c.
"""

import math

import numpy as np

from kernels.cpu.compile import jit, kernel, prange
from kernels.cpu.tiles import (
    DOT_COLUMNS,
    DOT_ROWS,
    TILE_ROWS,
    TILE_VECTORS,
    VECTOR_BYTES,
    make_dot_tile,
    make_tile,
)

_BLOCK_ROWS, _BLOCK_COLUMNS = 16, 128  # of c in one task of the thread pool: multiples of every tile
_SERIAL_BELOW = 1 << 18  # multiply-adds; under this the pool's wake-up costs more than it saves

_tile = make_tile(TILE_ROWS, TILE_VECTORS, masked=False)
_tile_edge = make_tile(TILE_ROWS, TILE_VECTORS, masked=True)
_row = make_tile(1, TILE_VECTORS, masked=False)
_row_edge = make_tile(1, TILE_VECTORS, masked=True)
_dot = make_dot_tile(DOT_ROWS, DOT_COLUMNS)
_dot_row = make_dot_tile(1, DOT_COLUMNS)
_dot_one = make_dot_tile(1, 1)


@jit
def _fill_block(a, b, c, top, bottom, left, right):
    """c[top:bottom, left:right] = a[top:bottom] @ b[:, left:right]; right may pass c's last column."""
    width = TILE_VECTORS * (VECTOR_BYTES // b.itemsize)
    columns = c.shape[1]
    j = left
    while j < right and j < columns:
        i = top
        if j + width <= columns:
            while i + TILE_ROWS <= bottom:
                _tile(a, b, c, i, j)
                i += TILE_ROWS
            while i < bottom:
                _row(a, b, c, i, j)
                i += 1
        else:
            while i + TILE_ROWS <= bottom:
                _tile_edge(a, b, c, i, j)
                i += TILE_ROWS
            while i < bottom:
                _row_edge(a, b, c, i, j)
                i += 1
        j += width


@jit
def _fill_block_dot(a, b, c, top, bottom, left, right):
    """c[top:bottom, left:right] = a[top:bottom] @ b[left:right].T; right may pass c's last column."""
    right = min(right, c.shape[1])
    j = left
    while j + DOT_COLUMNS <= right:
        i = top
        while i + DOT_ROWS <= bottom:
            _dot(a, b, c, i, j)
            i += DOT_ROWS
        while i < bottom:
            _dot_row(a, b, c, i, j)
            i += 1
        j += DOT_COLUMNS
    while j < right:
        for i in range(top, bottom):
            _dot_one(a, b, c, i, j)
        j += 1


# One kernel holds the serial and the parallel way: compiling the tiles twice would double the first wait.


@kernel("T[:,:,:], T[:,:,::1], out T[:,:,::1]", parallel=True)
def _matmul(a, b, c):
    batch, rows, columns = c.shape
    if c.size * a.shape[2] < _SERIAL_BELOW:
        for t in range(batch):
            _fill_block(a[t], b[t], c[t], 0, rows, 0, columns)
    else:
        down = (rows + _BLOCK_ROWS - 1) // _BLOCK_ROWS
        across = (columns + _BLOCK_COLUMNS - 1) // _BLOCK_COLUMNS
        for task in prange(batch * down * across):
            t = task // (down * across)
            top, left = task % down * _BLOCK_ROWS, task // down % across * _BLOCK_COLUMNS
            _fill_block(a[t], b[t], c[t], top, min(rows, top + _BLOCK_ROWS), left, left + _BLOCK_COLUMNS)


@kernel("T[:,::1], T[:,::1], out T[:,::1]", parallel=True)
def _matmul_dot(a, b, c):
    rows, columns = c.shape
    if c.size * a.shape[1] < _SERIAL_BELOW:
        _fill_block_dot(a, b, c, 0, rows, 0, columns)
    else:
        down = (rows + _BLOCK_ROWS - 1) // _BLOCK_ROWS
        across = (columns + _BLOCK_COLUMNS - 1) // _BLOCK_COLUMNS
        for task in prange(down * across):
            top, left = task % down * _BLOCK_ROWS, task // down * _BLOCK_COLUMNS
            _fill_block_dot(a, b, c, top, min(rows, top + _BLOCK_ROWS), left, left + _BLOCK_COLUMNS)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a @ b. a: (..., rows, inner), b: (..., inner, columns), one dtype; batch dims broadcast.

    ValueError if the batch dims do not broadcast.
    """
    if a.dtype.kind != "f":
        return np.matmul(a, b)
    rows, inner = a.shape[-2:]
    columns = b.shape[-1]
    if b.ndim == 2 and a.ndim > 2:  # one tall product instead of many
        return matmul(a.reshape(math.prod(a.shape[:-1]), inner), b).reshape(*a.shape[:-1], columns)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if inner == 0:
        return np.zeros((*batch, rows, columns), a.dtype)
    c = np.empty((*batch, rows, columns), a.dtype)
    if c.size == 0:
        return c
    by_rows = a.flags.c_contiguous or rows == 1
    # One column: the dot tile sums in several lanes; `tile` would make one long, inexact chain of each sum.
    if not batch and ((columns == 1 and by_rows) or (b.T.flags.c_contiguous and not b.flags.c_contiguous)):
        _matmul_dot(np.ascontiguousarray(a), np.ascontiguousarray(b.T), c)
        return c
    count = c.size // (rows * columns)
    if batch:
        a = np.broadcast_to(a, (*batch, rows, inner))
        b = np.broadcast_to(b, (*batch, inner, columns))
    _matmul(
        a.reshape(count, rows, inner),
        np.ascontiguousarray(b).reshape(count, inner, columns),
        c.reshape(count, rows, columns),
    )
    return c


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Return x @ weight.T + bias. x: (..., inputs), weight: (outputs, inputs), bias: (outputs,)."""
    rows = math.prod(x.shape[:-1])  # not -1: there may be no inputs
    out = matmul(x.reshape(rows, x.shape[-1]), weight.T)
    if bias is not None:
        np.add(out, bias, out=out)
    return out.reshape(*x.shape[:-1], weight.shape[0])
