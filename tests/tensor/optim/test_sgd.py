"""SGD over 100 steps, all options, against the algorithm in float64 and PyTorch."""

import itertools

import numpy as np
import pytest

import tensor
from tensor import optim

OPTIONS = [
    {
        "momentum": momentum,
        "dampening": dampening,
        "weight_decay": decay,
        "nesterov": nesterov,
        "maximize": maximize,
    }
    for momentum, dampening, decay, nesterov, maximize in itertools.product(
        (0, 0.9), (0, 0.3), (0, 0.1), (False, True), (False, True)
    )
    if not nesterov or (momentum and not dampening)
]


def reference(p, gradient_of, steps, *, lr, momentum, dampening, weight_decay, nesterov, maximize):
    """Return the parameter after `steps`, by the algorithm in PyTorch's documentation."""
    velocity = None
    for i in range(steps):
        g = gradient_of(p, i) * (-1 if maximize else 1) + weight_decay * p
        if momentum:
            velocity = g if velocity is None else momentum * velocity + (1 - dampening) * g
            g = g + momentum * velocity if nesterov else velocity
        p = p - lr * g
    return p


def start(check, dtype="float64", size=7):
    return [check.numbers(size, seed=1).astype(dtype), check.numbers(2, 3, seed=2).astype(dtype)]


def train(T, values, steps=100, make=None, **options):
    """Return parameters after training on sum((p - 1)**2 * (i + 1) / steps)."""
    parameters = [T.tensor(v, requires_grad=True) for v in values]
    unused = T.zeros(2, requires_grad=True)
    optimizer = (make or T.optim.SGD)([*parameters, unused], **options)
    for i in range(steps):
        optimizer.zero_grad()
        sum((((p - 1) ** 2).sum() * ((i + 1) / steps)) for p in parameters).backward()
        optimizer.step()
    assert unused.tolist() == [0.0, 0.0]
    return [p.detach().numpy() for p in parameters]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_100_steps(check, options):
    options = dict(options, lr=0.01)
    for found, value in zip(train(tensor, start(check), **options), start(check), strict=True):
        expected = reference(value, lambda p, i: 2 * (p - 1) * ((i + 1) / 100), 100, **options)
        np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_100_steps_are_pytorchs(check, torch, options, dtype):
    ours = train(tensor, start(check, dtype), lr=0.01, **options)
    theirs = train(torch, start(check, dtype), lr=0.01, **options)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5 if dtype == "float32" else 1e-12)


def test_a_parameter_that_is_not_contiguous(check):
    value = check.numbers(3, 4)
    for momentum in (0, 0.9):
        memory = np.zeros((4, 6))
        p = tensor.from_numpy(memory)[:, ::2]
        p = p.detach().T.requires_grad_()
        memory[:, ::2] = value.T
        optimizer = optim.SGD([p], lr=0.1, momentum=momentum)
        plain = tensor.tensor(value, requires_grad=True)
        same = optim.SGD([plain], lr=0.1, momentum=momentum)
        for _ in range(3):
            for q, o in ((p, optimizer), (plain, same)):
                o.zero_grad()
                (q * q).sum().backward()
                o.step()
        assert not p.is_contiguous()
        np.testing.assert_array_equal(p.detach().numpy(), plain.detach().numpy())
        assert not memory[:, 1::2].any(), "what lies between the elements stays"


def test_a_gradient_that_is_not_contiguous():
    p = tensor.zeros(2, 3, requires_grad=True)
    p.grad = tensor.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).T
    optim.SGD([p], lr=1.0).step()
    assert p.tolist() == [[-1.0, -3.0, -5.0], [-2.0, -4.0, -6.0]]
    p.grad = tensor.ones(1).expand(2, 3)
    optim.SGD([p], lr=1.0).step()
    assert p.tolist() == [[-2.0, -4.0, -6.0], [-3.0, -5.0, -7.0]]


def test_a_parameter_of_every_second_element():
    memory = np.zeros(6)
    p = tensor.from_numpy(memory)[::2].detach().requires_grad_()
    p.grad = tensor.ones(3, dtype=tensor.float64)
    optim.SGD([p], lr=1.0, momentum=0.9).step()
    assert memory.tolist() == [-1.0, 0.0] * 3


def test_parameters_of_no_and_of_one_element():
    p, q = tensor.zeros(0, 3, requires_grad=True), tensor.tensor(2.0, requires_grad=True)
    p.grad, q.grad = tensor.zeros(0, 3), tensor.tensor(1.0)
    optim.SGD([p, q], lr=0.5, momentum=0.9).step()
    assert q.item() == 1.5


def test_an_infinite_parameter_stays_infinite():
    p = tensor.tensor([float("inf"), 1.0], requires_grad=True)
    p.grad = tensor.ones(2)
    optim.SGD([p], lr=0.5).step()
    assert p.tolist() == [float("inf"), 0.5]


ERRORS = {
    "lr": {"lr": -1.0},
    "momentum": {"momentum": -0.1},
    "weight_decay": {"weight_decay": -0.1},
    "nesterov": {"nesterov": True},
    "nesterov with dampening": {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    with pytest.raises(ValueError, match=r"Invalid|Nesterov"):
        optim.SGD([tensor.zeros(1)], **ERRORS[case])


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_pytorchs(check, torch, case):
    check.raises_alike(lambda T: T.optim.SGD([T.zeros(1)], **ERRORS[case]))


def test_what_is_not_supported_says_so():
    with pytest.raises(NotImplementedError, match="differentiable=True"):
        optim.SGD([tensor.zeros(1)], differentiable=True)
