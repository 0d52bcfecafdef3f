"""Products of matrices and the windows of images, of which no copy is made, nor one of the images with zeros.

A window is a tap of the filter (channel, row, column) at a position (image, row, column): its element lies at
an offset that is the tap's plus the position's. A table holds both, with bits above them: a tap has a bit for
its row and one for its column, a position has those of all taps that would lie beyond the image there. So one
`and` tells whether there is an element, or a zero. The product itself is that of `kernels.cuda.products`.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from llvmlite import ir

from kernels.cuda.array import DeviceArray, empty, from_host
from kernels.cuda.compile import SIMULATED, cuda, intrinsic, types
from kernels.cuda.driver import keep_tables
from kernels.cuda.geometry import packed
from kernels.cuda.products import TILES, Pieces, keep_places, product, sum_of_parts
from kernels.cuda.reduce import sum as sum_over
from kernels.cuda.tiles import Dims, in_fours, layout, parts_of
from kernels.cuda.vectors import BYTES

_OFFSETS = (1 << 32) - 1  # the bits of an entry that hold its offset
_MOST_TAPS = 30  # rows and columns of a filter together: an entry has no sign
_MOST_POSITIONS = 1 << 20  # that a table is made for
_SMALL_BYTES = 1 << 21  # of tables, of which many may be kept

_ENOUGH_BLOCKS = 256
_SHORTEST_PART = 64
_MOST_PARTS = 256


def _make_reads() -> tuple[Callable, Callable, Callable]:
    """Return what a kernel reads entries, and the elements they lead to, with: all in 32 bits but addresses.

    `entry(memory, i)` is the offset and the bits of entry `i`; `address_of(x, i)` that of an element, and
    `read_at(x, address, offset)` the element so many further. In plain Python the compiler would add in 64
    bits, the number of the first element each time, and then multiply.
    """
    if SIMULATED:
        return (
            lambda memory, i: (memory[i] & _OFFSETS, memory[i] >> 32),
            lambda x, i: i,
            lambda x, address, offset: x[address + offset],
        )
    whole, half = ir.IntType(64), ir.IntType(32)

    @intrinsic
    def entry(typingctx, memory, i):
        def generate(context, builder, signature, arguments):
            data, index = arguments
            if isinstance(memory, types.Array):
                data = context.make_array(memory)(context, builder, data).data
            place = builder.gep(data, [index])
            both = ir.VectorType(half, 2)
            found = builder.load(builder.bitcast(place, both.as_pointer(place.type.addrspace)), align=8)
            parts = [builder.extract_element(found, half(n)) for n in range(2)]
            return context.make_tuple(builder, signature.return_type, parts)

        return types.UniTuple(types.int32, 2)(memory, i), generate

    @intrinsic
    def address_of(typingctx, x, i):
        def generate(context, builder, signature, arguments):
            return builder.ptrtoint(builder.gep(arguments[0], [arguments[1]]), whole)

        return types.int64(x, i), generate

    @intrinsic
    def read_at(typingctx, x, address, offset):
        def generate(context, builder, signature, arguments):
            _, first, number = arguments
            element = context.get_value_type(x.dtype)
            size = whole(context.get_abi_sizeof(element))
            place = builder.add(first, builder.mul(builder.zext(builder.trunc(number, half), whole), size))
            return builder.load(builder.inttoptr(place, element.as_pointer(1)))  # 1: global memory

        return x.dtype(x, address, offset), generate

    return entry, address_of, read_at


entry, address_of, read_at = _make_reads()


# --- pieces of the kernel --------------------------------------------------------------------------


def _begin_by_windows(
    x, base, lines, height, pieces, top, size, start, end, along, wide, line_step, step, tables, first,
    places, counts, values,
):  # fmt: skip
    """As `products._begin_by_tables`, of windows: four lines of one place along the sum at a time."""
    for piece in range(pieces):
        line, k = line_and_place(cuda.threadIdx.x + piece * THREADS, height, False)  # noqa: F821
        there = start + k < end
        pick_by_windows(x, base, lines, line, first + start + k, there, tables, values, 4 * piece)  # noqa: F821


def _go_on_by_windows(
    x, base, lines, height, pieces, start, moved, along, wide, beside, tables, first, places, counts, values
):
    for piece in range(pieces):
        line, k = line_and_place(cuda.threadIdx.x + piece * THREADS, height, False)  # noqa: F821
        pick_by_windows(x, base, lines, line, first + start + k, True, tables, values, 4 * piece)  # noqa: F821


def _pick_by_windows(x, base, lines, line, k, is_there, tables, values, v):
    values[v] = values[v + 1] = values[v + 2] = values[v + 3] = T(0)  # noqa: F821
    if is_there:
        first = address_of(x, base)
        offset, bits = entry(tables, k)
        of_line, beyond = entry(lines, line)
        if beyond & bits == 0:
            values[v] = read_at(x, first, of_line + offset)
        of_line, beyond = entry(lines, line + 1)
        if beyond & bits == 0:
            values[v + 1] = read_at(x, first, of_line + offset)
        of_line, beyond = entry(lines, line + 2)
        if beyond & bits == 0:
            values[v + 2] = read_at(x, first, of_line + offset)
        of_line, beyond = entry(lines, line + 3)
        if beyond & bits == 0:
            values[v + 3] = read_at(x, first, of_line + offset)


_PIECES = Pieces("windows", keep_places, _begin_by_windows, _go_on_by_windows, _pick_by_windows)


# --- where windows lie -----------------------------------------------------------------------------


class Windows(NamedTuple):
    """Where the windows of images lie, by rows and columns: a pair of each.

    taps: of a filter. positions: of windows in an image. origin: where the first tap lies at the first
    position; tap_step, step: how far the next one lies from it. The first two may be negative.
    """

    taps: tuple[int, int]
    positions: tuple[int, int]
    origin: tuple[int, int]
    tap_step: tuple[int, int]
    step: tuple[int, int]

    def serve(self, x: DeviceArray) -> bool:
        """Return whether a table can hold the windows of images x (n, c, h, w)."""
        farthest = sum((n - 1) * abs(s) for n, s in zip(x.shape, x.strides, strict=True)) // x.itemsize
        # Taps may lie beyond the image on either side, as far as it is large.
        around = sum(
            (abs(o) + (t - 1) * abs(e) + (p - 1) * s) * abs(stride) // x.itemsize
            for o, t, e, p, s, stride in zip(
                self.origin, self.taps, self.tap_step, self.positions, self.step, x.strides[2:], strict=True
            )
        )
        return (
            x.dtype.kind == "f"
            and sum(self.taps) <= _MOST_TAPS
            and len(x) * math.prod(self.positions) <= _MOST_POSITIONS
            and farthest + 2 * around < 2**31
            and min(x.strides) >= 0
        )


def _entries(windows: Windows, shape: Sequence[int], steps: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the entries of taps, and of positions, of images (n, c, h, w), counted from `_origin`.

    shape: with the channels of a group; steps: in elements.
    """
    n, channels, *sizes = shape
    rows_and_columns = [np.arange(count) for count in windows.taps], [np.arange(p) for p in windows.positions]
    tap_offsets, offsets = [], []
    for d, (taps, positions) in enumerate(zip(*rows_and_columns, strict=True)):
        step, tap_step, stride = windows.step[d], windows.tap_step[d], steps[2 + d]
        lowest = min(0, (len(taps) - 1) * tap_step)
        bits = np.int64(1) << (32 + taps + (windows.taps[0] if d else 0))
        tap_offsets.append((taps * tap_step - lowest) * stride + bits)
        lies = windows.origin[d] + np.add.outer(positions * step, taps * tap_step)
        offsets.append(positions * step * stride + (((lies < 0) | (lies >= sizes[d])) * bits).sum(1))
    of_taps = np.add.outer(np.arange(channels) * steps[1], np.add.outer(*tap_offsets))
    of_positions = np.add.outer(np.arange(n) * steps[0], np.add.outer(*offsets))
    return of_taps.reshape(-1), of_positions.reshape(-1)


def _origin(windows: Windows, steps: Sequence[int]) -> int:
    """Return where the tap nearest to the image's beginning lies at the first position, in elements."""
    return sum(
        (origin + min(0, (taps - 1) * tap_step)) * stride
        for origin, taps, tap_step, stride in zip(
            windows.origin, windows.taps, windows.tap_step, steps[2:], strict=True
        )
    )


def _offsets(shape: Sequence[int], steps: Sequence[int]) -> np.ndarray:
    found = np.zeros(1, np.int64)
    for size, step in zip(shape, steps, strict=True):
        found = np.add.outer(found, np.arange(size) * step).reshape(-1)
    return found


# --- products --------------------------------------------------------------------------------------


class _Plan:
    """How the product of a and windows is computed: all that does not depend on where the arrays lie.

    a: (groups, *rows, *inner), out: (groups, *rows, *columns); taken over, of the windows, is what is left.
    wide: whether a and out allow vectors, if they begin at an address that does.
    """

    def __init__(self, a, x, out, windows: Windows, over_positions: bool, addend, dtype: np.dtype):
        (a_shape, a_steps), (x_shape, x_steps), (shape, steps) = a, x, out
        groups, rows = a_shape[0], len(a_shape) - 3
        channels = x_shape[1] // groups
        self._images = windows, (x_shape[0], channels, *x_shape[2:]), x_steps
        self._over_positions = over_positions
        self._offsets = [  # of a's rows, those of the result, its columns, and what is summed up
            (a_shape[1:rows], a_steps[1:rows]), (shape[1:rows], steps[1:rows]), (shape[rows:], steps[rows:]),
            (a_shape[rows:], a_steps[rows:]),
        ]  # fmt: skip
        down = Dims(a_shape[1:rows], a_steps[1:rows], steps[1:rows])
        across = Dims(shape[rows:], steps[rows:], steps[rows:])
        depth = Dims(a_shape[rows:], a_steps[rows:], a_steps[rows:])
        self.tile = _choose_tile(down.size)
        tile = TILES[self.tile]
        blocks = groups * -(-down.size // tile.rows) * -(-across.size // tile.columns)
        is_dense = 1 + sum((n - 1) * s for n, s in zip(shape, steps, strict=True)) == math.prod(shape)
        self.parts, chunk = 1, depth.size
        if over_positions:
            self.parts = max(1, min(_MOST_PARTS, -(-_ENOUGH_BLOCKS // blocks), depth.size // _SHORTEST_PART))
            chunk = -(-depth.size // self.parts // tile.depth) * tile.depth
            self.parts = -(-depth.size // chunk)
        elif is_dense:
            self.parts, chunk = parts_of(down.size, across.size, groups, depth.size)
        self.blocks, self.threads = blocks * self.parts, tile.threads
        self.tables_bytes = 16 * (down.size + across.size + depth.size)
        self.nbytes = min(BYTES, 4 * dtype.itemsize)
        unit = self.nbytes // dtype.itemsize
        self.wide = (
            in_fours(depth, depth.first, [*down.first, a_steps[0]], unit),
            in_fours(across, across.first, [*down.second, steps[0]], unit),
        )
        added = (0, 0) if addend is None else addend  # of groups, and of rows
        self.numbers = (
            down.size, across.size, depth.size, groups, self.parts, chunk, 0, 0, 0, 0, 0, 0, True, False,
            0, _origin(windows, x_steps), 1, packed([groups], 1), packed([a_steps[0]], 0),
            packed([channels * x_steps[1]], 0), packed([steps[0]], 0), math.prod(shape),
            addend is not None, *added, 0,
        )  # fmt: skip

    def tables(self) -> DeviceArray:
        """Return new tables, as the kernel reads them."""
        entries = _entries(*self._images)
        of_inner, of_columns = reversed(entries) if self._over_positions else entries
        rows, out_rows, columns, inner = [_offsets(*dims) for dims in self._offsets]
        return from_host(np.concatenate([rows, out_rows, of_columns, columns, inner, of_inner]))


_plan = lru_cache(maxsize=256)(_Plan)


for _name in ("flat", "square"):
    product(_name, True, "", _PIECES)


@keep_tables(64)
def _small_tables(plan: _Plan) -> DeviceArray:
    return plan.tables()


@keep_tables(8)
def _large_tables(plan: _Plan) -> DeviceArray:
    return plan.tables()


def _choose_tile(rows: int) -> str:
    return "flat" if rows <= TILES["flat"].rows else "square"


def multiply(
    a: DeviceArray,
    x: DeviceArray,
    windows: Windows,
    out: DeviceArray,
    bias: DeviceArray | None = None,
    formula: str = "",
) -> None:
    """Fill `out` with sums of a * windows of images over their taps, plus a bias for each row, by a formula.

    a: (groups, rows, c, kh, kw), x: (n, groups * c, h, w), out: (groups, rows, n, oh, ow). bias: None, or
    (groups * rows,). formula: of one variable, of `micro.formulas`, or "". `windows.serve(x)` says whether it
    can be done.
    """
    addend = None
    if bias is not None:
        step = bias.strides[0] // bias.itemsize
        addend = out.shape[1] * step, step
    plan = _plan(layout(a), layout(x), layout(out), windows, False, addend, out.dtype)
    target = empty((plan.parts, out.size), out.dtype) if plan.parts > 1 else out
    _launch(plan, a, x, bias, target, "" if plan.parts > 1 else formula)
    if plan.parts > 1:
        sum_of_parts(formula).over(out.size, out.size, plan.parts, target, out)


def correlate(a: DeviceArray, x: DeviceArray, windows: Windows) -> DeviceArray:
    """Return sums of a * windows of images over their positions: (groups * rows, c, kh, kw).

    a: (groups, rows, n, oh, ow), x: (n, groups * c, h, w).
    """
    groups, rows = a.shape[:2]
    shape = (rows, x.shape[1] // groups, *windows.taps)
    steps = tuple([math.prod(shape[d:]) for d in range(len(shape) + 1)])
    plan = _plan(layout(a), layout(x), ((groups, *shape), steps), windows, True, None, a.dtype)
    whole = (groups * rows, *shape[1:])
    target = empty((plan.parts, *whole) if plan.parts > 1 else whole, a.dtype)
    _launch(plan, a, x, None, target, "")
    return sum_over(target, (0,)) if plan.parts > 1 else target


def _launch(plan: _Plan, a: DeviceArray, x: DeviceArray, bias: DeviceArray | None, out, formula: str) -> None:
    a_wide, out_wide = (
        allowed and not address % plan.nbytes
        for allowed, address in zip(plan.wide, (a.address, out.address), strict=True)
    )
    tables = _small_tables(plan) if plan.tables_bytes <= _SMALL_BYTES else _large_tables(plan)
    product(plan.tile, True, formula, _PIECES).launch(
        plan.blocks, plan.threads, *plan.numbers, a_wide, False, out_wide,
        a, x, a if bias is None else bias, tables, out,
    )  # fmt: skip
