"""kernels/cpu/sorting.py: the order of every element type, equals and nan included."""

import numpy as np
import pytest

from kernels import cpu

rng = np.random.default_rng(0)
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 5e-324, -5e-324, 1e300])
ROWS = {
    "float32": rng.integers(-9, 9, (7, 50)).astype(np.float32) / 2,
    "float64": rng.normal(size=(7, 50)),
    "float64 with equals": rng.integers(-3, 3, (7, 50)) * 1e-300,
    "special": rng.choice(SPECIAL, (7, 50)),
    "special float32": rng.choice(SPECIAL[:7], (7, 50)).astype(np.float32),
    "int64": rng.integers(-(2**62), 2**62, (7, 50)),
    "int64 with equals": rng.choice([-(2**63), 2**63 - 1, 0, 1, -1], (7, 50)),
    "int64, few": rng.integers(0, 5, (7, 50)),
    "int32": rng.integers(-(2**31), 2**31 - 1, (7, 50)).astype(np.int32),
    "uint8": rng.integers(0, 255, (7, 50)).astype(np.uint8),
    "bool": rng.random((7, 50)) > 0.5,
}


def place(value) -> tuple:
    """Return what Python sorts by: nan after all numbers."""
    return (value != value, 0 if value != value else value)


def expected_order(row, descending):
    # Python's sort is stable, also in reverse
    return sorted(range(len(row)), key=lambda i: place(row[i]), reverse=descending)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("name", ROWS)
def test_sort_is_stable(name, descending) -> None:
    x = ROWS[name]
    values, order = cpu.sort(x, 1, descending)
    expected = np.array([expected_order(row, descending) for row in x.tolist()])
    np.testing.assert_array_equal(order, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(x, expected, 1))
    columns, order = cpu.sort(np.ascontiguousarray(x.T), 0, descending)
    np.testing.assert_array_equal(order, expected.T)
    np.testing.assert_array_equal(columns, values.T)


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("count", [0, 1, 7, 49, 50])
def test_topk_is_the_start_of_a_sort(name, count, largest) -> None:
    x = ROWS[name]
    values, places = cpu.topk(x, count, 1, largest)
    expected = cpu.sort(x, 1, largest)[0][:, :count]
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(np.take_along_axis(x, places, 1), expected)
    assert all(len(set(row)) == count for row in places.tolist())


@pytest.mark.parametrize("name", ROWS)
def test_kth_median_and_mode(name) -> None:
    x = ROWS[name]
    ordered = cpu.sort(x, 1, False)[0]
    for k in (0, 13, 49):
        values, places = cpu.kth(x, k, 1)
        np.testing.assert_array_equal(values, ordered[:, k])
        np.testing.assert_array_equal(np.take_along_axis(x, places[:, None], 1)[:, 0], values)
    for row in x:
        numbers = row[row == row]
        value, at = cpu.median(row, 0, True)
        np.testing.assert_array_equal(value, np.sort(numbers)[(numbers.size - 1) // 2])
        assert row[at] == value
        value, at = cpu.median(row, 0, False)
        assert (value != value) == (numbers.size < row.size)
        value, at = cpu.mode(row, 0)
        found, counts = np.unique(numbers, return_counts=True)
        assert value == found[counts.argmax()]
        assert at == np.flatnonzero(row == value)[-1]
