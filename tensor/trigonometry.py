"""Waves, angles and their inverses, plain and hyperbolic."""

import math

from tensor import dtypes
from tensor.autograd import Operation
from tensor.formula import binary, in_place, unary
from tensor.operands import require_tensor

sin, sin_ = unary("sin")
cos, cos_ = unary("cos")
tan, tan_ = unary("tan")
asin, asin_ = unary("asin", "Return the arc sine: nan outside [-1, 1].")
acos, acos_ = unary("acos", "Return the arc cosine: nan outside [-1, 1].")
atan, atan_ = unary("atan", "Return the arc tangent.")
sinh, sinh_ = unary("sinh")
cosh, cosh_ = unary("cosh")
tanh, tanh_ = unary("tanh")
asinh, asinh_ = unary("asinh", "Return the inverse of sinh.")
acosh, acosh_ = unary("acosh", "Return the inverse of cosh: nan below 1.")
atanh, atanh_ = unary("atanh", "Return the inverse of tanh: nan outside [-1, 1].")
sinc, sinc_ = unary("sinc", "Return sin(pi * input) / (pi * input); 1 at 0.")
atan2, atan2_ = binary("atan2", "Return the angle of the points (other, input), in (-pi, pi].", numbers=False)

arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh
arcsin_, arccos_, arctan_, arctan2_ = asin_, acos_, atan_, atan2_
arcsinh_, arccosh_, arctanh_ = asinh_, acosh_, atanh_


class _Scale(Operation):
    """Multiply with a constant."""

    factor = 1.0
    gradients_in_words = ("grad * factor",)

    def forward(self, k, x):
        return k.forward("mul", x, k.full((), self.factor, x.dtype))

    def backward(self, k, grad):
        return (k.forward("mul", grad, k.full((), self.factor, grad.dtype)),)


class Deg2Rad(_Scale):
    """Degrees to radians."""

    factor = math.pi / 180.0


class Rad2Deg(_Scale):
    """Radians to degrees."""

    factor = 180.0 / math.pi


def _floats(name, input):
    require_tensor(name, "input", input)
    return input if input.dtype.is_floating_point else input.to(dtypes.get_default_dtype())


def deg2rad(input):
    """Return angles of degrees in radians."""
    return Deg2Rad.apply(_floats("deg2rad", input))


def rad2deg(input):
    """Return angles of radians in degrees."""
    return Rad2Deg.apply(_floats("rad2deg", input))


deg2rad_, rad2deg_ = in_place(deg2rad), in_place(rad2deg)
