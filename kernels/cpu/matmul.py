"""Matrix products: `c[t] = a[t] @ b[t]`, by register tiles.

A block of b is packed into strips as wide as a tile, transposed on the way where b is a transposed view;
each strip then stays in the fastest cache while a tile goes down the rows of a, which may have any strides:
`x.T @ g` and `x @ weight.T` are as fast as `x @ w`. Blocks of a are packed too where many strips read them.
For few rows, or where it takes little memory, b is read as it lies. The inner sum of each element runs in one
fixed order, whatever the number of threads: threads share out regions of c.
"""

import math

import numpy as np

from kernels.activations import check_activation
from kernels.cpu.compile import jit
from kernels.cpu.elementwise import forward
from kernels.cpu.launch import share_of, shared_kernel, workers_for
from kernels.cpu.scratch import NOTHING, scratch
from kernels.cpu.tiles import (
    DOT_COLUMNS,
    DOT_ROWS,
    SHORT_ROWS,
    TILE_ROWS,
    TILE_VECTORS,
    VECTOR_BYTES,
    make_copy,
    make_dot_tile,
    make_tile,
    transpose_square,
)

_DEPTH = 400  # of a packed block: a strip of b fills half of the fastest cache
_BLOCK_ROWS = 24 * TILE_ROWS  # of a packed block of a: a good part of the second cache
_BLOCK_COLUMNS = 1024  # of a packed block of b
_PACK_FROM_ROWS = 3 * TILE_ROWS  # fewer rows do not earn back the packing of b
_PACK_FROM_REACH = 1 << 14  # bytes; b within so little memory is read as it lies
_PACK_FROM_COLUMNS = 384  # fewer columns do not earn back the packing of a
_SERIAL_BELOW = 1 << 18  # multiply-adds; under this the pool's wake-up costs more than it saves

_copy_row = make_copy(TILE_VECTORS)
_copy_vector = make_copy(1)
_tile = make_tile(TILE_ROWS, TILE_VECTORS, masked=False)
_tile_edge = make_tile(TILE_ROWS, TILE_VECTORS, masked=True)
_short_tile = make_tile(SHORT_ROWS, TILE_VECTORS, masked=False)
_short_tile_edge = make_tile(SHORT_ROWS, TILE_VECTORS, masked=True)
_dot = make_dot_tile(DOT_ROWS, DOT_COLUMNS)
_dot_row = make_dot_tile(1, DOT_COLUMNS)
_dot_one = make_dot_tile(1, 1)


@jit
def pack_b(b, first, depth, left, columns, width, packed):
    """Write b[first:first+depth, left:left+columns] into strips (depth, width).

    Columns of the last strip beyond `columns` hold anything: a tile there is masked.
    """
    size = b.itemsize
    lanes = VECTOR_BYTES // size
    b_at, packed_at = b.ctypes.data, packed.ctypes.data
    row, column = b.strides
    whole = columns // width  # strips that need no filling up
    k = 0
    if row == size:
        k = depth // lanes * lanes
        for j in range(0, whole * width, lanes):
            source = b_at + (left + j) * column + first * size
            target = packed_at + (j // width * depth * width + j % width) * size
            for n in range(0, k, lanes):
                transpose_square(b, source + n * size, column, target + n * width * size, width * size)
    elif column == size:
        for k in range(depth):
            for strip in range(whole):
                source = b_at + (first + k) * row + (left + strip * width) * size
                _copy_row(b, source, packed_at + (strip * depth + k) * width * size)
        k = depth
    for strip in range((columns + width - 1) // width):
        j, start = left + strip * width, strip * depth * width
        wide = min(width, left + columns - j)
        n = k if strip < whole else 0
        if column == size:  # the last strip may read into the next rows of b, but not beyond the last
            while n < depth and (b.shape[0] - 1 - first - n) * row >= (j + width - b.shape[1]) * size:
                _copy_row(b, b_at + (first + n) * row + j * size, packed_at + (start + n * width) * size)
                n += 1
        while n < depth:
            for s in range(wide):
                packed[start + n * width + s] = b[first + n, j + s]
            n += 1


@jit
def _pack_a(a, top, rows, first, depth, packed):
    """Write a[top:top+rows, first:first+depth] into panels (depth, TILE_ROWS); rows beyond hold anything."""
    size = a.itemsize
    lanes = VECTOR_BYTES // size
    row, column = a.strides
    for panel in range(0, rows, TILE_ROWS):
        i, start = top + panel, panel * depth
        k = 0
        if TILE_ROWS <= lanes <= a.shape[0] - i:
            # Vectors are wider than the panel: what is written too much, the next one writes over.
            source, target = a.ctypes.data + i * row + first * column, packed.ctypes.data + start * size
            line = TILE_ROWS * size
            if column == size:
                while k + lanes <= depth:
                    transpose_square(a, source + k * size, row, target + k * line, line)
                    k += lanes
            elif row == size:
                for k in range(depth):
                    _copy_vector(a, source + k * column, target + k * line)
                k = depth
        high = min(TILE_ROWS, rows - panel)
        while k < depth:
            for r in range(high):
                packed[start + k * TILE_ROWS + r] = a[i + r, first + k]
            k += 1


@jit
def fill_strip(c, i, j, rows, a_at, a_row, a_column, a_panel, b_at, b_row, depth, add):
    """Run tiles down `rows` rows of c from (i, j); a tile's first row r of a lies r * a_panel bytes on."""
    inside = j + TILE_VECTORS * (VECTOR_BYTES // c.itemsize) <= c.shape[1]
    whole = (rows + TILE_ROWS - 1 - SHORT_ROWS) // TILE_ROWS * TILE_ROWS
    for r in range(0, whole, TILE_ROWS):
        if inside:
            _tile(c, i + r, j, a_at + r * a_panel, a_row, a_column, b_at, b_row, depth, add)
        else:
            _tile_edge(c, i + r, j, a_at + r * a_panel, a_row, a_column, b_at, b_row, depth, add)
    if whole < rows:
        at = a_at + whole * a_panel
        if inside:
            _short_tile(c, i + whole, j, at, a_row, a_column, b_at, b_row, depth, add)
        else:
            _short_tile_edge(c, i + whole, j, at, a_row, a_column, b_at, b_row, depth, add)


@jit
def _fill_region(a, b, c, top, bottom, left, right, add, room):
    """c[top:bottom, left:right] = a[top:bottom] @ b[:, left:right], or += where `add`.

    `right` is the last column, or a whole number of tiles from `left`.
    """
    size = b.itemsize
    width = TILE_VECTORS * (VECTOR_BYTES // size)
    inner = a.shape[1]
    blocks = (inner + _DEPTH - 1) // _DEPTH
    most = min(((inner + blocks - 1) // blocks + 15) // 16 * 16, _DEPTH)  # blocks of one depth, about
    upper = c[:bottom]  # tiles stop at its last row
    size_b = _DEPTH * min(_BLOCK_COLUMNS, c.shape[1] + 64)
    room_b, room_a = room[:size_b], room[size_b:]
    reach = inner * b.strides[0]  # bytes from the first to the last row that a tile reads
    packs_b = bottom - top >= _PACK_FROM_ROWS and reach > _PACK_FROM_REACH
    packs_b = packs_b or b.strides[1] != size or c.shape[1] % width != 0  # tiles read whole vectors
    packs_a = bottom - top >= _PACK_FROM_ROWS and right - left >= _PACK_FROM_COLUMNS
    for j0 in range(left, right, _BLOCK_COLUMNS):
        columns = min(_BLOCK_COLUMNS, right - j0)
        for first in range(0, inner, most):
            depth = min(most, inner - first)
            adds = 1 if add or first > 0 else 0
            if packs_b:
                pack_b(b, first, depth, j0, columns, width, room_b)
                b_at, b_strip, b_row = room_b.ctypes.data, depth * size, width * size
            else:
                b_at = b.ctypes.data + first * b.strides[0] + j0 * size
                b_strip, b_row = size, b.strides[0]
            for i0 in range(top, bottom, _BLOCK_ROWS):
                rows = min(_BLOCK_ROWS, bottom - i0)
                if packs_a:
                    _pack_a(a, i0, rows, first, depth, room_a)
                    a_at, a_panel = room_a.ctypes.data, depth * size
                    a_row, a_column = size, TILE_ROWS * size
                else:
                    a_at = a.ctypes.data + i0 * a.strides[0] + first * a.strides[1]
                    a_row, a_column = a.strides
                    a_panel = a_row
                for s in range(0, columns, width):
                    fill_strip(
                        upper,
                        i0,
                        j0 + s,
                        rows,
                        a_at,
                        a_row,
                        a_column,
                        a_panel,
                        b_at + s * b_strip,
                        b_row,
                        depth,
                        adds,
                    )


@jit
def _fill_share(worker, workers, a, b, bias, c, room):
    """Compute one worker's region of c = a @ b, plus `bias` if it is not empty."""
    rows, columns = c.shape
    width = TILE_VECTORS * (VECTOR_BYTES // b.itemsize)
    strips, panels = (columns + width - 1) // width, (rows + TILE_ROWS - 1) // TILE_ROWS
    across = min(workers, strips)
    down = workers // across
    if worker < across * down:
        left, right = share_of(strips, across, worker % across)
        top, bottom = share_of(panels, down, worker // across)
        left, right = left * width, min(right * width, columns)
        top, bottom = top * TILE_ROWS, min(bottom * TILE_ROWS, rows)
        if bias.size:
            for i in range(top, bottom):
                for j in range(left, right):
                    c[i, j] = bias[j]
        _fill_region(a, b, c, top, bottom, left, right, bias.size > 0, room)


@shared_kernel("T[:,:], T[:,:], T[:], out T[:,::1], out T[::1], int64")
def _matmul(worker, workers, a, b, bias, c, room, share):
    """c = a @ b, plus `bias` if it is not empty; each worker packs into its `share` of `room`."""
    _fill_share(worker, workers, a, b, bias, c, room[worker * share :])


@shared_kernel("T[:,:,:], T[:,:,:], T[:], out T[:,:,::1], out T[::1], int64")
def _matmul_batch(worker, workers, a, b, bias, c, room, share):
    """c[t] = a[t] @ b[t], a share of them for each worker; `bias` is empty."""
    first, end = share_of(len(c), workers, worker)
    for t in range(first, end):
        _fill_share(0, 1, a[t], b[t], bias, c[t], room[worker * share :])


@jit
def _fill_dot(a, b, bias, c, top, bottom, left, right):
    """c[top:bottom, left:right] = a[top:bottom] @ b[left:right].T, plus `bias` if it is not empty."""
    for i in range(top, bottom, DOT_ROWS):
        j = left
        if i + DOT_ROWS <= bottom:
            while j + DOT_COLUMNS <= right:
                _dot(a, b, c, i, j)
                j += DOT_COLUMNS
        for r in range(i, min(i + DOT_ROWS, bottom)):
            s = j
            while s + DOT_COLUMNS <= right:
                _dot_row(a, b, c, r, s)
                s += DOT_COLUMNS
            while s < right:
                _dot_one(a, b, c, r, s)
                s += 1
            if bias.size:
                for s in range(left, right):
                    c[r, s] += bias[s]


@shared_kernel("T[:,::1], T[:,::1], T[:], out T[:,::1]")
def _matmul_dot(worker, workers, a, b, bias, c):
    """c = a @ b.T, plus `bias` if it is not empty."""
    strips = (c.shape[1] + DOT_COLUMNS - 1) // DOT_COLUMNS
    across = min(workers, strips)
    down = workers // across
    if worker < across * down:
        left, right = share_of(strips, across, worker % across)
        top, bottom = share_of(c.shape[0], down, worker // across)
        _fill_dot(a, b, bias, c, top, bottom, left * DOT_COLUMNS, min(right * DOT_COLUMNS, c.shape[1]))


def workers_of(work: int) -> int:
    """Return how many threads share so many multiply-adds."""
    return 1 if work < _SERIAL_BELOW else workers_for(work, _SERIAL_BELOW, 2 * work // _SERIAL_BELOW)


def _share(rows: int, columns: int) -> int:
    """Return how many numbers one worker needs room for, to pack into."""
    # The last square of a panel writes a little too much, a strip may be filled up: hence 64 more of each.
    columns = columns + 64 if columns + 64 < _BLOCK_COLUMNS else _BLOCK_COLUMNS  # min() takes longer
    rows = rows + 64 if rows + 64 < _BLOCK_ROWS else _BLOCK_ROWS
    return _DEPTH * (columns + rows)


def fill_product(a, b, bias, c):
    """Fill c with a @ b + bias. a: (rows, inner), b: (inner, columns), c: (rows, columns)."""
    # For small products what happens before the kernel is half of the time: every line here counts.
    rows, inner = a.shape
    columns, dtype = c.shape[1], c.dtype
    work = rows * columns * inner
    workers = 1 if work < _SERIAL_BELOW else workers_of(work)
    if bias is None:
        bias = NOTHING[dtype]
    # One column: the dot tile sums in several lanes; `tile` would make one long, inexact chain of each sum.
    # Few rows: b would be packed for too little use.
    if (columns == 1 or rows <= DOT_ROWS) and a.flags.c_contiguous and b.flags.f_contiguous:
        _matmul_dot(workers, a, b.T, bias, c)
    else:
        share = _share(rows, columns)
        _matmul(workers, a, b, bias, c, scratch(workers * share, dtype), share)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a @ b. a: (..., rows, inner), b: (..., inner, columns), one dtype; batch dims broadcast.

    ValueError if the batch dims do not broadcast.
    """
    dtype = a.dtype
    if dtype.kind != "f":
        return np.matmul(a, b)
    if a.ndim == b.ndim == 2:
        c = np.empty((a.shape[0], b.shape[1]), dtype)
        if c.size and a.size:
            fill_product(a, b, None, c)
        else:
            c.fill(0)
        return c
    rows, inner = a.shape[-2:]
    columns = b.shape[-1]
    if b.ndim == 2:  # one tall product instead of many
        return matmul(a.reshape(math.prod(a.shape[:-1]), inner), b).reshape(*a.shape[:-1], columns)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    c = np.empty((math.prod(batch), rows, columns), dtype)
    if c.size and inner:
        a = np.broadcast_to(a, (*batch, rows, inner)).reshape(-1, rows, inner)
        b = np.broadcast_to(b, (*batch, inner, columns)).reshape(-1, inner, columns)
        workers = workers_of(c.size * inner)
        if len(c) < workers:  # the threads share out each product
            for t in range(len(c)):
                fill_product(a[t], b[t], None, c[t])
        else:
            share = _share(rows, columns)
            _matmul_batch(workers, a, b, NOTHING[dtype], c, scratch(workers * share, dtype), share)
    else:
        c.fill(0)
    return c.reshape(*batch, rows, columns)


def linear(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, activation: str | None = None
) -> np.ndarray:
    """Return x @ weight.T + bias. x: (..., inputs), weight: (outputs, inputs), bias: (outputs,).

    activation: a formula applied to it, one of `kernels.activations.ACTIVATIONS`; ValueError for others.
    """
    check_activation(activation)
    outputs, inputs = weight.shape
    flat = x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), inputs)  # not -1: inputs may be 0
    out = np.empty((len(flat), outputs), x.dtype)
    if out.size and inputs:
        fill_product(flat, weight.T, bias, out)
    else:
        out[...] = 0 if bias is None else bias
    if activation is not None:
        forward(activation, out, out=out)
    return out if x.ndim == 2 else out.reshape(*x.shape[:-1], outputs)
