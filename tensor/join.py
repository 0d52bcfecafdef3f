"""Tensors joined, and cut into pieces."""

import itertools

import numpy as np

from tensor.autograd import Operation
from tensor.operands import accept_numpy_names, common_dtype, normalize_dim, require_tensor, to_sizes
from tensor.pieces import cut
from tensor.shape import atleast_1d, atleast_2d, atleast_3d, piece, reshape, several


class Cat(Operation):
    """Tensors joined along an existing dim."""

    gradients_in_words = ("its part of grad, along the dim",)

    def forward(self, k, *arrays, dim):
        self.dim, self.sizes = dim, [a.shape[dim] for a in arrays]
        return k.cat(arrays, dim)

    def backward(self, k, grad):
        lead, start, parts = (slice(None),) * self.dim, 0, []
        for size, need in zip(self.sizes, self.needs, strict=True):
            parts.append(grad[(*lead, slice(start, start + size))] if need else None)
            start += size
        return tuple(parts)


class Stack(Operation):
    """Tensors joined along a new dim."""

    gradients_in_words = ("its slice of grad, along the new dim",)

    def forward(self, k, *arrays, dim):
        self.dim = dim
        shape = arrays[0].shape
        return k.cat([a.reshape((*shape[:dim], 1, *shape[dim:])) for a in arrays], dim)

    def backward(self, k, grad):
        lead = (slice(None),) * self.dim
        return tuple(grad[(*lead, i, ...)] if need else None for i, need in enumerate(self.needs))


class BlockDiag(Operation):
    """Matrices along a diagonal, zeros elsewhere."""

    gradients_in_words = ("its block of grad",)

    def forward(self, k, *arrays):
        self.shapes = [a.shape for a in arrays]
        rows, columns = (sum(shape[d] for shape in self.shapes) for d in (0, 1))
        out = k.zeros((rows, columns), arrays[0].dtype)
        for a, block in zip(arrays, self._blocks(), strict=True):
            k.write(out[block], a)
        return out

    def backward(self, k, grad):
        return tuple(
            grad[block] if need else None for block, need in zip(self._blocks(), self.needs, strict=True)
        )

    def _blocks(self):
        row = column = 0
        for rows, columns in self.shapes:
            yield slice(row, row + rows), slice(column, column + columns)
            row, column = row + rows, column + columns


def _tensors(operation: str, tensors) -> tuple:
    if hasattr(tensors, "_array"):
        raise TypeError(
            f"{operation}: argument 'tensors' must be a tuple or list of Tensors, not Tensor; [tensor] is one"
        )
    tensors = tuple(tensors)
    for i, x in enumerate(tensors):
        if not hasattr(x, "_array"):
            raise TypeError(f"{operation}: expected Tensor as element {i}, got {type(x).__name__}")
    return tensors


@accept_numpy_names
def cat(tensors, dim=0):
    """Join tensors along an existing dim; other sizes must agree."""
    tensors = _tensors("cat", tensors)
    if not tensors:
        raise ValueError("cat: expected a non-empty list of Tensors")
    for i, x in enumerate(tensors):
        if not x.ndim:
            raise RuntimeError(
                f"cat: zero-dimensional tensor (at position {i}) cannot be concatenated; stack it"
            )
    joint = common_dtype(tensors)
    tensors = (
        tuple(x for x in tensors if tuple(x.shape) != (0,)) or tensors[:1]
    )  # as PyTorch: (0,) is skipped
    d = normalize_dim(dim, tensors[0].ndim, "cat")
    first = tensors[0].shape
    for i, x in enumerate(tensors):
        if x.ndim != len(first) or any(
            n != m for e, (n, m) in enumerate(zip(x.shape, first, strict=True)) if e != d
        ):
            raise RuntimeError(
                f"cat: Sizes of tensors must match except in dimension {d}: {tuple(first)} and "
                f"{tuple(x.shape)} (number {i} in the list)"
            )
    return Cat.apply(*[x.to(joint) for x in tensors], dim=d)


@accept_numpy_names
def concat(tensors, dim=0):
    """Join tensors along an existing dim, as `cat`."""
    return cat(tensors, dim)


@accept_numpy_names
def concatenate(tensors, dim=0):
    """Join tensors along an existing dim, as `cat`."""
    return cat(tensors, dim)


@accept_numpy_names
def stack(tensors, dim=0):
    """Join tensors of one shape along a new dim."""
    tensors = _tensors("stack", tensors)
    if not tensors:
        raise RuntimeError("stack: expected a non-empty list of Tensors")
    for i, x in enumerate(tensors):
        if x.shape != tensors[0].shape:
            raise RuntimeError(
                f"stack: each tensor must be equal size, but got {tuple(tensors[0].shape)} at entry 0 and "
                f"{tuple(x.shape)} at entry {i}"
            )
    d = normalize_dim(dim, tensors[0].ndim + 1, "stack")
    joint = common_dtype(tensors)
    return Stack.apply(*[x.to(joint) for x in tensors], dim=d)


def _join(operation, tensors, widen, dim):
    tensors = _tensors(operation, tensors)
    if not tensors:
        raise RuntimeError(f"{operation} expects a non-empty TensorList")
    return cat([widen(x) for x in tensors], dim)


def hstack(tensors):
    """Join tensors along dim 1; vectors along dim 0."""
    tensors = _tensors("hstack", tensors)
    return _join("hstack", tensors, atleast_1d, 0 if tensors and tensors[0].ndim < 2 else 1)


def vstack(tensors):
    """Join tensors along dim 0; vectors become rows."""
    return _join("vstack", tensors, atleast_2d, 0)


def row_stack(tensors):
    """Join tensors along dim 0, as `vstack`."""
    return vstack(tensors)


def dstack(tensors):
    """Join tensors along dim 2; vectors and matrices get dims of size 1."""
    return _join("dstack", tensors, atleast_3d, 2)


def column_stack(tensors):
    """Join tensors along dim 1; vectors become columns."""
    return _join("column_stack", tensors, lambda x: x if x.ndim > 1 else reshape(x, x.numel(), 1), 1)


def block_diag(*tensors):
    """Return a matrix with the tensors, of at most two dims, along its diagonal."""
    tensors = _tensors("block_diag", tensors)
    if not tensors:
        from tensor.creation import zeros  # which needs this file

        return zeros(1, 0)
    for i, x in enumerate(tensors):
        if x.ndim > 2:
            raise RuntimeError(
                f"block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {x.ndim}"
            )
    joint = common_dtype(tensors)
    return BlockDiag.apply(*[atleast_2d(x.to(joint)) for x in tensors])


def cartesian_prod(*tensors):
    """Return all combinations of the elements of vectors, one a row: (product of sizes, count)."""
    for x in tensors:
        if x.ndim != 1:
            raise RuntimeError(f"cartesian_prod: Expect a 1D vector, but got shape {list(x.shape)}")
    if not tensors:
        raise RuntimeError("cartesian_prod: expected at least one tensor")
    if len(tensors) == 1:
        return tensors[0]
    sizes = [x.numel() for x in tensors]
    places = np.indices(sizes).reshape(len(sizes), -1)
    columns = [x[place] for x, place in zip(tensors, places, strict=True)]
    return stack(columns, 1)


def combinations(input, r=2, with_replacement=False):
    """Return all choices of `r` elements of a vector, one a row, in the order of itertools."""
    if input.ndim != 1:
        raise RuntimeError(f"combinations: Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"combinations: Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_zeros((0,))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.array(list(choose(range(input.numel()), r)), np.int64).reshape(-1, r)
    return stack([input[column] for column in places.T], 1)


# --- pieces ----------------------------------------------------------------------------------------


def _cut(tensor, d: int, sizes, name: str) -> tuple:
    ends = list(itertools.accumulate(sizes))
    return cut(tensor, d, [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)], name)


def split(tensor, split_size_or_sections=None, dim=0, *, split_size=None):
    """Cut along `dim` into pieces of one size (the last may be shorter), or of the sizes listed; views."""
    size = split_size_or_sections if split_size is None else split_size
    if not isinstance(size, int):
        return split_with_sizes(tensor, size, dim)
    _has_dims("split", tensor)
    d = normalize_dim(dim, tensor.ndim, "split")
    length = tensor.shape[d]
    if size < 0 or (size == 0 and length):
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    sizes = [min(size, length - start) for start in range(0, length, max(size, 1))] or [0]
    return _cut(tensor, d, sizes, "Split")


def split_with_sizes(input, split_sizes, dim=0):
    """Cut along `dim` into pieces of the sizes listed; views."""
    _has_dims("split", input)
    d = normalize_dim(dim, input.ndim, "split")
    sizes = to_sizes((split_sizes,))
    if sum(sizes) != input.shape[d] or any(n < 0 for n in sizes):
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {input.shape[d]} (input tensor's size "
            f"at dimension {d}), but got split_sizes={list(sizes)}"
        )
    return _cut(input, d, sizes, "SplitWithSizes")


def _has_dims(operation: str, x) -> None:
    require_tensor(operation, "input", x)
    if not x.ndim:
        raise RuntimeError(f"{operation} expects at least a 1-dimensional tensor")


def chunk(input, chunks, dim=0):
    """Cut along `dim` into at most `chunks` pieces of equal size; views."""
    _has_dims("chunk", input)
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    d = normalize_dim(dim, input.ndim, "chunk")
    size = -(-input.shape[d] // chunks)
    return split(input, size, d) if size else _cut(input, d, [0] * chunks, "SplitWithSizes")


def tensor_split(input, indices_or_sections=None, dim=0, *, indices=None, sections=None):
    """Cut along `dim` into a number of pieces whose sizes differ by at most 1, or at the places listed."""
    if not input.ndim:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    given = next(v for v in (indices, sections, indices_or_sections) if v is not None)
    d = normalize_dim(dim, input.ndim, "tensor_split")
    length = input.shape[d]
    if hasattr(given, "_array"):
        given = given.tolist()
    if isinstance(given, int):
        if given <= 0:
            raise RuntimeError(f"tensor_split: number of sections must be larger than 0, got {given}")
        sizes = [length // given + (n < length % given) for n in range(given)]
        return _cut(input, d, sizes, "Slice")
    places = [0, *to_sizes((given,)), length]
    limits = [slice(a, b).indices(length)[:2] for a, b in itertools.pairwise(places)]
    return tuple(piece(input, d, start, max(end - start, 0)) for start, end in limits)


def _split_along(operation: str, least: int, x, given, dim: int):
    if x.ndim < least:
        raise RuntimeError(
            f"{operation} requires a tensor with at least {least} dimension, but got a tensor with {x.ndim}"
        )
    if isinstance(given, int) and (given <= 0 or x.shape[dim] % given):
        raise RuntimeError(
            f"{operation} attempted to split along dimension {dim}, but the size of the dimension "
            f"{x.shape[dim]} is not divisible by the split_size {given}; tensor_split does that"
        )
    return tensor_split(x, given, dim)


def hsplit(input, indices_or_sections):
    """Cut along dim 1, a vector along dim 0, into equal pieces or at the places listed."""
    return _split_along("hsplit", 1, input, indices_or_sections, 0 if input.ndim == 1 else 1)


def vsplit(input, indices_or_sections):
    """Cut along dim 0 into equal pieces or at the places listed."""
    return _split_along("vsplit", 2, input, indices_or_sections, 0)


def dsplit(input, indices_or_sections):
    """Cut along dim 2 into equal pieces or at the places listed."""
    return _split_along("dsplit", 3, input, indices_or_sections, 2)


def unbind(input, dim=0):
    """Return the slices along `dim`, which is dropped; views."""
    if not input.ndim:
        raise IndexError("unbind: dimension specified as 0 but tensor has no dimensions")
    d = normalize_dim(dim, input.ndim, "unbind")
    return cut(input, d, list(range(input.shape[d])), "Unbind")


__all__ = [
    "block_diag", "cartesian_prod", "cat", "chunk", "column_stack", "combinations", "concat", "concatenate",
    "dsplit", "dstack", "hsplit", "hstack", "row_stack", "several", "split", "split_with_sizes", "stack",
    "tensor_split", "unbind", "vsplit", "vstack",
]  # fmt: skip
