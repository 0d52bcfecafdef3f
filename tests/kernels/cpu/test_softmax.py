"""kernels/cpu/softmax.py: stable rows, whatever their layout."""

import numpy as np
import pytest

from kernels import cpu


def reference(x: np.ndarray, dim: int) -> np.ndarray:
    e = np.exp(x.astype(np.float64) - x.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3,), (2, 5), (4, 1), (2, 3, 4), (64, 10), (3, 1000)], ids=str)
def test_forward_and_backward(shape, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, grad = (np.asarray(rng.normal(size=shape) * 5).astype(dtype) for _ in range(2))
    tolerance = 2e-6 if dtype == "float32" else 1e-13
    for dim in range(len(shape)):
        for view in (x, np.array(x.T, order="C").T):
            soft, log = cpu.softmax(view, dim), cpu.log_softmax(view, dim)
            assert soft.dtype == log.dtype == dtype
            np.testing.assert_allclose(soft, reference(x, dim), tolerance, tolerance)
            np.testing.assert_allclose(log, np.log(reference(x, dim)), tolerance, 10 * tolerance)
            p = reference(x, dim)
            g = grad.astype(np.float64)
            expected = p * (g - (g * p).sum(dim, keepdims=True))
            np.testing.assert_allclose(
                cpu.softmax_dx(soft, grad, dim),
                expected,
                1e-4 if dtype == "float32" else 1e-10,
                20 * tolerance,
            )
            expected = g - p * g.sum(dim, keepdims=True)
            np.testing.assert_allclose(
                cpu.log_softmax_dx(log, grad, dim),
                expected,
                1e-4 if dtype == "float32" else 1e-10,
                20 * tolerance,
            )


def test_stability() -> None:
    x = np.array([[1000.0, 0.0], [-1000.0, -1001.0], [1e38, -1e38]], np.float32)
    soft = cpu.softmax(x, 1)
    assert np.isfinite(soft).all()
    np.testing.assert_allclose(soft.sum(1), 1.0)
    assert cpu.log_softmax(x, 1)[0].tolist() == [0.0, -1000.0]


def test_nll_and_its_gradients() -> None:
    log_probs = cpu.log_softmax(np.random.default_rng(0).normal(size=(4, 3)), 1)
    target = np.array([0, 2, -100, 1])
    losses = cpu.nll(log_probs, target, -100)
    np.testing.assert_array_equal(losses, [-log_probs[0, 0], -log_probs[1, 2], 0.0, -log_probs[3, 1]])
    scale = np.array([1.0, 2.0, 3.0, 4.0])
    one_hot = np.zeros((4, 3))
    one_hot[[0, 1, 3], [0, 2, 1]] = 1.0
    np.testing.assert_allclose(cpu.nll_dx(log_probs, target, -100, scale), -one_hot * scale[:, None])
    kept = (target != -100)[:, None]
    expected = (np.exp(log_probs) - one_hot) * scale[:, None] * kept
    np.testing.assert_allclose(cpu.cross_entropy_dx(log_probs, target, -100, scale), expected, 1e-12, 1e-12)


def test_nothing() -> None:
    for shape in [(0, 3), (3, 0)]:
        assert cpu.softmax(np.zeros(shape), 1).shape == shape
        assert cpu.log_softmax(np.zeros(shape), 0).shape == shape
