"""Comparisons and logic: arrays in, bool arrays out (bitwise operations keep the integers' type)."""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, on_device
from kernels.cuda.compile import ALL, FLOATS, INTEGERS
from kernels.cuda.lift import lift, run


def _eq(x, y):
    return x == y


def _ne(x, y):
    return x != y


def _lt(x, y):
    return x < y


def _le(x, y):
    return x <= y


def _gt(x, y):
    return x > y


def _ge(x, y):
    return x >= y


def _logical_and(x, y):
    return x != 0 and y != 0


def _logical_or(x, y):
    return x != 0 or y != 0


def _logical_xor(x, y):
    return (x != 0) != (y != 0)


def _logical_not(x):
    return x == 0


def _isnan(x):
    return x != x


def _isinf(x):
    return x == math.inf or x == -math.inf


def _isfinite(x):
    return x - x == 0  # inf - inf is nan


def _isposinf(x):
    return x == math.inf


def _isneginf(x):
    return x == -math.inf


def _signbit(x):
    return math.copysign(1.0, x) < 0.0


def _negative(x):
    return x < 0


def _false(x):
    return x != x


def _true(x):
    return x == x


def _bitwise_and(x, y):
    return x & y


def _bitwise_or(x, y):
    return x | y


def _bitwise_xor(x, y):
    return x ^ y


def _bitwise_not(x):
    return ~x


def _left_shift(x, y):
    return x << y


def _right_shift(x, y):
    return x >> y


def _isclose(x, y, rtol, atol, equal_nan):
    if x != x or y != y:
        return equal_nan != 0 and x != x and y != y
    return x == y or (abs(y) != math.inf and abs(x - y) <= atol + rtol * abs(y))


_PAIRS = {"eq": _eq, "ne": _ne, "lt": _lt, "le": _le, "gt": _gt, "ge": _ge,
          "logical_and": _logical_and, "logical_or": _logical_or, "logical_xor": _logical_xor}  # fmt: skip
_KINDS_OF_FLOATS = {"isnan": _isnan, "isinf": _isinf, "isfinite": _isfinite, "isposinf": _isposinf,
                    "isneginf": _isneginf, "signbit": _signbit}  # fmt: skip
_KINDS_OF_INTEGERS = {"isnan": _false, "isinf": _false, "isfinite": _true, "isposinf": _false,
                      "isneginf": _false, "signbit": _negative}  # fmt: skip
_BITS = {"bitwise_and": _bitwise_and, "bitwise_or": _bitwise_or, "bitwise_xor": _bitwise_xor}
_SHIFTS = {"left_shift": _left_shift, "right_shift": _right_shift}

_XY = {"x": "T", "y": "T"}
_PREDICATES = {n: lift("compare", n, f, _XY, ALL, result="bool") for n, f in _PAIRS.items()}
_PREDICATES["logical_not"] = lift("compare", "logical_not", _logical_not, {"x": "T"}, ALL, result="bool")
_OF_FLOATS = {
    n: lift("compare", n, f, {"x": "T"}, FLOATS, result="bool") for n, f in _KINDS_OF_FLOATS.items()
}
_OF_INTEGERS = {
    n: lift("compare", f"integer_{n}", f, {"x": "T"}, (*INTEGERS, "bool"), result="bool")
    for n, f in _KINDS_OF_INTEGERS.items()
}
_INTEGER_RESULTS = {
    **{n: lift("compare", n, f, _XY, (*INTEGERS, "bool")) for n, f in _BITS.items()},
    **{n: lift("compare", n, f, _XY, INTEGERS) for n, f in _SHIFTS.items()},
    "bitwise_not": lift("compare", "bitwise_not", _bitwise_not, {"x": "T"}, INTEGERS),
}
_close = lift(
    "compare", "isclose", _isclose, _XY, FLOATS,
    {"rtol": "T", "atol": "T", "equal_nan": "int64"}, result="bool",
)  # fmt: skip


def compare(name: str, *arrays) -> DeviceArray:
    """Apply a comparison or a logical operation to broadcasting arrays of one dtype."""
    given = [on_device(a) for a in arrays]
    dtype = given[0].dtype
    if name == "bitwise_not" and dtype == np.bool_:
        name = "logical_not"
    if name in _INTEGER_RESULTS:
        return run(_INTEGER_RESULTS[name], given)
    if name in _PREDICATES:
        return run(_PREDICATES[name], given, dtype=np.bool_)
    return run((_OF_FLOATS if dtype.kind == "f" else _OF_INTEGERS)[name], given, dtype=np.bool_)


def isclose(x: DeviceArray, y: DeviceArray, rtol: float, atol: float, equal_nan: bool) -> DeviceArray:
    """Return where abs(x - y) <= atol + rtol * abs(y)."""
    x, y = on_device(x), on_device(y)
    if x.dtype.kind != "f":  # integers and bools: exactly, in float64
        from kernels.cuda.memory import cast

        x, y = cast(x, np.dtype(np.float64)), cast(y, np.dtype(np.float64))
    return run(_close, [x, y], [rtol, atol, int(equal_nan)], dtype=np.bool_)
