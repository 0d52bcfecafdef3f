"""What counts as a plain number, and what to say about the rest."""

import math
from numbers import Real
from typing import Any, NoReturn


def to_float(data: Any, operation: str) -> float:
    """Return `data` as a float; raise a TypeError that names `operation` where it is no number."""
    if type(data) is float:
        return data
    if isinstance(data, Real):
        try:
            return float(data)
        except OverflowError:  # an int beyond all floats rounds to inf, as IEEE 754 says
            return math.inf if data > 0 else -math.inf  # type: ignore[operator]
    if type(data).__module__ == "numpy" and getattr(data, "shape", None) == () and data.dtype.kind in "biuf":
        return float(data)  # a bool, or an array of no dimensions; the other scalars are Real
    _refuse(data, operation)


def _refuse(data: Any, operation: str) -> NoReturn:
    expected = "a number" if operation == "Value" else "a Value or a number"
    if isinstance(data, str):
        repair = "convert it with float(...)"
    elif data is None:
        repair = "does a function lack its return?"
    elif getattr(data, "shape", None) == ():
        repair = "take its .item()"
    elif hasattr(data, "__len__") or hasattr(data, "__iter__"):
        repair = "go through its elements one at a time"
    elif hasattr(data, "grad"):  # a Value where only a number makes sense
        expected, repair = "a number", "use it as it is, or take its .data"
    else:
        repair = "convert it to a float"
    shown = repr(data) if len(repr(data)) <= 40 else f"{repr(data)[:37]}..."
    raise TypeError(f"{operation}: expected {expected}, got {type(data).__name__} {shown}; {repair}")
