"""Convolution of images, without a buffer of all windows (im2col).

An image is copied once into a layout in which a filter's tap is a shift: rows are padded with zeros, and
with a stride s the columns (rows) that lie s apart become neighbours. Every tap then reads the same runs of
memory, shifted by an offset from a table, and a tile applies several filters to several runs at once, with
all sums in registers (`kernels.cpu.tiles`).

    forward            filters over x
    input gradient     filters over the output's gradient, turned; with a stride, one small convolution for
                       each of the positions that an input pixel can have between two windows
    weight gradient    inner products of the gradient with x, shifted by each tap

3x3 filters over many channels go another way in the first two: `kernels.cpu.winograd`.

Arrays: x (n, c, h, w), weight (f, c / groups, kh, kw), out and grad (n, f, oh, ow); float32 or float64, any
strides; the result's rows are contiguous. stride, padding and dilation are pairs; the padding is zeros, the
same on both sides. Sums run in a fixed order, whatever the number of threads.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from kernels.activations import check_activation
from kernels.cpu import winograd
from kernels.cpu.channels import sum_channels
from kernels.cpu.compile import jit
from kernels.cpu.elementwise import forward
from kernels.cpu.launch import share_of, shared_kernel
from kernels.cpu.matmul import fill_product, workers_of
from kernels.cpu.scratch import scratch
from kernels.cpu.tiles import (
    CHAIN,
    CORRELATION_ROWS,
    CORRELATION_TAPS,
    FILTER_ROWS,
    FILTER_VECTORS,
    THIN_VECTORS,
    VECTOR_BYTES,
    copy_plane,
    make_correlation_tile,
    make_filter_tile,
)

_FEW_TAPS = 64  # sums this short do not pay for a second copy of their results
_SERIAL_PACKING = 1 << 14  # weights that one thread packs while others would wake up
_CHUNKS = 8  # of a batch, each with its own sum of the weight gradient: not the number of threads!
_ONE_CHUNK_BELOW = 1 << 18  # multiply-adds, of which one thread does all
_ALL_CHUNKS = 1 << 20  # weights in all chunks together, at most
_BLOCK_BYTES = 1 << 18  # of images laid out at once for the weight gradient: the second cache

_tile = make_filter_tile(FILTER_ROWS, FILTER_VECTORS)
_thin_tile = make_filter_tile(1, THIN_VECTORS)
_correlate = make_correlation_tile(CORRELATION_ROWS, CORRELATION_TAPS)


# What a plan's layout holds, by position, in elements.
(
    _DOWN, _ACROSS,  # the stride
    _TOP, _LEFT,  # zeros before the image
    _ROWS, _PITCH,  # of a plane, which holds one position within the stride: its rows, from one to the next
    _CHANNEL, _IMAGE,  # the size of a channel and of an image
    _BUFFER,  # of one filter's results in working memory; 0: they go to the output at once
    _COPIES,  # whether x is copied; else it is used as it lies
    _GROUPS,
    _HIGH, _WIDE,  # rows and columns of the result
    _TILE_ROWS,
    _PRODUCTS,  # that are added up in one go
    _KEPT,  # room for sums under way
    _USED,  # and on: for each row, then each column within the stride, whether a tap reads it
) = range(17)  # fmt: skip


class _Plan(NamedTuple):
    """The tables of a convolution: all that depends on shapes only."""

    layout: np.ndarray
    taps: np.ndarray  # (taps, 2): row and column in the kernel
    offsets: np.ndarray  # (channels * taps,): bytes from a position to what the tap reads
    starts: np.ndarray  # bytes from the image's first number to each run of positions
    places: np.ndarray  # bytes from the output's first number to where the run goes
    positions: tuple[int, int]  # rows and columns of the result
    depth: int  # products of one sum
    panels: int  # elements of the packed weights
    share: int  # elements of working memory that a worker needs
    tile_rows: int


def _make_plan(
    shape, filters, taps, shifts, stride, top, left, positions, groups, itemsize, may_stay, direct
):  # fmt: skip
    """Return the plan of `taps`, which read `shifts` rows and columns from the position * stride.

    shape: (c, h, w) of an image; filters: in one group; top, left: zeros before it; positions: rows and
    columns of the result; direct: its rows are contiguous.
    """
    channels, height, width = shape
    lanes = VECTOR_BYTES // itemsize
    high, wide = positions
    tile_rows, vectors = (1, THIN_VECTORS) if filters == 1 else (FILTER_ROWS, FILTER_VECTORS)
    down = (high - 1) * stride[0] + max(row for row, _ in shifts)
    right = (wide - 1) * stride[1] + max(column for _, column in shifts)
    inside = top == left == 0 and down < height and right < width
    copies = not (may_stay and stride == (1, 1) and inside and wide >= lanes)
    rows = max(down, top + height - 1) // stride[0] + 1
    if stride[1] == 1:
        # The zeros right of a row are those left of the next. Results have room in a row of that length too.
        pitch = max(left + width, right + 1 - left, wide)
    else:
        pitch = max(right, left + width - 1) // stride[1] + 1
    plane = rows * pitch
    channel = stride[0] * stride[1] * plane if copies else height * width
    within = [
        ((row % stride[0]) * stride[1] + column % stride[1]) * plane
        + row // stride[0] * pitch + column // stride[1]
        for row, column in shifts
    ]  # fmt: skip
    in_group = channels // groups
    offsets = (np.arange(in_group)[:, None] * channel + np.array(within)).reshape(-1)

    # Runs of positions: within each row, the last overlapping the one before; or on through all rows, over
    # what lies between them, to be copied from a buffer without it.
    ends = np.minimum(np.arange(-(-wide // lanes)) * lanes, max(wide - lanes, 0))
    by_row = (np.arange(high)[:, None] * pitch + ends).reshape(-1)
    through = np.arange(-(-((high - 1) * pitch + wide) // lanes)) * lanes
    groups_of = [-(-len(runs) // vectors) for runs in (by_row, through)]
    buffered = not direct or wide < lanes
    if not buffered and len(offsets) >= _FEW_TAPS:
        buffered = groups_of[1] < 0.95 * groups_of[0]
    starts = through if buffered else by_row
    places = through if buffered else (np.arange(high)[:, None] * wide + ends).reshape(-1)
    fill = -len(starts) % vectors
    starts, places = (np.pad(runs, (0, fill), mode="edge") for runs in (starts, places))
    buffer = int(places[-1]) + lanes if buffered else 0
    # The last run may read behind the image. In working memory there is room for that (the weight gradient
    # runs through it in any case), behind x there need not be. The layouts are the same where x could stay.
    reach = (channels - in_group) * channel + int(offsets.max(initial=0)) + lanes
    copies = copies or reach + starts.max() > channels * channel
    image = max(channels * channel, reach + int(through[-1])) if copies else 0
    used = [int(any(row % stride[0] == r for row, _ in shifts)) for r in range(stride[0])]
    used += [int(any(column % stride[1] == c for _, column in shifts)) for c in range(stride[1])]
    depth, tiles = len(offsets), groups * -(-filters // tile_rows)
    blocks = max(-(-depth // CHAIN), 2 if depth > CHAIN // 2 else 1)
    chain = -(-depth // blocks)
    kept = tiles * tile_rows * vectors * lanes if blocks > 1 else 0
    layout = [
        *stride, top, left, rows, pitch, channel, image, buffer, int(copies), groups, high, wide, tile_rows,
        chain, kept, *used
    ]  # fmt: skip
    tables = layout, taps, offsets * itemsize, starts * itemsize, places * itemsize
    return _Plan(
        *(np.array(table, np.int64) for table in tables),
        (high, wide), depth, tiles * depth * tile_rows,
        image + kept + buffer * filters * groups, tile_rows,
    )  # fmt: skip


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Return how many windows fit along one dim."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _stride_between(positions, stride) -> tuple[int, int]:
    """Return the stride, 1 where there is no second position: a large one would lay out empty planes."""
    (high, wide), (down, across) = positions, stride
    return 1 if high == 1 else down, 1 if wide == 1 else across


def _is_product(window, size, padding, groups) -> bool:
    """Return whether one window takes in all of each image: then the convolution is a matrix product."""
    return tuple(window) == tuple(size) and padding == (0, 0) and groups == 1


@lru_cache(maxsize=256)
def _forward_plan(shape, filters, kernel, stride, padding, dilation, groups, itemsize, may_stay):
    taps = [(i, j) for i in range(kernel[0]) for j in range(kernel[1])]
    shifts = [(i * dilation[0], j * dilation[1]) for i, j in taps]
    positions = [output_size(shape[1 + d], kernel[d], stride[d], padding[d], dilation[d]) for d in (0, 1)]
    stride = _stride_between(positions, stride)
    return _make_plan(
        shape, filters // groups, taps, shifts, stride, *padding, positions, groups, itemsize, may_stay, True
    )


@lru_cache(maxsize=256)
def _input_plans(shape, channels, input_size, kernel, stride, padding, dilation, groups, itemsize, may_stay):
    """Return pairs (first row and column of the input's gradient, plan; None where no window reaches)."""
    plans = []
    for first in np.ndindex(min(stride[0], input_size[0]), min(stride[1], input_size[1])):
        positions = [-(-(input_size[d] - first[d]) // stride[d]) for d in (0, 1)]
        if min(positions) <= 0:
            continue
        reached = [
            {
                i: (first[d] + padding[d] - i * dilation[d]) // stride[d]
                for i in range(kernel[d])
                if (first[d] + padding[d] - i * dilation[d]) % stride[d] == 0
            }
            for d in (0, 1)
        ]
        if not (reached[0] and reached[1]):
            plans.append((first, None))
            continue
        top, left = (max(0, -min(r.values())) for r in reached)
        taps = [(i, j) for i in reached[0] for j in reached[1]]
        shifts = [(reached[0][i] + top, reached[1][j] + left) for i, j in taps]
        plan = _make_plan(
            shape, channels // groups, taps, shifts, (1, 1), top, left, positions, groups, itemsize, may_stay,
            stride == (1, 1),
        )  # fmt: skip
        plans.append((first, plan))
    return plans


@jit(fastmath={"reassoc", "contract"})
def _sum(values):
    total = values.dtype.type(0)
    for i in range(len(values)):  # over the values themselves it is not vectorised
        total += values[i]
    return total


@jit
def _lay_out(x, layout, room):
    """Copy the image x (c, h, w) into `room`, which holds zeros where no image lies."""
    down, across, top, left = layout[_DOWN], layout[_ACROSS], layout[_TOP], layout[_LEFT]
    rows, pitch, channel = layout[_ROWS], layout[_PITCH], layout[_CHANNEL]
    size = x.itemsize
    for c in range(x.shape[0]):
        for phase in range(down):
            for s in range(across):
                if layout[_USED + phase] and layout[_USED + down + s]:
                    # the first row and column that come to lie in this plane
                    i, j = (phase - top) % down, (s - left) % across
                    plane = c * channel + (phase * across + s) * rows * pitch
                    at = plane + (i + top) // down * pitch + (j + left) // across
                    copy_plane(
                        room, x.ctypes.data + c * x.strides[0] + i * x.strides[1] + j * x.strides[2],
                        down * x.strides[1], across * x.strides[2],
                        room.ctypes.data + at * size, pitch * size, size,
                        (x.shape[1] - i + down - 1) // down, (x.shape[2] - j + across - 1) // across,
                    )  # fmt: skip


@shared_kernel("T[:,:,:,:], out T[::1], int64[:,:], int64, int64, int64")
def _pack(worker, workers, weight, panels, taps, groups, turned, tile_rows):
    """Write the weights as tiles read them: (group, tile, channel and tap, row of the tile).

    Rows beyond the last repeat it. Turned, the channels are the rows, and the filters are summed over.
    """
    filters, channels = weight.shape[0] // groups, weight.shape[1]
    rows, depth = (channels, filters) if turned else (filters, channels)
    tiles = (rows + tile_rows - 1) // tile_rows
    first, end = share_of(groups * tiles, workers, worker)
    for tile in range(first, end):
        group, start = tile // tiles, tile % tiles * tile_rows
        for r in range(tile_rows):
            at, row = tile * depth * len(taps) * tile_rows + r, min(start + r, rows - 1)
            for k in range(depth):
                f, c = (k, row) if turned else (row, k)
                for t in range(len(taps)):
                    panels[at] = weight[group * filters + f, c, taps[t, 0], taps[t, 1]]
                    at += tile_rows


@shared_kernel(
    "T[:,:,:,:], T[::1], T[::1], out T[:,:,:,:], int64[:], int64[:], int64[:], int64[:], out T[::1], int64"
)
def _filter(worker, workers, x, bias, panels, out, layout, offsets, starts, places, room, share):
    """Apply packed filters. A worker does whole images, or a part of the positions in each."""
    size = x.itemsize
    pitch, channel, image, copies = layout[_PITCH], layout[_CHANNEL], layout[_IMAGE], layout[_COPIES]
    buffer, groups, high, wide = layout[_BUFFER], layout[_GROUPS], layout[_HIGH], layout[_WIDE]
    tile_rows, chain, kept_size = layout[_TILE_ROWS], layout[_PRODUCTS], layout[_KEPT]
    vectors = THIN_VECTORS if tile_rows == 1 else FILTER_VECTORS
    filters, channels = out.shape[1] // groups, x.shape[1] // groups
    tiles, depth = (filters + tile_rows - 1) // tile_rows, len(offsets)
    first, end, run_first, run_end = 0, len(x), 0, len(starts) // vectors
    if len(x) >= 4 * workers or len(x) % workers == 0:
        first, end = share_of(len(x), workers, worker)
    else:
        run_first, run_end = share_of(run_end, workers, worker)
    own = room[worker * share : (worker + 1) * share]
    if first < end and run_first < run_end:
        own[:image] = 0
    kept, results = own[image:], own[image + kept_size :]
    for i in range(first, end):
        x_at, out_first = x.ctypes.data + i * x.strides[0], out.ctypes.data + i * out.strides[0]
        out_at, out_row = out_first, out.strides[1]
        if copies:
            _lay_out(x[i], layout, own)
            x_at = own.ctypes.data
        if buffer:
            out_at, out_row = results.ctypes.data, buffer * size
        for run in range(run_first, run_end):
            starts_at = starts.ctypes.data + run * vectors * 8
            places_at = places.ctypes.data + run * vectors * 8
            # Long sums in parts, one after another for all tiles: so little of x is read meanwhile that it
            # stays in the fastest cache, and a short chain of additions keeps more digits.
            for tap in range(0, depth, chain):
                products = min(chain, depth - tap)
                taps_at = offsets.ctypes.data + tap * 8
                for tile in range(groups * tiles):
                    group, start = tile // tiles, tile % tiles * tile_rows
                    f = group * filters + start
                    tile_at, bias_at = out_at + f * out_row, bias.ctypes.data + f * size
                    group_at = x_at + group * channels * channel * size
                    panel_at = panels.ctypes.data + (tile * depth + tap) * tile_rows * size
                    kept_at = kept.ctypes.data + tile * tile_rows * vectors * VECTOR_BYTES
                    last = min(filters - start, tile_rows) - 1
                    if tile_rows == 1:
                        _thin_tile(
                            x, tile_at, out_row, last, group_at, starts_at, places_at, panel_at, taps_at,
                            products, bias_at, kept_at, tap == 0, tap + chain >= depth,
                        )  # fmt: skip
                    else:
                        _tile(
                            x, tile_at, out_row, last, group_at, starts_at, places_at, panel_at, taps_at,
                            products, bias_at, kept_at, tap == 0, tap + chain >= depth,
                        )  # fmt: skip
        if buffer:
            # Whole rows at once, and the parts of rows where another worker's positions begin or end.
            positions = vectors * (VECTOR_BYTES // size)
            left, right = run_first * positions, run_end * positions
            r = max(0, (left - wide) // pitch + 1)
            while r < min(high, (right + pitch - 1) // pitch):
                a, b = max(left - r * pitch, 0), min(right - r * pitch, wide)
                rows = max(1, min(high - r, (right - wide) // pitch + 1 - r)) if a == 0 else 1
                for f in range(out.shape[1]):
                    target = out_first + f * out.strides[1] + r * out.strides[2] + a * out.strides[3]
                    source = results.ctypes.data + (f * buffer + r * pitch + a) * size
                    copy_plane(
                        x,
                        source,
                        pitch * size,
                        size,
                        target,
                        out.strides[2],
                        out.strides[3],
                        rows,
                        max(b - a, 0),
                    )
                r += rows


@lru_cache(maxsize=64)
def _no_bias(filters: int, dtype: np.dtype) -> np.ndarray:
    return np.zeros(filters, dtype)


def _apply(x, weight, bias, out, plan, groups, turned):
    workers = workers_of(out.size * plan.depth)
    first = (plan.panels + 15) // 16 * 16  # keeps the working memory behind the weights aligned
    room = scratch(first + workers * plan.share, x.dtype)
    _pack(
        1 if plan.panels < _SERIAL_PACKING else workers, weight, room, plan.taps, groups, turned,
        plan.tile_rows,
    )  # fmt: skip
    _filter(
        workers,
        x,
        bias,
        room,
        out,
        plan.layout,
        plan.offsets,
        plan.starts,
        plan.places,
        room[first:],
        plan.share,
    )


def conv2d(x, weight, bias, stride, padding, dilation, groups, activation: str | None = None) -> np.ndarray:
    """Return the convolution of images x with filters, plus bias (f,) or None: (n, f, oh, ow).

    activation: a formula applied to it, one of `kernels.activations.ACTIVATIONS`; ValueError for others.
    """
    check_activation(activation, "conv2d")
    shape, filters = x.shape, weight.shape
    may_stay = padding == (0, 0) and x.flags.c_contiguous
    plan = _forward_plan(
        shape[1:], filters[0], filters[2:], stride, padding, dilation, groups, x.itemsize, may_stay
    )
    out = np.empty((shape[0], filters[0], *plan.positions), x.dtype)
    if bias is None:
        bias = _no_bias(filters[0], x.dtype)
    elif not bias.flags.c_contiguous:
        bias = bias.copy()
    if plan.depth and out.size:
        if _is_product(filters[2:], shape[2:], padding, groups):
            n, rows = shape[0], weight.reshape(filters[0], plan.depth)
            fill_product(x.reshape(n, plan.depth), rows.T, bias, out.reshape(n, filters[0]))
        elif winograd.serves(
            shape[1], filters[0], filters[2:], stride, padding, dilation, groups, out[:, 0].size // 4
        ):
            winograd.convolve(x, weight, bias, out, padding, 0)
        else:
            _apply(x, weight, bias, out, plan, groups, 0)
    else:
        out[...] = bias[:, None, None]
    if activation is not None:
        forward(activation, out, out=out)
    return out


def conv2d_dx(grad, weight, input_size, stride, padding, dilation, groups) -> np.ndarray:
    """Return the gradient of images of input_size (h, w): (n, c, h, w).

    It is also the transposed convolution of `grad`.
    """
    n, channels = len(grad), weight.shape[1] * groups
    out = np.empty((n, channels, *input_size), grad.dtype)
    if not (out.size and grad.size and weight.size):
        out.fill(0)
        return out
    if _is_product(weight.shape[2:], input_size, padding, groups):
        flat = out.reshape(n, -1)
        fill_product(grad.reshape(n, len(weight)), weight.reshape(len(weight), -1), None, flat)
        return out
    bias = _no_bias(channels, grad.dtype)
    kernel = weight.shape[2:]
    if winograd.serves(channels, len(weight), kernel, stride, padding, dilation, groups, out[:, 0].size // 4):
        winograd.convolve(grad, weight, bias, out, (2 - padding[0], 2 - padding[1]), 1)
        return out
    stride = _stride_between(grad.shape[2:], stride)
    plans = _input_plans(
        grad.shape[1:], channels, tuple(input_size), kernel, stride, padding, dilation, groups,
        grad.itemsize, grad.flags.c_contiguous,
    )  # fmt: skip
    for (row, column), plan in plans:
        part = out[:, :, row :: stride[0], column :: stride[1]]
        if plan is None:
            part[...] = 0
        else:
            _apply(grad, weight, bias, part, plan, groups, 1)
    return out


@shared_kernel(
    "T[:,:,:,:], T[:,:,:,:], out T[:,:,::1], out float64[:,::1], int64[:], int64[:], out T[::1],"
    " int64, int64, int64"
)
def _weigh(worker, workers, grad, x, sums, bias_sums, layout, offsets, room, share, run, block):
    """Sum up each chunk's gradients: weights (chunks, f, channels and taps), biases (chunks, f or 0)."""
    size = x.itemsize
    lanes = VECTOR_BYTES // size
    pitch, channel, image, groups = layout[_PITCH], layout[_CHANNEL], layout[_IMAGE], layout[_GROUPS]
    chunks, filters, depth = sums.shape
    filters //= groups
    channels = x.shape[1] // groups
    tiles = (filters + CORRELATION_ROWS - 1) // CORRELATION_ROWS
    parts = min((_CHUNKS + chunks - 1) // chunks, groups * tiles)
    first, end = share_of(chunks * parts, workers, worker)
    own = room[worker * share : (worker + 1) * share]
    if first < end:
        own[:] = 0
    gradients = own[block * image :]
    line = run * lanes
    for task in range(first, end):
        chunk = task // parts
        tile_first, tile_end = share_of(groups * tiles, parts, task % parts)
        f_first = tile_first // tiles * filters + tile_first % tiles * CORRELATION_ROWS
        f_end = (tile_end - 1) // tiles * filters + min(
            filters, ((tile_end - 1) % tiles + 1) * CORRELATION_ROWS
        )
        sums[chunk, f_first:f_end] = 0
        if bias_sums.size:
            bias_sums[chunk, f_first:f_end] = 0
        image_first, image_end = share_of(len(x), chunks, chunk)
        for start in range(image_first, image_end, block):
            images = min(block, image_end - start)
            for i in range(images):
                _lay_out(x[start + i], layout, own[i * image :])
                grad_at = grad.ctypes.data + (start + i) * grad.strides[0]
                for f in range(f_first, f_end):
                    at = (i * sums.shape[1] + f) * line
                    copy_plane(
                        x, grad_at + f * grad.strides[1], grad.strides[2], grad.strides[3],
                        gradients.ctypes.data + at * size, pitch * size, size, grad.shape[2], grad.shape[3],
                    )  # fmt: skip
                    if bias_sums.size:
                        bias_sums[chunk, f] += _sum(gradients[at : at + line])
            for tile in range(tile_first, tile_end):
                group, within = tile // tiles, tile % tiles * CORRELATION_ROWS
                f = group * filters + within
                for k in range(0, depth, CORRELATION_TAPS):
                    _correlate(
                        x, sums[chunk].ctypes.data + (f * depth + k) * size, depth * size,
                        min(filters - within, CORRELATION_ROWS) - 1, min(depth - k, CORRELATION_TAPS) - 1,
                        gradients.ctypes.data + f * line * size, line * size, sums.shape[1] * line * size,
                        own.ctypes.data + group * channels * channel * size, image * size,
                        offsets.ctypes.data + k * 8, images, run,
                    )  # fmt: skip


def conv2d_dweight(grad, x, kernel, stride, padding, dilation, groups) -> np.ndarray:
    """Return the gradient of the filters: (f, c / groups, kh, kw) for a kernel (kh, kw)."""
    return _weigh_all(grad, x, kernel, stride, padding, dilation, groups, None)


def conv2d_dparameters(grad, x, kernel, stride, padding, dilation, groups) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients of the filters and of the biases (f,), which are read on the same way."""
    dbias = np.empty(grad.shape[1], grad.dtype)
    return _weigh_all(grad, x, kernel, stride, padding, dilation, groups, dbias), dbias


def _weigh_all(grad, x, kernel, stride, padding, dilation, groups, dbias) -> np.ndarray:
    """Return the gradient of the filters, and fill `dbias`, if it is not None, with that of the biases."""
    kernel = tuple(kernel)
    filters, channels = grad.shape[1], x.shape[1] // groups
    out = np.empty((filters, channels, *kernel), x.dtype)
    is_empty = not (grad.size and x.size and out.size)
    if is_empty or _is_product(kernel, x.shape[2:], padding, groups):
        if is_empty:
            out.fill(0)
        else:
            fill_product(grad.reshape(-1, filters).T, x.reshape(len(x), -1), None, out.reshape(filters, -1))
        if dbias is not None:
            dbias[...] = sum_channels(grad)
        return out
    plan = _forward_plan(x.shape[1:], filters, kernel, stride, padding, dilation, groups, x.itemsize, False)
    depth = plan.depth
    _, _, high, wide = grad.shape
    run = -(-((high - 1) * int(plan.layout[_PITCH]) + wide) * x.itemsize // VECTOR_BYTES)
    image = int(plan.layout[_IMAGE]) + filters * run * VECTOR_BYTES // x.itemsize
    chunks = 1
    if grad.size * depth >= _ONE_CHUNK_BELOW:
        chunks = max(1, min(len(x), _CHUNKS, _ALL_CHUNKS // (filters * depth)))
    block = max(1, min(_BLOCK_BYTES // (image * x.itemsize), -(-len(x) // chunks)))
    workers = workers_of(grad.size * depth)
    share = block * image
    total = out.reshape(1, filters, depth)
    sums = total if chunks == 1 else np.empty((chunks, filters, depth), x.dtype)
    bias_sums = np.empty((chunks, 0 if dbias is None else filters))
    room = scratch(workers * share, x.dtype)
    _weigh(workers, grad, x, sums, bias_sums, plan.layout, plan.offsets, room, share, run, block)
    if chunks > 1:
        np.add.reduce(sums, out=total[0])
    if dbias is not None:
        dbias[...] = bias_sums[0] if chunks == 1 else np.add.reduce(bias_sums)
    return out
