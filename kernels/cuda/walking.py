"""How a reduction goes through memory: which elements a thread takes, in which order, by which loads.

Threads go through items, of one element or of four neighbours. The items of a result lie in two dims: some
side by side, and those in lines. A thread stays at one place of the lines and goes from line to line, four
lines at a time, so that four loads are on their way at once. Of a row in order each line is one item. Where
neighbours in memory belong to one result, an item is four elements of it; where they belong to neighbouring
results, as in sums of columns, it is an element each of four results.

Into items, threads and parts an array is cut by its shape and strides alone. What its address decides is
whether four neighbours are read by one instruction or by four, which changes no bit of the result.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from kernels.cuda.array import DeviceArray
from kernels.cuda.compile import MOST_DIMS, cuda, device, threads
from kernels.cuda.geometry import merge, packed
from kernels.cuda.memory import contiguous
from kernels.cuda.vectors import BYTES

SINGLE, FOUR, VECTOR = range(3)
"""Kinds of items: one element, four neighbours, four neighbours in one load."""

BLOCK = threads(256)
"""Threads of a block."""

LAYOUT = "int64, int64, int64, int64, int64, int64, int64, int64, int64, dims, dims"
"""Arguments of a kernel: results, lines, lines of a part, items of a line; steps from line to line and from
item to item; whether neighbouring threads belong to neighbouring results; the kind of items; kept dims, their
sizes and steps."""

_FLIGHT = 4  # items that a thread reads at once
_FEWEST = max(BLOCK // 64, 1)  # threads of a result: a block takes 64 results at most
_MOST_COLUMNS = min(threads(32), BLOCK // 4)  # threads that read neighbours of a line
_PART = 16 * BLOCK  # elements of a part
_WHOLE = 4 * _PART  # so many are not worth a second launch
_LONG_PART = 16 * _PART  # where there are many results
_MANY_RESULTS = 512  # so many keep the GPU busy by themselves
_MANY_BLOCKS = 1024
_MUCH = 64  # so many times less is left after one of two dims was reduced
_MOST_PARTS = 4096
_MOST_BLOCKS = 1 << 16


def walker(item: Callable, combine: Callable) -> Callable:
    """Return the device function that combines a thread's items of one result, from line to line.

    item: a device function of (x, where the item lies, its line, its kind). combine: one of two values as
    `item` returns them. What is returned takes (x, at, line, end, lines, hop, kind, total, nothing): items
    lie at `at`, at + hop, ..., in lines `line`, line + lines, ... up to `end`; total: what they are combined
    with; nothing: what changes no value. kind is to be a constant.
    """

    def walked(x, at, line, end, lines, hop, kind, total, nothing):
        while line < end:
            after = line + lines
            first = item(x, at, line, kind)
            # What is not there is read where the first item lies: so there is no branch.
            far = at + hop
            second = item(x, far if after < end else at, after, kind)
            second = second if after < end else nothing
            after += lines
            far += hop
            third = item(x, far if after < end else at, after, kind)
            third = third if after < end else nothing
            after += lines
            far += hop
            fourth = item(x, far if after < end else at, after, kind)
            fourth = fourth if after < end else nothing
            total = combine(total, combine(combine(first, third), combine(second, fourth)))
            line, at = after + lines, far + hop
        return total

    return device(walked)


@device
def seat(beside):
    """Return the places of a thread: (item of a line, items side by side; line, lines; result, results; and
    its number among the threads of its result, how many these are, how far apart in the block)."""
    x, y, z = cuda.threadIdx.x, cuda.threadIdx.y, cuda.threadIdx.z
    wide, high, deep = cuda.blockDim.x, cuda.blockDim.y, cuda.blockDim.z
    if beside:
        return 0, 1, y, high, x, wide, y, high, wide
    return x, wide, y, high, z, deep, y * wide + x, wide * high, 1


@device
def seat_number():
    """Return a thread's number in its block."""
    return (cuda.threadIdx.z * cuda.blockDim.y + cuda.threadIdx.y) * cuda.blockDim.x + cuda.threadIdx.x


class Plan(NamedTuple):
    """How a reduction over some dims of an array goes through it.

    shape: that of the result. results: how many. blocks: of results, and the parts that each result is cut
    into. block: a block's threads. beside: whether neighbouring threads belong to neighbouring results.
    fours: whether items are of four. rest: elements at the end of a row that are in no item. numbers: the
    arguments in `LAYOUT` before the kind of items, and after it.
    """

    shape: tuple[int, ...]
    results: int
    blocks: tuple[int, int]
    block: tuple[int, int, int]
    beside: bool
    fours: bool
    rest: int
    numbers: tuple[tuple, tuple]

    @property
    def parts(self) -> int:
        """Into how many parts each result is cut, whose results are to be reduced in turn."""
        return self.blocks[1]

    def layout(self, *arrays: DeviceArray) -> tuple:
        """Return the arguments in `LAYOUT` for arrays of these sizes and steps."""
        kind = SINGLE
        if self.fours:
            kind = VECTOR
            for x in arrays:
                if x.address % min(4 * x.itemsize, BYTES):
                    kind = FOUR
        return (*self.numbers[0], kind, *self.numbers[1])


def plan_for(x: DeviceArray, dims: tuple[int, ...], columns_of_four: bool = True) -> Plan | None:
    """Return how a reduction over `dims` goes through x; None if it lies in more dims than kernels take.

    columns_of_four: whether the kernel has a way for threads with four neighbouring results.
    """
    return _plan(x.shape, x.strides, x.itemsize, dims, columns_of_four)


def plan_by_turns(x: DeviceArray, dims: tuple[int, ...]) -> tuple[Plan, int] | None:
    """Return how to reduce over the nearest of `dims` first, and how many results of that make one.

    Where these are (groups, results): None where they would lie in another order, or in too many dims.
    """
    near = nearest(x, dims)
    left = [d for d in dims if d not in near]
    kept = [d for d in range(x.ndim) if d not in dims]
    plan = plan_for(x, near, columns_of_four=False)
    if plan is None or not near or (left and kept and max(left) > min(kept)):
        return None
    return plan, math.prod(x.shape[d] for d in left)


def nearest(x: DeviceArray, dims: tuple[int, ...]) -> tuple[int, ...]:
    """Return those of `dims` in which x is one run of elements that are equally far apart, and nearest."""
    order = sorted((d for d in dims if x.shape[d] > 1), key=lambda d: -(x.strides[d] or math.inf))
    first = len(order)
    while first and len(merge(*_of(x, order[first - 1 :]))[0]) == 1:
        first -= 1
    return tuple(sorted(order[first:]))


def _of(x: DeviceArray, dims):
    return [x.shape[d] for d in dims], [[x.strides[d] for d in dims]]


def in_two_dims(x: DeviceArray, dims: tuple[int, ...]) -> DeviceArray:
    """Return x as (results, elements of each), contiguous: a copy, if it does not lie so."""
    kept = [d for d in range(x.ndim) if d not in dims]
    rows = contiguous(x.transpose([*kept, *dims]))
    return rows.reshape(math.prod(x.shape[d] for d in kept), math.prod(x.shape[d] for d in dims))


@lru_cache(maxsize=4096)  # a training step has the same shapes as the one before
def _plan(shape, strides, itemsize: int, dims: tuple[int, ...], columns_of_four: bool) -> Plan | None:
    kept = [d for d in range(len(shape)) if d not in dims]
    steps = [s // itemsize for s in strides]
    kept_shape = tuple(shape[d] for d in kept)
    kept_sizes, (kept_steps,) = merge(kept_shape, [[steps[d] for d in kept]])
    # The order of the elements of a result is free: near ones together, what repeats in lines.
    order = sorted(dims, key=lambda d: -(steps[d] or math.inf))
    sizes, (inner,) = merge([shape[d] for d in order], [[steps[d] for d in order]])
    if len(sizes) > 2 or len(kept_sizes) > MOST_DIMS:
        return None
    far, near = [(1, 0), *zip(sizes, inner, strict=True)][-2:]
    beside = kept_sizes[-1] > 1 and 0 < kept_steps[-1] < (near[1] or math.inf)
    if far[0] > 1 and (min(far[0], near[0]) >= _MUCH if beside else near[0] >= _PART):
        return None  # what is long in both dims is to be cut into parts of one
    kept_dims = list(zip(kept_sizes, kept_steps, strict=True))
    results = math.prod(kept_shape)
    if beside:
        fewer, more = sorted((far, near))
        made = _columns(kept_dims, fewer, more, results, columns_of_four)
    else:
        made = _rows(kept_dims, far, near, results)
    fours, rest, blocks, block, numbers = made
    after = len(kept_sizes), packed(kept_sizes, 1), packed(kept_steps, 0)
    return Plan(
        kept_shape, results, blocks, block, beside, fours, rest, ((results, *numbers, int(beside)), after)
    )


def _power_of_two(number: float, least: int, most: int) -> int:
    """Return the first power of two from `number` on, within limits."""
    power = least
    while power < number and power < most:
        power *= 2
    return power


def _rows(kept: list, far: tuple[int, int], near: tuple[int, int], results: int) -> tuple:
    """Return (fours, rest, blocks, block, numbers): threads side by side are at neighbours of a result.

    kept, far, near: (size, step) of the dims.
    """
    (runs, apart), (run, step) = far, near
    strides = [s for n, s in kept if n > 1] + ([apart, run] if runs > 1 else [])
    fours = step == 1 and run >= 4 and all(s % 4 == 0 for s in strides)
    each = 4 if fours else 1
    per, step, rest, length = run // each, step * each, run % each, runs * run
    items = runs * per
    wide = _power_of_two(max(min(length / 4, 32), items / _FLIGHT), _FEWEST, BLOCK)
    if runs == 1:  # a line is an item
        lines, across = items, 1
        apart, step, per = step, 0, 1
    else:
        lines, across = runs, _power_of_two(per, 1, min(wide, threads(32)))
        while across < min(per, wide) and runs < _FLIGHT * wide // across:
            across *= 2
    unit, parts = _FLIGHT * (wide // across), 1
    if wide == BLOCK and length > _WHOLE:
        part = _LONG_PART if results >= _MANY_RESULTS else _PART
        parts = min(-(-length // part), _MOST_PARTS)
    of_part = -(-lines // (parts * unit)) * unit
    at_once = BLOCK // wide
    blocks = min(-(-results // at_once), _MOST_BLOCKS), -(-lines // max(of_part, 1)) or 1
    return fours, rest, blocks, (across, wide // across, at_once), (lines, of_part, per, apart, step)


def _columns(kept: list, fewer: tuple[int, int], more: tuple[int, int], results: int, may: bool) -> tuple:
    """Return the same for threads side by side at neighbouring results; may: also at four each."""
    (per, step), (lines, apart) = fewer, more
    strides = [*[s for _, s in kept[:-1]], kept[-1][0], apart, step if per > 1 else 0]
    fours = may and kept[-1][1] == 1 and all(s % 4 == 0 for s in strides)
    groups = results // 4 if fours else results
    wide = _power_of_two(groups, 1, _MOST_COLUMNS)
    tiles, high = max(-(-groups // wide), 1), BLOCK // wide
    parts, unit = 1, _FLIGHT * high
    if per * lines > 8 * unit:
        parts = min(-(-per * lines // (4 * unit)), -(-_MANY_BLOCKS // tiles))
        parts = min(max(parts, -(-per * lines // (32 * unit))), _MOST_PARTS)
    of_part = -(-lines // (parts * unit)) * unit
    blocks = min(tiles, _MOST_BLOCKS), -(-lines // max(of_part, 1)) or 1
    return fours, 0, blocks, (wide, high, 1), (lines, of_part, per, apart, step)
