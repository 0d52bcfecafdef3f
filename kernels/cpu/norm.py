"""What batch, layer and group norm share: sums, means, factors, each over one run of contiguous numbers.

Everything is brought to one of three shapes, of contiguous memory:
    (batch, channels, length)   statistics of a channel, over batch and length  (`batch_norm`)
    (batch, channels)           the same with length 1  (`batch_norm` of features)
    (rows, parts * length)      statistics of a row; the weight belongs to a part (`layer_norm`: length 1;
                                `group_norm`: a row is one group of an example's channels)

One task reads its numbers for the sums, and again, while they are still in the core's cache, for the
result. Sums are taken in float64 and in an order that depends on the shapes alone; each number is first taken
relative to one close by, so that a large mean costs no digits. `stats`, kept for the backward pass, holds
float64 means and 1 / sqrt(variance + eps).
"""

import math

import numpy as np

from kernels.cpu.compile import jit

SERIAL_BELOW = 16384  # elements

SUMS = {"reassoc", "contract"}  # what the loops of sums may do, so that they become vector instructions
FUSED = {"contract"}  # a product and a sum in one instruction, rounded once


@jit
def near_to(first):
    """Return a number close to those that follow `first`: itself, unless it would make all of them nan."""
    return np.float64(first) if math.isfinite(first) else np.float64(0)


@jit(fastmath=SUMS)
def sums_of(x, near):
    """Return the sums of x - near and of its square."""
    total, square = np.float64(0), np.float64(0)
    for i in range(x.size):
        d = np.float64(x[i]) - near
        total += d
        square += d * d
    return total, square


@jit(fastmath=SUMS)
def grad_sums(x, grad, near):
    """Return the sums of grad and of grad * (x - near)."""
    total, product = np.float64(0), np.float64(0)
    for i in range(x.size):
        g = np.float64(grad[i])
        total += g
        product += g * (np.float64(x[i]) - near)
    return total, product


@jit
def mean_and_rstd(total, square, near, count, eps):
    """Return mean, sum of squared deviations and 1 / sqrt(variance + eps) from sums relative to `near`."""
    drift = total / count
    deviation = max(square - total * drift, np.float64(0)) if square == square else square
    return near + drift, deviation, np.float64(1) / math.sqrt(deviation / count + eps)


@jit(fastmath=FUSED)
def scale_row(x, mean, scale, offset, out):
    """Fill out with (x - mean) * scale + offset."""
    cast = x.dtype.type
    # The mean is rounded to x's type, so that the difference is exact; what that lost goes into the offset.
    center = cast(mean)
    a, b = cast(scale), cast(offset - (mean - np.float64(center)) * scale)
    for i in range(x.size):
        out[i] = (x[i] - center) * a + b


@jit(fastmath=FUSED)
def combine_row(x, grad, mean, by_grad, by_x, offset, out):
    """Fill out with grad * by_grad + (x - mean) * by_x + offset."""
    cast = x.dtype.type
    center = cast(mean)
    a, b, c = cast(by_grad), cast(by_x), cast(offset - (mean - np.float64(center)) * by_x)
    for i in range(x.size):
        out[i] = grad[i] * a + ((x[i] - center) * b + c)


@jit
def input_factors(total, product, rstd, weight, count, training):
    """Return what multiplies grad and x - mean in the input's gradient, and the constant beside them."""
    by_grad = rstd * weight
    if not training:  # mean and variance do not depend on the input
        return by_grad, np.float64(0), np.float64(0)
    return by_grad, -by_grad * rstd * rstd * product / count, -by_grad * total / count


def or_full(values: np.ndarray | None, size: int, value: float, like: np.ndarray) -> np.ndarray:
    if values is None:
        return np.full(size, value, like.dtype)
    return np.ascontiguousarray(values).reshape(size)
