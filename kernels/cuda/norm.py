"""What batch, layer and group norm share: the statistics of a set of numbers, kept for the backward pass.

`stats` has a column for each set: the mean, 1 / sqrt(variance + eps), and what rounding took from the mean.
All are of x's type. Sums are taken of what the numbers differ by from one among them, and then from the
mean: so a large mean costs no digits, and neither does an outlier.
"""

import math

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import FLOATS, device
from kernels.cuda.deviations import deviations
from kernels.cuda.lift import lift, run
from kernels.cuda.memory import full, zeros

MEAN, RSTD, REST = range(3)


@device
def lost_in(x, y):
    """Return what rounding takes from x + y (Knuth's two-sum)."""
    total = x + y
    part = total - x
    return (x - (total - part)) + (y - part)


def _near(x):
    return x if x - x == 0 else 0.0


def _mean(near, total, number):
    return near + total / number


def _rest(near, total, number):
    drift = total / number
    mean = near + drift
    part = mean - near
    return (near - (mean - part)) + (drift - part)


def _square_deviation(square, total, number):
    deviation = square - total * total / number
    return 0.0 if deviation < 0.0 else deviation


def _rstd(deviation, number, eps):
    return 1.0 / math.sqrt(deviation / number + eps)


_NUMBER = {"number": "T"}
_near_to = lift("norm", "near", _near, {"x": "T"}, FLOATS)
_mean_of = lift("norm", "mean", _mean, {"near": "T", "total": "T"}, FLOATS, _NUMBER)
_rest_of = lift("norm", "rest", _rest, {"near": "T", "total": "T"}, FLOATS, _NUMBER)
_deviation_of = lift(
    "norm", "square_deviation", _square_deviation, {"square": "T", "total": "T"}, FLOATS, _NUMBER
)
_rstd_of = lift("norm", "rstd", _rstd, {"deviation": "T"}, FLOATS, {"number": "T", "eps": "T"})


def statistics_of(
    x: DeviceArray, first: DeviceArray, dims: tuple[int, ...], count: int, eps: float
) -> tuple[DeviceArray, DeviceArray]:
    """Return `stats` (3, sets) of the sets of `count` numbers over `dims`, and their squared deviations.

    first: one number of each set.
    """
    stats = empty((3, first.size), x.dtype)
    near = run(_near_to, [first], out=empty(first.shape, x.dtype))
    total, _ = deviations(x, near, zeros(near.shape, x.dtype), dims)
    run(_mean_of, [near, total], [float(count)], out=stats[MEAN])
    run(_rest_of, [near, total], [float(count)], out=stats[REST])
    total, square = deviations(x, stats[MEAN], stats[REST], dims)
    deviation = run(_deviation_of, [square, total], [float(count)])
    run(_rstd_of, [deviation], [float(count), eps], out=stats[RSTD])
    return stats, deviation


def statistics_from(mean: DeviceArray, variance: DeviceArray, eps: float) -> DeviceArray:
    """Return `stats` by a known mean and variance."""
    stats = zeros((3, mean.size), mean.dtype)
    run(_mean_of, [mean, full((), 0, mean.dtype)], [1.0], out=stats[MEAN])
    run(_rstd_of, [variance], [1.0, eps], out=stats[RSTD])
    return stats


def _normalise(x, mean, rest, rstd, weight, bias):
    return ((x - mean) - rest) * rstd * weight + bias


def _weight_share(x, grad, mean, rest, rstd):
    return grad * ((x - mean) - rest) * rstd


_STATS = {"mean": "T", "rest": "T", "rstd": "T"}
normalise = lift("norm", "normalise", _normalise, {"x": "T", **_STATS, "weight": "T", "bias": "T"}, FLOATS)
weight_share = lift("norm", "weight_share", _weight_share, {"x": "T", "grad": "T", **_STATS}, FLOATS)
