"""kernels/cpu/counting.py: places in sorted rows, and bins."""

import numpy as np
import pytest

from kernels import cpu

rng = np.random.default_rng(0)


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("length", [0, 1, 2, 7, 8, 33])
def test_searchsorted_in_rows(length, right) -> None:
    rows = np.sort(rng.integers(0, 9, (4, length)).astype(float), -1)
    values = rng.integers(-1, 10, (4, 20)).astype(float)
    found = cpu.searchsorted(rows, values, right)
    for row, value, places in zip(rows, values, found, strict=True):
        np.testing.assert_array_equal(places, np.searchsorted(row, value, "right" if right else "left"))
        np.testing.assert_array_equal(places, cpu.searchsorted(row, value, right))


def test_nan_belongs_after_all() -> None:
    row = np.array([1.0, 2.0, np.nan])
    values = np.array([np.nan, 3.0])
    np.testing.assert_array_equal(cpu.searchsorted(row, values, False), [3, 2])
    np.testing.assert_array_equal(cpu.searchsorted(row[None, :2], values[None], False), [[2, 2]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_histogram_counts_each_element_once(dtype) -> None:
    x = rng.normal(size=500).astype(dtype)
    edges = cpu.even_edges(x.min(), x.max(), 13, np.dtype(dtype))
    assert edges.size == 14
    assert edges[0] == x.min()
    assert edges[-1] == x.max()
    for even in (False, True):
        counts = cpu.histogram(x, edges, None, even)
        assert counts.sum() == 500
        np.testing.assert_allclose(counts, np.histogram(x, edges)[0], atol=even)


def test_runs() -> None:
    found, inverse, counts = cpu.unique_consecutive(np.array([1, 1, 2, 1, 1, 1]), 0)
    assert (found.tolist(), inverse.tolist(), counts.tolist()) == ([1, 2, 1], [0, 0, 1, 2, 2, 2], [2, 1, 3])
