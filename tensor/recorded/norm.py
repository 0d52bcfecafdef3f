"""The derivatives of the normalisations, recorded."""

import math

from tensor.engine import Tensor
from tensor.recorded.basis import tensor_of


def _deviation_and_scale(x, rstd, dims, centered=True):
    """Return x less its mean over `dims`, and 1 / sqrt(mean square + eps) with its history.

    rstd: the scale that the forward pass used, of the shape of a mean that keeps its dims. What it has
    besides the mean square is eps, a constant.
    """
    deviation = x - x.mean(dims, True) if centered else x
    square = (deviation * deviation).mean(dims, True)
    used = tensor_of(rstd).to(square.dtype)
    eps = (used * used).reciprocal() - square.detach()
    return deviation, (square + eps).rsqrt()


def _input_gradient(normalised, scale, grad, dims, centered=True):
    """Return the gradient of `normalised` in its input."""
    left = grad - normalised * (grad * normalised).mean(dims, True)
    if centered:
        left = left - grad.mean(dims, True)
    return left * scale


def batch_norm_dx(x, grad, weight, stats, training, wants_dx=True):
    """Return the gradients of `batch_norm` in x (None unless wanted), weight and bias."""
    dims = (0, *range(2, x.ndim))
    by_channel = (1, x.shape[1], *(1,) * (x.ndim - 2))
    mean, rstd = (Tensor._wrap(part.reshape(by_channel)) for part in (stats[0], stats[1]))
    if training:
        deviation, scale = _deviation_and_scale(x, rstd, dims)
    else:
        deviation, scale = x - mean.to(x.dtype), rstd.to(x.dtype)
    normalised = deviation * scale
    dx = None
    if wants_dx:
        weighted = grad if weight is None else grad * weight.reshape(by_channel)
        dx = _input_gradient(normalised, scale, weighted, dims) if training else weighted * scale
    return dx, (grad * normalised).sum(dims), grad.sum(dims)


def layer_norm_dx(x, grad, size, weight, stats, centered=True, wants_dx=True, wants_rest=True):
    """Return the gradients of `layer_norm` in x (None unless wanted), and (size,) in weight and bias."""
    shape, rows = x.shape, x.numel() // size if size else 0
    x, grad = x.reshape(rows, size), grad.reshape(rows, size)
    rstd = Tensor._wrap(stats[1].reshape(rows, 1))
    deviation, scale = _deviation_and_scale(x, rstd, (1,), centered)
    normalised = deviation * scale
    dx = None
    if wants_dx:
        weighted = grad if weight is None else grad * weight.reshape(1, size)
        dx = _input_gradient(normalised, scale, weighted, (1,), centered).reshape(shape)
    return dx, (grad * normalised).sum(0), grad.sum(0)


def group_norm_dx(x, grad, groups, weight, stats, wants_dx=True):
    """Return the gradients of `group_norm` in x (None unless wanted), weight and bias."""
    shape, (batch, channels) = x.shape, x.shape[:2]
    space = math.prod(shape[2:])
    parts = (batch, groups, channels // groups, space)
    x, grad = x.reshape(parts), grad.reshape(parts)
    rstd = Tensor._wrap(stats[1].reshape(batch, groups, 1, 1))
    deviation, scale = _deviation_and_scale(x, rstd, (2, 3))
    normalised = deviation * scale
    dx = None
    if wants_dx:
        weighted = grad if weight is None else grad * weight.reshape(1, groups, channels // groups, 1)
        dx = _input_gradient(normalised, scale, weighted, (2, 3)).reshape(shape)
    return dx, (grad * normalised).sum((0, 3)).reshape(-1), grad.sum((0, 3)).reshape(-1)
