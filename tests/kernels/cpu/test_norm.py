"""kernels/cpu/norm.py and its users: sizes around every block, both ways in the pool, beside float64."""

import numpy as np
import pytest

from kernels import cpu

EPS = 1e-3


def expect(x, grad, weight, axes, spread):
    """Return result and gradients in x, weight and bias of a normalisation over `axes`, in float64.

    spread: the axes over which weight and bias are repeated.
    """
    x, grad, weight = (a.astype(np.float64) for a in (x, grad, weight))
    mean = x.mean(axes, keepdims=True)
    rstd = 1 / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + EPS)
    normal, g = (x - mean) * rstd, grad * weight
    dx = rstd * (g - g.mean(axes, keepdims=True) - normal * (g * normal).mean(axes, keepdims=True))
    return normal * weight, dx, (grad * normal).sum(spread).ravel(), grad.sum(spread).ravel()


def assert_near(found, expected, dtype: str) -> None:
    tolerance = 3e-5 if dtype == "float32" else 1e-10
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, tolerance, tolerance * max(1.0, np.abs(b).max()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(2, 3), (63, 65), (129, 200), (65, 3, 1), (3, 2, 17), (9, 5, 400), (2, 1, 30000)], ids=str
)
def test_batch_norm(shape, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, grad = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    weight = rng.standard_normal(shape[1]).astype(dtype)
    bias = np.zeros(shape[1], dtype)
    axes = (0, *range(2, len(shape)))
    wide = weight.reshape(-1, *[1] * (len(shape) - 2))
    expected = expect(x, grad, wide, axes, axes)
    out, stats = cpu.batch_norm(x, weight, bias, None, None, True, 0.1, EPS)
    assert stats.dtype == np.float64
    assert_near((out, *cpu.batch_norm_dx(x, grad, weight, stats, True)), expected, dtype)
    none, *rest = cpu.batch_norm_dx(x, grad, weight, stats, True, wants_dx=False)
    assert none is None
    assert_near(rest, expected[2:], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(1, 5), (2, 3), (33, 64), (131, 2), (70, 2049), (3, 5000), (4000, 7)], ids=str
)
def test_layer_norm(shape, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, grad = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    weight = rng.standard_normal(shape[1]).astype(dtype)
    expected = expect(x, grad, weight, (1,), (0,))
    out, stats = cpu.layer_norm(x, shape[1], weight, None, EPS)
    assert_near((out, *cpu.layer_norm_dx(x, grad, shape[1], weight, stats)), expected, dtype)
    only = cpu.layer_norm_dx(x, grad, shape[1], weight, stats, wants_rest=False)[0]
    assert_near([only], [expected[1]], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "groups"),
    [((2, 6, 3), 3), ((5, 8, 500), 2), ((3, 4, 1), 2), ((1, 2, 9000), 1), ((3, 4, 7), 4)],
    ids=str,
)
def test_group_norm(shape, groups: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, grad = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    weight = rng.standard_normal(shape[1]).astype(dtype)
    split = (shape[0], groups, shape[1] // groups, shape[2])
    wide = weight.reshape(1, groups, -1, 1)
    out, dx, dweight, dbias = expect(x.reshape(split), grad.reshape(split), wide, (2, 3), (0, 3))
    found, stats = cpu.group_norm(x, groups, weight, None, EPS)
    expected = out.reshape(shape), dx.reshape(shape), dweight, dbias
    assert_near((found, *cpu.group_norm_dx(x, grad, groups, weight, stats)), expected, dtype)
