"""Finite differences of one operation, along one direction: what its backward is compared with."""

import copy
import math
from typing import Any

import numpy as np

from micro.text import show_number
from tensor import random
from tensor.autograd.grad_mode import no_grad
from tensor.autograd.keeping import paused
from tensor.autograd.operation import Operation
from tensor.devices import kernels_of, to_host

_NO_FORWARD = Operation.forward
_STEP = 1e-6  # of the size of the operand; the error of a central difference in float64 is about its square


def measure_flow(node, place: int, grad, added) -> tuple[float | None, str]:
    """Return how fast the result, weighed by `grad`, changes with operand `place` along a direction; a note.

    Computed in float64 from the values that were kept. The note says what the backward says along the same
    direction, or why there is nothing to measure. added: what the backward gave for that operand.
    """
    notes = node.notes
    if notes is None or not notes.values or any(v is None for v in notes.values):
        return None, "not measured: its operands were not kept"
    if not node.repeatable:
        return None, "not measured: it cannot be run again"
    arrays = [_to_double(to_host(v._array)) for v in notes.values]
    x = arrays[place]
    if x.dtype.kind != "f" or not x.size:
        return None, ""
    if not np.isfinite(x).all():
        return None, "not measured: the operand is not finite"
    direction = np.random.default_rng(0).uniform(-1.0, 1.0, x.shape) if x.ndim else np.ones(())
    h = _STEP * max(float(np.abs(x).max()), 1e-3)
    weights = _to_double(to_host(grad))
    try:
        right, middle, left = (
            float((_run_again(node, arrays, place, np.asarray(x + sign * h * direction)) * weights).sum())
            for sign in (1.0, 0.0, -1.0)
        )
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        return None, f"not measured: {error}"
    measured = (right - left) / (2.0 * h)
    if not math.isfinite(measured):
        return None, "not measured: not finite on both sides"
    told = float((_to_double(to_host(added)) * direction).sum())
    where = "along one direction " if x.ndim else ""
    note = f"{where}the backward says {show_number(told)}, differences {show_number(measured)}"
    return measured, note + _find_kink(told, measured, (middle - left) / h, (right - middle) / h)


def _find_kink(told: float, measured: float, left: float, right: float) -> str:
    """Return what to say where both are right: where slopes differ there is none, and any between them is."""
    size = 1e-3 * max(abs(told), abs(measured), 1e-3)
    if abs(told - measured) < size or abs(right - left) < size:
        return ""
    return f" (a kink: {show_number(left)} on one side, {show_number(right)} on the other)"


def _to_double(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _run_again(node, arrays: list, place: int, x) -> np.ndarray:
    """Return the result of the operation with another operand, in float64, leaving no trace."""
    kind: Any = type(node)
    fresh = kind.__new__(kind)
    fresh.needs = (False,) * len(arrays)
    options = {name: _copy_option(value) for name, value in node.notes.options.items()}
    k = kernels_of(x)
    operands = [x if i == place else a for i, a in enumerate(arrays)]
    generator = random.find_generator()
    state = generator.get_state()
    try:
        with no_grad(), paused():
            if kind.forward is _NO_FORWARD:
                operands[0] = operands[0].copy()
                fresh.overwrite(k, *operands, **options)
                return operands[0]
            out = fresh.forward(k, *operands, **options)
            handed = [value for value in options.values() if isinstance(value, np.ndarray)]
            if any(out is value or out.base is value for value in handed):
                raise ValueError("its result was found by another kernel, and is handed to it")
            return out
    finally:
        generator.set_state(state)


def _copy_option(value):
    """Return an option that the operation may write to, as running means are."""
    is_array = hasattr(value, "dtype") and hasattr(value, "strides")
    return np.array(_to_double(to_host(value))) if is_array else copy.copy(value)
