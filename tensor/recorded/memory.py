"""Making, copying, moving, joining, reading and writing, recorded."""

from tensor import elementwise, indexing, join, rearrange
from tensor.recorded.basis import array_dtype, array_of, kernels, linear, tensor_of


def from_host(x):
    """Return an array made in Python as the device has it."""
    return kernels().from_host(x)


def zeros(shape, dtype):
    """Return zeros."""
    return tensor_of(kernels().zeros(tuple(shape), array_dtype(dtype)))


def full(shape, value, dtype):
    """Return a tensor filled with a number."""
    return tensor_of(kernels().full(tuple(shape), value, array_dtype(dtype)))


def copy(x):
    """Return a copy."""
    return elementwise.Clone.apply(x)


def copy_in_order(x, strides):
    """Return a copy whose dims lie in memory in the order of these strides."""
    return linear(x, ("copy_in_order", (strides,)), ("copy", ()))


def cast(x, dtype):
    """Convert to another element type."""
    target = array_dtype(dtype)
    return x if x._array.dtype == target else elementwise.ToCopy.apply(x, dtype=target)


def write(x, values):
    """Overwrite a tensor, or a view of one."""
    return x.copy_(values) if hasattr(values, "_array") else x.fill_(values)


def transpose(x, dim0=-2, dim1=-1):
    """Exchange two dims."""
    return x.transpose(dim0, dim1)


def permute(x, dims):
    """Order the dims anew."""
    return x.permute(*dims)


def expand(x, shape):
    """Repeat dims of size 1."""
    return x if x.shape == tuple(shape) else x.expand(*shape)


def flip(x, dims):
    """Reverse dims."""
    return rearrange.Flip.apply(x, dims=dims)


def roll(x, shifts, dims):
    """Move elements on along dims, round the end."""
    return rearrange.Roll.apply(x, shifts=shifts, dims=dims)


def cat(arrays, dim):
    """Join along a dim."""
    return join.Cat.apply(*map(tensor_of, arrays), dim=dim)


def along(positions, dim):
    """Return the index that picks these positions along a dim: arrays."""
    return kernels().along(array_of(positions), dim)


def unravel(positions, shape):
    """Return the index of flat positions: arrays."""
    return kernels().unravel(array_of(positions), tuple(shape))


def take(x, index):
    """Return x[index], copied."""
    index = array_of(index)
    return linear(x, ("take", (index,)), ("scatter_add", (index, tuple(x.shape))))


def scatter_add(values, index, shape):
    """Return zeros of `shape` with the values added at `index`."""
    index = array_of(index)
    return linear(values, ("scatter_add", (index, tuple(shape))), ("take", (index,)))


def put(x, index, values):
    """Write x[index] = values."""
    index = array_of(index)
    layout = index if isinstance(index, tuple) else (index,)
    return indexing.IndexPut.apply_in_place(x, tensor_of(values), layout=layout)


def embedding_dx(grad, index, count, padding, by_frequency):
    """Return the gradient of `take(table, index)` in a table of `count` rows."""
    positions = tensor_of(index)
    if padding is not None:
        grad = grad * (positions != padding).unsqueeze(-1).to(grad.dtype)
    if by_frequency:
        ones = grad.new_ones(positions.shape)
        counts = tensor_of(
            kernels().scatter_add(ones._array.reshape(-1, 1), positions._array.reshape(-1), (count, 1))
        )
        grad = grad / counts.reshape(-1)[positions].unsqueeze(-1)
    return scatter_add(grad, positions, (count, grad.shape[-1]))


def pad_constant(x, pads, value):
    """Frame with a value."""
    from tensor.pad import ConstantPad

    return ConstantPad.apply(x, pads=pads, value=value)


def pad_constant_dx(grad, shape, pads):
    """Return the part of a framed tensor that was the tensor's."""
    return linear(grad, ("pad_constant_dx", (tuple(shape), pads)), ("pad_constant", (pads, 0)))


def pad_from(x, dim, source, before):
    """Frame a dim with the tensor's own elements."""
    back = ("pad_from_dx", (dim, source, before, x.shape[dim]))
    return linear(x, ("pad_from", (dim, source, before)), back)


def pad_from_dx(grad, dim, source, before, size):
    """Add the frame's elements to those they came from."""
    there = ("pad_from_dx", (dim, source, before, size))
    return linear(grad, there, ("pad_from", (dim, source, before)))


def unfold(x, *geometry):
    """Return blocks of planes as columns."""
    hw = tuple(x.shape[2:])
    return linear(x, ("unfold", geometry), ("fold", (hw, *geometry)))


def fold(columns, output_hw, *geometry):
    """Add columns up to planes."""
    return linear(columns, ("fold", (tuple(output_hw), *geometry)), ("unfold", geometry))
