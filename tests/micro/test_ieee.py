"""`evaluate` gives what NumPy and compiled code give, on the nastiest floats there are."""

import itertools
import math
from types import FunctionType, SimpleNamespace

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro.formulas import FORMULAS
from micro.ieee import calculate, evaluate

nan, inf = math.nan, math.inf

NASTY = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    -3.0,
    709.0,
    1000.0,
    -1000.0,
    1e308,
    -1e308,
    5e-324,
    inf,
    -inf,
    nan,
]

nasty_floats = st.sampled_from(NASTY) | st.floats()

numpy_math = SimpleNamespace(
    exp=np.exp,
    expm1=np.expm1,
    log=np.log,
    log1p=np.log1p,
    sqrt=np.sqrt,
    pow=np.power,
    tanh=np.tanh,
    sin=np.sin,
    cos=np.cos,
    fabs=np.fabs,
    **{
        name: getattr(np, name)
        for name in ("tan", "sinh", "cosh", "hypot", "fmod", "copysign", "log2", "log10", "nan", "inf")
    },
    asin=np.arcsin,
    acos=np.arccos,
    atan=np.arctan,
    atan2=np.arctan2,
    asinh=np.arcsinh,
    acosh=np.arccosh,
    atanh=np.arctanh,
    erf=lambda x: np.float64(math.erf(x)),
    erfc=lambda x: np.float64(math.erfc(x)),  # NumPy has none; Python's raises nowhere
)

FUNCTIONS = [
    function for formula in FORMULAS.values() for function in (formula.forward, *formula.derivatives)
]
each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


def arity(function):
    return function.__code__.co_argcount - len(function.__defaults__ or ())


def with_numpy(function, *args):
    """Run the function on NumPy scalars, with NumPy's ufuncs in the place of `math`."""
    rebuilt = FunctionType(
        function.__code__, {**function.__globals__, "math": numpy_math}, None, function.__defaults__
    )
    with np.errstate(all="ignore"):
        return float(rebuilt(*map(np.float64, args)))


def assert_same(got, expected, args):
    assert type(got) is float
    assert got == pytest.approx(expected, rel=1e-9, abs=1e-300, nan_ok=True), args
    if math.isinf(expected) or expected == got == 0.0:
        assert math.copysign(1.0, got) == math.copysign(1.0, expected), args


@each_function
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_agrees_with_numpy(function, data):
    args = data.draw(st.tuples(*[nasty_floats] * arity(function)))
    expected = with_numpy(function, *args)
    if function is FORMULAS["pow"].forward and args == (0.0, 0.5):  # NumPy keeps the sign of -0.0
        expected = 0.0
    assert_same(evaluate(function, *args), expected, args)
    assert_same(float(calculate(function, *args)), expected, args)


@each_function
def test_agrees_with_compiled_code(function):
    compiled = numba.njit(error_model="numpy")(function)
    few = NASTY if arity(function) < 4 else NASTY[::2]
    for args in itertools.product(few, repeat=arity(function)):
        assert_same(calculate(function, *args), float(compiled(*args)), args)


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("log", (0.0,), -inf),
        ("log", (-0.0,), -inf),
        ("log", (-1.0,), nan),
        ("log1p", (-1.0,), -inf),
        ("log1p", (-2.0,), nan),
        ("exp", (1000.0,), inf),
        ("elu", (1000.0,), 1000.0),
        ("sqrt", (-1.0,), nan),
        ("sin", (inf,), nan),
        ("div", (1.0, 0.0), inf),
        ("div", (1.0, -0.0), -inf),
        ("div", (-1.0, 0.0), -inf),
        ("div", (0.0, 0.0), nan),
        ("div", (nan, 0.0), nan),
        ("pow", (0.0, -1.0), inf),
        ("pow", (-0.0, -1.0), -inf),
        ("pow", (-0.0, -3.0), -inf),
        ("pow", (-0.0, -2.0), inf),
        ("pow", (-0.0, -0.5), inf),
        ("pow", (0.0, -inf), inf),
        ("pow", (-2.0, 0.5), nan),
        ("pow", (10.0, 400.0), inf),
        ("pow", (-10.0, 401.0), -inf),
        ("pow", (-10.0, 400.0), inf),
        ("pow", (nan, 0.0), 1.0),
        ("pow", (1.0, nan), 1.0),
    ],
)
def test_named_cases(name, args, expected):
    got = calculate(FORMULAS[name].forward, *args)
    assert got == expected or (math.isnan(got) and math.isnan(expected))


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (lambda x: math.expm1(x), 1000.0, inf),
        (lambda x: math.sinh(x), -1000.0, -inf),
        (lambda x: math.cosh(x), -1000.0, inf),
        (lambda x: math.atanh(x), -1.0, -inf),
        (lambda x: x**-1.0, 0.0, inf),
        (lambda x: 2.0**x, 5000.0, inf),
        (lambda x: (1.0 if x > 5.0 else 2.0) / (0.0 if x > 5.0 else 1.0), 6.0, inf),
        (lambda x: 1.0 / math.fabs(x - 6.0), 6.0, inf),
    ],
)
def test_functions_of_ones_own(function, x, expected):
    assert calculate(function, x) == expected


def test_a_closure_keeps_what_it_closed_over():
    shift = 3.0
    assert evaluate(lambda x, scale=2.0: scale / (x - shift), 3.0) == inf
