"""Arithmetic, exponentials, choices and copies, element by element, as functions of tensors.

Operands broadcast, and their types are promoted, as in PyTorch. A Python number takes the other's type.
"""

from tensor import dtypes
from tensor.autograd import Operation
from tensor.devices import device_of, put
from tensor.formula import apply, apply_in_place, binary, in_place, operation, unary, write_out
from tensor.operands import as_tensor_like, common_dtype, find_tensor, require_tensor
from tensor.rounding import divide_rounded, divide_rounded_

neg, neg_ = unary("neg", "Return -input; RuntimeError for bools.")
abs, abs_ = unary("abs", "Return the absolute values.")
exp, exp_ = unary("exp")
exp2, exp2_ = unary("exp2", "Return 2 ** input.")
expm1, expm1_ = unary("expm1", "Return exp(input) - 1, exact also near 0.")
log, log_ = unary("log", "Return the natural logarithm: -inf of 0, nan of negative numbers.")
log2, log2_ = unary("log2", "Return the logarithm to the base 2.")
log10, log10_ = unary("log10", "Return the logarithm to the base 10.")
log1p, log1p_ = unary("log1p", "Return log(1 + input), exact also near 0.")
sqrt, sqrt_ = unary("sqrt", "Return the square root; nan of negative numbers.")
rsqrt, rsqrt_ = unary("rsqrt", "Return 1 / sqrt(input).")
reciprocal, reciprocal_ = unary("reciprocal", "Return 1 / input, a float also of integers.")
hypot, hypot_ = binary("hypot", "Return sqrt(input ** 2 + other ** 2) without overflow.", numbers=False)
logaddexp, _ = binary("logaddexp", "Return log(exp(input) + exp(other)) without overflow.", numbers=False)
fmax, _ = binary("fmax", "Return the larger of each pair; a number wins over nan.", numbers=False)
fmin, _ = binary("fmin", "Return the smaller of each pair; a number wins over nan.", numbers=False)


def square(input, *, out=None):
    """Return input ** 2, element by element."""
    return pow(input, 2, out=out)


def positive(input):
    """Return `input` itself; RuntimeError for bools."""
    require_tensor("positive", "input", input)
    if input.dtype is dtypes.bool:
        raise RuntimeError("positive: The `+` operator is not supported for bool tensors; use x.int()")
    return input


def add(input, other, *, alpha=1, out=None):
    """Return input + alpha * other."""
    result = apply("add", input, other if alpha == 1 else _times(alpha, other))
    return result if out is None else write_out("add", result, out)


def sub(input, other, *, alpha=1, out=None):
    """Return input - alpha * other."""
    result = apply("sub", input, other if alpha == 1 else _times(alpha, other))
    return result if out is None else write_out("sub", result, out)


def rsub(input, other, *, alpha=1):
    """Return other - alpha * input."""
    require_tensor("rsub", "input", input)
    record = _RsubTensor if hasattr(other, "_array") else _Rsub
    return apply("sub", other, input if alpha == 1 else _times(alpha, input), record=record)


_RsubTensor, _Rsub = operation("sub", "Rsub", 0), operation("sub", "Rsub", 1)


def mul(input, other, *, out=None):
    """Return input * other."""
    result = apply("mul", input, other)
    return result if out is None else write_out("mul", result, out)


def div(input, other, *, rounding_mode=None, out=None):
    """Return input / other, a float also for integers; rounding_mode: None, "trunc" or "floor"."""
    if rounding_mode is None:
        result = apply("div", input, other)
    else:
        _check_rounding_mode(rounding_mode)
        result = divide_rounded(f"div ({rounding_mode})", input, other, rounding_mode)
    return result if out is None else write_out("div", result, out)


def divide_into(input, number):
    """Return number / input, as PyTorch computes it: number * (1 / input)."""
    return apply("mul", apply("reciprocal", input), number)


def _check_rounding_mode(rounding_mode):
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(f'div: rounding_mode must be None, "trunc" or "floor", got {rounding_mode!r}')


def _times(alpha, other):
    if isinstance(alpha, float) and not common_dtype((other,)).is_floating_point:
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    return other * alpha


_PowByTensor, _PowOfNumber = operation("pow", "Pow", 1), operation("pow", "Pow", 2)


def pow(input, exponent, *, out=None):
    """Return input ** exponent; nan for a negative base with a fractional exponent."""
    record = None
    if hasattr(exponent, "_array"):
        record = _PowByTensor if hasattr(input, "_array") else _PowOfNumber
    result = apply("pow", input, exponent, record=record)
    return result if out is None else write_out("pow", result, out)


def float_power(input, exponent):
    """Return input ** exponent in float64."""
    like = find_tensor((input, exponent), "float_power")
    return pow(as_tensor_like(like, input, dtypes.float64, "float_power"), _to_double(exponent))


def _to_double(x):
    return x.to(dtypes.float64) if hasattr(x, "_array") else x


_Ldexp = operation("mul", "Ldexp")


def ldexp(input, other):
    """Return input * 2 ** other."""
    require_tensor("ldexp", "other", other)
    return apply("mul", input, pow(2.0, other), record=_Ldexp)


def maximum(input, other, *, out=None):
    """Return the larger of each pair; nan wins, a tie splits the gradient."""
    require_tensor("maximum", "input", input)
    require_tensor("maximum", "other", other)
    result = apply("maximum", input, other)
    return result if out is None else write_out("maximum", result, out)


def minimum(input, other, *, out=None):
    """Return the smaller of each pair; nan wins, a tie splits the gradient."""
    require_tensor("minimum", "input", input)
    require_tensor("minimum", "other", other)
    result = apply("minimum", input, other)
    return result if out is None else write_out("minimum", result, out)


def add_(input, other, *, alpha=1):
    """Add alpha * other to `input` in place."""
    return apply_in_place("add", input, other if alpha == 1 else _times(alpha, other))


def sub_(input, other, *, alpha=1):
    """Subtract alpha * other from `input` in place."""
    return apply_in_place("sub", input, other if alpha == 1 else _times(alpha, other))


def mul_(input, other):
    """Multiply `input` in place."""
    return apply_in_place("mul", input, other)


def div_(input, other, *, rounding_mode=None):
    """Divide `input` in place; rounding_mode: None, "trunc" or "floor"."""
    if rounding_mode is None:
        return apply_in_place("div", input, other)
    _check_rounding_mode(rounding_mode)
    return divide_rounded_(f"div_ ({rounding_mode})", input, other, rounding_mode)


def pow_(input, exponent):
    """Raise `input` to a power in place."""
    record = _PowByTensor if hasattr(exponent, "_array") else None
    return apply_in_place("pow", input, exponent, record=record)


def square_(input):
    """Square `input` in place."""
    return pow_(input, 2)


float_power_, ldexp_ = in_place(float_power), in_place(ldexp)


subtract, multiply, divide, negative, absolute = sub, mul, div, neg, abs
subtract_, multiply_, divide_, negative_, absolute_ = sub_, mul_, div_, neg_, abs_


def true_divide(input, other, *, out=None):
    """Return input / other, a float also for integers."""
    return div(input, other, out=out)


def true_divide_(input, other):
    """Divide `input` in place."""
    return div_(input, other)


class ToCopy(Operation):
    """Convert to another element type."""

    gradients_in_words = ("grad, in the dtype of {0}",)

    def forward(self, k, x, dtype):
        self.input_dtype = x.dtype
        return k.cast(x, dtype)

    def backward(self, k, grad):
        return (k.cast(grad, self.input_dtype),)


class Move(Operation):
    """Copy to another device; the gradient goes back to where the input is."""

    name = "ToCopy"
    crosses_devices = True

    def forward(self, k, x, device, wait=True):
        self.source = device_of(x)
        return put(x, device, wait)

    def backward(self, k, grad):
        return (grad.to(self.source) if hasattr(grad, "_array") else put(grad, self.source),)


class Clone(Operation):
    """Copy."""

    gradients_in_words = ("grad",)

    def forward(self, k, x, strides=None):
        return k.copy(x) if strides is None else k.copy_in_order(x, strides)

    def backward(self, k, grad):
        return (grad,)


class Where(Operation):
    """Choose by a condition; the gradient goes where the value came from."""

    written = "where({2}, {0}, {1})"
    gradients_in_words = ("grad where {2}, else 0", "0 where {2}, else grad")
    broadcasts = True

    def forward(self, k, x, y, condition):
        self.saved, self.shapes = (condition,), (x.shape, y.shape)
        return k.where(condition, x, y)

    def backward(self, k, grad):
        zero, condition = k.zeros((), grad.dtype), self.saved[0]
        return (
            k.sum_to(k.where(condition, grad, zero), self.shapes[0]) if self.needs[0] else None,
            k.sum_to(k.where(condition, zero, grad), self.shapes[1]) if self.needs[1] else None,
            None,
        )


class Copy(Operation):
    """Overwrite the first input with the second, which broadcasts."""

    name = "CopyBackwards"
    overload: int | str | None = None
    gradients_in_words = ("0, since it was overwritten", "grad")
    broadcasts = True

    def overwrite(self, k, target, source):
        self.source_shape, self.source_dtype = source.shape, source.dtype
        try:
            k.write(target, source)
        except ValueError:
            raise RuntimeError(
                f"copy_: a source of shape {source.shape} does not broadcast to the target's {target.shape}"
            ) from None

    def backward(self, k, grad):
        zeros = k.zeros(grad.shape, grad.dtype) if self.needs[0] else None
        if not self.needs[1]:
            return zeros, None
        back = k.sum_to(grad, self.source_shape)
        return zeros, back if back.dtype == self.source_dtype else k.cast(back, self.source_dtype)


class Fill(Copy):
    """Overwrite with a number."""

    name, overload = "Fill", 2


class FillByTensor(Copy):
    """Overwrite with a zero-dim tensor."""

    name, overload = "Fill", 3


class Zero(Copy):
    """Overwrite with zeros."""

    name, overload = "Zero", 0


def where(condition, input=None, other=None, *, out=None, _record=None):
    """Return input where condition holds, else other; all three broadcast.

    Of the condition alone: the positions where it holds, a tensor for each dim.
    """
    if input is None and other is None:
        require_tensor("where", "condition", condition)
        return condition.nonzero(as_tuple=True)
    if out is not None:
        return write_out("where", where(condition, input, other), out)
    like = find_tensor((condition, input, other), "where")
    if not hasattr(condition, "_array") or condition.dtype is not dtypes.bool:
        odd = condition.dtype if hasattr(condition, "_array") else type(condition).__name__
        raise RuntimeError(
            f"where: expected condition to be a boolean tensor, got {odd!r}; use condition != 0"
        )
    target = common_dtype((input, other))
    x, y = as_tensor_like(like, input, target, "where"), as_tensor_like(like, other, target, "where")
    try:
        return (_record or Where).apply(x, y, condition)
    except ValueError:
        raise RuntimeError(
            f"where: shapes do not broadcast: condition {tuple(condition.shape)}, input {tuple(x.shape)}, "
            f"other {tuple(y.shape)}"
        ) from None
