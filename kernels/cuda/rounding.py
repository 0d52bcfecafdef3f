"""Rounding, remainders and rounded division, of floats and of integers.

Made of conversions and of `fmod`, which are exact: there is no instruction in common to the simulator and the
compiler.
"""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, on_device
from kernels.cuda.compile import FLOATS, INTEGERS
from kernels.cuda.lift import lift, run
from kernels.cuda.memory import copy


def _trunc(x):
    # From 2**52 on there are no fractions; below, an int64 holds the number.
    return math.copysign(T(np.int64(x)), x) if abs(x) < 4503599627370496.0 else x  # noqa: F821


def _floor(x):
    whole = math.copysign(T(np.int64(x)), x) if abs(x) < 4503599627370496.0 else x  # noqa: F821
    return whole - 1.0 if whole > x else whole


def _ceil(x):
    whole = math.copysign(T(np.int64(x)), x) if abs(x) < 4503599627370496.0 else x  # noqa: F821
    return whole + 1.0 if whole < x else whole


def _round(x):
    if not abs(x) < 4503599627370496.0:
        return x
    number = np.int64(x)
    whole = math.copysign(T(number), x)  # noqa: F821
    rest = abs(x - whole)  # exact
    if rest > 0.5 or (rest == 0.5 and number % 2 != 0):  # of two the even one
        return whole + math.copysign(1.0, x)
    return whole


def _sign(x):
    return T(1 if x > 0 else (-1 if x < 0 else 0))  # noqa: F821


_ROUNDINGS = {
    name: lift("rounding", name, function, {"x": "T"}, FLOATS)
    for name, function in {"floor": _floor, "ceil": _ceil, "trunc": _trunc, "round": _round}.items()
}
_SIGN = lift("rounding", "sign", _sign, {"x": "T"}, (*FLOATS, *INTEGERS))


def round(x: DeviceArray, how: str) -> DeviceArray:
    """Round to integers: "floor", "ceil", "trunc", "round" (half to even); or the "sign" (0 of nan)."""
    x = on_device(x)
    if x.dtype.kind == "b" or (x.dtype.kind != "f" and how != "sign"):
        return copy(x)
    return run(_SIGN if how == "sign" else _ROUNDINGS[how], [x])


# --- division --------------------------------------------------------------------------------------


def _remainder(x, y):
    left = math.fmod(x, y)
    return left + y if left != 0.0 and (left < 0.0) != (y < 0.0) else left


def _remainder_of_integers(x, y):
    return x - x if y == 0 or y == -1 else x % y  # of the sign of y; -1: the quotient may not fit


def _divide_trunc(x, y):
    quotient = x / y
    if not abs(quotient) < 4503599627370496.0:
        return quotient
    return math.copysign(T(np.int64(quotient)), quotient)  # noqa: F821


def _divide_floor(x, y):
    """x / y rounded down as Python and NumPy do: from the exact remainder, not from the rounded quotient."""
    if y == 0.0:
        return x / y
    rest = math.fmod(x, y)
    quotient = (x - rest) / y
    if rest != 0.0 and (y < 0.0) != (rest < 0.0):
        quotient -= 1.0
    if quotient == 0.0:
        return math.copysign(0.0, x / y)
    if not abs(quotient) < 4503599627370496.0:
        return quotient
    whole = T(np.int64(quotient))  # noqa: F821
    whole = whole - 1.0 if whole > quotient else whole
    return whole + 1.0 if quotient - whole > 0.5 else whole


def _divide_integers_floor(x, y):
    dividend, divisor = np.int64(x), np.int64(y)  # of uint8 and int64 the compiler would make floats
    if divisor == 0:
        return np.int64(0)
    return np.int64(0) - dividend if divisor == -1 else dividend // divisor


def _divide_integers_trunc(x, y):
    dividend, divisor = np.int64(x), np.int64(y)
    if divisor == 0:
        return np.int64(0)
    if divisor == -1:
        return np.int64(0) - dividend
    quotient = dividend // divisor
    return quotient + 1 if quotient < 0 and quotient * divisor != dividend else quotient


_PAIR = {"x": "T", "y": "T"}
_REMAINDER = lift("rounding", "remainder", _remainder, _PAIR, FLOATS)
_REMAINDER_OF_INTEGERS = lift("rounding", "integer_remainder", _remainder_of_integers, _PAIR, INTEGERS)
_DIVISIONS = {
    ("floor", True): lift("rounding", "divide_floor", _divide_floor, _PAIR, FLOATS),
    ("trunc", True): lift("rounding", "divide_trunc", _divide_trunc, _PAIR, FLOATS),
    ("floor", False): lift("rounding", "integer_divide_floor", _divide_integers_floor, _PAIR, INTEGERS),
    ("trunc", False): lift("rounding", "integer_divide_trunc", _divide_integers_trunc, _PAIR, INTEGERS),
}


def remainder(x: DeviceArray, y: DeviceArray) -> DeviceArray:
    """Return what is left of x / y rounded down, exactly: of the sign of y, in the operands' dtype."""
    x, y = on_device(x), on_device(y)
    return run(_REMAINDER if x.dtype.kind == "f" else _REMAINDER_OF_INTEGERS, [x, y])


def divide_rounded(x: DeviceArray, y: DeviceArray, rounding: str) -> DeviceArray:
    """Return x / y rounded down ("floor") or towards zero ("trunc"), in the operands' dtype."""
    x, y = on_device(x), on_device(y)
    return run(_DIVISIONS[rounding, x.dtype.kind == "f"], [x, y])
