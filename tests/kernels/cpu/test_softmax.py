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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_and_their_gradients(weighted: bool, reduction: str, dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(dtype)
    target = np.array([0, 2, -100, 1])
    class_weight = np.array([0.5, 2.0, 3.0], dtype) if weighted else None
    one_hot = np.zeros((4, 3))
    one_hot[[0, 1, 3], [0, 2, 1]] = 1.0
    weights = one_hot @ (class_weight if weighted else np.ones(3))
    grad = np.array([1.0, 2.0, 3.0, 4.0], dtype) if reduction == "none" else np.array(2.0, dtype)
    scale = weights * grad / (weights.sum() if reduction == "mean" else 1.0)
    options = {"ignore_index": -100, "class_weight": class_weight, "reduction": reduction}
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-13}

    p = reference(x, 1)
    losses = -(one_hot * np.log(p)).sum(1) * weights
    expected = {"mean": losses.sum() / weights.sum(), "sum": losses.sum(), "none": losses}[reduction]
    found, log_probs = cpu.cross_entropy(x, target, **options)
    assert found.dtype == log_probs.dtype == dtype
    np.testing.assert_array_equal(log_probs, cpu.log_softmax(x, 1))
    np.testing.assert_array_equal(found, cpu.nll(log_probs, target, **options))
    np.testing.assert_allclose(found, expected, **close)
    found = cpu.cross_entropy_dx(log_probs, target, **options, grad=grad)
    np.testing.assert_allclose(found, (p - one_hot) * scale[:, None], **close)
    found = cpu.nll_dx(log_probs, target, **options, grad=grad)
    np.testing.assert_allclose(found, -one_hot * scale[:, None], **close)


@pytest.mark.parametrize("loss", ["nll", "cross_entropy"])
@pytest.mark.parametrize("bad", [3, -1, 1 << 40])
def test_a_target_that_is_no_class(bad: int, loss: str) -> None:
    with pytest.raises(IndexError, match=f"^{bad}$"):
        getattr(cpu, loss)(np.zeros((3, 3)), np.array([0, bad, 1]), -100, None, "mean")


def test_nothing() -> None:
    for shape in [(0, 3), (3, 0)]:
        assert cpu.softmax(np.zeros(shape), 1).shape == shape
        assert cpu.log_softmax(np.zeros(shape), 0).shape == shape
