"""Padding: arrays framed by a constant, or by elements of their own.

Each dim of a frame of own elements is described by `source`: out[i] = x[source[i]] along it. Where `source`
counts up by one (all but the border, and that is thin) whole slices are copied.
"""

import numpy as np


def _along(ndim: int, dim: int, part) -> tuple:
    return (*(slice(None),) * dim, part, *(slice(None),) * (ndim - dim - 1))


def _core(source: np.ndarray, size: int, before: int) -> tuple[slice, slice]:
    """Return the longest stretch where source[i] = i - before: of the result, and of the array."""
    first = min(max(before, 0), source.size)
    last = max(min(before + size, source.size), first)
    return slice(first, last), slice(first - before, last - before)


def pad_constant(x: np.ndarray, pads: tuple[tuple[int, int], ...], value) -> np.ndarray:
    """Return x with `value` around it. pads: elements before and after, for each dim; negative ones crop."""
    shape = tuple([n + before + after for n, (before, after) in zip(x.shape, pads, strict=True)])
    out = np.full(shape, value, x.dtype)
    inner, outer = _overlap(x.shape, pads)
    out[outer] = x[inner]
    return out


def pad_constant_dx(
    grad: np.ndarray, shape: tuple[int, ...], pads: tuple[tuple[int, int], ...]
) -> np.ndarray:
    """Return the gradient of `pad_constant` in its array of this shape: zero where it was cropped."""
    inner, outer = _overlap(shape, pads)
    if all(before >= 0 and after >= 0 for before, after in pads):
        return np.array(grad[outer], order="C")
    out = np.zeros(shape, grad.dtype)
    out[inner] = grad[outer]
    return out


def _overlap(shape, pads) -> tuple[tuple, tuple]:
    """Return the part of the array that remains, and where it lies in the result."""
    inner = tuple([slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(shape, pads, strict=True)])
    outer = tuple([slice(max(b, 0), n + b + a - max(a, 0)) for n, (b, a) in zip(shape, pads, strict=True)])
    return inner, outer


def pad_from(x: np.ndarray, dim: int, source: np.ndarray, before: int) -> np.ndarray:
    """Return x with out[i] = x[source[i]] along `dim`; source[i] is i - before within the border."""
    shape = list(x.shape)
    shape[dim] = source.size
    out = np.empty(shape, x.dtype)
    kept, taken = _core(source, x.shape[dim], before)
    out[_along(x.ndim, dim, kept)] = x[_along(x.ndim, dim, taken)]
    for border in (slice(0, kept.start), slice(kept.stop, source.size)):
        if border.start < border.stop:
            out[_along(x.ndim, dim, border)] = x.take(source[border], dim)
    return out


def pad_from_dx(grad: np.ndarray, dim: int, source: np.ndarray, before: int, size: int) -> np.ndarray:
    """Return the gradient of `pad_from` in its array, of this size along `dim`.

    The border's gradients are added one by one in their order: several may come from one element.
    """
    shape = list(grad.shape)
    shape[dim] = size
    out = np.zeros(shape, grad.dtype)
    kept, taken = _core(source, size, before)
    out[_along(grad.ndim, dim, taken)] = grad[_along(grad.ndim, dim, kept)]
    for i in (*range(kept.start), *range(kept.stop, source.size)):
        part = out[_along(grad.ndim, dim, int(source[i]))]
        np.add(part, grad[_along(grad.ndim, dim, i)], out=part)
    return out
