"""Distinct elements, and counting how many fall where."""

import numpy as np


def unique(x: np.ndarray, dim: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the distinct elements (slices along `dim`) in order, where each of x stands there, how often."""
    found, inverse, counts = np.unique(x, return_inverse=True, return_counts=True, axis=dim, equal_nan=False)
    inverse = inverse.reshape(x.shape if dim is None else -1)
    return found, inverse.astype(np.int64), counts.astype(np.int64)


def unique_only(x: np.ndarray) -> np.ndarray:
    """Return the distinct elements in order."""
    return np.unique(x, equal_nan=False)


def unique_consecutive(x: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x without slices along `dim` equal to the one before, where each is in that, and run lengths."""
    length = x.shape[dim]
    rows = np.moveaxis(x, dim, 0).reshape(length, x.size // max(length, 1))
    starts = np.ones(length, bool)
    starts[1:] = (rows[1:] != rows[:-1]).any(-1)
    first = np.flatnonzero(starts)
    counts = np.diff(np.append(first, length))
    return np.take(x, first, dim), np.cumsum(starts, dtype=np.int64) - 1, counts.astype(np.int64)


def isin(x: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return which elements of x are among others; nan is in nothing."""
    return np.asarray(np.isin(x, among))


def bincount(x: np.ndarray, weights: np.ndarray | None, least: int) -> np.ndarray:
    """Return how often, or with what weight, each of 0, 1, 2, ... stands in x; at least `least` numbers."""
    return np.bincount(x, weights, least)


def searchsorted(row: np.ndarray, values: np.ndarray, right: bool) -> np.ndarray:
    """Return where in sorted rows (the last dimension) values belong: before equals, or after them."""
    length = row.shape[-1]
    if row.ndim == 1:
        return _place(row, values, right)
    low, high = np.zeros(values.shape, np.int64), np.full(values.shape, length, np.int64)
    for _ in range(length.bit_length()):
        middle = (low + high) // 2
        found = np.take_along_axis(row, np.minimum(middle, length - 1), -1)
        on = ~(found > values if right else found >= values) & (low < high)
        low, high = np.where(on, middle + 1, low), np.where(on, high, np.minimum(middle, high))
    return low


def _place(row: np.ndarray, values: np.ndarray, right: bool) -> np.ndarray:
    places = np.asarray(np.searchsorted(row, values, "right" if right else "left"), np.int64)
    if values.dtype.kind == "f":
        places = np.where(np.isnan(values), row.size, places)  # after all, also after nan
    return places


def even_edges(low: float, high: float, bins: int, dtype: np.dtype) -> np.ndarray:
    """Return the bins + 1 edges of equal intervals of [low, high], rounded alike from both ends."""
    low, high = dtype.type(low), dtype.type(high)
    step, places = (high - low) / dtype.type(bins), np.arange(bins + 1).astype(dtype)
    from_end = high - step * (bins - places)
    return np.where(places < (bins + 1) // 2, low + step * places, from_end).astype(dtype)


def histogram(x: np.ndarray, edges: np.ndarray, weights: np.ndarray | None, even: bool) -> np.ndarray:
    """Return how many, or what weights, of x lie in each bin between edges; the last has both its edges.

    even: find the bin by arithmetic, for edges at even distances.
    """
    x, count = x.reshape(-1), edges.size - 1
    inside = (x >= edges[0]) & (x <= edges[-1])
    x = x[inside]
    if even:
        places = ((x - edges[0]) * x.dtype.type(count) / (edges[-1] - edges[0])).astype(np.int64)
    else:
        places = np.searchsorted(edges, x, "right") - 1
    weights = None if weights is None else weights.reshape(-1)[inside]
    return np.bincount(np.minimum(places, count - 1), weights, count).astype(edges.dtype)
