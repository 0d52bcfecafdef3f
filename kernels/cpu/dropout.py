"""Dropout: keeping some numbers, scaled, and making the others zero."""

import numpy as np

from kernels.cpu.launch import share_of, shared_kernel, workers_for

_SERIAL_BELOW = 65536  # elements


@shared_kernel("T[::1], uint8[::1], T, out T[::1]")
def _keep_scaled(worker, workers, x, kept, scale, out):
    # Times 0, as in PyTorch: what is dropped stays nan where it is nan or infinite.
    first, end = share_of(x.size, workers, worker)
    x, kept, out = x[first:end], kept[first:end], out[first:end]  # an index from `first` on might be negative
    for i in range(x.size):
        out[i] = x[i] * (scale if kept[i] else 0.0)


@shared_kernel("T[:,::1], uint8[::1], T, out T[:,::1]")
def _keep_rows_scaled(worker, workers, x, kept, scale, out):
    first, end = share_of(x.shape[0], workers, worker)
    for r in range(first, end):
        factor = scale if kept[r] else 0.0
        for i in range(x.shape[1]):
            out[r, i] = x[r, i] * factor


def keep_scaled(x: np.ndarray, kept: np.ndarray, scale: float, out: np.ndarray | None = None) -> np.ndarray:
    """Return x * scale where `kept`, a bool array, holds, else x * 0; or fill `out`, which may be x.

    kept: of x's shape, or (batch, channels, 1, ...) for whole channels. The result lies in memory as x does.
    """
    scale = x.dtype.type(scale)
    order = (
        sorted(range(x.ndim), key=lambda d: -x.strides[d]) if kept.shape == x.shape else list(range(x.ndim))
    )
    moved, kept = np.ascontiguousarray(x.transpose(order)), np.ascontiguousarray(kept.transpose(order))
    to = np.empty(moved.shape, x.dtype) if out is None else np.ascontiguousarray(out.transpose(order))
    flags = kept.reshape(-1).view(np.uint8)
    if kept.size == x.size:
        _keep_scaled(
            workers_for(x.size, _SERIAL_BELOW, x.size), moved.reshape(-1), flags, scale, to.reshape(-1)
        )
    else:
        shape = kept.size, x.size // kept.size
        _keep_rows_scaled(
            workers_for(x.size, _SERIAL_BELOW, kept.size),
            moved.reshape(shape),
            flags,
            scale,
            to.reshape(shape),
        )
    result = to.transpose(np.argsort(order)) if x.ndim else to.reshape(())
    if out is None:
        return result
    if not np.shares_memory(out, result):
        out[...] = result
    return out
