"""Sorted lines: merging, the order of elements, and where in a sorted line an element belongs.

A line is first sorted in tiles, where each element counts how many go before it. Then neighbouring runs are
merged, two at a time: an element's place is its place in its own run, and by binary search how many of the
other run go before it. Equal elements stay in order. Where only the first few of a line are wanted, no run
keeps more than those.
"""

import numpy as np

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import ALL, cuda, device, kernel, threads

_TILE = threads(32)  # elements that are sorted by counting


@device
def precedes(a, b, descending):
    """Return whether a stands before b: nan is larger than all numbers."""
    if descending:
        return a > b or (a != a and b == b)
    return a < b or (b != b and a == a)


@device
def first_place(line, start, end, value, after, descending):
    """Return how many of the sorted elements from start to end stand before `value`; after: or equal it."""
    low, high = start, end
    while low < high:
        middle = (low + high) // 2
        if after:
            is_before = not precedes(value, line[middle], descending)
        else:
            is_before = precedes(line[middle], value, descending)
        if is_before:
            low = middle + 1
        else:
            high = middle
    return low - start


@kernel("int64, int64, int64, int64, int64, int64, T*, out T*, out int64*", ALL)
def _sort_tiles(size, length, tile, keep, kept, descending, x, values, places):
    """Sort each tile of each line; of each the first `keep` remain. kept: elements of a line that do."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        line = i // length
        place = i - line * length
        run = place // tile
        start = run * tile
        end = min(start + tile, length)
        value, base = x[i], line * length
        count = 0
        for j in range(start, end):
            other = x[base + j]
            if precedes(other, value, descending) or (j < place and not precedes(value, other, descending)):
                count += 1
        if count < keep:
            to = line * kept + run * keep + count
            values[to] = value
            places[to] = place


@kernel("int64, int64, int64, int64, int64, int64, T*, int64*, out T*, out int64*", ALL)
def _merge(size, length, run, keep, kept, descending, values, places, out, out_places):
    """Merge pairs of runs of each line; of each the first `keep` remain."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        line = i // length
        place = i - line * length
        own = place // run
        pair = own // 2
        start = own * run
        is_second = own - 2 * pair
        other = start - run if is_second else min(start + run, length)
        end = start if is_second else min(other + run, length)
        base = line * length
        value = values[i]
        # Of equals those of the first run come first.
        to = place - start + first_place(values, base + other, base + end, value, is_second, descending)
        if to < keep:
            to += line * kept + pair * keep
            out[to] = value
            out_places[to] = places[i]


def _kept(length: int, run: int, keep: int) -> int:
    """Return how many elements of a line remain if of each run at most `keep` do."""
    whole, rest = divmod(length, run)
    return whole * keep + min(rest, keep)


def sort_lines(x: DeviceArray, keep: int, descending: bool) -> tuple[DeviceArray, DeviceArray]:
    """Return the first `keep` of each line, (lines, keep), in order, and the int64 places they had there.

    x: (lines, length), contiguous; keep: at most the length. Equals stay in order; nan is the largest.
    """
    lines, length = x.shape
    if not lines or not keep:
        return empty((lines, keep), x.dtype), empty((lines, keep), np.int64)
    run, left = _TILE, min(_TILE, keep)
    kept = _kept(length, run, left)
    values, places = empty((lines, kept), x.dtype), empty((lines, kept), np.int64)
    _sort_tiles.over(x.size, x.size, length, run, left, kept, int(descending), x, values, places)
    runs = -(-length // run)
    while runs > 1:
        # Now each run of `left` elements stands for `run` of the line.
        length, run = kept, left
        left = min(2 * run, keep)
        kept = _kept(length, 2 * run, left)
        out, out_places = empty((lines, kept), x.dtype), empty((lines, kept), np.int64)
        numbers = (values.size, length, run, left, kept, int(descending))
        _merge.over(values.size, *numbers, values, places, out, out_places)
        values, places, runs = out, out_places, -(-runs // 2)
    return values, places


@kernel("int64, int64, int64, int64, int64, T*, T*, out int64*", ALL)
def _search(size, length, each, shared, after, lines, values, out):
    """out[i]: where values[i] belongs in the line of its row; `each`: values of a row; shared: one line."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        base = 0 if shared else i // each * length
        value = values[i]
        if value != value:
            out[i] = length  # after all, also after nan
        else:
            out[i] = first_place(lines, base, base + length, value, after, False)


def search(lines: DeviceArray, values: DeviceArray, right: bool) -> DeviceArray:
    """Return where in sorted lines values belong: before equals, or after them; nan: behind all.

    lines: (length,), or (..., length) with the dims of `values` before the last; both contiguous.
    """
    out = empty(values.shape, np.int64)
    each = values.shape[-1] if values.ndim else 1
    shared = int(lines.ndim == 1)
    _search.over(out.size, out.size, lines.shape[-1], each, shared, int(right), lines, values, out)
    return out
