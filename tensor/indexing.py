"""Indexing by ints, slices, None, Ellipsis, masks and integer tensors: reading, writing, gradients.

An index is applied in two steps, as in PyTorch: first its basic part (ints, slices, None), which is a view,
then its masks and integer tensors. (NumPy joins ints with integer arrays, which gives other shapes.)
"""

import operator
from typing import Any

import numpy as np

from tensor import dtypes
from tensor.autograd import Operation
from tensor.operands import as_tensor_like, check_range, normalize_dim, to_array
from tensor.shape import Select

_ALL = slice(None)
_HERE = object()  # in the layout of an index: an index tensor belongs here


class Index(Operation):
    """Elements at masks or integer positions, copied; the gradients of an element read twice add up."""

    def forward(self, k, x, *positions, layout):
        self.saved, self.layout, self.input_shape = positions, layout, x.shape
        return k.take(x, _fill(layout, positions))

    def backward(self, k, grad):
        index = _fill(self.layout, self.saved)
        return k.scatter_add(grad, index, self.input_shape), *[None] * len(self.saved)


class IndexPut(Operation):
    """Overwrite elements at masks or integer positions."""

    def overwrite(self, k, target, values, *positions, layout):
        self.saved, self.layout, self.value_shape = positions, layout, values.shape
        k.put(target, _fill(layout, positions), values)

    def backward(self, k, grad):
        index = _fill(self.layout, self.saved)
        grad_target = grad_values = None
        if self.needs[0]:
            grad_target = k.copy(grad)
            k.put(grad_target, index, k.zeros((), grad.dtype))
        if self.needs[1]:
            grad_values = k.sum_to(k.take(grad, index), self.value_shape)
        return grad_target, grad_values, *[None] * len(self.saved)


class Gather(Operation):
    """Elements along a dim, one for each position given."""

    def forward(self, k, x, positions, dim):
        self.saved, self.dim, self.input_shape = (positions,), dim, x.shape
        return k.take(x, k.along(positions, dim))

    def backward(self, k, grad):
        return k.scatter_add(grad, k.along(self.saved[0], self.dim), self.input_shape), None


class ScatterAdd(Operation):
    """The first input with the second added, along a dim, at the positions given."""

    def forward(self, k, x, source, positions, dim):
        self.saved, self.dim, self.source_shape = (positions,), dim, source.shape
        part = source[tuple(slice(n) for n in positions.shape)]
        return k.forward("add", x, k.scatter_add(part, k.along(positions, dim), x.shape))

    def backward(self, k, grad):
        positions, grad_source = self.saved[0], None
        if self.needs[1]:
            grad_source = k.zeros(self.source_shape, grad.dtype)
            window = grad_source[tuple(slice(n) for n in positions.shape)]
            k.write(window, k.take(grad, k.along(positions, self.dim)))
        return grad, grad_source, None


def _fill(layout, positions):
    """Return the index that `layout` makes of the position arrays."""
    if layout is _HERE:
        return positions[0]
    arrays = iter(positions)
    return tuple(next(arrays) if item is _HERE else item for item in layout)


def _as_position(item, x):
    """Return an int, or a tensor of integers or bools, for one element of an index that is not a slice."""
    if isinstance(item, bool | np.bool_):
        return x._wrap(np.asarray(item))
    if isinstance(item, int | np.integer):
        return int(item)
    if hasattr(item, "_array"):
        found = item
    elif isinstance(item, list | tuple | range | np.ndarray):
        found = x._wrap(to_array(list(item) if isinstance(item, range) else item, None, "index"))
        if not found.numel() and not isinstance(item, np.ndarray):
            found = found.to(dtypes.int64)
    else:
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), None and long, uint8 or bool Tensors are valid "
            f"indices (got {type(item).__name__})"
        )
    if found.dtype.is_floating_point:
        raise IndexError(
            f"tensors used as indices must be long, int, uint8 or bool tensors, got {found.dtype!r}"
        )
    if found.dtype is dtypes.uint8:
        found = found.to(dtypes.bool)  # as in PyTorch, where uint8 was the mask before bool existed
    return int(found._array) if found.ndim == 0 and found.dtype is not dtypes.bool else found


def _parse(x, index) -> tuple[tuple, Any, list]:
    """Return the basic part of an index, the layout of the rest (None if there is none) and its tensors."""
    items = list(index) if isinstance(index, tuple) else [index]
    items = [i if i is None or i is Ellipsis or isinstance(i, slice) else _as_position(i, x) for i in items]
    dots = [at for at, item in enumerate(items) if item is Ellipsis]
    used = 0
    for item in items:
        if hasattr(item, "_array"):
            used += item.ndim if item.dtype is dtypes.bool else 1
        elif item is not None and item is not Ellipsis:
            used += 1
    if used > x.ndim:
        raise IndexError(f"too many indices for tensor of dimension {x.ndim}")
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    at = dots[0] if dots else len(items)
    items[at : at + 1] = [_ALL] * (x.ndim - used)

    basic: list = []
    layout: list = []
    positions: list = []
    dim = 0
    for item in items:
        if item is None:
            basic.append(None)
            layout.append(_ALL)
        elif isinstance(item, slice):
            basic.append(_plain_slice(item))
            layout.append(_ALL)
            dim += 1
        elif isinstance(item, int):
            size = x.shape[dim]
            if not -size <= item < size:
                raise IndexError(f"index {item} is out of bounds for dimension {dim} with size {size}")
            basic.append(item)
            dim += 1
        else:
            _check_positions(item._array, x.shape, dim)
            positions.append(item)
            layout.append(_HERE)
            width = item.ndim if item.dtype is dtypes.bool else 1
            basic.extend([_ALL] * width)
            dim += width
    if not positions:
        return tuple(basic), None, positions
    # One tensor of integers on the first dim: kernels go row by row.
    rows = layout[0] is _HERE and len(positions) == 1 and positions[0].dtype is not dtypes.bool
    return tuple(basic), _HERE if rows else tuple(layout), positions


def _plain_slice(item: slice) -> slice:
    parts = [None if p is None else operator.index(p) for p in (item.start, item.stop, item.step)]
    if parts[2] is not None and parts[2] <= 0:
        raise ValueError("step must be greater than zero; use flip() to reverse")
    return slice(*parts)


def _check_positions(array: np.ndarray, shape, dim: int) -> None:
    if array.dtype.kind == "b":
        if array.shape != tuple(shape[dim : dim + array.ndim]):
            raise IndexError(
                f"The shape of the mask {list(array.shape)} at index {dim} does not match the shape of the "
                f"indexed tensor {list(shape)} at index {dim}"
            )
        return
    size = shape[dim]
    if array.size and (array.min() < -size or array.max() >= size):
        bad = array.max() if array.max() >= size else array.min()
        raise IndexError(f"index {bad} is out of bounds for dimension {dim} with size {size}")


def getitem(input, index):
    """Return input[index]: a view for ints, slices, None and Ellipsis, a copy for masks and tensors."""
    basic, layout, positions = _parse(input, index)
    if layout is None:
        return Select.apply(input, index=basic)
    if any(item is None or isinstance(item, int) or item != _ALL for item in basic):
        input = Select.apply(input, index=basic)
    try:
        return Index.apply(input, *positions, layout=layout)
    except (IndexError, ValueError) as error:
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together ({error})"
        ) from None


def setitem(input, index, value) -> None:
    """Write input[index] = value in place; value (a tensor, number or array) broadcasts."""
    basic, layout, positions = _parse(input, index)
    if isinstance(value, list | tuple):
        value = to_array(value, input.dtype, "setitem")
    elif not isinstance(value, np.ndarray):
        check_range(value, input._array.dtype)
    value = as_tensor_like(input, value, input.dtype, "setitem")
    target = Select.apply(input, index=basic)
    ndim = target.ndim if layout is None else _fill_shape(target, layout, positions)
    while value.ndim > ndim and value.shape[0] == 1:
        value = value.squeeze(0)
    if layout is None:
        target.copy_(value)
        return
    try:
        IndexPut.apply_in_place(target, value, *positions, layout=layout)
    except (ValueError, IndexError):
        raise RuntimeError(
            f"setitem: shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to the "
            f"indexing result at {index}"
        ) from None


def _fill_shape(target, layout, positions) -> int:
    """Return the number of dims of `target` indexed."""
    widths = [1 if p.dtype is dtypes.bool and p.ndim else p.ndim for p in positions]
    used = sum(p.ndim if p.dtype is dtypes.bool else 1 for p in positions)
    return target.ndim - used + max(widths)


def _check_along(operation, x, dim, index):
    dim = normalize_dim(dim, x.ndim, operation)
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{operation}: Expected dtype int64 for index, got {index.dtype!r}; use .long()")
    if max(index.ndim, 1) != max(x.ndim, 1):
        raise RuntimeError(
            f"{operation}: Index tensor must have the same number of dimensions as input tensor, got "
            f"{tuple(index.shape)} and {tuple(x.shape)}"
        )
    if any(n > m for d, (n, m) in enumerate(zip(index.shape, x.shape, strict=False)) if d != dim):
        raise RuntimeError(
            f"{operation}: Size does not match at some dimension: index {tuple(index.shape)} exceeds "
            f"{tuple(x.shape)} apart from dimension {dim}"
        )
    array, size = index._array, x.shape[dim] if x.ndim else 1
    if array.size and (array.min() < 0 or array.max() >= size):
        bad = array.max() if array.max() >= size else array.min()
        raise RuntimeError(f"{operation}: index {bad} is out of bounds for dimension {dim} with size {size}")
    return dim


def gather(input, dim, index):
    """Return, along `dim`, the elements at `index` (int64, with as many dims as `input`)."""
    dim = _check_along("gather", input, dim, index)
    if input.ndim == 0 or index.ndim == 0:
        return gather(input.reshape(-1), 0, index.reshape(-1)).reshape(tuple(index.shape))
    return Gather.apply(input, index, dim=dim)


def scatter_add(input, dim, index, src):
    """Return `input` with the elements of `src` added, along `dim`, at `index`; repeats add up."""
    dim = _check_along("scatter_add", input, dim, index)
    if any(n > m for n, m in zip(index.shape, src.shape, strict=True)):
        raise RuntimeError(
            f"scatter_add: index {tuple(index.shape)} exceeds src {tuple(src.shape)}; give src as many"
        )
    if src.dtype is not input.dtype:
        raise RuntimeError(f"scatter_add: expected src of {input.dtype!r}, got {src.dtype!r}; convert it")
    if input.ndim == 0:
        return scatter_add(input.reshape(1), 0, index.reshape(-1), src.reshape(-1)).reshape(())
    return ScatterAdd.apply(input, src, index, dim=dim)


def scatter_add_(input, dim, index, src):
    """Add the elements of `src` to `input`, along `dim`, at `index`, in place; repeats add up."""
    return input.add_(scatter_add(input.new_zeros(tuple(input.shape)), dim, index, src))


def index_select(input, dim, index):
    """Return the slices along `dim` at the 1-D integer tensor `index`."""
    d = normalize_dim(dim, input.ndim, "index_select")
    if index.ndim > 1:
        raise IndexError(f"index_select: Index is supposed to be a vector, got shape {tuple(index.shape)}")
    if index._array.size and (index._array.min() < 0):
        raise IndexError("index_select: index out of range in self: it counts from 0, not from the end")
    if not input.ndim:
        return getitem(input.reshape(1), index).reshape(())
    return getitem(input, (*(_ALL,) * d, index.reshape(-1)))


def masked_select(input, mask):
    """Return the elements where `mask` (bool, broadcast) holds, as a 1-D tensor."""
    if mask.dtype is not dtypes.bool:
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, got {mask.dtype!r}; use mask != 0")
    try:
        shape = np.broadcast_shapes(tuple(input.shape), tuple(mask.shape))
    except ValueError:
        raise RuntimeError(
            f"masked_select: shapes {tuple(input.shape)} and {tuple(mask.shape)} do not broadcast"
        ) from None
    return getitem(input.expand(shape), mask.expand(shape)).reshape(-1)


def nonzero(input, *, as_tuple=False):
    """Return the positions of elements that are not zero: (count, dims) int64, or a tuple of one per dim."""
    found = input._kernels.nonzero(input._array)
    if not as_tuple:
        return input._wrap(found)
    columns = found.T if input.ndim else [np.zeros(len(found), np.int64)]
    return tuple(input._wrap(np.ascontiguousarray(column)) for column in columns)
