"""Read an expression such as "x*y + (x**2).relu()" into a graph of Values. Nothing is ever `eval`ed.

Python's own parser reads the text; of what it finds only numbers, the given names, `+ - * / **`, and the
formulas as functions or methods are let through, one node of the tree at a time.
"""

import ast
import inspect
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from keyword import iskeyword
from typing import Any, NoReturn

from micro.formulas import FORMULAS, Formula
from micro.text import shorten
from micro.value import Value, to_value

FUNCTIONS = {**FORMULAS, "min": FORMULAS["minimum"], "max": FORMULAS["maximum"]}
"""What can be called, by name."""

_ELSEWHERE = {
    "ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "swish": "silu", "clip": "clamp",
}  # fmt: skip
_OPERATORS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}
_INSTEAD: dict[type[ast.AST], str] = {
    ast.BitXor: "a power is written **",
    ast.Mod: "write fmod(x, y)",
    ast.FloorDiv: "only / divides",
    ast.MatMult: "these are numbers, write *",
}


_SIGNS = {"×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "−": "-", "–": "-", "²": "**2", "³": "**3"}
"""Signs of print, and how they are written here."""


class ExpressionError(ValueError):
    """The text is no expression of the kind that is read here; one line that says where and why."""


def read_names(words: Iterable[str]) -> dict[str, float]:
    """Return the numbers of words such as `x=2` and `y=-1e3` by name."""
    given: dict[str, float] = {}
    for word in words:
        name, equals, number = (part.strip() for part in word.partition("="))
        shown = shorten(word)
        if not equals:
            raise ExpressionError(
                f"{shown}: expected NAME=NUMBER, as in x=2; the expression stands in quotes"
            )
        name = _check_name(name, shown)
        if name in given:
            raise ExpressionError(f"{shown}: {name} is given twice")
        try:
            given[name] = float(number)
        except ValueError:
            raise ExpressionError(f"{shown}: expected a number after the =, as in {name}=2") from None
    return given


def parse(text: str, names: Mapping[str, Any]) -> Value:
    """Return the Value that `text` computes.

    names: numbers by name; each becomes a Value of that label (a Value is taken as it is). All must occur.
    Numbers within the text are constants, except for exponents (`x**2`) and options (`leaky_relu(x, 0.1)`),
    which belong to the operation. Results follow IEEE 754: `log(0)` is -inf, nothing raises.

    Raises:
        ExpressionError: anything else stands in the text, or a name has no number.
    """
    return _Reader(text, names).read()


def _check_name(name: str, shown: str) -> str:
    """Return a name as Python reads it."""
    if not name.isidentifier():
        raise ExpressionError(f"{shown}: expected a name of letters, digits and _ before the =, as in x=2")
    if iskeyword(name):
        raise ExpressionError(f"{shown}: {name} is a word of Python's own; choose another name")
    return unicodedata.normalize("NFKC", name)


class _Reader:
    """One text on its way to a Value."""

    def __init__(self, text: str, names: Mapping[str, Any]) -> None:
        if not isinstance(text, str):
            raise TypeError(f"parse: expected the expression as a str, got {type(text).__name__}")
        self._text = " ".join(text.splitlines()).strip()
        self._names = {_check_name(name, name): self._label(name, given) for name, given in names.items()}
        self._used: set[str] = set()
        self._fixed: set[int] = set()  # results that no name had a part in, by id
        self._kept: list[Value] = []  # so that ids stay theirs

    def _label(self, name: str, given: Any) -> Value:
        return given if isinstance(given, Value) else Value(given, unicodedata.normalize("NFKC", name))

    def read(self) -> Value:
        root = self._evaluate(self._parse())
        unused = [name for name in self._names if name not in self._used]
        if unused:
            raise ExpressionError(f"{unused[0]} is given, but not in the expression; leave it out")
        return root

    def _parse(self) -> ast.expr:
        if not self._text:
            raise ExpressionError('the expression is empty; expected one such as "x*y + (x**2).relu()"')
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of `1if`: what is wrong with it is said below
                tree = ast.parse(self._text, mode="eval").body
        except SyntaxError as error:
            self._refuse_syntax(error)
        except (RecursionError, MemoryError):
            raise ExpressionError(
                f"the expression of {len(self._text):,} characters has more operations in one another than "
                "Python's parser follows (a few thousand); build it in Python from Values"
            ) from None
        except ValueError as error:
            raise ExpressionError(f"the expression holds a character that no text has: {error}") from None
        if "#" in self._text:
            raise ExpressionError(f"'#' at column {self._text.index('#') + 1}: leave the comment out")
        return tree

    def _refuse_syntax(self, error: SyntaxError) -> NoReturn:
        column = min(max(error.offset or 1, 1), len(self._text) + 1)
        rest = shorten(self._text[column - 1 :].strip(), 20)
        problem = error.msg
        if problem.startswith("Exceeds the limit"):
            rest, problem = rest[:8] + "…", "a number of so many digits cannot be read; write it as 1e5000"
        elif rest.startswith("=") and not rest.startswith("=="):
            problem = "nothing is assigned here; give a name its number after the expression, as in x=2"
        elif rest[:1] in _SIGNS:
            problem = f"{rest[0]} is written {_SIGNS[rest[0]]}"
        elif problem == "invalid decimal literal":
            problem = "a product needs its *, as in 2*x"
        elif problem == "invalid syntax" and self._text[-1] in "+-*/,.":
            column, rest, problem = len(self._text), self._text[-1], "something is missing after it"
        elif problem == "invalid syntax":
            problem = "it cannot stand here; there are numbers, names, + - * / ** and formulas"
        where = f"{rest!r} at column {column}" if rest else f"the end, column {column}"
        raise ExpressionError(f"{where}: {problem}") from None

    # --- from the tree to Values ---------------------------------------------------------------------

    def _evaluate(self, tree: ast.expr) -> Value:
        """Return the Value of a tree; not by recursion, since a sum of many terms is a deep tree."""
        results: list[Value] = []
        waiting: list[ast.expr | tuple[int, Callable[..., Value]]] = [tree]
        while waiting:
            item = waiting.pop()
            if isinstance(item, tuple):
                count, combine = item
                operands = results[len(results) - count :]
                del results[len(results) - count :]
                result = combine(*operands)
                if operands and all(id(operand) in self._fixed for operand in operands):
                    self._fix(result)
                results.append(result)
            else:
                parts, combine = self._plan(item)
                waiting.append((len(parts), combine))
                waiting.extend(reversed(parts))
        return results[0]

    def _fix(self, value: Value) -> Value:
        self._fixed.add(id(value))
        self._kept.append(value)
        return value

    def _plan(self, node: ast.expr) -> tuple[list[ast.expr], Callable[..., Value]]:
        """Return the parts of a node that are computed first, and what computes it from their results."""
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return [], lambda: self._fix(to_value(number, "constant"))
            case ast.Name(id=name):
                value = self._look_up(node, name)
                return [], lambda: value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)) if (
                not isinstance(number, bool)
            ):
                return [], lambda: self._fix(to_value(-number, "constant"))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return [operand], Value.neg
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return [operand], lambda value: value
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                formula = FORMULAS[_OPERATORS[type(op)]]
                return [left, right], lambda x, y: self._apply(formula, x, y)
            case ast.Call(func=ast.Name(id=name), args=args):
                return self._plan_call(node, name, args)
            case ast.Call(func=ast.Attribute(value=value, attr=name), args=args):
                return self._plan_call(node, name, [value, *args])
        self._refuse(node)

    def _look_up(self, node: ast.expr, name: str) -> Value:
        if name in self._names:
            self._used.add(name)
            return self._names[name]
        if name in FUNCTIONS:
            self._fail(node, f"a function needs its argument, as in {name}(x)")
        near = get_close_matches(name, self._names, 1)
        hint = f"did you mean {near[0]}? Or " if near else ""
        self._fail(node, f"no number is given for it; {hint}give one: {name}=1")

    def _apply(self, formula: Formula, x: Value, y: Value) -> Value:
        if formula.name == "pow" and id(y) in self._fixed:
            return x.pow(y.data)
        return x.apply(formula, y)

    def _plan_call(
        self, node: ast.Call, name: str, args: list[ast.expr]
    ) -> tuple[list[ast.expr], Callable[..., Value]]:
        formula = FUNCTIONS.get(name)
        if formula is None:
            if name in self._names:
                self._fail(node, f"{name} is a number and no function; a product needs its *")
            near = [_ELSEWHERE[name]] if name in _ELSEWHERE else get_close_matches(name, FUNCTIONS, 1)
            hint = (
                f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(FUNCTIONS)[:6])}, ..."
            )
            self._fail(node, f"no formula is named {name}; {hint}")
        for part in (*args, *node.keywords):
            if isinstance(part, ast.Starred) or (isinstance(part, ast.keyword) and part.arg is None):
                self._fail(node, "arguments are written one by one, without *")
        signature = inspect.signature(formula.forward)
        keywords: dict[str, ast.expr] = {str(keyword.arg): keyword.value for keyword in node.keywords}
        try:
            bound = signature.bind(*args, **keywords)
        except TypeError as error:
            self._fail(node, f"{error}; it is called as {name}{signature}")
        parts, given = list(bound.arguments.values()), list(bound.arguments)
        count = len(formula.variables)

        def combine(*operands: Value) -> Value:
            if formula.name == "pow":
                return self._apply(formula, *operands)
            options = {}
            for option, operand in zip(given[count:], operands[count:], strict=True):
                if id(operand) not in self._fixed:
                    self._fail(
                        bound.arguments[option],
                        f"{option} of {name} is an option, to which no gradient flows: write a number",
                    )
                options[option] = operand.data
            return operands[0].apply(formula, *operands[1:count], **options)

        return parts, combine

    # --- what is refused -----------------------------------------------------------------------------

    def _refuse(self, node: ast.expr) -> NoReturn:
        """Say what is wrong with a node of a kind that is not let through."""
        match node:
            case ast.Constant(value=str()) | ast.JoinedStr():
                problem = "text is no number; leave the quotes away"
            case ast.Constant(value=value):
                problem = f"expected a number, got {type(value).__name__}"
            case ast.Attribute(attr=name) if name in FUNCTIONS:
                problem = f"a formula is called: .{name}()"
            case ast.Attribute():
                problem = "nothing can be read off a value; a formula is called, as in x.tanh()"
            case ast.BinOp(op=op) | ast.UnaryOp(op=op):
                problem = _INSTEAD.get(type(op), "of operators there are + - * / **")
            case ast.Call(func=ast.Constant() | ast.BinOp()):
                problem = "a product needs its *, as in 2*(x)"
            case ast.Call():
                problem = "only formulas can be called, as in tanh(x) or x.tanh()"
            case ast.Compare() | ast.BoolOp() | ast.IfExp():
                problem = "there are no conditions; maximum, minimum, relu and clamp choose"
            case ast.NamedExpr():
                problem = "nothing is assigned here; give a name its number after the expression, as in x=2"
            case ast.Tuple():
                problem = "one number is computed, not several; leave the comma away"
            case _:
                kind = type(node).__name__
                problem = f"{kind} has no place here: there are numbers, names, + - * / ** and formulas"
        self._fail(node, problem)

    def _fail(self, node: ast.expr, problem: str) -> NoReturn:
        # the offset counts bytes
        before = self._text.encode()[: node.col_offset].decode(errors="ignore")
        segment = shorten(ast.get_source_segment(self._text, node) or "", 30)
        raise ExpressionError(f"{segment!r} at column {len(before) + 1}: {problem}")
