"""Maxima and averages over windows of one or two dimensions, forward beside backward.

`Windows` says where the windows of one dimension lie, whether they slide or adapt, so one loop serves every
form of pooling. Threads share out the planes: the bits are the same on any number of threads.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from kernels.cpu.compile import jit, kernel, prange

_SERIAL_BELOW = 1 << 14  # elements of the input; under this the pool's wake-up costs more than it saves


class Windows(NamedTuple):
    """Where the windows along one dimension lie: window i takes range(first[i], stop[i], step)."""

    size: int  # of the dimension
    first: np.ndarray  # int64, within the dimension
    stop: np.ndarray  # int64, at most `size`; an empty range where dilation steps over all there is
    step: int
    padded: np.ndarray  # int64: how many elements of the padded dimension each window takes
    halve: bool  # windows of two that meet and leave out no more than one last element


def _windows(size, first, stop, step, padded, halve) -> Windows:
    for array in (first, stop, padded):
        array.flags.writeable = False  # the cache below hands it to every caller
    return Windows(size, first, stop, step, padded, halve)


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
    """Return x as contiguous (planes, rows, columns), its windows down and across, the shape of a result."""
    lead = x.shape[: x.ndim - len(windows)]
    down, across = windows if len(windows) == 2 else (_ONE_ROW, *windows)
    planes = np.ascontiguousarray(x).reshape(math.prod(lead), down.size, across.size)
    return planes, down, across, (*lead, *[w.first.size for w in windows])


# --- the largest of each window --------------------------------------------------------------------------


@jit
def _max_plane(x, top, bottom, down, left, right, across, lowest, out, found):
    # nan wins, and the last nan's place is told: PyTorch's `value > best or isnan(value)`.
    keep, columns = found.size > 0, x.shape[1]
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            best = lowest
            at = top[i] * columns + left[j] if top[i] < bottom[i] and left[j] < right[j] else -1
            for r in range(top[i], bottom[i], down):
                for c in range(left[j], right[j], across):
                    value = x[r, c]
                    if value > best or value != value:
                        best, at = value, r * columns + c
            out[i, j] = best
            if keep:
                found[i, j] = at


@kernel(
    "T[:,:,::1], int64[::1], int64[::1], int64, int64[::1], int64[::1], int64, T, "
    "out T[:,:,::1], out int32[:,:,::1]",
    parallel=True,
)
def _max_pool(x, top, bottom, down, left, right, across, lowest, out, found):
    if x.size < _SERIAL_BELOW:
        for p in range(x.shape[0]):
            _max_plane(x[p], top, bottom, down, left, right, across, lowest, out[p], found[p])
    else:
        for p in prange(x.shape[0]):
            _max_plane(x[p], top, bottom, down, left, right, across, lowest, out[p], found[p])


@jit
def _max_plane_dx(grad, found, dx):
    # Zeroed here and not before: the plane is still in the cache when the gradients are added.
    for i in range(dx.size):
        dx[i] = 0
    for i in range(grad.size):
        if found[i] >= 0:
            dx[found[i]] += grad[i]


@kernel("T[:,::1], int32[:,::1], out T[:,::1]", parallel=True)
def _max_pool_dx(grad, found, dx):
    if dx.size < _SERIAL_BELOW:
        for p in range(dx.shape[0]):
            _max_plane_dx(grad[p], found[p], dx[p])
    else:
        for p in prange(dx.shape[0]):
            _max_plane_dx(grad[p], found[p], dx[p])


def max_pool(x: np.ndarray, windows: tuple[Windows, ...], keep: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the largest element of each window, and where it was if `keep`.

    x: (..., length) or (..., rows, columns), any number type; windows: of the last one or two dims. The
    places are int32 into the flattened plane, -1 for a window without elements, whose maximum is the lowest
    number. nan is the largest; of equals the first counts, of nans the last.
    """
    planes, down, across, shape = _as_planes(x, windows)
    if keep and down.size * across.size >= 2**31:
        raise RuntimeError(
            f"max_pool: expected a plane of fewer than 2**31 elements, whose places fit int32, got {x.shape};"
            " split it, or pool it without gradient and indices"
        )
    out = np.empty((len(planes), down.first.size, across.first.size), x.dtype)
    found = np.empty(out.shape if keep else (len(planes), 0, 0), np.int32)
    lowest = x.dtype.type(-math.inf) if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    _max_pool(
        planes, down.first, down.stop, down.step, across.first, across.stop, across.step, lowest, out, found
    )
    return out.reshape(shape), found.reshape(shape) if keep else None


def max_pool_indices(found: np.ndarray, windows: tuple[Windows, ...]) -> np.ndarray:
    """Return the places that `max_pool` found as int64, into the flattened plane."""
    return found.astype(np.int64)


def max_pool_dx(grad: np.ndarray, found: np.ndarray, windows: tuple[Windows, ...]) -> np.ndarray:
    """Return the gradient of `max_pool` in x: each of `grad` goes where its maximum was found."""
    lead, sizes = grad.shape[: grad.ndim - len(windows)], [w.size for w in windows]
    planes, results = math.prod(lead), math.prod(grad.shape[len(lead) :])
    dx = np.empty((planes, math.prod(sizes)), grad.dtype)
    _max_pool_dx(np.ascontiguousarray(grad).reshape(planes, results), found.reshape(planes, results), dx)
    return dx.reshape(*lead, *sizes)


# --- the average of each window --------------------------------------------------------------------------


@jit(fastmath={"reassoc", "contract"})
def _average_plane(x, top, bottom, left, right, rows, columns, out):
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            total = np.float64(0.0)
            for r in range(top[i], bottom[i]):
                for c in range(left[j], right[j]):
                    total += x[r, c]
            out[i, j] = total / (rows[i] * columns[j])


@kernel(
    "T[:,:,::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], out T[:,:,::1]",
    parallel=True,
)
def _average_pool(x, top, bottom, left, right, rows, columns, out):
    if x.size < _SERIAL_BELOW:
        for p in range(x.shape[0]):
            _average_plane(x[p], top, bottom, left, right, rows, columns, out[p])
    else:
        for p in prange(x.shape[0]):
            _average_plane(x[p], top, bottom, left, right, rows, columns, out[p])


@jit
def _average_plane_dx(grad, top, bottom, left, right, rows, columns, dx):
    for r in range(dx.shape[0]):
        for c in range(dx.shape[1]):
            dx[r, c] = 0.0
    for i in range(grad.shape[0]):
        for j in range(grad.shape[1]):
            share = grad[i, j] / grad.dtype.type(rows[i] * columns[j])
            for r in range(top[i], bottom[i]):
                for c in range(left[j], right[j]):
                    dx[r, c] += share


@kernel(
    "T[:,:,::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], out T[:,:,::1]",
    parallel=True,
)
def _average_pool_dx(grad, top, bottom, left, right, rows, columns, dx):
    if dx.size < _SERIAL_BELOW:
        for p in range(dx.shape[0]):
            _average_plane_dx(grad[p], top, bottom, left, right, rows, columns, dx[p])
    else:
        for p in prange(dx.shape[0]):
            _average_plane_dx(grad[p], top, bottom, left, right, rows, columns, dx[p])


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
    out = np.empty((len(planes), down.first.size, across.first.size), x.dtype)
    divisors = _divisors(down, across, include_pad, divisor)
    _average_pool(planes, down.first, down.stop, across.first, across.stop, *divisors, out)
    return out.reshape(shape)


def average_pool_dx(grad, windows: tuple[Windows, ...], include_pad: bool = True, divisor: int | None = None):
    """Return the gradient of `average_pool` in x: each element of a window gets an equal share."""
    down, across = windows if len(windows) == 2 else (_ONE_ROW, *windows)
    lead = grad.shape[: grad.ndim - len(windows)]
    planes = np.ascontiguousarray(grad).reshape(math.prod(lead), down.first.size, across.first.size)
    dx = np.empty((len(planes), down.size, across.size), grad.dtype)
    divisors = _divisors(down, across, include_pad, divisor)
    _average_pool_dx(planes, down.first, down.stop, across.first, across.stop, *divisors, dx)
    return dx.reshape(*lead, *[w.size for w in windows])
