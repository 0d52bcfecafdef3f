"""Sums of products over any dims of two arrays, by register tiles: what matmul and convolution are made of.

`contract` takes views: rows, columns and what is summed over may each be several dims of any strides, such as
the windows of an image, and there may be a batch of products. Here is decided how a product is computed;
`kernels.cuda.products` has the kernels. Where there are few tiles and long sums, sums are cut into parts,
which are added in order afterwards; how many depends on the sizes alone, so the same operands give the same
bits. On one GPU as on another: the shape of the tiles hangs on how many multiprocessors there are, but each
element is summed up in the order of its products in all of them. Not so where TF32 is allowed: its tiles
round operands, and which products they take hangs on the GPU, too.
"""

import math
from collections.abc import Collection, Sequence
from functools import cache, lru_cache

import numpy as np

from kernels.cuda import driver
from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import MOST_DIMS, cuda, kernel
from kernels.cuda.driver import keep_tables
from kernels.cuda.elementwise import forward
from kernels.cuda.fragments import SQUARE
from kernels.cuda.geometry import merge, packed, place
from kernels.cuda.memory import contiguous, write
from kernels.cuda.products import DEEPEST, TILES, TILES_BY_STEPS, TILES_BY_TABLES, product, sum_of_parts
from kernels.cuda.vectors import BYTES

_SHORTEST_PART = 2 * DEEPEST  # products
_SHORTEST_SUM = 4 * _SHORTEST_PART  # that is cut into parts, or adding these takes longer than it saves
_ENOUGH_BLOCKS = 256  # to keep a GPU busy
_MOST_PARTS = 64
_KEPT_BYTES = 1 << 21  # of a table of places that is kept for the next product of these layouts

_SIDE = TILES["square"].rows // 2  # of squares that are counted to find out in how many parts to sum up

_RATES = {"large": 1.0, "square": 0.75, "small": 0.5, "thin": 0.4, "tensor": 4.0}
"""Products a multiprocessor computes in a while by tiles of these shapes: estimated by the share of the inner
loop's instructions that multiply, and by how many threads there are to wait with."""


@kernel("int64, int64, dims, dims, dims, int64, int64, out T*", ["int64"])
def _places(size, count, shape, steps, more_steps, first, second, out):
    """Write down where the elements of two arrays lie, in the order of the dims they share."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        out[first + i] = place(i, count, shape, steps)
        out[second + i] = place(i, count, shape, more_steps)


class Dims:
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


def layout(x: DeviceArray) -> _Layout:
    itemsize = x.itemsize
    return x.shape, tuple([s // itemsize for s in x.strides])


class _Plan:
    """How a product of these layouts is computed: all that does not depend on where the arrays lie.

    back_a, back_b: how many elements before index 0 the lowest one lies, where steps are negative. turned:
    whether the transposed product is computed. wide: of both operands, as the kernel takes them, and of the
    result, whether they allow vectors, if they begin at an address that does.
    """

    def __init__(
        self, a: _Layout, b: _Layout, out: _Layout, batch: int, inner: int, addend: _Layout | None,
        dtype: np.dtype, tf32: bool,
    ):  # fmt: skip
        (shape, steps_a), (_, steps_b), (target, steps_out) = a, b, out
        rows, middle = len(shape) - inner, batch + inner
        self.batches, steps = merge(target[:batch], [steps_a[:batch], steps_b[:batch], steps_out[:batch]])
        added = _steps_of_addend(addend, target, batch, rows)
        down = Dims(target[batch:rows], steps_a[batch:rows], steps_out[batch:rows], added[1])
        across = Dims(target[rows:], steps_b[middle:], steps_out[rows:], added[2])
        depth = Dims(shape[rows:], steps_a[rows:], steps_b[batch:middle])
        self.back_a, self.back_b = _lowest(*a), _lowest(*b)
        count, size = math.prod(self.batches), math.prod(target)
        dense = _span(*out) == size
        self.parts, chunk = parts_of(down.size, across.size, count, depth.size) if dense else (1, depth.size)
        self.groups = down, across, depth
        self.in_dims = max(len(dims.sizes) for dims in self.groups) > 1
        names = set(TILES_BY_TABLES if self.in_dims else TILES_BY_STEPS)
        if not tf32:
            names -= {"tensor"}
        if dtype != np.float32:
            names -= {"large", "tensor"}
        self.turned, self.tile = _choose_tile(down, across, count * self.parts, names)
        batch_steps, first = steps[:2], [self.back_a, self.back_b]
        if self.turned:
            down, across = across, down
            depth.first, depth.second = depth.second, depth.first
            batch_steps.reverse()
            first.reverse()
        self.groups = down, across, depth
        self.places_bytes = 16 * sum([dims.size for dims in self.groups])
        tile = TILES[self.tile]
        self.blocks = count * self.parts * -(-down.size // tile.rows) * -(-across.size // tile.columns)
        a_along, b_along = _is_along(down, depth, depth.first), _is_along(across, depth, depth.second)
        self.nbytes = min(BYTES, SQUARE * dtype.itemsize)
        unit = self.nbytes // dtype.itemsize
        self.wide = (
            in_fours(depth, depth.first, [*down.first, *batch_steps[0]], unit) if a_along
            else in_fours(down, down.first, [*depth.first, *batch_steps[0]], unit),
            in_fours(depth, depth.second, [*across.first, *batch_steps[1]], unit) if b_along
            else in_fours(across, across.first, [*depth.second, *batch_steps[1]], unit),
            in_fours(across, across.second, [*down.second, *steps[2]], unit),
        )  # fmt: skip
        self.numbers = (
            down.size, across.size, depth.size, count, self.parts, chunk,
            down.first[0], depth.first[0], depth.second[0], across.first[0], down.second[0], across.second[0],
            a_along, b_along, *first,
            len(self.batches), packed(self.batches, 1), *[packed(s, 0) for s in batch_steps],
            packed(steps[2], 0), size, addend is not None, added[0], down.addend, across.addend,
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
    formula: str = "",
    tf32: bool = False,
) -> None:
    """Fill `out` with the sum of a * b over dims of both, plus `addend`, and apply a formula to it.

    a: (*batch, *rows, *inner), b: (*batch, *inner, *columns), out: (*batch, *rows, *columns), of one dtype
    and any strides; `batch` and `inner` say how many dims these are, `MOST_DIMS` at most in each group but
    the batch. Integers wrap around; there are no bools. addend: broadcasts to `out`, with one step along all
    batch dims, all rows and all columns; it may be `out` itself. formula: the name of one of one variable, of
    `micro.formulas`, for floats. tf32: whether float32 may be rounded to 10 bits of mantissa
    and multiplied by tensor cores, where the GPU has them; large products of one dim of rows, columns and
    inner ones are.
    """
    if not out.size:
        return
    if 0 in a.shape[a.ndim - inner :]:
        write(out, np.zeros((), out.dtype) if addend is None else addend)
        if formula:
            forward(formula, out, out=out)
        return
    added = None if addend is None else layout(addend.broadcast_to(out.shape))
    plan = _plan(layout(a), layout(b), layout(out), batch, inner, added, out.dtype, tf32 and has_tf32())
    if len(plan.batches) > MOST_DIMS:
        copied = empty(out.shape, out.dtype)
        given = None if addend is None else contiguous(addend)
        contract(contiguous(a), contiguous(b), copied, batch, inner, given, formula, tf32)
        write(out, copied)
        return
    first, second = _from_lowest(a, plan.back_a), _from_lowest(b, plan.back_b)
    begins = [a.address, b.address]
    if plan.turned:
        first, second = second, first
        begins.reverse()
    tables = _places_of(plan) if plan.in_dims else first
    target = empty((plan.parts, out.size), out.dtype) if plan.parts > 1 else out
    wide = [
        allowed and not address % plan.nbytes
        for allowed, address in zip(plan.wide, (*begins, target.address), strict=True)
    ]
    product(plan.tile, plan.in_dims, "" if plan.parts > 1 else formula).launch(
        plan.blocks, TILES[plan.tile].threads, *plan.numbers, *wide,
        first, second, first if addend is None else addend, tables, target,
    )  # fmt: skip
    if plan.parts > 1:
        sum_of_parts(formula).over(out.size, out.size, plan.parts, target, out)


@cache
def has_tf32() -> bool:
    """Return whether the GPU in use multiplies in TF32."""
    return driver.capability() >= (8, 0)


def _from_lowest(x: DeviceArray, back: int) -> DeviceArray:
    """Return an array that begins with the lowest element of a view, `back` elements before index 0."""
    return x.strided(x.shape, [abs(s) for s in x.strides], -back * x.itemsize) if back else x


def _choose_tile(down: Dims, across: Dims, count: int, names: Collection[str]) -> tuple[bool, str]:
    """Return whether to compute the transposed product, and by which tiles: what takes the least time.

    count: how many products there are, or parts of them.
    """
    found = []
    for turned, (rows, columns) in enumerate(((down, across), (across, down))):
        gaps = 1.0 if columns.second[-1] == 1 else 1.1  # where neighbouring threads do not write neighbours
        for name in names:
            tile = TILES[name]
            tiles = count * -(-rows.size // tile.rows) * -(-columns.size // tile.columns)
            turns = -(-tiles // driver.multiprocessors())
            found.append((turns * tile.rows * tile.columns / _RATES[name] * gaps, bool(turned), name))
    _, turned, name = min(found)
    return turned, name


def in_fours(dims: Dims, steps: Sequence[int], others: Sequence[int], unit: int) -> bool:
    """Return whether elements along dims lie beside each other, every fourth at a multiple of `unit`."""
    in_rows = steps[-1] == 1 and dims.sizes[-1] % SQUARE == 0
    return in_rows and not any(step % unit for step in (*steps[:-1], *others))


def _is_along(across: Dims, depth: Dims, steps: Sequence[int]) -> bool:
    """Return whether to read an operand along the sum: where its elements lie closer, and in longer rows."""
    if across.size == 1:
        return True
    return (abs(steps[-1]), -depth.sizes[-1]) <= (abs(across.first[-1]), -across.sizes[-1])


def parts_of(rows: int, columns: int, count: int, inner: int) -> tuple[int, int]:
    """Return into how many parts sums are cut, and how long these are.

    It must not hang on the GPU, nor on the tiles chosen for it, or the bits of the results would.
    """
    blocks = count * -(-rows // _SIDE) * -(-columns // _SIDE)
    parts = min(_MOST_PARTS, -(-_ENOUGH_BLOCKS // blocks), inner // _SHORTEST_PART)
    if parts < 2 or inner < _SHORTEST_SUM:
        return 1, inner
    chunk = max(_SHORTEST_PART, round(inner / parts / DEEPEST) * DEEPEST)
    return -(-inner // chunk), chunk
