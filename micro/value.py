"""Value: a number that remembers how it was computed, and sends gradients back the same way.

    x, y = Value(2.0, "x"), Value(3.0, "y")
    z = (x * y + x**2).relu()
    z.backward()
    x.grad, y.grad  # (7.0, 2.0): d z / d x and d z / d y

An operation calls its formula (`micro.formulas`) and leaves a node that knows the formula and its one or
two operands. That is the whole graph. It points from results to operands and never back, so Python frees
it the moment its last result is dropped. `backward` sorts the nodes below a result and lets each one
propagate: its local derivatives times its gradient, added to the gradients of its operands.
"""

import inspect
import math  # noqa: F401 for what `inline` writes, as `evaluate`
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any

from micro import display, formulas, inline
from micro.convert import to_float
from micro.formulas import Formula
from micro.ieee import calculate, evaluate
from micro.recording import record_pass
from micro.steps import Pass


class Rule:
    """A formula with its options filled in: what a node holds, and what `Value` makes of it."""

    __slots__ = ("apply", "formula", "options", "propagate", "symbol")

    apply: Callable[..., Any]  # the operation on Values
    propagate: Callable[["Value"], None]  # adds to the gradients of a node's operands what flows to them

    def __init__(self, formula: Formula, options: tuple[float, ...]) -> None:
        self.formula, self.options, self.symbol = formula, options, formula.symbol
        if options:
            self.symbol += f"({', '.join(f'{option:g}' for option in options)})"
        scope: dict[str, Any] = {}
        exec(compile(inline.write(formula), f"<{formula.name}>", "exec"), globals(), scope)
        self.apply, self.propagate = scope["make"](self, formula.forward, formula.derivatives, options)

    def evaluate_flows(self, node: "Value") -> Any:
        """Return what flows to the operands of `node`, by the rules of IEEE 754 where Python raises."""
        operands = (node._x,) if node._y is None else (node._x, node._y)
        numbers = [*[v.data for v in operands], node.data, node.grad, *self.options]
        flows = [evaluate(derivative, *numbers) for derivative in self.formula.derivatives]
        return flows if len(flows) > 1 else flows[0]

    def __reduce__(self):
        return _rule, (self.formula, *self.options)


@lru_cache(maxsize=512)
def _rule(formula: Formula, *options: float) -> Rule:
    return Rule(formula, options)


@lru_cache(maxsize=256)
def _method(formula: Formula) -> Callable[..., "Value"]:
    """Make the method of `Value` that applies `formula` and records the node."""
    arity = len(formula.derivatives)
    if arity not in (1, 2) or (arity == 2 and formula.options):
        raise TypeError(
            f"{formula.name}: expected a formula of one variable, or of two without options, got {arity} "
            f"and options {list(formula.options)}; split it into smaller formulas"
        )
    method: Any = _apply_with_options(formula) if formula.options else _rule(formula).apply
    signature = inspect.signature(formula.forward)
    names = iter(["self", "other"])
    method.__signature__ = signature.replace(
        parameters=[
            p.replace(name=next(names)) if p.default is p.empty else p for p in signature.parameters.values()
        ]
    )
    method.__name__ = formula.name
    method.__qualname__ = f"Value.{formula.name}"
    method.__doc__ = inspect.getdoc(formula.forward) or f"Apply `micro.formulas.{formula.forward.__name__}`."
    return method


def _apply_with_options(formula: Formula) -> Callable[..., "Value"]:
    signature, defaults = inspect.signature(formula.forward), tuple(formula.options.values())

    def method(self: "Value", *args: float, **kwargs: float) -> "Value":
        options = defaults
        if args or kwargs:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            options = tuple(to_float(option, formula.name) for option in bound.args[1:])
        return _rule(formula, *options).apply(self)

    return method


def _to_operand(value: "Value", other: Any, rule: Rule) -> tuple[Any, Any]:
    """Return (`other` as a Value, None); or (None, what a stranger answers to `value <operator> other`)."""
    name = rule.formula.name
    try:
        return to_value(other, name), None
    except TypeError:
        answer = _ask(other, "__rtruediv__" if name == "div" else f"__r{name}__", value)
        if answer is NotImplemented:
            raise
        return None, answer


def _ask(other: Any, reflected: str, value: "Value") -> Any:
    """Let a stranger compute `value <operator> other`; NotImplemented where it cannot."""
    # not what Python has built in, nor arrays: their own errors would not say what to do
    if type(other).__module__ == "builtins" or hasattr(other, "shape"):
        return NotImplemented
    method = getattr(type(other), reflected, None)
    return NotImplemented if method is None else method(other, value)


def _to_power(exponent: float, x: float) -> float:
    return calculate(formulas.pow, x, exponent)


def _to_power_dx(exponent: float, x: float, out: float, grad: float) -> float:
    return calculate(formulas.pow_dx, x, exponent, out, grad)


_new = object.__new__

_NOT_YET = float("0")
"""The gradient of a node that no backward pass has reached: 0.0, and this very object. What backward adds up
is always a new float; so a drawing can tell a gradient that is not computed yet from one that is zero."""

_CONSTANT, _PARAMETER = "constant", "parameter"
"""The kind of a leaf that is no input stands in its empty operand slot: it costs no slot of its own."""


@lru_cache(maxsize=256)
def _power(exponent: float) -> Formula:
    """Return x ** exponent as a function of x alone: one node with one parent, as in micrograd."""
    return Formula(
        "pow",
        partial(_to_power, exponent),
        (partial(_to_power_dx, exponent),),
        f"**{exponent:g}",
    )


class _ByHand:
    """What stands in a node for the rule, where the user gave the operation its closure, as in micrograd.

    The closure takes nothing and adds to the gradients of the children itself.
    """

    def __init__(self, symbol: str, children: tuple["Value", ...]) -> None:
        self.symbol, self.children = symbol, children
        self.closure: Callable[[], Any] | None = None

    def propagate(self, node: "Value") -> None:
        if self.closure is not None:
            self.closure()


class _OnFirstUse:
    """A method of `Value` that is made when it is first asked for: to make all of them takes 50 ms."""

    def __init__(self, make: Callable[[Formula], Callable[..., "Value"]], formula: Formula) -> None:
        self.make, self.formula = make, formula
        self.names: list[str] = []

    def __set_name__(self, owner: type, name: str) -> None:
        self.owner = owner
        self.names.append(name)

    def __get__(self, value: Any, owner: type) -> Callable[..., "Value"]:
        method: Any = self.make(self.formula)
        for name in self.names:
            if vars(self.owner).get(name) is self:  # not what a user has put there since
                setattr(self.owner, name, method)
        return method.__get__(value, owner)


def _reflected(formula: Formula) -> Callable[..., "Value"]:
    """Make the method that Python calls for `number <operator> value`."""
    method = _method(formula)
    return lambda self, other: method(to_value(other, formula.name), self)


class Value:
    """A float with a gradient, and the operation it came from.

    `data` is the number, `grad` the derivative of what `backward()` was last called on, `label` a name for
    drawings. Operators and methods take Values and plain numbers (NumPy scalars too); a number becomes a
    constant node. Results follow IEEE 754: `Value(0.0).log()` is -inf, nothing raises.

    `<`, `<=`, `>` and `>=` compare the numbers. `==` and `hash` are those of the object, as in micrograd:
    graph algorithms keep Values in sets, where two nodes that hold the same number must stay two. Compare
    `a.data == b.data`. For the same reason every Value is true, zero included.
    """

    # A node is one object for the cyclic collector, which is where micrograd spends most of its time. So
    # the operands stand in two slots and not in a tuple, and no closure is kept.
    __slots__ = ("__weakref__", "_rule", "_x", "_y", "data", "grad", "label")

    data: float
    grad: float
    label: str | None
    _rule: Any
    _x: Any
    _y: Any

    def __init__(self, data: Any, _children: Any = (), _op: str = "", label: str | None = None) -> None:
        """Make a leaf: `Value(2.0)`, `Value(2.0, "x")`; or, as in micrograd, a node of an own operation.

        out = Value(math.tanh(a.data), (a,), "tanh")
        out._backward = a_function_of_nothing_that_adds_to_a_grad
        """
        if isinstance(_children, str) or _children is None:
            _children, label = (), _children if label is None else label
        if label is not None and not isinstance(label, str):
            raise TypeError(
                f"Value: expected a label that is a str, got {label!r}; "
                "to record an operation of your own, see `Value.apply`"
            )
        if not isinstance(_children, (tuple, list)) or not all(isinstance(c, Value) for c in _children):
            raise TypeError(
                f"Value: expected a label that is a str, or a tuple of Values, got {_children!r}; "
                "to record an operation of your own, see `Value.apply`"
            )
        self.data = to_float(data, "Value")
        self.grad = _NOT_YET
        self.label = label
        self._rule = self._x = self._y = None
        if _children or _op:
            self._record_by_hand(_op, tuple(_children))

    def _record_by_hand(self, op: str, children: tuple["Value", ...]) -> None:
        self._rule = _ByHand(op, children)
        *rest, last = children or (Value(0.0),)
        for child in reversed(rest[1:]):  # the third and more are chained: a node has two operands at most
            link = Value(0.0)
            link._rule, link._x, link._y = _ByHand("", (child, last)), child, last
            last = link
        self._x, self._y = (rest[0], last) if rest else (last, None)

    # --- the graph ---------------------------------------------------------------------------------------

    @property
    def parents(self) -> tuple["Value", ...]:
        """The operands, in order; `a + a` has the parents (a, a), and a leaf has none."""
        if self._rule is None:
            return ()
        if self._rule.__class__ is _ByHand:
            return self._rule.children
        return (self._x,) if self._y is None else (self._x, self._y)

    @property
    def op(self) -> str:
        """The symbol of the operation this came from; '' for a leaf."""
        return "" if self._rule is None else self._rule.symbol

    _prev, _op = parents, op  # micrograd's names

    @property
    def kind(self) -> str:
        """What a drawing shows it as: "operation", "constant" (the 2 of `2 * x`), "parameter" or "input"."""
        return "operation" if self._rule is not None else self._x or "input"

    @property
    def has_grad(self) -> bool:
        """Whether `grad` was computed, or set: before any backward pass it is 0.0, as in micrograd.

        A gradient that `zero_grad` or a program set to zero is a zero.
        """
        return self.grad is not _NOT_YET

    @property
    def _backward(self) -> Callable[[], None]:
        """The closure that passes this node's gradient on to its parents; one of your own may be set."""
        return lambda: _propagate([self] if self._rule else [])

    @_backward.setter
    def _backward(self, closure: Callable[[], Any]) -> None:
        self._record_by_hand(self.op, self.parents)
        self._rule.closure = closure

    def backward(self) -> None:
        """Compute the derivative of this number with respect to everything it was computed from.

        As in PyTorch (with `retain_graph`), a second call adds to the gradients of the leaves, while the
        nodes in between start from zero again, so that nothing is counted twice.
        """
        order = sort_topologically(self)
        self.grad = 1.0 if order else self.grad + 1.0  # a leaf accumulates, even as its own root
        _propagate(reversed(order))

    def record_pass(self, check: bool = False) -> Pass:
        """Return what one forward and one backward pass from here compute, for `micro.step`."""
        return record_pass(self, check)

    def zero_grad(self) -> None:
        """Set the gradients of this node and of everything below it to zero."""
        self.grad = 0.0
        for node in sort_topologically(self):
            for parent in node.parents:
                parent.grad = 0.0

    def detach(self) -> "Value":
        """Return a leaf with the same number and label: no gradient flows through it."""
        return Value(self.data, self.label)

    def apply(self, formula: Formula, *args: Any, **options: float) -> "Value":
        """Apply a formula of your own, of one or two variables.

        CUBE = Formula("cube", lambda x: x * x * x, (lambda x, out, grad: grad * 3.0 * x * x,), "cube")
        y = x.apply(CUBE)
        """
        return _method(formula)(self, *args, **options)

    # --- the calculus ------------------------------------------------------------------------------------

    __add__ = add = _OnFirstUse(_method, formulas.ADD)
    __sub__ = sub = _OnFirstUse(_method, formulas.SUB)
    __mul__ = mul = _OnFirstUse(_method, formulas.MUL)
    __truediv__ = div = _OnFirstUse(_method, formulas.DIV)
    __neg__ = neg = _OnFirstUse(_method, formulas.NEG)
    __abs__ = abs = _OnFirstUse(_method, formulas.ABS)

    __radd__ = _OnFirstUse(_reflected, formulas.ADD)
    __rsub__ = _OnFirstUse(_reflected, formulas.SUB)
    __rmul__ = _OnFirstUse(_reflected, formulas.MUL)
    __rtruediv__ = _OnFirstUse(_reflected, formulas.DIV)
    __rpow__ = _OnFirstUse(_reflected, formulas.POW)

    def pow(self, exponent: Any) -> "Value":
        """Raise to a power; a plain number as exponent is a constant, a Value gets a gradient of its own."""
        if isinstance(exponent, Value):
            return self.apply(formulas.POW, exponent)
        return _method(_power(to_float(exponent, "pow")))(self)

    __pow__ = pow

    exp = _OnFirstUse(_method, formulas.EXP)
    log = _OnFirstUse(_method, formulas.LOG)
    log1p = _OnFirstUse(_method, formulas.LOG1P)
    sqrt = _OnFirstUse(_method, formulas.SQRT)
    tanh = _OnFirstUse(_method, formulas.TANH)
    sigmoid = _OnFirstUse(_method, formulas.SIGMOID)
    softplus = _OnFirstUse(_method, formulas.SOFTPLUS)
    relu = _OnFirstUse(_method, formulas.RELU)
    leaky_relu = _OnFirstUse(_method, formulas.LEAKY_RELU)
    elu = _OnFirstUse(_method, formulas.ELU)
    gelu = _OnFirstUse(_method, formulas.GELU)
    gelu_tanh = _OnFirstUse(_method, formulas.GELU_TANH)
    silu = _OnFirstUse(_method, formulas.SILU)
    sin = _OnFirstUse(_method, formulas.SIN)
    cos = _OnFirstUse(_method, formulas.COS)
    maximum = _OnFirstUse(_method, formulas.MAXIMUM)
    minimum = _OnFirstUse(_method, formulas.MINIMUM)
    clamp = _OnFirstUse(_method, formulas.CLAMP)
    exp2 = _OnFirstUse(_method, formulas.EXP2)
    expm1 = _OnFirstUse(_method, formulas.EXPM1)
    log2 = _OnFirstUse(_method, formulas.LOG2)
    log10 = _OnFirstUse(_method, formulas.LOG10)
    rsqrt = _OnFirstUse(_method, formulas.RSQRT)
    reciprocal = _OnFirstUse(_method, formulas.RECIPROCAL)
    hypot = _OnFirstUse(_method, formulas.HYPOT)
    logaddexp = _OnFirstUse(_method, formulas.LOGADDEXP)
    xlogy = _OnFirstUse(_method, formulas.XLOGY)
    logsigmoid = _OnFirstUse(_method, formulas.LOGSIGMOID)
    logit = _OnFirstUse(_method, formulas.LOGIT)
    erf = _OnFirstUse(_method, formulas.ERF)
    erfc = _OnFirstUse(_method, formulas.ERFC)
    erfinv = _OnFirstUse(_method, formulas.ERFINV)
    mish = _OnFirstUse(_method, formulas.MISH)
    hardtanh = _OnFirstUse(_method, formulas.HARDTANH)
    hardsigmoid = _OnFirstUse(_method, formulas.HARDSIGMOID)
    hardswish = _OnFirstUse(_method, formulas.HARDSWISH)
    softshrink = _OnFirstUse(_method, formulas.SOFTSHRINK)
    hardshrink = _OnFirstUse(_method, formulas.HARDSHRINK)
    threshold = _OnFirstUse(_method, formulas.THRESHOLD)
    prelu = _OnFirstUse(_method, formulas.PRELU)
    tan = _OnFirstUse(_method, formulas.TAN)
    asin = _OnFirstUse(_method, formulas.ASIN)
    acos = _OnFirstUse(_method, formulas.ACOS)
    atan = _OnFirstUse(_method, formulas.ATAN)
    atan2 = _OnFirstUse(_method, formulas.ATAN2)
    sinh = _OnFirstUse(_method, formulas.SINH)
    cosh = _OnFirstUse(_method, formulas.COSH)
    asinh = _OnFirstUse(_method, formulas.ASINH)
    acosh = _OnFirstUse(_method, formulas.ACOSH)
    atanh = _OnFirstUse(_method, formulas.ATANH)
    sinc = _OnFirstUse(_method, formulas.SINC)
    fmax = _OnFirstUse(_method, formulas.FMAX)
    fmin = _OnFirstUse(_method, formulas.FMIN)
    copysign = _OnFirstUse(_method, formulas.COPYSIGN)
    fmod = _OnFirstUse(_method, formulas.FMOD)
    frac = _OnFirstUse(_method, formulas.FRAC)

    # --- as a number -------------------------------------------------------------------------------------

    def __lt__(self, other: Any) -> bool:
        return self.data < to_value(other, "<").data

    def __le__(self, other: Any) -> bool:
        return self.data <= to_value(other, "<=").data

    def __gt__(self, other: Any) -> bool:
        return self.data > to_value(other, ">").data

    def __ge__(self, other: Any) -> bool:
        return self.data >= to_value(other, ">=").data

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    def __repr__(self) -> str:
        label = f", label={self.label!r}" if self.label else ""
        return f"Value(data={self.data}, grad={self.grad}{label})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the graph as a picture in a notebook."""
        return display.show(self, include, exclude)


def _propagate(nodes: Iterable[Value]) -> None:
    """Add to the gradients of the operands of each node, in turn, what flows to them through it."""
    for node in nodes:
        node._rule.propagate(node)


def sort_topologically(root: Value) -> list[Value]:
    """Return the computed nodes up to `root`, operands first, with their gradients set to zero.

    Leaves are not in the list and keep their gradients.
    """
    # The zero that a gradient starts from marks its node as visited: a new object, known by its identity.
    # It saves a set of all nodes. Two threads may not go backward through the same nodes at once, which
    # they could not in any case: both would add to the same gradients.
    zero = float("0")
    order: list[Value] = []
    path: list[Value] = []  # from the root to the node in hand; not recursion: graphs are deep
    node = root
    if node._rule is None:
        return order
    node.grad = zero
    while True:
        x, y = node._x, node._y
        if x.grad is not zero and x._rule is not None:
            path.append(node)
            node = x
            node.grad = zero
        elif y is not None and y.grad is not zero and y._rule is not None:
            path.append(node)
            node = y
            node.grad = zero
        else:
            order.append(node)
            if not path:
                return order
            node = path.pop()


def make_parameter(data: Any, label: str | None = None) -> Value:
    """Return a leaf that training changes: a Value like any other, which drawings tell from an input."""
    parameter = Value(data, label=label)
    parameter._x = _PARAMETER
    return parameter


def to_value(operand: Any, operation: str) -> Value:
    if isinstance(operand, Value):
        return operand
    constant = Value(to_float(operand, operation))
    constant._x = _CONSTANT
    return constant
