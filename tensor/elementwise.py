"""Operations element by element: the formulas of `micro.formulas`, recorded.

Operands broadcast, and their types are promoted, as in PyTorch. A Python number takes the other's type.
"""

import functools

from micro.formulas import FORMULAS
from tensor import compare, dtypes
from tensor.autograd import Operation, Version, with_history
from tensor.operands import as_tensor_like, common_dtype, find_tensor, require_tensor, type_of


@functools.cache
def _reads(name: str, needs: tuple[bool, ...]) -> tuple[tuple[bool, ...], bool]:
    """Return which arguments the derivatives that are needed read, and whether they read the result."""
    formula = FORMULAS[name]
    wanted = [read for read, need in zip(formula.needs, needs, strict=True) if need]
    reads = frozenset[str]().union(*wanted)
    return tuple([v in reads for v in formula.variables]), "out" in reads


class Elementwise(Operation):
    """One formula over broadcasting arrays; its derivatives are the formula's own."""

    formula = FORMULAS["add"]

    def forward(self, k, *arrays, options=()):
        try:
            out = k.forward(self.formula.name, *arrays, *options)
        except ValueError:
            raise self._shape_error(arrays) from None
        self._keep(arrays, out, options)
        return out

    def overwrite(self, k, target, *arrays, options=()):
        # A derivative that reads what is overwritten reads a copy of it.
        reads_target = _reads(self.formula.name, self.needs)[0][0]
        before = k.copy(target) if reads_target else target
        try:
            k.forward(self.formula.name, target, *arrays, *options, out=target)
        except ValueError:
            raise self._shape_error((target, *arrays), in_place=True) from None
        self._keep((before, *arrays), target, options)

    def _keep(self, arrays, out, options):
        self.options = options
        if True in self.needs:
            reads, reads_out = _reads(self.formula.name, self.needs)
            if len(arrays) == 1:
                self.saved = arrays if reads[0] else (None,)
            else:
                self.shapes = [a.shape for a in arrays]
                self.saved = tuple([a if read else None for a, read in zip(arrays, reads, strict=True)])
            if reads_out:
                self.result = out

    def backward(self, k, grad):
        name, args, out, options = self.formula.name, self.saved, self.result, self.options
        if len(args) == 1:
            return (k.derivative(name, 0, args, out, grad, options),)
        return tuple(
            [
                k.sum_to(k.derivative(name, i, args, out, grad, options), self.shapes[i]) if need else None
                for i, need in enumerate(self.needs)
            ]
        )

    def remember(self, position, array, wrap):
        known = array is None or any(array is entry[0] for entry in self.versions)
        if known or not self.needs[position]:
            return super().remember(position, array, wrap)
        return with_history(array, self.edges[position], Version(), wrap)  # a copy of what was overwritten

    def _shape_error(self, arrays, in_place=False):
        a, b = arrays[0].shape, arrays[-1].shape
        name = self.formula.name
        for d in range(1, min(len(a), len(b)) + 1):
            if a[-d] != b[-d] and 1 not in (a[-d], b[-d]):
                return RuntimeError(
                    f"{name}: The size of tensor a ({a[-d]}) must match the size of tensor b ({b[-d]}) at "
                    f"non-singleton dimension {max(len(a), len(b)) - d}; got shapes {a} and {b}"
                )
        if in_place:
            return RuntimeError(
                f"{name}_: output with shape {list(a)} doesn't match the broadcast shape of {a} and {b}; "
                f"write x = {name}(x, y) to get the larger tensor"
            )
        return RuntimeError(f"{name}: shapes {a} and {b} do not fit")


_FUNCTIONS: dict[str, type[Elementwise]] = {
    name: type(name.title().replace("_", ""), (Elementwise,), {"formula": formula, "__doc__": formula.name})
    for name, formula in FORMULAS.items()
}
_KEEP_INTEGERS = frozenset(["add", "sub", "mul", "neg", "pow", "abs", "maximum", "minimum", "relu", "clamp"])
"""Formulas that take integers to integers."""
_FLOATS_ONLY = frozenset(["leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "softplus"])
"""Formulas that refuse integers; the others take them to the default float type."""


def _check_types(name: str, types, joint: dtypes.dtype) -> None:
    """Raise what PyTorch raises for the element types it does not define an operation on."""
    if name == "sub" and dtypes.bool in types:
        raise RuntimeError(
            "sub: Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead; for a difference, logical_xor()."
        )
    if joint is dtypes.bool and name in ("neg", "relu"):
        raise RuntimeError(f"{name}: bool tensors are not supported; use ~ or logical_not(), or x.int()")
    if joint is dtypes.bool and name in ("abs", "pow"):
        raise NotImplementedError(f"{name}: not implemented for bool tensors; use x.int()")
    if name in _FLOATS_ONLY and not joint.is_floating_point:
        raise NotImplementedError(f"{name}: not implemented for {joint!r}; use x.float()")


def _apply(name: str, *operands, options: tuple = ()):
    function = _FUNCTIONS[name]
    x = operands[0]
    if len(operands) == 1:
        require_tensor(name, "input", x)
        if x._array.dtype.kind != "f":
            _check_types(name, (x.dtype,), x.dtype)
            if name not in _KEEP_INTEGERS:
                x = x.to(dtypes.get_default_dtype())
        return function.apply(x, options=options) if options else function.apply(x)
    y = operands[1]
    same = hasattr(x, "_array") and hasattr(y, "_array") and x._array.dtype == y._array.dtype
    if not same or x._array.dtype.kind != "f":
        like = find_tensor(operands, name)
        joint = common_dtype(operands)
        if not joint.is_floating_point or name == "sub":
            _check_types(name, [type_of(v) for v in operands], joint)
        if name not in _KEEP_INTEGERS and not joint.is_floating_point:
            joint = dtypes.get_default_dtype()
        if name == "pow" and not joint.is_floating_point and not hasattr(y, "_array") and y < 0:
            raise RuntimeError("pow: Integers to negative integer powers are not allowed; use x.float()")
        x, y = as_tensor_like(like, x, joint, name), as_tensor_like(like, y, joint, name)
    return function.apply(x, y)


def _apply_in_place(name: str, x, *operands, options: tuple = ()):
    joint = common_dtype((x, *operands))
    _check_types(name, [type_of(v) for v in (x, *operands)], joint)
    if name not in _KEEP_INTEGERS and not joint.is_floating_point:
        joint = dtypes.get_default_dtype()
    if not dtypes.can_cast(joint, x.dtype):
        raise RuntimeError(
            f"{name}_: result type {joint!r} can't be cast to the desired output type {x.dtype!r}; "
            f"convert first: x = x.to({joint!r})"
        )
    others = [as_tensor_like(x, y, x.dtype, name) for y in operands]
    return _FUNCTIONS[name].apply_in_place(x, *others, **({"options": options} if options else {}))


def _unary(name: str):
    def function(input):
        return _apply(name, input)

    def in_place(input):
        return _apply_in_place(name, input)

    function.__name__, in_place.__name__ = name, name + "_"
    function.__doc__ = f"Return {name}(input) element by element, in its shape and float type."
    in_place.__doc__ = f"Replace `input` by {name}(input); returns it."
    return function, in_place


neg, neg_ = _unary("neg")
exp, exp_ = _unary("exp")
log, log_ = _unary("log")
log1p, log1p_ = _unary("log1p")
sqrt, sqrt_ = _unary("sqrt")
tanh, tanh_ = _unary("tanh")
sigmoid, sigmoid_ = _unary("sigmoid")
relu, relu_ = _unary("relu")
silu, silu_ = _unary("silu")
sin, sin_ = _unary("sin")
cos, cos_ = _unary("cos")
abs, abs_ = _unary("abs")


def square(input):
    """Return input * input; input ** 2."""
    return input * input


def reciprocal(input):
    """Return 1 / input."""
    return div(1.0, input)


def rsqrt(input):
    """Return 1 / sqrt(input)."""
    return div(1.0, sqrt(input))


def add(input, other, *, alpha=1):
    """Return input + alpha * other."""
    return _apply("add", input, _times(alpha, other))


def sub(input, other, *, alpha=1):
    """Return input - alpha * other."""
    return _apply("sub", input, _times(alpha, other))


def mul(input, other):
    """Return input * other."""
    return _apply("mul", input, other)


def div(input, other, *, rounding_mode=None):
    """Return input / other, a float also for integers; rounding_mode: None, "trunc" or "floor"."""
    if rounding_mode is None:
        return _apply("div", input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(f'div: rounding_mode must be None, "trunc" or "floor", got {rounding_mode!r}')
    return _divide_rounded(f"div ({rounding_mode})", input, other, rounding_mode)


def floor_divide(input, other):
    """Return input / other rounded down; no gradient flows through it."""
    return _divide_rounded("floor_divide", input, other, "floor")


def remainder(input, other):
    """Return input - floor(input / other) * other: of the sign of `other`, as Python's %."""
    x, y = _to_divide("remainder", input, other)
    return Remainder.apply(x, y)


def _divide_rounded(name, x, y, rounding):
    return DivideRounded.apply(*_to_divide(name, x, y), rounding=rounding)


def _to_divide(name, x, y):
    like, joint = find_tensor((x, y), name), common_dtype((x, y))
    x, y = as_tensor_like(like, x, joint, name), as_tensor_like(like, y, joint, name)
    if not joint.is_floating_point and not y.all():
        raise RuntimeError(f"{name}: ZeroDivisionError, an integer is divided by 0")
    return x, y


def _times(alpha, other):
    return other if alpha == 1 else other * alpha


def pow(input, exponent):
    """Return input ** exponent; nan for a negative base with a fractional exponent."""
    return _apply("pow", input, exponent)


def maximum(input, other):
    """Return the larger of each pair; nan wins, a tie splits the gradient."""
    return _apply("maximum", input, other)


def minimum(input, other):
    """Return the smaller of each pair; nan wins, a tie splits the gradient."""
    return _apply("minimum", input, other)


def add_(input, other, *, alpha=1):
    """Add alpha * other to `input` in place."""
    return _apply_in_place("add", input, _times(alpha, other))


def sub_(input, other, *, alpha=1):
    """Subtract alpha * other from `input` in place."""
    return _apply_in_place("sub", input, _times(alpha, other))


def mul_(input, other):
    """Multiply `input` in place."""
    return _apply_in_place("mul", input, other)


def div_(input, other):
    """Divide `input` in place."""
    return _apply_in_place("div", input, other)


def pow_(input, exponent):
    """Raise `input` to a power in place."""
    return _apply_in_place("pow", input, exponent)


def leaky_relu(input, negative_slope=0.01):
    """Return input where positive, else negative_slope * input."""
    return _apply("leaky_relu", input, options=(float(negative_slope),))


def elu(input, alpha=1.0):
    """Return input where positive, else alpha * (exp(input) - 1)."""
    return _apply("elu", input, options=(float(alpha),))


def softplus(input, beta=1.0, threshold=20.0):
    """Return log(1 + exp(beta * input)) / beta; `input` itself where beta * input > threshold."""
    return _apply("softplus", input, options=(float(beta), float(threshold)))


def gelu(input, approximate="none"):
    """Return input * Phi(input) ("none"), or its tanh approximation ("tanh")."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"gelu: approximate argument must be either none or tanh, got {approximate!r}")
    return _apply("gelu" if approximate == "none" else "gelu_tanh", input)


def _limits(name, x, low, high):
    """Return `x` in the joint type of all three, and the limits as numbers that this type holds."""
    if low is None and high is None:
        raise RuntimeError(f"{name}: At least one of 'min' or 'max' must not be None")
    joint = common_dtype([v for v in (x, low, high) if v is not None])
    if joint.is_floating_point:
        least, most = -float("inf"), float("inf")
        return joint, (least if low is None else float(low), most if high is None else float(high))
    least, most = joint.limits
    low, high = least if low is None else max(int(low), least), most if high is None else min(int(high), most)
    return joint, (low, high)


def clamp(input, min=None, max=None):
    """Limit `input` to [min, max], numbers, tensors or None; the gradient passes within and on a limit."""
    if hasattr(min, "_array") or hasattr(max, "_array"):
        # not maximum(input, min): a tie would halve the gradient
        for limit, passes in ((min, compare.ge), (max, compare.le)):
            if limit is not None:
                inside = compare.logical_or(passes(input, limit), compare.ne(input, input))  # nan stays
                input = where(inside, input, limit)
        return input
    joint, limits = _limits("clamp", input, min, max)
    return _apply("clamp", input.to(joint), options=limits)


def clamp_(input, min=None, max=None):
    """Limit `input` to [min, max], numbers or None, in place."""
    joint, limits = _limits("clamp_", input, min, max)
    if not dtypes.can_cast(joint, input.dtype):
        raise RuntimeError(
            f"clamp_: result type {joint!r} can't be cast to the desired output type {input.dtype!r}; "
            "limit with integers"
        )
    return _apply_in_place("clamp", input, options=limits)


class DivideRounded(Operation):
    """Divide and round; constant between its jumps, so its gradient is zero."""

    def forward(self, k, x, y, rounding):
        return k.divide_rounded(x, y, rounding)

    def backward(self, k, grad):
        return None, None


class Remainder(Operation):
    """x - floor(x / y) * y; the floor is constant between its jumps."""

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


class Round(Operation):
    """Round, or take the sign; constant between its jumps, so its gradient is zero."""

    def forward(self, k, x, how):
        self.input_shape = x.shape
        return k.round(x, how)

    def backward(self, k, grad):
        return (k.zeros(self.input_shape, grad.dtype),)


def _rounding(how: str, doc: str):
    def function(input):
        return Round.apply(input, how=how)

    function.__name__, function.__doc__ = how, doc + "; the gradient is zero."
    return function


floor = _rounding("floor", "Return the largest integer not above each element")
ceil = _rounding("ceil", "Return the smallest integer not below each element")
trunc = _rounding("trunc", "Return each element without its fraction")
round = _rounding("round", "Return the nearest integer, of two the even one")
sign = _rounding("sign", "Return -1, 0 or 1")

subtract, multiply, divide, true_divide, negative, absolute, clip = sub, mul, div, div, neg, abs, clamp


class ToCopy(Operation):
    """Convert to another element type."""

    def forward(self, k, x, dtype):
        self.input_dtype = x.dtype
        return k.cast(x, dtype)

    def backward(self, k, grad):
        return (k.cast(grad, self.input_dtype),)


class Clone(Operation):
    """Copy."""

    def forward(self, k, x, strides=None):
        return k.copy(x) if strides is None else k.copy_in_order(x, strides)

    def backward(self, k, grad):
        return (grad,)


class Where(Operation):
    """Choose by a condition; the gradient goes where the value came from."""

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

    name, overload = "CopyBackwards", None

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


def where(condition, input, other):
    """Return input where condition holds, else other; all three broadcast."""
    like = find_tensor((condition, input, other), "where")
    if not hasattr(condition, "_array") or condition.dtype is not dtypes.bool:
        odd = condition.dtype if hasattr(condition, "_array") else type(condition).__name__
        raise RuntimeError(
            f"where: expected condition to be a boolean tensor, got {odd!r}; use condition != 0"
        )
    target = common_dtype((input, other))
    x, y = as_tensor_like(like, input, target, "where"), as_tensor_like(like, other, target, "where")
    try:
        return Where.apply(x, y, condition)
    except ValueError:
        raise RuntimeError(
            f"where: shapes do not broadcast: condition {tuple(condition.shape)}, input {tuple(x.shape)}, "
            f"other {tuple(y.shape)}"
        ) from None
