"""The memory that a tensor and its views share, as PyTorch shows it."""

import mmap
import warnings

import numpy as np

from tensor import devices, layouts
from tensor.autograd import Operation
from tensor.memory import whole_memory
from tensor.operands import to_sizes


class UntypedStorage:
    """The bytes that a tensor, with all its views, lies in."""

    def __init__(self, memory: np.ndarray):
        self._memory = memory.view(np.uint8)

    @property
    def device(self) -> devices.device:
        """Where the bytes are."""
        return devices.device_of(self._memory)

    def data_ptr(self) -> int:
        """Return the address of the first byte."""
        return self._memory.ctypes.data

    def nbytes(self) -> int:
        """Return the number of bytes."""
        return self._memory.nbytes

    def size(self) -> int:
        """Return the number of bytes."""
        return self._memory.nbytes

    def __len__(self) -> int:
        return self._memory.nbytes

    def __getitem__(self, index):
        return self._memory[index].tolist()

    def __iter__(self):
        return iter(self._memory.tolist())

    def tolist(self) -> list[int]:
        """Return the bytes as numbers."""
        return self._memory.tolist()

    def __eq__(self, other) -> bool:
        return isinstance(other, UntypedStorage) and self.data_ptr() == other.data_ptr()

    def __hash__(self) -> int:
        return hash(self.data_ptr())

    def __repr__(self) -> str:
        rows = "\n".join(f" {byte}" for byte in self._memory.tolist())
        return f"{rows}\n[torch.storage.UntypedStorage(device={self.device}) of size {len(self)}]"


class TypedStorage:
    """The elements of the memory that a tensor, with all its views, lies in."""

    def __init__(self, memory: np.ndarray, dtype):
        self._memory, self.dtype = memory, dtype

    @property
    def device(self) -> devices.device:
        """Where the elements are."""
        return devices.device_of(self._memory)

    def untyped(self) -> UntypedStorage:
        """Return the same memory as bytes."""
        return UntypedStorage(self._memory)

    def data_ptr(self) -> int:
        """Return the address of the first element."""
        return self._memory.ctypes.data

    def nbytes(self) -> int:
        """Return the number of bytes."""
        return self._memory.nbytes

    def size(self) -> int:
        """Return the number of elements."""
        return self._memory.size

    def tolist(self) -> list:
        """Return the elements as Python's numbers."""
        return self._memory.tolist()

    def __len__(self) -> int:
        return self._memory.size

    def __getitem__(self, index):
        return self._memory[index].tolist()

    def __setitem__(self, index, value) -> None:
        values = np.asarray(value, self._memory.dtype)
        devices.kernels_of(self._memory).write(self._memory[index, ...], values)

    def __iter__(self):
        return iter(self._memory.tolist())

    def __repr__(self) -> str:
        rows = "\n".join(f" {value}" for value in self._memory.tolist())
        kind = f"dtype={self.dtype!r}, device={self.device}"
        return f"{rows}\n[torch.storage.TypedStorage({kind}) of size {len(self)}]"


def untyped_storage(x) -> UntypedStorage:
    """Return the memory that `x` and its views share, as bytes."""
    return UntypedStorage(whole_memory(x._array))


_has_warned = False


def storage(x) -> TypedStorage:
    """Return the memory that `x` and its views share, as elements; PyTorch calls this deprecated."""
    global _has_warned
    if not _has_warned:  # once in a program, as PyTorch does
        _has_warned = True
        warnings.warn(
            "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the "
            "only storage class; use tensor.untyped_storage() instead of tensor.storage()",
            UserWarning,
            stacklevel=2,
        )
    return TypedStorage(whole_memory(x._array), x.dtype)


def is_contiguous(x, memory_format=layouts.contiguous_format) -> bool:
    """Return whether the elements lie in memory without gaps, in the order of `memory_format`."""
    return layouts.has_format(x._array, memory_format, "is_contiguous")


def contiguous(x, memory_format=layouts.contiguous_format):
    """Return `x` if its elements lie in the order of `memory_format`, else a copy that does."""
    if memory_format is layouts.preserve_format:
        raise RuntimeError("contiguous: preserve memory format is unsupported by the contiguous operator")
    return x if is_contiguous(x, memory_format) else x.clone(memory_format=memory_format)


def resize_(x, *sizes):
    """Change the shape of `x` in place to one with as many elements or fewer: the first of its memory.

    RuntimeError for more, where PyTorch would show memory that nobody has written.
    """
    wanted = to_sizes(sizes)
    if x.requires_grad:
        raise RuntimeError("resize_: cannot resize variables that require grad; use .detach() or .reshape()")
    count = int(np.prod(wanted, dtype=np.int64))
    if any(n < 0 for n in wanted):
        raise RuntimeError(f"resize_: sizes cannot be negative, got {wanted}")
    first = (
        (x._array.ctypes.data - whole_memory(x._array).ctypes.data) // x._array.itemsize
        if x._array.size
        else 0
    )
    memory = whole_memory(x._array)[first:]
    if count > memory.size:
        raise RuntimeError(
            f"resize_: {tuple(x.shape)} has memory for {memory.size} elements, fewer than {wanted} needs; "
            "make a larger tensor: x.new_zeros(...)"
        )
    x._array = memory[:count].reshape(wanted)
    return x


def resize_as_(x, the_template):
    """Change the shape of `x` in place to that of another tensor, as `resize_`."""
    return resize_(x, tuple(the_template.shape))


def is_shared(x) -> bool:
    """Return whether processes forked from this one share the memory: after `share_memory_()`; a GPU's is."""
    owner = x._array
    if x.is_cuda:
        return True
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return isinstance(getattr(owner.base, "obj", owner.base), mmap.mmap)


def share_memory_(x):
    """Move `x` to memory that processes forked from this one share; views made before stay behind."""
    if not is_shared(x) and x._array.size:
        array = x._array
        shared = np.frombuffer(mmap.mmap(-1, array.nbytes), array.dtype).reshape(array.shape)
        shared[...] = array
        x._array = shared
    return x


def is_pinned(x, device=None) -> bool:
    """Return whether the memory is the CPU's, and stays in place for copies to a GPU."""
    if not isinstance(x._array, np.ndarray) or devices.missing_for_cuda() is not None:
        return False
    return devices.cuda_kernels().driver.is_pinned(x._array)


def pin_memory(x, device=None):
    """Return a copy in memory that stays in place, from which a GPU copies faster; `x` if it lies in such.

    RuntimeError without a GPU, and for a tensor on one.
    """
    missing = devices.missing_for_cuda()
    if missing is not None:
        raise RuntimeError(
            "pin_memory: Cannot access accelerator device when none is available; on the CPU leave it out "
            f"({missing})"
        )
    if not isinstance(x._array, np.ndarray):
        raise RuntimeError(f"cannot pin '{x.type()}' only dense CPU tensors can be pinned")
    return x if is_pinned(x) else Pin.apply(x)


class Pin(Operation):
    """A copy in pinned memory."""

    name = "PinMemory"
    gradients_in_words = ("grad",)

    def forward(self, k, x):
        order = sorted(range(x.ndim), key=lambda d: -x.strides[d])
        pinned = devices.cuda_kernels().driver.empty_pinned(tuple(x.shape[d] for d in order), x.dtype)
        out = pinned.transpose(np.argsort(order)) if order else pinned
        k.write(out, x)
        return out

    def backward(self, k, grad):
        return (grad,)


def is_same_size(x, other) -> bool:
    """Return whether two tensors have one shape."""
    return x.shape == other.shape
