"""Normalisation: batch, layer, group, instance and root-mean-square, forward and backward.

Everything is brought to one of three shapes, of contiguous memory:
    (batch, channels, length)   statistics of a channel, over batch and length   (batch norm)
    (batch, channels)           the same with length 1                               (batch norm of features)
    (rows, parts * length)      statistics of a row; the weight belongs to a part (layer norm: length 1; group
                                norm: a row is one group of an example's channels)

One task reads its numbers for the sums, and again, while they are still in the core's cache, for the
result. Sums are taken in float64 and in an order that depends on the shapes alone; each number is first taken
relative to one close by, so that a large mean costs no digits. `stats`, kept for the backward pass, holds
float64 means and 1 / sqrt(variance + eps).
"""

import math

import numpy as np

from kernels.cpu.compile import jit
from kernels.cpu.launch import share_of, shared_kernel, workers_for
from kernels.cpu.scratch import NOTHING

_SERIAL_BELOW = 16384  # elements
_SHORT = 64  # rows whose shares are added in x's type, before they go into a float64 sum
_SHORT_SUM = 512  # numbers of a row that are: some 32 in each lane of a vector
_CLOSE = 2048  # numbers that stay in the first cache between two passes over some rows
_ROWS = 64  # examples of (batch, channels) in one sum

_SUMS = {"reassoc", "contract"}  # what the loops of sums may do, so that they become vector instructions
_FUSED = {"contract"}  # a product and a sum in one instruction, rounded once


@jit
def _near(first):
    """Return a number close to those that follow `first`: itself, unless it would make all of them nan."""
    return np.float64(first) if math.isfinite(first) else np.float64(0)


@jit(fastmath=_SUMS)
def _sums(x, near):
    """Return the sums of x - near and of its square."""
    total, square = np.float64(0), np.float64(0)
    for i in range(x.size):
        d = np.float64(x[i]) - near
        total += d
        square += d * d
    return total, square


@jit(fastmath=_SUMS)
def _grad_sums(x, grad, near):
    """Return the sums of grad and of grad * (x - near)."""
    total, product = np.float64(0), np.float64(0)
    for i in range(x.size):
        g = np.float64(grad[i])
        total += g
        product += g * (np.float64(x[i]) - near)
    return total, product


@jit(fastmath=_SUMS)
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


@jit
def _mean_and_rstd(total, square, near, count, eps):
    """Return mean, sum of squared deviations and 1 / sqrt(variance + eps) from sums relative to `near`."""
    drift = total / count
    deviation = max(square - total * drift, np.float64(0)) if square == square else square
    return near + drift, deviation, np.float64(1) / math.sqrt(deviation / count + eps)


@jit(fastmath=_FUSED)
def _scale(x, mean, scale, offset, out):
    """Fill out with (x - mean) * scale + offset."""
    cast = x.dtype.type
    # The mean is rounded to x's type, so that the difference is exact; what that lost goes into the offset.
    center = cast(mean)
    a, b = cast(scale), cast(offset - (mean - np.float64(center)) * scale)
    for i in range(x.size):
        out[i] = (x[i] - center) * a + b


@jit(fastmath=_FUSED)
def _scale_by(x, mean, rstd, weight, bias, out):
    """Fill out with (x - mean) * rstd * weight + bias, weight and bias arrays."""
    cast = x.dtype.type
    center = cast(mean)
    a, b = cast(rstd), cast((np.float64(center) - mean) * rstd)
    for i in range(x.size):
        out[i] = ((x[i] - center) * a + b) * weight[i] + bias[i]


@jit(fastmath=_FUSED)
def _combine(x, grad, mean, by_grad, by_x, offset, out):
    """Fill out with grad * by_grad + (x - mean) * by_x + offset."""
    cast = x.dtype.type
    center = cast(mean)
    a, b, c = cast(by_grad), cast(by_x), cast(offset - (mean - np.float64(center)) * by_x)
    for i in range(x.size):
        out[i] = grad[i] * a + ((x[i] - center) * b + c)


@jit(fastmath=_FUSED)
def _combine_by(x, grad, weight, mean, by_grad, by_x, offset, out):
    """Fill out with grad * weight * by_grad + (x - mean) * by_x + offset."""
    cast = x.dtype.type
    center = cast(mean)
    a, b, c = cast(by_grad), cast(by_x), cast(offset - (mean - np.float64(center)) * by_x)
    for i in range(x.size):
        out[i] = grad[i] * weight[i] * a + ((x[i] - center) * b + c)


# --- batch norm: statistics of a channel -------------------------------------------------------------------


@jit
def _update(running_mean, running_var, c, mean, deviation, count, momentum):
    keep = np.float64(1) - momentum
    running_mean[c] = keep * running_mean[c] + momentum * mean
    running_var[c] = keep * running_var[c] + momentum * (deviation / (count - 1))


@jit
def _batch_channel(c, x, weight, bias, running_mean, running_var, stats, out, training, momentum, eps):
    batch, _, length = x.shape
    if training:
        count = batch * length
        near = _near(x[0, c, 0])
        total, square = np.float64(0), np.float64(0)
        for n in range(batch):
            t, s = _sums(x[n, c], near)
            total += t
            square += s
        mean, deviation, rstd = _mean_and_rstd(total, square, near, count, eps)
        if running_mean.size:
            _update(running_mean, running_var, c, mean, deviation, count, momentum)
    else:
        mean = np.float64(running_mean[c])
        rstd = np.float64(1) / math.sqrt(np.float64(running_var[c]) + eps)
    stats[0, c], stats[1, c] = mean, rstd
    for n in range(batch):
        _scale(x[n, c], mean, rstd * weight[c], np.float64(bias[c]), out[n, c])


@shared_kernel(
    "T[:,:,::1], T[::1], T[::1], out T[::1], out T[::1], out float64[:,::1], out T[:,:,::1], "
    "boolean, float64, float64"
)
def _batch_norm(
    worker, workers, x, weight, bias, running_mean, running_var, stats, out, training, momentum, eps
):
    first, end = share_of(x.shape[1], workers, worker)
    for c in range(first, end):
        _batch_channel(c, x, weight, bias, running_mean, running_var, stats, out, training, momentum, eps)


@jit
def _input_factors(total, product, rstd, weight, count, training):
    """Return what multiplies grad and x - mean in the input's gradient, and the constant beside them."""
    by_grad = rstd * weight
    if not training:  # mean and variance do not depend on the input
        return by_grad, np.float64(0), np.float64(0)
    return by_grad, -by_grad * rstd * rstd * product / count, -by_grad * total / count


@jit
def _batch_channel_dx(c, x, grad, weight, stats, dx, dweight, dbias, training, wants_dx):
    batch, _, length = x.shape
    mean, rstd = stats[0, c], stats[1, c]
    total, product = np.float64(0), np.float64(0)
    for n in range(batch):
        t, p = _grad_sums(x[n, c], grad[n, c], mean)
        total += t
        product += p
    dweight[c], dbias[c] = product * rstd, total
    if wants_dx:
        by_grad, by_x, offset = _input_factors(total, product, rstd, weight[c], batch * length, training)
        for n in range(batch):
            _combine(x[n, c], grad[n, c], mean, by_grad, by_x, offset, dx[n, c])


@shared_kernel(
    "T[:,:,::1], T[:,:,::1], T[::1], float64[:,::1], out T[:,:,::1], out T[::1], out T[::1], boolean, boolean"
)
def _batch_norm_dx(worker, workers, x, grad, weight, stats, dx, dweight, dbias, training, wants_dx):
    first, end = share_of(x.shape[1], workers, worker)
    for c in range(first, end):
        _batch_channel_dx(c, x, grad, weight, stats, dx, dweight, dbias, training, wants_dx)


@jit(fastmath=_FUSED)
def _add_rows(first, last, x, near, total, square):
    """Add the sums of x - near and of its square over rows first to last, for every channel."""
    # Two rows at a time: the sums are read and written half as often. More rows would be more arrays than
    # LLVM compares at run time, before it makes vector instructions of a loop.
    for n in range(first, last - 1, 2):
        x0, x1 = x[n], x[n + 1]
        for j in range(near.size):
            d0, d1 = np.float64(x0[j]) - near[j], np.float64(x1[j]) - near[j]
            total[j] += d0 + d1
            square[j] += d0 * d0 + d1 * d1
    if (last - first) % 2:
        row = x[last - 1]
        for j in range(near.size):
            d = np.float64(row[j]) - near[j]
            total[j] += d
            square[j] += d * d


@jit(fastmath=_FUSED)
def _scale_rows(first, last, x, center, scale, offset, out):
    for n in range(first, last):
        row, to = x[n], out[n]
        for j in range(center.size):
            to[j] = (row[j] - center[j]) * scale[j] + offset[j]


# No thread begins a step before all have done the one before: on several threads, a kernel of features is
# called once for each of its steps.
_ADD, _FINISH, _FILL = 1, 2, 4


def _in_steps(size: int, blocks: int) -> list[tuple[int, int]]:
    """Return pairs (workers, steps) for the calls of a kernel of features."""
    workers = workers_for(size, _SERIAL_BELOW, blocks)
    return (
        [(1, _ADD | _FINISH | _FILL)] if workers == 1 else [(workers, _ADD), (1, _FINISH), (workers, _FILL)]
    )


@shared_kernel(
    "T[:,::1], T[::1], T[::1], out T[::1], out T[::1], out float64[:,::1], out float64[:,:,::1], "
    "out T[:,::1], out T[:,::1], boolean, float64, float64, int64"
)
def _feature_norm(
    worker, workers, x, weight, bias, running_mean, running_var, stats, sums, factors, out,
    training, momentum, eps, steps,
):  # fmt: skip
    batch, channels = x.shape
    first, end = share_of(sums.shape[0], workers, worker)
    if steps & _ADD and training:
        for i in range(first, end):
            for c in range(channels):
                sums[i, 2, c] = _near(x[0, c])
            _add_rows(i * _ROWS, min(batch, i * _ROWS + _ROWS), x, sums[i, 2], sums[i, 0], sums[i, 1])
    if steps & _FINISH:
        _add_blocks(sums)
        for c in range(channels):
            if training:
                total, square, near = sums[0, 0, c], sums[0, 1, c], sums[0, 2, c]
                mean, deviation, rstd = _mean_and_rstd(total, square, near, batch, eps)
                if running_mean.size:
                    _update(running_mean, running_var, c, mean, deviation, batch, momentum)
            else:
                mean = np.float64(running_mean[c])
                rstd = np.float64(1) / math.sqrt(np.float64(running_var[c]) + eps)
            stats[0, c], stats[1, c] = mean, rstd
            scale = rstd * weight[c]
            factors[0, c], factors[1, c] = mean, scale
            factors[2, c] = bias[c] - (mean - np.float64(factors[0, c])) * scale  # as in _scale
    if steps & _FILL:
        last = min(batch, end * _ROWS)
        _scale_rows(first * _ROWS, last, x, factors[0], factors[1], factors[2], out)


@jit
def _add_blocks(sums):
    """Add sums[1:] to sums[0], in order. sums: (blocks, 2, size)."""
    for i in range(1, sums.shape[0]):
        for what in range(2):
            to, more = sums[0, what], sums[i, what]
            for j in range(to.size):
                to[j] += more[j]


@jit(fastmath=_FUSED)
def _add_grad_rows(first, last, x, grad, mean, total, product):
    """Add the sums of grad and of grad * (x - mean) over rows first to last, for every channel."""
    for n in range(first, last):
        row, g = x[n], grad[n]
        for j in range(mean.size):
            total[j] += g[j]
            product[j] += g[j] * (np.float64(row[j]) - mean[j])


@jit(fastmath=_FUSED)
def _combine_rows(first, last, x, grad, center, by_grad, by_x, offset, dx):
    for n in range(first, last):
        row, g, to = x[n], grad[n], dx[n]
        for j in range(center.size):
            to[j] = g[j] * by_grad[j] + ((row[j] - center[j]) * by_x[j] + offset[j])


@shared_kernel(
    "T[:,::1], T[:,::1], T[::1], float64[:,::1], out float64[:,:,::1], out T[:,::1], out T[:,::1], "
    "out T[::1], out T[::1], boolean, boolean, int64"
)
def _feature_norm_dx(
    worker, workers, x, grad, weight, stats, sums, factors, dx, dweight, dbias, training, wants_dx, steps
):
    batch, channels = x.shape
    first, end = share_of(sums.shape[0], workers, worker)
    if steps & _ADD:
        for i in range(first, end):
            last = min(batch, i * _ROWS + _ROWS)
            _add_grad_rows(i * _ROWS, last, x, grad, stats[0], sums[i, 0], sums[i, 1])
    if steps & _FINISH:
        _add_blocks(sums)
        for c in range(channels):
            mean, rstd, total, product = stats[0, c], stats[1, c], sums[0, 0, c], sums[0, 1, c]
            dweight[c], dbias[c] = product * rstd, total
            by_grad, by_x, offset = _input_factors(total, product, rstd, weight[c], batch, training)
            factors[0, c], factors[1, c], factors[2, c] = mean, by_grad, by_x
            factors[3, c] = offset - (mean - np.float64(factors[0, c])) * by_x  # as in _combine
    if steps & _FILL and wants_dx:
        last = min(batch, end * _ROWS)
        _combine_rows(first * _ROWS, last, x, grad, factors[0], factors[1], factors[2], factors[3], dx)


def _by_channel(x: np.ndarray) -> tuple[int, ...]:
    """Return the shape (batch, channels, length) of an array (batch, channels, ...), or (batch, channels)."""
    length = math.prod(x.shape[2:])
    return x.shape[:2] if length == 1 else (*x.shape[:2], length)


def batch_norm(
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    running_mean: np.ndarray | None,
    running_var: np.ndarray | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Normalise each channel; return the result and `stats` (2, channels), float64.

    x: (batch, channels, ...); the others (channels,) of x's dtype, or None. training: by the mean and the
    variance of x, which move the running ones by `momentum`, in place; else by the running ones.
    """
    x = np.ascontiguousarray(x)
    channels = x.shape[1]
    out, stats = np.empty(x.shape, x.dtype), np.empty((2, channels))
    if not x.size:
        stats.fill(np.nan)
        return out, stats
    running = [
        NOTHING[x.dtype] if r is None else np.ascontiguousarray(r) for r in (running_mean, running_var)
    ]
    shape = _by_channel(x)
    weight, bias = _or_full(weight, channels, 1.0, x), _or_full(bias, channels, 0.0, x)
    if len(shape) == 2:
        scratch = _sums_of(shape), np.empty((3, channels), x.dtype)
        for workers, steps in _in_steps(x.size, len(scratch[0])):
            _feature_norm(
                workers, x.reshape(shape), weight, bias, *running, stats, *scratch, out.reshape(shape),
                training, momentum, eps, steps,
            )  # fmt: skip
    else:
        workers = workers_for(x.size, _SERIAL_BELOW, channels)
        _batch_norm(
            workers,
            x.reshape(shape),
            weight,
            bias,
            *running,
            stats,
            out.reshape(shape),
            training,
            momentum,
            eps,
        )
    for given, used in zip((running_mean, running_var), running, strict=True):
        if training and given is not None and given is not used:
            given[...] = used
    return out, stats


def batch_norm_dx(
    x: np.ndarray,
    grad: np.ndarray,
    weight: np.ndarray | None,
    stats: np.ndarray,
    training: bool,
    wants_dx: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Return the gradients of `batch_norm` in x (None unless wanted), weight and bias."""
    x, grad = np.ascontiguousarray(x), np.ascontiguousarray(grad)
    channels = x.shape[1]
    dx = np.empty(x.shape if wants_dx else (0,) * x.ndim, x.dtype)
    dweight, dbias = np.zeros(channels, x.dtype), np.zeros(channels, x.dtype)
    if x.size:
        shape = _by_channel(x)
        to = dx.reshape(shape if wants_dx else (0,) * len(shape))
        weight = _or_full(weight, channels, 1.0, x)
        if len(shape) == 2:
            scratch = _sums_of(shape), np.empty((4, channels), x.dtype)
            for workers, steps in _in_steps(x.size, len(scratch[0])):
                _feature_norm_dx(
                    workers, x.reshape(shape), grad.reshape(shape), weight, stats, *scratch, to,
                    dweight, dbias, training, wants_dx, steps,
                )  # fmt: skip
        else:
            workers = workers_for(x.size, _SERIAL_BELOW, channels)
            _batch_norm_dx(
                workers,
                x.reshape(shape),
                grad.reshape(shape),
                weight,
                stats,
                to,
                dweight,
                dbias,
                training,
                wants_dx,
            )
    return (dx if wants_dx else None), dweight, dbias


def _sums_of(shape: tuple[int, ...]) -> np.ndarray:
    batch, channels = shape
    return np.zeros(
        (-(-batch // _ROWS), 3, channels)
    )  # two sums of each block, and what they are relative to


def _or_full(values: np.ndarray | None, size: int, value: float, like: np.ndarray) -> np.ndarray:
    if values is None:
        return np.full(size, value, like.dtype)
    return np.ascontiguousarray(values).reshape(size)


# --- layer, group and root-mean-square norm: statistics of a row --------------------------------------------


@jit
def _normalise_rows(first, last, x, length, weight, bias, stats, out, eps, centered):
    # First the sums of all these rows, then their results: a row's result waits long for its root, and the
    # processor finds other work meanwhile.
    for r in range(first, last):
        near = _near(x[r, 0]) if centered else np.float64(0)
        total, square = _sums(x[r], near)
        stats[0, r], stats[1, r] = total if centered else np.float64(0), square
    for r in range(first, last):
        near = _near(x[r, 0]) if centered else np.float64(0)
        mean, _, rstd = _mean_and_rstd(stats[0, r], stats[1, r], near, x.shape[1], eps)
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
                _scale(row[start:stop], mean, scale, offset, to[start:stop])


@shared_kernel("T[:,::1], int64, T[::1], T[::1], out float64[:,::1], out T[:,::1], float64, boolean")
def _row_norm(worker, workers, x, length, weight, bias, stats, out, eps, centered):
    first, end = share_of(x.shape[0], workers, worker)
    close = max(1, _CLOSE // x.shape[1])
    for r in range(first, end, close):
        _normalise_rows(r, min(end, r + close), x, length, weight, bias, stats, out, eps, centered)


@jit(fastmath=_FUSED)
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


@jit(fastmath=_FUSED)
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
        by_grad, by_x, offset = _input_factors(sums[0, i], sums[1, i], rstd, 1.0, x.shape[1], True)
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
        t, s = _grad_sums(row[start:stop], g[start:stop], mean)
        sums[0, r * parts + p], sums[1, r * parts + p] = s * rstd, t
        total += t * weight[first + p]
        product += s * weight[first + p]
    if dx.size:
        _, by_x, offset = _input_factors(total, product, rstd, np.float64(1), row.size, True)
        for p in range(parts):
            start, stop = p * length, p * length + length
            by_grad, to = rstd * weight[first + p], dx[r, start:stop]
            _combine(row[start:stop], g[start:stop], mean, by_grad, by_x, offset, to)


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
    weight, bias = _or_full(weight, size, 1.0, x), _or_full(bias, size, 0.0, x)
    workers = workers_for(x.size, _SERIAL_BELOW, rows)
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
        workers_for(x.size, _SERIAL_BELOW, len(partial)),
        x.reshape(rows, size), grad.reshape(rows, size), _or_full(weight, size, 1.0, x), stats,
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
            workers_for(x.size, _SERIAL_BELOW, shape[0]),
            x.reshape(shape), grad.reshape(shape), length, _or_full(weight, channels, 1.0, x), stats,
            np.empty((0, 0), x.dtype) if dx is None else dx.reshape(shape), sums,
        )  # fmt: skip
    return dx, *np.add.reduce(sums.reshape(2, x.shape[0], channels), 1).astype(x.dtype)
