"""From the number of an element to its place in memory, for arrays of any strides.

A kernel over n elements of operands that broadcast gets the sizes of the dims once, and the steps of each
operand, as `dims` arguments: innermost first, in elements, filled up with sizes of 1. Dims that can be one
are merged before, so that arrays in order have a single dim.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from kernels.cuda import vectors
from kernels.cuda.array import DeviceArray, Layout
from kernels.cuda.compile import MOST_DIMS, device

_Steps = tuple[int, ...]
_LIMIT = 1 << 31
_LOW, _32, _NONE = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint32(0)


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


# --- in 32 bits ------------------------------------------------------------------------------------
# Where elements and offsets stay below 2**31. A division of int64 takes a GPU some hundred instructions; one
# by a number that the host knows is a product.


@device
def _divide(n, inverse):
    """Return n // d as uint32, by what `inverse_of` makes of d."""
    high = np.uint32((np.uint64(n) * (np.uint64(inverse) & _LOW)) >> _32)
    return np.uint32(high >> np.uint32(inverse >> 32))


@device
def coordinates(n, count, shape, inverses):
    """Return where element n lies in each of `count` dims; 0 in the others."""
    n = np.uint32(n)
    if count == 1:
        return n, _NONE, _NONE, _NONE, _NONE, _NONE
    rest = _divide(n, inverses[0])
    a = np.uint32(n - rest * np.uint32(shape[0]))
    if count == 2:
        return a, rest, _NONE, _NONE, _NONE, _NONE
    n, rest = rest, _divide(rest, inverses[1])
    b = np.uint32(n - rest * np.uint32(shape[1]))
    if count == 3:
        return a, b, rest, _NONE, _NONE, _NONE
    n, rest = rest, _divide(rest, inverses[2])
    c = np.uint32(n - rest * np.uint32(shape[2]))
    if count == 4:
        return a, b, c, rest, _NONE, _NONE
    n, rest = rest, _divide(rest, inverses[3])
    d = np.uint32(n - rest * np.uint32(shape[3]))
    if count == 5:
        return a, b, c, d, rest, _NONE
    n, rest = rest, _divide(rest, inverses[4])
    return a, b, c, d, np.uint32(n - rest * np.uint32(shape[4])), rest


@device
def offset(at, steps):
    """Return at which offset, in elements, what lies at these coordinates is."""
    a, b, c, d, e, f = at
    near = a * np.uint32(steps[0]) + b * np.uint32(steps[1]) + c * np.uint32(steps[2])
    far = d * np.uint32(steps[3]) + e * np.uint32(steps[4]) + f * np.uint32(steps[5])
    return np.int64(np.int32(near + far))


# --- on the host -----------------------------------------------------------------------------------


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


def inverse_of(divisor: int) -> int:
    """Return the factor, and in the upper half the shift, that divide numbers below 2**31 by 1 < divisor.

    n // d is the upper half of n * factor, shifted: 2**(31 + s) / d is rounded up by less than one, which for
    these n is less than 1 / d in the quotient (T. Granlund and P. Montgomery 1994).
    """
    shift = (divisor - 1).bit_length()
    return -(-(1 << 31 + shift) // divisor) | (shift - 1) << 32


class Launch(NamedTuple):
    """A launch over a shape, or over a part of it: what kernels are given of its geometry."""

    size: int
    """Elements."""
    groups: int
    """How many groups of neighbours in the innermost dim; the elements left over come after them."""
    work: int
    """How many groups, or elements left over if these are more."""
    dims: int
    shape: _Steps
    inverses: _Steps
    """What `coordinates` divides by."""
    steps: list[_Steps]
    """Of each array."""
    starts: list[int]
    """At which byte of each array the part begins."""
    masks: list[int]
    """Of each array: the bits of its address that are 0 if its groups are vectors; -1 where they are not."""

    def wide(self, arrays: Sequence[DeviceArray]) -> int:
        """Return, a bit for each array, whether its groups may be read or written as vectors."""
        found = 0
        for n, (array, mask) in enumerate(zip(arrays, self.masks, strict=True)):
            if not array.address & mask:
                found |= 1 << n
        return found

    def parts_of(self, arrays: Sequence[DeviceArray]) -> Sequence[DeviceArray]:
        """Return the arrays, each from where the part begins."""
        if not any(self.starts):
            return arrays
        sizes = self.shape[: self.dims][::-1]
        return [
            a.strided(sizes, [s * a.itemsize for s in steps[: self.dims][::-1]], start)
            for a, steps, start in zip(arrays, self.steps, self.starts, strict=True)
        ]


def neighbours(itemsizes: Sequence[int]) -> int:
    """Return how many neighbours are a group in arrays of these element sizes: of the largest, 16 bytes.

    But eight at most: a kernel holds a function once for each, and of 16 it would take long to compile.
    """
    return min(vectors.BYTES // max(itemsizes), 8)


def walk(
    shape: tuple[int, ...], arrays: Sequence[DeviceArray | Layout], by_groups: bool = False
) -> list[Launch]:
    """Return the launches that cover `shape`: one, if all is below 2**31 and `MOST_DIMS` dims suffice.

    arrays: they broadcast to `shape`. The elements are gone through in the order in which those of the last
    array lie in memory. by_groups: a kernel takes `neighbours` of them at once.
    """
    return _plan(shape, tuple([(a.shape, a.strides, a.itemsize) for a in arrays]), by_groups)


@lru_cache(maxsize=4096)  # a training step has the same shapes as the one before
def _plan(
    shape: tuple[int, ...],
    layouts: tuple[tuple[tuple[int, ...], tuple[int, ...], int], ...],
    by_groups: bool,
) -> list[Launch]:
    strides = [_broadcast(shape, *layout) for layout in layouts]
    order = sorted(range(len(shape)), key=lambda d: -strides[-1][d])
    merged = merge([shape[d] for d in order], [[s[d] for d in order] for s in strides])
    itemsizes = [itemsize for _, _, itemsize in layouts]
    width = neighbours(itemsizes) if by_groups else 1
    return [_launch(*part, itemsizes, width) for part in _cut(*merged, [0] * len(layouts))]


def _broadcast(shape, sizes, strides, itemsize: int) -> list[int]:
    """Return the steps, in elements, of an array that is broadcast to `shape`."""
    missing = len(shape) - len(sizes)
    if missing < 0 or any(n not in (1, whole) for n, whole in zip(sizes, shape[missing:], strict=True)):
        raise ValueError(f"an array of shape {sizes} does not broadcast to {shape}")
    kept = [0 if n == 1 else s // itemsize for n, s in zip(sizes, strides, strict=True)]
    return [0] * missing + kept


def _cut(
    sizes: list[int], steps: list[list[int]], starts: list[int]
) -> list[tuple[list[int], list[list[int]], list[int]]]:
    """Return (sizes, steps, first element of each array) of parts that a launch can take, halving dims."""
    reach = [[(n - 1) * abs(s) for n, s in zip(sizes, array, strict=True)] for array in steps]
    if len(sizes) > MOST_DIMS:
        dim = 0
    elif math.prod(sizes) < _LIMIT and all(sum(r) < _LIMIT for r in reach):
        return [(sizes, steps, starts)]
    else:
        dim = max(range(len(sizes)), key=lambda d: max(sizes[d], *[r[d] for r in reach]))
    half = sizes[dim] // 2
    half -= half % 16 if half > 16 else 0  # so that rows begin at multiples of 16 bytes after it too
    parts = []
    for size, start in ((half, 0), (sizes[dim] - half, half)):
        part = merge([*sizes[:dim], size, *sizes[dim + 1 :]], steps)
        parts += _cut(*part, [n + start * array[dim] for n, array in zip(starts, steps, strict=True)])
    return parts


def _launch(
    sizes: list[int], steps: list[list[int]], starts: list[int], itemsizes: list[int], width: int
) -> Launch:
    size, count = math.prod(sizes), len(sizes)
    groups = size // width if count == 1 or sizes[-1] % width == 0 else 0
    masks = [
        width * itemsize - 1 if groups and array[-1] == 1 and not any(s % width for s in array[:-1]) else -1
        for array, itemsize in zip(steps, itemsizes, strict=True)
    ]
    return Launch(
        size=size,
        groups=groups,
        work=max(groups, size - groups * width),
        dims=count,
        shape=packed(sizes, 1),
        inverses=packed([inverse_of(n) if n > 1 else 0 for n in sizes], 0),
        steps=[packed(array, 0) for array in steps],
        starts=[start * itemsize for start, itemsize in zip(starts, itemsizes, strict=True)],
        masks=masks,
    )
