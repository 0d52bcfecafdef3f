"""Tensors made by a rule: ranges, grids, the positions of triangles."""

import math
import warnings

import numpy as np

from tensor import dtypes
from tensor.creation import element_type, finish
from tensor.engine import Tensor


def _number(x):
    return x.item() if isinstance(x, Tensor) else x


def _range_operands(name, args, start, end, step):
    if len(args) > 3:
        raise TypeError(f"{name}: expected (end), (start, end) or (start, end, step), got {args}")
    given = [start, end, step]
    places = [1] if len(args) == 1 and end is None else [0, 1, 2]
    for place, value in zip(places, args, strict=False):
        given[place] = value
    start, end, step = (_number(v) for v in given)
    if end is None:
        raise TypeError(f"{name}: expected an `end`, got {args}")
    start, step = 0 if start is None else start, 1 if step is None else step
    if step == 0:
        raise RuntimeError(f"{name}: step must be nonzero")
    if (end - start) / step < 0:
        raise RuntimeError(f"{name}: upper bound and lower bound inconsistent with step sign")
    return start, end, step


def arange(
    *args,
    start=None,
    end=None,
    step=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
) -> Tensor:
    """Return start, start + step, ... below `end`; int64 if all are integers, else the default float."""
    start, end, step = _range_operands("arange", args, start, end, step)
    if dtype is None:
        integers = all(isinstance(v, int | np.integer) for v in (start, end, step))
        dtype = dtypes.int64 if integers else dtypes.get_default_dtype()
    element = element_type("arange", dtype)
    if element == np.int64:
        start, end, step = int(start), int(end), int(step)
        if step == 0:
            raise ValueError("arange: step must be nonzero, also as an integer")  # as PyTorch, here only
    count = math.ceil((end - start) / step)
    return finish(_stepped(start, step, count, element), device, requires_grad, layout, pin_memory)


def _stepped(start, step, count: int, element: np.dtype) -> np.ndarray:
    """Return start, start + step, ..., `count` numbers, as PyTorch computes them; np.arange may be one off.

    Integers are exact. Floats are, in whole pairs of vectors of 32 bytes, the rounded first number of their
    vector and the steps from there, each a product and a sum rounded once; the numbers left over at the end
    are steps from `start`.
    """
    place = np.arange(count)
    if element.kind != "f":
        return (int(start) + int(step) * place).astype(element)
    step = np.longdouble(step)
    values = (start + step * place).astype(np.float64).astype(element)
    lanes = 32 // element.itemsize
    whole = count - count % (2 * lanes)
    firsts = values[:whole:lanes, None].astype(np.longdouble)
    values[:whole] = (firsts + step * np.arange(lanes)).astype(np.float64).astype(element).ravel()
    return values


def range(
    start=0, end=None, step=1, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
) -> Tensor:
    """Return start, start + step, ... up to `end`, included, as floats; arange is what PyTorch advises."""
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is "
        "inconsistent with Python's range builtin. Instead, use torch.arange, which produces values in "
        "[start, end).",
        stacklevel=2,
    )
    if end is None:
        start, end = 0, start
    start, end, step = _range_operands("range", (start, end, step), None, None, None)
    count = math.floor((end - start) / step) + 1
    values = start + step * np.arange(count)
    return finish(values.astype(element_type("range", dtype)), device, requires_grad, layout, pin_memory)


def _spaced(name, start, end, steps, dtype) -> np.ndarray:
    """Return what linspace does, as PyTorch computes it: from the nearer end, each number rounded once."""
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer | Tensor):
        raise TypeError(f"{name}: steps must be an int, got {steps!r}")
    steps = int(steps)
    if steps < 0:
        raise RuntimeError(f"{name}: number of steps must be non-negative, got {steps}")
    element = element_type(name, dtype)
    start, end = _number(start), _number(end)
    place = np.arange(steps)
    if element.kind != "f":
        step = (end - start) / max(steps - 1, 1)
        values = np.where(place < steps // 2, start + step * place, end - step * (steps - 1 - place))
        return np.trunc(values).astype(element)
    low, high = element.type(start), element.type(end)
    wide = np.float64 if element == np.float32 else np.longdouble
    step = element.type((high - low) / element.type(max(steps - 1, 1)))
    near = wide(low) + wide(step) * place
    far = wide(high) - wide(step) * (steps - 1 - place)
    return np.where((place < steps // 2) | (steps == 1), near, far).astype(element)


def linspace(
    start, end, steps, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
) -> Tensor:
    """Return `steps` numbers evenly from `start` to `end`, both included."""
    return finish(_spaced("linspace", start, end, steps, dtype), device, requires_grad, layout, pin_memory)


def logspace(
    start,
    end,
    steps,
    base=10.0,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
) -> Tensor:
    """Return `steps` numbers from base ** start to base ** end, evenly spaced in their logarithm."""
    element = element_type("logspace", dtype)
    exponents = _spaced("logspace", start, end, steps, dtype if element.kind == "f" else dtypes.float64)
    values = np.power(exponents.dtype.type(base), exponents)
    return finish(values.astype(element), device, requires_grad, layout, pin_memory)


def meshgrid(*tensors, indexing=None) -> tuple[Tensor, ...]:
    """Return the coordinates of a grid: views of the tensors, all of the grid's shape.

    indexing: "ij", dims in the order of the tensors; "xy", the first two exchanged.
    """
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    if not given:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.",
            stacklevel=2,
        )
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing!r}'
        )
    for x in given:
        if x.ndim > 1:
            raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensors, but got: {x.ndim}-D")
        if x.dtype is not given[0].dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    swap = indexing == "xy" and len(given) > 1
    order = [given[1], given[0], *given[2:]] if swap else given
    shape = [x.numel() for x in order]
    grids = [
        x.reshape([-1 if d == i else 1 for d, _ in enumerate(shape)]).expand(shape)
        for i, x in enumerate(order)
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def tril_indices(row, col, offset=0, *, dtype=None, device=None, layout=None, pin_memory=False) -> Tensor:
    """Return the positions on and below diagonal number `offset` of a (row, col) matrix: (2, count)."""
    found = np.array(np.tril_indices(row, offset, col))
    element = element_type("tril_indices", dtype, dtypes.int64)
    return finish(found.astype(element), device, False, layout, pin_memory)


def triu_indices(row, col, offset=0, *, dtype=None, device=None, layout=None, pin_memory=False) -> Tensor:
    """Return the positions on and above diagonal number `offset` of a (row, col) matrix: (2, count)."""
    found = np.array(np.triu_indices(row, offset, col))
    element = element_type("triu_indices", dtype, dtypes.int64)
    return finish(found.astype(element), device, False, layout, pin_memory)
