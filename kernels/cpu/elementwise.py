"""The formulas of `micro.formulas`, lifted to arrays: one kernel for each function and each derivative.

`forward("tanh", x)` and `derivative("tanh", 0, (x,), out, grad)` take arrays of one common dtype that
broadcast as NumPy does. A kernel is made on first use (`kernels.cpu.lift`).

A measured override may stand in for a formula where a faster, equally exact implementation exists; each is
listed in `OVERRIDES` and tested against its formula. Integer arithmetic uses NumPy's ufuncs throughout:
the calculus is about real numbers.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import numpy as np

from kernels.cpu import fast_math
from kernels.cpu.lift import LARGE, Lifted, lift
from micro.formulas import ADD, FORMULAS, POW, SUB

OVERRIDES: dict[str, dict[str, Callable]] = {
    # Beside each: ns an element on one thread, against those of the formula with the C library's functions.
    # What formulas call in `math`, all that `kernels.cpu.fast_math` defines, counts for derivatives as well.
    "float32": {
        "exp": fast_math.exp,  # 0.49 against 2.64
        "log": fast_math.log,  # 0.74 against 2.96
        "log1p": fast_math.log1p,  # 1.15 against 12.6
        "expm1": fast_math.expm1,  # 0.48 against 13.5, in elu
        "tanh": fast_math.tanh,  # 0.95 against 18.2
        "pow": fast_math.pow,  # 3.74 against 5.78
        "gelu": fast_math.gelu,  # 0.99 against 10.4
        "gelu_dx": fast_math.gelu_dx,  # 1.09 against 14.9
        "sin": np.sin,  # 1.61 against 7.16
        "cos": np.cos,  # 1.63 against 7.17
        "fmod": np.fmod,  # the C library's leaves a flag where the loop's end does not look, for a warning
    },
    "float64": {
        "exp": np.exp,
        "log": np.log,
        "tanh": np.tanh,
        "sin": np.sin,
        "cos": np.cos,
        "fmod": np.fmod,
    },
}


def _integer_power(x, y, out=None):
    """Return x ** y of integers; 1 / x rounded towards zero where y is negative, as PyTorch."""
    negative = y < 0
    if not np.any(negative):
        return np.power(x, y, out=out)
    inverse = np.where(np.abs(x) == 1, np.where(y % 2 == 0, 1, x), 0)
    result = np.where(negative, inverse, np.power(x, np.where(negative, 0, y)))
    return np.add(result, 0, out=out, dtype=x.dtype, casting="unsafe")


INTEGER: dict[str, Callable] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "neg": np.negative,
    "pow": _integer_power,
    "abs": np.abs,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "relu": lambda x, out=None: np.maximum(x, 0, out=out),
    "clamp": lambda x, low, high, out=None: np.clip(x, low, high, out=out),
    "hardtanh": lambda x, low, high, out=None: np.clip(x, low, high, out=out),
    "fmax": np.maximum,
    "fmin": np.minimum,
    "fmod": np.fmod,
}

_PASSES_GRAD = {*ADD.derivatives, SUB.derivatives[0]}


class _Plain:
    """NumPy's own function, without its warnings, as `forward` calls it."""

    def __init__(self, function: Callable):
        self._function = function

    def small(self, *arrays):
        with np.errstate(all="ignore"):
            return self._function(*arrays)

    def large(self, arrays, out):
        with np.errstate(all="ignore"):
            return self._function(*arrays, out=out)


class _Power:
    """pow, or its derivative in the base; products for the usual exponent, 2: 0.15 ns each, not 4.

    usual: from an exponent to what computes its power; 0.5 is the root, as in PyTorch: nan of -inf.
    """

    def __init__(self, general: Lifted, usual: dict[float, Callable]):
        self._general, self._usual = general, usual

    def small(self, x, y, *more):
        if y.ndim == 0 and y.item() in self._usual:
            return self._usual[y.item()](x, *more)
        return self._general.small(x, y, *more)

    def large(self, arrays, out):
        x, y, *grad = arrays
        if y.ndim == 0 and y.item() in self._usual:
            return self._usual[y.item()](x, *grad, *(() if out is None else (out,)))
        return self._general.large(arrays, out)


def _square(x, out=None):
    return forward("mul", x, x, out=out)


def _root(x, out=None):
    return forward("sqrt", x, out=out)


def _square_dx(x, grad):
    return forward("mul", grad, forward("add", x, x))


_forward: dict[str, dict[str, Any]] = {"f": {}, "d": {}}
_derivatives: dict[str, dict[str, dict[int, Any]]] = {"f": {}, "d": {}}


def forward(name: str, x: np.ndarray, *more, out: np.ndarray | None = None) -> np.ndarray:
    """Apply the formula `name` to broadcasting arrays of one dtype (options follow as numbers).

    Returns a new array of that dtype, or `out`, filled. Follows IEEE 754: no warning for 1 / 0.
    """
    # For a few hundred numbers what happens before the loop is most of the time: every line here counts.
    try:
        kernel = _forward[x.dtype.char][name]
    except KeyError:
        kernel = _make_forward(name, x.dtype)
    if not more:
        if x.size >= LARGE:
            return kernel.large((x,), out)
        result = kernel.small(x) if out is None else kernel.small(x, out)
    elif x.size >= LARGE or getattr(more[0], "size", 0) >= LARGE:
        return kernel.large((x, *more), out)
    else:
        result = kernel.small(x, *more) if out is None else kernel.small(x, *more, out)
    return result if type(result) is np.ndarray else np.asarray(result)  # 0-d comes back as a scalar


def _make_forward(name: str, dtype: np.dtype):
    if dtype.kind != "f":
        return _Plain(INTEGER[name])
    override = OVERRIDES[dtype.name].get(name)
    if isinstance(override, np.ufunc):
        kernel: Any = _Plain(override)
    else:
        kernel = lift(FORMULAS[name].forward, dtype, override=override)
        if name == "pow":
            kernel = _Power(kernel, {2.0: _square, 0.5: _root})
    _forward[dtype.char][name] = kernel
    return kernel


def derivative(name: str, position: int, args: tuple, out, grad: np.ndarray, options: tuple = ()):
    """Return the gradient of the formula's argument number `position`, broadcast to the shape of `grad`.

    args, out: the forward pass's arrays; those this derivative does not read may be None.
    """
    try:
        kernel, pick = _derivatives[grad.dtype.char][name][position]
    except KeyError:
        kernel, pick = _make_derivative(name, position, grad.dtype)
    if kernel is None:
        return grad  # not a copy: callers never write into a gradient they were handed
    operands = pick((*args, out, grad))
    if options:
        operands += options
    if grad.size >= LARGE:
        return kernel.large(operands, None)
    result = kernel.small(*operands)
    return result if type(result) is np.ndarray else np.asarray(result)


def _make_derivative(name: str, position: int, dtype: np.dtype):
    """Return the kernel, and what takes the arrays that it reads from (*variables, out, grad)."""
    formula = FORMULAS[name]
    function = formula.derivatives[position]
    if function in _PASSES_GRAD:
        made: tuple[Any, Any] = None, None
    else:
        reads = [n for n in (*formula.variables, "out") if n in formula.needs[position]]
        override = OVERRIDES[dtype.name].get(function.__name__)
        kernel: Any = lift(function, dtype, [*reads, "grad", *formula.options], override)
        places = [[*formula.variables, "out", "grad"].index(n) for n in (*reads, "grad")]
        if function is POW.derivatives[0]:
            kernel = _Power(kernel, {2.0: _square_dx})
        # With one place itemgetter would return an array and not a tuple of one.
        made = kernel, itemgetter(*places) if len(places) > 1 else itemgetter(slice(places[0], None))
    _derivatives[dtype.char].setdefault(name, {})[position] = made
    return made


_ROUNDINGS = {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.rint, "sign": np.sign}


def round(x: np.ndarray, how: str) -> np.ndarray:
    """Round to integers: "floor", "ceil", "trunc", "round" (half to even); or the "sign" (0 of nan)."""
    if x.dtype.kind == "b" or (x.dtype.kind != "f" and how != "sign"):
        return x.copy()
    out = np.asarray(_ROUNDINGS[how](x))
    return np.where(np.isnan(out), 0, out).astype(x.dtype) if how == "sign" and x.dtype.kind == "f" else out


def remainder(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return what is left of x / y rounded down, exactly: of the sign of y, in the operands' dtype."""
    with np.errstate(all="ignore"):
        if x.dtype.kind != "f":
            return np.asarray(np.remainder(x, y))
        left = np.fmod(x, y)
        return np.asarray(np.where((left != 0) & ((left < 0) != (y < 0)), left + y, left))


def divide_rounded(x: np.ndarray, y: np.ndarray, rounding: str) -> np.ndarray:
    """Return x / y rounded down ("floor") or towards zero ("trunc"), in the operands' dtype."""
    with np.errstate(all="ignore"):
        if rounding == "floor":
            return np.asarray(np.floor_divide(x, y))
        if x.dtype.kind == "f":
            return np.asarray(np.trunc(x / y))
        return np.asarray((x - np.fmod(x, y)) // y)
