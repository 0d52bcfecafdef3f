"""Comparisons and logic: arrays in, bool arrays out (bitwise operations keep the integers' type)."""

from collections.abc import Callable

import numpy as np

_COMPARISONS: dict[str, Callable] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "logical_not": np.logical_not,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "bitwise_not": np.bitwise_not,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "isposinf": np.isposinf,
    "isneginf": np.isneginf,
    "signbit": np.signbit,
    "left_shift": np.left_shift,
    "right_shift": np.right_shift,
}


def compare(name: str, *arrays: np.ndarray) -> np.ndarray:
    """Apply a comparison or a logical operation to broadcasting arrays of one dtype."""
    return np.asarray(_COMPARISONS[name](*arrays))


def isclose(x: np.ndarray, y: np.ndarray, rtol: float, atol: float, equal_nan: bool) -> np.ndarray:
    """Return where abs(x - y) <= atol + rtol * abs(y)."""
    return np.asarray(np.isclose(x, y, rtol, atol, equal_nan))
