import math

import pytest

from micro import Value, inline
from micro.formulas import FORMULAS, Formula


def cube(x):
    """Return the third power."""
    return x * x * x


def cube_dx(x, out, grad):
    return grad * SCALE * x * x


def other_names(v):
    return v + 1.0


def two_lines(x):
    y = x * x
    return y + x


def dx(x, out, grad):
    return grad


SCALE = 3.0


def test_an_expression_stands_where_the_call_would():
    source = inline.write(FORMULAS["mul"])
    assert "out = (x * y)" in source
    assert "to_first, to_second = (grad * y), (grad * x)" in source
    assert "forward(x" not in source.replace("evaluate(forward", "")


def test_only_what_is_read_is_fetched():
    source = inline.write(FORMULAS["add"]).split("def propagate")[1]
    assert "first.data" not in source
    assert "node.data" not in source
    assert "out = node.data" in inline.write(FORMULAS["tanh"]).split("def propagate")[1]


@pytest.mark.parametrize(
    "forward", [other_names, two_lines, lambda x: x + 1.0, math.floor], ids=["names", "lines", "lambda", "C"]
)
def test_what_is_no_plain_expression_is_called(forward):
    formula = Formula("f", forward, (dx,), "f")
    if forward is not math.floor:
        assert "out = forward(x)" in inline.write(formula)
    assert Value(2.5).apply(formula).data == forward(2.5)


def test_a_name_from_outside_is_found_by_calling():
    formula = Formula("cube", cube, (cube_dx,), "cube")
    source = inline.write(formula)
    assert "out = (x * x * x)" in source
    assert "derivatives[0](x, out, grad)" in source
    x = Value(2.0)
    x.apply(formula).backward()
    assert x.grad == 12.0


def test_options_are_filled_in():
    x = Value(-2.0)
    y = x.leaky_relu(0.5)
    y.backward()
    assert (y.data, x.grad, y.op) == (-1.0, 0.5, "leaky_relu(0.5)")


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_gives_what_the_formula_gives(name):
    formula = FORMULAS[name]
    numbers = [1.3 if name == "acosh" else 0.3, 1.7][: len(formula.derivatives)]
    values = [Value(n) for n in numbers]
    out = values[0].apply(formula, *values[1:])
    assert out.data == formula.forward(*numbers)
    out.backward()
    for v, derivative in zip(values, formula.derivatives, strict=True):
        assert v.grad == derivative(*numbers, out.data, 1.0)
