"""Order: sorting, selection of the k-th, medians and modes along a dimension. See `kernels.cuda.order`."""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import ALL, cuda, kernel
from kernels.cuda.extremes import extreme
from kernels.cuda.memory import contiguous
from kernels.cuda.order import first_place, sort_lines


def _lines(x: DeviceArray, dim: int) -> tuple[DeviceArray, tuple[int, ...]]:
    """Return x as contiguous (lines, length), and its shape with `dim` last."""
    moved = _moved(x, dim, -1)
    length = moved.shape[-1]
    return contiguous(moved).reshape(math.prod(moved.shape[:-1]), length), moved.shape


def _moved(x: DeviceArray, source: int, target: int) -> DeviceArray:
    order = [d for d in range(x.ndim) if d != source % x.ndim]
    order.insert(target % x.ndim, source % x.ndim)
    return x.transpose(order)


def _first(x: DeviceArray, keep: int, dim: int, descending: bool) -> tuple[DeviceArray, DeviceArray]:
    lines, shape = _lines(x, dim)
    found = sort_lines(lines, keep, descending)
    values, places = (contiguous(_moved(a.reshape((*shape[:-1], keep)), -1, dim)) for a in found)
    return values, places


def sort(x: DeviceArray, dim: int, descending: bool) -> tuple[DeviceArray, DeviceArray]:
    """Return x sorted along `dim`, equals in order, and the int64 positions of what it holds."""
    return _first(x, x.shape[dim], dim, descending)


def topk(x: DeviceArray, count: int, dim: int, largest: bool) -> tuple[DeviceArray, DeviceArray]:
    """Return the `count` largest (or smallest) along `dim`, best first, and their int64 positions."""
    return _first(x, count, dim, largest)


@kernel("int64, int64, int64, T*, int64*, out T*, out int64*", ALL)
def _pick(lines, length, k, values, places, out, out_places):
    """Find the k-th of each sorted line, and where the first of its equals stood."""
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        base = line * length
        value = values[base + k]
        out[line] = value
        out_places[line] = places[base + first_place(values, base, base + k, value, False, False)]


@kernel("int64, int64, int64, T*, int64*, out T*, out int64*", ALL)
def _pick_middle(lines, length, ignore_nan, values, places, out, out_places):
    """Find the lower median of each sorted line; the first nan, if there is one, unless that is ignored."""
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        base = line * length
        last = values[base + length - 1]
        middle = (length - 1) // 2
        if last != last:
            numbers = first_place(values, base, base + length, last, False, False)
            middle = max(numbers - 1, 0) // 2 if ignore_nan else numbers
        value = values[base + middle]
        out[line] = value
        out_places[line] = places[base + first_place(values, base, base + middle, value, False, False)]


def _picked(made, lines: DeviceArray, keep: int, number: int, shape) -> tuple[DeviceArray, DeviceArray]:
    values, places = sort_lines(lines, keep, False)
    out, out_places = empty(shape[:-1], lines.dtype), empty(shape[:-1], np.int64)
    made.over(out.size, out.size, keep, number, values, places, out, out_places)
    return out, out_places


def kth(x: DeviceArray, k: int, dim: int) -> tuple[DeviceArray, DeviceArray]:
    """Return the k-th smallest (from 0) along `dim`, and the first place where it stands."""
    lines, shape = _lines(x, dim)
    return _picked(_pick, lines, k + 1, k, shape)


def median(x: DeviceArray, dim: int, ignore_nan: bool) -> tuple[DeviceArray, DeviceArray]:
    """Return the lower median along `dim`, and its place. nan, if there is one, unless that is ignored."""
    lines, shape = _lines(x, dim)
    return _picked(_pick_middle, lines, shape[-1], int(ignore_nan), shape)


@kernel("int64, int64, T*, out int64*", ALL)
def _count_equals(size, length, values, counts):
    """counts[i]: how many elements of its sorted line equal element i and stand before it."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        value = values[i]
        count = 0
        if value == value:  # nan equals nothing
            base = i // length * length
            count = i - base - first_place(values, base, i, value, False, False)
        counts[i] = count


@kernel("int64, int64, T*, int64*, int64*, out T*, out int64*", ALL)
def _take_from_lines(lines, length, values, places, which, out, out_places):
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        at = line * length + which[line]
        out[line] = values[at]
        out_places[line] = places[at]


def mode(x: DeviceArray, dim: int) -> tuple[DeviceArray, DeviceArray]:
    """Return the most frequent along `dim`, of several the smallest, and the last place where it stands."""
    lines, shape = _lines(x, dim)
    values, places = sort_lines(lines, shape[-1], False)
    counts = empty(values.shape, np.int64)
    _count_equals.over(counts.size, counts.size, shape[-1], values, counts)
    _, which = extreme(counts, 1, 1)
    out, out_places = empty(shape[:-1], x.dtype), empty(shape[:-1], np.int64)
    _take_from_lines.over(out.size, out.size, shape[-1], values, places, which, out, out_places)
    return out, out_places
