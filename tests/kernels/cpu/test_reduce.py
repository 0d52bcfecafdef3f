"""kernels/cpu/reduce.py: sums, extrema and products over any dims, in a fixed order."""

import itertools

import numpy as np
import pytest

from kernels import cpu

SHAPES = [(), (1,), (7,), (2, 3), (3, 1, 4), (2, 3, 4, 5), (0,), (2, 0, 3), (300, 5), (5, 300)]


def all_dims(ndim: int):
    return [c for n in range(ndim + 1) for c in itertools.combinations(range(ndim), n)]


def presented(x: np.ndarray):
    yield x
    yield np.array(x.T, order="C").T
    yield np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sum(shape, dtype: str) -> None:
    x = np.asarray(np.random.default_rng(0).normal(size=shape) * 5).astype(dtype)
    for dims in all_dims(len(shape)):
        for view in presented(x):
            out = cpu.sum(view, dims)
            expected = x.sum(dims, dtype=np.float64 if x.dtype.kind == "f" else np.int64)
            assert out.dtype == (dtype if x.dtype.kind == "f" else np.int64)
            np.testing.assert_allclose(out, expected, 1e-6 if dtype == "float32" else 1e-13, 1e-6)
            assert cpu.sum(view, dims, True).shape == x.sum(dims, keepdims=True).shape


def test_sums_of_float32_are_exact_to_the_last_place() -> None:
    x = np.random.default_rng(0).normal(size=(50, 10_000)).astype(np.float32)
    exact = x.sum(1, dtype=np.float64).astype(np.float32)
    np.testing.assert_array_equal(cpu.sum(x, (1,)), exact)
    np.testing.assert_array_equal(cpu.sum(x.T, (0,)), exact)


def test_sum_keeps_nan_and_infinity() -> None:
    x = np.array([[1.0, np.nan], [np.inf, 1.0], [np.inf, -np.inf]], np.float32)
    np.testing.assert_array_equal(cpu.sum(x, (1,)), np.array([np.nan, np.inf, np.nan], np.float32))


def test_sum_to() -> None:
    grad = np.arange(24.0).reshape(2, 3, 4)
    for shape in [(2, 3, 4), (3, 4), (4,), (1,), (), (3, 1), (1, 1, 4), (2, 1, 1), (1, 3, 4)]:
        lead = grad.ndim - len(shape)
        dims = (*range(lead), *(lead + d for d, n in enumerate(shape) if n == 1))
        np.testing.assert_array_equal(cpu.sum_to(grad, shape), grad.sum(dims).reshape(shape))
    assert cpu.sum_to(np.zeros((0, 3)), (1, 3)).tolist() == [[0.0, 0.0, 0.0]]
    assert cpu.sum_to(np.zeros((3, 1)), (3, 1)).shape == (3, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8"])
def test_extreme(dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 6, (3, 4, 5)).astype(dtype)  # with ties
    for dim, view in itertools.product(range(3), presented(x)):
        for sign, best, where in ((1, np.max, np.argmax), (-1, np.min, np.argmin)):
            values, positions = cpu.extreme(view, dim, sign)
            np.testing.assert_array_equal(values, best(x, dim))
            np.testing.assert_array_equal(positions, where(x, dim))
            assert positions.dtype == np.int64


def test_extreme_finds_the_first_nan() -> None:
    x = np.array([[1.0, np.nan, np.nan], [np.inf, 2.0, np.nan], [-np.inf, np.inf, 0.0]])
    for sign, expected in ((1, [1, 2, 1]), (-1, [1, 2, 0])):
        assert cpu.extreme(x, 1, sign)[1].tolist() == expected


def test_square_deviation_and_prod() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    for dims in all_dims(3):
        mean = x.mean(dims, keepdims=True)
        np.testing.assert_allclose(
            cpu.square_deviation(x, mean, dims), ((x - mean) ** 2).sum(dims), 1e-12, 1e-12
        )
        np.testing.assert_allclose(cpu.prod(x, dims), x.prod(dims), 1e-12)
        grad = np.random.default_rng(1).normal(size=x.prod(dims).shape)
        expected = np.expand_dims(grad * x.prod(dims), dims) / x
        np.testing.assert_allclose(cpu.prod_dx(x, grad, dims), expected, 1e-10)


def test_prod_dx_with_zeros() -> None:
    assert cpu.prod_dx(np.array([2.0, 0.0, 3.0]), np.array(1.0), (0,)).tolist() == [0.0, 6.0, 0.0]
    assert cpu.prod_dx(np.array([0.0, 0.0, 3.0]), np.array(1.0), (0,)).tolist() == [0.0, 0.0, 0.0]


def test_cumsum() -> None:
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(cpu.cumsum(x, 1), np.cumsum(x, 1))
    np.testing.assert_array_equal(cpu.cumsum(x, 1, from_end=True), [[3.0, 3.0, 2.0], [12.0, 9.0, 5.0]])
    assert cpu.cumsum(np.array([True, True]), 0).dtype == np.int64


def test_the_bits_do_not_depend_on_the_number_of_threads() -> None:
    x = np.random.default_rng(0).normal(size=(700, 900)).astype(np.float32)
    before = cpu.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            cpu.set_num_threads(threads)
            results.append([cpu.sum(x, (0,)), cpu.sum(x, (1,)), cpu.sum(x, (0, 1)), cpu.extreme(x, 0, 1)[0]])
    finally:
        cpu.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
