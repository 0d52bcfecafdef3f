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


def exp2(x):
    return math.pow(2.0, x)


def exp2_dx(x, out, grad):
    return grad * (out * 0.6931471805599453)


def expm1(x):
    return math.expm1(x)


def expm1_dx(x, out, grad):
    return grad * (out + 1.0)


def log2(x):
    return math.log2(x)


def log2_dx(x, out, grad):
    return grad / (x * 0.6931471805599453)


def log10(x):
    return math.log10(x)


def log10_dx(x, out, grad):
    return grad / (x * 2.302585092994046)


def rsqrt(x):
    return 1.0 / math.sqrt(x)


def rsqrt_dx(x, out, grad):
    return -0.5 * grad * (out * out * out)


def reciprocal(x):
    return 1.0 / x


def reciprocal_dx(x, out, grad):
    return -grad * (out * out)


def hypot(x, y):
    """The root of x * x + y * y; no square overflows."""
    return math.hypot(x, y)


def hypot_dx(x, y, out, grad):
    return grad * (x / out)


def hypot_dy(x, y, out, grad):
    return grad * (y / out)


def logaddexp(x, y):
    """log(exp(x) + exp(y)), without overflow."""
    more = x if x > y else y
    less = y if x > y else x
    return more if x == y and x - y != 0.0 else more + math.log1p(math.exp(less - more))


def logaddexp_dx(x, y, out, grad):
    return grad / (1.0 + math.exp(y - x))


def logaddexp_dy(x, y, out, grad):
    return grad / (1.0 + math.exp(x - y))


def xlogy(x, y):
    """x * log(y); 0 where x is 0, unless y is nan."""
    return y if y != y else (0.0 if x == 0.0 else x * math.log(y))


def xlogy_dx(x, y, out, grad):
    return 0.0 if x == 0.0 and y <= 0.0 else grad * math.log(y)


def xlogy_dy(x, y, out, grad):
    return grad * x / y


EXP = _define(exp, exp_dx)
LOG = _define(log, log_dx)
LOG1P = _define(log1p, log1p_dx)
SQRT = _define(sqrt, sqrt_dx)
EXP2 = _define(exp2, exp2_dx)
EXPM1 = _define(expm1, expm1_dx)
LOG2 = _define(log2, log2_dx)
LOG10 = _define(log10, log10_dx)
RSQRT = _define(rsqrt, rsqrt_dx)
RECIPROCAL = _define(reciprocal, reciprocal_dx)
HYPOT = _define(hypot, hypot_dx, hypot_dy)
LOGADDEXP = _define(logaddexp, logaddexp_dx, logaddexp_dy)
XLOGY = _define(xlogy, xlogy_dx, xlogy_dy)


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


def logsigmoid(x):
    """log(sigmoid(x)): no exponential of a number that is positive."""
    return (x if x < 0.0 else 0.0) - math.log1p(math.exp(-abs(x)))


def logsigmoid_dx(x, out, grad):
    z = math.exp(-abs(x))
    return grad * (1.0 / (1.0 + z) if x < 0.0 else z / (1.0 + z))


def logit(x, eps=-1.0):
    """log(x / (1 - x)), of x limited to [eps, 1 - eps] unless eps is negative."""
    z = x if eps < 0.0 else (eps if x < eps else (1.0 - eps if x > 1.0 - eps else x))
    return math.log(z / (1.0 - z))


def logit_dx(x, out, grad, eps=-1.0):
    low = 0.0 if eps < 0.0 else eps
    outside = math.nan if eps < 0.0 else 0.0
    return outside if x < low or x > 1.0 - low else grad / (x * (1.0 - x))


def erf(x):
    return math.erf(x)


def erf_dx(x, out, grad):
    return grad * (1.1283791670955126 * math.exp(-x * x))


def erfc(x):
    return math.erfc(x)


def erfc_dx(x, out, grad):
    return grad * (-1.1283791670955126 * math.exp(-x * x))


def erfinv(x):
    """The number whose erf is x: a first guess (Winitzki 2008), then three steps of Halley's method."""
    a = abs(x)
    w = math.log((1.0 - a) * (1.0 + a))
    half = 4.330746750799873 + 0.5 * w
    y = math.sqrt(math.sqrt(half * half - w / 0.147) - half)
    # Of the two erfc keeps its digits where erf is nearly 1.
    miss = math.erf(y) - a if a < 0.5 else (1.0 - a) - math.erfc(y)
    step = miss * 0.8862269254527580 * math.exp(y * y)
    y = y - step / (1.0 + y * step)
    miss = math.erf(y) - a if a < 0.5 else (1.0 - a) - math.erfc(y)
    step = miss * 0.8862269254527580 * math.exp(y * y)
    y = y - step / (1.0 + y * step)
    miss = math.erf(y) - a if a < 0.5 else (1.0 - a) - math.erfc(y)
    step = miss * 0.8862269254527580 * math.exp(y * y)
    y = y - step / (1.0 + y * step)
    return x / 0.0 if a == 1.0 else (math.copysign(y, x) if a > 1e-8 else x * 0.8862269254527580)


def erfinv_dx(x, out, grad):
    return grad * (0.8862269254527580 * math.exp(out * out))


TANH = _define(tanh, tanh_dx)
SIGMOID = _define(sigmoid, sigmoid_dx)
SOFTPLUS = _define(softplus, softplus_dx)
LOGSIGMOID = _define(logsigmoid, logsigmoid_dx)
LOGIT = _define(logit, logit_dx)
ERF = _define(erf, erf_dx)
ERFC = _define(erfc, erfc_dx)
ERFINV = _define(erfinv, erfinv_dx)


# --- rectifiers --------------------------------------------------------------------------------------


def relu(x):
    return 0.0 if x < 0.0 else x  # not maximum(x, 0): a tie would halve the gradient; nan stays nan


def relu_dx(x, out, grad):
    return 0.0 if out <= 0.0 else grad


def leaky_relu(x, slope=0.01):
    return x if x > 0.0 else x * slope


def leaky_relu_dx(x, out, grad, slope=0.01):
    return grad if x > 0.0 else grad * slope


def elu(x, alpha=1.0, scale=1.0, input_scale=1.0):
    """Exponential linear unit; scaled it is selu, with an input_scale of 1 / alpha it is celu."""
    return alpha * scale * math.expm1(x * input_scale) if x < 0.0 else x * scale


def elu_dx(x, out, grad, alpha=1.0, scale=1.0, input_scale=1.0):
    slope = alpha * scale * input_scale * math.exp(x * input_scale)
    return grad * scale if x > 0.0 else grad * slope


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


def mish(x):
    """x * tanh(softplus(x)) (Misra 2019)."""
    return x * math.tanh(math.log1p(math.exp(x)))


def mish_dx(x, out, grad):
    t = math.tanh(math.log1p(math.exp(x)))
    return grad * (t + x * (1.0 - t * t) / (1.0 + math.exp(-x)))


def hardtanh(x, low=-1.0, high=1.0):
    raised = low if x < low else x
    return high if raised > high else raised


def hardtanh_dx(x, out, grad, low=-1.0, high=1.0):
    return grad if x > low and x < high else 0.0  # unlike clamp's: nothing passes at the limits


def hardsigmoid(x):
    z = x + 3.0
    return (0.0 if z < 0.0 else (6.0 if z > 6.0 else z)) / 6.0


def hardsigmoid_dx(x, out, grad):
    return grad / 6.0 if x > -3.0 and x < 3.0 else 0.0


def hardswish(x):
    z = x + 3.0
    return x * (0.0 if z < 0.0 else (6.0 if z > 6.0 else z)) / 6.0


def hardswish_dx(x, out, grad):
    return 0.0 if x <= -3.0 else (grad if x >= 3.0 else grad * (x / 3.0 + 0.5))


def softshrink(x, lambd=0.5):
    return x - lambd if x > lambd else (x + lambd if x < -lambd else 0.0 * x)


def softshrink_dx(x, out, grad, lambd=0.5):
    return grad if x < -lambd or x > lambd else 0.0


def hardshrink(x, lambd=0.5):
    return 0.0 if x >= -lambd and x <= lambd else x


def hardshrink_dx(x, out, grad, lambd=0.5):
    return grad if x < -lambd or x > lambd else 0.0


def threshold(x, least=0.0, value=0.0):
    return value if x <= least else x


def threshold_dx(x, out, grad, least=0.0, value=0.0):
    return 0.0 if x <= least else grad


def prelu(x, weight):
    """leaky_relu whose slope is learnt (He et al. 2015)."""
    return x if x > 0.0 else weight * x


def prelu_dx(x, weight, out, grad):
    return grad if x > 0.0 else weight * grad


def prelu_dweight(x, weight, out, grad):
    return 0.0 if x > 0.0 else x * grad


RELU = _define(relu, relu_dx, symbol="ReLU")
LEAKY_RELU = _define(leaky_relu, leaky_relu_dx)
ELU = _define(elu, elu_dx)
GELU = _define(gelu, gelu_dx)
GELU_TANH = _define(gelu_tanh, gelu_tanh_dx)
SILU = _define(silu, silu_dx)
MISH = _define(mish, mish_dx)
HARDTANH = _define(hardtanh, hardtanh_dx)
HARDSIGMOID = _define(hardsigmoid, hardsigmoid_dx)
HARDSWISH = _define(hardswish, hardswish_dx)
SOFTSHRINK = _define(softshrink, softshrink_dx)
HARDSHRINK = _define(hardshrink, hardshrink_dx)
THRESHOLD = _define(threshold, threshold_dx)
PRELU = _define(prelu, prelu_dx, prelu_dweight)


# --- waves -------------------------------------------------------------------------------------------


def sin(x):
    return math.sin(x)


def sin_dx(x, out, grad):
    return grad * math.cos(x)


def cos(x):
    return math.cos(x)


def cos_dx(x, out, grad):
    return -grad * math.sin(x)


def tan(x):
    return math.tan(x)


def tan_dx(x, out, grad):
    return grad * (1.0 + out * out)


def asin(x):
    return math.asin(x)


def asin_dx(x, out, grad):
    return grad * (1.0 / math.sqrt(1.0 - x * x))


def acos(x):
    return math.acos(x)


def acos_dx(x, out, grad):
    return grad * (-1.0 / math.sqrt(1.0 - x * x))


def atan(x):
    return math.atan(x)


def atan_dx(x, out, grad):
    return grad / (x * x + 1.0)


def atan2(y, x):
    """The angle of the point (x, y), in (-pi, pi]."""
    return math.atan2(y, x)


def atan2_dy(y, x, out, grad):
    return 0.0 if x == 0.0 and y == 0.0 else grad * (x * (1.0 / (y * y + x * x)))


def atan2_dx(y, x, out, grad):
    return 0.0 if x == 0.0 and y == 0.0 else grad * (-y * (1.0 / (y * y + x * x)))


def sinh(x):
    return math.sinh(x)


def sinh_dx(x, out, grad):
    return grad * math.cosh(x)


def cosh(x):
    return math.cosh(x)


def cosh_dx(x, out, grad):
    return grad * math.sinh(x)


def asinh(x):
    return math.asinh(x)


def asinh_dx(x, out, grad):
    return grad * (1.0 / math.sqrt(x * x + 1.0))


def acosh(x):
    return math.acosh(x)


def acosh_dx(x, out, grad):
    return grad * (1.0 / math.sqrt(x * x - 1.0))


def atanh(x):
    return math.atanh(x)


def atanh_dx(x, out, grad):
    return grad / (1.0 - x * x)


def sinc(x):
    """sin(pi * x) / (pi * x); 1 at 0."""
    z = 3.141592653589793 * x
    return 1.0 if x == 0.0 else math.sin(z) / z


def sinc_dx(x, out, grad):
    z = 3.141592653589793 * x
    near = z * (-1.0471975511965976 + 0.10471975511965978 * z * z)
    # Near 0 the difference is one of rounding errors.
    return grad * (near if abs(z) < 0.01 else (math.cos(z) * z - math.sin(z)) / (z * x))


SIN = _define(sin, sin_dx)
COS = _define(cos, cos_dx)
TAN = _define(tan, tan_dx)
ASIN = _define(asin, asin_dx)
ACOS = _define(acos, acos_dx)
ATAN = _define(atan, atan_dx)
ATAN2 = _define(atan2, atan2_dy, atan2_dx)
SINH = _define(sinh, sinh_dx)
COSH = _define(cosh, cosh_dx)
ASINH = _define(asinh, asinh_dx)
ACOSH = _define(acosh, acosh_dx)
ATANH = _define(atanh, atanh_dx)
SINC = _define(sinc, sinc_dx)


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


def fmax(x, y):
    """The larger number; unlike maximum, nan loses."""
    return x if x >= y or y != y else y


def fmax_dx(x, y, out, grad):
    return grad if x >= y or y != y else 0.0


def fmax_dy(x, y, out, grad):
    return 0.0 if x >= y or y != y else grad


def fmin(x, y):
    """The smaller number; unlike minimum, nan loses."""
    return x if x <= y or y != y else y


def fmin_dx(x, y, out, grad):
    return grad if x <= y or y != y else 0.0


def fmin_dy(x, y, out, grad):
    return 0.0 if x <= y or y != y else grad


def copysign(x, y):
    return math.copysign(x, y)


def copysign_dx(x, y, out, grad):
    return 0.0 if x == 0.0 else grad * (out / x)


def copysign_dy(x, y, out, grad):
    return 0.0


def fmod(x, y):
    """What is left of x / y rounded towards zero: of the sign of x."""
    return math.copysign(abs(x) % abs(y), x)


def fmod_dx(x, y, out, grad):
    return grad


def fmod_dy(x, y, out, grad):
    ratio = x / y
    whole = ratio if abs(ratio) > 1e16 else math.copysign(abs(ratio) - abs(ratio) % 1.0, ratio)
    return -grad * whole


def frac(x):
    return math.copysign(abs(x) % 1.0, x) + 0.0  # never -0.0


def frac_dx(x, out, grad):
    return grad


ABS = _define(abs_, abs_dx)
FMAX = _define(fmax, fmax_dx, fmax_dy)
FMIN = _define(fmin, fmin_dx, fmin_dy)
COPYSIGN = _define(copysign, copysign_dx, copysign_dy)
FMOD = _define(fmod, fmod_dx, fmod_dy)
FRAC = _define(frac, frac_dx)
MAXIMUM = _define(maximum, maximum_dx, maximum_dy)
MINIMUM = _define(minimum, minimum_dx, minimum_dy)
CLAMP = _define(clamp, clamp_dx)
