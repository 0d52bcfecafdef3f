"""What batch, layer and group norm share: the statistics of a set of numbers, kept for the backward pass.

`stats` has a column for each set: the mean, 1 / sqrt(variance + eps), and what rounding took from the mean.
All are of x's type.
"""

import math

from kernels.cuda.array import DeviceArray
from kernels.cuda.compile import FLOATS, device
from kernels.cuda.lift import lift, run
from kernels.cuda.memory import write, zeros

MEAN, RSTD, REST = range(3)


@device
def lost_in(x, y):
    """Return what rounding takes from x + y (Knuth's two-sum)."""
    total = x + y
    part = total - x
    return (x - (total - part)) + (y - part)


def _rstd(deviation, number, eps):
    return 1.0 / math.sqrt(deviation / number + eps)


_rstd_of = lift("norm", "rstd", _rstd, {"deviation": "T"}, FLOATS, {"number": "T", "eps": "T"})


def statistics_from(mean: DeviceArray, variance: DeviceArray, eps: float) -> DeviceArray:
    """Return `stats` by a known mean and variance."""
    stats = zeros((3, mean.size), mean.dtype)
    write(stats[MEAN], mean)
    run(_rstd_of, [variance], [1.0, eps], out=stats[RSTD])
    return stats


def _normalise(x, mean, rest, rstd, weight, bias):
    return ((x - mean) - rest) * rstd * weight + bias


def _weight_share(x, grad, mean, rest, rstd):
    return grad * ((x - mean) - rest) * rstd


_STATS = {"mean": "T", "rest": "T", "rstd": "T"}
normalise = lift("norm", "normalise", _normalise, {"x": "T", **_STATS, "weight": "T", "bias": "T"}, FLOATS)
weight_share = lift("norm", "weight_share", _weight_share, {"x": "T", "grad": "T", **_STATS}, FLOATS)
