"""Rounding, division with rounding, remainders and signs."""

from tensor import dtypes
from tensor.autograd import Operation
from tensor.formula import apply, in_place, operation, unary, write_out
from tensor.operands import as_tensor_like, common_dtype, find_tensor, require_tensor


class DivideRounded(Operation):
    """Divide and round; constant between its jumps, so its gradient is zero."""

    name = "Div"
    overload: int | None = 2
    gradients_in_words: tuple[str, ...] = ("0, constant between its jumps",)
    broadcasts = True

    def forward(self, k, x, y, rounding):
        self.shapes = x.shape, y.shape
        return k.divide_rounded(x, y, rounding)

    def backward(self, k, grad):
        return tuple(k.zeros(shape, grad.dtype) for shape in self.shapes)


class FloorDivide(DivideRounded):
    """floor_divide, of which PyTorch, too, knows no derivative."""

    name, overload = "NotImplemented", None

    def backward(self, k, grad):
        raise RuntimeError(
            'derivative for floor_divide is not implemented; div(x, y, rounding_mode="floor") has one: zero'
        )


class Remainder(Operation):
    """x - floor(x / y) * y; the floor is constant between its jumps."""

    overload = 1
    gradients_in_words: tuple[str, ...] = ("grad", "-grad * floor({0} / {1})")
    broadcasts = True

    def forward(self, k, x, y):
        self.shapes, self.saved = (x.shape, y.shape), (x, y)
        return k.remainder(x, y)

    def backward(self, k, grad):
        x, y = self.saved
        grad_x = k.sum_to(grad, self.shapes[0]) if self.needs[0] else None
        if not self.needs[1]:
            return grad_x, None
        grad_y = k.forward("neg", k.forward("mul", grad, k.divide_rounded(x, y, "floor")))
        return grad_x, k.sum_to(grad_y, self.shapes[1])


class RemainderOfNumber(Remainder):
    """x % y of a number y."""

    name, overload = "Remainder", 0
    gradients_in_words: tuple[str, ...] = ("grad",)


class Round(Operation):
    """Round, or take the sign; constant between its jumps, so its gradient is zero."""

    gradients_in_words: tuple[str, ...] = ("0, constant between its jumps",)

    def forward(self, k, x, how):
        self.input_shape = x.shape
        return k.round(x, how)

    def backward(self, k, grad):
        return (k.zeros(self.input_shape, grad.dtype),)


class RoundDecimals(Round):
    """Round to a number of decimal places."""

    name, overload = "Round", 1

    def forward(self, k, x, decimals):
        self.input_shape = x.shape
        scale = k.full((), 10.0 ** abs(decimals), x.dtype)
        first, second = ("mul", "div") if decimals > 0 else ("div", "mul")
        return k.forward(second, k.round(k.forward(first, x, scale), "round"), scale)


def _rounding(how: str, doc: str, name: str = "", bools: bool = False):
    name = name or how
    kind = type(name.title(), (Round,), {"__doc__": doc})

    def check(input):
        require_tensor(name, "input", input)
        if input.dtype is dtypes.bool and not bools:
            raise NotImplementedError(f"{name}: not implemented for bool tensors; use x.int()")

    def function(input, *, out=None):
        check(input)
        result = kind.apply(input, how=how)
        return result if out is None else write_out(name, result, out)

    def in_place(input):
        check(input)
        return kind.apply_in_place(input, how=how)

    function.__name__, function.__doc__ = name, doc + "; the gradient is zero."
    in_place.__name__, in_place.__doc__ = name + "_", f"Replace `input` by {name}(input); returns it."
    return function, in_place


floor, floor_ = _rounding("floor", "Return the largest integer not above each element")
ceil, ceil_ = _rounding("ceil", "Return the smallest integer not below each element")
trunc, trunc_ = _rounding("trunc", "Return each element without its fraction")
sign, sign_ = _rounding("sign", "Return -1, 0 or 1", bools=True)
sgn, sgn_ = _rounding("sign", "Return -1, 0 or 1", name="sgn", bools=True)
_round, _round_in_place = _rounding("round", "Return the nearest integer, of two the even one")
frac, frac_ = unary("frac", "Return what trunc() takes away, of the sign of each element.")
_FmodByNumber, _CopysignByNumber = operation("fmod", "Fmod", 0), operation("copysign", "Copysign", 1)


def fmod(input, other, *, out=None):
    """Return what is left of input / other rounded towards zero: of the sign of `input`."""
    require_tensor("fmod", "input", input)
    result = apply("fmod", *_to_divide("fmod", input, other), record=_by_number(other, _FmodByNumber))
    return result if out is None else write_out("fmod", result, out)


def copysign(input, other, *, out=None):
    """Return the sizes of `input` with the signs of `other`, as floats."""
    require_tensor("copysign", "input", input)
    result = apply("copysign", input, other, record=_by_number(other, _CopysignByNumber))
    return result if out is None else write_out("copysign", result, out)


def _by_number(other, record):
    return None if hasattr(other, "_array") else record


fmod_, copysign_ = in_place(fmod), in_place(copysign)


def round(input, *, decimals=0, out=None):
    """Return the nearest number of `decimals` places, of two the even one; the gradient is zero.

    decimals: negative ones round to tens, hundreds and so on.
    """
    if decimals == 0:
        return _round(input, out=out)
    _check_decimals(input)
    result = RoundDecimals.apply(input, decimals=decimals)
    return result if out is None else write_out("round", result, out)


def round_(input, *, decimals=0):
    """Round in place."""
    if decimals == 0:
        return _round_in_place(input)
    _check_decimals(input)
    return RoundDecimals.apply_in_place(input, decimals=decimals)


def _check_decimals(input):
    require_tensor("round", "input", input)
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"round: decimals need a float tensor, got {input.dtype!r}")


def signbit(input):
    """Return where the sign is a minus, also that of -0.0."""
    require_tensor("signbit", "input", input)
    return input._wrap(input._kernels.compare("signbit", input._array))


def heaviside(input, values):
    """Return 0 where `input` is negative, 1 where it is positive, and `values` where it is 0."""
    require_tensor("heaviside", "input", input)
    require_tensor("heaviside", "values", values)
    if input.dtype is not values.dtype:
        raise RuntimeError(
            f"heaviside is not yet implemented for tensors with different dtypes: {input.dtype!r} and "
            f"{values.dtype!r}"
        )
    k, x, y = input._kernels, input._array, values._array
    zero = k.zeros((), x.dtype)
    step = k.cast(k.compare("gt", x, zero), x.dtype)
    return input._wrap(k.where(k.compare("eq", x, zero), y, step))


def floor_divide(input, other, *, out=None):
    """Return input / other rounded down; no gradient flows through it."""
    result = FloorDivide.apply(*_to_divide("floor_divide", input, other), rounding="floor")
    return result if out is None else write_out("floor_divide", result, out)


def remainder(input, other, *, out=None):
    """Return input - floor(input / other) * other: of the sign of `other`, as Python's %."""
    x, y = _to_divide("remainder", input, other)
    kind = Remainder if hasattr(other, "_array") else RemainderOfNumber
    result = kind.apply(x, y)
    return result if out is None else write_out("remainder", result, out)


floor_divide_, remainder_ = in_place(floor_divide), in_place(remainder)


def divide_rounded(name, x, y, rounding):
    """Return x / y rounded: "floor" or "trunc"; RuntimeError for integers divided by 0."""
    return DivideRounded.apply(*_to_divide(name, x, y), rounding=rounding)


def divide_rounded_(name, x, y, rounding):
    """Overwrite x with x / y rounded, which must fit its element type and shape."""
    first, second = _to_divide(name, x, y)
    if not dtypes.can_cast(first.dtype, x.dtype):
        raise RuntimeError(
            f"{name}: result type {first.dtype!r} can't be cast to the desired output type {x.dtype!r}"
        )
    return DivideRounded.apply_in_place(x, second.to(x.dtype), rounding=rounding)


def _to_divide(name, x, y):
    like, joint = find_tensor((x, y), name), common_dtype((x, y))
    x, y = as_tensor_like(like, x, joint, name), as_tensor_like(like, y, joint, name)
    if not joint.is_floating_point and not y.all():
        raise RuntimeError(f"{name}: ZeroDivisionError, an integer is divided by 0")
    return x, y


fix, fix_ = trunc, trunc_
