"""Sums over batch and positions, for each channel: the gradient of a bias that is added to planes."""

import math

import numpy as np

from kernels.cpu.launch import share_of, shared_kernel, workers_for

_SERIAL_BELOW = 1 << 16  # elements: fewer are added up before a second thread is awake
_SHORT_SUM = 512  # numbers that are added in x's type, before they go into a float64 sum: 16 in each lane


@shared_kernel("T[:,:,::1], out float64[::1], out T[::1]", fastmath={"reassoc", "contract"})
def _sum_channels(worker, workers, x, total, out):
    # The order of each channel's sum is that of memory, which every worker reads in one go.
    cast = x.dtype.type
    batch, channels, length = x.shape
    first, end = share_of(channels, workers, worker)
    for c in range(first, end):
        total[c] = 0
    for n in range(batch):
        for c in range(first, end):
            for start in range(0, length, _SHORT_SUM):
                part = cast(0)
                for i in range(start, min(start + _SHORT_SUM, length)):
                    part += x[n, c, i]
                total[c] += part
    for c in range(first, end):
        out[c] = total[c]


def sum_channels(x: np.ndarray) -> np.ndarray:
    """Return the sums (c,) of x (n, c, ...), float32 or float64, over all dims but the channels'."""
    planes = np.ascontiguousarray(x).reshape(x.shape[0], x.shape[1], math.prod(x.shape[2:]))
    out = np.empty(x.shape[1], x.dtype)
    workers = workers_for(x.size, _SERIAL_BELOW, x.shape[1])
    _sum_channels(workers, planes, np.empty(out.size), out)
    return out
