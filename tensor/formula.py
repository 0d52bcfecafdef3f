"""The formulas of `micro.formulas`, recorded: what the functions element by element are made of.

Operands broadcast, and their types are promoted, as in PyTorch. A Python number takes the other's type.
"""

import functools
import warnings

from micro.formulas import FORMULAS
from tensor import dtypes
from tensor.autograd import Operation, Version, with_history
from tensor.operands import as_tensor_like, beside, common_dtype, find_tensor, require_tensor, type_of


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
    broadcasts = True

    def forward(self, k, *arrays, options=(), is_computed=False):
        """Return the formula's results; is_computed: the operation before this has left them in its own."""
        if is_computed:
            out = arrays[0]
        else:
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


_NAMES = {"gelu_tanh": "Gelu", "logsigmoid": "LogSigmoid", "prelu": "PreluKernel"}
_OVERLOADS = {"clamp": 1, "fmod": 1}
OPERATIONS: dict[str, type[Elementwise]] = {
    name: type(
        _NAMES.get(name, name.title().replace("_", "")),
        (Elementwise,),
        {"formula": formula, "__doc__": formula.name, "overload": _OVERLOADS.get(name, 0)},
    )
    for name, formula in FORMULAS.items()
}
_KEEP_INTEGERS = frozenset(
    [
        "add", "sub", "mul", "neg", "pow", "abs", "maximum", "minimum", "fmax", "fmin", "fmod",
        "relu", "clamp", "hardtanh",
    ]
)  # fmt: skip
"""Formulas that take integers to integers."""
_FLOATS_ONLY = frozenset(
    [
        "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "mish", "softplus", "logsigmoid", "prelu",
        "hardsigmoid", "hardswish", "softshrink", "hardshrink", "hypot", "logaddexp", "frac",
    ]
)  # fmt: skip
"""Formulas that refuse integers; the others take them to the default float type."""


def _check_types(name: str, types, joint: dtypes.dtype) -> None:
    """Raise what PyTorch raises for the element types it does not define an operation on."""
    if name == "sub" and dtypes.bool in types:
        raise RuntimeError(
            "sub: Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead; for a difference, logical_xor()."
        )
    if joint is dtypes.bool and name in ("neg", "relu", "hardtanh"):
        raise RuntimeError(f"{name}: bool tensors are not supported; use ~ or logical_not(), or x.int()")
    if joint is dtypes.bool and name in ("abs", "pow", "fmod"):
        raise NotImplementedError(f"{name}: not implemented for bool tensors; use x.int()")
    if name in _FLOATS_ONLY and not joint.is_floating_point:
        raise NotImplementedError(f"{name}: not implemented for {joint!r}; use x.float()")


def operation(name: str, class_name: str, overload: int = 0) -> type[Elementwise]:
    """Return another operation of the formula `name`, for what PyTorch records under another name."""
    return type(class_name, (Elementwise,), {"formula": FORMULAS[name], "overload": overload})


def apply(name: str, *operands, options: tuple = (), record: type[Elementwise] | None = None):
    """Apply a formula to tensors and numbers, with PyTorch's element types; record it.

    record: the operation to record, if not the one that is named after the formula.
    """
    function = record or OPERATIONS[name]
    x = operands[0]
    if len(operands) == 1:
        require_tensor(name, "input", x)
        if x._array.dtype.kind != "f":
            _check_types(name, (x.dtype,), x.dtype)
            if name not in _KEEP_INTEGERS:
                x = x.to(dtypes.get_default_dtype())
        return function.apply(x, options=options) if options else function.apply(x)
    y = operands[1]
    if hasattr(x, "_array"):
        other = beside(x, y)
        if other is not None:
            return function.apply(x, other)
    elif hasattr(y, "_array"):
        other = beside(y, x)
        if other is not None:
            return function.apply(other, y)
    return _apply_promoted(name, function, x, y)


def _apply_promoted(name: str, function: type[Elementwise], x, y):
    operands = (x, y)
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


def apply_in_place(name: str, x, *operands, options: tuple = (), record: type[Elementwise] | None = None):
    """Overwrite `x` with the formula's result, which must fit its shape and element type."""
    function = record or OPERATIONS[name]
    if x._array.dtype.kind == "f":
        if not operands:
            return function.apply_in_place(x, **({"options": options} if options else {}))
        other = beside(x, operands[0])
        if other is not None:
            return function.apply_in_place(x, other)
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
    return function.apply_in_place(x, *others, **({"options": options} if options else {}))


def unary(name: str, doc: str = ""):
    """Return the function `name(input)` of a formula of one variable, and its in-place form."""

    def function(input, *, out=None):
        result = apply(name, input)
        return result if out is None else write_out(name, result, out)

    def in_place(input):
        return apply_in_place(name, input)

    function.__name__, in_place.__name__ = name, name + "_"
    function.__doc__ = doc or f"Return {name}(input) element by element, in its shape and float type."
    in_place.__doc__ = f"Replace `input` by {name}(input); returns it."
    return function, in_place


def binary(name: str, doc: str, numbers: bool = True):
    """Return the function `name(input, other)` of a formula of two variables, and its in-place form.

    numbers: whether `other` may be a number; otherwise it must be a tensor.
    """

    def function(input, other, *, out=None):
        if not numbers:
            require_tensor(name, "input", input)
            require_tensor(name, "other", other)
        result = apply(name, input, other)
        return result if out is None else write_out(name, result, out)

    def in_place(input, other):
        if not numbers:
            require_tensor(name + "_", "other", other)
        return apply_in_place(name, input, other)

    function.__name__, in_place.__name__ = name, name + "_"
    function.__doc__ = doc
    in_place.__doc__ = f"Replace `input` by {name}(input, other); returns it."
    return function, in_place


def write_out(operation: str, result, out):
    """Write a result where `out=` says, and return it: in its type; it takes the result's shape."""
    require_tensor(operation, "out", out)
    if result.requires_grad or out.requires_grad:
        raise RuntimeError(
            f"{operation}(): functions with out=... arguments don't support automatic differentiation, but "
            "one of the arguments requires grad."
        )
    if result.device != out.device:
        raise RuntimeError(
            f"{operation}: Expected all tensors to be on the same device, but the result is on "
            f"{result.device} and out on {out.device}; use out.to({str(result.device)!r})"
        )
    if not dtypes.can_cast(result.dtype, out.dtype):
        raise RuntimeError(
            f"{operation}: result type {result.dtype!r} can't be cast to the desired output type "
            f"{out.dtype!r}"
        )
    if out.shape != result.shape:
        if out.numel():
            warnings.warn(
                "An output with one or more elements was resized since it had shape "
                f"{list(out.shape)}, which does not match the required output shape {list(result.shape)}; "
                f"give {operation} one of that shape, or an empty one",
                stacklevel=3,
            )
        out.data = result.to(out.dtype)
        return out
    return out.copy_(result)


def in_place(function):
    """Return the in-place form of a function: it overwrites its first argument, a tensor, with the result."""
    name = function.__name__ + "_"

    def overwriting(input, *args, **kwargs):
        # What the derivatives read is a copy, not what is about to be overwritten.
        result = function(input.clone() if input.requires_grad else input, *args, **kwargs)
        if not dtypes.can_cast(result.dtype, input.dtype):
            raise RuntimeError(
                f"{name}: result type {result.dtype!r} can't be cast to the desired output type "
                f"{input.dtype!r}"
            )
        if result.shape != input.shape:
            raise RuntimeError(
                f"{name}: output with shape {list(input.shape)} doesn't match the broadcast shape "
                f"{list(result.shape)}"
            )
        return input.copy_(result)

    overwriting.__name__ = name
    overwriting.__doc__ = f"Replace `input` by {function.__name__}(input, ...); returns it."
    return overwriting
