"""Sums over batch and positions, for each channel: the gradient of a bias that is added to planes."""

from kernels.cuda.array import DeviceArray
from kernels.cuda.reduce import sum


def sum_channels(x: DeviceArray) -> DeviceArray:
    """Return the sums (c,) of x (n, c, ...), float32 or float64, over all dims but the channels'."""
    return sum(x, (0, *range(2, x.ndim)))
