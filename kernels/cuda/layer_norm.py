"""Layer, group and root-mean-square norm: the statistics of a row; forward and backward.

A row is a run of contiguous numbers, of parts of `length` numbers that have a weight and a bias each: in
layer norm each number is a part, in group norm a channel's positions are. A block of threads goes through a
row.
"""

import math

from kernels.cuda import short_rows
from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.blocks import MOST, over_rows, sum_of_block
from kernels.cuda.compile import FLOATS, cuda, kernel
from kernels.cuda.lift import run
from kernels.cuda.memory import contiguous, zeros
from kernels.cuda.norm import MEAN, REST, RSTD, lost_in, weight_share
from kernels.cuda.reduce import sum


@kernel("int64, int64, int64, int64, int64, int64, int64, T, T*, T*, T*, out T*, out T*", FLOATS)
def _row_norm(
    rows, size, length, channels, centered, weighted, biased, eps, x, weight, bias, stats, out
):  # fmt: skip
    """Fill in each row of out, and its column of stats; weight and bias are read if there are such."""
    shared = cuda.shared.array(MOST, T)  # noqa: F821
    t, width = cuda.threadIdx.x, cuda.blockDim.x
    for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        base, count = row * size, T(size)  # noqa: F821
        mean, rest = T(0), T(0)  # noqa: F821
        if centered:
            near = x[base] if x[base] - x[base] == 0 else T(0)  # noqa: F821
            total = T(0)  # noqa: F821
            for i in range(t, size, width):
                total += x[base + i] - near
            drift = sum_of_block(shared, t, width, total) / count
            mean, rest = near + drift, lost_in(near, drift)
        total, square = T(0), T(0)  # noqa: F821
        for i in range(t, size, width):
            d = (x[base + i] - mean) - rest
            total += d
            square += d * d
        square = sum_of_block(shared, t, width, square)
        if centered:
            total = sum_of_block(shared, t, width, total)
            square -= total * total / count
            if square < 0.0:
                square = T(0)  # noqa: F821
        rstd = 1.0 / math.sqrt(square / count + eps)
        if t == 0:
            stats[row], stats[rows + row], stats[2 * rows + row] = mean, rstd, rest
        first = base // length % channels  # a row's parts are channels that follow each other
        for i in range(t, size, width):
            value = ((x[base + i] - mean) - rest) * rstd
            part = first + (i // length if length > 1 else i)
            if weighted:
                value *= weight[part]
            if biased:
                value += bias[part]
            out[base + i] = value


@kernel("int64, int64, int64, int64, int64, int64, T*, T*, T*, T*, out T*", FLOATS)
def _row_norm_dx(rows, size, length, channels, centered, weighted, x, grad, weight, stats, dx):
    shared = cuda.shared.array(MOST, T)  # noqa: F821
    t, width = cuda.threadIdx.x, cuda.blockDim.x
    for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        base, first, count = row * size, row * size // length % channels, T(size)  # noqa: F821
        mean, rstd, rest = stats[row], stats[rows + row], stats[2 * rows + row]
        total, product = T(0), T(0)  # noqa: F821
        for i in range(t, size, width):
            g = grad[base + i]
            if weighted:
                g *= weight[first + (i // length if length > 1 else i)]
            total += g
            product += g * ((x[base + i] - mean) - rest)
            dx[base + i] = g
        product = sum_of_block(shared, t, width, product) / count
        by_x = rstd * rstd * product
        offset = T(0)  # noqa: F821
        if centered:
            offset = sum_of_block(shared, t, width, total) / count
        for i in range(t, size, width):
            d = (x[base + i] - mean) - rest
            dx[base + i] = (dx[base + i] - offset - d * by_x) * rstd


def _rows_of(x, rows, length, weight, bias, channels, eps, centered) -> tuple[DeviceArray, DeviceArray]:
    x, out = contiguous(x), empty(x.shape, x.dtype)
    if not x.size:
        return out, empty((3, 0), x.dtype)
    stats, size = empty((3, rows), x.dtype), x.size // rows
    weight, bias = (None if a is None else contiguous(a) for a in (weight, bias))
    if length == 1 and short_rows.fits(size, x, weight, bias, out):
        short_rows.normalise_rows(rows, size, weight, bias, eps, centered, x, stats, out)
        return out, stats
    over_rows(
        _row_norm, rows, size, length, channels,
        int(centered), int(weight is not None), int(bias is not None), eps,
        x, x if weight is None else weight, x if bias is None else bias, stats, out,
    )  # fmt: skip
    return out, stats


def _rows_of_dx(x, grad, rows, length, weight, channels, stats, centered) -> DeviceArray:
    dx, size = empty(x.shape, x.dtype), x.size // rows
    weight = None if weight is None else contiguous(weight)
    if length == 1 and short_rows.fits(size, x, grad, weight, dx):
        short_rows.normalise_rows_dx(rows, size, weight, centered, x, grad, stats, dx)
        return dx
    over_rows(
        _row_norm_dx, rows, size, length, channels, int(centered), int(weight is not None),
        x, grad, x if weight is None else weight, stats, dx,
    )  # fmt: skip
    return dx


def layer_norm(
    x: DeviceArray,
    size: int,
    weight: DeviceArray | None,
    bias: DeviceArray | None,
    eps: float,
    centered: bool = True,
) -> tuple[DeviceArray, DeviceArray]:
    """Normalise each run of `size` numbers, the last dims of x; return the result and `stats`.

    weight, bias: `size` numbers of x's dtype, or None. centered: False divides by the root of the mean square
    and subtracts nothing (Zhang and Sennrich 2019).
    """
    return _rows_of(x, x.size // size if size else 0, 1, weight, bias, size, eps, centered)


def group_norm(
    x: DeviceArray, groups: int, weight: DeviceArray | None, bias: DeviceArray | None, eps: float
) -> tuple[DeviceArray, DeviceArray]:
    """Normalise each group of channels of each example; return the result and `stats`.

    x: (batch, channels, ...), `groups` divides the channels; weight, bias: (channels,) of x's dtype, or None.
    """
    channels = x.shape[1]
    return _rows_of(x, x.shape[0] * groups, math.prod(x.shape[2:]), weight, bias, channels, eps, True)


def layer_norm_dx(
    x: DeviceArray,
    grad: DeviceArray,
    size: int,
    weight: DeviceArray | None,
    stats: DeviceArray,
    centered: bool = True,
    wants_dx: bool = True,
    wants_rest: bool = True,
) -> tuple[DeviceArray | None, DeviceArray, DeviceArray]:
    """Return the gradients of `layer_norm` in x (None unless wanted), and (size,) in weight and bias."""
    if not x.size:
        dx = empty(x.shape, x.dtype) if wants_dx else None
        return dx, zeros((size,), x.dtype), zeros((size,), x.dtype)
    x, grad, rows = contiguous(x), contiguous(grad), x.size // size
    dx = _rows_of_dx(x, grad, rows, 1, weight, size, stats, centered) if wants_dx else None
    if not wants_rest:
        return dx, zeros((size,), x.dtype), zeros((size,), x.dtype)
    x, grad = x.reshape(rows, size), grad.reshape(rows, size)
    columns = [stats[row].reshape(-1, 1) for row in (MEAN, REST, RSTD)]
    return dx, sum(run(weight_share, [x, grad, *columns]), (0,)), sum(grad, (0,))


def group_norm_dx(
    x: DeviceArray,
    grad: DeviceArray,
    groups: int,
    weight: DeviceArray | None,
    stats: DeviceArray,
    wants_dx: bool = True,
) -> tuple[DeviceArray | None, DeviceArray, DeviceArray]:
    """Return the gradients of `group_norm` in x (None unless wanted), weight and bias."""
    (batch, channels), length = x.shape[:2], math.prod(x.shape[2:])
    if not x.size:
        dx = empty(x.shape, x.dtype) if wants_dx else None
        return dx, zeros((channels,), x.dtype), zeros((channels,), x.dtype)
    x, grad = contiguous(x), contiguous(grad)
    dx = _rows_of_dx(x, grad, batch * groups, length, weight, channels, stats, True) if wants_dx else None
    shape = (batch, groups, channels // groups, length)
    x, grad = x.reshape(shape), grad.reshape(shape)
    columns = [stats[row].reshape(batch, groups, 1, 1) for row in (MEAN, REST, RSTD)]
    of_weight, of_bias = sum(run(weight_share, [x, grad, *columns]), (0, 3)), sum(grad, (0, 3))
    return dx, of_weight.reshape(channels), of_bias.reshape(channels)
