"""How a reduction goes through memory: which elements a thread takes, in which order, by which loads.

The elements that make one result lie in `runs` runs, each of elements that are equally far apart: a row is
one run; a channel of images, (batch, channel, positions), is a run for each image. Threads go through items,
of one element or of four neighbours, four items at a time, so that four loads are on their way at once. Where
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
from kernels.cuda.compile import MOST_DIMS, device, threads
from kernels.cuda.geometry import merge, packed
from kernels.cuda.memory import contiguous
from kernels.cuda.vectors import BYTES, load

SINGLE, FOUR, VECTOR = range(3)
"""Kinds of items: one element, four neighbours, four neighbours in one load."""

BLOCK = threads(256)
CELLS = 2 * BLOCK if BLOCK < 16 else BLOCK
"""Threads of a block, in rows and in columns: of the latter at least four rows."""

LAYOUT = "int64, int64, int64, int64, int64, dims, dims, dims"
"""Arguments of a kernel: results, items, items of a part, kind of items, kept dims, their sizes and steps,
and `walk`: items of a run, and by how many elements they and the runs are apart, and what `walker` adds."""

_FLIGHT = 4  # items that a thread reads at once
_MOST_COLUMNS = min(threads(32), CELLS // 4)  # threads that read neighbours
_PART = 16 * BLOCK  # elements of a part
_WHOLE = 4 * _PART  # so many are not worth a second launch
_LONG_PART = 16 * _PART  # where there are many results
_MANY_RESULTS = 512  # so many keep the GPU busy by themselves
_MANY_BLOCKS = 1024
_MOST_PARTS = 4096
MOST_BLOCKS = 1 << 16


def walker(item: Callable, combine: Callable) -> Callable:
    """Return the device function that combines a thread's items of one result.

    item: a device function of (x, where the item lies, its number, its kind). combine: one of two values as
    `item` returns them. What is returned takes (x, base, v, end, wide, kind, walk, nothing): v, v + wide, ...
    are the numbers of the thread's items, up to `end`; nothing: what changes no value it is combined with.
    kind is to be a constant.
    """

    def walked(x, base, v, end, wide, kind, walk, nothing):
        per, step, run_step, jump, hop, wrap = walk
        run = v // per if end > per else 0
        p = v - run * per
        a = base + run * run_step + p * step
        total = nothing
        while v < end:
            p, b = _go_on(p, a, per, jump, hop, wrap)
            p, c = _go_on(p, b, per, jump, hop, wrap)
            p, d = _go_on(p, c, per, jump, hop, wrap)
            p, after = _go_on(p, d, per, jump, hop, wrap)
            w = v + wide
            first = item(x, a, v, kind)
            # What is not there is read from where the first item lies: so there is no branch.
            second = item(x, b if w < end else a, w, kind)
            third = item(x, c if w + wide < end else a, w + wide, kind)
            fourth = item(x, d if w + 2 * wide < end else a, w + 2 * wide, kind)
            second = second if w < end else nothing
            third = third if w + wide < end else nothing
            fourth = fourth if w + 2 * wide < end else nothing
            total = combine(total, combine(combine(first, third), combine(second, fourth)))
            v, a = w + 3 * wide, after
        return total

    return device(walked)


@device
def _go_on(p, at, per, jump, hop, wrap):
    """Return the place in its run, and in memory, of the item that many items on."""
    p, at = p + jump, at + hop
    return (p - per, at + wrap) if p >= per else (p, at)


@device
def four(x, at, kind):
    """Return four neighbours. kind: VECTOR or FOUR."""
    if kind == VECTOR:
        return load(x, at, 4)
    return x[at], x[at + 1], x[at + 2], x[at + 3]


class Plan(NamedTuple):
    """How a reduction over some dims of an array goes through it.

    shape: that of the result. results: how many. beside: whether threads side by side belong to neighbouring
    results, in blocks of (results, items) threads; else of (items, results). blocks: of results, and parts
    that each result is cut into. fours: whether items are of four. rest: elements at the end in no item.
    numbers: the arguments in `LAYOUT`, without the kind of items.
    """

    shape: tuple[int, ...]
    results: int
    beside: bool
    blocks: tuple[int, int]
    block: tuple[int, int]
    fours: bool
    rest: int
    numbers: tuple

    @property
    def parts(self) -> int:
        """Into how many parts each result is cut, whose results are to be reduced in turn."""
        return self.blocks[1]

    def layout(self, *arrays: DeviceArray) -> tuple:
        """Return the arguments in `LAYOUT` for arrays of these sizes and steps."""
        kind = SINGLE
        if self.fours:
            aligned = all([x.address % min(4 * x.itemsize, BYTES) == 0 for x in arrays])
            kind = VECTOR if aligned else FOUR
        return (*self.numbers[:3], kind, *self.numbers[3:])


def plan_for(x: DeviceArray, dims: tuple[int, ...], may_be_beside: bool = True) -> Plan | None:
    """Return how a reduction over `dims` goes through x; None if it lies in more dims than kernels take."""
    return _plan(x.shape, x.strides, x.itemsize, dims, may_be_beside)


def in_two_dims(x: DeviceArray, dims: tuple[int, ...]) -> DeviceArray:
    """Return x as (results, elements of each), contiguous: a copy, if it does not lie so."""
    kept = [d for d in range(x.ndim) if d not in dims]
    rows = contiguous(x.transpose([*kept, *dims]))
    return rows.reshape(math.prod(x.shape[d] for d in kept), -1)


class _Reduced(NamedTuple):
    """The elements of one result: `runs` runs of `run` elements, and by how many elements each are apart."""

    runs: int
    run: int
    apart: int
    step: int


@lru_cache(maxsize=4096)  # a training step has the same shapes as the one before
def _plan(shape, strides, itemsize: int, dims: tuple[int, ...], may_be_beside: bool) -> Plan | None:
    kept = [d for d in range(len(shape)) if d not in dims]
    steps = [s // itemsize for s in strides]
    kept_shape = tuple(shape[d] for d in kept)
    kept_sizes, (kept_steps,) = merge(kept_shape, [[steps[d] for d in kept]])
    # The order of the elements of a result is free: near ones first, what repeats last.
    order = sorted(dims, key=lambda d: -(steps[d] or math.inf))
    sizes, (inner,) = merge([shape[d] for d in order], [[steps[d] for d in order]])
    if len(sizes) > 2 or len(kept_sizes) > MOST_DIMS:
        return None
    reduced = _Reduced(*([1, *sizes][-2:]), *([0, *inner][-2:]))
    near = kept_steps[-1]
    beside = may_be_beside and kept_sizes[-1] > 1 and 0 < near < (reduced.step or math.inf)
    results = math.prod(kept_shape)
    fours, blocks, block, each = (_columns if beside else _rows)(kept_sizes, kept_steps, reduced, results)
    long = 1 if beside or not fours else 4  # elements of a result in an item
    per = max(reduced.run // long, 1)
    jump_runs, jump = divmod(block[1 if beside else 0], per)
    step = reduced.step * long
    back = reduced.apart - per * step
    walk = (per, step, reduced.apart, jump, jump_runs * reduced.apart + jump * step, back)
    numbers = (
        results, reduced.runs * (reduced.run // long), each,
        len(kept_sizes), packed(kept_sizes, 1), packed(kept_steps, 0), walk,
    )  # fmt: skip
    return Plan(kept_shape, results, beside, blocks, block, fours, reduced.run % long, numbers)


def _rows(kept_sizes, kept_steps, reduced: _Reduced, results: int) -> tuple:
    """Return (fours, blocks, block, items of a part) for threads side by side on items of a result."""
    strides = [s for n, s in zip(kept_sizes, kept_steps, strict=True) if n > 1]
    if reduced.runs > 1:
        strides += [reduced.apart, reduced.run]
    fours = reduced.step == 1 and reduced.run >= 4 and all(s % 4 == 0 for s in strides)
    length = reduced.runs * reduced.run
    items = length // 4 if fours else length
    wide = 1
    while wide < BLOCK and (wide < min(length / 4, 32) or wide < items / _FLIGHT):
        wide *= 2
    parts, unit = 1, _FLIGHT * wide
    if wide == BLOCK and length > _WHOLE:
        part = _LONG_PART if results >= _MANY_RESULTS else _PART
        parts = min(-(-length // part), _MOST_PARTS)
    each = -(-items // (parts * unit)) * unit
    blocks = -(-results * wide // BLOCK), -(-items // max(each, 1)) or 1
    return fours, (min(blocks[0], MOST_BLOCKS), blocks[1]), (wide, BLOCK // wide), each


def _columns(kept_sizes, kept_steps, reduced: _Reduced, results: int) -> tuple:
    """Return the same for threads side by side on neighbouring results."""
    strides = [*kept_steps[:-1], kept_sizes[-1], reduced.step]
    if reduced.runs > 1:
        strides.append(reduced.apart)
    fours = kept_steps[-1] == 1 and all(s % 4 == 0 for s in strides)
    length = reduced.runs * reduced.run
    groups = results // 4 if fours else results
    wide = 1
    while wide < min(groups, _MOST_COLUMNS):
        wide *= 2
    tiles = -(-groups // wide)
    parts, unit = 1, _FLIGHT * (CELLS // wide)
    if length > 8 * unit:
        parts = min(-(-length // (4 * unit)), -(-_MANY_BLOCKS // tiles))
        parts = min(max(parts, -(-length // (32 * unit))), _MOST_PARTS)
    each = -(-length // (parts * unit)) * unit
    blocks = min(tiles, MOST_BLOCKS), -(-length // max(each, 1)) or 1
    return fours, blocks, (wide, CELLS // wide), each
