"""Convolution with 3x3 filters in 16 multiplications for each 2x2 results, instead of 36.

Winograd's F(2x2, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015): a window
of 4x4 numbers d and a filter g become B'dB and GgG'; their products, place by place and summed over the
channels, give the results by A'mA. The sums over channels are 16 matrix products, one for each place in the
window, and run in the tiles of `kernels.cpu.conv`. The numbers of B and A are 0, 1 and -1, those of G 1 and
1/2: rounding errors stay as small as in direct sums. What is not finite spreads to all results of a window.

An image is laid out with its even and odd rows and columns apart, as for a stride of two. A vector then holds
one number of each of so many neighbouring windows.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic

from kernels.cpu.compile import jit
from kernels.cpu.launch import share_of, shared_kernel
from kernels.cpu.matmul import workers_of
from kernels.cpu.scratch import scratch
from kernels.cpu.tiles import (
    CHAIN,
    FILTER_ROWS,
    FILTER_VECTORS,
    VECTOR_BYTES,
    Emitter,
    copy_plane,
    make_filter_tile,
)

_FROM_CHANNELS = 24  # with fewer, the transforms cost what the products save
_FROM_WINDOWS = 128  # of all images; fewer do not earn back the transform of the filters
_STRIP_BYTES = 1 << 19  # laid out at once: the second cache
_SERIAL_PACKING = 1 << 16  # numbers of filters that one thread transforms while others would wake up
_LINE = 64  # bytes between the 16 places' blocks, lest all fall into the same lines of the cache

_tile = make_filter_tile(FILTER_ROWS, FILTER_VECTORS)


def _along(e, first, second, third, fourth):
    """Return B' times a column of the window."""
    b = e.builder
    return b.fsub(first, third), b.fadd(second, third), b.fsub(third, second), b.fsub(second, fourth)


@intrinsic
def _transform_windows(typing, like, window_at, row, plane, target_at, step):
    """Write B'dB of a vector of windows: place p of them at target_at + p * step bytes.

    window_at: the first number of the first window, in the plane of even rows and even columns; `plane` bytes
    on lie even rows and odd columns, and so on; `row` bytes lie between the rows of a plane.
    """

    def generate(context, builder, signature, args):
        e = Emitter(context, builder, signature.args[0])
        window_at, row, plane, target_at, step = args[1:]
        window_at, target_at = e.pointer(window_at), e.pointer(target_at)
        columns = []
        for j in range(4):
            column = []
            for i in range(4):
                at = e.step(e.step(window_at, 2 * (i % 2) + j % 2, plane), i // 2, row)
                column.append(e.load(e.step(at, j // 2, e.itemsize)))
            columns.append(_along(e, *column))
        for i in range(4):
            line = _along(e, *[columns[j][i] for j in range(4)])
            for j in range(4):
                e.store(line[j], e.step(target_at, 4 * i + j, step))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 5), generate


@intrinsic
def _transform_sums(typing, like, sums_at, step, bias_at, even_at, odd_at):
    """Write A'mA + bias of a vector of windows: their upper results from even_at on, the lower from odd_at.

    Place p of the sums lies at sums_at + p * step bytes. All addresses; each target gets two vectors.
    """

    def generate(context, builder, signature, args):
        e = Emitter(context, builder, signature.args[0])
        sums_at, step, bias_at, even_at, odd_at = args[1:]
        sums_at, bias_at = e.pointer(sums_at), e.pointer(bias_at)
        bias = e.broadcast(bias_at)

        def shorten(m):  # A' times a column
            upper = builder.fadd(builder.fadd(m[0], m[1]), m[2])
            return upper, builder.fsub(builder.fsub(m[1], m[2]), m[3])

        columns = [
            shorten([e.load(e.step(sums_at, 4 * i + j, step)) for i in range(4)]) for j in range(4)
        ]  # fmt: skip
        lanes = range(e.lanes)
        for i, target in enumerate((even_at, odd_at)):
            pair = [builder.fadd(y, bias) for y in shorten([columns[j][i] for j in range(4)])]
            mixed = [lane // 2 + e.lanes * (lane % 2) for lane in range(2 * e.lanes)]
            target = e.pointer(target)
            for half in (0, 1):
                order = [mixed[half * e.lanes + lane] for lane in lanes]
                e.store(e.shuffle(*pair, order), e.step(target, half, VECTOR_BYTES))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 5), generate


# What a plan's layout holds, by position; sizes in elements, steps in bytes.
(
    _TOP, _LEFT,  # zeros before the image
    _STRIP,  # rows of windows that are laid out together
    _PITCH, _PLANE, _IMAGE,  # from one row of a plane to the next, of a plane, of a strip with all channels
    _RUNS,  # vectors of windows in a strip
    _BLOCK,  # strips done together
    _WINDOW_STEP, _SUM_STEP,  # from one of the 16 places to the next, before and after the sums
    _RESULTS,  # of one filter and strip: half of it for the upper, half for the lower rows
) = range(11)  # fmt: skip


class _Plan(NamedTuple):
    """What depends on shapes only."""

    layout: np.ndarray
    taps: np.ndarray  # bytes from a place's first number to each channel's
    lanes: np.ndarray  # bytes from a group's first vector to each
    strips: int  # of an image
    panels: int  # elements of the packed filters
    share: int  # elements of working memory that a worker needs


@lru_cache(maxsize=256)
def _make_plan(channels, filters, high, wide, top, left, images, workers, itemsize):
    """Return the plan for results of (high, wide), from images with zeros at the top and the left."""
    lanes = VECTOR_BYTES // itemsize
    down, across = -(-high // 2), -(-wide // 2)
    pitch = across + 1
    strips = 1 if images >= 4 * workers or images % workers == 0 else workers
    strips = max(strips, -(-4 * channels * (down + 1) * pitch * itemsize // _STRIP_BYTES))
    strip = -(-down // min(strips, down))
    plane = (strip + 1) * pitch
    runs = -(-((strip - 1) * pitch + across) // lanes)
    # As many strips together as leave few of the tile's runs empty.
    waste = [
        -(-block * runs // FILTER_VECTORS) * FILTER_VECTORS / block for block in range(1, FILTER_VECTORS + 1)
    ]
    block = 1 + min(range(FILTER_VECTORS), key=lambda n: (waste[n] > 1.03 * min(waste), n))
    image = 4 * channels * plane
    line = FILTER_VECTORS * VECTOR_BYTES
    window_step, sum_step = channels * line + _LINE, filters * line + _LINE
    results = 4 * runs * lanes
    tail = 2 * pitch + 2 * lanes  # read behind the last strip
    share = (
        block * image + tail + 16 * (window_step + sum_step) // itemsize
        + block * filters * results + (FILTER_ROWS * (FILTER_VECTORS + 1)) * lanes
    )  # fmt: skip
    layout = [
        top, left, strip, pitch, plane, image, runs, block, window_step, sum_step, results
    ]  # fmt: skip
    tables = layout, np.arange(channels) * line, np.arange(FILTER_VECTORS) * VECTOR_BYTES
    tiles = -(-filters // FILTER_ROWS)
    return _Plan(
        *(np.array(table, np.int64) for table in tables),
        -(-down // strip), 16 * (tiles * channels * FILTER_ROWS + _LINE // itemsize), (share + 15) // 16 * 16,
    )  # fmt: skip


def serves(channels: int, filters: int, kernel, stride, padding, dilation, groups, windows: int) -> bool:
    """Return whether this is the fastest way, for so many windows in all images."""
    return (
        tuple(kernel) == (3, 3)
        and tuple(stride) == tuple(dilation) == (1, 1)
        and groups == 1
        and max(padding) <= 2
        and min(channels, filters) >= _FROM_CHANNELS
        and windows >= _FROM_WINDOWS
    )


@jit
def _transform_line(panels, at, place, turned, first, middle, last, j):
    """Write column j of GgG', from that column of gG'."""
    ends = 0.5 * (first + last)
    half = 0.5 * middle
    panels[at + (12 * turned + j) * place] = first
    panels[at + (4 + j) * place] = ends + half
    panels[at + (8 + j) * place] = ends - half
    panels[at + (12 - 12 * turned + j) * place] = last


@shared_kernel("T[:,:,:,:], out T[::1], int64")
def _transform_filters(worker, workers, weight, panels, turned):
    """Write GgG' as tiles read it: (place, tile, channel, row of the tile).

    Rows beyond the last repeat it. Turned, by half a turn, the filters are what is summed over.
    """
    rows, depth = (weight.shape[1], weight.shape[0]) if turned else (weight.shape[0], weight.shape[1])
    tiles = (rows + FILTER_ROWS - 1) // FILTER_ROWS
    place = tiles * depth * FILTER_ROWS + _LINE // weight.itemsize
    first, end = share_of(tiles, workers, worker)
    for tile in range(first, end):
        for k in range(depth):
            for r in range(FILTER_ROWS):
                row = min(tile * FILTER_ROWS + r, rows - 1)
                g = weight[k, row] if turned else weight[row, k]
                at = (tile * depth + k) * FILTER_ROWS + r
                # Turned, first and last change places: of the filter's columns here, of its rows below.
                _transform_line(panels, at, place, turned, g[0, 0], g[1, 0], g[2, 0], 3 if turned else 0)
                _transform_line(
                    panels, at, place, turned,
                    0.5 * (g[0, 0] + g[0, 1] + g[0, 2]),
                    0.5 * (g[1, 0] + g[1, 1] + g[1, 2]),
                    0.5 * (g[2, 0] + g[2, 1] + g[2, 2]), 1,
                )  # fmt: skip
                _transform_line(
                    panels, at, place, turned,
                    0.5 * (g[0, 0] - g[0, 1] + g[0, 2]),
                    0.5 * (g[1, 0] - g[1, 1] + g[1, 2]),
                    0.5 * (g[2, 0] - g[2, 1] + g[2, 2]), 2,
                )  # fmt: skip
                _transform_line(panels, at, place, turned, g[0, 2], g[1, 2], g[2, 2], 0 if turned else 3)


@jit
def _lay_out(x, first, layout, room):
    """Copy what a strip of windows from row `first` on sees of an image (c, h, w), even and odd apart."""
    pitch, plane = layout[_PITCH], layout[_PLANE]
    size = x.itemsize
    for odd_row in range(2):
        # plane row a is image row 2 * a + shift
        shift = 2 * first - layout[_TOP] + odd_row
        top = max(0, (1 - shift) // 2)
        rows = min(layout[_STRIP], (x.shape[1] - 1 - shift) // 2) + 1 - top
        for odd_column in range(2):
            j = (odd_column - layout[_LEFT]) % 2
            at = (2 * odd_row + odd_column) * plane + top * pitch + (j + layout[_LEFT]) // 2
            source = x.ctypes.data + (2 * top + shift) * x.strides[1] + j * x.strides[2]
            for c in range(x.shape[0]):
                copy_plane(
                    room, source + c * x.strides[0], 2 * x.strides[1], 2 * x.strides[2],
                    room.ctypes.data + (at + 4 * c * plane) * size, pitch * size, size,
                    max(rows, 0), (x.shape[2] - j + 1) // 2,
                )  # fmt: skip


@shared_kernel(
    "T[:,:,:,:], T[::1], T[::1], out T[:,:,:,::1], int64[:], int64[:], int64[:], out T[::1], int64, int64"
)
def _convolve(worker, workers, x, bias, panels, out, layout, taps, lanes_at, room, share, strips):
    """Apply transformed filters to a share of the strips of all images."""
    size = x.itemsize
    lanes = VECTOR_BYTES // size
    strip, pitch = layout[_STRIP], layout[_PITCH]
    plane, image, runs, block = layout[_PLANE], layout[_IMAGE], layout[_RUNS], layout[_BLOCK]
    window_step, sum_step, results = layout[_WINDOW_STEP], layout[_SUM_STEP], layout[_RESULTS]
    channels, filters = x.shape[1], out.shape[1]
    tiles, line = (filters + FILTER_ROWS - 1) // FILTER_ROWS, FILTER_VECTORS * VECTOR_BYTES
    panel_step = tiles * channels * FILTER_ROWS * size + _LINE
    own = room[worker * share : (worker + 1) * share]
    first, end = share_of(len(x) * strips, workers, worker)
    if first < end:
        own[:] = 0
    own_at = own.ctypes.data
    zeros_at = own_at + (share - FILTER_ROWS * lanes) * size  # stays 0
    kept_at = zeros_at - FILTER_ROWS * line
    windows_at = own_at + (block * image + 2 * pitch + 2 * lanes) * size
    sums_at = windows_at + 16 * window_step
    results_at = sums_at + 16 * sum_step
    for begin in range(first, end, block):
        count = min(block, end - begin)
        for s in range(count):
            if strips > 1:
                own[s * image : (s + 1) * image] = 0
            _lay_out(x[(begin + s) // strips], (begin + s) % strips * strip, layout, own[s * image :])
        vectors = count * runs
        for group in range(0, vectors, FILTER_VECTORS):
            for v in range(FILTER_VECTORS):
                vector = min(group + v, vectors - 1)
                source = own_at + (vector // runs * image + vector % runs * lanes) * size
                target = windows_at + v * VECTOR_BYTES
                for c in range(channels):
                    _transform_windows(
                        x, source + 4 * c * plane * size, pitch * size, plane * size, target + c * line,
                        window_step,
                    )  # fmt: skip
            for place in range(16):
                for tile in range(tiles):
                    f = tile * FILTER_ROWS
                    panel_at = panels.ctypes.data + place * panel_step + f * channels * size
                    for k in range(0, channels, CHAIN):
                        _tile(
                            x, sums_at + place * sum_step + f * line, line,
                            min(filters - f, FILTER_ROWS) - 1, windows_at + place * window_step,
                            lanes_at.ctypes.data, lanes_at.ctypes.data,
                            panel_at + k * FILTER_ROWS * size, taps.ctypes.data + k * 8,
                            min(CHAIN, channels - k), zeros_at, kept_at, k == 0, k + CHAIN >= channels,
                        )  # fmt: skip
            for v in range(min(FILTER_VECTORS, vectors - group)):
                vector = group + v
                source = sums_at + v * VECTOR_BYTES
                at = (vector // runs * filters * results + vector % runs * 2 * lanes) * size
                for f in range(filters):
                    even_at = results_at + at + f * results * size
                    _transform_sums(
                        x, source + f * line, sum_step, bias.ctypes.data + f * size, even_at,
                        even_at + results // 2 * size,
                    )  # fmt: skip
        for s in range(count):
            i, row = (begin + s) // strips, (begin + s) % strips * strip * 2
            for odd in range(2):
                rows = (min(2 * strip, out.shape[2] - row) + 1 - odd) // 2
                source = results_at + (s * filters * results + odd * (results // 2)) * size
                target = out.ctypes.data + i * out.strides[0] + (row + odd) * out.strides[2]
                for f in range(filters):
                    copy_plane(
                        x, source + f * results * size, 2 * pitch * size, size, target + f * out.strides[1],
                        2 * out.strides[2], size, rows, out.shape[3],
                    )  # fmt: skip


def convolve(x, weight, bias, out, padding, turned) -> None:
    """Fill out with the convolution of x with 3x3 filters, plus bias; turned, with the filters' transposes.

    x: (n, c, h, w); weight: (f, c, 3, 3), or turned (c, f, 3, 3); bias: (f,); out: (n, f, oh, ow) with
    contiguous rows; padding: zeros at the top and the left.
    """
    n, channels = x.shape[:2]
    filters, high, wide = out.shape[1:]
    workers = workers_of(out.size * 4 * channels)
    plan = _make_plan(channels, filters, high, wide, *padding, n, workers, x.itemsize)
    first = (plan.panels + 15) // 16 * 16  # keeps the working memory behind the weights aligned
    room = scratch(first + workers * plan.share, x.dtype)
    _transform_filters(1 if plan.panels < _SERIAL_PACKING else workers, weight, room, turned)
    _convolve(
        workers, x, bias, room, out, plan.layout, plan.taps, plan.lanes, room[first:], plan.share, plan.strips
    )
