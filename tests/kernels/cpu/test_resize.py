"""Resizing kernels: tables of known cases, and the gradient as the adjoint."""

import numpy as np
import pytest

from kernels import cpu


def table(mode, old, new, scale=None, align=False, dtype="float64"):
    return cpu.resize_table(mode, old, new, scale, align, np.dtype(dtype))


def test_nearest_repeats():
    sources, weights = table("nearest", 3, 6)
    assert sources[:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert (weights == 1).all()


def test_linear_between_aligned_corners():
    x = np.array([[0.0, 3.0]])
    out = cpu.resize(x, 1, 2, table("linear", 2, 4, align=True))
    np.testing.assert_allclose(out, [[0, 1, 2, 3]])


@pytest.mark.parametrize(
    "mode", ["nearest", "nearest-exact", "linear", "cubic", "linear-antialias", "cubic-antialias"]
)
@pytest.mark.parametrize("new", [3, 11])
def test_weights_sum_to_1_and_the_gradient_is_the_adjoint(mode, new):
    rng = np.random.default_rng(0)
    how = table(mode, 7, new)
    np.testing.assert_allclose(how[1].sum(1), 1, rtol=1e-12)
    x, y = rng.normal(size=(2, 7, 3)), rng.normal(size=(2, new, 3))
    there, back = cpu.resize(x, 1, 7, how), cpu.resize_dx(y, 1, 7, how)
    assert (there * y).sum() == pytest.approx((x * back).sum())
