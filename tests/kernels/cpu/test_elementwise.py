"""kernels/cpu/elementwise.py: lifted formulas agree with the formulas, overrides with what they override."""

import numpy as np
import pytest

from kernels import cpu
from kernels.cpu.elementwise import OVERRIDES
from micro.formulas import FORMULAS
from micro.ieee import calculate

POINTS = np.array(
    [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        1e-8,
        -1e-8,
        3.0,
        -3.0,
        25.0,
        -25.0,
        90.0,
        -90.0,
        800.0,
        -800.0,
        np.inf,
        -np.inf,
        np.nan,
    ]
)


def arguments(name: str, dtype: str) -> list[np.ndarray]:
    count = len(FORMULAS[name].variables)
    x = POINTS.astype(dtype)
    if count == 2:
        x = x[
            (x == 0) | (np.abs(x) != np.abs(x[6]))
        ]  # 1 - 1e-8 is 1 in float32: an odd exponent, not a fraction
    return [x] if count == 1 else [np.repeat(x, len(x)), np.tile(x, len(x))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMULAS)
def test_the_lifted_function_is_the_formula(name: str, dtype: str) -> None:
    formula, args = FORMULAS[name], arguments(name, dtype)
    options = tuple(formula.options.values())
    out = cpu.forward(name, *args, *options)
    assert out.dtype == dtype
    exact = np.array([calculate(formula.forward, *map(float, a), *options) for a in zip(*args, strict=True)])
    agree(out, exact, dtype, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMULAS)
def test_the_lifted_derivatives_are_the_formula_s(name: str, dtype: str) -> None:
    formula, args = (
        FORMULAS[name],
        [
            a[np.abs(a) < 30] if a.ndim == 1 and len(arguments(name, dtype)) == 1 else a
            for a in arguments(name, dtype)
        ],
    )
    options = tuple(formula.options.values())
    out = cpu.forward(name, *args, *options)
    grad = np.linspace(0.5, 1.5, out.size).astype(dtype)
    for i, derivative in enumerate(formula.derivatives):
        found = cpu.derivative(name, i, tuple(args), out, grad, options)
        assert found.dtype == dtype
        exact = np.array(
            [calculate(derivative, *map(float, a), *options) for a in zip(*args, out, grad, strict=True)]
        )
        agree(found, exact, dtype, f"{name}, derivative {i}")


def agree(found: np.ndarray, exact: np.ndarray, dtype: str, what: str) -> None:
    with np.errstate(over="ignore"):
        exact = exact.astype(dtype)
    limits = np.finfo(dtype)
    # Near the limits of the range an intermediate result overflows or vanishes in one precision only.
    inner = ~np.isfinite(exact) | (np.abs(exact) < 1e30) & ((np.abs(exact) > 1e-30) | (exact == 0))
    ours, right = found[inner], exact[inner]
    same_nan = np.isnan(ours) == np.isnan(right)
    close = np.isclose(
        ours, right, rtol=60 * limits.eps, atol=2e-7 if dtype == "float32" else 1e-15, equal_nan=True
    )
    bad = ~(close & same_nan)
    assert bad.mean() < 0.02, f"{what}: {list(zip(ours[bad], right[bad], strict=True))[:8]}"


# Those of two operands: `pow` in tests/kernels/cpu/test_fast_math.py, `fmod` below.
REPLACED = [
    (dtype, name)
    for dtype, names in OVERRIDES.items()
    for name in names
    if name in FORMULAS and len(FORMULAS[name].variables) == 1
]


@pytest.mark.parametrize(("dtype", "name"), REPLACED)
def test_an_override_is_as_exact_as_the_formula(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=20_000) * 3, rng.uniform(-80, 80, 20_000), POINTS]).astype(dtype)
    if name in ("log", "log1p"):
        x = np.abs(x)
    replaced = cpu.forward(name, x)
    exact = np.array([calculate(FORMULAS[name].forward, v) for v in x.tolist()])
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
        unit = np.spacing(np.abs(rounded)).astype(np.float64)
        # In gelu's left tail a factor is subnormal while the result is not, yet.
        least = 1e-36 if name == "gelu" else np.finfo(dtype).tiny
        inner = np.isfinite(rounded) & (np.abs(exact) > least)
        error = np.abs(replaced[inner] - exact[inner]) / unit[inner]
    np.testing.assert_array_equal(np.isnan(replaced), np.isnan(rounded))
    np.testing.assert_array_equal(np.isinf(replaced), np.isinf(rounded))
    zero = (rounded == 0) & (replaced == 0)
    np.testing.assert_array_equal(np.signbit(replaced[zero]), np.signbit(rounded[zero]))
    assert error.max() <= (12 if "gelu" in name else 4)  # PyTorch's gelu is 17 million units off at -7


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fmod_is_exact(dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=5000) * 10.0 ** rng.integers(-6, 7, 5000)).astype(dtype), rng.normal(size=5000)
    y = y.astype(dtype)
    x[:4], y[:4] = [np.inf, 1.0, -7.5, np.nan], [1.0, np.inf, 2.5, 1.0]
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(cpu.forward("fmod", x, y), np.fmod(x, y))


def test_broadcasting_layouts_and_out() -> None:
    x, y = np.arange(6.0).reshape(2, 3), np.arange(3.0)
    np.testing.assert_array_equal(cpu.forward("mul", x, y), x * y)
    np.testing.assert_array_equal(cpu.forward("mul", x.T, y[:, None]), x.T * y[:, None])
    np.testing.assert_array_equal(cpu.forward("sigmoid", x[:, ::2]), 1 / (1 + np.exp(-x[:, ::2])))
    out = np.empty((2, 3))
    assert cpu.forward("mul", x, y, out=out) is out
    np.testing.assert_array_equal(out, x * y)
    assert cpu.forward("relu", x, out=x) is x


def test_zero_dim_and_empty_arrays_stay_arrays() -> None:
    for name in ("tanh", "sigmoid", "add"):
        args = [np.array(0.5)] * len(FORMULAS[name].variables)
        assert type(cpu.forward(name, *args)) is np.ndarray
        assert cpu.forward(name, *[np.empty((0, 3), np.float32)] * len(args)).shape == (0, 3)
        assert type(cpu.derivative(name, 0, tuple(args), args[0], args[0])) is np.ndarray


def test_no_warnings_where_ieee_has_an_answer() -> None:
    zero = np.zeros(2)
    assert cpu.forward("div", np.ones(2), zero).tolist() == [np.inf, np.inf]
    assert cpu.forward("log", zero).tolist() == [-np.inf, -np.inf]
    assert cpu.forward("exp", np.array([1000.0])).tolist() == [np.inf]


@pytest.mark.parametrize("how", ["floor", "trunc"])
def test_divide_rounded(how: str) -> None:
    x, y = np.meshgrid(np.arange(-7, 8), [-3, -2, -1, 1, 2, 3])
    for dtype in ("int32", "int64", "float64"):
        a, b = x.astype(dtype), y.astype(dtype)
        expected = (np.floor(x / y) if how == "floor" else np.trunc(x / y)).astype(dtype)
        np.testing.assert_array_equal(cpu.divide_rounded(a, b, how), expected)


def test_integer_powers() -> None:
    x = np.array([-2, -1, 0, 1, 2, 3])
    assert cpu.forward("pow", x, np.array(3)).tolist() == [-8, -1, 0, 1, 8, 27]
    assert cpu.forward("pow", x, np.array(-3)).tolist() == [0, -1, 0, 1, 0, 0]
    assert cpu.forward("pow", x, np.array([-2, -2, -2, -2, 2, 0])).tolist() == [0, 1, 0, 1, 4, 1]


def test_large_integers_of_floor_division_are_exact() -> None:
    x = np.array([2**62 + 1])
    assert cpu.divide_rounded(x, np.array([1]), "trunc").tolist() == [2**62 + 1]
