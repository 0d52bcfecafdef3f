"""kernels/cpu/memory.py: choosing by a condition."""

import numpy as np
import pytest

from kernels import cpu


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("size", [0, 1, 999, 1000, 5003])
def test_where(size: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    condition = rng.random(size) < 0.5
    x, y = (rng.normal(size=size).astype(dtype) for _ in range(2))
    x[::7] = 0
    number = np.array(3, dtype)
    for a, b in [(x, y), (x, number), (number, y), (number, number), (x[:1], y), (x, x[::-1])]:
        found = cpu.where(condition, a, b) if size else cpu.where(condition, x, y)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, np.where(condition, a, b) if size else x)


def test_where_keeps_nan_where_it_is_chosen_only() -> None:
    condition = np.arange(2000) % 2 == 0
    nan = np.full(2000, np.nan, np.float32)
    found = cpu.where(condition, nan, np.ones_like(nan))
    np.testing.assert_array_equal(np.isnan(found), condition)


def test_where_of_two_dims_and_columns() -> None:
    condition = np.arange(4000).reshape(40, 100) % 3 == 0
    x = np.arange(4000, dtype=np.float32).reshape(40, 100)
    for a, b in [(x, -x), (x.T.copy().T, -x), (x[:, :1], x), (x, x[:1])]:
        np.testing.assert_array_equal(cpu.where(condition, a, b), np.where(condition, a, b))
