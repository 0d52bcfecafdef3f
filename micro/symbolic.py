"""Formulas and local derivatives as a person writes them, read off the formulas' own source.

    tanh_dx: grad * (1.0 - out * out)      -> 1 - out**2
    pow_dx of y = 2.0                      -> 2 * x
    leaky_relu_dx of slope = 0.1           -> 1 if x > 0 else 0.1

A derivative is linear in `grad`: with 1 in its place the rest is the local derivative. Options are filled
in, assignments are put where their names stand, what is constant is computed. What gets longer than a
line can hold, or has no source at hand, is shown as a call: `gelu_dx(x)`.
"""

import ast
import copy
import math
import operator
import re
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

from micro import formulas, inline
from micro.formulas import Formula
from micro.text import show_number

LONGEST = 50
"""Local derivatives of more characters are shown as a call."""

Template = tuple[str, bool]
"""A text in the names of a formula's variables and `out`; and whether a negative number needs brackets."""


def fill(template: Template, names: Mapping[str, str]) -> str:
    """Put names, or numbers, where the variables of a template stand."""
    text, operators = template

    def put(match: re.Match[str]) -> str:
        name = names.get(match[0])
        if name is None:
            return match[0]
        before, after = text[: match.start()], text[match.end() :]
        alone = (before.endswith(("(", ", ")) and after.startswith((")", ","))) or not (before or after)
        return f"({name})" if operators and not alone and name.startswith("-") else name

    return re.sub(r"(?<![\w.])[^\W\d]\w*", put, text)


@lru_cache(maxsize=512)
def write_forward(formula: Formula, options: tuple[float, ...]) -> Template:
    """Return `x * y` for an operator, and else the call: `tanh(x)`, `leaky_relu(x, slope=0.1)`."""
    _, fixed = _unfold(formula)
    if fixed:
        return f"x**{show_constant(fixed['y'])}", True
    tree = _read(formula.forward, {})
    if tree is not None and all(isinstance(node, _OPERATOR_PARTS) for node in ast.walk(tree)):
        return _show(tree), True
    given = [*formula.variables]
    for (name, default), option in zip(formula.options.items(), options, strict=True):
        if option != default:
            given.append(f"{name}={show_constant(option)}")
    return f"{formula.name}({', '.join(given)})", False


def write_derivative(
    formula: Formula, options: tuple[float, ...], place: int, constants: Mapping[str, float]
) -> Template:
    """Return the local derivative towards variable number `place`; of its cases those that can occur.

    constants: the variables that are, with their numbers.
    """
    template = write_derivatives(formula, options)[place]
    if constants and " if " in template[0]:
        return write_derivatives(formula, options, tuple(constants.items()))[place]
    return template


@lru_cache(maxsize=512)
def write_derivatives(
    formula: Formula, options: tuple[float, ...], constants: tuple[tuple[str, float], ...] = ()
) -> tuple[Template, ...]:
    """Return the local derivative towards each variable, in their order."""
    formula, fixed = _unfold(formula)
    filled = {**fixed, **dict(constants), **dict(zip(formula.options, options, strict=True)), "grad": 1.0}
    written = []
    variables = [name for name in formula.variables if name not in fixed]
    for variable, derivative in zip(variables, formula.derivatives, strict=False):
        tree = _read(derivative, filled)
        text = "" if tree is None else _show(tree)
        if text and len(text) <= LONGEST:
            written.append((text, True))
        elif derivative.__name__.isidentifier():
            given = [
                *variables,
                *[f"{n}={show_constant(o)}" for n, o in filled.items() if n in formula.options],
            ]
            written.append((f"{derivative.__name__}({', '.join(given)})", False))
        else:
            written.append((f"d {formula.name} / d {variable}", False))
    return tuple(written)


def _unfold(formula: Formula) -> tuple[Formula, dict[str, float]]:
    """Return the formula of x ** y and the exponent of a fixed power; else the formula itself."""
    if isinstance(formula.forward, partial):
        return formulas.POW, {"y": formula.forward.args[0]}
    return formula, {}


# --- reading -----------------------------------------------------------------------------------------


def _read(function: Any, filled: Mapping[str, float]) -> ast.expr | None:
    """Return what a function of straight lines returns, as one expression, simplified; None for others."""
    names: dict[str, ast.expr] = {name: ast.Constant(float(number)) for name, number in filled.items()}
    for statement in inline.find_body(function) or []:
        if isinstance(statement, ast.Return) and statement.value is not None:
            return _simplify(statement.value, names)
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if not isinstance(target, ast.Name) or target.id in names:
            return None
        names[target.id] = _simplify(statement.value, names)  # type: ignore[attr-defined]
        if len(ast.unparse(names[target.id])) > 2 * LONGEST:  # each use would double it
            return None
    return None


_OPERATOR_PARTS = ast.Name | ast.BinOp | ast.UnaryOp | ast.operator | ast.unaryop | ast.expr_context
"""A formula made of nothing else is written as it stands; others by their names."""

_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_COMPARISONS = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip


def _simplify(node: ast.expr, names: Mapping[str, ast.expr]) -> ast.expr:
    match node:
        case ast.Name(id=name):
            return names.get(name, node)
        case ast.Attribute(value=ast.Name(id="math"), attr=name):
            number = getattr(math, name, None)
            known = isinstance(number, float)  # as math.pi is; the others are functions
            return ast.Constant(number) if known else ast.Name({"fabs": "abs"}.get(name, name))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _negate(_simplify(operand, names))
        case ast.Call(func=func, args=[base, exponent]) if ast.unparse(func) == "math.pow":
            return _power(_simplify(base, names), _simplify(exponent, names))
        case ast.Call(func=func, args=args):
            return ast.Call(_simplify(func, names), [_simplify(a, names) for a in args], [])
        case ast.BinOp(left=left, op=op, right=right):
            return _combine(op, _simplify(left, names), _simplify(right, names))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            test, body, orelse = (_simplify(part, names) for part in (test, body, orelse))
            if isinstance(test, ast.Constant):
                return body if test.value else orelse
            return ast.IfExp(test, body, orelse)
        case ast.BoolOp(op=op, values=values):
            return _decide(op, [_simplify(value, names) for value in values])
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            left, right = _simplify(left, names), _simplify(right, names)
            if (type(op), getattr(right, "value", None)) in ((ast.LtE, math.inf), (ast.GtE, -math.inf)):
                return ast.Constant(True)  # a bound that was not given
            if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
                return ast.Constant(_COMPARISONS[type(op)](left.value, right.value))  # type: ignore[arg-type]
            return ast.Compare(left, [op], [right])
    return node


def _decide(op: ast.boolop, values: list[ast.expr]) -> ast.expr:
    """Leave out of `and` and `or` what is known."""
    ends = isinstance(op, ast.Or)  # what decides it: True an `or`, False an `and`
    left: list[ast.expr] = []
    for value in values:
        if not isinstance(value, ast.Constant):
            left.append(value)
        elif bool(value.value) is ends:
            return ast.Constant(ends)
    return ast.BoolOp(op, left) if len(left) > 1 else left[0] if left else ast.Constant(not ends)


def _negate(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Constant):
        return ast.Constant(-node.value)  # type: ignore[operator]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return node.operand
    return ast.UnaryOp(ast.USub(), node)


def _power(base: ast.expr, exponent: ast.expr) -> ast.expr:
    if _is(exponent, 1.0):
        return base
    return ast.Constant(1.0) if _is(exponent, 0.0) else ast.BinOp(base, ast.Pow(), exponent)


def _combine(op: ast.operator, left: ast.expr, right: ast.expr) -> ast.expr:
    """Compute what is constant, drop factors of 1, gather signs in front and equal factors in a power."""
    function = _OPERATORS.get(type(op))
    if isinstance(left, ast.Constant) and isinstance(right, ast.Constant) and function:
        try:
            return ast.Constant(function(left.value, right.value))
        except ArithmeticError:
            return ast.BinOp(left, op, right)
    if isinstance(op, ast.Mult | ast.Div):
        if _is(right, 1.0):
            return left
        if _is(right, -1.0):
            return _negate(left)
        for one, sign in ((left, "left"), (right, "right")):
            if isinstance(one, ast.UnaryOp) and isinstance(one.op, ast.USub):
                pair = (one.operand, right) if sign == "left" else (left, one.operand)
                return _negate(_combine(op, *pair))
    if isinstance(op, ast.Mult):
        if _is(left, 1.0):
            return right
        if _is(left, -1.0):
            return _negate(right)
        if isinstance(right, ast.BinOp) and isinstance(right.op, ast.Div) and _is(right.left, 1.0):
            return _combine(ast.Div(), left, right.right)
        (base, power), (other, more) = _base(left), _base(right)
        if ast.dump(base) == ast.dump(other) and not isinstance(base, ast.Constant):
            return _power(base, ast.Constant(power + more))
    if isinstance(op, ast.Div) and isinstance(left, ast.BinOp) and isinstance(left.op, ast.Div):
        return ast.BinOp(left.left, op, _combine(ast.Mult(), left.right, right))
    return ast.BinOp(left, op, right)


def _base(node: ast.expr) -> tuple[ast.expr, float]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant):
        return node.left, node.right.value  # type: ignore[return-value]
    return node, 1.0


def _is(node: ast.expr, number: float) -> bool:
    return isinstance(node, ast.Constant) and node.value == number


# --- writing -----------------------------------------------------------------------------------------


def _show(tree: ast.expr) -> str:
    text = ast.unparse(_Short().visit(copy.deepcopy(tree))).replace(" ** ", "**")
    return re.sub(r"\*\*\((-[\w.]+)\)", r"**\1", text)


class _Short(ast.NodeTransformer):
    """Writes numbers as people do: 2 and not 2.0, 0.7071 and not 0.7071067811865476."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        number = node.value
        if not isinstance(number, float):
            return node
        name = ast.Name(show_constant(abs(number)))
        return ast.UnaryOp(ast.USub(), name) if number < 0.0 else name


def show_constant(number: float) -> str:
    """Return a number as people write it in a formula: 2, 0.1, 0.7071."""
    if math.isfinite(number) and number == int(number) and abs(number) < 1e6:
        return str(int(number))
    exact = repr(float(number))
    return exact if len(exact) <= 8 else show_number(number)
