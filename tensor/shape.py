"""The same elements in another shape or order: views of the same memory where possible."""

import itertools
import math

import numpy as np

from tensor import dtypes
from tensor.autograd import Operation
from tensor.operands import normalize_dim, normalize_dims, to_sizes
from tensor.sizes import Size


class View(Operation):
    """A view: `show` makes it of an array, and its inverse carries the gradient back."""

    is_view = True

    def forward(self, k, x, **options):
        self.input_shape, self.options = x.shape, options
        return self.show(x, options)


class Alias(View):
    """The same elements in the same shape."""

    gradients_in_words = ("grad",)

    @staticmethod
    def show(array, options):
        return array.view()

    def backward(self, k, grad):
        return (grad,)


class Reshape(View):
    """The same elements in another shape, without copying."""

    name = "View"
    gradients_in_words = ("grad in the shape of {0}",)

    @staticmethod
    def show(array, options):
        return array.reshape(options["shape"], copy=False)

    def backward(self, k, grad):
        return (grad.reshape(self.input_shape),)


class ReshapeCopy(Operation):
    """The same elements in another shape, copied."""

    name = "UnsafeView"
    gradients_in_words = ("grad in the shape of {0}",)

    def forward(self, k, x, shape):
        self.input_shape = x.shape
        return k.copy(x).reshape(shape)

    def backward(self, k, grad):
        return (grad.reshape(self.input_shape),)


class ViewOfCopy(ReshapeCopy):
    """The same elements in another shape, copied, as PyTorch's `flatten` names it."""

    name = "View"


class Permute(View):
    """Dims in another order."""

    gradients_in_words = ("grad with its dims in the order of {0}",)

    @staticmethod
    def show(array, options):
        return array.transpose(options["dims"])

    def backward(self, k, grad):
        dims = self.options["dims"]
        return (k.permute(grad, [dims.index(d) for d in range(len(dims))]),)


class Transpose(View):
    """Two dims exchanged; a number stays as it is."""

    gradients_in_words = ("grad with the two dims exchanged back",)

    @staticmethod
    def show(array, options):
        return array.swapaxes(*options["pair"]) if array.ndim > 1 else array.view()

    def backward(self, k, grad):
        return (grad.swapaxes(*self.options["pair"]) if len(self.input_shape) > 1 else grad,)


class T(Transpose):
    """A matrix transposed."""

    written = "{0}.T"


class Expand(View):
    """Size-1 dims repeated without copying; the gradient is summed over the repeats."""

    gradients_in_words = ("grad, summed over the repeats",)
    broadcasts = True

    @staticmethod
    def show(array, options):
        shape = options["shape"]
        if not isinstance(array, np.ndarray):
            return array.broadcast_to(shape)
        view = np.broadcast_to(array, shape)
        view.flags.writeable = array.flags.writeable  # one element of it may be written to
        return view

    def backward(self, k, grad):
        return (k.sum_to(grad, self.input_shape),)


class Squeeze(Reshape):
    """All size-1 dims dropped."""

    name = "Squeeze"


class SqueezeDim(Squeeze):
    """A dim dropped if it is of size 1."""

    overload = 1


class SqueezeDims(Squeeze):
    """Several dims dropped, those that are of size 1."""

    overload = 2


class Unsqueeze(Reshape):
    """A size-1 dim added."""

    name = "Unsqueeze"


class Select(View):
    """Basic indexing: ints, slices, None; the gradient is zero elsewhere."""

    gradients_in_words = ("grad at the elements selected, else 0",)

    @staticmethod
    def show(array, options):
        return array[(*options["index"], ...)]  # the dots make a 0-d array of one element, not a number

    def backward(self, k, grad):
        full = k.zeros(self.input_shape, grad.dtype)
        k.write(self.show(full, self.options), grad)
        return (full,)

    @property
    def word(self) -> str:
        """The operation's name: that of the last step, as PyTorch takes an index step by step."""
        if "name" in self.options:
            return self.options["name"]
        index = self.options["index"]
        for item in reversed(index):
            if item is None:
                return "Unsqueeze"
            if not isinstance(item, slice):
                return "Select"
            if item != slice(None):
                return "Slice"
        return "Alias"


def infer_size(shape: tuple[int, ...], size: int, operation: str, original) -> tuple[int, ...]:
    """Replace one -1 by what the number of elements leaves for it."""
    known, unknown = 1, 0
    for n in shape:
        if n >= 0:
            known *= n
        elif n == -1:
            unknown += 1
        else:
            raise RuntimeError(f"{operation}: invalid shape {shape}")
    if unknown > 1:
        raise RuntimeError(f"{operation}: only one dimension can be inferred, got {shape}")
    if unknown:
        if known == 0:
            raise RuntimeError(
                f"{operation}: cannot reshape tensor of {size} elements into shape {list(shape)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
        if size % known == 0:
            return tuple([size // known if n == -1 else n for n in shape])
    elif known == size:
        return shape
    raise RuntimeError(
        f"{operation}: shape '{list(shape)}' is invalid for input of size {size} (shape {tuple(original)})"
    )


def view(x, *shape, size=None, dtype=None):
    """Return the same memory in another shape (one -1 is inferred), or its bytes as another dtype.

    RuntimeError if the shape needs a copy. Elements of another size change the last dim; no gradient flows
    through another dtype.
    """
    if dtype is not None or (len(shape) == 1 and isinstance(shape[0], dtypes.dtype)):
        return _view_bytes(x, shape[0] if dtype is None else dtype)
    wanted = infer_size(to_sizes(shape if size is None else (size,)), x._array.size, "view", x.shape)
    try:
        return Reshape.apply(x, shape=wanted)
    except ValueError:
        raise RuntimeError(
            "view: view size is not compatible with input tensor's size and stride (at least one dimension "
            f"spans across two contiguous subspaces): {tuple(x.shape)} to {wanted}. "
            "Use .reshape(...) instead."
        ) from None


def _view_bytes(x, dtype):
    if dtype is x.dtype:
        return Alias.apply(x)
    array, wanted = x._array, dtypes.array_dtype(dtype)
    if not array.ndim and wanted.itemsize != array.itemsize:
        raise RuntimeError(
            f"view: self.dim() cannot be 0 to view {x.dtype!r} as {dtype!r} (different element sizes)"
        )
    _check_alignment(x, dtype, wanted.itemsize)
    try:
        out = x._wrap(array.view(wanted))
    except ValueError as error:
        raise RuntimeError(f"view: cannot view {x.dtype!r} as {dtype!r}: {error}") from None
    out._version = x._version
    return out


def _check_alignment(x, dtype, itemsize: int) -> None:
    """Raise RuntimeError where wider elements would not begin at multiples of their size, which GPUs need."""
    from tensor.memory import storage_offset  # which needs this file

    wider = itemsize // x._array.itemsize
    if wider < 2 or not x._array.size:
        return
    counts = {"storage_offset()": storage_offset(x)}
    counts |= {f"stride({d})": x.stride(d) for d in range(x.ndim - 1)}
    for what, count in counts.items():
        if count % wider:
            raise RuntimeError(
                f"view: self.{what} must be divisible by {wider} to view {x.dtype!r} as {dtype!r} (different "
                f"element sizes), but got {count}; use .clone() first"
            )


def reshape(input, *sizes, shape=None):
    """Return the elements in another shape (one -1 is inferred): a view where possible, else a copy."""
    array = input._array
    wanted = to_sizes(sizes if shape is None else (shape,))
    return reshape_to(input, infer_size(wanted, array.size, "reshape", array.shape))


def reshape_to(input, shape: tuple[int, ...], copying=ReshapeCopy):
    """Return the elements in a shape that is known to fit."""
    try:
        return Reshape.apply(input, shape=shape)
    except ValueError:  # no steps through the memory give this shape
        return copying.apply(input, shape=shape)


def flatten(input, start_dim=0, end_dim=-1):
    """Join the dims from `start_dim` to `end_dim` into one."""
    shape = input._array.shape
    first = normalize_dim(start_dim, len(shape), "flatten")
    last = normalize_dim(end_dim, len(shape), "flatten")
    if not shape:
        return input.reshape(1)
    if first > last:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    if first == last:
        return input
    joined = math.prod(shape[first : last + 1])
    return reshape_to(input, (*shape[:first], joined, *shape[last + 1 :]))


def ravel(input):
    """Return all elements in one dim: a view where possible, else a copy."""
    return reshape_to(input, (input.numel(),), ViewOfCopy)


def unflatten(input, dim, sizes):
    """Split one dim into several; one size may be -1."""
    d = normalize_dim(dim, input.ndim, "unflatten")
    sizes = to_sizes((sizes,))
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    sizes = infer_size(sizes, input.shape[d], "unflatten", input.shape)
    shape = (*input.shape[:d], *sizes, *input.shape[d + 1 :])
    try:
        return Reshape.apply(input, shape=shape)
    except ValueError:
        raise RuntimeError(f"unflatten: sizes {sizes} need a copy; use .reshape{shape}") from None


def transpose(input, dim0, dim1):
    """Exchange two dims; a view."""
    pair = normalize_dim(dim0, input.ndim, "transpose"), normalize_dim(dim1, input.ndim, "transpose")
    return Transpose.apply(input, pair=pair)


def swapaxes(input, axis0, axis1):
    """Exchange two dims, as `transpose`."""
    return transpose(input, axis0, axis1)


def swapdims(input, dim0, dim1):
    """Exchange two dims, as `transpose`."""
    return transpose(input, dim0, dim1)


def t(input):
    """Transpose a matrix; a vector or a number stays as it is."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D; use .mT")
    return T.apply(input, pair=(0, 1))


def adjoint(input):
    """Exchange the last two dims, as `mT`: numbers here are real."""
    if input.ndim < 2:
        raise RuntimeError(f"adjoint: expected a matrix or a batch of matrices, got {input.ndim}D")
    return transpose(input, -2, -1)


def permute(input, *order, dims=None):
    """Order the dims anew; a view."""
    wanted = to_sizes(order if dims is None else (dims,))
    if len(wanted) != input.ndim:
        raise RuntimeError(
            f"permute: dims {wanted} are not an order of the {input.ndim} dims of {tuple(input.shape)}"
        )
    found = tuple(normalize_dim(d, input.ndim, "permute") for d in wanted)
    if sorted(found) != list(range(input.ndim)):
        raise RuntimeError(f"permute: duplicate dims are not allowed, got {wanted}")
    return Permute.apply(input, dims=found)


def movedim(input, source, destination):
    """Move dims to other places; the others keep their order. A view."""
    sources, places = ((v,) if isinstance(v, int) else tuple(v) for v in (source, destination))
    if len(sources) != len(places):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: as many are expected, got {sources} and {places}"
        )
    sources = tuple(normalize_dim(d, input.ndim, "movedim") for d in sources)
    places = tuple(normalize_dim(d, input.ndim, "movedim") for d in places)
    if len(set(sources)) < len(sources) or len(set(places)) < len(places):
        raise RuntimeError(f"movedim: repeated dim in {sources} or {places}")
    if not input.ndim:
        return Alias.apply(input)
    order = [d for d in range(input.ndim) if d not in sources]
    for place, d in sorted(zip(places, sources, strict=True)):
        order.insert(place, d)
    return permute(input, order)


def moveaxis(input, source, destination):
    """Move dims to other places, as `movedim`."""
    return movedim(input, source, destination)


def expand(x, *sizes, size=None):
    """Repeat size-1 dims without copying (-1 keeps a size); new dims may come in front."""
    wanted = to_sizes(sizes if size is None else (size,))
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
    shape = tuple(input.shape)
    if dim is None:
        return Squeeze.apply(input, shape=tuple(n for n in shape if n != 1))
    if isinstance(dim, tuple | list):
        chosen = normalize_dims(dim, input.ndim, "squeeze") if dim else ()
        kind: type[Squeeze] = SqueezeDims
    else:
        chosen, kind = (normalize_dim(dim, input.ndim, "squeeze"),), SqueezeDim
    return kind.apply(input, shape=tuple(n for d, n in enumerate(shape) if d not in chosen or n != 1))


def unsqueeze(input, dim):
    """Insert a size-1 dim at `dim`."""
    d = normalize_dim(dim, input.ndim + 1, "unsqueeze")
    return Unsqueeze.apply(input, shape=(*input.shape[:d], 1, *input.shape[d:]))


def select(input, dim, index):
    """Return the slice at `index` along `dim`, which is dropped; a view."""
    if not input.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = normalize_dim(dim, input.ndim, "select")
    size = input.shape[d]
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at dimension {d}"
        )
    return Select.apply(input, index=(*(slice(None),) * d, int(index)), name="Select")


def piece(input, dim: int, start: int, length: int, name: str = "Slice"):
    """Return `length` elements along `dim` (0 <= dim) from `start`, which are known to be there; a view."""
    index = (*(slice(None),) * dim, slice(start, start + length))
    return Select.apply(input, index=index, name=name)


def narrow(input, dim, start, length):
    """Return `length` elements along `dim` from `start`; a view."""
    if not input.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d, size = normalize_dim(dim, input.ndim, "narrow"), input.shape[dim]
    first = int(start)  # may be a tensor of one integer
    if not -size <= first <= size:
        raise IndexError(
            f"narrow: Dimension out of range (expected start to be in [{-size}, {size}], but got {first})"
        )
    first = first + size if first < 0 else first
    if length < 0 or first + length > size:
        raise RuntimeError(f"narrow: start ({start}) + length ({length}) exceeds dimension size ({size})")
    return piece(input, d, first, length)


def broadcast_to(input, size):
    """Return a view broadcast to `size`."""
    return expand(input, size)


def broadcast_shapes(*shapes):
    """Return the shape that all `shapes` (sizes or single ints) broadcast to."""
    sizes = [to_sizes((shape,)) for shape in shapes]
    for shape in sizes:
        if any(n < 0 for n in shape):
            raise RuntimeError(f"broadcast_shapes: sizes cannot be negative, got {shape}")
    joint: list[int] = []
    for column in itertools.zip_longest(*[reversed(shape) for shape in sizes], fillvalue=1):
        found = {n for n in column if n != 1}
        if len(found) > 1:
            raise RuntimeError(
                f"broadcast_shapes: Shape mismatch: {', '.join(map(str, sizes))} cannot be broadcast to a "
                "single shape"
            )
        joint.append(found.pop() if found else 1)
    return Size(reversed(joint))


def broadcast_tensors(*tensors):
    """Return views of the tensors, broadcast to one shape."""
    tensors = several(tensors)
    shape = broadcast_shapes(*[tuple(x.shape) for x in tensors])
    return tuple(x if x.shape == shape else expand(x, shape) for x in tensors)


def several(tensors) -> tuple:
    """Return tensors given one by one, or as one tuple or list."""
    return tuple(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], tuple | list) else tensors


def _at_least(name: str, tensors, widen):
    given = several(tensors)
    found = tuple(widen(x) for x in given)
    return found[0] if found and given is tensors and len(tensors) == 1 else found


def atleast_1d(*tensors):
    """Return numbers as vectors; others as they are. Several tensors give a tuple."""
    return _at_least("atleast_1d", tensors, lambda x: x if x.ndim else reshape(x, 1))


def atleast_2d(*tensors):
    """Return numbers and vectors as matrices of one row; others as they are."""
    return _at_least(
        "atleast_2d",
        tensors,
        lambda x: x if x.ndim > 1 else unsqueeze(x, 0) if x.ndim else reshape(x, 1, 1),
    )


def atleast_3d(*tensors):
    """Return at least three dims: (n,) as (1, n, 1), (n, m) as (n, m, 1); others as they are."""

    def widen(x):
        if x.ndim >= 3:
            return x
        if x.ndim == 2:
            return unsqueeze(x, -1)
        return unsqueeze(unsqueeze(x, 0), -1) if x.ndim else reshape(x, 1, 1, 1)

    return _at_least("atleast_3d", tensors, widen)


def view_in_place(function):
    """Return the form of a view operation that changes what the tensor itself shows."""

    def in_place(input, *args, **options):
        if input.is_leaf and input.requires_grad:
            raise RuntimeError(
                f"{function.__name__}_: a leaf Variable that requires grad is being used in an in-place "
                "operation. Do it under no_grad(), or on a clone()."
            )
        out = function(input, *args, **options)
        node = out._grad_fn
        if node is not None:  # PyTorch numbers these forms on
            node.overload += 3 if isinstance(node, Squeeze) else 1
        input._array, input._grad_fn = out._array, node
        input._version.count += 1
        if input._base is not None:
            input._steps, input._seen = out._steps, input._version.count
        return input

    in_place.__name__ = function.__name__ + "_"
    in_place.__doc__ = f"Change this tensor to what `{function.__name__}` gives, in place."
    return in_place


transpose_, t_, swapaxes_ = view_in_place(transpose), view_in_place(t), view_in_place(swapaxes)
squeeze_, unsqueeze_, swapdims_ = view_in_place(squeeze), view_in_place(unsqueeze), view_in_place(swapdims)
