"""kernels/cpu/indexing.py: reading, writing and adding at positions."""

import numpy as np
import pytest

from kernels import cpu

INDICES = [
    np.array([0, 2, 2, -1]),
    np.array([[0, 1], [2, 0]]),
    np.array([], np.int64),
    (np.array([0, 1]), np.array([1, 1])),
    (slice(None), np.array([3, 0, 3])),
    (np.array([0, 2]), slice(None), np.array([1, 0])),
    np.array([True, False, True]),
    (slice(None), np.array([True, False, True, False])),
    (np.array([[0], [2]]), np.array([1, 3])),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("index", INDICES, ids=str)
def test_take_put_and_scatter_add(index, dtype: str) -> None:
    x = np.arange(24).reshape(3, 4, 2).astype(dtype)
    taken = cpu.take(x, index)
    np.testing.assert_array_equal(taken, x[index])
    assert not np.shares_memory(taken, x)
    values = np.arange(1, taken.size + 1).reshape(taken.shape).astype(dtype)
    expected = np.zeros_like(x)
    np.add.at(expected, index, values)
    np.testing.assert_array_equal(cpu.scatter_add(values, index, x.shape), expected)
    np.testing.assert_array_equal(cpu.scatter_add(np.asfortranarray(values), index, x.shape), expected)
    written, wanted = x.copy(), x.copy()
    cpu.put(written, index, values)
    wanted[index] = values
    np.testing.assert_array_equal(written, wanted)


def test_rows_of_a_vector_and_of_nothing() -> None:
    assert cpu.scatter_add(np.ones(3), np.array([1, 1, 0]), (2,)).tolist() == [1.0, 2.0]
    assert cpu.scatter_add(np.ones((2, 0)), np.array([1, 1]), (2, 0)).shape == (2, 0)
    assert cpu.scatter_add(np.ones((0, 3)), np.array([], np.int64), (2, 3)).tolist() == [[0.0] * 3] * 2
    assert cpu.scatter_add(np.ones((0, 3)), np.array([], np.int64), (0, 3)).shape == (0, 3)


def test_along() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    for dim in range(3):
        positions = np.argsort(x, dim)
        np.testing.assert_array_equal(
            cpu.take(x, cpu.along(positions, dim)), np.take_along_axis(x, positions, dim)
        )


def test_nonzero() -> None:
    assert cpu.nonzero(np.array([[0, 1], [2, 0]])).tolist() == [[0, 1], [1, 0]]
    assert cpu.nonzero(np.array(3.0)).shape == (1, 0)
    assert cpu.nonzero(np.array(0.0)).shape == (0, 0)


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_along_large_and_small_alike(dim, dtype) -> None:
    rng = np.random.default_rng(0)
    for shape in ((3, 4, 5), (20, 30, 40)):
        x = rng.integers(-9, 9, shape).astype(dtype)
        places = list(shape)
        places[dim] = 17
        positions = rng.integers(0, shape[dim], places)
        index = cpu.along(positions, dim)
        values = rng.integers(-9, 9, places).astype(dtype)
        np.testing.assert_array_equal(cpu.take(x, index), np.take_along_axis(x, positions, dim))
        np.testing.assert_array_equal(cpu.take(x.T.copy().T, index), np.take_along_axis(x, positions, dim))
        expected = np.zeros(shape, dtype)
        np.add.at(expected, tuple(index), values)
        np.testing.assert_array_equal(cpu.scatter_add(values, index, shape), expected)
        written, expected = x.copy(), x.copy()
        cpu.put(written, index, values)
        expected[tuple(index)] = values
        np.testing.assert_array_equal(written, expected)
        cpu.put(written, index, np.zeros((), dtype))
        expected[tuple(index)] = 0
        np.testing.assert_array_equal(written, expected)


def test_unravel_counts_from_the_end_too() -> None:
    rows, columns = cpu.unravel(np.array([0, 5, -1]), (3, 4))
    np.testing.assert_array_equal(rows, [0, 1, 2])
    np.testing.assert_array_equal(columns, [0, 1, 3])
