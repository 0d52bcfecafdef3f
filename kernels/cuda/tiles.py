"""Sums of products over any dims of two arrays, by register tiles: what matmul and convolution are made of.

`contract` takes views: rows, columns and what is summed over may each be several dims of any strides, such as
the windows of an image, and there may be a batch of products. A block of threads computes a tile of the
result: it brings a strip of each operand to shared memory, and each thread sums up `PER_THREAD` squared
elements in registers. Where there are few tiles and long sums, sums are cut into parts, which are added in
order afterwards; how many depends on the sizes alone, so the same operands give the same bits.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import (
    FLOATS,
    INTEGERS,
    MOST_DIMS,
    SIMULATED,
    Kernel,
    cuda,
    device,
    element_type,
    kernel,
    register,
)
from kernels.cuda.driver import keep_tables
from kernels.cuda.geometry import merge, packed, place
from kernels.cuda.memory import contiguous, write

PER_THREAD = 2 if SIMULATED else 4  # rows and columns of the tile of one thread
DEPTH = 4 if SIMULATED else 16  # products that are summed up between two barriers
_SIDES = (
    ((2, 2), (4, 1)) if SIMULATED else ((16, 16), (64, 4))
)  # threads down and across a tile: square, thin
_SHORTEST_PART = 16 * DEPTH  # products
_ENOUGH_BLOCKS = 256  # to keep a GPU busy
_MOST_PARTS = 64
_KEPT_BYTES = 1 << 21  # of a table of places that is kept for the next product of these layouts
_MOST_BLOCKS = 2 if SIMULATED else 1 << 20  # in one launch; a block goes through several tiles


@kernel("int64, int64, dims, dims, dims, int64, int64, out T*", ["int64"])
def _places(size, count, shape, steps, more_steps, first, second, out):
    """Write down where the elements of two arrays lie, in the order of the dims they share."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        out[first + i] = place(i, count, shape, steps)
        out[second + i] = place(i, count, shape, more_steps)


@device
def _by_step(i, step, tables, first):
    return i * step


@device
def _by_table(i, step, tables, first):
    return tables[first + i]


def _product(
    rows, columns, inner, batches, parts, chunk, a_row, a_inner, b_inner, b_column, out_row, out_column,
    a_along, b_along, a_first, b_first, count, shape, a_batch, b_batch, out_batch, part_step,
    added, added_batch, added_row, added_column, a, b, addend, tables, out,
):  # fmt: skip
    """out[batch, row, column] = sum of a[batch, row, :] * b[batch, :, column], for each part of the sum.

    a_along: whether neighbouring threads read along the sum, else along the rows; b_along the same.
    added: whether the addend comes on top.
    """
    a_tile = cuda.shared.array(A_SIZE, T)  # noqa: F821
    b_tile = cuda.shared.array(B_SIZE, T)  # noqa: F821
    a_rows = cuda.shared.array(ROWS, INDEX)  # noqa: F821
    b_columns = cuda.shared.array(COLUMNS, INDEX)  # noqa: F821
    sums = cuda.local.array(SUMS, T)  # noqa: F821
    t = cuda.threadIdx.x
    down, across = t // SIDE_ACROSS, t % SIDE_ACROSS  # noqa: F821
    tiles_down = (rows + ROWS - 1) // ROWS  # noqa: F821
    tiles_across = (columns + COLUMNS - 1) // COLUMNS  # noqa: F821
    out_rows, b_places, out_columns = rows, 2 * rows, 2 * rows + columns
    a_inners = 2 * (rows + columns)
    b_inners = a_inners + inner
    for block in range(cuda.blockIdx.x, batches * parts * tiles_down * tiles_across, cuda.gridDim.x):
        rest = block // tiles_across
        left = (block - rest * tiles_across) * COLUMNS  # noqa: F821
        top = rest % tiles_down * ROWS  # noqa: F821
        rest = rest // tiles_down
        batch = rest // parts
        part = rest - batch * parts
        # Beyond the last row there is the last one again: nothing of it is stored.
        for r in range(t, ROWS, THREADS):  # noqa: F821
            a_rows[r] = at(min(top + r, rows - 1), a_row, tables, 0)  # noqa: F821
        for c in range(t, COLUMNS, THREADS):  # noqa: F821
            b_columns[c] = at(min(left + c, columns - 1), b_column, tables, b_places)  # noqa: F821
        a_base = a_first + place(batch, count, shape, a_batch)
        b_base = b_first + place(batch, count, shape, b_batch)
        for n in range(SUMS):  # noqa: F821
            sums[n] = 0
        end = min(inner, (part + 1) * chunk)
        cuda.syncthreads()
        for start in range(part * chunk, end, DEPTH):
            for n in range(t, ROWS * DEPTH, THREADS):  # noqa: F821
                r, k = (n // DEPTH, n % DEPTH) if a_along else (n % ROWS, n // ROWS)  # noqa: F821
                value = T(0)  # noqa: F821
                if start + k < end:
                    value = a[a_base + a_rows[r] + at(start + k, a_inner, tables, a_inners)]  # noqa: F821
                a_tile[k * (ROWS + 1) + r] = value  # noqa: F821
            for n in range(t, COLUMNS * DEPTH, THREADS):  # noqa: F821
                c, k = (n // DEPTH, n % DEPTH) if b_along else (n % COLUMNS, n // COLUMNS)  # noqa: F821
                value = T(0)  # noqa: F821
                if start + k < end:
                    value = b[b_base + b_columns[c] + at(start + k, b_inner, tables, b_inners)]  # noqa: F821
                b_tile[k * (COLUMNS + 1) + c] = value  # noqa: F821
            cuda.syncthreads()
            for k in range(DEPTH):
                for r in range(PER_THREAD):
                    factor = a_tile[k * (ROWS + 1) + down + r * SIDE_DOWN]  # noqa: F821
                    for c in range(PER_THREAD):
                        sums[r * PER_THREAD + c] += (
                            factor * b_tile[k * (COLUMNS + 1) + across + c * SIDE_ACROSS]  # noqa: F821
                        )
            cuda.syncthreads()
        out_base = part * part_step + place(batch, count, shape, out_batch)
        for r in range(PER_THREAD):
            row = top + down + r * SIDE_DOWN  # noqa: F821
            if row < rows:
                row_base = out_base + at(row, out_row, tables, out_rows)  # noqa: F821
                for c in range(PER_THREAD):
                    column = left + across + c * SIDE_ACROSS  # noqa: F821
                    if column < columns:
                        total = sums[r * PER_THREAD + c]
                        if added and part == 0:
                            total += addend[batch * added_batch + row * added_row + column * added_column]
                        out[row_base + at(column, out_column, tables, out_columns)] = total  # noqa: F821


_SIGNATURE = (
    "int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, "
    "bool, bool, int64, int64, int64, dims, dims, dims, dims, int64, "
    "bool, int64, int64, int64, T*, T*, T*, {tables}, out T*"
)


def _variant(name: str, at, tables: str, sides: tuple[int, int], kinds: Sequence[str]) -> Kernel:
    down, across = sides
    rows, columns = down * PER_THREAD, across * PER_THREAD
    scope = {
        "at": at, "SIDE_DOWN": down, "SIDE_ACROSS": across, "THREADS": down * across, "ROWS": rows,
        "COLUMNS": columns, "A_SIZE": DEPTH * (rows + 1), "B_SIZE": DEPTH * (columns + 1),
        "SUMS": PER_THREAD * PER_THREAD, "INDEX": element_type(np.dtype(np.int64)),
    }  # fmt: skip
    return register(Kernel(_product, _SIGNATURE.format(tables=tables), kinds, scope, name))


_products = {
    (False, False): _variant("product", _by_step, "T*", _SIDES[0], (*FLOATS, *INTEGERS)),
    (False, True): _variant("thin_product", _by_step, "T*", _SIDES[1], (*FLOATS, *INTEGERS)),
    (True, False): _variant("product_of_dims", _by_table, "int64*", _SIDES[0], FLOATS),
    (True, True): _variant("thin_product_of_dims", _by_table, "int64*", _SIDES[1], FLOATS),
}


@kernel("int64, int64, T*, out T*", (*FLOATS, *INTEGERS))
def _add_parts(size, parts, x, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        total = x[i]
        for part in range(1, parts):
            total += x[part * size + i]
        out[i] = total


class _Dims:
    """Dims that two arrays share, as few as can be."""

    def __init__(self, shape: Sequence[int], first: Sequence[int], second: Sequence[int], addend: int = 0):
        self.size = math.prod(shape)
        self.sizes, (self.first, self.second) = merge(shape, [first, second])
        self.addend = addend  # the step of what is added

    def write_places(self, tables: DeviceArray, start: int) -> int:
        """Write where the elements of both lie from `start` on; return where the tables end."""
        _places.over(
            self.size, self.size, len(self.sizes), packed(self.sizes, 1), packed(self.first, 0),
            packed(self.second, 0), start, start + self.size, tables,
        )  # fmt: skip
        return start + 2 * self.size


_Layout = tuple[tuple[int, ...], tuple[int, ...]]
"""Shape and steps, in elements, of an array."""


def _layout(x: DeviceArray) -> _Layout:
    itemsize = x.itemsize
    return x.shape, tuple([s // itemsize for s in x.strides])


class _Plan:
    """How a product of these layouts is computed: all that does not depend on where the arrays lie.

    back_a, back_b: how many elements before index 0 the lowest one lies, where steps are negative.
    """

    def __init__(self, a: _Layout, b: _Layout, out: _Layout, batch: int, inner: int, addend: _Layout | None):
        (shape, steps_a), (_, steps_b), (target, steps_out) = a, b, out
        rows, middle = len(shape) - inner, batch + inner
        self.batches, steps = merge(target[:batch], [steps_a[:batch], steps_b[:batch], steps_out[:batch]])
        added = _steps_of_addend(addend, target, batch, rows)
        down = _Dims(target[batch:rows], steps_a[batch:rows], steps_out[batch:rows], added[1])
        across = _Dims(target[rows:], steps_b[middle:], steps_out[rows:], added[2])
        depth = _Dims(shape[rows:], steps_a[rows:], steps_b[batch:middle])
        self.back_a, self.back_b = _lowest(*a), _lowest(*b)
        self.turned, self.thin = _shape_of_tiles(down.size, across.size)
        batch_steps, first = [packed(s, 0) for s in steps[:2]], [self.back_a, self.back_b]
        if self.turned:  # the transposed product
            down, across = across, down
            depth.first, depth.second = depth.second, depth.first
            batch_steps.reverse()
            first.reverse()
        self.groups = down, across, depth
        self.in_dims = max(len(dims.sizes) for dims in self.groups) > 1
        self.places_bytes = 16 * sum([dims.size for dims in self.groups])
        count, size = math.prod(self.batches), math.prod(target)
        self.tiles = count * math.prod(_tiles(down.size, across.size, self.thin))
        dense = _span(*out) == size
        self.parts, chunk = _parts_of(self.tiles, depth.size) if dense else (1, depth.size)
        self.numbers = (
            down.size, across.size, depth.size, count, self.parts, chunk,
            down.first[0], depth.first[0], depth.second[0], across.first[0], down.second[0], across.second[0],
            _is_along(down, depth, depth.first), _is_along(across, depth, depth.second), *first,
            len(self.batches), packed(self.batches, 1), *batch_steps, packed(steps[2], 0),
            size, addend is not None, added[0], down.addend, across.addend,
        )  # fmt: skip

    def places(self) -> DeviceArray:
        """Return a new table of where the elements lie that several dims lead to."""
        tables = empty((self.places_bytes // 8,), np.int64)
        end = 0
        for dims in self.groups:
            end = dims.write_places(tables, end)
        return tables


def _steps_of_addend(addend: _Layout | None, shape: tuple[int, ...], batch: int, rows: int) -> list[int]:
    """Return the one step each of what is added along batches, rows and columns."""
    if addend is None:
        return [0, 0, 0]
    parts = ((0, batch), (batch, rows), (rows, len(shape)))
    return [merge(shape[i:j], [addend[1][i:j]])[1][0][0] for i, j in parts]


def _lowest(shape: Sequence[int], steps: Sequence[int]) -> int:
    return -sum((n - 1) * s for n, s in zip(shape, steps, strict=True) if s < 0)


def _span(shape: Sequence[int], steps: Sequence[int]) -> int:
    return 1 + sum((n - 1) * s for n, s in zip(shape, steps, strict=True))


_plan = lru_cache(maxsize=1024)(_Plan)  # a training step has the same shapes as the one before


@keep_tables(64)
def _kept_places(plan: _Plan) -> DeviceArray:
    return plan.places()


def _places_of(plan: _Plan) -> DeviceArray:
    """Return where the elements lie: it depends on the layouts alone, and what is small is kept."""
    return _kept_places(plan) if plan.places_bytes <= _KEPT_BYTES else plan.places()


def contract(
    a: DeviceArray,
    b: DeviceArray,
    out: DeviceArray,
    batch: int,
    inner: int,
    addend: DeviceArray | None = None,
) -> None:
    """Fill `out` with the sum of a * b over dims of both, plus `addend`.

    a: (*batch, *rows, *inner), b: (*batch, *inner, *columns), out: (*batch, *rows, *columns), of one dtype
    and any strides; `batch` and `inner` say how many dims these are, `MOST_DIMS` at most in each group but
    the batch. Integers wrap around; there are no bools. addend: broadcasts to `out`, with one step along all
    batch dims, all rows and all columns; it may be `out` itself.
    """
    if not out.size:
        return
    if 0 in a.shape[a.ndim - inner :]:
        write(out, np.zeros((), out.dtype) if addend is None else addend)
        return
    added = None if addend is None else _layout(addend.broadcast_to(out.shape))
    plan = _plan(_layout(a), _layout(b), _layout(out), batch, inner, added)
    if len(plan.batches) > MOST_DIMS:
        copied = empty(out.shape, out.dtype)
        contract(
            contiguous(a), contiguous(b), copied, batch, inner, None if addend is None else contiguous(addend)
        )
        write(out, copied)
        return
    first, second = _from_lowest(a, plan.back_a), _from_lowest(b, plan.back_b)
    if plan.turned:
        first, second = second, first
    tables = _places_of(plan) if plan.in_dims else first
    target = empty((plan.parts, out.size), out.dtype) if plan.parts > 1 else out
    down, across = _SIDES[plan.thin]
    _products[plan.in_dims, plan.thin].launch(
        min(plan.tiles * plan.parts, _MOST_BLOCKS), down * across, *plan.numbers,
        first, second, first if addend is None else addend, tables, target,
    )  # fmt: skip
    if plan.parts > 1:
        _add_parts.over(out.size, out.size, plan.parts, target, out)


def _from_lowest(x: DeviceArray, back: int) -> DeviceArray:
    """Return an array that begins with the lowest element of a view, `back` elements before index 0."""
    return x.strided(x.shape, [abs(s) for s in x.strides], -back * x.itemsize) if back else x


def _tiles(rows: int, columns: int, thin: bool) -> tuple[int, int]:
    down, across = (PER_THREAD * n for n in _SIDES[thin])
    return -(-rows // down), -(-columns // across)


def _shape_of_tiles(rows: int, columns: int) -> tuple[bool, bool]:
    """Return whether to compute the transposed product, and whether with thin tiles: as few as can be."""
    square = math.prod(_tiles(rows, columns, False))
    thin, turned = math.prod(_tiles(rows, columns, True)), math.prod(_tiles(columns, rows, True))
    if square <= min(thin, turned):
        return False, False
    return turned < thin, True


def _is_along(across: _Dims, depth: _Dims, steps: Sequence[int]) -> bool:
    """Return whether to read an operand along the sum: where its elements lie closer, and in longer rows."""
    if across.size == 1:
        return True
    return (abs(steps[-1]), -depth.sizes[-1]) <= (abs(across.first[-1]), -across.sizes[-1])


def _parts_of(tiles: int, inner: int) -> tuple[int, int]:
    """Return into how many parts sums are cut, and how long these are."""
    parts = min(_MOST_PARTS, -(-_ENOUGH_BLOCKS // tiles), inner // _SHORTEST_PART)
    if parts < 2:
        return 1, inner
    chunk = -(-inner // parts // DEPTH) * DEPTH
    return -(-inner // chunk), chunk
