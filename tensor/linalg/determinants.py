"""Determinants and their logarithms, with their gradients: M. Giles (2008)."""

import math

from tensor import elementwise, return_types
from tensor.autograd import Operation
from tensor.linalg.checks import check_square


class Determinant(Operation):
    """Determinants of square matrices."""

    name = "LinalgDet"
    gradients_in_words = ("grad * out * inv({0}).T",)

    def forward(self, k, x):
        self.saved = (x,)
        self.result = out = k.determinant(x)
        zero = k.compare("eq", out, k.zeros((), out.dtype))
        self.singular = k.any(zero, tuple(range(out.ndim))).item()
        return out

    def backward(self, k, grad):
        x = self.saved[0]
        spread = grad.reshape((*self.shape, 1, 1))
        if self.singular:
            return (k.forward("mul", k.cofactors(x), spread),)
        scale = k.forward("mul", spread, self.result.reshape((*self.shape, 1, 1)))
        return (k.forward("mul", k.transpose(k.inverse(x)), scale),)


class LogDeterminant(Operation):
    """Logarithms of the sizes of determinants."""

    name = "LinalgSlogdet"
    gradients_in_words = ("grad * inv({0}).T",)

    def forward(self, k, x, logarithm):
        self.saved = (x,)
        return logarithm

    def backward(self, k, grad):
        x = self.saved[0]
        spread = grad.reshape((*self.shape, 1, 1))
        return (k.forward("mul", k.transpose(k.inverse(x)), spread),)


class Sign(Operation):
    """Signs of determinants: constant wherever there is a gradient."""

    name = "LinalgSlogdet"

    def forward(self, k, x, sign):
        return sign

    def backward(self, k, grad):
        return (None,)


def det(A):
    """Return the determinants of square matrices."""
    check_square("linalg.det", A)
    return Determinant.apply(A)


def _sign_and_logarithm(operation, A):
    check_square(operation, A)
    sign, logarithm = A._kernels.log_determinant(A._array)
    return Sign.apply(A, sign=sign), LogDeterminant.apply(A, logarithm=logarithm)


def slogdet(A):
    """Return (sign, logabsdet) of the determinants of square matrices; 0 and -inf where singular."""
    return return_types.linalg_slogdet(*_sign_and_logarithm("linalg.slogdet", A))


def old_slogdet(input):
    """Return (sign, logabsdet), as linalg.slogdet."""
    return return_types.slogdet(*_sign_and_logarithm("slogdet", input))


def logdet(input):
    """Return the logarithms of the determinants: nan where negative, -inf where 0."""
    sign, logarithm = _sign_and_logarithm("logdet", input)
    return elementwise.where(sign == -1.0, math.nan, logarithm)
