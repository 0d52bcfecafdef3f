"""tensor/vector_norm.py: p-norms over every set of dims, in every memory layout, with gradients."""

import numpy as np
import pytest

import tensor

INF = float("inf")


@pytest.mark.parametrize("p", [2, 1, 1.5, 3, 0.5, INF, -INF, 0, "fro"])
@pytest.mark.parametrize("dim", [None, 0, 1, -1, (0, 1)])
def test_norm(check, p, dim) -> None:
    x = check.numbers(3, 4)
    check.op("norm", lambda T, x: x.norm(p, dim), [x], gradient=p != 0)
    check.op("norm", lambda T, x: T.norm(x, p, dim, keepdim=True), [x], gradient=p != 0, all_layouts=False)


def test_norm_at_zero(check) -> None:
    check.op("norm", lambda T, x: x.norm(), [np.zeros(3)], differences=False)
    check.op("norm", lambda T, x: x.norm(dim=1), [np.array([[0.0, 0.0], [3.0, 4.0]])], differences=False)
    check.op("norm", lambda T, x: x.norm(1), [np.array([0.0, -1.0])], differences=False)


def test_distance_and_limit(check) -> None:
    x, y = check.numbers(3, 4), check.numbers(3, 4, seed=1)
    check.op("dist", lambda T, x, y: T.dist(x, y, 3), [x, y], lambda x, y: (abs(x - y) ** 3).sum() ** (1 / 3))
    check.op("renorm", lambda T, x: x.renorm(2, 0, 1.5), [x])


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, INF])
def test_the_gradient_at_zero_is_zero(p) -> None:
    x = tensor.zeros(3, requires_grad=True)
    x.norm(p).backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_count_of_what_is_not_zero() -> None:
    assert tensor.tensor([0.0, 2.0, -1.0]).norm(0).item() == 2.0
    assert np.isnan(tensor.tensor([1.0, float("nan")]).norm().item())
