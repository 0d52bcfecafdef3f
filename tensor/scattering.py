"""Reading, writing and adding along a dim: gather and scatter, and whole slices by index."""

import warnings

import numpy as np

from tensor import dtypes
from tensor.autograd import Operation
from tensor.operands import as_tensor_like, check_range, normalize_dim, require_tensor, within

_ALL = slice(None)


def slices_at(positions, dim):
    """Return the index of whole slices along `dim` at 1-D positions."""
    return positions if dim == 0 else (*(_ALL,) * dim, positions)


def _at(k, positions, dim, by_slice):
    return slices_at(positions, dim) if by_slice else k.along(positions, dim)


def _window(array, positions):
    """Return the part of `array` that positions of as many dims, or fewer elements, take up."""
    return array[tuple(slice(n) for n in positions.shape)]


class Gather(Operation):
    """Elements along a dim, one for each position given."""

    gradients_in_words = ("grad at the positions read, added up",)

    def forward(self, k, x, positions, dim):
        self.saved, self.dim, self.input_shape = (positions,), dim, x.shape
        lines, at = (x, positions) if x.ndim else (x.reshape(1), positions.reshape(-1))
        return k.take(lines, k.along(at, dim)).reshape(positions.shape)

    def backward(self, k, grad):
        positions, shape = self.saved[0], self.input_shape
        if not shape:
            return grad.reshape(shape), None
        return k.scatter_add(grad, k.along(positions, self.dim), shape), None


class Picked(Gather):
    """Elements along a dim that another kernel has found already, at their positions."""

    def forward(self, k, x, positions, dim, values, overload=0):
        self.saved, self.dim, self.input_shape, self.overload = (positions,), dim, x.shape, overload
        return values


class _Written(Operation):
    """The first input changed by the second at positions along a dim; slices or single elements."""

    by_slice = False

    def forward(self, k, x, source, positions, **options):
        out = k.copy(x)
        self.overwrite(k, out, source, positions, **options)
        return out

    def overwrite(self, k, target, source, positions, dim):
        self.saved, self.dim, self.source_shape = (positions,), dim, source.shape
        if not target.ndim:
            target, positions = target.reshape(1), positions.reshape(-1)
            source = source.reshape(1)
        part = source if self.by_slice or not source.ndim else _window(source, positions)
        self.change(k, target, _at(k, positions, dim, self.by_slice), part)

    def change(self, k, target, index, part):
        raise NotImplementedError

    def source_gradient(self, k, grad, index):
        found = k.take(grad, index)
        if found.shape == self.source_shape or self.by_slice or not self.source_shape:
            return k.sum_to(found, self.source_shape).reshape(self.source_shape)
        whole = k.zeros(self.source_shape, grad.dtype)
        k.write(_window(whole, self.saved[0]), found)
        return whole

    def _index(self, k, grad):
        """Return the gradient and the index in it, a 0-dim gradient as one of a single element."""
        positions = self.saved[0]
        if not grad.ndim:
            grad, positions = grad.reshape(1), positions.reshape(-1)
        return grad, _at(k, positions, self.dim, self.by_slice)


class Scatter(_Written):
    """Elements overwritten; where positions repeat, one of the values stays: here the last."""

    gradients_in_words = ("grad, 0 where it was overwritten", "grad at the positions written")

    def change(self, k, target, index, part):
        k.put(target, index, part)

    def backward(self, k, grad):
        shape, (lines, index) = grad.shape, self._index(k, grad)
        kept = None
        if self.needs[0]:
            kept = k.copy(lines)
            k.put(kept, index, k.zeros((), grad.dtype))
            kept = kept.reshape(shape)
        return kept, self.source_gradient(k, lines, index) if self.needs[1] else None, None


class ScatterValue(Scatter):
    """Elements overwritten with one number."""

    name, overload = "Scatter", 1


class ScatterAdd(_Written):
    """Elements added to; repeats add up."""

    gradients_in_words = ("grad", "grad at the positions written")

    def change(self, k, target, index, part):
        k.forward("add", target, k.scatter_add(part, index, target.shape), out=target)

    def backward(self, k, grad):
        if not self.needs[1]:
            return grad, None, None
        return grad, self.source_gradient(k, *self._index(k, grad)), None


class ScatterReduce(Operation):
    """Elements of the second input worked into the first: their sum, mean, product, largest or smallest."""

    def forward(self, k, x, source, positions, dim, reduce, include_self):
        self.saved, self.dim = (x, source, positions), dim
        self.reduce, self.include_self = reduce, include_self
        part = _window(source, positions)
        self.result = out = k.scatter_reduce(x, k.along(positions, dim), part, reduce, include_self)
        return out

    def overwrite(self, k, target, source, positions, **options):
        # the gradient reads what was there before
        k.write(target, self.forward(k, k.copy(target), source, positions, **options))
        self.result = target

    def backward(self, k, grad):
        x, source, positions = self.saved
        index = k.along(positions, self.dim)
        part = _window(source, positions)
        ours, theirs = getattr(self, f"_of_{self.reduce}")(k, grad, index, x, part)
        if not self.include_self:
            ours = k.copy(ours)
            k.put(ours, index, k.zeros((), grad.dtype))
        if theirs.shape != source.shape:
            whole = k.zeros(source.shape, grad.dtype)
            k.write(_window(whole, positions), theirs)
            theirs = whole
        return ours, theirs, None

    def _of_sum(self, k, grad, index, x, part):
        return grad, k.take(grad, index)

    def _of_mean(self, k, grad, index, x, part):
        ones = k.full(part.shape, 1.0, grad.dtype)
        count = k.scatter_add(ones, index, x.shape)
        one = k.full((), 1.0, grad.dtype)
        count = k.forward("add", count, one) if self.include_self else k.forward("maximum", count, one)
        grad = k.forward("div", grad, count)
        return grad, k.take(grad, index)

    def _of_amax(self, k, grad, index, x, part):
        out = self.result
        ours = k.cast(k.compare("eq", x, out), grad.dtype)
        theirs = k.cast(k.compare("eq", part, k.take(out, index)), grad.dtype)
        count = k.scatter_add(theirs, index, x.shape)
        one = k.full((), 1.0, grad.dtype)
        count = k.forward("add", count, ours) if self.include_self else count
        share = k.forward("div", grad, k.forward("maximum", count, one))
        if not self.include_self:
            return grad, k.forward("mul", theirs, k.take(share, index))
        return k.forward("mul", ours, share), k.forward("mul", theirs, k.take(share, index))

    _of_amin = _of_amax

    def _of_prod(self, k, grad, index, x, part):
        # The product of all others: the product divided, but with a lone zero taken as 1 first.
        zero, one = k.zeros((), grad.dtype), k.full((), 1.0, grad.dtype)
        empty = k.compare("eq", x, zero)
        filled = k.where(empty, one, x)
        others = k.forward("div", k.scatter_reduce(filled, index, part, "prod", self.include_self), filled)
        empty = k.compare("eq", part, zero)
        zeros_there = k.take(k.scatter_add(k.cast(empty, grad.dtype), index, x.shape), index)
        lone = k.compare("logical_and", empty, k.compare("eq", zeros_there, one))
        without = k.scatter_reduce(x, index, k.where(lone, one, part), "prod", self.include_self)
        by_lone = k.take(k.forward("mul", grad, without), index)
        whole = k.take(k.forward("mul", grad, self.result), index)
        by_others = k.forward("div", whole, k.where(empty, one, part))
        return k.forward("mul", grad, others), k.where(lone, by_lone, by_others)


def _check_along(operation, x, dim, index):
    """Return the dim, counted from the front, and the index, checked."""
    require_tensor(operation, "index", index)
    dim = normalize_dim(dim, x.ndim, operation)
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{operation}: Expected dtype int64 for index, got {index.dtype!r}; use .long()")
    if not index.numel():
        return dim, index
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
    return dim, within_dim(operation, index, x.shape[dim] if x.ndim else 1, dim, RuntimeError)


def within_dim(operation, index, size, dim, error, least=0):
    """Return positions along a dim of this size; see `within`."""
    told = f"{operation}: index {{}} is out of bounds for dimension {dim} with size {size}"
    return within(index, least, size, error, told)


def _check_source(operation, input, index, src):
    require_tensor(operation, "src", src)
    if src.dtype is not input.dtype:
        raise RuntimeError(f"{operation}: expected src of {input.dtype!r}, got {src.dtype!r}; convert it")
    if not index.numel():
        return
    fits = max(src.ndim, 1) == max(index.ndim, 1)
    if not fits or any(n > m for n, m in zip(index.shape, src.shape, strict=False)):
        raise RuntimeError(
            f"{operation}: index {tuple(index.shape)} exceeds src {tuple(src.shape)}; give src as many"
        )


def gather(input, dim, index, *, sparse_grad=False):
    """Return, along `dim`, the elements at `index` (int64, with as many dims as `input`)."""
    if sparse_grad:
        raise NotImplementedError("gather: there are no sparse gradients; leave sparse_grad=False")
    dim, index = _check_along("gather", input, dim, index)
    if not index.numel() and index.ndim != input.ndim:
        return input.new_zeros(tuple(index.shape))
    return Gather.apply(input, index, dim=dim)


def take_along_dim(input, indices, dim=None):
    """Return, along `dim`, the elements at `indices`; both broadcast. Without `dim`, of the flat tensor."""
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input.ndim} and {indices.ndim}"
        )
    d = normalize_dim(dim, input.ndim, "take_along_dim")
    shape = list(np.broadcast_shapes(_without(input.shape, d), _without(indices.shape, d)))
    shape[d] = input.shape[d]
    wide = list(shape)
    wide[d] = indices.shape[d]
    return gather(input.expand(shape), d, indices.expand(wide))


def _without(shape, dim):
    return tuple(1 if d == dim else n for d, n in enumerate(shape))


_PRODUCTS = {"add": "sum", "multiply": "prod"}


def _scatter(name, input, dim, index, src, value, reduce, in_place):
    dim, index = _check_along(name, input, dim, index)
    if src is not None and not hasattr(src, "_array"):
        src, value = None, src
    if src is None and value is None:
        raise TypeError(f"{name}: missing src (a tensor) or value (a number)")
    if src is None:
        check_range(value, input._array.dtype)
        src = as_tensor_like(input, value, input.dtype, name)
    else:
        _check_source(name, input, index, src)
    if not index.numel():
        return input if in_place else input.clone()
    if reduce is not None:
        if reduce not in _PRODUCTS:
            raise RuntimeError(f"{name}: reduce argument must be either add or multiply, got {reduce!r}")
        if value is None:
            warnings.warn(
                "The reduce argument of torch.scatter with Tensor src is deprecated; use scatter_reduce()",
                stacklevel=3,
            )
        src = src if src.ndim else src.expand(tuple(index.shape))
        return _reduced(name, input, dim, index, src, _PRODUCTS[reduce], True, in_place)
    operation = ScatterValue if value is not None else Scatter
    apply = operation.apply_in_place if in_place else operation.apply
    return apply(input, src, index, dim=dim)


def scatter(input, dim, index, src=None, *, value=None, reduce=None):
    """Return `input` with `src` (a tensor or a number) written, along `dim`, at `index`.

    index: int64, of as many dims as `input`. reduce: "add" or "multiply" work the elements in instead.
    """
    return _scatter("scatter", input, dim, index, src, value, reduce, False)


def scatter_(input, dim, index, src=None, *, value=None, reduce=None):
    """Write `src` (a tensor or a number) to `input`, along `dim`, at `index`, in place; see `scatter`."""
    return _scatter("scatter_", input, dim, index, src, value, reduce, True)


def _scatter_add(name, input, dim, index, src, in_place):
    dim, index = _check_along(name, input, dim, index)
    _check_source(name, input, index, src)
    if not index.numel():
        return input if in_place else input.clone()
    apply = ScatterAdd.apply_in_place if in_place else ScatterAdd.apply
    return apply(input, src, index, dim=dim)


def scatter_add(input, dim, index, src):
    """Return `input` with the elements of `src` added, along `dim`, at `index`; repeats add up."""
    return _scatter_add("scatter_add", input, dim, index, src, False)


def scatter_add_(input, dim, index, src):
    """Add the elements of `src` to `input`, along `dim`, at `index`, in place; repeats add up."""
    return _scatter_add("scatter_add_", input, dim, index, src, True)


def _reduced(name, input, dim, index, src, reduce, include_self, in_place):
    lines, at, source = (input, index, src) if input.ndim else (input.view(1), index.view(1), src.view(1))
    apply = ScatterReduce.apply_in_place if in_place else ScatterReduce.apply
    out = apply(lines, source, at, dim=dim, reduce=reduce, include_self=include_self)
    return input if in_place else out.reshape(tuple(input.shape)) if not input.ndim else out


def _scatter_reduce(name, input, dim, index, src, reduce, include_self, in_place):
    dim, index = _check_along(name, input, dim, index)
    _check_source(name, input, index, src)
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"{name}: reduce argument must be either sum, prod, mean, amax or amin, got {reduce!r}"
        )
    if not index.numel():
        return input if in_place else input.clone()
    return _reduced(name, input, dim, index, src, reduce, include_self, in_place)


def scatter_reduce(input, dim, index, src, reduce, *, include_self=True):
    """Return `input` with the elements of `src` worked in, along `dim`, at `index`.

    reduce: "sum", "prod", "mean", "amax" or "amin"; without include_self, what `input` held there does not
    count. Of the largest (smallest), equals share the gradient.
    """
    return _scatter_reduce("scatter_reduce", input, dim, index, src, reduce, include_self, False)


def scatter_reduce_(input, dim, index, src, reduce, *, include_self=True):
    """Work the elements of `src` into `input`, along `dim`, at `index`, in place; see `scatter_reduce`."""
    return _scatter_reduce("scatter_reduce_", input, dim, index, src, reduce, include_self, True)
