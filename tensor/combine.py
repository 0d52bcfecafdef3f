"""Operations on three operands at once: lerp, addcmul, addcdiv."""

from tensor import dtypes
from tensor.autograd import Operation
from tensor.formula import in_place, write_out
from tensor.operands import as_tensor_like, common_dtype, require_tensor


class Lerp(Operation):
    """Go from start to end by a weight."""

    gradients_in_words: tuple[str, ...] = ("grad * (1 - weight)", "grad * weight")
    broadcasts = True

    def forward(self, k, start, end, weight):
        # Of a start that is overwritten nothing may be read, unless the weight's gradient asks for it.
        self.saved = (start if self.needs[2] else None, end if self.needs[2] else None, weight)
        self.shapes = (start.shape, end.shape, weight.shape)
        way = k.forward("sub", end, start)
        one = k.full((), 1.0, start.dtype)
        if not weight.ndim:  # one choice for all
            if abs(weight.item()) < 0.5:
                return k.forward("add", start, k.forward("mul", weight, way))
            return k.forward("sub", end, k.forward("mul", way, k.forward("sub", one, weight)))
        # From the nearer end, so that neither end is missed by a rounding error.
        near = k.forward("add", start, k.forward("mul", weight, way))
        far = k.forward("sub", end, k.forward("mul", way, k.forward("sub", one, weight)))
        half = k.full((), 0.5, start.dtype)
        return k.where(k.compare("lt", k.forward("abs", weight), half), near, far)

    def backward(self, k, grad):
        start, end, weight = self.saved
        rest = k.forward("sub", k.full((), 1.0, grad.dtype), weight)
        flows = (
            k.sum_to(k.forward("mul", grad, rest), self.shapes[0]) if self.needs[0] else None,
            k.sum_to(k.forward("mul", grad, weight), self.shapes[1]) if self.needs[1] else None,
        )
        if not self.needs[2]:
            return (*flows, None)
        way = k.forward("sub", end, start)
        return (*flows, k.sum_to(k.forward("mul", grad, way), self.shapes[2]))


class LerpByTensor(Lerp):
    """Go from start to end by a tensor of weights."""

    name, overload = "Lerp", 1
    gradients_in_words: tuple[str, ...] = ("grad * (1 - {2})", "grad * {2}", "grad * ({1} - {0})")


def _lerp_operands(input, end, weight):
    require_tensor("lerp", "input", input)
    require_tensor("lerp", "end", end)
    for name, x in (("end", end), ("weight", weight)):
        if hasattr(x, "_array") and x.dtype is not input.dtype:
            raise RuntimeError(
                f"lerp: expected dtype {input.dtype!r} for `{name}` but got dtype {x.dtype!r}; use .to()"
            )
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"lerp: not implemented for {input.dtype!r}; use x.float()")
    kind = LerpByTensor if hasattr(weight, "_array") else Lerp
    return kind, (input, end, as_tensor_like(input, weight, input.dtype, "lerp"))


def lerp(input, end, weight, *, out=None):
    """Return input + weight * (end - input); weight: a number or a tensor that broadcasts."""
    kind, operands = _lerp_operands(input, end, weight)
    result = kind.apply(*operands)
    return result if out is None else write_out("lerp", result, out)


def lerp_(input, end, weight):
    """Go towards `end` in place."""
    if hasattr(weight, "_array") and weight.requires_grad:
        return _lerp_in_place(input, end, weight)
    return _overwrite(*_lerp_operands(input, end, weight))


_lerp_in_place = in_place(lerp)


class Addcmul(Operation):
    """x + value * a * b."""

    constants = ("value",)
    gradients_in_words: tuple[str, ...] = ("grad", "grad * value * {2}", "grad * value * {1}")
    broadcasts = True

    def forward(self, k, x, a, b, value):
        self.saved, self.shapes, self.value = (a, b), (x.shape, a.shape, b.shape), value
        return k.forward("add", x, k.forward("mul", k.forward("mul", a, b), value))

    def backward(self, k, grad):
        a, b = self.saved
        scaled = k.forward("mul", grad, k.full((), self.value, grad.dtype))
        return (
            k.sum_to(grad, self.shapes[0]) if self.needs[0] else None,
            k.sum_to(k.forward("mul", scaled, b), self.shapes[1]) if self.needs[1] else None,
            k.sum_to(k.forward("mul", scaled, a), self.shapes[2]) if self.needs[2] else None,
        )


class Addcdiv(Operation):
    """x + value * a / b."""

    constants = ("value",)
    gradients_in_words: tuple[str, ...] = ("grad", "grad * value / {2}", "-grad * value * {1} / {2}**2")
    broadcasts = True

    def forward(self, k, x, a, b, value):
        self.saved, self.shapes, self.value = (a, b), (x.shape, a.shape, b.shape), value
        return k.forward("add", x, k.forward("div", k.forward("mul", a, value), b))

    def backward(self, k, grad):
        a, b = self.saved
        scaled = k.forward("div", k.forward("mul", grad, k.full((), self.value, grad.dtype)), b)
        ratio = k.forward("div", a, b)
        return (
            k.sum_to(grad, self.shapes[0]) if self.needs[0] else None,
            k.sum_to(scaled, self.shapes[1]) if self.needs[1] else None,
            k.sum_to(k.forward("neg", k.forward("mul", scaled, ratio)), self.shapes[2])
            if self.needs[2]
            else None,
        )


def _three(name, input, tensor1, tensor2, value):
    for argument, x in (("input", input), ("tensor1", tensor1), ("tensor2", tensor2)):
        require_tensor(name, argument, x)
    same = input._array.dtype == tensor1._array.dtype == tensor2._array.dtype
    joint = input.dtype if same else common_dtype((input, tensor1, tensor2))
    if not joint.is_floating_point:
        if name == "addcdiv":
            raise RuntimeError(
                "Integer division with addcdiv is not supported; (input + value * tensor1 / tensor2) divides "
                "floats: use .float()"
            )
        if joint is dtypes.bool:
            raise NotImplementedError("addcmul: not implemented for bool tensors; use x.int()")
        if isinstance(value, float):
            raise RuntimeError(
                "For integral input tensors, argument value must not be a floating point number."
            )
    k = input._kernels
    value = k.full((), value, joint._array)
    return [x.to(joint) for x in (input, tensor1, tensor2)], value


def addcmul(input, tensor1, tensor2, *, value=1, out=None):
    """Return input + value * tensor1 * tensor2."""
    operands, value = _three("addcmul", input, tensor1, tensor2, value)
    result = Addcmul.apply(*operands, value=value)
    return result if out is None else write_out("addcmul", result, out)


def addcmul_(input, tensor1, tensor2, *, value=1):
    """Add value * tensor1 * tensor2 in place."""
    operands, value = _three("addcmul", input, tensor1, tensor2, value)
    return _overwrite(Addcmul, (input, *operands[1:]), value=value)


def addcdiv(input, tensor1, tensor2, *, value=1, out=None):
    """Return input + value * tensor1 / tensor2."""
    operands, value = _three("addcdiv", input, tensor1, tensor2, value)
    result = Addcdiv.apply(*operands, value=value)
    return result if out is None else write_out("addcdiv", result, out)


def addcdiv_(input, tensor1, tensor2, *, value=1):
    """Add value * tensor1 / tensor2 in place."""
    operands, value = _three("addcdiv", input, tensor1, tensor2, value)
    return _overwrite(Addcdiv, (input, *operands[1:]), value=value)


def _overwrite(kind, operands, **options):
    """Run an operation in place, on a copy of what it overwrites where its derivatives read that."""
    target, *others = operands
    name = kind.__name__.lower()
    joint = common_dtype(operands)
    if not dtypes.can_cast(joint, target.dtype):
        raise RuntimeError(
            f"{name}_: result type {joint!r} can't be cast to the desired output type {target.dtype!r}"
        )
    for x in others:
        if x._array.shape == target._array.shape or not x._array.ndim:
            continue
        try:
            x.expand(target.shape)
        except RuntimeError:
            raise RuntimeError(
                f"{name}_: output with shape {list(target.shape)} doesn't match the broadcast shape of "
                f"{tuple(target.shape)} and {tuple(x.shape)}"
            ) from None
    return kind.apply_in_place(target, *[x.to(target.dtype) for x in others], **options)
