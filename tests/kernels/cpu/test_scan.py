"""kernels/cpu/scan.py: running results along each dimension."""

import numpy as np
import pytest

from kernels import cpu

rng = np.random.default_rng(0)
SHAPES = [(), (5,), (1,), (0,), (3, 4), (4, 0), (2, 3, 4)]
CASES = [(shape, dim) for shape in SHAPES for dim in range(max(len(shape), 1))]


def along(x, dim, function):
    """Apply a function of one line along a dimension."""
    if x.ndim == 0:
        return function(x.reshape(1)).reshape(())
    return np.apply_along_axis(function, dim, x) if x.size else x


@pytest.mark.parametrize(("shape", "dim"), CASES)
def test_sums_products_and_logarithms(shape, dim) -> None:
    x = rng.normal(size=shape)
    close = np.testing.assert_allclose
    close(cpu.cumsum(x, dim), along(x, dim, np.cumsum))
    close(cpu.cumsum(x, dim, from_end=True), along(x, dim, lambda v: np.cumsum(v[::-1])[::-1]))
    close(cpu.cumprod(x, dim), along(x, dim, np.cumprod))
    close(cpu.logcumsumexp(x, dim), along(x, dim, lambda v: np.log(np.cumsum(np.exp(v)))))
    whole = np.asarray(x * 10).astype(np.int64)
    close(cpu.cumsum(whole, dim), along(whole, dim, np.cumsum))
    close(cpu.cumsum(whole, dim, from_end=True), along(whole, dim, lambda v: np.cumsum(v[::-1])[::-1]))
    close(cpu.cumprod(whole, dim), along(whole, dim, np.cumprod))


@pytest.mark.parametrize(("shape", "dim"), CASES)
@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_the_gradient_of_products_needs_no_division(shape, dim, zeros) -> None:
    x, grad = np.asarray(rng.normal(size=shape)), np.asarray(rng.normal(size=shape))
    x.reshape(-1)[: 2 * zeros : 2] = 0

    def slope(places):
        line, g = x.reshape(-1)[places], grad.reshape(-1)[places]
        out = np.zeros(line.size)
        for i in range(line.size):
            for j in range(i, line.size):
                out[i] += g[j] * np.prod(np.delete(line[: j + 1], i))
        return out

    places = np.arange(x.size).reshape(shape)
    expected = along(places.astype(float), dim, lambda v: slope(v.astype(int)))
    np.testing.assert_allclose(cpu.cumprod_dx(x, grad, dim), expected, atol=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("shape", "dim"), CASES)
def test_extrema_take_the_last_of_equals_and_keep_nan(shape, dim, sign) -> None:
    x = rng.choice([1.0, 2.0, 3.0, np.nan], shape, p=[0.3, 0.3, 0.3, 0.1])
    x = np.asarray(x)
    values, places = cpu.cumextreme(x, dim, sign)

    def position(line):
        best, found = 0, []
        for j, value in enumerate(line):
            better = value >= line[best] if sign > 0 else value <= line[best]
            if np.isnan(value) or (better and not np.isnan(line[best])):
                best = j
            found.append(best)
        return np.array(found, float)

    expected = along(x, dim, position).astype(np.int64)
    np.testing.assert_array_equal(places, expected)
    taken = np.take_along_axis(x, expected, dim) if x.ndim else x
    np.testing.assert_array_equal(values, taken)


def test_logarithms_do_not_overflow() -> None:
    x = np.array([-np.inf, -np.inf, 1000.0, 1000.0, -1000.0], np.float32)
    expected = np.array([-np.inf, -np.inf, 1000, 1000 + np.log(2), 1000 + np.log(2)], np.float32)
    np.testing.assert_allclose(cpu.logcumsumexp(x, 0), expected)
    assert np.isnan(cpu.logcumsumexp(np.array([0.0, np.nan, 0.0]), 0)[1:]).all()
