"""kernels/cpu/fast_math.py: as exact as a C library, over every exponent, in float32."""

import math

import numpy as np
import pytest

from kernels import cpu
from kernels.cpu.lift import lift
from micro.formulas import FORMULAS
from micro.ieee import calculate


def exp(x):
    return math.exp(x)


def expm1(x):
    return math.expm1(x)


def log(x):
    return math.log(x)


def log1p(x):
    return math.log1p(x)


def tanh(x):
    return math.tanh(x)


LIMITS = [0.0, 1.0, math.inf, 1e-45, 1.17549435e-38, 3.4028235e38, 88.72283, 88.72284, 87.33654]
LIMITS += [103.97208, 103.97209, 0.65, 0.70710677, 0.70710683, 0.99999994, math.nan]
EVERYWHERE = np.concatenate(
    [
        np.arange(0, 2**32, 49_999).astype(np.uint32).view(np.float32),  # all signs and exponents
        np.linspace(-4, 4, 40_001, dtype=np.float32),
        np.array([*LIMITS, *[-x for x in LIMITS]], np.float32),
    ]
)


@pytest.mark.parametrize("function", [exp, expm1, log, log1p, tanh])
def test_two_units_in_the_last_place_everywhere(function) -> None:
    found = lift(function, np.dtype("float32"))(EVERYWHERE)
    exact = np.array([calculate(function, x) for x in EVERYWHERE.tolist()])
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(rounded))
    same = np.isinf(rounded) | (rounded == 0)
    np.testing.assert_array_equal(found[same], rounded[same])
    np.testing.assert_array_equal(np.signbit(found[same]), np.signbit(rounded[same]))
    inner = np.isfinite(rounded)
    unit = np.spacing(np.abs(rounded[inner])).astype(np.float64)  # of subnormal numbers too
    assert (np.abs(found[inner] - exact[inner]) / unit).max() < 2


def test_powers_of_every_pair_of_limits() -> None:
    values = np.array(
        [*LIMITS, 2.0, 0.5, 3.0, 8388607.5, 8388608.0, 16777215.0, 16777216.0, 1e30], np.float32
    )
    values = np.concatenate([values, -values])
    check_powers(np.repeat(values, len(values)), np.tile(values, len(values)))


def test_powers_of_all_sizes() -> None:
    rng = np.random.default_rng(0)
    check_powers(np.exp(rng.uniform(-100, 88, 100_000)), rng.uniform(-3, 3, 100_000))
    check_powers(-np.exp(rng.uniform(-20, 20, 10_000)), rng.integers(-9, 9, 10_000))


def check_powers(x: np.ndarray, y: np.ndarray) -> None:
    x, y = x.astype(np.float32), y.astype(np.float32)
    found = cpu.forward("pow", x, y)
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), y.astype(np.float64))
        rounded = exact.astype(np.float32)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(rounded))
    limits = np.isinf(rounded) | (rounded == 0)
    np.testing.assert_array_equal(found[limits], rounded[limits])
    np.testing.assert_array_equal(np.signbit(found[limits]), np.signbit(rounded[limits]))
    inner = np.isfinite(rounded) & (np.abs(rounded) < 1e38)
    unit = np.spacing(np.abs(rounded[inner])).astype(np.float64)
    assert (np.abs(found[inner] - exact[inner]) / unit).max() < 1


NAMES = ["exp", "log", "log1p", "tanh", "sigmoid", "softplus", "elu", "gelu", "silu"]


@pytest.mark.parametrize("name", NAMES)
def test_the_error_is_at_the_level_of_pytorch_s(torch, name: str) -> None:
    formula = FORMULAS[name]
    x = np.random.default_rng(0).normal(size=50_000).astype(np.float32) * 3
    if name in ("log", "log1p"):
        x = np.abs(x)
    options = tuple(formula.options.values())
    out = cpu.forward(name, x, *options)
    grad = np.ones_like(x)
    slope = cpu.derivative(name, 0, (x,), out, grad, options)
    theirs = torch.from_numpy(x).requires_grad_()
    operation = getattr(torch, name, None) or getattr(torch.nn.functional, name)
    result = operation(theirs)
    result.backward(torch.ones_like(result))
    exact_out = np.array([calculate(formula.forward, v, *options) for v in x.tolist()])
    pairs = zip(x.tolist(), exact_out.tolist(), strict=True)
    exact_slope = np.array([calculate(formula.derivatives[0], *pair, 1.0, *options) for pair in pairs])
    for ours, peer, exact in [
        (out, result.detach().numpy(), exact_out),
        (slope, theirs.grad.numpy(), exact_slope),
    ]:
        unit = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
        our_error, peer_error = np.abs(ours - exact) / unit, np.abs(peer - exact) / unit
        assert our_error.mean() <= 1.5 * peer_error.mean() + 0.1
        assert our_error.max() <= 2 * peer_error.max() + 2


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "gelu", "sigmoid"])
def test_a_number_gives_the_same_bits_wherever_it_stands(name: str) -> None:
    # In a vector of eight or sixteen, and in what is left over at the end of an array.
    def function(x):
        return cpu.forward(name, x)

    x = np.abs(EVERYWHERE[::97])
    together = function(x)
    alone = np.concatenate([function(x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_array_equal(together.view(np.int32), alone.view(np.int32))
