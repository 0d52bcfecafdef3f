"""The calculus, written once: each elementary function beside its vector-Jacobian products.

Everything here takes floats and returns a float. `micro.Value` calls these functions one number at a
time; `kernels.cpu` compiles the very same functions for arrays. A derivative is named after the variable
it is taken with respect to, receives the arguments of the function, its result `out` and the incoming
gradient `grad`, and returns the gradient that flows to that variable:

    tanh(x) -> out        tanh_dx(x, out, grad) -> grad * d out / d x

Arguments with a default (`slope=0.01`) are options: no gradient flows to them.

Edges and ties follow PyTorch, and are stated here once:

- relu'(0) = 0, abs'(0) = 0, leaky_relu'(0) = slope, clamp passes the gradient at its limits;
- `maximum` and `minimum` split the gradient of a tie in halves, and nan wins over any number;
- 0 ** 0 = 1, its derivative in the base is 0, and in the exponent 0;
- a negative base with a fractional exponent is nan;
- what IEEE 754 defines never raises: log(0) = -inf, exp(1000) = inf, 1 / 0 = inf. Python's `math` does
  raise there; `evaluate` (in `micro.ieee`) returns what the compiled code would.

The compiler sees these functions as they stand, so they hold to a small language: `math`, arithmetic,
comparisons and conditional expressions. They may not call each other.
"""

import dis
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Formula:
    """One elementary function: its name, how it is drawn, and its derivatives in argument order."""

    name: str
    forward: Callable[..., float]
    derivatives: tuple[Callable[..., float], ...]
    symbol: str

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Names of the arguments a gradient flows to."""
        return tuple(p.name for p in self._parameters if p.default is inspect.Parameter.empty)

    @cached_property
    def options(self) -> dict[str, float]:
        """Names of the remaining arguments, with their defaults."""
        return {p.name: p.default for p in self._parameters if p.default is not inspect.Parameter.empty}

    @cached_property
    def needs(self) -> tuple[frozenset[str], ...]:
        """For each derivative, which of the variables and `out` it reads.

        Read off the compiled code, so that it cannot disagree with the formula: what no derivative
        reads need not be kept for the backward pass, and may be overwritten before it.
        """
        return tuple(_names_read(derivative) & {*self.variables, "out"} for derivative in self.derivatives)

    @cached_property
    def _parameters(self) -> tuple[inspect.Parameter, ...]:
        return tuple(inspect.signature(self.forward).parameters.values())


def _names_read(function: Callable[..., float]) -> frozenset[str]:
    loads = [i.argval for i in dis.get_instructions(function) if "LOAD_FAST" in i.opname]
    # Python 3.13 fuses two loads into one instruction, whose argval is a tuple.
    return frozenset(name for load in loads for name in (load if isinstance(load, tuple) else (load,)))


FORMULAS: dict[str, Formula] = {}
"""Every formula by name."""


def _define(forward: Callable[..., float], *derivatives: Callable[..., float], symbol: str = "") -> Formula:
    name = forward.__name__.rstrip("_")
    formula = FORMULAS[name] = Formula(name, forward, derivatives, symbol or name)
    return formula


# --- arithmetic ------------------------------------------------------------------------------------


def add(x, y):
    return x + y


def add_dx(x, y, out, grad):
    return grad


def add_dy(x, y, out, grad):
    return grad


def sub(x, y):
    return x - y


def sub_dx(x, y, out, grad):
    return grad


def sub_dy(x, y, out, grad):
    return -grad


def mul(x, y):
    return x * y


def mul_dx(x, y, out, grad):
    return grad * y


def mul_dy(x, y, out, grad):
    return grad * x


def div(x, y):
    return x / y


def div_dx(x, y, out, grad):
    return grad / y


def div_dy(x, y, out, grad):
    return -grad * ((x / y) / y)  # not x / (y * y): the square overflows first


def neg(x):
    return -x


def neg_dx(x, out, grad):
    return -grad


def pow(x, y):
    return math.pow(x, y)  # not x ** y: Python makes a negative base complex


def pow_dx(x, y, out, grad):
    return grad * (y * math.pow(x, y - 1.0)) if y != 0.0 else 0.0


def pow_dy(x, y, out, grad):
    return 0.0 if x == 0.0 and y >= 0.0 else grad * (out * math.log(x))


ADD = _define(add, add_dx, add_dy, symbol="+")
SUB = _define(sub, sub_dx, sub_dy, symbol="-")
MUL = _define(mul, mul_dx, mul_dy, symbol="*")
DIV = _define(div, div_dx, div_dy, symbol="/")
NEG = _define(neg, neg_dx)
POW = _define(pow, pow_dx, pow_dy, symbol="**")


# --- exponentials and roots --------------------------------------------------------------------------


def exp(x):
    return math.exp(x)


def exp_dx(x, out, grad):
    return grad * out


def log(x):
    return math.log(x)


def log_dx(x, out, grad):
    return grad / x


def log1p(x):
    return math.log1p(x)


def log1p_dx(x, out, grad):
    return grad / (x + 1.0)


def sqrt(x):
    return math.sqrt(x)


def sqrt_dx(x, out, grad):
    return grad / (2.0 * out)


EXP = _define(exp, exp_dx)
LOG = _define(log, log_dx)
LOG1P = _define(log1p, log1p_dx)
SQRT = _define(sqrt, sqrt_dx)


# --- squashing ---------------------------------------------------------------------------------------


def tanh(x):
    return math.tanh(x)


def tanh_dx(x, out, grad):
    return grad * (1.0 - out * out)


def sigmoid(x):
    # The exponential of a number that is not positive cannot overflow.
    z = math.exp(-abs(x))
    return 1.0 / (1.0 + z) if x >= 0.0 else z / (1.0 + z)


def sigmoid_dx(x, out, grad):
    return grad * (out * (1.0 - out))


def softplus(x, beta=1.0, threshold=20.0):
    z = x * beta
    return x if z > threshold else math.log1p(math.exp(z)) / beta


def softplus_dx(x, out, grad, beta=1.0, threshold=20.0):
    z = x * beta
    return grad if z > threshold else grad / (1.0 + math.exp(-z))


TANH = _define(tanh, tanh_dx)
SIGMOID = _define(sigmoid, sigmoid_dx)
SOFTPLUS = _define(softplus, softplus_dx)


# --- rectifiers --------------------------------------------------------------------------------------


def relu(x):
    return 0.0 if x <= 0.0 else x  # not maximum(x, 0): a tie would halve the gradient; nan stays nan


def relu_dx(x, out, grad):
    return 0.0 if out <= 0.0 else grad


def leaky_relu(x, slope=0.01):
    return x if x > 0.0 else x * slope


def leaky_relu_dx(x, out, grad, slope=0.01):
    return grad if x > 0.0 else grad * slope


def elu(x, alpha=1.0):
    return alpha * math.expm1(x) if x <= 0.0 else x


def elu_dx(x, out, grad, alpha=1.0):
    return grad * (alpha * math.exp(x)) if x <= 0.0 else grad


def gelu(x):
    """x * Phi(x), Phi the normal distribution (Hendrycks and Gimpel 2016); erfc keeps the left tail."""
    return 0.5 * x * math.erfc(x * -0.7071067811865476)


def gelu_dx(x, out, grad):
    phi = 0.3989422804014327 * math.exp(-0.5 * x * x)
    return grad * (0.5 * math.erfc(x * -0.7071067811865476) + x * phi)


def gelu_tanh(x):
    """The tanh approximation of gelu, as in GPT-2 and PyTorch's `approximate="tanh"`."""
    return 0.5 * x * (1.0 + math.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def gelu_tanh_dx(x, out, grad):
    t = math.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))
    slope = 0.7978845608028654 * (1.0 + 0.134145 * x * x)
    return grad * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope)


def silu(x):
    return x / (1.0 + math.exp(-x))


def silu_dx(x, out, grad):
    s = 1.0 / (1.0 + math.exp(-x))
    return grad * (s * (1.0 + x * (1.0 - s)))


RELU = _define(relu, relu_dx, symbol="ReLU")
LEAKY_RELU = _define(leaky_relu, leaky_relu_dx)
ELU = _define(elu, elu_dx)
GELU = _define(gelu, gelu_dx)
GELU_TANH = _define(gelu_tanh, gelu_tanh_dx)
SILU = _define(silu, silu_dx)


# --- waves -------------------------------------------------------------------------------------------


def sin(x):
    return math.sin(x)


def sin_dx(x, out, grad):
    return grad * math.cos(x)


def cos(x):
    return math.cos(x)


def cos_dx(x, out, grad):
    return -grad * math.sin(x)


SIN = _define(sin, sin_dx)
COS = _define(cos, cos_dx)


# --- choosing ----------------------------------------------------------------------------------------


def abs_(x):
    return math.fabs(x)


def abs_dx(x, out, grad):
    return grad if x > 0.0 else (-grad if x < 0.0 else 0.0)


def maximum(x, y):
    return x if x > y or x != x else y  # x != x: nan wins


def maximum_dx(x, y, out, grad):
    return 0.0 if x < y else (0.5 * grad if x == y else grad)


def maximum_dy(x, y, out, grad):
    return 0.0 if y < x else (0.5 * grad if x == y else grad)


def minimum(x, y):
    return x if x < y or x != x else y


def minimum_dx(x, y, out, grad):
    return 0.0 if x > y else (0.5 * grad if x == y else grad)


def minimum_dy(x, y, out, grad):
    return 0.0 if y > x else (0.5 * grad if x == y else grad)


def clamp(x, low=-math.inf, high=math.inf):
    raised = low if x < low else x
    return high if raised > high else raised  # `high` wins where low > high


def clamp_dx(x, out, grad, low=-math.inf, high=math.inf):
    return grad if x >= low and x <= high else 0.0


ABS = _define(abs_, abs_dx)
MAXIMUM = _define(maximum, maximum_dx, maximum_dy)
MINIMUM = _define(minimum, minimum_dx, minimum_dy)
CLAMP = _define(clamp, clamp_dx)
