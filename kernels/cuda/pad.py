"""Padding: arrays framed by a constant, or by elements of their own.

Each dim of a frame of own elements is described by `source`: out[i] = x[source[i]] along it.
"""

from kernels.cuda.array import DeviceArray
from kernels.cuda.indexing import scatter_add, take
from kernels.cuda.memory import copy, full, write, zeros


def pad_constant(x: DeviceArray, pads: tuple[tuple[int, int], ...], value) -> DeviceArray:
    """Return x with `value` around it. pads: elements before and after, for each dim; negative ones crop."""
    shape = tuple([n + before + after for n, (before, after) in zip(x.shape, pads, strict=True)])
    out = full(shape, value, x.dtype)
    inner, outer = _overlap(x.shape, pads)
    write(out[outer], x[inner])
    return out


def pad_constant_dx(
    grad: DeviceArray, shape: tuple[int, ...], pads: tuple[tuple[int, int], ...]
) -> DeviceArray:
    """Return the gradient of `pad_constant` in its array of this shape: zero where it was cropped."""
    inner, outer = _overlap(shape, pads)
    if all(before >= 0 and after >= 0 for before, after in pads):
        return copy(grad[outer])
    out = zeros(shape, grad.dtype)
    write(out[inner], grad[outer])
    return out


def _overlap(shape, pads) -> tuple[tuple, tuple]:
    """Return the part of the array that remains, and where it lies in the result."""
    inner = tuple([slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(shape, pads, strict=True)])
    outer = tuple([slice(max(b, 0), n + b + a - max(a, 0)) for n, (b, a) in zip(shape, pads, strict=True)])
    return inner, outer


def pad_from(x: DeviceArray, dim: int, source: DeviceArray, before: int) -> DeviceArray:
    """Return x with out[i] = x[source[i]] along `dim`; source[i] is i - before within the border."""
    return take(x, (*(slice(None),) * dim, source))


def pad_from_dx(grad: DeviceArray, dim: int, source: DeviceArray, before: int, size: int) -> DeviceArray:
    """Return the gradient of `pad_from` in its array, of this size along `dim`."""
    shape = (*grad.shape[:dim], size, *grad.shape[dim + 1 :])
    return scatter_add(grad, (*(slice(None),) * dim, source), shape)
