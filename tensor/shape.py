"""Operations that change the shape: views of the same memory where possible, joins and splits."""

import math

import numpy as np

from tensor import elementwise
from tensor.autograd import Operation
from tensor.operands import accept_numpy_names, common_dtype, normalize_dim, normalize_dims, to_sizes


class View(Operation):
    """A view: `show` makes it of an array, and its inverse carries the gradient back."""

    is_view = True

    def forward(self, k, x, **options):
        self.input_shape, self.options = x.shape, options
        return self.show(x, options)


class Reshape(View):
    """The same elements in another shape, without copying."""

    name = "View"

    @staticmethod
    def show(array, options):
        return array.reshape(options["shape"], copy=False)

    def backward(self, k, grad):
        return (grad.reshape(self.input_shape),)


class ReshapeCopy(Operation):
    """The same elements in another shape, copied."""

    name = "UnsafeView"

    def forward(self, k, x, shape):
        self.input_shape = x.shape
        return k.copy(x).reshape(shape)

    def backward(self, k, grad):
        return (grad.reshape(self.input_shape),)


class Permute(View):
    """Dims in another order."""

    @staticmethod
    def show(array, options):
        return array.transpose(options["dims"])

    def backward(self, k, grad):
        dims = self.options["dims"]
        return (grad.transpose([dims.index(d) for d in range(len(dims))]),)


class Transpose(View):
    """Two dims exchanged."""

    @staticmethod
    def show(array, options):
        return array.swapaxes(*options["pair"])

    def backward(self, k, grad):
        return (grad.swapaxes(*self.options["pair"]),)


class Expand(View):
    """Size-1 dims repeated without copying; the gradient is summed over the repeats."""

    @staticmethod
    def show(array, options):
        view = np.broadcast_to(array, options["shape"])
        view.flags.writeable = array.flags.writeable  # one element of it may be written to
        return view

    def backward(self, k, grad):
        return (k.sum_to(grad, self.input_shape),)


class Squeeze(Reshape):
    """Size-1 dims dropped."""

    name = "Squeeze"


class Unsqueeze(Reshape):
    """A size-1 dim added."""

    name = "Unsqueeze"


class Select(View):
    """Basic indexing: ints, slices, None; the gradient is zero elsewhere."""

    name = "Slice"

    @staticmethod
    def show(array, options):
        return array[(*options["index"], ...)]  # the dots make a 0-d array of one element, not a number

    def backward(self, k, grad):
        full = k.zeros(self.input_shape, grad.dtype)
        k.write(self.show(full, self.options), grad)
        return (full,)


class Cat(Operation):
    """Tensors joined along an existing dim."""

    def forward(self, k, *arrays, dim):
        self.dim, self.sizes = dim, [a.shape[dim] for a in arrays]
        return k.cat(arrays, dim)

    def backward(self, k, grad):
        lead, start, parts = (slice(None),) * self.dim, 0, []
        for size, need in zip(self.sizes, self.needs, strict=True):
            parts.append(grad[(*lead, slice(start, start + size))] if need else None)
            start += size
        return tuple(parts)


class Flip(Operation):
    """Dims in reverse order; copied, since PyTorch has no negative strides."""

    def forward(self, k, x, dims):
        self.dims = dims
        return k.flip(x, dims)

    def backward(self, k, grad):
        return (k.flip(grad, self.dims),)


def _infer(shape: tuple[int, ...], size: int, operation: str, original) -> tuple[int, ...]:
    """Replace one -1 by what the number of elements leaves for it."""
    unknown = [d for d, n in enumerate(shape) if n == -1]
    if len(unknown) > 1:
        raise RuntimeError(f"{operation}: only one dimension can be inferred, got {shape}")
    if any(n < -1 for n in shape):
        raise RuntimeError(f"{operation}: invalid shape {shape}")
    known = math.prod(n for n in shape if n != -1)
    if unknown:
        if known == 0:
            raise RuntimeError(
                f"{operation}: cannot reshape tensor of {size} elements into shape {list(shape)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
        if size % known == 0:
            return tuple(size // known if n == -1 else n for n in shape)
    elif known == size:
        return shape
    raise RuntimeError(
        f"{operation}: shape '{list(shape)}' is invalid for input of size {size} (shape {tuple(original)})"
    )


def view(x, *shape):
    """Return the same memory in another shape (one -1 is inferred); RuntimeError if that needs a copy."""
    if len(shape) == 1 and hasattr(shape[0], "itemsize"):
        raise NotImplementedError(
            "view: reinterpreting the memory as another dtype is not supported; use .to()"
        )
    wanted = _infer(to_sizes(shape), x._array.size, "view", x.shape)
    try:
        return Reshape.apply(x, shape=wanted)
    except ValueError:
        raise RuntimeError(
            "view: view size is not compatible with input tensor's size and stride (at least one dimension "
            f"spans across two contiguous subspaces): {tuple(x.shape)} to {wanted}. "
            "Use .reshape(...) instead."
        ) from None


def reshape(input, *shape):
    """Return the elements in another shape (one -1 is inferred): a view where possible, else a copy."""
    array = input._array
    return _reshape(input, _infer(to_sizes(shape), array.size, "reshape", array.shape))


def _reshape(input, shape: tuple[int, ...]):
    try:
        return Reshape.apply(input, shape=shape)
    except ValueError:  # no steps through the memory give this shape
        return ReshapeCopy.apply(input, shape=shape)


def flatten(input, start_dim=0, end_dim=-1):
    """Join the dims from `start_dim` to `end_dim` into one."""
    shape = input._array.shape
    if not shape:
        return input.reshape(1)
    first = normalize_dim(start_dim, len(shape), "flatten")
    last = normalize_dim(end_dim, len(shape), "flatten")
    if first > last:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    if first == last:
        return input
    joined = math.prod(shape[first : last + 1])
    return _reshape(input, (*shape[:first], joined, *shape[last + 1 :]))


def unflatten(input, dim, sizes):
    """Split one dim into several; one size may be -1."""
    d = normalize_dim(dim, input.ndim, "unflatten")
    sizes = _infer(tuple(sizes), input.shape[d], "unflatten", input.shape)
    return reshape(input, *input.shape[:d], *sizes, *input.shape[d + 1 :])


def transpose(input, dim0, dim1):
    """Exchange two dims; a view."""
    pair = normalize_dim(dim0, input.ndim, "transpose"), normalize_dim(dim1, input.ndim, "transpose")
    return (
        Transpose.apply(input, pair=pair if input.ndim else ())
        if input.ndim
        else Reshape.apply(input, shape=())
    )


swapaxes = transpose


def t(input):
    """Transpose a matrix; a vector or a number stays as it is."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D; use .mT")
    return transpose(input, 0, 1) if input.ndim == 2 else Reshape.apply(input, shape=tuple(input.shape))


def permute(input, *dims):
    """Order the dims anew; a view."""
    order = to_sizes(dims)
    fits = len(order) == input.ndim
    found = tuple(normalize_dim(d, input.ndim, "permute") for d in order) if fits and input.ndim else ()
    if not fits or sorted(found) != list(range(input.ndim)):
        raise RuntimeError(
            f"permute: dims {order} are not an order of the {input.ndim} dims of {tuple(input.shape)}"
        )
    return Permute.apply(input, dims=found)


def movedim(input, source, destination):
    """Move dims to other places; the others keep their order. A view."""
    sources = [normalize_dim(d, input.ndim, "movedim") for d in np.atleast_1d(source).tolist()]
    places = [normalize_dim(d, input.ndim, "movedim") for d in np.atleast_1d(destination).tolist()]
    order = [d for d in range(input.ndim) if d not in sources]
    for place, d in sorted(zip(places, sources, strict=True)):
        order.insert(place, d)
    return permute(input, order)


def expand(x, *sizes):
    """Repeat size-1 dims without copying (-1 keeps a size); new dims may come in front."""
    wanted = to_sizes(sizes)
    lead = len(wanted) - x.ndim
    shape = tuple(x.shape[d - lead] if n == -1 and d >= lead else n for d, n in enumerate(wanted))
    if lead < 0 or any(n < 0 for n in shape):
        raise RuntimeError(f"expand: sizes {wanted} do not fit a tensor of shape {tuple(x.shape)}")
    try:
        return Expand.apply(x, shape=shape)
    except ValueError:
        raise RuntimeError(
            f"expand: The expanded size {wanted} must match the existing size {tuple(x.shape)} at "
            "non-singleton dimensions"
        ) from None


def squeeze(input, dim=None):
    """Drop size-1 dims: all, or those of `dim` (an int or several) that are of size 1."""
    if dim is None:
        shape = tuple(n for n in input.shape if n != 1)
    else:
        dims = normalize_dims(dim, input.ndim, "squeeze") if isinstance(dim, tuple | list) and dim else None
        chosen = (
            dims if dims is not None else () if dim == () else (normalize_dim(dim, input.ndim, "squeeze"),)
        )
        shape = tuple(n for d, n in enumerate(input.shape) if d not in chosen or n != 1)
    return Squeeze.apply(input, shape=shape)


def unsqueeze(input, dim):
    """Insert a size-1 dim at `dim`."""
    d = normalize_dim(dim, input.ndim + 1, "unsqueeze")
    return Unsqueeze.apply(input, shape=(*input.shape[:d], 1, *input.shape[d:]))


@accept_numpy_names
def cat(tensors, dim=0):
    """Join tensors along an existing dim; other sizes must agree."""
    tensors = tuple(tensors)
    if not tensors:
        raise ValueError("cat: expected a non-empty list of Tensors")
    for i, x in enumerate(tensors):
        if not hasattr(x, "_array"):
            raise TypeError(f"cat: expected Tensor as element {i}, got {type(x).__name__}")
        if not x.ndim:
            raise RuntimeError(
                f"cat: zero-dimensional tensor (at position {i}) cannot be concatenated; stack it"
            )
    tensors = (
        tuple(x for x in tensors if tuple(x.shape) != (0,)) or tensors[:1]
    )  # as PyTorch: (0,) is skipped
    d = normalize_dim(dim, tensors[0].ndim, "cat")
    joint = common_dtype(tensors)
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
def stack(tensors, dim=0):
    """Join tensors of one shape along a new dim."""
    tensors = tuple(tensors)
    if not tensors:
        raise RuntimeError("stack: expected a non-empty list of Tensors")
    for i, x in enumerate(tensors):
        if x.shape != tensors[0].shape:
            raise RuntimeError(
                f"stack: each tensor must be equal size, but got {tuple(tensors[0].shape)} at entry 0 and "
                f"{tuple(x.shape)} at entry {i}"
            )
    d = normalize_dim(dim, tensors[0].ndim + 1, "stack")
    return cat([unsqueeze(x, d) for x in tensors], d)


def hstack(tensors):
    """Join tensors along dim 1; vectors along dim 0."""
    tensors = [x.reshape(1) if x.ndim == 0 else x for x in tensors]
    return cat(tensors, 0 if tensors and tensors[0].ndim == 1 else 1)


def vstack(tensors):
    """Join tensors along dim 0; vectors become rows."""
    return cat([x.reshape(1, -1) if x.ndim < 2 else x for x in tensors], 0)


def flip(input, *dims):
    """Return a copy with the elements along `dims` in reverse order."""
    wanted = to_sizes(dims)
    return Flip.apply(input, dims=normalize_dims(wanted, input.ndim, "flip") if wanted else ())


def roll(input, shifts, dims=None):
    """Return the elements moved on, round the end, by `shifts` along `dims` or in the flattened tensor."""
    if dims is None:
        return roll(input.reshape(-1), shifts, 0).reshape(tuple(input.shape))
    for shift, dim in zip(np.atleast_1d(shifts).tolist(), np.atleast_1d(dims).tolist(), strict=True):
        d = normalize_dim(dim, input.ndim, "roll")
        start = -shift % input.shape[d] if input.shape[d] else 0
        input = cat([narrow(input, d, start, input.shape[d] - start), narrow(input, d, 0, start)], d)
    return input


def repeat(x, *repeats):
    """Return copies side by side: `repeats[d]` times along each dim; new dims may come in front."""
    times = to_sizes(repeats)
    lead = len(times) - x.ndim
    if lead < 0 or any(n < 0 for n in times):
        raise RuntimeError(
            f"repeat: Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            f"tensor, got {times} for {tuple(x.shape)}"
        )
    sizes = (1,) * lead + tuple(x.shape)
    spread = reshape(x, tuple(m for n in sizes for m in (1, n)))
    spread = expand(spread, tuple(m for n, r in zip(sizes, times, strict=True) for m in (r, n)))
    return reshape(spread.clone(), tuple(n * r for n, r in zip(sizes, times, strict=True)))


def tile(input, *dims):
    """Return copies side by side, as `repeat`; missing numbers in front count as 1."""
    times = to_sizes(dims)
    return repeat(input, (1,) * (input.ndim - len(times)) + times)


def repeat_interleave(input, repeats, dim=None):
    """Return each element (or slice along `dim`) repeated: [a, b] becomes [a, a, b, b]."""
    if dim is None:
        return repeat_interleave(input.reshape(-1), repeats, 0)
    d = normalize_dim(dim, input.ndim, "repeat_interleave")
    times = repeats._array if hasattr(repeats, "_array") else repeats
    rows = input._wrap(np.repeat(np.arange(input.shape[d]), times))
    return input.index_select(d, rows)


def tril(input, diagonal=0):
    """Return the lower triangle of matrices, zeros above; diagonal 1 keeps one more, -1 one less."""
    return _triangle("tril", input, lambda rows, columns: columns - rows <= diagonal)


def triu(input, diagonal=0):
    """Return the upper triangle of matrices, zeros below; diagonal 1 keeps one less, -1 one more."""
    return _triangle("triu", input, lambda rows, columns: columns - rows >= diagonal)


def _triangle(name, x, keeps):
    if x.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions, got {tuple(x.shape)}")
    kept = keeps(*np.ogrid[: x.shape[-2], : x.shape[-1]])
    return elementwise.where(x._wrap(kept), x, x.new_zeros(()))


def narrow(input, dim, start, length):
    """Return `length` elements along `dim` from `start`; a view."""
    d = normalize_dim(dim, input.ndim, "narrow")
    start = start + input.shape[d] if start < 0 else start
    if length < 0 or start < 0 or start + length > input.shape[d]:
        raise RuntimeError(
            f"narrow: start ({start}) + length ({length}) exceeds dimension size ({input.shape[d]})"
        )
    return Select.apply(input, index=(*(slice(None),) * d, slice(start, start + length)))


def split(tensor, split_size_or_sections, dim=0):
    """Cut along `dim` into pieces of one size (the last may be shorter), or of the sizes listed; views."""
    d = normalize_dim(dim, tensor.ndim, "split")
    length = tensor.shape[d]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size <= 0 and not (size == 0 and length == 0):
            raise RuntimeError(f"split expects split_size be positive, but got split_size={size}")
        sizes = [min(size, length - start) for start in range(0, length, max(size, 1))] or [0]
    else:
        sizes = list(split_size_or_sections)
        if sum(sizes) != length or any(n < 0 for n in sizes):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {length} (input tensor's size at "
                f"dimension {d}), but got split_sizes={sizes}"
            )
    pieces, start = [], 0
    for size in sizes:
        pieces.append(narrow(tensor, d, start, size))
        start += size
    return tuple(pieces)


def chunk(input, chunks, dim=0):
    """Cut along `dim` into at most `chunks` pieces of equal size; views."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    d = normalize_dim(dim, input.ndim, "chunk")
    size = -(-input.shape[d] // chunks)
    return split(input, size, d) if size else tuple(narrow(input, d, 0, 0) for _ in range(chunks))


def unbind(input, dim=0):
    """Return the slices along `dim`, which is dropped; views."""
    if not input.ndim:
        raise IndexError("unbind: dimension specified as 0 but tensor has no dimensions")
    d = normalize_dim(dim, input.ndim, "unbind")
    return tuple(Select.apply(input, index=(*(slice(None),) * d, i)) for i in range(input.shape[d]))


def broadcast_to(input, size):
    """Return a view broadcast to `size`."""
    return expand(input, size)
