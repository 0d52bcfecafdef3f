"""The formulas of `micro.formulas` on tensors: the same source, read anew.

They are written in a small language: math functions, arithmetic, comparisons, conditional expressions. A
formula of floats becomes one of tensors by taking each of these as its tensor function. A conditional
expression computes both branches for every element; so that the branch not taken, which may be nan or
infinite there, has no part in the gradient, what enters a branch passes a gate that only lets gradients of
its own elements back.
"""

import ast
import functools
import inspect
import math
import operator
import textwrap
from collections.abc import Callable
from typing import Any

from micro.formulas import FORMULAS
from tensor import compare, elementwise, rounding
from tensor.engine import Tensor
from tensor.formula import apply
from tensor.recorded.basis import Gate, MissingKernelError

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type, Callable] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_CONSTANT_BETWEEN_JUMPS = {"floor": "floor", "ceil": "ceil", "trunc": "trunc"}
_NAMED_OTHERWISE = {"fabs": "abs"}


@functools.cache
def on_tensors(function: Callable[..., float]) -> Callable[[dict[str, Any]], Any]:
    """Return the formula as a function of its arguments by name, tensors or numbers."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    names = function.__globals__

    def run(arguments: dict[str, Any]) -> Any:
        values = dict(arguments)
        return _run(tree.body, values)

    def _run(body: list[ast.stmt], values: dict[str, Any]) -> Any:
        for statement in body:
            if isinstance(statement, ast.Return) and statement.value is not None:
                return evaluate(statement.value, values)
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                values[statement.targets[0].id] = evaluate(statement.value, values)
            elif not isinstance(statement, ast.Expr):  # a docstring
                raise MissingKernelError(f"{function.__name__}: {ast.unparse(statement)}")
        raise MissingKernelError(f"{function.__name__} returns nothing")

    def evaluate(node: ast.expr, values: dict[str, Any]) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return values[node.id] if node.id in values else names[node.id]
            case ast.Attribute(value=ast.Name(id="math")):
                return getattr(math, node.attr)
            case ast.UnaryOp(op=ast.USub()):
                return -evaluate(node.operand, values)
            case ast.UnaryOp(op=ast.Not()):
                return _not(evaluate(node.operand, values))
            case ast.BinOp() if type(node.op) in _BINARY:
                return _BINARY[type(node.op)](evaluate(node.left, values), evaluate(node.right, values))
            case ast.Compare():
                sides = [evaluate(side, values) for side in (node.left, *node.comparators)]
                pairs = zip(node.ops, sides[:-1], sides[1:], strict=True)
                return _all([_compare(type(op), left, right) for op, left, right in pairs])
            case ast.BoolOp():
                parts = [evaluate(part, values) for part in node.values]
                return _all(parts) if isinstance(node.op, ast.And) else _not(_all([_not(p) for p in parts]))
            case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr=name)):
                return _call(name, *[evaluate(argument, values) for argument in node.args])
            case ast.Call(func=ast.Name(id="abs" | "float" | "min" | "max" as name)):
                return _call(name, *[evaluate(argument, values) for argument in node.args])
            case ast.IfExp():
                return choose(node, values)
        raise MissingKernelError(f"{function.__name__}: {ast.unparse(node)}")

    def choose(node: ast.IfExp, values: dict[str, Any]) -> Any:
        condition = evaluate(node.test, values)
        if not isinstance(condition, Tensor):
            return evaluate(node.body if condition else node.orelse, values)
        condition = condition.detach()
        # Numbers are here as tensors, too: x ** 3 asks of every 3 whether it is 0.
        if _reads(node.body, "grad") and condition.all():
            return evaluate(node.body, values)
        taken = evaluate(node.body, _gated(node.body, values, condition))
        other = evaluate(node.orelse, _gated(node.orelse, values, compare.logical_not(condition)))
        if not isinstance(taken, Tensor) and not isinstance(other, Tensor):
            like = next(v for v in values.values() if isinstance(v, Tensor))
            taken = like.new_full((), taken)
        return elementwise.where(condition, taken, other)

    return run


@functools.cache
def used_in_conditions_only(function: Callable[..., float]) -> frozenset[str]:
    """Return which arguments a formula reads in conditions, but in no value."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.IfExp)]
    within = {id(node) for test in tests for node in ast.walk(test)}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    values = {node.id for node in names if id(node) not in within}
    return frozenset(node.id for node in names if id(node) in within) - values


def _reads(branch: ast.expr, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(branch))


def _gated(branch: ast.expr, values: dict[str, Any], condition: Tensor) -> dict[str, Any]:
    """Return the values, those that enter `branch` behind a gate."""
    read = {node.id for node in ast.walk(branch) if isinstance(node, ast.Name)}
    return {
        name: Gate.apply(value, condition=condition._array)
        if name in read and isinstance(value, Tensor) and value.requires_grad
        else value
        for name, value in values.items()
    }


def _not(x):
    return compare.logical_not(x) if isinstance(x, Tensor) else not x


def _all(parts: list) -> Any:
    found = parts[0]
    for part in parts[1:]:
        if isinstance(found, Tensor) and isinstance(part, Tensor):
            found = compare.logical_and(found, part)
        elif isinstance(found, Tensor):
            found = found if part else compare.logical_and(found, compare.ne(found, found))
        else:
            found = part if found else False
    return found


def _compare(kind: type, left, right):
    left, right = (v.detach() if isinstance(v, Tensor) else v for v in (left, right))
    return _COMPARISONS[kind](left, right)


def _call(name: str, *arguments):
    if not any(isinstance(v, Tensor) for v in arguments):
        return getattr(math, name)(*arguments) if hasattr(math, name) else {"abs": abs}[name](*arguments)
    name = _NAMED_OTHERWISE.get(name, name)
    if name in FORMULAS:
        return apply(name, *arguments)
    if name in _CONSTANT_BETWEEN_JUMPS:
        return getattr(rounding, name)(*arguments)
    raise MissingKernelError(f"math.{name}")
