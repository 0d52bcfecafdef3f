"""tensor/scattering.py: gather and scatter along every dim, in every memory layout, with gradients."""

import numpy as np
import pytest

import tensor

POSITIONS = np.random.default_rng(0).integers(0, 3, (3, 4))
DISTINCT = np.array([[2, 0, 1, 1], [0, 1, 2, 0], [1, 2, 0, 2]])  # no column names a row twice


def place(T, x, positions):
    return T.tensor(positions, device=x.device)


OPERATIONS = {
    "gather": lambda T, x, y: x.gather(0, place(T, x, POSITIONS)) * y,
    "gather, 1": lambda T, x, y: T.gather(x, 1, place(T, x, POSITIONS[:, :2])) * y[:, :2],
    "take_along_dim": lambda T, x, y: T.take_along_dim(x, place(T, x, POSITIONS[:1]), 0) + y,
    "scatter": lambda T, x, y: T.scatter(x, 0, place(T, x, DISTINCT), y),
    "scatter in place": lambda T, x, y: x.clone().scatter_(0, place(T, x, DISTINCT), y),
    "scatter a number": lambda T, x, y: x.scatter(1, place(T, x, POSITIONS), 2.5) * y,
    "scatter_add": lambda T, x, y: T.scatter_add(x, 0, place(T, x, POSITIONS), y),
    "scatter_add in place": lambda T, x, y: x.clone().scatter_add_(1, place(T, x, POSITIONS), y),
    **{
        f"scatter_reduce, {reduce}, {include}": lambda T, x, y, reduce=reduce, include=include: (
            x.scatter_reduce(0, place(T, x, POSITIONS), y, reduce, include_self=include)
        )
        for reduce in ("sum", "prod", "mean", "amax", "amin")
        for include in (True, False)
    },
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_values_and_gradients(check, name) -> None:
    check.op(name, OPERATIONS[name], [check.numbers(3, 4), check.numbers(3, 4, seed=1)])


def test_products_through_zeros(check) -> None:
    x, y = check.numbers(3, 4), check.numbers(3, 4, seed=1)
    y[0, 0] = y[1, 0] = y[2, 2] = 0
    check.op("prod", OPERATIONS["scatter_reduce, prod, True"], [x, y], dtypes=["float64"])


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_large(check, torch, dim) -> None:
    rng = np.random.default_rng(0)
    x, positions = rng.normal(size=(20, 30, 40)), rng.integers(0, 20, (20, 30, 40))

    def run(T):
        leaf, index = T.tensor(x, requires_grad=True), T.tensor(positions)
        out = leaf.gather(dim, index) + T.zeros(20, 30, 40, dtype=T.float64).scatter_add(dim, index, leaf)
        (out * T.tensor(x)).sum().backward()
        return out, leaf.grad

    check.same(run(tensor), run(torch), rtol=1e-10)


def test_the_last_of_several_stays() -> None:
    x = tensor.zeros(2).scatter(0, tensor.tensor([1, 1, 1]), tensor.tensor([1.0, 2.0, 3.0]))
    assert x.tolist() == [0.0, 3.0]
