"""Layer, group and root-mean-square norm: the statistics of a row; forward and backward."""

import math

import numpy as np

from kernels.cpu.compile import jit
from kernels.cpu.launch import share_of, shared_kernel, workers_for
from kernels.cpu.norm import (
    FUSED,
    SERIAL_BELOW,
    SUMS,
    combine_row,
    grad_sums,
    input_factors,
    mean_and_rstd,
    near_to,
    or_full,
    scale_row,
    sums_of,
)

_SHORT = 64  # rows whose shares are added in x's type, before they go into a float64 sum
_SHORT_SUM = 512  # numbers of a row that are: some 32 in each lane of a vector
_CLOSE = 2048  # numbers that stay in the first cache between two passes over some rows


@jit(fastmath=SUMS)
def _short_weighted_grad_sums(x, grad, weight, center):
    """Return the sums of grad * weight and of grad * weight * (x - center) over few numbers, in x's type."""
    total, product = x.dtype.type(0), x.dtype.type(0)
    for i in range(x.size):
        g = grad[i] * weight[i]
        total += g
        product += g * (x[i] - center)
    return total, product


@jit
def _weighted_grad_sums(x, grad, weight, near):
    """Return the sums of grad * weight and of grad * weight * (x - near)."""
    total, product = np.float64(0), np.float64(0)
    center = x.dtype.type(near)
    for start in range(0, x.size, _SHORT_SUM):
        stop = min(start + _SHORT_SUM, x.size)
        t, p = _short_weighted_grad_sums(x[start:stop], grad[start:stop], weight[start:stop], center)
        total += t
        product += p
    return total, product - (near - np.float64(center)) * total


@jit(fastmath=FUSED)
def _scale_by(x, mean, rstd, weight, bias, out):
    """Fill out with (x - mean) * rstd * weight + bias, weight and bias arrays."""
    cast = x.dtype.type
    center = cast(mean)
    a, b = cast(rstd), cast((np.float64(center) - mean) * rstd)
    for i in range(x.size):
        out[i] = ((x[i] - center) * a + b) * weight[i] + bias[i]


@jit(fastmath=FUSED)
def _combine_by(x, grad, weight, mean, by_grad, by_x, offset, out):
    """Fill out with grad * weight * by_grad + (x - mean) * by_x + offset."""
    cast = x.dtype.type
    center = cast(mean)
    a, b, c = cast(by_grad), cast(by_x), cast(offset - (mean - np.float64(center)) * by_x)
    for i in range(x.size):
        out[i] = grad[i] * weight[i] * a + ((x[i] - center) * b + c)


@jit
def _normalise_rows(first, last, x, length, weight, bias, stats, out, eps, centered):
    # First the sums of all these rows, then their results: a row's result waits long for its root, and the
    # processor finds other work meanwhile.
    for r in range(first, last):
        near = near_to(x[r, 0]) if centered else np.float64(0)
        total, square = sums_of(x[r], near)
        stats[0, r], stats[1, r] = total if centered else np.float64(0), square
    for r in range(first, last):
        near = near_to(x[r, 0]) if centered else np.float64(0)
        mean, _, rstd = mean_and_rstd(stats[0, r], stats[1, r], near, x.shape[1], eps)
        stats[0, r], stats[1, r] = mean, rstd
    for r in range(first, last):
        row, to, mean, rstd = x[r], out[r], stats[0, r], stats[1, r]
        if length == 1 and row.size == weight.size:
            _scale_by(row, mean, rstd, weight, bias, to)
            continue
        parts = row.size // length
        c = r * parts % weight.size  # a group's first channel
        if length == 1:
            _scale_by(row, mean, rstd, weight[c : c + parts], bias[c : c + parts], to)
        else:
            for p in range(parts):
                start, stop = p * length, p * length + length
                scale, offset = rstd * weight[c + p], np.float64(bias[c + p])
                scale_row(row[start:stop], mean, scale, offset, to[start:stop])


@shared_kernel("T[:,::1], int64, T[::1], T[::1], out float64[:,::1], out T[:,::1], float64, boolean")
def _row_norm(worker, workers, x, length, weight, bias, stats, out, eps, centered):
    first, end = share_of(x.shape[0], workers, worker)
    close = max(1, _CLOSE // x.shape[1])
    for r in range(first, end, close):
        _normalise_rows(r, min(end, r + close), x, length, weight, bias, stats, out, eps, centered)


@jit(fastmath=FUSED)
def _add_columns(r, x, grad, stats, by_weight, by_bias):
    """Add the shares of rows r and r + 1 in the gradients of weight and bias."""
    cast = x.dtype.type
    mean0, mean1, rstd0, rstd1 = stats[0, r], stats[0, r + 1], stats[1, r], stats[1, r + 1]
    center0, center1, a0, a1 = cast(mean0), cast(mean1), cast(rstd0), cast(rstd1)
    b0, b1 = cast((np.float64(center0) - mean0) * rstd0), cast((np.float64(center1) - mean1) * rstd1)
    x0, x1, g0, g1 = x[r], x[r + 1], grad[r], grad[r + 1]
    # Two loops: six arrays in one are more than LLVM compares at run time before it vectorises.
    for j in range(x0.size):
        by_weight[j] += g0[j] * ((x0[j] - center0) * a0 + b0) + g1[j] * ((x1[j] - center1) * a1 + b1)
    for j in range(x0.size):
        by_bias[j] += g0[j] + g1[j]


@jit(fastmath=FUSED)
def _add_column(r, x, grad, stats, by_weight, by_bias):
    """Add the share of row r in the gradients of weight and bias."""
    cast = x.dtype.type
    mean, rstd = stats[0, r], stats[1, r]
    center = cast(mean)
    a, b = cast(rstd), cast((np.float64(center) - mean) * rstd)
    row, g = x[r], grad[r]
    for j in range(row.size):
        by_weight[j] += g[j] * ((row[j] - center) * a + b)
        by_bias[j] += g[j]


@jit
def _move(sums, to):
    """Add sums, of x's type, to `to`, float64, and make them zero."""
    for what in range(2):
        small, large = sums[what], to[what]
        for j in range(small.size):
            large[j] += small[j]
        for j in range(small.size):
            small[j] = 0


@jit
def _fill_rows_dx(first, last, x, grad, weight, stats, sums, dx, centered):
    for r in range(first, last):
        t, p = _weighted_grad_sums(x[r], grad[r], weight, stats[0, r])
        sums[0, r - first], sums[1, r - first] = t if centered else np.float64(0), p
    for r in range(first, last):
        mean, rstd, i = stats[0, r], stats[1, r], r - first
        by_grad, by_x, offset = input_factors(sums[0, i], sums[1, i], rstd, 1.0, x.shape[1], True)
        _combine_by(x[r], grad[r], weight, mean, by_grad, by_x, offset, dx[r])


@jit
def _rows_dx(first, last, x, grad, weight, stats, dx, to, centered, wants_dx, wants_rest):
    """Fill rows first to last of dx; add their shares in the gradients of weight and bias to `to`."""
    share = min(max(2, _CLOSE // x.shape[1]), _SHORT)
    of_rows, of_columns = np.empty((2, share)), np.zeros((2, weight.size), x.dtype)
    added = 0
    for start in range(first, last, share):
        stop = min(start + share, last)
        if wants_dx:
            _fill_rows_dx(start, stop, x, grad, weight, stats, of_rows, dx, centered)
        if wants_rest:
            for r in range(start, stop - 1, 2):
                _add_columns(r, x, grad, stats, of_columns[0], of_columns[1])
            if (stop - start) % 2:
                _add_column(stop - 1, x, grad, stats, of_columns[0], of_columns[1])
            added += stop - start
            if added > _SHORT - share or stop == last:
                _move(of_columns, to)
                added = 0


@shared_kernel(
    "T[:,::1], T[:,::1], T[::1], float64[:,::1], out T[:,::1], out float64[:,:,::1], int64, "
    "boolean, boolean, boolean"
)
def _layer_norm_dx(
    worker, workers, x, grad, weight, stats, dx, partial, block, centered, wants_dx, wants_rest
):
    first, end = share_of(partial.shape[0], workers, worker)
    for i in range(first, end):
        stop = min(x.shape[0], i * block + block)
        _rows_dx(i * block, stop, x, grad, weight, stats, dx, partial[i], centered, wants_dx, wants_rest)


@jit
def _group_dx(r, x, grad, length, weight, stats, dx, sums):
    """Fill row r of dx, and the sums of grad * normalised x and of grad for each of its parts."""
    mean, rstd = stats[0, r], stats[1, r]
    row, g = x[r], grad[r]
    parts = row.size // length
    first = r * parts % weight.size
    total, product = np.float64(0), np.float64(0)
    for p in range(parts):
        start, stop = p * length, p * length + length
        t, s = grad_sums(row[start:stop], g[start:stop], mean)
        sums[0, r * parts + p], sums[1, r * parts + p] = s * rstd, t
        total += t * weight[first + p]
        product += s * weight[first + p]
    if dx.size:
        _, by_x, offset = input_factors(total, product, rstd, np.float64(1), row.size, True)
        for p in range(parts):
            start, stop = p * length, p * length + length
            by_grad, to = rstd * weight[first + p], dx[r, start:stop]
            combine_row(row[start:stop], g[start:stop], mean, by_grad, by_x, offset, to)


@shared_kernel("T[:,::1], T[:,::1], int64, T[::1], float64[:,::1], out T[:,::1], out float64[:,::1]")
def _group_norm_dx(worker, workers, x, grad, length, weight, stats, dx, sums):
    first, end = share_of(x.shape[0], workers, worker)
    for r in range(first, end):
        _group_dx(r, x, grad, length, weight, stats, dx, sums)


def layer_norm(
    x: np.ndarray,
    size: int,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
    centered: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Normalise each run of `size` numbers, the last dims of x; return the result and `stats`.

    weight, bias: `size` numbers of x's dtype, or None. centered: False divides by the root of the mean square
    and subtracts nothing (Zhang and Sennrich 2019).
    """
    return _rows_of(x, x.size // size if size else 0, 1, weight, bias, size, eps, centered)


def group_norm(
    x: np.ndarray, groups: int, weight: np.ndarray | None, bias: np.ndarray | None, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Normalise each group of channels of each example; return the result and `stats`.

    x: (batch, channels, ...), `groups` divides the channels; weight, bias: (channels,) of x's dtype, or None.
    """
    channels = x.shape[1]
    return _rows_of(x, x.shape[0] * groups, math.prod(x.shape[2:]), weight, bias, channels, eps, True)


def _rows_of(x, rows, length, weight, bias, size, eps, centered):
    x = np.ascontiguousarray(x)
    out = np.empty(x.shape, x.dtype)
    if not x.size:
        return out, np.empty((2, 0))
    shape, stats = (rows, x.size // rows), np.empty((2, rows))
    weight, bias = or_full(weight, size, 1.0, x), or_full(bias, size, 0.0, x)
    workers = workers_for(x.size, SERIAL_BELOW, rows)
    _row_norm(workers, x.reshape(shape), length, weight, bias, stats, out.reshape(shape), eps, centered)
    return out, stats


def layer_norm_dx(
    x: np.ndarray,
    grad: np.ndarray,
    size: int,
    weight: np.ndarray | None,
    stats: np.ndarray,
    centered: bool = True,
    wants_dx: bool = True,
    wants_rest: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Return the gradients of `layer_norm` in x (None unless wanted), and (size,) in weight and bias."""
    x, grad = np.ascontiguousarray(x), np.ascontiguousarray(grad)
    dx = np.empty(x.shape, x.dtype) if wants_dx else None
    if not x.size:
        return dx, np.zeros(size, x.dtype), np.zeros(size, x.dtype)
    rows = x.size // size
    block = max(32, -(-rows // 64))  # rows in one sum; by the shapes alone
    partial = np.zeros((-(-rows // block), 2, size))
    _layer_norm_dx(
        workers_for(x.size, SERIAL_BELOW, len(partial)),
        x.reshape(rows, size), grad.reshape(rows, size), or_full(weight, size, 1.0, x), stats,
        np.empty((0, 0), x.dtype) if dx is None else dx.reshape(rows, size), partial, block,
        centered, wants_dx, wants_rest,
    )  # fmt: skip
    return dx, *(partial[0] if len(partial) == 1 else np.add.reduce(partial)).astype(x.dtype)


def group_norm_dx(
    x: np.ndarray,
    grad: np.ndarray,
    groups: int,
    weight: np.ndarray | None,
    stats: np.ndarray,
    wants_dx: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Return the gradients of `group_norm` in x (None unless wanted), weight and bias."""
    x, grad = np.ascontiguousarray(x), np.ascontiguousarray(grad)
    channels = x.shape[1]
    dx = np.empty(x.shape, x.dtype) if wants_dx else None
    sums = np.zeros((2, x.shape[0] * channels))
    if x.size:
        shape, length = (x.shape[0] * groups, x.size // (x.shape[0] * groups)), math.prod(x.shape[2:])
        _group_norm_dx(
            workers_for(x.size, SERIAL_BELOW, shape[0]),
            x.reshape(shape), grad.reshape(shape), length, or_full(weight, channels, 1.0, x), stats,
            np.empty((0, 0), x.dtype) if dx is None else dx.reshape(shape), sums,
        )  # fmt: skip
    return dx, *np.add.reduce(sums.reshape(2, x.shape[0], channels), 1).astype(x.dtype)
