"""Batch norm: the statistics of a channel, over the batch and its positions; forward and backward."""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import FLOATS
from kernels.cuda.deviations import shares
from kernels.cuda.lift import lift, run
from kernels.cuda.memory import contiguous, full, write, zeros
from kernels.cuda.moments import statistics_of
from kernels.cuda.norm import MEAN, REST, RSTD, normalise, statistics_from

_DIMS = (0, 2)  # of (batch, channels, length), all but the channels


def _input_gradient(x, grad, mean, rest, rstd, weight, total, product, number):
    # In training the mean and the variance depend on the input, too.
    left = grad - total / number - ((x - mean) - rest) * (rstd * rstd * (product / number))
    return left * (rstd * weight)


def _scaled(grad, rstd, weight):
    return grad * (rstd * weight)


def _product(x, y):
    return x * y


_dx = lift(
    "batch_norm", "dx", _input_gradient,
    dict.fromkeys(("x", "grad", "mean", "rest", "rstd", "weight", "total", "product"), "T"), FLOATS,
    {"number": "T"},
)  # fmt: skip
_scale = lift("batch_norm", "scale", _scaled, {"grad": "T", "rstd": "T", "weight": "T"}, FLOATS)
_times = lift("batch_norm", "times", _product, {"x": "T", "y": "T"}, FLOATS)


def _by_channel(values: DeviceArray | None, default: float, like: DeviceArray) -> DeviceArray:
    """Return one number for each channel so that it broadcasts to (batch, channels, length)."""
    return full((), default, like.dtype) if values is None else contiguous(values).reshape(-1, 1)


def _moving(planes, eps: float, running_mean, running_var, momentum: float) -> DeviceArray:
    """Return the statistics of the channels, by which running ones, if there are such, were moved."""
    mean = None if running_mean is None else contiguous(running_mean)
    var = None if running_var is None else contiguous(running_var)
    stats = statistics_of(planes, _DIMS, eps, mean, var, momentum)
    for moved, given in ((mean, running_mean), (var, running_var)):
        if moved is not given:
            write(given, moved)
    return stats


def batch_norm(
    x: DeviceArray,
    weight: DeviceArray | None,
    bias: DeviceArray | None,
    running_mean: DeviceArray | None,
    running_var: DeviceArray | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[DeviceArray, DeviceArray]:
    """Normalise each channel; return the result and `stats` (3, channels), of x's dtype.

    x: (batch, channels, ...); the others (channels,) of x's dtype, or None. training: by the mean and the
    variance of x, which move the running ones by `momentum`, in place; else by the running ones.
    """
    channels, out = x.shape[1], empty(x.shape, x.dtype)
    if not x.size:
        return out, full((3, channels), math.nan, x.dtype)
    planes = contiguous(x).reshape(x.shape[0], channels, -1)
    if training:
        stats = _moving(planes, eps, running_mean, running_var, momentum)
    else:
        assert running_mean is not None  # as callers see to
        assert running_var is not None
        stats = statistics_from(running_mean, running_var, eps)
    columns = [stats[row].reshape(-1, 1) for row in (MEAN, REST, RSTD)]
    affine = [_by_channel(weight, 1.0, x), _by_channel(bias, 0.0, x)]
    run(normalise, [planes, *columns, *affine], out=out.reshape(planes.shape))
    return out, stats


def batch_norm_dx(
    x: DeviceArray,
    grad: DeviceArray,
    weight: DeviceArray | None,
    stats: DeviceArray,
    training: bool,
    wants_dx: bool = True,
) -> tuple[DeviceArray | None, DeviceArray, DeviceArray]:
    """Return the gradients of `batch_norm` in x (None unless wanted), weight and bias."""
    channels = x.shape[1]
    dx = empty(x.shape, x.dtype) if wants_dx else None
    if not x.size:
        return dx, zeros((channels,), x.dtype), zeros((channels,), x.dtype)
    shape = (x.shape[0], channels, x.size // (x.shape[0] * channels))
    x, grad = contiguous(x).reshape(shape), contiguous(grad).reshape(shape)
    total, product = shares(x, grad, stats[MEAN], stats[REST], _DIMS)
    if dx is not None:
        mean, rest, rstd = (stats[row].reshape(-1, 1) for row in (MEAN, REST, RSTD))
        weight = _by_channel(weight, 1.0, x)
        if training:
            sums = total.reshape(-1, 1), product.reshape(-1, 1)
            arrays = [x, grad, mean, rest, rstd, weight, *sums]
            run(_dx, arrays, [float(np.prod(shape) // channels)], out=dx.reshape(shape))
        else:
            run(_scale, [grad, rstd, weight], out=dx.reshape(shape))
    return dx, run(_times, [product, stats[RSTD]], out=empty((channels,), x.dtype)), total
