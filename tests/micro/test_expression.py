"""Expressions: what is read, and that all else is one clear line that says where and why."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro import Value
from micro.expression import ExpressionError, parse, read_names
from micro.formulas import FORMULAS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x*y + (x**2).relu()", 10.0),
        ("x - y/x", 0.5),
        ("-x**2 + y", -1.0),
        ("--x + +y", 5.0),
        ("x + y * -2e0", -4.0),
        ("(x)+(\n y)", 5.0),
        ("tanh(x) + y.tanh()", math.tanh(2.0) + math.tanh(3.0)),
        ("leaky_relu(-x, 0.1) * y", -2.0 * 0.1 * 3.0),
        ("(-x).leaky_relu(slope=-0.5) * y", 3.0),
        ("max(x, y) - min(y, x) + abs(-x)", 3.0),
        ("prelu(weight=y, x=-x)", -6.0),
        ("2**x + y**(1/2)", 4.0 + math.pow(3.0, 0.5)),
        ("1_0 * x + 0x10 * y", 68.0),
        ("x/0 + y", math.inf),
        ("log(0) + x*y", -math.inf),
        ("9**9**9 * x * y", math.inf),
        ("1e999 * x + y", math.inf),
        ("1.5.exp() * x * y", math.exp(1.5) * 2.0 * 3.0),
    ],
)
def test_what_an_expression_computes(text, expected):
    assert parse(text, {"x": 2.0, "y": 3}).data == expected


def test_names_are_labelled_values_each_once():
    root = parse("x * x", {"x": 2.0})
    assert root.parents[0] is root.parents[1]
    assert (root.parents[0].label, root.parents[0].kind) == ("x", "input")


def test_a_value_may_be_given():
    x = Value(3.0, "input")
    assert parse("t + 1", {"t": x}).parents[0] is x


def test_numbers_are_constants_and_recorded():
    root = parse("2 * 3", {})
    assert (root.data, root.op, [p.kind for p in root.parents]) == (6.0, "*", ["constant", "constant"])


@pytest.mark.parametrize("text", ["x**2", "x.pow(2)", "pow(x, 2)", "x**(4/2)", "x**--2"])
def test_a_number_as_exponent_belongs_to_the_operation(text):
    root = parse(text, {"x": 3.0})
    assert (root.op, len(root.parents)) == ("**2", 1)


@pytest.mark.parametrize("text", ["x**x", "2**x", "x.pow(x)", "pow(2, x)"])
def test_an_exponent_with_a_name_gets_a_gradient(text):
    root = parse(text, {"x": 3.0})
    assert (root.op, len(root.parents)) == ("**", 2)


@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_is_a_function_and_a_method(name):
    formula = FORMULAS[name]
    others = ", y" * (len(formula.variables) - 1)
    names = {"x": 0.5, "y": 0.75} if others else {"x": 0.5}
    called = parse(f"{name}(x{others})", names)
    as_method = parse(f"x.{name}({others.lstrip(', ')})", names)
    expected = Value(0.5).apply(formula, *[0.75] * bool(others)).data
    assert called.data == as_method.data == expected or math.isnan(expected)


def test_a_function_may_share_its_name_with_a_number():
    assert parse("exp * exp(0)", {"exp": 5.0}).data == 5.0


def test_unicode_names_are_read_as_python_reads_them():
    assert parse("ﬁ + ü", {"ﬁ": 1.0, "ü": 2.0}).data == 3.0
    assert read_names(["ﬁ=1"]) == {"fi": 1.0}


def test_long_chains():
    assert parse("+".join(["x"] * 2000), {"x": 1.0}).data == 2000.0


def as_text(operands):
    """Return longer expressions of these."""
    return (
        st.tuples(operands, st.sampled_from(["+", "-", "*", "/", "**"]), operands)
        .map(" ".join)
        .map("({})".format)
        | operands.map("-{}".format)
        | operands.map("({}).tanh()".format)
        | operands.map("sigmoid({})".format)
        | st.tuples(operands, operands).map(lambda pair: f"maximum({pair[0]}, {pair[1]})")
    )


@given(st.recursive(st.sampled_from(["x", "y", "2", "0.5", "-3"]), as_text, max_leaves=12))
@settings(deadline=None)
def test_what_is_parsed_is_what_python_computes(text):
    names = {"x": 1.5, "y": -0.5}
    values = {name: Value(number) for name, number in names.items()}
    functions = {
        "sigmoid": lambda v: v.sigmoid() if isinstance(v, Value) else Value(v).sigmoid(),
        "maximum": lambda a, b: (a if isinstance(a, Value) else Value(a)).maximum(b),
    }
    used = {name: number for name, number in names.items() if name in re.findall(r"\w+", text)}
    parsed = parse(text, used)
    try:
        expected = eval(text, {"__builtins__": {}}, {**values, **functions})
    except (ArithmeticError, AttributeError):  # what Python's own numbers refuse: 1 / 0, (2).tanh()
        return
    if isinstance(expected, Value):
        assert repr(parsed.data) == repr(expected.data)


def test_parse_takes_text():
    with pytest.raises(TypeError, match="parse: expected the expression as a str, got int"):
        parse(3, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the expression is empty"),
        ("  \n ", "the expression is empty"),
        ("x + zz", "'zz' at column 5: no number is given for it; give one: zz=1"),
        ("x + width2", "'width2' at column 5: no number is given for it; did you mean width? Or give one"),
        ("x + ü*zz", "'ü' at column 5: no number"),
        ("(x + width) * zz", "'zz' at column 15: "),
        ("tanh", "a function needs its argument, as in tanh(x)"),
        ("x.tanh", "'x.tanh' at column 1: a formula is called: .tanh()"),
        ("x.data", "nothing can be read off a value"),
        ("x.__class__", "nothing can be read off a value"),
        ("x.__class__()", "no formula is named __class__"),
        ("x.backward()", "no formula is named backward"),
        ("__import__('os')", "no formula is named __import__"),
        ("x(2)", "x is a number and no function; a product needs its *"),
        ("x.tanh()(2)", "only formulas can be called"),
        ("tanhh(x)", "no formula is named tanhh; did you mean tanh?"),
        ("ln(x)", "did you mean log?"),
        ("tanh()", "missing a required argument: 'x'; it is called as tanh(x)"),
        ("leaky_relu(x, 1, 2)", "too many positional arguments; it is called as leaky_relu(x, slope=0.01)"),
        ("leaky_relu(x, slop=1)", "unexpected keyword argument 'slop'"),
        ("leaky_relu(x, width)", "'width' at column 15: slope of leaky_relu is an option"),
        ("tanh(*x)", "one by one"),
        ("tanh(**x)", "one by one"),
        ("x[0]", "Subscript has no place here"),
        ("x < 2", "there are no conditions"),
        ("x if x else 2", "there are no conditions"),
        ("x and width", "there are no conditions"),
        ("not x", "of operators there are + - * / **"),
        ("x ^ 2", "a power is written **"),
        ("x²", "² is written **2"),
        ("2 × x", "'× x' at column 3: × is written *"),
        ("x − 1", "− is written -"),
        ("2x", "'2x' at column 1: a product needs its *"),
        ("2(x)", "a product needs its *"),
        ("(x + 1)(x)", "a product needs its *"),
        ("x % 2", "write fmod(x, y)"),
        ("x // 2", "only / divides"),
        ("x @ x", "write *"),
        ("'a'", "text is no number"),
        ("f'{x}'", "text is no number"),
        ("b'a'", "expected a number, got bytes"),
        ("2j * x", "expected a number, got complex"),
        ("-True", "expected a number, got bool"),
        ("None", "expected a number, got NoneType"),
        ("lambda: x", "Lambda has no place here"),
        ("[x for x in x]", "ListComp has no place here"),
        ("{x: 1}", "Dict has no place here"),
        ("await x", "Await has no place here"),
        ("(y := x)", "nothing is assigned here"),
        ("x = 2", "'= 2' at column 3: nothing is assigned here"),
        ("x, x", "one number is computed"),
        ("x +", "'+' at column 3: something is missing after it"),
        ("x x", "'x' at column 3: it cannot stand here"),
        ("(x", "'(' was never closed"),
        ("x)", "unmatched ')'"),
        ("x; x", "it cannot stand here"),
        ("import os", "it cannot stand here"),
        ("x # the first", "'#' at column 3: leave the comment out"),
        ("x\0", "null bytes"),
        ("\ud800", "holds a character that no text has"),
        ("9" * 5000, "a number of so many digits"),
        ("(" * 1000 + "x" + ")" * 1000, "too many nested parentheses"),
        ("-" * 200_000 + "x", "200,001 characters has more operations in one another"),
        ("x" + ".tanh()" * 20_000, "more operations in one another"),
        ("**".join(["x"] * 50_000), "more operations in one another"),
    ],
)
def test_anything_else_is_one_clear_line(text, message, recwarn):
    with pytest.raises(ExpressionError) as caught:
        parse(text, {"x": 2.0, "width": 3.0})
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 200
    assert not recwarn.list


def test_a_given_name_that_does_not_occur_is_refused():
    with pytest.raises(ExpressionError, match="y is given, but not in the expression; leave it out"):
        parse("x", {"x": 1.0, "y": 2.0})


# --- names --------------------------------------------------------------------------------------------


def test_read_names():
    assert read_names(["x=2", "y=-1e3", "z = 1_0", "_a=inf"]) == {"x": 2, "y": -1e3, "z": 10, "_a": math.inf}
    assert math.isnan(read_names(["x=nan"])["x"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x"], "x: expected NAME=NUMBER, as in x=2"),
        (["x="], "x=: expected a number after the =, as in x=2"),
        (["x=abc"], "x=abc: expected a number"),
        (["x==2"], "x==2: expected a number"),
        (["=2"], "=2: expected a name"),
        (["2x=1"], "2x=1: expected a name"),
        (["x-y=1"], "x-y=1: expected a name"),
        (["lambda=1"], "lambda=1: lambda is a word of Python's own"),
        (["x=1", "x=1"], "x=1: x is given twice"),
        (["x=" + "a" * 500], "…: expected a number"),
    ],
)
def test_what_is_no_name_with_a_number(words, message):
    with pytest.raises(ExpressionError) as caught:
        read_names(words)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200
