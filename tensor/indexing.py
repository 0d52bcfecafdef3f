"""Indexing by ints, slices, None, Ellipsis, masks and integer tensors: reading, writing, gradients.

An index is applied in two steps, as in PyTorch: first its basic part (ints, slices, None), which is a view,
then its masks and integer tensors. (NumPy joins ints with integer arrays, which gives other shapes.)
"""

import numpy as np

from tensor import dtypes
from tensor.autograd import Function
from tensor.operands import as_tensor_like, normalize_dim
from tensor.shape import Select

_ALL = slice(None)


class Index(Function):
    """Elements at masks or integer positions, copied; the gradients of an element read twice add up."""

    def forward(self, k, x, index):
        self.index, self.input_shape = index, x.shape
        return k.take(x, index)

    def backward(self, k, grad):
        return (k.scatter_add(grad, self.index, self.input_shape),)


class IndexPut(Function):
    """Overwrite elements at masks or integer positions."""

    def overwrite(self, k, target, values, index):
        self.index, self.value_shape = index, values.shape
        k.put(target, index, values)

    def backward(self, k, grad):
        grad_target = None
        if self.needs[0]:
            grad_target = k.copy(grad)
            k.put(grad_target, self.index, k.zeros((), grad.dtype))
        return grad_target, k.sum_to(k.take(grad, self.index), self.value_shape) if self.needs[1] else None


def _as_position(item, x):
    """Return an int, or an integer or bool array, for one element of an index that is not a slice."""
    if isinstance(item, bool | np.bool_):
        return np.asarray(item)
    if hasattr(item, "_array"):
        array = item._array
    elif isinstance(item, int | np.integer):
        return int(item)
    elif isinstance(item, list | tuple | range | np.ndarray):
        array = np.asarray([getattr(i, "_array", i) for i in item] if isinstance(item, list) else item)
        if not array.size:
            array = array.astype(np.int64)
    else:
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), None and long, uint8 or bool Tensors are valid "
            f"indices (got {type(item).__name__})"
        )
    if array.dtype.kind == "f":
        raise IndexError(
            f"tensors used as indices must be long, int, uint8 or bool tensors, got {array.dtype}"
        )
    if array.dtype == np.uint8:
        array = array.astype(bool)  # as in PyTorch, where uint8 was the mask before bool existed
    if array.ndim == 0 and array.dtype.kind in "iu":
        return int(array)
    return array


def _parse(x, index) -> tuple[tuple, tuple | None]:
    """Return the basic part of an index, and its remaining part (or None)."""
    items = list(index) if isinstance(index, tuple) else [index]
    items = [i if i is None or i is Ellipsis or isinstance(i, slice) else _as_position(i, x) for i in items]
    used = 0
    for item in items:
        if isinstance(item, np.ndarray):
            used += item.ndim if item.dtype.kind == "b" else 1
        elif item is not None and item is not Ellipsis:
            used += 1
    if used > x.ndim:
        raise IndexError(f"too many indices for tensor of dimension {x.ndim}")
    if _dots(items) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if _dots(items) == 0:
        items.append(Ellipsis)
    at = next(i for i, item in enumerate(items) if item is Ellipsis)
    items[at : at + 1] = [_ALL] * (x.ndim - used)

    basic, rest, dim, advanced = [], [], 0, False
    for item in items:
        if item is None:
            basic.append(None)
            rest.append(_ALL)
            continue
        if isinstance(item, np.ndarray):
            advanced = True
            rest.append(_checked(item, x.shape, dim))
            width = item.ndim if item.dtype.kind == "b" else 1
            basic.extend([_ALL] * width)
            dim += width
            continue
        if isinstance(item, int):
            size = x.shape[dim]
            if not -size <= item < size:
                raise IndexError(f"index {item} is out of bounds for dimension {dim} with size {size}")
            basic.append(item)
        else:
            basic.append(_plain_slice(item))
            rest.append(_ALL)
        dim += 1
    return tuple(basic), tuple(rest) if advanced else None


def _dots(items) -> int:
    return sum(item is Ellipsis for item in items)


def _plain_slice(item: slice) -> slice:
    parts = [None if p is None else int(p) for p in (item.start, item.stop, item.step)]
    if parts[2] is not None and parts[2] <= 0:
        raise ValueError("step must be greater than zero; use flip() to reverse")
    return slice(*parts)


def _checked(item: np.ndarray, shape, dim: int) -> np.ndarray:
    if item.dtype.kind == "b":
        found = tuple(shape[dim : dim + item.ndim])
        if item.shape != found:
            raise IndexError(
                f"The shape of the mask {list(item.shape)} at index {dim} does not match the shape of the "
                f"indexed tensor {list(shape)} at index {dim}"
            )
        return item
    size = shape[dim]
    if item.size and (item.min() < -size or item.max() >= size):
        bad = item.max() if item.max() >= size else item.min()
        raise IndexError(f"index {bad} is out of bounds for dimension {dim} with size {size}")
    return item


def _alone(rest: tuple):
    """Return the index itself if it is one array on the first dim, so that kernels may go row by row."""
    first, *others = rest
    if (
        isinstance(first, np.ndarray)
        and first.dtype.kind == "i"
        and all(isinstance(i, slice) for i in others)
    ):
        return first
    return rest


def getitem(x, index):
    """Return x[index]: a view for ints, slices, None and Ellipsis; a copy for masks and integer tensors."""
    basic, rest = _parse(x, index)
    if rest is None:
        return Select.apply(x, index=basic)
    if any(item is None or isinstance(item, int) or item != _ALL for item in basic):
        x = Select.apply(x, index=basic)
    try:
        return Index.apply(x, index=_alone(rest))
    except (IndexError, ValueError) as error:
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together ({error})"
        ) from None


def setitem(x, index, value):
    """Write x[index] = value in place; value (a tensor, number or array) broadcasts."""
    basic, rest = _parse(x, index)
    if isinstance(value, list | tuple):
        value = np.asarray(value)
    value = as_tensor_like(x, value, x.dtype, "setitem")
    target = Select.apply(x, index=basic)
    if rest is None:
        while value.ndim > target.ndim and value.shape[0] == 1:
            value = value.squeeze(0)
        target.copy_(value)
        return
    try:
        IndexPut.apply_in_place(target, value, index=_alone(rest))
    except ValueError:
        raise RuntimeError(
            f"setitem: shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to the "
            f"indexing result of shape {list(target._array[rest].shape)}"
        ) from None


def _long(index, operation):
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{operation}: Expected dtype int64 for index, got {index.dtype!r}; use .long()")
    return index._array


def gather(x, dim, index):
    """Return, along `dim`, the elements at `index` (int64, of x's number of dims)."""
    dim = normalize_dim(dim, x.ndim, "gather")
    positions = _long(index, "gather")
    if positions.ndim != x.ndim:
        raise RuntimeError(
            f"gather: Index tensor must have the same number of dimensions as input tensor, got "
            f"{tuple(index.shape)} and {tuple(x.shape)}"
        )
    if positions.size and (positions.min() < 0 or positions.max() >= x.shape[dim]):
        raise IndexError(f"gather: index out of bounds for dimension {dim} with size {x.shape[dim]}")
    return Index.apply(x, index=x._kernels.along(positions, dim) if x.ndim else ())


def index_select(x, dim, index):
    """Return the slices along `dim` at the 1-D integer tensor `index`."""
    d = normalize_dim(dim, x.ndim, "index_select")
    return getitem(x, (*(_ALL,) * d, index))


def masked_select(x, mask):
    """Return the elements where `mask` (bool, broadcast) holds, as a 1-D tensor."""
    shape = np.broadcast_shapes(tuple(x.shape), tuple(mask.shape))
    return getitem(x.expand(*shape), mask.expand(*shape))
