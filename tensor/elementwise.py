"""Operations element by element: the formulas of `micro.formulas`, recorded.

Operands broadcast, and their types are promoted, as in PyTorch. A Python number takes the other's type.
"""

from micro.formulas import FORMULAS
from tensor import dtypes
from tensor.autograd import Function
from tensor.operands import as_tensor_like, common_dtype, find_tensor


class Elementwise(Function):
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
        try:
            k.forward(self.formula.name, target, *arrays, *options, out=target)
        except ValueError:
            raise self._shape_error((target, *arrays), in_place=True) from None
        self._keep((target, *arrays), target, options)

    def _keep(self, arrays, out, options):
        self.shapes, self.options = [a.shape for a in arrays], options
        if True in self.needs:
            reads = set().union(*[r for r, need in zip(self.formula.needs, self.needs, strict=True) if need])
            names = self.formula.variables
            self.saved = tuple([a if n in reads else None for n, a in zip(names, arrays, strict=True)])
            if "out" in reads:
                self.result = out

    def backward(self, k, grad):
        name, args, out, options = self.formula.name, self.saved, self.result, self.options
        return tuple(
            [
                k.sum_to(k.derivative(name, i, args, out, grad, options), self.shapes[i]) if need else None
                for i, need in enumerate(self.needs)
            ]
        )

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


_FUNCTIONS = {
    name: type(name.title().replace("_", ""), (Elementwise,), {"formula": formula, "__doc__": formula.name})
    for name, formula in FORMULAS.items()
}
_KEEP_INTEGERS = frozenset(["add", "sub", "mul", "neg", "pow", "abs", "maximum", "minimum", "relu", "clamp"])
"""Formulas that take integers to integers; the others take integers to the default float type."""


def _apply(name: str, *operands, options: tuple = ()):
    function = _FUNCTIONS[name]
    x = operands[0]
    if len(operands) == 1:
        if x._array.dtype.kind != "f" and name not in _KEEP_INTEGERS:
            x = x.to(dtypes.get_default_dtype())
        return function.apply(x, options=options) if options else function.apply(x)
    y = operands[1]
    if not (hasattr(x, "_array") and hasattr(y, "_array") and x._array.dtype == y._array.dtype):
        like = find_tensor(operands)
        target = common_dtype(operands)
        x, y = as_tensor_like(like, x, target, name), as_tensor_like(like, y, target, name)
    kind = x._array.dtype.kind
    if (kind != "f" and name not in _KEEP_INTEGERS) or (kind == "b" and name == "sub"):
        if kind == "b" and name == "sub":
            raise RuntimeError("sub: Subtraction of two bool tensors is not supported; use logical_xor")
        target = dtypes.get_default_dtype()
        x, y = x.to(target), y.to(target)
    return function.apply(x, y)


def _apply_in_place(name: str, x, *operands, options: tuple = ()):
    joint = common_dtype((x, *operands)) if operands else x.dtype
    if joint.is_floating_point or name not in _KEEP_INTEGERS:
        if not x.dtype.is_floating_point:
            raise RuntimeError(
                f"{name}_: result type Float can't be cast to the desired output type {x.dtype!r}; "
                f"convert first: x = x.float()"
            )
    others = [as_tensor_like(x, y, x.dtype, name) for y in operands]
    return _FUNCTIONS[name].apply_in_place(x, *others, **({"options": options} if options else {}))


def _unary(name: str):
    def function(x):
        return _apply(name, x)

    def in_place(x):
        return _apply_in_place(name, x)

    function.__name__, in_place.__name__ = name, name + "_"
    function.__doc__ = f"Return {name}(x) element by element, in the shape and float type of `x`."
    in_place.__doc__ = f"Replace `x` by {name}(x); returns `x`."
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


def add(x, other, *, alpha=1):
    """Return x + alpha * other."""
    return _apply("add", x, other if alpha == 1 else other * alpha)


def sub(x, other, *, alpha=1):
    """Return x - alpha * other."""
    return _apply("sub", x, other if alpha == 1 else other * alpha)


def mul(x, other):
    """Return x * other."""
    return _apply("mul", x, other)


def div(x, other, *, rounding_mode=None):
    """Return x / other, a float also for integers; rounding_mode: None, "trunc" or "floor"."""
    if rounding_mode is None:
        return _apply("div", x, other)
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(f'div: rounding_mode must be None, "trunc" or "floor", got {rounding_mode!r}')
    return find_tensor((x, other))._round_divide(x, other, rounding_mode)


def pow(x, exponent):
    """Return x ** exponent; nan for a negative base with a fractional exponent."""
    return _apply("pow", x, exponent)


def maximum(x, other):
    """Return the larger of each pair; nan wins, a tie splits the gradient."""
    return _apply("maximum", x, other)


def minimum(x, other):
    """Return the smaller of each pair; nan wins, a tie splits the gradient."""
    return _apply("minimum", x, other)


def add_(x, other, *, alpha=1):
    """Add alpha * other to `x` in place."""
    return _apply_in_place("add", x, other if alpha == 1 else other * alpha)


def sub_(x, other, *, alpha=1):
    """Subtract alpha * other from `x` in place."""
    return _apply_in_place("sub", x, other if alpha == 1 else other * alpha)


def mul_(x, other):
    """Multiply `x` in place."""
    return _apply_in_place("mul", x, other)


def div_(x, other):
    """Divide `x` in place."""
    return _apply_in_place("div", x, other)


def pow_(x, exponent):
    """Raise `x` to a power in place."""
    return _apply_in_place("pow", x, exponent)


def leaky_relu(x, negative_slope=0.01):
    """Return x where positive, else negative_slope * x."""
    return _apply("leaky_relu", x, options=(float(negative_slope),))


def elu(x, alpha=1.0):
    """Return x where positive, else alpha * (exp(x) - 1)."""
    return _apply("elu", x, options=(float(alpha),))


def softplus(x, beta=1.0, threshold=20.0):
    """Return log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold."""
    return _apply("softplus", x, options=(float(beta), float(threshold)))


def gelu(x, approximate="none"):
    """Return x * Phi(x) ("none"), or its tanh approximation ("tanh")."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"gelu: approximate argument must be either none or tanh, got {approximate!r}")
    return _apply("gelu" if approximate == "none" else "gelu_tanh", x)


def _limits(name, x, low, high):
    if low is None and high is None:
        raise RuntimeError(f"{name}: at least one of 'min' or 'max' must not be None")
    if x.dtype.is_floating_point:
        return (-float("inf") if low is None else float(low), float("inf") if high is None else float(high))
    return low, high


def clamp(x, min=None, max=None):
    """Limit `x` to [min, max], numbers or None; the gradient passes where x lies within or on a limit."""
    if hasattr(min, "_array") or hasattr(max, "_array"):
        x = x if min is None else maximum(x, min)
        return x if max is None else minimum(x, max)
    return _apply("clamp", x, options=_limits("clamp", x, min, max))


def clamp_(x, min=None, max=None):
    """Limit `x` to [min, max] in place."""
    return _apply_in_place("clamp", x, options=_limits("clamp_", x, min, max))


class ToCopy(Function):
    """Convert to another element type."""

    def forward(self, k, x, dtype):
        self.input_dtype = x.dtype
        return k.cast(x, dtype)

    def backward(self, k, grad):
        return (k.cast(grad, self.input_dtype),)


class Clone(Function):
    """Copy."""

    def forward(self, k, x):
        return k.copy(x)

    def backward(self, k, grad):
        return (grad,)


class Where(Function):
    """Choose by a condition; the gradient goes where the value came from."""

    def forward(self, k, x, y, condition):
        self.condition, self.shapes = condition, (x.shape, y.shape)
        return k.where(condition, x, y)

    def backward(self, k, grad):
        zero = k.zeros((), grad.dtype)
        return (
            k.sum_to(k.where(self.condition, grad, zero), self.shapes[0]) if self.needs[0] else None,
            k.sum_to(k.where(self.condition, zero, grad), self.shapes[1]) if self.needs[1] else None,
        )


class Copy(Function):
    """Overwrite the first input with the second, which broadcasts."""

    name = "CopySlices"

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
    like = find_tensor((condition, input, other))
    target = common_dtype((input, other))
    x, y = as_tensor_like(like, input, target, "where"), as_tensor_like(like, other, target, "where")
    try:
        return Where.apply(x, y, condition=condition._array)
    except ValueError:
        raise RuntimeError(
            f"where: shapes do not broadcast: condition {tuple(condition.shape)}, input {tuple(x.shape)}, "
            f"other {tuple(y.shape)}"
        ) from None
