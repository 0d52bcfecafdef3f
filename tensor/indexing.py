"""Indexing by ints, slices, None, Ellipsis, masks and integer tensors: reading, writing, gradients.

An index is applied in two steps, as in PyTorch: first its basic part (ints, slices, None), which is a view,
then its masks and integer tensors. (NumPy joins ints with integer arrays, which gives other shapes.)
"""

import operator
import warnings
from typing import Any

import numpy as np

from kernels.errors import LateError
from tensor import dtypes
from tensor.autograd import Operation
from tensor.operands import as_tensor_like, beside, check_range, to_array, within
from tensor.shape import Select

_ALL = slice(None)
_HERE = object()  # in the layout of an index: an index tensor belongs here


class Take(Operation):
    """Elements at positions in the flattened tensor."""

    gradients_in_words = ("grad at the positions read, added up",)

    def forward(self, k, x, positions):
        self.saved, self.input_shape = (positions,), x.shape
        return k.take(x, k.unravel(positions, x.shape)) if x.ndim else k.copy(k.expand(x, positions.shape))

    def backward(self, k, grad):
        if not self.input_shape:
            return k.sum_to(grad, ()), None
        return k.scatter_add(grad, k.unravel(self.saved[0], self.input_shape), self.input_shape), None


class Index(Operation):
    """Elements at masks or integer positions, copied; the gradients of an element read twice add up."""

    gradients_in_words = ("grad at the positions read, added up",)

    def forward(self, k, x, *positions, layout):
        self.saved, self.layout, self.input_shape = positions, layout, x.shape
        return k.take(x, _fill(layout, positions))

    def backward(self, k, grad):
        index = _fill(self.layout, self.saved)
        return k.scatter_add(grad, index, self.input_shape), *[None] * len(self.saved)


class IndexPut(Operation):
    """Overwrite elements at masks or integer positions; or add to them, also where positions repeat."""

    gradients_in_words = ("grad, 0 where it was overwritten", "grad at the positions written")

    def forward(self, k, x, values, *positions, **options):
        out = k.copy(x)
        self.overwrite(k, out, values, *positions, **options)
        return out

    def overwrite(self, k, target, values, *positions, layout, accumulate=False):
        self.saved, self.layout, self.value_shape = positions, layout, values.shape
        self.accumulate = accumulate
        index = _fill(layout, positions)
        if accumulate:
            spread = k.expand(values, k.take(target, index).shape)
            k.forward("add", target, k.scatter_add(spread, index, target.shape), out=target)
        else:
            k.put(target, index, values)

    def backward(self, k, grad):
        index = _fill(self.layout, self.saved)
        if self.accumulate:
            back = k.sum_to(k.take(grad, index), self.value_shape) if self.needs[1] else None
            return grad, back, *[None] * len(self.saved)
        grad_target = grad_values = None
        if self.needs[0]:
            grad_target = k.copy(grad)
            k.put(grad_target, index, k.zeros((), grad.dtype))
        if self.needs[1]:
            grad_values = k.sum_to(k.take(grad, index), self.value_shape)
        return grad_target, grad_values, *[None] * len(self.saved)


class Put(IndexPut):
    """Overwrite elements at positions in the flattened tensor, or add to them."""


def _fill(layout, positions):
    """Return the index that `layout` makes of the position arrays."""
    if layout is _HERE:
        return positions[0]
    arrays = iter(positions)
    return tuple(next(arrays) if item is _HERE else item for item in layout)


def _as_position(item, x):
    """Return an int, or a tensor of integers or bools, for one element of an index that is not a slice."""
    if isinstance(item, bool | np.bool_):
        return x._wrap(x._kernels.from_host(np.asarray(item)))
    if isinstance(item, int | np.integer):
        return int(item)
    if hasattr(item, "_array"):
        found = item
    elif isinstance(item, list | tuple | range | np.ndarray):
        array = to_array(list(item) if isinstance(item, range) else item, None, "index")
        found = x._wrap(x._kernels.from_host(array))
        if not found.numel() and not isinstance(item, np.ndarray):
            found = found.to(dtypes.int64)
    elif isinstance(item, str):
        raise TypeError(f"an index cannot be a str, got {item!r}; a tensor has positions only")
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
        warnings.warn(
            "indexing with dtype torch.uint8 is deprecated, please use a dtype torch.bool instead: x != 0",
            stacklevel=5,
        )
        found = found.to(dtypes.bool)  # as in PyTorch, where uint8 was the mask before bool existed
    if x.is_cuda and not found.is_cuda:
        found = found.to(x.device)
    return int(found.item()) if found.ndim == 0 and found.dtype is not dtypes.bool else found


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
            positions.append(_checked(item, x.shape, dim))
            layout.append(_HERE)
            width = item.ndim if item.dtype is dtypes.bool else 1
            basic.extend([_ALL] * width)
            dim += width
    if not positions:
        return tuple(basic), None, positions
    # One tensor of integers on the first dim: kernels go row by row.
    rows = layout[0] is _HERE and len(positions) == 1 and positions[0].dtype is not dtypes.bool
    return tuple(basic), _HERE if rows else tuple(layout), positions


def _plain(shape: tuple[int, ...], index) -> tuple | None:
    """Return a usual index, ints, slices and None, as a basic one; None: `_parse` has to look at it.

    It is what most loops do, once for each row. What is wrong, or needs a closer look, is left to `_parse`.
    """
    items = index if type(index) is tuple else (index,)
    dims = 0
    for item in items:
        if item is None:
            continue
        if dims == len(shape):
            return None
        if type(item) is int:
            if not -shape[dims] <= item < shape[dims]:
                return None
        elif type(item) is not slice or _kinds(item) not in _PLAIN_BOUNDS:
            return None
        dims += 1
    return items + (_ALL,) * (len(shape) - dims)


_NONE = type(None)
_PLAIN_BOUNDS = frozenset((start, stop, _NONE) for start in (int, _NONE) for stop in (int, _NONE))


def _kinds(item: slice) -> tuple[type, type, type]:
    return type(item.start), type(item.stop), type(item.step)


def _plain_slice(item: slice) -> slice:
    parts = [None if p is None else operator.index(p) for p in (item.start, item.stop, item.step)]
    if parts[2] is not None and parts[2] <= 0:
        raise ValueError("step must be greater than zero; use flip() to reverse")
    return slice(*parts)


def _checked(index, shape, dim: int):
    """Return an index tensor that fits the dim, or the dims of a mask, from `dim` on."""
    if index.dtype is dtypes.bool:
        if index.shape != tuple(shape[dim : dim + index.ndim]):
            raise IndexError(
                f"The shape of the mask {list(index.shape)} at index {dim} does not match the shape of the "
                f"indexed tensor {list(shape)} at index {dim}"
            )
        return index
    size = shape[dim]
    told = f"index {{}} is out of bounds for dimension {dim} with size {size}"
    return within(index, -size, size, IndexError, told)


def getitem(input, index):
    """Return input[index]: a view for ints, slices, None and Ellipsis, a copy for masks and tensors."""
    plain = _plain(input._array.shape, index)
    if plain is not None:
        return Select.apply(input, index=plain)
    basic, layout, positions = _parse(input, index)
    if layout is None:
        return Select.apply(input, index=basic)
    if not _selects_all(basic):
        input = Select.apply(input, index=basic)
    try:
        return Index.apply(input, *positions, layout=layout)
    except LateError:
        raise
    except (IndexError, ValueError) as error:
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together ({error})"
        ) from None


def _selects_all(basic: tuple) -> bool:
    return all(isinstance(item, slice) and item == _ALL for item in basic)


def setitem(input, index, value) -> None:
    """Write input[index] = value in place; value (a tensor, number or array) broadcasts."""
    plain = _plain(input._array.shape, index)
    basic, layout, positions = _parse(input, index) if plain is None else (plain, None, ())
    value = _as_value(input, value)
    target = input if _selects_all(basic) else Select.apply(input, index=basic)
    ndim = target.ndim if layout is None else _fill_shape(target, layout, positions)
    while value.ndim > ndim and value.shape[0] == 1:
        value = value.squeeze(0)
    if layout is None:
        target.copy_(value)
        return
    try:
        IndexPut.apply_in_place(target, value, *positions, layout=layout)
    except LateError:
        raise
    except (ValueError, IndexError):
        raise RuntimeError(
            f"setitem: shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to the "
            f"indexing result at {index}"
        ) from None


def _as_value(input, value):
    if not isinstance(value, list | tuple | np.ndarray):
        found = beside(input, value)
        if found is not None:
            return found
        check_range(value, input._array.dtype)
    elif not isinstance(value, np.ndarray):
        value = to_array(value, input.dtype, "setitem")
    return as_tensor_like(input, value, input.dtype, "setitem")


def _fill_shape(target, layout, positions) -> int:
    """Return the number of dims of `target` indexed."""
    widths = [1 if p.dtype is dtypes.bool and p.ndim else p.ndim for p in positions]
    used = sum(p.ndim if p.dtype is dtypes.bool else 1 for p in positions)
    return target.ndim - used + max(widths)


def _index_tensors(operation, input, indices) -> tuple[Any, list]:
    if not isinstance(indices, tuple | list):
        raise TypeError(f"{operation}: indices must be a tuple of tensors, got {type(indices).__name__}")
    items = tuple(_ALL if item is None else item for item in indices)
    _, layout, positions = _parse(input, items)
    if layout is None:
        raise IndexError(f"{operation}: tensors used as indices must be long, int or bool tensors")
    return layout, positions


def _check_values(operation, input, values) -> None:
    if values.dtype is not input.dtype:
        raise RuntimeError(
            f"{operation}: Index put requires the source and destination dtypes match, got {input.dtype!r} "
            f"for the destination and {values.dtype!r} for the source; convert it with .to()"
        )


def index_put(input, indices, values, accumulate=False):
    """Return `input` with `values` (a tensor that broadcasts) at `indices`, a tuple of tensors.

    Where positions repeat the last value stays; with `accumulate`, values are added to what is there.
    """
    layout, positions = _index_tensors("index_put", input, indices)
    _check_values("index_put", input, values)
    return _put(IndexPut.apply, input, values, positions, layout, accumulate)


def index_put_(input, indices, values, accumulate=False):
    """Write `values` to `input` at `indices`, a tuple of tensors, in place; see `index_put`."""
    layout, positions = _index_tensors("index_put_", input, indices)
    _check_values("index_put_", input, values)
    return _put(IndexPut.apply_in_place, input, values, positions, layout, accumulate)


def _put(apply, input, values, positions, layout, accumulate):
    try:
        return apply(input, values, *positions, layout=layout, accumulate=accumulate)
    except LateError:
        raise
    except (ValueError, IndexError) as error:
        raise RuntimeError(
            f"index_put: shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to "
            f"the indexing result ({error})"
        ) from None


def _checked_flat(operation, input, index):
    """Return positions in the flattened tensor, checked."""
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{operation}: Expected dtype int64 for index, got {index.dtype!r}; use .long()")
    size = input.numel()
    if index.numel() and not size:
        raise IndexError(f"{operation}: tried to take from an empty tensor")
    told = f"{operation}: index {{}} is out of range for a tensor of {size} elements"
    return within(index, -size, size, IndexError, told)


def take(input, index):
    """Return the elements at positions `index` of the flattened tensor, in the shape of `index`."""
    return Take.apply(input, _checked_flat("take", input, index))


def put(input, index, source, accumulate=False):
    """Return `input` with the elements of `source` at positions `index` of the flattened tensor."""
    return put_(input.clone(), index, source, accumulate)


def put_(input, index, source, accumulate=False):
    """Write the elements of `source` at positions `index` of the flattened tensor, in place."""
    index = _checked_flat("put_", input, index)
    if source.numel() != index.numel():
        raise IndexError(
            f"put_: Expected source and index to have the same number of elements, got {source.numel()} and "
            f"{index.numel()}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(f"put_: expected source of {input.dtype!r}, got {source.dtype!r}; convert it")
    target = input if input.ndim else input.view(1)
    columns = input._kernels.unravel(index._array.reshape(-1), target._array.shape)
    layout = (_HERE,) * len(columns)
    _put(Put.apply_in_place, target, source.reshape(-1), list(map(input._wrap, columns)), layout, accumulate)
    return input


def argwhere(input):
    """Return the (count, dims) int64 positions of elements that are not zero."""
    return nonzero(input)


def nonzero(input, *, as_tuple=False):
    """Return the positions of elements that are not zero: (count, dims) int64, or a tuple of one per dim."""
    k = input._kernels
    found = k.nonzero(input._array)
    if not as_tuple:
        return input._wrap(found)
    if not input.ndim:
        return (input._wrap(k.zeros((found.shape[0],), found.dtype)),)
    return tuple(input._wrap(k.copy(found[:, d])) for d in range(input.ndim))
