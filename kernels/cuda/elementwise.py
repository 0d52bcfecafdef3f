"""The formulas of `micro.formulas`, lifted to arrays on the GPU: a kernel for each function and derivative.

The names and the rules are those of `kernels.cpu.elementwise`. A kernel takes operands of any strides that
broadcast; a formula's options are numbers. It is made and compiled on first use.
"""

import math
from collections.abc import Callable

import numpy as np

from kernels.cuda.array import DeviceArray, on_device
from kernels.cuda.compile import FLOATS, INTEGERS, Kernel
from kernels.cuda.lift import lift, run
from micro.formulas import ADD, FORMULAS, SUB

_PASSES_GRAD = {*ADD.derivatives, SUB.derivatives[0]}


# --- integers --------------------------------------------------------------------------------------
# Arithmetic of integers: formulas are about real numbers. Bools are the bytes 0 and 1.


def _add(x, y):
    return x + y


def _sub(x, y):
    return x - y


def _mul(x, y):
    return x * y


def _neg(x):
    return -x


def _abs(x):
    return -x if x < 0 else x


def _maximum(x, y):
    return x if x > y else y


def _minimum(x, y):
    return x if x < y else y


def _relu(x):
    return x if x > 0 else x - x


def _clamp(x, low, high):
    return high if high < low or x > high else (low if x < low else x)


def _fmod(x, y):
    """The rest of the division rounded towards zero: of the sign of x; 0 for y = 0."""
    if y == 0:
        return x - x
    rest = x % y  # of the sign of y
    return rest - y if rest != 0 and (rest < 0) != (x < 0) else rest


def _pow(x, y):
    """x ** y by repeated squaring; 1 / x rounded towards zero where y is negative."""
    one = x - x + 1
    if y < 0:
        odd = y % 2 != 0
        return one if x == 1 or (x == -1 and not odd) else (x if x == -1 else x - x)
    result, factor = one, x
    while y > 0:
        if y % 2 == 1:
            result = result * factor
        factor = factor * factor
        y = y // 2
    return result


INTEGER: dict[str, Callable] = {
    "add": _add, "sub": _sub, "mul": _mul, "neg": _neg, "abs": _abs, "relu": _relu, "pow": _pow,
    "maximum": _maximum, "minimum": _minimum, "fmax": _maximum, "fmin": _minimum, "fmod": _fmod,
    "clamp": _clamp, "hardtanh": _clamp,
}  # fmt: skip
"""What takes integers to integers."""


# --- powers of one number ----------------------------------------------------------------------------


def _power_of_number(x, y):
    """As on the CPU, and in PyTorch: the usual exponent is a product, and 0.5 the root: nan of -inf."""
    if y == 2.0:
        return x * x
    if y == 0.5:
        return math.sqrt(x)
    return math.pow(x, y)


_POWER = lift("elementwise", "power_of_number", _power_of_number, {"x": "T", "y": "T"}, FLOATS)


_lifted: dict[tuple[str, str], tuple[Kernel, int, tuple]] = {}
"""Kernels of formulas by name and kind of elements, with how many operands and which options they have."""
_derivatives: dict[tuple[str, int], tuple[Kernel, tuple[str, ...]]] = {}
"""Kernels of derivatives by name and position, with the names of what they read."""


def _forward_kernel(name: str, kind: str) -> tuple[Kernel, int, tuple]:
    formula = FORMULAS[name]
    if kind != "f" and name not in INTEGER:
        raise NotImplementedError(f"{name}: no GPU kernel for integers; use x.float()")
    variables, options = dict.fromkeys(formula.variables, "T"), dict.fromkeys(formula.options, "T")
    if kind == "f":
        made = lift("elementwise", name, formula.forward, variables, FLOATS, options)
    else:
        kinds = (*INTEGERS, "bool")
        made = lift("elementwise", f"integer_{name}", INTEGER[name], variables, kinds, options)
    for known in "f" if kind == "f" else "iub":
        _lifted[name, known] = made, len(formula.variables), tuple(formula.options.values())
    return _lifted[name, kind]


def _derivative_kernel(name: str, position: int) -> tuple[Kernel, tuple[str, ...]]:
    formula = FORMULAS[name]
    function, needs = formula.derivatives[position], formula.needs[position]
    reads = (*[n for n in (*formula.variables, "out") if n in needs], "grad")
    options = dict.fromkeys(formula.options, "T")
    made = lift("elementwise", function.__name__, function, dict.fromkeys(reads, "T"), FLOATS, options)
    _derivatives[name, position] = made, reads
    return made, reads


def list_all() -> None:
    """Make the kernels of all formulas, for the list of all kernels; none is compiled by it."""
    for name, formula in FORMULAS.items():
        for kind in "fi" if name in INTEGER else "f":
            if (name, kind) not in _lifted:
                _forward_kernel(name, kind)
        for position, function in enumerate(formula.derivatives):
            if function not in _PASSES_GRAD and (name, position) not in _derivatives:
                _derivative_kernel(name, position)


def forward(name: str, x, *more, out: DeviceArray | None = None) -> DeviceArray:
    """Apply the formula `name` to broadcasting arrays of one dtype (options follow as numbers).

    Returns a new array of that dtype, or `out`, filled. Follows IEEE 754.
    """
    x = on_device(x)
    dtype = x.dtype
    made, count, defaults = _lifted.get((name, dtype.kind)) or _forward_kernel(name, dtype.kind)
    arrays = [x, *map(on_device, more[: count - 1])]
    if name == "pow" and dtype.kind == "f" and not arrays[1].shape:
        return run(_POWER, arrays, out=out)
    if not defaults:
        return run(made, arrays, (), out)
    options = [*more[count - 1 :], *defaults[len(more) - count + 1 :]]
    return run(made, arrays, [_number(o, dtype) for o in options], out)


def _number(option, dtype: np.dtype):
    value = option.item() if hasattr(option, "item") else option
    return dtype.type(value).item() if dtype.kind == "f" else int(value)


def derivative(name: str, position: int, args: tuple, out, grad: DeviceArray, options: tuple = ()):
    """Return the gradient of the formula's argument number `position`, broadcast to the shape of `grad`.

    args, out: the forward pass's arrays; those this derivative does not read may be None.
    """
    formula = FORMULAS[name]
    if formula.derivatives[position] in _PASSES_GRAD:
        return grad  # not a copy: callers never write into a gradient they were handed
    made, reads = _derivatives.get((name, position)) or _derivative_kernel(name, position)
    known = dict(zip(formula.variables, args, strict=True))
    known.update(out=out, grad=grad)
    given = (*options, *tuple(formula.options.values())[len(options) :])
    return run(made, [known[n] for n in reads], [_number(o, grad.dtype) for o in given])
