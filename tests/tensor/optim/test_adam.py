"""Adam and AdamW over 100 steps, all options, against the algorithm in float64 and PyTorch."""

import itertools

import numpy as np
import pytest

import tensor
from tensor import optim

OPTIONS = [
    {"betas": betas, "weight_decay": decay, "amsgrad": amsgrad, "maximize": maximize, "eps": eps}
    for betas, decay, amsgrad, maximize, eps in itertools.product(
        ((0.9, 0.999), (0.5, 0.9)), (0.0, 0.1), (False, True), (False, True), (1e-8, 1e-3)
    )
]
NAMES = ["Adam", "AdamW"]


def reference(p, gradient_of, steps, *, lr, betas, eps, weight_decay, amsgrad, maximize, decoupled):
    """Return the parameter after `steps`, by the algorithm in PyTorch's documentation."""
    mean = square = top = np.zeros_like(p)
    for i in range(steps):
        g = gradient_of(p, i) * (-1 if maximize else 1)
        if decoupled:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        mean = betas[0] * mean + (1 - betas[0]) * g
        square = betas[1] * square + (1 - betas[1]) * g * g
        top = np.maximum(top, square)
        corrected = mean / (1 - betas[0] ** (i + 1))
        root = np.sqrt((top if amsgrad else square) / (1 - betas[1] ** (i + 1)))
        p = p - lr * corrected / (root + eps)
    return p


def start(check, dtype="float64"):
    return [check.numbers(7, seed=1).astype(dtype), check.numbers(2, 3, seed=2).astype(dtype)]


def slope(p, i):
    """Return a gradient that changes its sign and falls, so that the largest square is an old one."""
    return 2 * (p - 1) * (np.cos(i) / (1 + i / 10))


def train(T, name, values, steps=100, **options):
    parameters = [T.tensor(v, requires_grad=True) for v in values]
    optimizer = getattr(T.optim, name)(parameters, **options)
    for i in range(steps):
        optimizer.zero_grad()
        sum(((p - 1) ** 2).sum() for p in parameters).mul(float(np.cos(i) / (1 + i / 10))).backward()
        optimizer.step()
    return [p.detach().numpy() for p in parameters]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_100_steps(check, name, options):
    options = dict(options, lr=0.02)
    for found, value in zip(train(tensor, name, start(check), **options), start(check), strict=True):
        expected = reference(value, slope, 100, decoupled=name == "AdamW", **options)
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_100_steps_are_pytorchs(check, torch, name, options, dtype):
    ours = train(tensor, name, start(check, dtype), lr=0.02, **options)
    theirs = train(torch, name, start(check, dtype), lr=0.02, **options)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5 if dtype == "float32" else 1e-10)


def test_defaults():
    p = [tensor.zeros(1)]
    assert optim.Adam(p).defaults["weight_decay"] == 0
    assert optim.AdamW(p).defaults["weight_decay"] == 1e-2
    for optimizer in (optim.Adam(p), optim.AdamW(p)):
        assert (optimizer.defaults["lr"], optimizer.defaults["betas"]) == (1e-3, (0.9, 0.999))


def test_one_minus_beta_is_exact():
    # 1 - 0.999 taken in float32 would be 1.3e-5 off.
    p = tensor.zeros(1, requires_grad=True)
    p.grad = tensor.ones(1)
    optimizer = optim.Adam([p])
    optimizer.step()
    assert optimizer.state[p]["exp_avg_sq"].item() == np.float32(0.001)


def test_state():
    p = tensor.zeros(2, 3, requires_grad=True)
    optimizer = optim.Adam([p], amsgrad=True)
    assert not optimizer.state
    optimizer.step()
    assert not optimizer.state, "a parameter without a gradient has no state"
    p.grad = tensor.ones(2, 3)
    optimizer.step()
    optimizer.step()
    assert list(optimizer.state[p]) == ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"]
    assert optimizer.state[p]["step"].item() == 2.0


def test_large_parameters_move_as_small_ones_do():
    rng = np.random.default_rng(0)
    value, grad = rng.standard_normal((2, 50_000)).astype(np.float32)
    found = []
    for pieces in (1, 50):  # on the thread pool, and on one thread
        parameters = [tensor.tensor(v, requires_grad=True) for v in np.split(value, pieces)]
        optimizer = optim.AdamW(parameters, lr=0.01, amsgrad=True)
        for i in range(3):
            for p, g in zip(parameters, np.split(grad, pieces), strict=True):
                p.grad = tensor.from_numpy(g * (i - 1.5))
            optimizer.step()
        found.append(np.concatenate([p.detach().numpy() for p in parameters]))
    np.testing.assert_array_equal(*found)


ERRORS = {
    "lr": {"lr": -1.0},
    "eps": {"eps": -1.0},
    "beta 1": {"betas": (1.0, 0.9)},
    "beta 2": {"betas": (0.9, -0.1)},
    "weight_decay": {"weight_decay": -0.1},
    "lr nan": {"lr": float("nan")},
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ERRORS)
def test_errors(name, case):
    with pytest.raises(ValueError, match="Invalid"):
        getattr(optim, name)([tensor.zeros(1)], **ERRORS[case])


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_pytorchs(check, torch, case):
    check.raises_alike(lambda T: T.optim.Adam([T.zeros(1)], **ERRORS[case]))


def test_what_is_not_supported_says_so():
    with pytest.raises(NotImplementedError, match="differentiable=True"):
        optim.AdamW([tensor.zeros(1)], differentiable=True)


def test_an_adamw_that_loads_an_adam_stays_decoupled():
    p = tensor.zeros(1, requires_grad=True)
    optimizer = optim.AdamW([p])
    optimizer.load_state_dict(optim.Adam([p]).state_dict())
    assert optimizer.param_groups[0]["decoupled_weight_decay"]


def test_a_step_saved_as_a_number_is_taken():
    p = tensor.zeros(1, requires_grad=True)
    p.grad = tensor.ones(1)
    optimizer = optim.Adam([p])
    optimizer.step()
    state = optimizer.state_dict()
    state["state"] = {0: dict(state["state"][0], step=1)}
    optimizer.load_state_dict(state)
    optimizer.step()
    assert optimizer.state[p]["step"].item() == 2.0
