"""The formulas of `micro.formulas`, lifted to arrays: one kernel for each function and each derivative.

`forward("tanh", x)` and `derivative("tanh", 0, (x,), out, grad)` take arrays of one common dtype that
broadcast as NumPy does. The compiled ufunc is made on first use.

A measured override may stand in for a formula where a faster, equally exact implementation exists; each is
listed in `OVERRIDES` and tested against its formula. Integer arithmetic uses NumPy's ufuncs throughout:
the calculus is about real numbers.
"""

from typing import Any

import numpy as np

from kernels.cpu.compile import lift
from micro.formulas import ADD, FORMULAS, SUB

OVERRIDES = {
    # ns an element, float32, 1e6 elements: NumPy's SIMD loop against the C library's function in Numba.
    "exp": np.exp,  # 0.35 against 1.86
    "log": np.log,  # 0.26 against 1.91
    "tanh": np.tanh,  # 0.22 against 11.6
    "sin": np.sin,  # 1.19 against 9.93
    "cos": np.cos,  # 1.27 against 9.97
}


def _integer_power(x, y, out=None):
    """Return x ** y of integers; 1 / x rounded towards zero where y is negative, as PyTorch."""
    negative = y < 0
    if not np.any(negative):
        return np.power(x, y, out=out)
    inverse = np.where(np.abs(x) == 1, np.where(y % 2 == 0, 1, x), 0)
    result = np.where(negative, inverse, np.power(x, np.where(negative, 0, y)))
    return np.add(result, 0, out=out, dtype=x.dtype, casting="unsafe")


INTEGER = {
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
}

_PASSES_GRAD = {*ADD.derivatives, SUB.derivatives[0]}


def forward(name: str, *args, out: np.ndarray | None = None) -> np.ndarray:
    """Apply the formula `name` to broadcasting arrays of one dtype (options follow as numbers).

    Returns a new array of that dtype, or `out`, filled. Follows IEEE 754: no warning for 1 / 0.
    """
    dtype = args[0].dtype
    if dtype.kind == "f":
        ufunc: Any = OVERRIDES.get(name) or lift(FORMULAS[name].forward, dtype)
    else:
        ufunc = INTEGER[name]
    with np.errstate(all="ignore"):
        result = ufunc(*args, out=out)
    return result if type(result) is np.ndarray else np.asarray(result)  # 0-d comes back as a scalar


def derivative(name: str, position: int, args: tuple, out, grad: np.ndarray, options: tuple = ()):
    """Return the gradient of the formula's argument number `position`, broadcast to the shape of `grad`.

    args, out: the forward pass's arrays; those this derivative does not read may be None.
    """
    function = FORMULAS[name].derivatives[position]
    if function in _PASSES_GRAD:
        return grad  # not a copy: callers never write into a gradient they were handed
    ufunc = lift(function, grad.dtype)
    # What the derivative does not read must still have a shape and a type: `grad` itself serves.
    values = [grad if a is None else a for a in (*args, out)]
    with np.errstate(all="ignore"):
        result = ufunc(*values, grad, *options)
    return result if type(result) is np.ndarray else np.asarray(result)


_ROUNDINGS = {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.rint, "sign": np.sign}


def round(x: np.ndarray, how: str) -> np.ndarray:
    """Round to integers: "floor", "ceil", "trunc", "round" (half to even); or the "sign" (0 of nan)."""
    if x.dtype.kind != "f" and how != "sign":
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
