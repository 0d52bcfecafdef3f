"""Resizing one dim of an array: each number of the result is a weighted sum of a few along that dim.

Which ones and by what weights stands in a table, as PyTorch computes it, in the array's own precision.
"""

import math

import numpy as np

from kernels.cpu.launch import share_of, shared_kernel, workers_for

_SERIAL_BELOW = 40_000  # elements


@shared_kernel("T[:,:,::1], T[:,::1], int64[:,::1], out T[:,:,::1]")
def _resize(worker, workers, x, weights, sources, out):
    first, end = share_of(len(x), workers, worker)
    taps, inner = sources.shape[1], x.shape[2]
    for o in range(first, end):
        for i in range(len(sources)):
            for j in range(inner):
                out[o, i, j] = x[o, sources[i, 0], j] * weights[i, 0]
            for t in range(1, taps):
                for j in range(inner):
                    out[o, i, j] += x[o, sources[i, t], j] * weights[i, t]


@shared_kernel("T[:,:,::1], T[:,::1], int64[:,::1], out T[:,:,::1]")
def _resize_dx(worker, workers, grad, weights, sources, result):
    first, end = share_of(len(grad), workers, worker)
    taps, inner = sources.shape[1], grad.shape[2]
    for o in range(first, end):
        for i in range(len(sources)):
            for t in range(taps):
                for j in range(inner):
                    result[o, sources[i, t], j] += grad[o, i, j] * weights[i, t]


def _run(kernel, x: np.ndarray, dim: int, table, out: np.ndarray) -> np.ndarray:
    sources, weights = table
    sizes = math.prod(x.shape[:dim]), math.prod(x.shape[dim + 1 :])
    flat, result = (a.reshape(sizes[0], a.shape[dim], sizes[1]) for a in (np.ascontiguousarray(x), out))
    if out.size and x.size:
        workers = workers_for(max(x.size, out.size), _SERIAL_BELOW, sizes[0])
        kernel(workers, flat, weights.astype(x.dtype), sources, result)
    return out


def resize(x: np.ndarray, dim: int, size: int, table) -> np.ndarray:
    """Return x with the dim of `size` resized by `table`: (sources, weights), each (new size, taps)."""
    return _run(
        _resize, x, dim, table, np.empty((*x.shape[:dim], len(table[0]), *x.shape[dim + 1 :]), x.dtype)
    )


def resize_dx(grad: np.ndarray, dim: int, size: int, table) -> np.ndarray:
    """Return the gradient of `resize` in x."""
    return _run(
        _resize_dx, grad, dim, table, np.zeros((*grad.shape[:dim], size, *grad.shape[dim + 1 :]), grad.dtype)
    )


def resize_table(mode: str, old: int, new: int, scale: float | None, align_corners: bool, dtype: np.dtype):
    """Return (sources, weights) for resizing `old` numbers to `new`.

    mode: "nearest", "nearest-exact", "linear" or "cubic", the last two also with "-antialias". scale: new
    over old as the caller wants it counted, if that is not the ratio of the sizes.
    """
    real = np.float64 if dtype == np.float64 else np.float32
    if align_corners:
        step = real(old - 1) / real(new - 1) if new > 1 else real(0)
    else:
        step = real(1.0 / scale) if scale is not None and scale > 0 else real(old) / real(new)
    places: np.ndarray = np.arange(new).astype(real)
    if mode.endswith("-antialias"):
        return _antialiased(mode, old, step, places, real)
    if mode.startswith("nearest"):
        found = np.floor((places + real(0.5 if mode == "nearest-exact" else 0.0)) * step).astype(np.int64)
        return np.minimum(found, old - 1)[:, None], np.ones((new, 1), real)
    at = places * step if align_corners else step * (places + real(0.5)) - real(0.5)
    if mode == "linear":
        at = np.maximum(at, real(0))
    low = np.floor(at).astype(np.int64)
    if mode == "linear":
        low = np.minimum(low, old - 1)
    share = np.clip(at - low.astype(real), 0, 1).astype(real)
    if mode == "linear":
        return np.stack([low, np.minimum(low + 1, old - 1)], 1), np.stack([1 - share, share], 1)
    sources = np.clip(low[:, None] + np.arange(-1, 3), 0, old - 1)
    weights = [_cubic(np.abs(share + real(1 - t)), -0.75) for t in range(4)]
    return sources, np.stack(weights, 1).astype(real)


def _cubic(x, a: float):
    """Return the cubic convolution kernel at distances x (Keys 1981)."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def _antialiased(mode: str, old: int, step, places, real):
    """Return the table of a filter as wide as a number of the result is in the source."""
    reach = 1.0 if mode.startswith("linear") else 2.0
    width = max(float(step), 1.0)
    centers = float(step) * (places.astype(np.float64) + 0.5)
    first = np.maximum((centers - reach * width + 0.5).astype(np.int64), 0)
    end = np.minimum((centers + reach * width + 0.5).astype(np.int64), old)
    taps = first[:, None] + np.arange(max(int((end - first).max()), 1))
    distance = np.abs(taps - centers[:, None] + 0.5) / width
    values = np.maximum(1 - distance, 0) if reach == 1.0 else _cubic(distance, -0.5)
    weights = np.where(taps < end[:, None], values, 0)
    return np.minimum(taps, old - 1), (weights / weights.sum(1, keepdims=True)).astype(real)
