"""Limiting numbers: clamp and its forms, nan_to_num."""

from tensor import compare, dtypes
from tensor.autograd import Operation
from tensor.elementwise import Where, where
from tensor.formula import apply, apply_in_place, in_place, operation, write_out
from tensor.operands import common_dtype, require_tensor

_NUMBERS = (float, int, type(None))


def _limits(name, x, low, high):
    """Return `x` in the joint type of all three, and the limits as numbers that this type holds."""
    if low is None and high is None:
        raise RuntimeError(f"{name}: At least one of 'min' or 'max' must not be None")
    if x._array.dtype.kind == "f" and type(low) in _NUMBERS and type(high) in _NUMBERS:
        joint = x.dtype  # the usual case, for which types need not be compared
    else:
        joint = common_dtype([v for v in (x, low, high) if v is not None])
    if joint.is_floating_point:
        least, most = -float("inf"), float("inf")
        return joint, (least if low is None else float(low), most if high is None else float(high))
    least, most = joint.limits
    low, high = least if low is None else max(int(low), least), most if high is None else min(int(high), most)
    return joint, (low, high)


def _clamp_by_tensors(name, input, low, high):
    """Limit to tensors: the gradient of an element goes to what it came from."""
    # not maximum(input, low): a tie would halve the gradient
    result = input
    for limit, passes in ((low, compare.ge), (high, compare.le)):
        if limit is not None:
            inside = compare.logical_or(passes(result, limit), compare.ne(result, result))  # nan stays
            result = where(inside, result, limit, _record=_CLAMPS[name])
    return result


_CLAMPS = {
    name: type(name, (Where,), {"name": name, "overload": overload})
    for name, overload in (("Clamp", 0), ("ClampMin", 1), ("ClampMax", 1))
}


def clamp(input, min=None, max=None, *, out=None):
    """Limit `input` to [min, max], numbers, tensors or None; the gradient passes within and on a limit."""
    require_tensor("clamp", "input", input)
    if hasattr(min, "_array") or hasattr(max, "_array"):
        result = _clamp_by_tensors("Clamp", input, min, max)
    else:
        joint, limits = _limits("clamp", input, min, max)
        result = apply("clamp", input.to(joint), options=limits)
    return result if out is None else write_out("clamp", result, out)


def clamp_(input, min=None, max=None):
    """Limit `input` to [min, max], numbers, tensors or None, in place."""
    if hasattr(min, "_array") or hasattr(max, "_array"):
        return _clamp_in_place(input, min, max)
    return _limit_in_place("clamp_", input, min, max, None)


_clamp_in_place = in_place(clamp)
_ClampMin, _ClampMax = operation("clamp", "ClampMin"), operation("clamp", "ClampMax")


def clamp_min(input, min):
    """Raise what is below `min` to it."""
    if hasattr(min, "_array"):
        return _clamp_by_tensors("ClampMin", input, min, None)
    joint, limits = _limits("clamp_min", input, min, None)
    return apply("clamp", input.to(joint), options=limits, record=_ClampMin)


def clamp_max(input, max):
    """Lower what is above `max` to it."""
    if hasattr(max, "_array"):
        return _clamp_by_tensors("ClampMax", input, None, max)
    joint, limits = _limits("clamp_max", input, None, max)
    return apply("clamp", input.to(joint), options=limits, record=_ClampMax)


def clamp_min_(input, min):
    """Raise what is below `min` to it, in place."""
    if hasattr(min, "_array"):
        return _clamp_in_place(input, min)
    return _limit_in_place("clamp_min_", input, min, None, _ClampMin)


def clamp_max_(input, max):
    """Lower what is above `max` to it, in place."""
    if hasattr(max, "_array"):
        return _clamp_in_place(input, None, max)
    return _limit_in_place("clamp_max_", input, None, max, _ClampMax)


def _limit_in_place(name, input, low, high, record):
    joint, limits = _limits(name, input, low, high)
    if not dtypes.can_cast(joint, input.dtype):
        raise RuntimeError(
            f"{name}: result type {joint!r} can't be cast to the desired output type {input.dtype!r}; "
            "limit with integers"
        )
    return apply_in_place("clamp", input, options=limits, record=record)


class NanToNum(Operation):
    """Write numbers in the place of nan and of infinities."""

    gradients_in_words = ("grad where {0} is finite, else 0",)

    def forward(self, k, x, nan, posinf, neginf):
        self.finite = k.compare("isfinite", x)  # not x itself: it may be overwritten
        for name, number in (("isnan", nan), ("isposinf", posinf), ("isneginf", neginf)):
            x = k.where(k.compare(name, x), k.full((), number, x.dtype), x)
        return x

    def backward(self, k, grad):
        return (k.where(self.finite, grad, k.zeros((), grad.dtype)),)


def _replacements(input, nan, posinf, neginf):
    limits = dtypes.finfo(input.dtype)
    return {
        "nan": 0.0 if nan is None else nan,
        "posinf": limits.max if posinf is None else posinf,
        "neginf": limits.min if neginf is None else neginf,
    }


def nan_to_num(input, nan=0.0, posinf=None, neginf=None, *, out=None):
    """Return `input` with `nan` for nan, and `posinf` and `neginf` (the type's limits) for infinities."""
    require_tensor("nan_to_num", "input", input)
    if not input.dtype.is_floating_point:
        result = input.clone()
    else:
        result = NanToNum.apply(input, **_replacements(input, nan, posinf, neginf))
    return result if out is None else write_out("nan_to_num", result, out)


def nan_to_num_(input, nan=0.0, posinf=None, neginf=None):
    """Write numbers in the place of nan and of infinities."""
    if not input.dtype.is_floating_point:
        return input
    return NanToNum.apply_in_place(input, **_replacements(input, nan, posinf, neginf))


clip, clip_ = clamp, clamp_
