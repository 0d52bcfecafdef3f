"""tensor/scan.py: running results, differences and integrals, in every memory layout, with gradients."""

import numpy as np
import pytest

import tensor

OPERATIONS = {
    "cumsum": (lambda T, x: x.cumsum(0), lambda x: np.cumsum(x, 0)),
    "cumprod": (lambda T, x: T.cumprod(x, 1), lambda x: np.cumprod(x, 1)),
    "cummax": (lambda T, x: T.cummax(x, 1)[0], lambda x: np.maximum.accumulate(x, 1)),
    "cummin": (lambda T, x: x.cummin(0)[0], lambda x: np.minimum.accumulate(x, 0)),
    "logcumsumexp": (lambda T, x: x.logcumsumexp(1), lambda x: np.logaddexp.accumulate(x, 1)),
    "diff": (lambda T, x: T.diff(x, n=2, dim=0), lambda x: np.diff(x, 2, 0)),
    "trapezoid": (lambda T, x: T.trapezoid(x, dx=0.5), lambda x: np.trapezoid(x, dx=0.5)),
    "gradient": (
        lambda T, x: T.gradient(x, dim=1, edge_order=2)[0],
        lambda x: np.gradient(x, axis=1, edge_order=2),
    ),
    "uneven gradient": (
        lambda T, x: T.gradient(
            x, spacing=(T.tensor([0.0, 1.0, 3.0, 4.5, 5.0], dtype=x.dtype, device=x.device),), dim=1
        )[0],
        lambda x: np.gradient(x, [0.0, 1.0, 3.0, 4.5, 5.0], axis=1),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_values_and_gradients(check, name) -> None:
    operation, reference = OPERATIONS[name]
    check.op(name, operation, [check.numbers(4, 5)], reference)


def test_products_with_zeros_have_gradients() -> None:
    x = tensor.tensor([2.0, 0.0, 3.0, 0.0], requires_grad=True)
    x.cumprod(0).sum().backward()
    assert x.grad.tolist() == [1.0, 8.0, 0.0, 0.0]


def test_in_place_the_gradient_reads_what_was_there() -> None:
    x = tensor.tensor([2.0, 3.0, 4.0], requires_grad=True)
    y = x.clone()
    assert y.cumprod_(0) is y
    y.sum().backward()
    assert y.tolist() == [2.0, 6.0, 24.0]
    assert x.grad.tolist() == [16.0, 10.0, 6.0]


def test_second_gradients() -> None:
    for values in ([2.0, 3.0, 4.0], [2.0, 0.0, 4.0]):
        x = tensor.tensor(values, dtype=tensor.float64, requires_grad=True)
        (slope,) = tensor.autograd.grad(x.cumprod(0).sum(), x, create_graph=True)
        (second,) = tensor.autograd.grad(slope.sum(), x)
        a, b, c = values  # a + ab + abc: the slopes are 1 + b + bc, a + ac, ab
        np.testing.assert_allclose(second.numpy(), [1 + c + b, 1 + c + a, b + a])


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 0, 3)], ids=str)
def test_every_dim(check, shape) -> None:
    for dim in range(-max(1, len(shape)), max(1, len(shape))):
        check.op("cumsum", lambda T, x, d=dim: T.cumsum(x, d), [check.numbers(*shape)])


def test_long_running_sums_are_exact(check) -> None:
    if check.SIMULATED:
        pytest.skip("too long for the simulator")
    x = np.full(200_000, 0.1, np.float32)
    check.op("cumsum", lambda T, x: x.cumsum(0), [x], dtypes=["float32"], gradient=False, all_layouts=False)
    assert abs(tensor.tensor(x).cumsum(0)[-1].item() - 200_000 * float(np.float32(0.1))) < 2e-3
