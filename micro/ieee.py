"""IEEE 754 where Python raises: the result the compiled formula would give.

Python turns `1.0 / 0.0`, `math.log(0.0)` and `math.exp(1000.0)` into exceptions; IEEE 754, C, NumPy and
compiled code answer inf, -inf or nan. `Value` calls a formula as it stands, inside a `try` that costs
nothing while nothing goes wrong, and asks `evaluate` only when it raised.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from types import FunctionType, SimpleNamespace
from typing import Any


def evaluate(function: Callable[..., float], *args: float) -> float:
    """Return `function(*args)` computed by the rules of IEEE 754, for a plain function of floats."""
    return float(_follow_ieee(function)(*map(_Float, args)))


def calculate(function: Callable[..., float], *args: float) -> float:
    """Return `function(*args)`, by the rules of IEEE 754 where Python raises."""
    try:
        return function(*args)
    except (ArithmeticError, ValueError):
        return evaluate(function, *args)


@lru_cache(maxsize=512)
def _follow_ieee(function: Any) -> Callable[..., float]:
    """Rebuild `function` over `_Float` literals and an IEEE `math`; its source stays the only definition."""
    code = function.__code__
    if not isinstance(function, FunctionType):
        return function  # a partial, of functions that care for themselves
    literals = tuple(_Float(c) if type(c) is float else c for c in code.co_consts)
    return FunctionType(
        code.replace(co_consts=literals),
        {**function.__globals__, "math": _ieee_math},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )


def _divide(x: float, y: float) -> float:
    try:
        return x / y
    except ZeroDivisionError:
        if x == 0.0 or x != x:
            return math.nan
        return math.copysign(math.inf, x) * math.copysign(1.0, y)  # the zero's sign counts


def _modulo(x: float, y: float) -> float:
    try:
        return x % y
    except ZeroDivisionError:
        return math.nan


def _power(x: float, y: float) -> float:
    odd = math.fmod(y, 2.0) in (1.0, -1.0) if math.isfinite(y) else False
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0.0 and odd else math.inf
    except ValueError:
        if x == 0.0:  # a negative power of zero is a pole
            return math.copysign(math.inf, x) if odd else math.inf
        return math.nan  # a fractional power of a negative number


_POLES = {
    ("log", 0.0): -math.inf,
    ("log2", 0.0): -math.inf,
    ("log10", 0.0): -math.inf,
    ("log1p", -1.0): -math.inf,
    ("atanh", 1.0): math.inf,
    ("atanh", -1.0): -math.inf,
}


class _Float(float):
    """A float that stays one through arithmetic, and divides as IEEE 754 says."""

    __slots__ = ()

    def __truediv__(self, other: float) -> "_Float":
        return _Float(_divide(float(self), float(other)))

    def __rtruediv__(self, other: float) -> "_Float":
        return _Float(_divide(float(other), float(self)))

    def __mod__(self, other: float) -> "_Float":
        return _Float(_modulo(float(self), float(other)))

    def __rmod__(self, other: float) -> "_Float":
        return _Float(_modulo(float(other), float(self)))

    def __pow__(self, other: float, modulo: None = None) -> "_Float":
        return _Float(_power(float(self), float(other)))

    def __rpow__(self, other: float, modulo: None = None) -> "_Float":
        return _Float(_power(float(other), float(self)))


def _closed(operation: Callable[..., Any]) -> Callable[..., _Float]:
    return lambda *args: _Float(operation(*args))


# Without these the sum of two would be a plain float, which raises again in the next division.
for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "neg", "pos", "abs"):
    setattr(_Float, f"__{_name}__", _closed(getattr(float, f"__{_name}__")))


def _total(function: Callable[..., float]) -> Callable[..., _Float]:
    """Make a function of `math` answer inf or nan where it raises."""

    def answer(*args: float) -> _Float:
        try:
            return _Float(function(*args))
        except OverflowError:
            negative = args[0] < 0.0 and function is not math.cosh
            return _Float(-math.inf if negative else math.inf)
        except ValueError:
            return _Float(_POLES.get((function.__name__, args[0]), math.nan))

    return answer


_ieee_math = SimpleNamespace(
    **{
        name: _total(member) if callable(member) else _Float(member)
        for name, member in vars(math).items()
        if not name.startswith("_")
    }
)
_ieee_math.pow = _closed(_power)
