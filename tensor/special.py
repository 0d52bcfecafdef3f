"""Special functions, also under the names of `torch.special`."""

from tensor.activations import sigmoid, sigmoid_
from tensor.elementwise import exp2, expm1, log1p
from tensor.formula import apply, apply_in_place, binary, operation, unary, write_out
from tensor.operands import find_tensor
from tensor.reduction import logsumexp
from tensor.rounding import round
from tensor.softmax import log_softmax, softmax
from tensor.trigonometry import sinc

erf, erf_ = unary("erf", "Return the error function.")
erfc, erfc_ = unary("erfc", "Return 1 - erf(input), exact also where erf is nearly 1.")
erfinv, erfinv_ = unary("erfinv", "Return the inverse of erf: infinite at -1 and 1, nan outside.")
expit, expit_ = sigmoid, sigmoid_
_, xlogy_ = binary("xlogy", "")
_NumberXlogy, _XlogyOfNumber = operation("xlogy", "Xlogy", 1), operation("xlogy", "Xlogy", 2)


def xlogy(input, other, *, out=None):
    """Return input * log(other); 0 where `input` is 0, unless `other` is nan. Either may be a number."""
    find_tensor((input, other), "xlogy")
    record = None
    if not hasattr(other, "_array"):
        record = _XlogyOfNumber
    elif not hasattr(input, "_array"):
        record = _NumberXlogy
    result = apply("xlogy", input, other, record=record)
    return result if out is None else write_out("xlogy", result, out)


def logit(input, eps=None, *, out=None):
    """Return log(input / (1 - input)), of `input` limited to [eps, 1 - eps] if eps is given."""
    result = apply("logit", input, options=_eps(eps))
    return result if out is None else write_out("logit", result, out)


def logit_(input, eps=None):
    """Replace `input` by logit(input)."""
    return apply_in_place("logit", input, options=_eps(eps))


def _eps(eps):
    return (-1.0 if eps is None else float(eps),)


def ndtr(input):
    """Return the share of the standard normal distribution below `input`."""
    return erfc(input * -0.7071067811865476) * 0.5


def ndtri(input):
    """Return the number below which a share `input` of the standard normal distribution lies."""
    return erfinv(input * 2.0 - 1.0) * 1.4142135623730951


__all__ = [
    "erf", "erfc", "erfinv", "exp2", "expit", "expm1", "log1p", "log_softmax", "logit", "logsumexp", "ndtr",
    "ndtri", "round", "sinc", "softmax", "xlogy",
]  # fmt: skip
