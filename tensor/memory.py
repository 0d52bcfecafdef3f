"""Views given by strides, and the memory that a tensor's elements lie in."""

import math

import numpy as np

from tensor.autograd import Operation
from tensor.layouts import preserve_format
from tensor.operands import normalize_dim, to_sizes


class _Window:
    """Memory of an array seen with other strides; NumPy makes an array of it, which keeps the first alive."""

    def __init__(self, array: np.ndarray, shape, strides, offset: int, dtype, writable: bool = False):
        self.base = array
        address, read_only = array.__array_interface__["data"]
        read_only = read_only and not writable
        self.__array_interface__ = {
            "shape": tuple(shape), "strides": tuple(strides), "typestr": dtype.str, "version": 3,
            "data": (address + offset, read_only),
        }  # fmt: skip


def strided_view(array: np.ndarray, shape, strides, offset: int = 0, writable: bool = False) -> np.ndarray:
    """Return a view `offset` bytes into `array` with these strides, in bytes; nothing checks the limits.

    writable: also if `array` is not.
    """
    if not isinstance(array, np.ndarray):
        return array.strided(shape, strides, offset, writable)
    return np.asarray(_Window(array, shape, strides, offset, array.dtype, writable))


class _Owned:
    """An array that came from outside, whose memory counts as starting with its first element."""

    def __init__(self, array: np.ndarray):
        self.array, self.__array_interface__ = array, array.__array_interface__


def own_memory(array: np.ndarray) -> np.ndarray:
    """Return `array` so that it is a memory of its own, not a part of the array that it is a view of."""
    return array if array.base is None else np.asarray(_Owned(array))


def whole_memory(array: np.ndarray) -> np.ndarray:
    """Return, flat and in the type of `array`, the memory that it is a part of."""
    if not isinstance(array, np.ndarray):
        return array.whole()
    owner = array
    while isinstance(owner.base, np.ndarray | _Window):
        owner = owner.base.base if isinstance(owner.base, _Window) else owner.base
    count = 0 if not owner.size else 1 + sum(
        (n - 1) * s for n, s in zip(owner.shape, owner.strides, strict=True)
    ) // owner.itemsize  # fmt: skip
    size = count * owner.itemsize // array.itemsize
    return np.asarray(_Window(owner, (size,), (array.itemsize,), 0, array.dtype))


def repeats_elements(array: np.ndarray) -> bool:
    """Return whether an element can be reached at several positions."""
    return array.size > 0 and any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True))


def overlap_partly(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two arrays without gaps share memory, but not element by element."""
    share = np.may_share_memory(a, b) if isinstance(a, np.ndarray) else a.may_share_memory(b)
    if not (share and a.flags.forc and b.flags.forc):
        return False
    in_one_order = (
        a.flags.c_contiguous == b.flags.c_contiguous or a.flags.f_contiguous == b.flags.f_contiguous
    )
    return a.ctypes.data != b.ctypes.data or a.shape != b.shape or not in_one_order


def storage_offset(x) -> int:
    """Return at which element of its memory the first element of `x` lies."""
    array = x._array
    if not array.size:
        return 0
    return (array.ctypes.data - whole_memory(array).ctypes.data) // array.itemsize


class _Strided(Operation):
    """A view that may show an element several times: the gradients of such an element add up."""

    is_view = True
    gradients_in_words = ("grad at the elements it shows, added up",)

    def forward(self, k, x, **options):
        self.input_shape, self.options = x.shape, options
        return self.show(x, options)

    def backward(self, k, grad):
        size = math.prod(self.input_shape)
        positions = self.show(np.arange(size).reshape(self.input_shape), self.options)
        return (k.scatter_add(grad, k.from_host(positions), (size,)).reshape(self.input_shape),)


class Unfold(_Strided):
    """Windows that slide along a dim, in a new last dim."""

    @staticmethod
    def show(array, options):
        dim, size, step = options["dim"], options["size"], options["step"]
        if not array.ndim:
            return array.reshape(1)[:size]
        shape, strides = list(array.shape), list(array.strides)
        shape[dim] = (shape[dim] - size) // step + 1
        strides[dim] *= step
        return strided_view(array, (*shape, size), (*strides, array.strides[dim]))


class Diagonal(_Strided):
    """Diagonals of the planes of two dims, in a new last dim."""

    @staticmethod
    def show(array, options):
        offset, (dim1, dim2) = options["offset"], options["pair"]
        rows, columns = array.shape[dim1], array.shape[dim2]
        row, column = array.strides[dim1], array.strides[dim2]
        length = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
        start = (offset * column if offset >= 0 else -offset * row) if length else 0
        rest = [d for d in range(array.ndim) if d not in (dim1, dim2)]
        shape = (*[array.shape[d] for d in rest], length)
        return strided_view(array, shape, (*[array.strides[d] for d in rest], row + column), start)


class AsStrided(Operation):
    """Any elements of the memory, by offset and strides."""

    is_view = True
    gradients_in_words = ("grad at the elements it shows, added up",)

    def forward(self, k, x, **options):
        self.input_shape, self.options = x.shape, options
        memory = whole_memory(x)
        itemsize = x.itemsize
        self.memory_size = memory.size
        self.input_strides = tuple(s // itemsize for s in x.strides)
        self.input_offset = (x.ctypes.data - memory.ctypes.data) // itemsize if x.size else 0
        return self.show(x, options)

    @staticmethod
    def show(array, options):
        steps = [s * array.itemsize for s in options["stride"]]
        return strided_view(whole_memory(array), options["size"], steps, options["offset"] * array.itemsize)

    def backward(self, k, grad):
        # What reached an element of the memory goes to all places of the input that show it, in equal parts.
        numbers = np.arange(self.memory_size)
        positions = self.show(numbers, self.options)
        at_input = {"size": self.input_shape, "stride": self.input_strides, "offset": self.input_offset}
        places = self.show(numbers, at_input)
        in_memory = k.scatter_add(grad, k.from_host(positions), (self.memory_size,))
        shown = np.bincount(places.reshape(-1), minlength=self.memory_size)
        if shown.size and shown.max() > 1:
            count = k.cast(k.from_host(np.maximum(shown, 1)), grad.dtype)
            in_memory = k.forward("div", in_memory, count)
        return (k.take(in_memory, k.from_host(places)),)


def as_strided(input, size, stride, storage_offset=None):
    """Return a view of the memory of `input`: `size`, steps in elements, and where it starts.

    RuntimeError unless it lies within the memory. Gradients of elements shown several times add up.
    """
    size, stride = to_sizes((size,)), to_sizes((stride,))
    start = _offset_of(input) if storage_offset is None else storage_offset
    if len(size) != len(stride):
        raise RuntimeError(
            f"as_strided: mismatch in length of strides and shape: {len(stride)} and {len(size)}"
        )
    if any(n < 0 for n in size) or any(s < 0 for s in stride) or start < 0:
        raise RuntimeError(
            f"as_strided: sizes, strides and the offset must not be negative, got {size}, {stride}, {start}"
        )
    last = start + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    total = whole_memory(input._array).size
    if 0 not in size and last >= total:
        raise RuntimeError(
            f"as_strided: setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {start}, "
            f"requiring a storage size of {last + 1} elements, are out of bounds for storage of {total}"
        )
    return AsStrided.apply(input, size=size, stride=stride, offset=start)


_offset_of = storage_offset


def unfold(input, dimension, size, step):
    """Return windows of `size` every `step` along `dimension`, in a new last dim; a view."""
    d = normalize_dim(dimension, input.ndim, "unfold")
    length = input.shape[d] if input.ndim else 1
    if size < 0 or size > length:
        raise RuntimeError(f"unfold: maximum size for tensor at dimension {d} is {length} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"unfold: step is {step} but must be > 0")
    return Unfold.apply(input, dim=d, size=size, step=step)


def diagonal(input, offset=0, dim1=0, dim2=1):
    """Return the diagonals of the planes of two dims, in a new last dim; a view.

    offset: 1 for the diagonal above the main one, -1 for that below, and so on.
    """
    return Diagonal.apply(input, offset=int(offset), pair=two_dims(input.ndim, dim1, dim2, "diagonal"))


def two_dims(ndim: int, dim1: int, dim2: int, operation: str) -> tuple[int, int]:
    """Return two different dims counted from the front."""
    pair = normalize_dim(dim1, ndim, operation), normalize_dim(dim2, ndim, operation)
    if pair[0] == pair[1]:
        raise RuntimeError(f"{operation}: diagonal dimensions cannot be identical {dim1}, {dim2}")
    return pair


def clone(input, *, memory_format=preserve_format):
    """Return a copy; gradients flow through it. memory_format: see `Tensor.clone`."""
    return input.clone(memory_format=memory_format)


def detach(input):
    """Return a tensor on the same memory that is not part of the graph."""
    return input.detach()
