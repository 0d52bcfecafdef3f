"""Comparisons and logic: arrays in, bool arrays out."""

import numpy as np

_COMPARISONS = {
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
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
}


def compare(name: str, *arrays: np.ndarray) -> np.ndarray:
    """Apply a comparison or a logical operation to broadcasting arrays; returns bools."""
    return np.asarray(_COMPARISONS[name](*arrays))
