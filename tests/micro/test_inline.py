import math
import subprocess
import sys
from pathlib import Path

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
ROOT = Path(__file__).parents[2]


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


def mixed(x, math=2.0, evaluate=3.0, Value=5.0, rule=7.0, node=11.0, _new=13.0, option_x=17.0):
    return x * (math + evaluate + Value + rule + node + _new + option_x)


def mixed_dx(x, out, grad, math=2.0, evaluate=3.0, Value=5.0, rule=7.0, node=11.0, _new=13.0, option_x=17.0):
    return grad * (math + evaluate + Value + rule + node + _new + option_x)


def renamed(first, x=2.0, y=3.0, out=5.0, grad=7.0):
    return first * (x + y) * (out + grad)


def renamed_dx(first, result, flow, x=2.0, y=3.0, out=5.0, grad=7.0):
    return flow * (x + y) * (out + grad)


def bound_within(x, slope=2.0):
    return (lambda slope: x * slope)(slope + 1.0)


def bound_within_dx(x, out, grad, slope=2.0):
    return grad * (slope := slope + 1.0)


@pytest.mark.parametrize(
    ("forward", "derivative", "slope"),
    [(mixed, mixed_dx, 58.0), (renamed, renamed_dx, 60.0), (bound_within, bound_within_dx, 3.0)],
)
def test_an_option_may_have_any_name(forward, derivative, slope):
    formula = Formula("f", forward, (derivative,), "f")
    for _ in range(2):
        x = Value(0.5)
        y = x.apply(formula)
        y.backward()
        assert (y.data, x.grad) == (0.5 * slope, slope)
    assert ("forward(x" in inline.write(formula).replace("evaluate(forward", "")) is (forward is not mixed)


def test_a_method_is_made_when_it_is_first_asked_for():
    program = """
from micro import Value, value
assert not value._rule.cache_info().currsize
x = Value(0.5)
(2.0 * x + x.tanh()).backward()
assert value._rule.cache_info().currsize == 3
assert vars(Value)["add"] is vars(Value)["__add__"]
assert vars(Value)["tanh"].__qualname__ == "Value.tanh"

class Own(Value):
    def exp(self):
        return self * 2.0

Value.sub = lambda self, other: "mine"
assert Own(3.0).exp().data == 6.0
assert (x - 1.0).data == -0.5
assert x.sub(1.0) == "mine"
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


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
