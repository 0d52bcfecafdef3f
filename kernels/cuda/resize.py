"""Resizing one dim of an array: each number of the result is a weighted sum of a few along that dim.

The tables are those of the CPU. Backward a thread computes one element: a list tells which numbers of the
result it went into, in their order, so that the sums have one order.
"""

import math

import numpy as np

from kernels.cpu.resize import resize_table
from kernels.cuda.array import DeviceArray, empty, from_host
from kernels.cuda.compile import FLOATS, INTEGERS, cuda, kernel
from kernels.cuda.memory import contiguous, zeros

__all__ = ["resize", "resize_dx", "resize_table"]

_SIGNATURE = "int64, int64, int64, int64, int64, T*, T*, int64*, out T*"


@kernel(_SIGNATURE, (*FLOATS, *INTEGERS))
def _resize(size, length, new, inner, taps, x, weights, sources, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        row = i // inner
        outer = row // new
        place = row - outer * new
        base = outer * length * inner + (i - row * inner)
        total = T(0)  # noqa: F821
        for t in range(place * taps, (place + 1) * taps):
            total += x[base + sources[t] * inner] * weights[t]
        out[i] = total


@kernel("int64, int64, int64, int64, T*, T*, int64*, int64*, out T*", (*FLOATS, *INTEGERS))
def _resize_dx(size, length, new, inner, grad, weights, takers, starts, out):
    """starts[p]: where in `takers` and `weights` the numbers begin that element p went into."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        row = i // inner
        outer = row // length
        place = row - outer * length
        base = outer * new * inner + (i - row * inner)
        total = T(0)  # noqa: F821
        for n in range(starts[place], starts[place + 1]):
            total += grad[base + takers[n] * inner] * weights[n]
        out[i] = total


def resize(x: DeviceArray, dim: int, size: int, table) -> DeviceArray:
    """Return x with the dim of `size` resized by `table`: (sources, weights), each (new size, taps)."""
    sources, weights = table
    inner, (new, taps) = math.prod(x.shape[dim + 1 :]), sources.shape
    out = empty((*x.shape[:dim], new, *x.shape[dim + 1 :]), x.dtype)
    if out.size:
        tables = from_host(weights.astype(x.dtype)), from_host(sources.astype(np.int64))
        _resize.over(out.size, out.size, size, new, inner, taps, contiguous(x), *tables, out)
    return out


def resize_dx(grad: DeviceArray, dim: int, size: int, table) -> DeviceArray:
    """Return the gradient of `resize` in x."""
    sources, weights = table
    inner, (new, taps) = math.prod(grad.shape[dim + 1 :]), sources.shape
    shape = (*grad.shape[:dim], size, *grad.shape[dim + 1 :])
    if not grad.size:
        return zeros(shape, grad.dtype)
    out = empty(shape, grad.dtype)
    flat = sources.reshape(-1)
    order = np.argsort(flat, kind="stable")
    starts = np.searchsorted(flat[order], np.arange(size + 1))
    tables = weights.reshape(-1)[order].astype(grad.dtype), order // taps, starts
    _resize_dx.over(
        out.size, out.size, size, new, inner, contiguous(grad), *[from_host(t) for t in tables], out
    )
    return out
