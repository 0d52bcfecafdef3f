"""Batch norm: the statistics of a channel, over the batch and its positions; forward and backward."""

import math

import numpy as np

from kernels.cpu.compile import jit
from kernels.cpu.launch import share_of, shared_kernel, workers_for
from kernels.cpu.norm import (
    FUSED,
    SERIAL_BELOW,
    combine_row,
    grad_sums,
    input_factors,
    mean_and_rstd,
    near_to,
    or_full,
    scale_row,
    sums_of,
)
from kernels.cpu.scratch import NOTHING

_ROWS = 64  # examples of (batch, channels) in one sum


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
        near = near_to(x[0, c, 0])
        total, square = np.float64(0), np.float64(0)
        for n in range(batch):
            t, s = sums_of(x[n, c], near)
            total += t
            square += s
        mean, deviation, rstd = mean_and_rstd(total, square, near, count, eps)
        if running_mean.size:
            _update(running_mean, running_var, c, mean, deviation, count, momentum)
    else:
        mean = np.float64(running_mean[c])
        rstd = np.float64(1) / math.sqrt(np.float64(running_var[c]) + eps)
    stats[0, c], stats[1, c] = mean, rstd
    for n in range(batch):
        scale_row(x[n, c], mean, rstd * weight[c], np.float64(bias[c]), out[n, c])


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
def _batch_channel_dx(c, x, grad, weight, stats, dx, dweight, dbias, training, wants_dx):
    batch, _, length = x.shape
    mean, rstd = stats[0, c], stats[1, c]
    total, product = np.float64(0), np.float64(0)
    for n in range(batch):
        t, p = grad_sums(x[n, c], grad[n, c], mean)
        total += t
        product += p
    dweight[c], dbias[c] = product * rstd, total
    if wants_dx:
        by_grad, by_x, offset = input_factors(total, product, rstd, weight[c], batch * length, training)
        for n in range(batch):
            combine_row(x[n, c], grad[n, c], mean, by_grad, by_x, offset, dx[n, c])


@shared_kernel(
    "T[:,:,::1], T[:,:,::1], T[::1], float64[:,::1], out T[:,:,::1], out T[::1], out T[::1], boolean, boolean"
)
def _batch_norm_dx(worker, workers, x, grad, weight, stats, dx, dweight, dbias, training, wants_dx):
    first, end = share_of(x.shape[1], workers, worker)
    for c in range(first, end):
        _batch_channel_dx(c, x, grad, weight, stats, dx, dweight, dbias, training, wants_dx)


@jit(fastmath=FUSED)
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


@jit(fastmath=FUSED)
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
    workers = workers_for(size, SERIAL_BELOW, blocks)
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
                sums[i, 2, c] = near_to(x[0, c])
            _add_rows(i * _ROWS, min(batch, i * _ROWS + _ROWS), x, sums[i, 2], sums[i, 0], sums[i, 1])
    if steps & _FINISH:
        _add_blocks(sums)
        for c in range(channels):
            if training:
                total, square, near = sums[0, 0, c], sums[0, 1, c], sums[0, 2, c]
                mean, deviation, rstd = mean_and_rstd(total, square, near, batch, eps)
                if running_mean.size:
                    _update(running_mean, running_var, c, mean, deviation, batch, momentum)
            else:
                mean = np.float64(running_mean[c])
                rstd = np.float64(1) / math.sqrt(np.float64(running_var[c]) + eps)
            stats[0, c], stats[1, c] = mean, rstd
            scale = rstd * weight[c]
            factors[0, c], factors[1, c] = mean, scale
            factors[2, c] = bias[c] - (mean - np.float64(factors[0, c])) * scale  # as in scale_row
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


@jit(fastmath=FUSED)
def _add_grad_rows(first, last, x, grad, mean, total, product):
    """Add the sums of grad and of grad * (x - mean) over rows first to last, for every channel."""
    for n in range(first, last):
        row, g = x[n], grad[n]
        for j in range(mean.size):
            total[j] += g[j]
            product[j] += g[j] * (np.float64(row[j]) - mean[j])


@jit(fastmath=FUSED)
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
            by_grad, by_x, offset = input_factors(total, product, rstd, weight[c], batch, training)
            factors[0, c], factors[1, c], factors[2, c] = mean, by_grad, by_x
            factors[3, c] = offset - (mean - np.float64(factors[0, c])) * by_x  # as in combine_row
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
    weight, bias = or_full(weight, channels, 1.0, x), or_full(bias, channels, 0.0, x)
    if len(shape) == 2:
        scratch = _sums_of(shape), np.empty((3, channels), x.dtype)
        for workers, steps in _in_steps(x.size, len(scratch[0])):
            _feature_norm(
                workers, x.reshape(shape), weight, bias, *running, stats, *scratch, out.reshape(shape),
                training, momentum, eps, steps,
            )  # fmt: skip
    else:
        workers = workers_for(x.size, SERIAL_BELOW, channels)
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
        weight = or_full(weight, channels, 1.0, x)
        if len(shape) == 2:
            scratch = _sums_of(shape), np.empty((4, channels), x.dtype)
            for workers, steps in _in_steps(x.size, len(scratch[0])):
                _feature_norm_dx(
                    workers, x.reshape(shape), grad.reshape(shape), weight, stats, *scratch, to,
                    dweight, dbias, training, wants_dx, steps,
                )  # fmt: skip
        else:
            workers = workers_for(x.size, SERIAL_BELOW, channels)
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
