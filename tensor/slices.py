"""Whole slices along a dim, by index: read, added to, overwritten; and views written to in a copy."""

import operator

from tensor import dtypes
from tensor.autograd import Operation
from tensor.operands import as_tensor_like, check_range, normalize_dim, require_tensor
from tensor.scattering import (
    Scatter,
    ScatterAdd,
    scatter_reduce,
    scatter_reduce_,
    slices_at,
    within_dim,
)

_ALL = slice(None)


class IndexSelect(Operation):
    """Slices along a dim."""

    gradients_in_words = ("grad at the slices read, added up",)

    def forward(self, k, x, positions, dim):
        self.saved, self.dim, self.input_shape = (positions,), dim, x.shape
        if not x.ndim:
            return k.copy(x)
        return k.take(x, slices_at(positions.reshape(-1), dim))

    def backward(self, k, grad):
        if not self.input_shape:
            return grad, None
        index = slices_at(self.saved[0].reshape(-1), self.dim)
        return k.scatter_add(grad, index, self.input_shape), None


class IndexAdd(ScatterAdd):
    """Slices added to; repeats add up."""

    by_slice = True


class IndexCopy(Scatter):
    """Slices overwritten."""

    by_slice = True


class IndexFill(Scatter):
    """Slices overwritten with one number; `overload` is 1 if it is a tensor."""

    by_slice = True

    def overwrite(self, k, target, source, positions, dim, overload):
        self.overload = overload
        super().overwrite(k, target, source, positions, dim)


def _check_slices(operation, input, dim, index, error=IndexError, least=0):
    """Return the dim, counted from the front, and the index, checked, and 1-D."""
    require_tensor(operation, "index", index)
    d = normalize_dim(dim, input.ndim, operation)
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{operation}: Expected dtype int32 or int64 for index, got {index.dtype!r}")
    if index.ndim > 1:
        raise IndexError(f"{operation}: Index is supposed to be a vector, got shape {tuple(index.shape)}")
    index = within_dim(operation, index, input.shape[d] if input.ndim else 1, d, error, least)
    return d, index if index.ndim else index.reshape(1)


def index_select(input, dim, index):
    """Return the slices along `dim` at the 1-D integer tensor `index`."""
    d, flat = _check_slices("index_select", input, dim, index)
    return IndexSelect.apply(input, flat if index.ndim else flat.reshape(()), dim=d)


def _check_slice_source(operation, input, d, index, source, error):
    require_tensor(operation, "source", source)
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"{operation}: self and source expected to have the same dtype, got {input.dtype!r} and "
            f"{source.dtype!r}; convert it"
        )
    expected = (*input.shape[:d], index.numel(), *input.shape[d + 1 :]) if input.ndim else (index.numel(),)
    if tuple(source.shape) != expected and not (source.ndim == 0 and index.numel() == 1):
        raise error(
            f"{operation}: Number of indices ({index.numel()}) should be equal to source.size(dim), and the "
            f"other sizes to those of input: expected {expected}, got {tuple(source.shape)}"
        )
    return source.reshape(expected)


def _index_add(name, input, dim, index, source, alpha, in_place):
    d, index = _check_slices(name, input, dim, index, RuntimeError)
    source = _check_slice_source(name, input, d, index, source, RuntimeError)
    apply = IndexAdd.apply_in_place if in_place else IndexAdd.apply
    return apply(input, source if alpha == 1 else source * alpha, index, dim=d)


def index_add(input, dim, index, source, *, alpha=1):
    """Return `input` with the slices alpha * `source` added along `dim` at the 1-D `index`."""
    return _index_add("index_add", input, dim, index, source, alpha, False)


def index_add_(input, dim, index, source, *, alpha=1):
    """Add the slices alpha * `source` to `input` along `dim` at the 1-D `index`, in place."""
    return _index_add("index_add_", input, dim, index, source, alpha, True)


def _index_copy(name, input, dim, index, source, in_place):
    d, index = _check_slices(name, input, dim, index)
    source = _check_slice_source(name, input, d, index, source, IndexError)
    return (IndexCopy.apply_in_place if in_place else IndexCopy.apply)(input, source, index, dim=d)


def index_copy(input, dim, index, source):
    """Return `input` with the slices along `dim` at the 1-D `index` taken from `source`."""
    return _index_copy("index_copy", input, dim, index, source, False)


def index_copy_(input, dim, index, source):
    """Overwrite the slices along `dim` at the 1-D `index` with those of `source`, in place."""
    return _index_copy("index_copy_", input, dim, index, source, True)


def _index_fill(name, input, dim, index, value, in_place):
    size = input.shape[normalize_dim(dim, input.ndim, name)] if input.ndim else 1
    d, index = _check_slices(name, input, dim, index, IndexError, -size)
    overload = int(hasattr(value, "_array"))
    if overload and value.ndim:
        raise RuntimeError(f"{name} only supports a 0-dimensional value tensor, got {tuple(value.shape)}")
    check_range(value, input._array.dtype)
    value = as_tensor_like(input, value, input.dtype, name)
    apply = IndexFill.apply_in_place if in_place else IndexFill.apply
    return apply(input, value, index, dim=d, overload=overload)


def index_fill(input, dim, index, value):
    """Return `input` with `value` (a number or 0-dim tensor) in the slices along `dim` at `index`."""
    return _index_fill("index_fill", input, dim, index, value, False)


def index_fill_(input, dim, index, value):
    """Write `value` (a number or 0-dim tensor) to the slices along `dim` at `index`, in place."""
    return _index_fill("index_fill_", input, dim, index, value, True)


class SelectScatter(Operation):
    """The first input with a view of it overwritten by the second."""

    gradients_in_words = ("grad, 0 where it was overwritten", "grad where it was written")

    def forward(self, k, x, source, show, name):
        self.show, self.name = show, name
        out = k.copy(x)
        k.write(show(out), source)
        return out

    def backward(self, k, grad):
        kept = k.copy(grad)
        k.write(self.show(kept), k.zeros((), grad.dtype))
        return kept, k.copy(self.show(grad)) if self.needs[1] else None


def _write_copy(name, input, src, show):
    view = show(input._array)
    if tuple(src.shape) != view.shape:
        raise RuntimeError(
            f"{name}: expected src to have a size equal to the part of self it replaces, {view.shape}, got "
            f"{tuple(src.shape)}"
        )
    printed = "".join(part.title() for part in name.split("_"))
    return SelectScatter.apply(input, src.to(input.dtype), show=show, name=printed)


def select_scatter(input, src, dim, index):
    """Return `input` with `src` written to the slice at `index` along `dim`."""
    d, i = normalize_dim(dim, input.ndim, "select_scatter"), operator.index(index)
    if not -input.shape[d] <= i < input.shape[d]:
        raise IndexError(f"select_scatter: index {i} is out of range for size {input.shape[d]} of dim {d}")
    return _write_copy("select_scatter", input, src, lambda array: array[(*(_ALL,) * d, i)])


def slice_scatter(input, src, dim=0, start=None, end=None, step=1):
    """Return `input` with `src` written to input[start:end:step] along `dim`."""
    d = normalize_dim(dim, input.ndim, "slice_scatter")
    if step <= 0:
        raise RuntimeError(f"slice_scatter: slice step must be positive, got {step}")
    part = slice(start, end, step)
    return _write_copy("slice_scatter", input, src, lambda array: array[(*(_ALL,) * d, part)])


def _index_reduce(name, input, dim, index, source, reduce, include_self, in_place):
    d, index = _check_slices(name, input, dim, index, RuntimeError)
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"{name}: reduce argument must be either prod, mean, amax or amin, got {reduce!r}")
    source = _check_slice_source(name, input, d, index, source, RuntimeError)
    if input.ndim:
        index = index.reshape(*[-1 if e == d else 1 for e in range(input.ndim)]).expand(tuple(source.shape))
    function = scatter_reduce_ if in_place else scatter_reduce
    return function(input, d, index, source, reduce, include_self=include_self)


def index_reduce(input, dim, index, source, reduce, *, include_self=True):
    """Return `input` with the slices of `source` worked in along `dim` at the 1-D `index`.

    reduce: "prod", "mean", "amax" or "amin"; without include_self, what `input` held there does not count.
    """
    return _index_reduce("index_reduce", input, dim, index, source, reduce, include_self, False)


def index_reduce_(input, dim, index, source, reduce, *, include_self=True):
    """Work the slices of `source` into `input` along `dim` at the 1-D `index`, in place."""
    return _index_reduce("index_reduce_", input, dim, index, source, reduce, include_self, True)


def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    """Return `input` with `src` written to its diagonal, `offset` places above the main one."""
    out = input.clone()
    diagonal = out.diagonal(offset, dim1, dim2)
    if diagonal.shape != src.shape:
        raise RuntimeError(
            f"diagonal_scatter: expected src to have the size of the diagonal, {tuple(diagonal.shape)}, got "
            f"{tuple(src.shape)}"
        )
    diagonal.copy_(src)
    return out
