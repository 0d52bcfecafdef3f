"""Maxima and averages over windows of one or two dimensions, forward beside backward.

`Windows` says where the windows of one dimension lie, whether they slide or adapt, so one loop serves every
form of pooling. Threads share out the planes: the bits are the same on any number of threads.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kernels.cpu.compile import jit
from kernels.cpu.launch import share_of, shared_kernel, workers_for

# Elements of the input; measured on two cores: 2x2 windows over 6,272 take 7 us on one thread or two, over
# 50,176 21 and 14; 3x3 windows over 6,272 take 22 and 15.
_SERIAL_BELOW = 1 << 13


class Windows(NamedTuple):
    """Where the windows along one dimension lie: window i takes range(first[i], stop[i], step)."""

    size: int  # of the dimension
    first: np.ndarray  # int64, within the dimension
    stop: np.ndarray  # int64, at most `size`; an empty range where dilation steps over all there is
    step: int
    padded: np.ndarray  # int64: how many elements of the padded dimension each window takes
    halve: bool  # windows of two that meet and leave out no more than one last element
    stride: int  # from each window to the next, if all are of one size; otherwise 0


def _windows(size, first, stop, step, padded, halve) -> Windows:
    for array in (first, stop, padded):
        array.flags.writeable = False  # the cache below hands it to every caller
    strides, widths = np.unique(np.diff(first)), np.unique(stop - first)
    regular = len(strides) == len(widths) == 1 and widths[0] > 0
    return Windows(size, first, stop, step, padded, halve, int(strides[0]) if regular else 0)


@functools.lru_cache(256)
def sliding_windows(size: int, count: int, kernel: int, stride: int, padding: int, dilation: int) -> Windows:
    """Return `count` windows of `kernel` elements, `dilation` apart, each `stride` after the last one.

    The first starts `padding` before the dimension of length `size`.
    """
    start = np.arange(count) * stride - padding
    end = start + (kernel - 1) * dilation + 1
    padded = np.minimum(end, size + padding) - start
    before = np.maximum(-start, 0)
    first = start + (before + dilation - 1) // dilation * dilation
    halve = (kernel, stride, padding, dilation, count) == (2, 2, 0, 1, size // 2)
    return _windows(size, first, np.minimum(end, size), dilation, padded, halve)


@functools.lru_cache(256)
def adaptive_windows(size: int, count: int) -> Windows:
    """Return `count` windows that cover `size` elements as evenly as whole elements allow."""
    i = np.arange(count)
    first, stop = i * size // max(count, 1), -(-(i + 1) * size // max(count, 1))
    return _windows(size, first, stop, 1, stop - first, False)


_ONE_ROW = adaptive_windows(1, 1)


def _as_planes(x: np.ndarray, windows: tuple[Windows, ...]):
    """Return x as contiguous (planes, rows * columns), windows down and across, the shape of a result."""
    lead = x.shape[: x.ndim - len(windows)]
    down, across = windows if len(windows) == 2 else (_ONE_ROW, *windows)
    planes = np.ascontiguousarray(x).reshape(math.prod(lead), down.size * across.size)
    return planes, down, across, (*lead, *[w.first.size for w in windows])


# --- the largest of each window --------------------------------------------------------------------------


@jit
def _max_plane(x, columns, top, bottom, down, left, right, across, lowest, out, found):
    """Fill the results of one flat plane of rows of `columns`."""
    # PyTorch's rule is `value > best or isnan(value)`: the first of equals, the last of nans. Two comparisons
    # become branches, and a branch on random numbers costs more than all the rest; a single one becomes a
    # conditional move. So the full rule is left to planes where there are nans.
    nans = 0
    for k in range(x.size):
        nans += x[k] != x[k]
    keep, has_nan = found.size > 0, nans > 0
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            start, end = top[i] * columns + left[j], bottom[i] * columns
            width = right[j] - left[j]
            best = lowest
            at = start if start < end and width > 0 else -1
            # `while`: the length of a range with a step that is not constant takes a division.
            while start < end:
                k, stop = start, start + width
                if has_nan:
                    while k < stop:
                        if x[k] > best or x[k] != x[k]:
                            best, at = x[k], k
                        k += across
                else:
                    while k < stop:
                        if x[k] > best:
                            best, at = x[k], k
                        k += across
                start += down * columns
            out[i, j] = best
            if keep:
                found[i, j] = at


@shared_kernel("T[:,::1], int64, int64, int64, int64, out T[:,::1]")
def _max_pool_lines(worker, workers, x, start, taps, apart, stride, out):
    # Tap after tap over all windows, in vectors; where the largest were is not asked for.
    first, end = share_of(x.shape[0], workers, worker)
    for p in range(first, end):
        row, to = x[p], out[p]
        for t in range(taps):
            at = start + t * apart
            if t == 0:
                for j in range(to.size):
                    to[j] = row[j * stride + at]
            elif stride == 2:
                for j in range(to.size):
                    value, best = row[j * 2 + at], to[j]
                    to[j] = value if (value > best) | (value != value) else best
            else:
                for j in range(to.size):
                    value, best = row[j * stride + at], to[j]
                    to[j] = value if (value > best) | (value != value) else best


@shared_kernel(
    "T[:,::1], int64, int64[::1], int64[::1], int64, int64[::1], int64[::1], int64, T, "
    "out T[:,:,::1], out int32[:,:,::1]",
)
def _max_pool(worker, workers, x, columns, top, bottom, down, left, right, across, lowest, out, found):
    first, end = share_of(x.shape[0], workers, worker)
    for p in range(first, end):
        _max_plane(x[p], columns, top, bottom, down, left, right, across, lowest, out[p], found[p])


@jit
def _max_plane_dx(grad, found, dx):
    # Zeroed here and not before: the plane is still in the cache when the gradients are added.
    for i in range(dx.size):
        dx[i] = 0
    for i in range(grad.size):
        if found[i] >= 0:
            dx[found[i]] += grad[i]


@shared_kernel("T[:,::1], int32[:,::1], out T[:,::1]")
def _max_pool_dx(worker, workers, grad, found, dx):
    first, end = share_of(dx.shape[0], workers, worker)
    for p in range(first, end):
        _max_plane_dx(grad[p], found[p], dx[p])


# --- the largest of 2x2 windows side by side --------------------------------------------------------------
#
# What most networks do. Left to itself, LLVM takes the few columns of a small plane one by one, and does not
# vectorise stores with steps at all. Here the vectors are written out; rows end in a vector that overlaps the
# one before. A window's place is one byte, 0 to 3, and backward writes all of dx in one pass, four windows
# at a time: eight at a time were measured to take twice as long.


def _address(context, builder, array_type, array, at):
    """Return the address of element `at` of a flat array."""
    return builder.gep(cgutils.create_struct_proxy(array_type)(context, builder, array).data, [at])


def _load(builder, address, lanes: int):
    kind = ir.VectorType(address.type.pointee, lanes)
    loaded = builder.load(builder.bitcast(address, kind.as_pointer()))
    loaded.align = 1
    return loaded


def _store(builder, value, address) -> None:
    builder.store(value, builder.bitcast(address, value.type.as_pointer())).align = 1


def _shuffle(builder, x, y, lanes):
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes)))


def _splat(kind, value):
    return ir.Constant(kind, [value] * kind.count)


def _make_halve(lanes: int):
    """Return halve(x, top, bottom, out, places, to, keep): the maxima of `lanes` windows next to each other.

    All arrays are flat. The windows start at x[top] and x[bottom]; results go to out[to:], and where `keep`,
    to places[to:].
    """

    @intrinsic
    def halve(typing, x, top, bottom, out, places, to, keep):
        def generate(context, builder, signature, args):
            x, top, bottom, out, places, to, keep = args
            x_type, _, _, out_type, places_type, _, _ = signature.args
            candidates = []
            for row in (top, bottom):
                pairs = _load(builder, _address(context, builder, x_type, x, row), 2 * lanes)
                candidates += [_shuffle(builder, pairs, pairs, range(k, 2 * lanes, 2)) for k in (0, 1)]
            bits = ir.VectorType(ir.IntType(8 * context.get_abi_sizeof(candidates[0].type.element)), lanes)
            best, place = candidates[0], _splat(bits, 0)
            for k, value in enumerate(candidates[1:], 1):
                greater = builder.fcmp_ordered(">", value, best)
                more = builder.or_(greater, builder.fcmp_unordered("uno", value, value))
                best = builder.select(more, value, best)
                place = builder.select(more, _splat(bits, k), place)
            _store(builder, best, _address(context, builder, out_type, out, to))
            with builder.if_then(keep):
                place = builder.trunc(place, ir.VectorType(ir.IntType(8), lanes))
                _store(builder, place, _address(context, builder, places_type, places, to))
            return context.get_dummy_value()

        return types.void(x, types.intp, types.intp, out, places, types.intp, types.boolean), generate

    return halve


def _make_halve_dx(lanes: int):
    """Return halve_dx(grad, places, at, dx, top, bottom): what `halve` makes of grad[at:], in dx."""

    @intrinsic
    def halve_dx(typing, grad, places, at, dx, top, bottom):
        def generate(context, builder, signature, args):
            grad, places, at, dx, top, bottom = args
            grad_type, places_type, _, dx_type, _, _ = signature.args
            values = _load(builder, _address(context, builder, grad_type, grad, at), lanes)
            element = values.type.element
            bits = ir.VectorType(ir.IntType(8 * context.get_abi_sizeof(element)), lanes)
            place = _load(builder, _address(context, builder, places_type, places, at), lanes)
            place = builder.zext(place, bits)
            shares = []
            for k in range(4):
                here = builder.icmp_unsigned("==", place, _splat(bits, k))
                shares.append(builder.select(here, values, _splat(values.type, 0.0)))
            in_turn = [lane for j in range(lanes) for lane in (j, lanes + j)]
            for row, (left, right) in ((top, shares[:2]), (bottom, shares[2:])):
                pairs = _shuffle(builder, left, right, in_turn)
                _store(builder, pairs, _address(context, builder, dx_type, dx, row))
            return context.get_dummy_value()

        return types.void(grad, places, types.intp, dx, types.intp, types.intp), generate

    return halve_dx


_halve8, _halve4, _halve2, _halve1 = map(_make_halve, (8, 4, 2, 1))
_halve4_dx, _halve2_dx, _halve1_dx = map(_make_halve_dx, (4, 2, 1))


@jit(inline="always")  # a call for every row, with three arrays to hand over, takes half as long again
def _halve_row(x, top, bottom, out, places, to, count, keep):
    """Halve two rows of x, from x[top] and x[bottom] on, into `count` results from out[to] on."""
    last = count - 8
    if last >= 0:
        for j in range(0, last, 8):
            _halve8(x, top + 2 * j, bottom + 2 * j, out, places, to + j, keep)
        _halve8(x, top + 2 * last, bottom + 2 * last, out, places, to + last, keep)
    elif count >= 4:
        last = count - 4
        _halve4(x, top, bottom, out, places, to, keep)
        _halve4(x, top + 2 * last, bottom + 2 * last, out, places, to + last, keep)
    elif count >= 2:
        last = count - 2
        _halve2(x, top, bottom, out, places, to, keep)
        _halve2(x, top + 2 * last, bottom + 2 * last, out, places, to + last, keep)
    else:
        _halve1(x, top, bottom, out, places, to, keep)


@jit
def _halve_row_dx(grad, places, at, count, dx, top, bottom):
    """Fill two rows of dx, from dx[top] and dx[bottom] on, from `count` gradients from grad[at] on."""
    last = count - 4
    if last >= 0:
        for j in range(0, last, 4):
            _halve4_dx(grad, places, at + j, dx, top + 2 * j, bottom + 2 * j)
        _halve4_dx(grad, places, at + last, dx, top + 2 * last, bottom + 2 * last)
    elif count >= 2:
        last = count - 2
        _halve2_dx(grad, places, at, dx, top, bottom)
        _halve2_dx(grad, places, at + last, dx, top + 2 * last, bottom + 2 * last)
    else:
        _halve1_dx(grad, places, at, dx, top, bottom)


@jit
def _halve_plane(x, p, rows, columns, out, places, keep):
    down, across = rows // 2, columns // 2
    for i in range(down):
        top = (p * rows + 2 * i) * columns
        _halve_row(x, top, top + columns, out, places, (p * down + i) * across, across, keep)


@jit
def _halve_plane_dx(grad, places, p, rows, columns, dx):
    down, across = rows // 2, columns // 2
    for i in range(down):
        top = (p * rows + 2 * i) * columns
        _halve_row_dx(grad, places, (p * down + i) * across, across, dx, top, top + columns)
        if columns % 2:
            dx[top + columns - 1] = dx[top + 2 * columns - 1] = 0.0
    if rows % 2:
        last = ((p + 1) * rows - 1) * columns
        dx[last : last + columns] = 0.0


@shared_kernel("T[::1], int64, int64, int64, out T[::1], out uint8[::1]")
def _max_pool_halving(worker, workers, x, planes, rows, columns, out, places):
    keep = places.size > 0
    first, end = share_of(planes, workers, worker)
    for p in range(first, end):
        _halve_plane(x, p, rows, columns, out, places, keep)


@shared_kernel("T[::1], uint8[::1], int64, int64, int64, out T[::1]")
def _max_pool_halving_dx(worker, workers, grad, places, planes, rows, columns, dx):
    first, end = share_of(planes, workers, worker)
    for p in range(first, end):
        _halve_plane_dx(grad, places, p, rows, columns, dx)


# --- max pooling of any kind ------------------------------------------------------------------------------


def max_pool(x: np.ndarray, windows: tuple[Windows, ...], keep: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the largest element of each window, and where it was if `keep`, as the functions below read it.

    x: (..., length) or (..., rows, columns), any number type; windows: of the last one or two dims. nan is
    the largest; of equals the first counts, of nans the last. A window without elements has the lowest number
    for a maximum, and no place. The places are int32 into the flattened plane, -1 for none; of floats in 2x2
    windows side by side, uint8 from 0 to 3 into the window.
    """
    planes, down, across, shape = _as_planes(x, windows)
    out = np.empty(shape, x.dtype)
    if down.halve and across.halve and x.dtype.kind == "f":
        places = np.empty(shape if keep else 0, np.uint8)
        sizes = (len(planes), down.size, across.size)
        workers = workers_for(x.size, _SERIAL_BELOW, len(planes))
        _max_pool_halving(workers, planes.reshape(-1), *sizes, out.reshape(-1), places.reshape(-1))
        return out, places if keep else None
    if not keep and len(windows) == 1 and across.stride and x.dtype.kind == "f":
        start, width = int(across.first[0]), int(across.stop[0] - across.first[0])
        taps = -(-width // across.step)
        workers = workers_for(x.size, _SERIAL_BELOW, len(planes))
        lines = out.reshape(len(planes), across.first.size)
        _max_pool_lines(workers, planes, start, taps, across.step, across.stride, lines)
        return out, None
    if keep and down.size * across.size >= 2**31:
        raise RuntimeError(
            f"max_pool: expected a plane of fewer than 2**31 elements, whose places fit int32, got {x.shape};"
            " split it, or pool it without gradient and indices"
        )
    results = (len(planes), down.first.size, across.first.size)
    found = np.empty(shape if keep else 0, np.int32)
    lowest = x.dtype.type(-math.inf) if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    _max_pool(
        workers_for(x.size, _SERIAL_BELOW, len(planes)),
        planes,
        *(across.size, down.first, down.stop, down.step, across.first, across.stop, across.step),
        *(lowest, out.reshape(results), found.reshape(results if keep else (len(planes), 0, 0))),
    )
    return out, found if keep else None


def max_pool_indices(found: np.ndarray, windows: tuple[Windows, ...]) -> np.ndarray:
    """Return the places that `max_pool` found as int64, into the flattened plane."""
    if found.dtype != np.uint8:
        return found.astype(np.int64)
    down, across = windows
    return (down.first[:, None] + found // 2) * across.size + across.first + found % 2


def max_pool_dx(grad: np.ndarray, found: np.ndarray, windows: tuple[Windows, ...]) -> np.ndarray:
    """Return the gradient of `max_pool` in x: each of `grad` goes where its maximum was found."""
    lead, sizes = grad.shape[: grad.ndim - len(windows)], [w.size for w in windows]
    planes, results = math.prod(lead), math.prod(grad.shape[len(lead) :])
    dx = np.empty((*lead, *sizes), grad.dtype)  # in its shape: autograd would copy a view
    grad = np.ascontiguousarray(grad)
    workers = workers_for(dx.size, _SERIAL_BELOW, planes)
    if found.dtype == np.uint8:
        _max_pool_halving_dx(workers, grad.reshape(-1), found.reshape(-1), planes, *sizes, dx.reshape(-1))
    else:
        flat = dx.reshape(planes, math.prod(sizes))
        _max_pool_dx(workers, grad.reshape(planes, results), found.reshape(planes, results), flat)
    return dx


# --- the average of each window --------------------------------------------------------------------------


@jit(fastmath={"reassoc", "contract"})
def _average_plane(x, width, top, bottom, left, right, rows, columns, out):
    """Fill the results of one flat plane of rows of `width`."""
    if left.size == 1 and right[0] - left[0] == width:  # rows that follow each other in memory
        for i in range(out.shape[0]):
            piece = x[top[i] * width : bottom[i] * width]
            total = np.float64(0.0)
            for k in range(piece.size):
                total += piece[k]
            out[i, 0] = total / (rows[i] * columns[0])
        return
    sums = np.empty(width)
    for i in range(out.shape[0]):
        for c in range(width):  # down first: whole rows at once
            sums[c] = 0.0
        for r in range(top[i], bottom[i]):
            for c in range(width):
                sums[c] += x[r * width + c]
        for j in range(out.shape[1]):
            total = np.float64(0.0)
            for c in range(left[j], right[j]):
                total += sums[c]
            out[i, j] = total / (rows[i] * columns[j])


@shared_kernel(
    "T[:,::1], int64, int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], out T[:,:,::1]",
)
def _average_pool(worker, workers, x, width, top, bottom, left, right, rows, columns, out):
    first, end = share_of(x.shape[0], workers, worker)
    for p in range(first, end):
        _average_plane(x[p], width, top, bottom, left, right, rows, columns, out[p])


@jit
def _average_plane_dx(grad, width, top, bottom, left, right, rows, columns, dx):
    for k in range(dx.size):
        dx[k] = 0.0
    if left.size == 1 and right[0] - left[0] == width:
        for i in range(grad.shape[0]):
            share = grad[i, 0] / grad.dtype.type(rows[i] * columns[0])
            piece = dx[top[i] * width : bottom[i] * width]
            for k in range(piece.size):
                piece[k] += share
        return
    shares = np.empty(width, dx.dtype)
    for i in range(grad.shape[0]):
        for c in range(width):
            shares[c] = 0.0
        for j in range(grad.shape[1]):
            share = grad[i, j] / grad.dtype.type(rows[i] * columns[j])
            for c in range(left[j], right[j]):
                shares[c] += share
        for r in range(top[i], bottom[i]):
            for c in range(width):
                dx[r * width + c] += shares[c]


@shared_kernel(
    "T[:,:,::1], int64, int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], out T[:,::1]",
)
def _average_pool_dx(worker, workers, grad, width, top, bottom, left, right, rows, columns, dx):
    first, end = share_of(dx.shape[0], workers, worker)
    for p in range(first, end):
        _average_plane_dx(grad[p], width, top, bottom, left, right, rows, columns, dx[p])


def _divisors(down, across, include_pad, divisor) -> tuple[np.ndarray, np.ndarray]:
    """Return two int64 arrays whose products, one of down by one of across, divide the windows' sums."""
    if divisor is not None:
        return np.full(down.first.shape, divisor), np.ones(across.first.shape, np.int64)
    if include_pad:
        return down.padded, across.padded
    return down.stop - down.first, across.stop - across.first


def average_pool(x, windows: tuple[Windows, ...], include_pad: bool = True, divisor: int | None = None):
    """Return the sum of each window divided by `divisor`, or by its number of elements, with or without pad.

    x: (..., length) or (..., rows, columns) of floats or int64; windows: of the last one or two dims, step 1.
    Sums are taken in float64; integers are rounded towards zero, exact below 2**53.
    """
    planes, down, across, shape = _as_planes(x, windows)
    out = np.empty(shape, x.dtype)
    results = out.reshape(len(planes), down.first.size, across.first.size)
    divisors = _divisors(down, across, include_pad, divisor)
    edges = (down.first, down.stop, across.first, across.stop)
    workers = workers_for(x.size, _SERIAL_BELOW, len(planes))
    _average_pool(workers, planes, across.size, *edges, *divisors, results)
    return out


def average_pool_dx(grad, windows: tuple[Windows, ...], include_pad: bool = True, divisor: int | None = None):
    """Return the gradient of `average_pool` in x: each element of a window gets an equal share."""
    down, across = windows if len(windows) == 2 else (_ONE_ROW, *windows)
    lead = grad.shape[: grad.ndim - len(windows)]
    planes = np.ascontiguousarray(grad).reshape(math.prod(lead), down.first.size, across.first.size)
    dx = np.empty((*lead, *[w.size for w in windows]), grad.dtype)  # in its shape: autograd would copy a view
    flat = dx.reshape(len(planes), down.size * across.size)
    divisors = _divisors(down, across, include_pad, divisor)
    edges = (down.first, down.stop, across.first, across.stop)
    workers = workers_for(dx.size, _SERIAL_BELOW, len(planes))
    _average_pool_dx(workers, planes, across.size, *edges, *divisors, flat)
    return dx
