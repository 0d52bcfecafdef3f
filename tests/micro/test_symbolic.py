"""What is written of a formula is true: its text computes what the formula computes."""

import math

import pytest

from micro.formulas import FORMULAS, Formula
from micro.ieee import calculate
from micro.symbolic import LONGEST, fill, show_constant, write_derivatives, write_forward
from micro.value import _power

POINTS = [(0.3, 0.6), (-0.4, 0.7), (0.5, -0.25), (0.2, 0.2), (0.9, 2.5)]


def compute(text, **names):
    """Return what a text computes; None where IEEE 754 has to help."""
    scope = {**vars(math), "abs": abs, "nan": math.nan, "inf": math.inf, **names}
    for function in FORMULAS.values():
        for derivative in function.derivatives:
            scope.setdefault(derivative.__name__, None)
    try:
        return eval(text, {"__builtins__": {}}, scope)
    except (ArithmeticError, ValueError):
        return None


@pytest.mark.parametrize("name", FORMULAS)
def test_local_derivatives_are_true(name):
    formula = FORMULAS[name]
    options = tuple(formula.options.values())
    templates = write_derivatives(formula, options)
    assert len(templates) == len(formula.derivatives)
    for derivative, template in zip(formula.derivatives, templates, strict=True):
        text = template[0]
        assert len(text) <= LONGEST
        assert "grad" not in text
        assert "math." not in text
        if text.startswith(f"{derivative.__name__}("):
            continue
        for point in POINTS:
            operands = point[: len(formula.variables)]
            out = calculate(formula.forward, *operands, *options)
            expected = calculate(derivative, *operands, out, 1.0, *options)
            found = compute(text, **dict(zip(formula.variables, operands, strict=True)), out=out)
            if found is None or isinstance(found, complex):
                assert not math.isfinite(expected)
            else:
                assert found == pytest.approx(expected, rel=1e-3, abs=1e-4, nan_ok=True)


def test_few_are_written_as_calls():
    called = [
        d.__name__
        for f in FORMULAS.values()
        for d, (text, _) in zip(f.derivatives, write_derivatives(f, tuple(f.options.values())), strict=True)
        if text.startswith(d.__name__)
    ]
    assert called == [
        "logsigmoid_dx", "gelu_dx", "gelu_tanh_dx", "silu_dx", "mish_dx", "sinc_dx", "fmod_dy",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "texts"),
    [
        ("mul", (), ["y", "x"]),
        ("div", (), ["1 / y", "-(x / y**2)"]),
        ("tanh", (), ["1 - out**2"]),
        ("rsqrt", (), ["-0.5 * out**3"]),
        ("leaky_relu", (0.1,), ["1 if x > 0 else 0.1"]),
        ("softplus", (1.0, 20.0), ["1 if x > 20 else 1 / (1 + exp(-x))"]),
        ("softplus", (2.0, 5.0), ["1 if x * 2 > 5 else 1 / (1 + exp(-(x * 2)))"]),
        ("logit", (-1.0,), ["nan if x < 0 or x > 1 else 1 / (x * (1 - x))"]),
        ("clamp", (-1.0, math.inf), ["1 if x >= -1 else 0"]),
    ],
)
def test_texts(name, options, texts):
    assert [text for text, _ in write_derivatives(FORMULAS[name], options)] == texts


@pytest.mark.parametrize(
    ("exponent", "forward", "derivative"),
    [
        (2.0, "x**2", "2 * x"),
        (3.0, "x**3", "3 * x**2"),
        (1.0, "x**1", "1"),
        (0.0, "x**0", "0"),
        (-1.0, "x**-1", "-x**-2"),
        (0.5, "x**0.5", "0.5 * x**-0.5"),
        (math.nan, "x**nan", "nan * x**nan"),
    ],
)
def test_powers(exponent, forward, derivative):
    formula = _power(exponent)
    assert write_forward(formula, ())[0] == forward
    assert write_derivatives(formula, ())[0][0] == derivative


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("add", (), "x + y"),
        ("neg", (), "-x"),
        ("pow", (), "x**y"),
        ("relu", (), "relu(x)"),
        ("reciprocal", (), "reciprocal(x)"),
        ("leaky_relu", (0.01,), "leaky_relu(x)"),
        ("leaky_relu", (0.2,), "leaky_relu(x, slope=0.2)"),
        ("clamp", (-math.inf, 1.0), "clamp(x, high=1)"),
    ],
)
def test_forward(name, options, text):
    assert write_forward(FORMULAS[name], options)[0] == text


def test_fill():
    assert fill(("x * y + exp(x)", True), {"x": "y", "y": "-2"}) == "y * (-2) + exp(y)"
    assert fill(("y", True), {"y": "-2"}) == "-2"
    assert fill(("out * log(x)", True), {"x": "-2"}) == "out * log(-2)"
    assert fill(("tanh(x)", False), {"x": "-2"}) == "tanh(-2)"
    assert fill(("1e-07 * e", True), {"e": "w[0]"}) == "1e-07 * w[0]"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2.0, "2"), (-3.0, "-3"), (0.1, "0.1"), (0.999999, "0.999999"), (2 / 3, "0.6667"), (1e-7, "1e-07"),
        (math.inf, "inf"), (math.nan, "nan"), (1e300, "1e+300"),
    ],
)  # fmt: skip
def test_show_constant(number, text):
    assert show_constant(number) == text


def test_formulas_without_a_source():
    scope = {}
    exec("def cube_dx(x, out, grad): return grad * 3.0 * x * x", scope)
    formula = Formula("cube", lambda x: x**3, (scope["cube_dx"],), "cube")
    assert write_forward(formula, ()) == ("cube(x)", False)
    assert write_derivatives(formula, ()) == (("cube_dx(x)", False),)


def twice_dx(x, out, grad):
    y = grad
    y = y * 2.0
    return y


def branching_dx(x, out, grad):
    if x > 0.0:
        return grad
    return -grad


def growing_dx(x, out, grad):
    a = x * x + x
    b = a * a + a
    c = b * b + b
    d = c * c + c
    return grad * d * d


@pytest.mark.parametrize("derivative", [twice_dx, branching_dx, growing_dx])
def test_what_is_no_short_expression_is_a_call(derivative):
    formula = Formula("own", lambda x: x, (derivative,), "own")
    assert write_derivatives(formula, ())[0][0] == f"{derivative.__name__}(x)"
