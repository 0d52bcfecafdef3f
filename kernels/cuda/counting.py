"""Distinct elements, and counting how many fall where.

Equals are found side by side in sorted order. How many there are decides the shape of a result, so these
functions wait for the GPU, as PyTorch's do.
"""

import math

import numpy as np

from kernels import cpu
from kernels.cuda.array import DeviceArray, empty, from_host
from kernels.cuda.compile import ALL, FLOATS, INTEGERS, cuda, device, kernel
from kernels.cuda.memory import cast, contiguous, zeros
from kernels.cuda.order import first_place, search, sort_lines
from kernels.cuda.reduce import bounds
from kernels.cuda.runs import add_runs
from kernels.cuda.scan import cumsum

_INT64 = np.dtype(np.int64)


# --- rows in order ---------------------------------------------------------------------------------


@device
def _row_precedes(x, width, a, b):
    """Return whether row a stands before row b: by the first elements that differ; nan is the largest."""
    for i in range(width):
        p, q = x[a * width + i], x[b * width + i]
        if p < q or (q != q and p == p):
            return True
        if p > q or (p != p and q == q):
            return False
    return False


@kernel("int64, int64, int64, T*, int64*, out int64*", ALL)
def _merge_rows(rows, width, run, x, order, out):
    """Merge pairs of runs of rows that are sorted; `order` names the rows. Equal rows stay in order."""
    for i in range(cuda.grid(1), rows, cuda.gridsize(1)):
        own = i // run
        start = own * run
        is_second = own % 2
        low = start - run if is_second else min(start + run, rows)
        high = start if is_second else min(start + 2 * run, rows)
        first, row = low, order[i]
        while low < high:
            middle = (low + high) // 2
            if is_second:
                is_before = not _row_precedes(x, width, row, order[middle])
            else:
                is_before = _row_precedes(x, width, order[middle], row)
            if is_before:
                low = middle + 1
            else:
                high = middle
        out[(start - run if is_second else start) + i - start + low - first] = row


@kernel("int64, out K*", ["int64"])
def _number(size, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        out[i] = i


def _in_order(rows: int) -> DeviceArray:
    out = empty((rows,), np.int64)
    _number.over(rows, rows, out)
    return out


def _order_of_rows(x: DeviceArray) -> DeviceArray:
    rows, width = x.shape
    if width == 1:
        return sort_lines(x.reshape(1, rows), rows, False)[1].reshape(rows)
    order, run = _in_order(rows), 1
    while run < rows:
        merged = empty((rows,), np.int64)
        _merge_rows.over(rows, rows, width, run, x, order, merged)
        order, run = merged, 2 * run
    return order


# --- groups of equals ------------------------------------------------------------------------------


@kernel("int64, int64, T*, int64*, out int64*", ALL)
def _mark_starts(rows, width, x, order, starts):
    """starts[i]: 1 where row i in order differs from the one before, else 0."""
    for i in range(cuda.grid(1), rows, cuda.gridsize(1)):
        differs = 1
        if i > 0:
            differs = 0
            a, b = order[i] * width, order[i - 1] * width
            for j in range(width):
                if x[a + j] != x[b + j]:
                    differs = 1
        starts[i] = differs


@kernel("int64, K*, int64*, int64*, out int64*, out int64*", ["int64"])
def _write_groups(rows, starts, numbers, order, firsts, inverse):
    for i in range(cuda.grid(1), rows, cuda.gridsize(1)):
        group = numbers[i] - 1
        inverse[order[i]] = group
        if starts[i]:
            firsts[group] = i


@kernel("int64, int64, K*, out int64*", ["int64"])
def _count_groups(groups, rows, firsts, counts):
    for i in range(cuda.grid(1), groups, cuda.gridsize(1)):
        counts[i] = (firsts[i + 1] if i + 1 < groups else rows) - firsts[i]


@kernel("int64, int64, T*, int64*, int64*, out T*", ALL)
def _take_groups(size, width, x, order, firsts, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        group = i // width
        out[i] = x[order[firsts[group]] * width + (i - group * width)]


def _groups(x: DeviceArray, order: DeviceArray) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """Return one row of each run of equal rows, the run of every row, and the lengths of runs.

    x: (rows, width), contiguous; order: the rows' numbers, in the order in which runs are looked for.
    """
    rows, width = x.shape
    starts, inverse = empty((rows,), np.int64), empty((rows,), np.int64)
    _mark_starts.over(rows, rows, width, x, order, starts)
    numbers = cumsum(starts, 0)
    groups = int(numbers[rows - 1].item()) if rows else 0
    firsts, counts, found = (
        empty((groups,), np.int64),
        empty((groups,), np.int64),
        empty((groups, width), x.dtype),
    )
    _write_groups.over(rows, rows, starts, numbers, order, firsts, inverse)
    _count_groups.over(groups, groups, rows, firsts, counts)
    _take_groups.over(found.size, found.size, width, x, order, firsts, found)
    return found, inverse, counts


def _rows(x: DeviceArray, dim: int) -> DeviceArray:
    """Return slices along `dim` as the rows of a contiguous array."""
    order = [dim, *[d for d in range(x.ndim) if d != dim]]
    length = x.shape[dim]
    return contiguous(x.transpose(order)).reshape(length, math.prod(x.shape) // max(length, 1))


def _slices(rows: DeviceArray, x: DeviceArray, dim: int) -> DeviceArray:
    """Return rows as slices along `dim` of an array like x."""
    others = [n for d, n in enumerate(x.shape) if d != dim]
    made = rows.reshape((len(rows), *others))
    return contiguous(made.transpose([*range(1, dim + 1), 0, *range(dim + 1, x.ndim)]))


def unique(x: DeviceArray, dim: int | None) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """Return the distinct elements (slices along `dim`) in order, where each of x stands there, how often."""
    if dim is None:
        column = contiguous(x).reshape(-1, 1)
        found, inverse, counts = _groups(column, _order_of_rows(column))
        return found.reshape(-1), inverse.reshape(x.shape), counts
    rows = _rows(x, dim)
    found, inverse, counts = _groups(rows, _order_of_rows(rows))
    return _slices(found, x, dim), inverse, counts


def unique_only(x: DeviceArray) -> DeviceArray:
    """Return the distinct elements in order."""
    return unique(x, None)[0]


def unique_consecutive(x: DeviceArray, dim: int) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """Return x without slices along `dim` equal to the one before, where each is in that, and run lengths."""
    rows = _rows(x, dim)
    found, inverse, counts = _groups(rows, _in_order(len(rows)))
    return _slices(found, x, dim), inverse, counts


# --- places ----------------------------------------------------------------------------------------


@kernel("int64, int64, T*, T*, out bool*", ALL)
def _is_in(size, length, line, values, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        place = first_place(line, 0, length, values[i], False, False)
        out[i] = 1 if place < length and line[place] == values[i] else 0


def isin(x: DeviceArray, among: DeviceArray) -> DeviceArray:
    """Return which elements of x are among others; nan is in nothing."""
    joint = np.result_type(x.dtype, among.dtype)
    x, among = (contiguous(a if a.dtype == joint else cast(a, joint)) for a in (x, among))
    line = sort_lines(among.reshape(1, -1), among.size, False)[0]
    out = empty(x.shape, np.bool_)
    _is_in.over(out.size, out.size, among.size, line, x, out)
    return out


def searchsorted(row: DeviceArray, values: DeviceArray, right: bool) -> DeviceArray:
    """Return where in sorted rows (the last dimension) values belong: before equals, or after them."""
    return search(contiguous(row), contiguous(values), right)


# --- bins ------------------------------------------------------------------------------------------


@kernel("int64, S*, out int64*", INTEGERS)
def _widen(size, x, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        out[i] = x[i]


@kernel("int64, int64, K*, out int64[]", ["int64"])
def _count(size, bins, places, counts):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        if places[i] < bins:
            cuda.atomic.add(counts, places[i], 1)  # of integers: in any order


def _in_bins(places: DeviceArray, bins: int, weights: DeviceArray | None) -> DeviceArray:
    """Return how many places (int64, flat) are each of 0 to bins - 1, or their float64 weights' sum."""
    if weights is None:
        counts = zeros((bins,), _INT64)
        if bins:
            _count.over(places.size, places.size, bins, places, counts)
        return counts
    sums = zeros((bins, 1), np.dtype(np.float64))
    add_runs(cast(contiguous(weights), np.dtype(np.float64)).reshape(-1, 1), places, bins, sums)
    return sums.reshape(bins)


def bincount(x: DeviceArray, weights: DeviceArray | None, least: int) -> DeviceArray:
    """Return how often, or with what weight, each of 0, 1, 2, ... stands in x; at least `least` numbers."""
    places = empty(x.shape, np.int64)
    _widen.over(x.size, x.size, contiguous(x), places)
    bins = max(int(bounds(x)[1]) + 1, least) if x.size else least
    return _in_bins(places, bins, weights)


def even_edges(low: float, high: float, bins: int, dtype: np.dtype) -> DeviceArray:
    """Return the bins + 1 edges of equal intervals of [low, high], rounded alike from both ends."""
    return from_host(cpu.even_edges(low, high, bins, dtype))


@kernel("int64, int64, int64, T*, T*, out int64*", FLOATS)
def _find_bins(size, bins, even, edges, x, places):
    """places[i]: the bin of element i; `bins` for one that is in none."""
    low, high = edges[0], edges[bins]
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        value = x[i]
        place = bins
        if value >= low and value <= high:
            if even:
                place = int((value - low) * T(bins) / (high - low))  # noqa: F821
            else:
                place = first_place(edges, 0, bins + 1, value, True, False) - 1
            place = max(min(place, bins - 1), 0)
        places[i] = place


def histogram(x: DeviceArray, edges: DeviceArray, weights: DeviceArray | None, even: bool) -> DeviceArray:
    """Return how many, or what weights, of x lie in each bin between edges; the last has both its edges.

    even: find the bin by arithmetic, for edges at even distances.
    """
    bins, places = edges.size - 1, empty((x.size,), np.int64)
    _find_bins.over(x.size, x.size, bins, int(even), contiguous(edges), contiguous(x), places)
    return cast(_in_bins(places, bins, weights), edges.dtype)
