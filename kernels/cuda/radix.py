"""A stable order of integers that are not negative: sorted by four bits at a time, lowest first.

Each pass counts how many keys of a tile have each digit, finds by running sums where they go, and moves them
there in order. What decides is the keys alone, so the order is the same on every GPU.
"""

import numpy as np

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import cuda, element_type, kernel, threads
from kernels.cuda.scan import cumsum

BLOCK = threads(256)
_EACH = 8  # keys of a thread
_TILE = BLOCK * _EACH
_BITS = 4
_DIGITS = 1 << _BITS
_PLACES = _DIGITS * BLOCK  # of each digit one for each thread
_MOST_BLOCKS = 1 << 16
_SCOPE = {"COUNTER": element_type(np.dtype(np.int32))}


@kernel("int64, int64, int64, K*, out int64*", ["int64"], _SCOPE)
def _count_digits(size, tiles, shift, keys, counts):
    """counts[digit, tile] = how many keys of the tile have the digit."""
    found = cuda.shared.array(_DIGITS, COUNTER)  # noqa: F821
    t = cuda.threadIdx.x
    for tile in range(cuda.blockIdx.x, tiles, cuda.gridDim.x):
        for digit in range(t, _DIGITS, BLOCK):
            found[digit] = 0
        cuda.syncthreads()
        for i in range(tile * _TILE + t, min((tile + 1) * _TILE, size), BLOCK):
            cuda.atomic.add(found, (keys[i] >> shift) & (_DIGITS - 1), 1)  # of integers: in any order
        cuda.syncthreads()
        for digit in range(t, _DIGITS, BLOCK):
            counts[digit * tiles + tile] = found[digit]
        cuda.syncthreads()


@kernel("int64, int64, int64, int64, K*, int64*, int64*, int64*, out K*, out int64*", ["int64"], _SCOPE)
def _move(size, tiles, shift, is_first, keys, order, counts, ends, out_keys, out_order):
    """Move keys, and where they came from, to where their digit's begin; ends: running sums of counts."""
    places = cuda.shared.array(_PLACES, COUNTER)  # noqa: F821
    totals = cuda.shared.array(BLOCK, COUNTER)  # noqa: F821
    starts = cuda.shared.array(_DIGITS, COUNTER)  # noqa: F821
    t = cuda.threadIdx.x
    for tile in range(cuda.blockIdx.x, tiles, cuda.gridDim.x):
        first = tile * _TILE + t * _EACH
        end = min(first + _EACH, size)
        for digit in range(_DIGITS):
            places[digit * BLOCK + t] = 0
        for i in range(first, end):
            places[((keys[i] >> shift) & (_DIGITS - 1)) * BLOCK + t] += 1
        cuda.syncthreads()
        # Running sums over `places`, of digit after digit: each thread sums as many as there are digits.
        mine = 0
        for n in range(t * _DIGITS, (t + 1) * _DIGITS):
            mine += places[n]
        totals[t] = mine
        cuda.syncthreads()
        sum_so_far = mine
        reach = 1
        while reach < BLOCK:
            if t >= reach:
                sum_so_far += totals[t - reach]
            cuda.syncthreads()
            totals[t] = sum_so_far
            cuda.syncthreads()
            reach *= 2
        before = sum_so_far - mine
        for n in range(t * _DIGITS, (t + 1) * _DIGITS):
            count = places[n]
            places[n] = before
            before += count
        cuda.syncthreads()
        for digit in range(t, _DIGITS, BLOCK):
            starts[digit] = places[digit * BLOCK]
        cuda.syncthreads()
        for i in range(first, end):
            key = keys[i]
            digit = (key >> shift) & (_DIGITS - 1)
            row = digit * tiles + tile
            to = ends[row] - counts[row] + places[digit * BLOCK + t] - starts[digit]
            places[digit * BLOCK + t] += 1
            out_keys[to] = key
            out_order[to] = i if is_first else order[i]
        cuda.syncthreads()  # the next tile overwrites what is read here


def sort_keys(keys: DeviceArray, limit: int) -> tuple[DeviceArray, DeviceArray]:
    """Return flat, contiguous int64 keys, 0 <= key < limit, sorted, and the int64 places they came from.

    Equal keys stay in order.
    """
    size = keys.size
    tiles = -(-size // _TILE)
    blocks = min(tiles, _MOST_BLOCKS)
    order = keys  # not read by the first pass
    for shift in range(0, max((limit - 1).bit_length(), 1), _BITS):
        counts, moved, places = (empty((n,), np.int64) for n in (_DIGITS * tiles, size, size))
        if size:
            _count_digits.launch(blocks, BLOCK, size, tiles, shift, keys, counts)
            ends = cumsum(counts, 0)
            _move.launch(
                blocks, BLOCK, size, tiles, shift, int(shift == 0), keys, order, counts, ends, moved, places
            )
        keys, order = moved, places
    return keys, order
