"""From the number of an element to its place in memory, for arrays of any strides.

A kernel over n elements of operands that broadcast gets the sizes of the dims once, and the steps of each
operand, as `dims` arguments: innermost first, in elements, filled up with sizes of 1. Dims that can be one
are merged before, so that arrays in order have a single dim.
"""

import itertools
import math
import operator
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from kernels.cuda.array import DeviceArray
from kernels.cuda.compile import MOST_DIMS, device

_Steps = tuple[int, ...]


@device
def place(i, count, shape, steps):
    """Return at which offset, in elements, element `i` lies, of `count` dims."""
    # Written out: a loop over the tuples would put them into the thread's local memory.
    if count == 1:
        return i * steps[0]
    rest = i // shape[0]
    offset = (i - rest * shape[0]) * steps[0]
    i = rest
    if count == 2:
        return offset + i * steps[1]
    rest = i // shape[1]
    offset += (i - rest * shape[1]) * steps[1]
    i = rest
    if count == 3:
        return offset + i * steps[2]
    rest = i // shape[2]
    offset += (i - rest * shape[2]) * steps[2]
    i = rest
    if count == 4:
        return offset + i * steps[3]
    rest = i // shape[3]
    offset += (i - rest * shape[3]) * steps[3]
    i = rest
    if count == 5:
        return offset + i * steps[4]
    rest = i // shape[4]
    offset += (i - rest * shape[4]) * steps[4]
    return offset + rest * steps[5]


def merge(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """Return the sizes and, for each operand, the steps of as few dims as can be, outer ones first.

    The order of the elements stays as it is: only neighbouring dims become one. Where there are no elements
    there is one dim, of size 0.
    """
    if 0 in shape:  # else a size of 0 might be left among more dims than a kernel takes
        return [0], [[0] for _ in strides]
    sizes: list[int] = []
    dims: list[list[int]] = []  # the steps of all operands, for each dim
    for d, size in enumerate(shape):
        if size == 1:
            continue
        step = [s[d] for s in strides]
        if dims and all(outer == inner * size for outer, inner in zip(dims[-1], step, strict=True)):
            sizes[-1], dims[-1] = sizes[-1] * size, step
        else:
            sizes.append(size)
            dims.append(step)
    if not dims:
        return [1], [[0] for _ in strides]
    return sizes, [list(steps) for steps in zip(*dims, strict=True)]


def packed(numbers: Sequence[int], fill: int) -> tuple[int, ...]:
    """Return sizes or steps, given outer first, as a `dims` argument."""
    return (*reversed(numbers), *[fill] * (MOST_DIMS - len(numbers)))


class _Plan(NamedTuple):
    """How launches cover a shape: elements, dims, sizes and steps of each; where they begin, if many."""

    elements: int
    dims: int
    sizes: _Steps
    steps: list[_Steps]
    beginnings: list[list[int]]  # for each launch the offset of each array in elements; one launch: none
    inner: list[int]


@lru_cache(maxsize=4096)  # a training step has the same shapes as the one before
def _plan(shape: tuple[int, ...], layouts: tuple[tuple[tuple[int, ...], tuple[int, ...], int], ...]) -> _Plan:
    sizes, steps = merge(shape, [_broadcast(shape, *layout) for layout in layouts])
    outer = max(len(sizes) - MOST_DIMS, 0)
    inner = sizes[outer:]
    beginnings = [
        [sum(map(operator.mul, position, s)) for s in steps]
        for position in itertools.product(*map(range, sizes[:outer]))
    ]
    dims = [packed(s[outer:], 0) for s in steps]
    return _Plan(
        math.prod(inner), len(inner), packed(inner, 1), dims, beginnings if outer else [], inner
    )  # fmt: skip


def _broadcast(shape, sizes, strides, itemsize: int) -> list[int]:
    """Return the steps, in elements, of an array that is broadcast to `shape`."""
    missing = len(shape) - len(sizes)
    if missing < 0 or any(n not in (1, whole) for n, whole in zip(sizes, shape[missing:], strict=True)):
        raise ValueError(f"an array of shape {sizes} does not broadcast to {shape}")
    kept = [0 if n == 1 else s // itemsize for n, s in zip(sizes, strides, strict=True)]
    return [0] * missing + kept


def walk(
    shape: tuple[int, ...], arrays: Sequence[DeviceArray]
) -> Iterable[tuple[int, int, _Steps, Sequence[DeviceArray], list[_Steps]]]:
    """Return (elements, dims, sizes, arrays, steps of each) of the launches that cover `shape`.

    arrays: they broadcast to `shape`. There is one launch, unless `MOST_DIMS` do not suffice; then one for
    each position in the outer dims, with the arrays that begin there.
    """
    plan = _plan(shape, tuple([(a.shape, a.strides, a.itemsize) for a in arrays]))
    if not plan.beginnings:
        return ((plan.elements, plan.dims, plan.sizes, arrays, plan.steps),)
    return _walk_outer(plan, arrays)


def _walk_outer(plan: _Plan, arrays: Sequence[DeviceArray]):
    # The steps of the launches are those of a `dims` argument: inner ones first, filled up.
    for beginning in plan.beginnings:
        moved = [
            a.strided(
                plan.inner,
                [step * a.itemsize for step in reversed(steps[: plan.dims])],
                a.itemsize * first,
            )
            for a, steps, first in zip(arrays, plan.steps, beginning, strict=True)
        ]
        yield plan.elements, plan.dims, plan.sizes, moved, plan.steps
