"""Elements chosen by a mask: read, filled with a number, overwritten in order."""

import numpy as np

from tensor import dtypes
from tensor.autograd import Operation
from tensor.operands import as_tensor_like, check_range, require_tensor


class MaskedFill(Operation):
    """The first input, with the second, one number, where the mask holds; overload 1 if it is a tensor."""

    written = "masked_fill({0}, {2}, {1})"
    gradients_in_words = ("0 where {2}, else grad", "grad where {2}, summed")

    def forward(self, k, x, value, mask, overload):
        self.saved, self.input_shape, self.overload = (mask,), x.shape, overload
        return k.where(mask, value, x)

    def backward(self, k, grad):
        zero, mask = k.zeros((), grad.dtype), self.saved[0]
        return (
            k.sum_to(k.where(mask, zero, grad), self.input_shape) if self.needs[0] else None,
            k.sum_to(k.where(mask, grad, zero), ()) if self.needs[1] else None,
            None,
        )


class MaskedSelect(Operation):
    """The elements where a mask of the same shape holds."""

    gradients_in_words = ("grad where the mask holds, else 0",)

    def forward(self, k, x, mask):
        self.saved, self.input_shape = (mask,), x.shape
        return k.take(x, mask).reshape(-1)

    def backward(self, k, grad):
        if not self.input_shape:
            return k.sum_to(grad, ()), None
        return k.scatter_add(grad, self.saved[0], self.input_shape), None


class MaskedScatter(Operation):
    """The first input, overwritten where the mask holds with the elements of the second, in order."""

    gradients_in_words = ("0 where the mask holds, else grad", "grad where the mask holds, in order")

    def forward(self, k, x, source, mask):
        out = k.copy(x)
        self.overwrite(k, out, source, mask)
        return out

    def overwrite(self, k, target, source, mask):
        self.saved, self.source_shape = (mask,), source.shape
        self.count = k.sum(mask, tuple(range(mask.ndim))).item()
        k.put(target, mask, source.reshape(-1)[: self.count])

    def backward(self, k, grad):
        mask, zero = self.saved[0], k.zeros((), grad.dtype)
        theirs = None
        if self.needs[1]:
            size = 1
            for n in self.source_shape:
                size *= n
            theirs = k.zeros((size,), grad.dtype)
            k.write(theirs[: self.count], k.take(grad, mask).reshape(-1))
            theirs = theirs.reshape(self.source_shape)
        return k.where(mask, zero, grad), theirs, None


def _check_mask(operation, input, mask):
    require_tensor(operation, "mask", mask)
    if mask.dtype is not dtypes.bool:
        raise RuntimeError(f"{operation}: expected BoolTensor for mask, got {mask.dtype!r}; use mask != 0")
    try:
        return np.broadcast_shapes(tuple(input.shape), tuple(mask.shape))
    except ValueError:
        raise RuntimeError(
            f"{operation}: shapes {tuple(input.shape)} and {tuple(mask.shape)} do not broadcast"
        ) from None


def _fits_in_place(operation, input, shape):
    if shape != tuple(input.shape):
        raise RuntimeError(
            f"{operation}: output with shape {list(input.shape)} doesn't match the broadcast shape "
            f"{list(shape)}"
        )


def _masked_fill(name, input, mask, value, in_place):
    shape = _check_mask(name, input, mask)
    overload = int(hasattr(value, "_array"))
    if overload and value.ndim:
        raise RuntimeError(
            f"{name} only supports a 0-dimensional value tensor, but got tensor with {value.ndim} "
            "dimension(s); use where()"
        )
    check_range(value, input._array.dtype)
    value = as_tensor_like(input, value, input.dtype, name)
    if in_place:
        _fits_in_place(name, input, shape)
        return MaskedFill.apply_in_place(input, value, mask, overload=overload)
    return MaskedFill.apply(input, value, mask, overload=overload)


def masked_fill(input, mask, value):
    """Return `input` with `value` (a number or 0-dim tensor) where `mask` (bool, broadcast) holds."""
    return _masked_fill("masked_fill", input, mask, value, False)


def masked_fill_(input, mask, value):
    """Write `value` (a number or 0-dim tensor) where `mask` (bool, broadcast) holds, in place."""
    return _masked_fill("masked_fill_", input, mask, value, True)


def masked_select(input, mask):
    """Return the elements where `mask` (bool, broadcast) holds, as a 1-D tensor."""
    shape = _check_mask("masked_select", input, mask)
    x = input if tuple(input.shape) == shape else input.expand(shape)
    return MaskedSelect.apply(x, mask if tuple(mask.shape) == shape else mask.expand(shape))


def _masked_scatter(name, input, mask, source, in_place):
    require_tensor(name, "source", source)
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}: expected self and source to have same dtypes but got {input.dtype!r} and "
            f"{source.dtype!r}; convert it"
        )
    shape = _check_mask(name, input, mask)
    if in_place:
        _fits_in_place(name, input, shape)
    mask = mask if tuple(mask.shape) == shape else mask.expand(shape)
    count = int(mask.sum())
    if count > source.numel():
        raise RuntimeError(
            f"{name}: Number of elements of source < number of ones in mask, {source.numel()} < {count}"
        )
    x = input if tuple(input.shape) == shape else input.expand(shape)
    return (MaskedScatter.apply_in_place if in_place else MaskedScatter.apply)(x, source, mask)


def masked_scatter(input, mask, source):
    """Return `input` with the elements of `source`, in order, where `mask` (bool, broadcast) holds."""
    return _masked_scatter("masked_scatter", input, mask, source, False)


def masked_scatter_(input, mask, source):
    """Write the elements of `source`, in order, where `mask` (bool, broadcast) holds, in place."""
    return _masked_scatter("masked_scatter_", input, mask, source, True)
