"""Every derivative against finite differences and PyTorch; ties and edges as the docstring states them."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from micro.formulas import FORMULAS, Formula
from micro.ieee import calculate

nan, inf = math.nan, math.inf

# Where a formula is defined, and the places where it has no derivative.
POSITIVE = {"log", "sqrt", "pow", "log2", "log10", "rsqrt", "hypot", "xlogy"}
INTERVALS = {
    "log1p": (-0.9, 4.0),
    "reciprocal": (0.1, 4.0),
    "logit": (0.05, 0.95),
    "erfinv": (-0.95, 0.95),
    "asin": (-0.95, 0.95),
    "acos": (-0.95, 0.95),
    "atanh": (-0.95, 0.95),
    "acosh": (1.1, 4.0),
    "tan": (-1.4, 1.4),
}
KINKS = {
    "relu": [0.0],
    "leaky_relu": [0.0],
    "elu": [0.0],
    "abs": [0.0],
    "clamp": [-1.0, 2.0],
    "softplus": [20.0],
    "hardtanh": [-1.0, 2.0],
    "hardsigmoid": [-3.0, 3.0],
    "hardswish": [-3.0, 3.0],
    "softshrink": [-0.5, 0.5],
    "hardshrink": [-0.5, 0.5],
    "threshold": [0.5],
    "prelu": [0.0],
    "copysign": [0.0],
    "frac": [float(n) for n in range(-20, 21)],
}
OPTIONS = {
    "leaky_relu": (0.2,),
    "elu": (1.7, 1.0, 1.0),
    "clamp": (-1.0, 2.0),
    "softplus": (1.0, 20.0),
    "hardtanh": (-1.0, 2.0),
    "softshrink": (0.5,),
    "hardshrink": (0.5,),
    "threshold": (0.5, 20.0),
}

each_formula = pytest.mark.parametrize("name", FORMULAS)


def draw_point(data: st.DataObject, formula: Formula) -> list[float]:
    """Draw arguments away from kinks and poles, where a difference quotient means something."""
    low, high = INTERVALS.get(formula.name, (0.1 if formula.name in POSITIVE else -4.0, 4.0))
    args = [data.draw(st.floats(low, high), label=name) for name in formula.variables]
    if formula.name == "pow":
        args[1] -= 2.0
    if formula.name == "div":
        assume(abs(args[1]) > 0.1)
    if formula.name in ("maximum", "minimum", "fmax", "fmin"):
        assume(abs(args[0] - args[1]) > 1e-3)
    if formula.name == "sinc":
        assume(abs(args[0]) > 0.02)  # PyTorch's derivative has no digits there
    if formula.name == "atan2":
        assume(abs(args[0]) > 0.1)
    if formula.name == "copysign":
        assume(abs(args[1]) > 1e-3)
    if formula.name == "fmod":
        assume(abs(args[1]) > 0.1)
        ratio = args[0] / args[1]
        assume(abs(ratio - round(ratio)) > 0.02)
    assume(all(abs(args[0] - kink) > 1e-3 for kink in KINKS.get(formula.name, [])))
    return args


def central_difference(formula: Formula, args: list[float], i: int, options: tuple[float, ...]) -> float:
    """Richardson's extrapolation of the central difference: an error of order h**4."""

    def quotient(h: float) -> float:
        above, below = args.copy(), args.copy()
        above[i] += h
        below[i] -= h
        return (formula.forward(*above, *options) - formula.forward(*below, *options)) / (above[i] - below[i])

    h = 2e-4
    return (4.0 * quotient(h / 2) - quotient(h)) / 3.0


@each_formula
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_derivatives_agree_with_finite_differences(name, data):
    formula, options = FORMULAS[name], OPTIONS.get(name, ())
    args = draw_point(data, formula)
    grad = data.draw(st.floats(-3.0, 3.0), label="grad")
    out = formula.forward(*args, *options)
    for i, derivative in enumerate(formula.derivatives):
        expected = grad * central_difference(formula, args, i, options)
        assert derivative(*args, out, grad, *options) == pytest.approx(expected, rel=1e-6, abs=1e-7)


@each_formula
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_derivatives_are_linear_in_the_incoming_gradient(name, data):
    formula, options = FORMULAS[name], OPTIONS.get(name, ())
    args = draw_point(data, formula)
    out = formula.forward(*args, *options)
    for derivative in formula.derivatives:
        assert derivative(*args, out, 0.0, *options) == 0.0
        once, twice = (derivative(*args, out, grad, *options) for grad in (1.5, 3.0))
        assert twice == pytest.approx(2.0 * once, rel=1e-12, abs=1e-300)


# --- PyTorch -----------------------------------------------------------------------------------------


# Their gradient at nan is PyTorch's of tensors with many elements; with one it has another.
SCALAR_NAN = {"elu", "hardtanh", "hardswish", "softshrink", "hardshrink"}


def torch_function(torch, name):
    F = torch.nn.functional
    special = {
        "neg": torch.neg,
        "abs": torch.abs,
        "relu": torch.relu,
        "leaky_relu": F.leaky_relu,
        "elu": lambda x, alpha=1.0, scale=1.0, input_scale=1.0: F.elu(x, alpha),
        "prelu": lambda x, weight: F.prelu(x.reshape(1), weight.reshape(1)).reshape(()),
        "softplus": F.softplus,
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu,
        "clamp": lambda x, low=-inf, high=inf: torch.clamp(x, low, high),
    }
    return special.get(name) or getattr(torch, name, None) or getattr(F, name)


def compare_with_torch(name, args, options=()):
    torch = pytest.importorskip("torch", reason="the comparison needs PyTorch")
    formula = FORMULAS[name]
    leaves = [torch.tensor(arg, dtype=torch.float64, requires_grad=True) for arg in args]
    expected = torch_function(torch, name)(*leaves, *options)
    expected.backward()
    out = calculate(formula.forward, *args, *options)
    assert out == pytest.approx(expected.item(), rel=1e-12, abs=1e-14, nan_ok=True), "value"
    for derivative, leaf, variable in zip(formula.derivatives, leaves, formula.variables, strict=True):
        grad = calculate(derivative, *args, out, 1.0, *options)
        theirs = 0.0 if leaf.grad is None else leaf.grad.item()
        if name in SCALAR_NAN and math.isnan(args[0]):
            continue
        exact = 1e-7 if name == "hardsigmoid" else 1e-10  # PyTorch's 1 / 6 is a float32
        assert grad == pytest.approx(theirs, rel=exact, abs=1e-14, nan_ok=True), f"d{variable}"


@each_formula
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_values_and_gradients_agree_with_torch(name, data):
    formula = FORMULAS[name]
    compare_with_torch(name, draw_point(data, formula), OPTIONS.get(name, ()))


EDGES = [-inf, -1000.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 20.0, 1000.0, inf, nan]


@each_formula
def test_edges_agree_with_torch(name):
    if len(FORMULAS[name].variables) == 1:
        for x in EDGES:
            compare_with_torch(name, [x], OPTIONS.get(name, ()))
    else:
        for x in EDGES:
            for y in EDGES:
                compare_with_torch(name, [x, y])


# --- ties and edges, as stated -------------------------------------------------------------------------


def derivatives_at(name, *args):
    formula = FORMULAS[name]
    out = calculate(formula.forward, *args)
    return tuple(calculate(derivative, *args, out, 1.0) for derivative in formula.derivatives)


def test_derivative_at_a_kink():
    assert derivatives_at("relu", 0.0) == (0.0,)
    assert derivatives_at("abs", 0.0) == (0.0,)
    assert derivatives_at("leaky_relu", 0.0) == (0.01,)
    clamp = FORMULAS["clamp"]
    assert [clamp.derivatives[0](x, x, 1.0, -1.0, 2.0) for x in (-1.0, 2.0, 2.5)] == [1.0, 1.0, 0.0]


def test_ties_split_the_gradient():
    assert derivatives_at("maximum", 2.0, 2.0) == (0.5, 0.5)
    assert derivatives_at("minimum", 2.0, 2.0) == (0.5, 0.5)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_nan_wins(name):
    forward = FORMULAS[name].forward
    assert math.isnan(forward(nan, 1.0))
    assert math.isnan(forward(1.0, nan))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "clamp", "abs", "softplus", "sigmoid", "gelu"])
def test_nan_stays_nan(name):
    assert math.isnan(FORMULAS[name].forward(nan))


def test_powers_of_zero():
    forward = FORMULAS["pow"].forward
    assert forward(0.0, 0.0) == 1.0
    assert derivatives_at("pow", 0.0, 0.0) == (0.0, 0.0)
    assert derivatives_at("pow", 0.0, 2.0) == (0.0, 0.0)
    assert derivatives_at("pow", 2.0, 0.0) == (0.0, math.log(2.0)), "only a zero base stops the exponent"


def test_selu_and_celu_are_elu_with_scales():
    torch = pytest.importorskip("torch", reason="the comparison needs PyTorch")
    F, elu = torch.nn.functional, FORMULAS["elu"].forward
    for v in (-3.0, -0.5, 0.0, 2.0):
        x = torch.tensor(v, dtype=torch.float64)
        assert elu(v, 1.6732632423543772, 1.0507009873554805) == pytest.approx(F.selu(x).item())
        assert elu(v, 1.7, 1.0, 1.0 / 1.7) == pytest.approx(F.celu(x, 1.7).item())


@pytest.mark.parametrize("x", [0.0, 1e-300, 1e-10, 0.3, 0.5, 0.9, 0.999999, 1 - 2**-53, -0.7])
def test_erfinv_undoes_erf(x):
    y = FORMULAS["erfinv"].forward(x)
    assert math.erf(y) == pytest.approx(x, rel=4e-16)
    assert 1.0 - abs(x) == pytest.approx(math.erfc(abs(y)), rel=1e-13)


def test_a_fractional_power_of_a_negative_number_is_nan():
    assert math.isnan(calculate(FORMULAS["pow"].forward, -2.0, 0.5))


def test_clamp_with_crossed_limits_is_the_upper_one():
    clamp = FORMULAS["clamp"].forward
    assert [clamp(x, 3.0, 1.0) for x in (0.0, 2.0, 4.0)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("x", [-1000.0, 1000.0])
def test_sigmoid_is_stable(x):
    assert FORMULAS["sigmoid"].forward(x) == (1.0 if x > 0 else 0.0)


def test_gelu_keeps_its_left_tail():
    assert FORMULAS["gelu"].forward(-10.0) == pytest.approx(-10.0 * 7.61985302416e-24, rel=1e-10)


# --- the table ---------------------------------------------------------------------------------------


def test_the_table_names_variables_and_options():
    assert FORMULAS["mul"].variables == ("x", "y")
    assert FORMULAS["clamp"].variables == ("x",)
    assert FORMULAS["clamp"].options == {"low": -inf, "high": inf}
    for name, formula in FORMULAS.items():
        assert formula.name == name
        assert len(formula.derivatives) == len(formula.variables)


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("add", [set(), set()]),
        ("sub", [set(), set()]),
        ("mul", [{"y"}, {"x"}]),
        ("div", [{"y"}, {"x", "y"}]),
        ("pow", [{"x", "y"}, {"x", "y", "out"}]),
        ("neg", [set()]),
        ("exp", [{"out"}]),
        ("log", [{"x"}]),
        ("tanh", [{"out"}]),
        ("relu", [{"out"}]),
        ("maximum", [{"x", "y"}, {"x", "y"}]),
        ("clamp", [{"x"}]),
    ],
)
def test_needs(name, needs):
    assert [set(need) for need in FORMULAS[name].needs] == needs


@each_formula
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_derivative_ignores_what_it_does_not_need(name, data):
    formula, options = FORMULAS[name], OPTIONS.get(name, ())
    args = draw_point(data, formula)
    out = formula.forward(*args, *options)
    for derivative, needs in zip(formula.derivatives, formula.needs, strict=True):
        kept = [arg if v in needs else nan for arg, v in zip(args, formula.variables, strict=True)]
        blanked = derivative(*kept, out if "out" in needs else nan, 1.5, *options)
        assert blanked == derivative(*args, out, 1.5, *options)
