"""tensor/vector_norm.py: p-norms over every set of dims, in every memory layout, with gradients."""

import numpy as np
import pytest

import tensor

INF = float("inf")


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, INF, -INF])
@pytest.mark.parametrize("dim", [None, 0, (1, 2)])
def test_norm(check, p, dim) -> None:
    check.op("norm", lambda T, x: T.norm(x, p, dim, keepdim=True), [check.numbers(2, 3, 4)])


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
