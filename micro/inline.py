"""The text of two functions for each formula: one that applies it to Values, one that goes back through it.

The formula's own expression stands where a call of it would: in a graph of additions and products, calls are
a fifth of the time. For `mul` that gives

    def apply(self, other):
        if other.__class__ is not Value: ...
        x = self.data
        y = other.data
        try:
            out = x * y
        except (ArithmeticError, ValueError):
            out = evaluate(forward, x, y, *options)
        node = _new(Value)
        ...
        return node

    def propagate(node):
        first = node._x
        second = node._y
        grad = node.grad
        x = first.data
        y = second.data
        try:
            to_first, to_second = grad * y, grad * x
        except (ArithmeticError, ValueError):
            to_first, to_second = rule.evaluate_flows(node)
        first.grad += to_first
        second.grad += to_second

`micro.value` compiles them. What is more than one expression, or reads names of its own, is called.
"""

import ast
import copy
import inspect
import math
import re
from collections.abc import Callable
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any

from micro.formulas import Formula


def write(formula: Formula) -> str:
    """Return the source of make(rule, forward, derivatives, options), which returns (apply, propagate).

    formula: of one variable, which may have options, or of two.
    """
    variables, options = ["x", "y"][: len(formula.derivatives)], list(formula.options)
    forward = _inline("forward", formula.forward, variables, options)
    arguments = [*variables, "out", "grad"]
    flows = [_inline(f"derivatives[{n}]", d, arguments, options) for n, d in enumerate(formula.derivatives)]
    lines = ["def make(rule, forward, derivatives, options):"]
    lines += [f"    {_OPTION}{name} = options[{n}]" for n, name in enumerate(options)]
    lines += ["    " + line for line in [*_apply(variables, forward), *_propagate(variables, flows)]]
    return "\n".join([*lines, "    return apply, propagate"])


_OPTION = "option_"  # begins no other name in the text: an option may be called as it likes


def _apply(variables: list[str], forward: str) -> list[str]:
    binary = len(variables) == 2
    return [
        f"def apply(self{', other' * binary}):",
        *["    if other.__class__ is not Value:"] * binary,
        *["        other, answer = _to_operand(self, other, rule)"] * binary,
        *["        if other is None:"] * binary,
        *["            return answer"] * binary,
        *[f"    {x} = {node}.data" for x, node in zip(variables, ("self", "other"), strict=False)],
        "    try:",
        f"        out = {forward}",
        "    except (ArithmeticError, ValueError):",
        f"        out = evaluate(forward, {', '.join(variables)}, *options)",
        "    node = _new(Value)",  # not Value(...): the call of a class costs as much as all the rest
        "    node.data = out",
        "    node.grad = _NOT_YET",
        "    node.label = None",
        "    node._rule = rule",
        "    node._x = self",
        f"    node._y = {'other' if binary else None}",
        "    return node",
    ]


def _propagate(variables: list[str], flows: list[str]) -> list[str]:
    names = set(re.findall(r"\w+", " ".join(flows)))
    places = [("first", "_x"), ("second", "_y")][: len(variables)]
    to = ", ".join(f"to_{place}" for place, _ in places)
    return [
        "def propagate(node):",
        *[f"    {place} = node.{slot}" for place, slot in places],
        "    grad = node.grad",
        *["    out = node.data"] * ("out" in names),
        *[f"    {x} = {p}.data" for x, (p, _) in zip(variables, places, strict=True) if x in names],
        "    try:",
        f"        {to} = {', '.join(flows)}",
        "    except (ArithmeticError, ValueError):",
        f"        {to} = rule.evaluate_flows(node)",
        # not before all have been computed: what raises must not add twice
        *[f"    {place}.grad += to_{place}" for place, _ in places],
    ]


def _inline(name: str, function: Callable[..., float], arguments: list[str], options: list[str]) -> str:
    """Return the expression that `function` returns; or a call of it by `name`."""
    expression = _expression(function, options)
    if expression is None or [*inspect.signature(function).parameters] != [*arguments, *options]:
        return f"{name}({', '.join(arguments)}{', *options' * bool(options)})"
    return f"({expression})"


def _expression(function: Any, options: list[str]) -> str | None:
    """Return the only expression of a function of its arguments and `math`; None if it is anything else.

    Options have their prefix there.
    """
    body = find_body(function)
    if body is None or function.__globals__.get("math") is not math:
        return None
    if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
        return None
    expression = copy.deepcopy(body[0].value) if options else body[0].value
    nodes = list(ast.walk(expression))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    known = {"math", *inspect.signature(function).parameters}
    if not {node.id for node in names} <= known or any(isinstance(node, _BINDING) for node in nodes):
        return None
    for node in names:
        if node.id in options:
            node.id = _OPTION + node.id
    return ast.unparse(expression)


_BINDING = (ast.Lambda, ast.NamedExpr)  # what gives a name another meaning within an expression


def find_body(function: Any) -> list[ast.stmt] | None:
    """Return the statements of a plain function, without its docstring; None if it has no source."""
    if not isinstance(function, FunctionType):
        return None
    definition = _definitions(inspect.getmodule(function)).get(function.__code__.co_firstlineno)
    if definition is None or definition.name != function.__name__:
        return None
    return definition.body[1:] if ast.get_docstring(definition) else definition.body


@lru_cache(maxsize=16)
def _definitions(module: ModuleType | None) -> dict[int, ast.FunctionDef]:
    """Return the functions that a module's file defines, by their first line; none without a file."""
    try:
        tree = ast.parse(inspect.getsource(module))  # type: ignore[arg-type]
    except (OSError, TypeError, SyntaxError):
        return {}
    return {node.lineno: node for node in tree.body if isinstance(node, ast.FunctionDef)}
