"""Tensors among NumPy's arrays, other libraries' tensors (DLPack), and copies."""

import enum
from importlib import import_module
from typing import Any

import numpy as np

from tensor import devices, dtypes
from tensor.autograd import Version
from tensor.memory import strided_view, whole_memory
from tensor.operands import as_tensor_like

# --- NumPy -----------------------------------------------------------------------------------------

_METHODS = {
    np.add: ("__add__", "__radd__"),
    np.subtract: ("__sub__", "__rsub__"),
    np.multiply: ("__mul__", "__rmul__"),
    np.true_divide: ("__truediv__", "__rtruediv__"),
    np.floor_divide: ("__floordiv__", "__rfloordiv__"),
    np.remainder: ("__mod__", "__rmod__"),
    np.power: ("__pow__", "__rpow__"),
    np.matmul: ("__matmul__", "__rmatmul__"),
    np.equal: ("eq", "eq"),
    np.not_equal: ("ne", "ne"),
    np.less: ("lt", "gt"),
    np.less_equal: ("le", "ge"),
    np.greater: ("gt", "lt"),
    np.greater_equal: ("ge", "le"),
}
"""The tensor methods that stand for NumPy's operators: with the tensor on the left, and on the right."""


def array_ufunc(self: Any, ufunc, method, *inputs, **kwargs):
    """Compute a NumPy function of tensors: operators are the tensors', with gradients; others give tensors.

    NumPy's numbers leave the type as Python's do; its arrays count as tensors.
    """
    if method == "__call__" and not kwargs and ufunc in _METHODS and len(inputs) == 2:
        first, second = inputs
        left, right = _METHODS[ufunc]
        if isinstance(first, np.generic):
            return getattr(second, right)(first.item())
        if not hasattr(first, "_array"):
            first = _as_tensor(self, first, ufunc.__name__)
        return getattr(first, left)(second)
    arrays = [x.numpy() if hasattr(x, "_array") else x for x in inputs]
    outs = kwargs.pop("out", None)
    if outs is not None:
        kwargs["out"] = tuple(o.numpy() if hasattr(o, "_array") else o for o in outs)
    result = getattr(ufunc, method)(*arrays, **kwargs)
    if isinstance(result, tuple):
        return tuple(self._wrap(np.asarray(part)) for part in result)
    if outs is not None and not hasattr(outs[0], "_array"):
        return result
    return self._wrap(np.asarray(result))


def _as_tensor(like, x, operation: str):
    array = np.asarray(x)
    return as_tensor_like(like, array, dtypes.of_array(array.dtype), operation)


def array_wrap(self: Any, array, context=None, return_scalar=False):
    """Return what NumPy computed of a tensor's array as a tensor."""
    return self._wrap(np.asarray(array))


def to_array(self: Any, dtype=None, copy=None) -> np.ndarray:
    """Return the memory as an ndarray, as np.asarray asks for it."""
    array = self.numpy()
    if dtype is None or array.dtype == dtype:
        return array.copy() if copy else array
    return array.astype(dtype)


# --- DLPack ----------------------------------------------------------------------------------------


class DLDeviceType(enum.IntEnum):
    """Where memory lies, as DLPack numbers it."""

    kDLCPU = 1
    kDLCUDA = 2
    kDLCUDAHost = 3
    kDLMetal = 8
    kDLROCM = 10
    kDLCUDAManaged = 13


class _Capsule:
    """A capsule on its way to NumPy, which asks for an object that can give it one."""

    def __init__(self, capsule):
        self._capsule = capsule

    def __dlpack__(self, **options):
        return self._capsule

    def __dlpack_device__(self):
        return 1, 0


def to_dlpack(tensor):
    """Return a capsule on the memory of `tensor`; another library's `from_dlpack` may take it once."""
    return tensor.__dlpack__()


def from_dlpack(ext_tensor, *, device=None, copy=None):
    """Return a tensor on the memory of another library's, without copying unless `copy` is True.

    ext_tensor: an object with `__dlpack__` and `__dlpack_device__`, such as an array of NumPy, CuPy or JAX or
    a tensor of PyTorch, in the memory of the CPU or of the GPU in use, or a capsule. The memory lives as long
    as the tensor. What its owner says must not be written to, cannot be written to. device: where the tensor
    is wanted; copy=False: ValueError if that needs a copy.
    """
    found = _shared(ext_tensor)
    moved = found if device is None else found.to(device)
    if moved is not found:
        if copy is False:
            raise ValueError(f"from_dlpack: copy=False, but from {found.device} to {device} is a copy")
        return moved
    return found.clone() if copy else found


def _shared(ext_tensor):
    """Return a tensor on the memory that an object or a DLPack capsule gives."""
    from tensor.creation import from_numpy  # which needs this file

    capsule, on_gpu = ext_tensor, False
    if hasattr(ext_tensor, "__dlpack__"):
        kind, number = map(int, ext_tensor.__dlpack_device__())
        on_gpu = kind in (DLDeviceType.kDLCUDA, DLDeviceType.kDLCUDAManaged)
        if not on_gpu and kind not in (DLDeviceType.kDLCPU, DLDeviceType.kDLCUDAHost):
            raise RuntimeError(
                f"from_dlpack: the memory is a device's (DLPack's number {kind}); copy it to the CPU"
            )
        options = {}
        if on_gpu:
            missing = devices.missing_for_cuda()
            if missing is not None:
                raise RuntimeError(
                    f"from_dlpack: the memory is a GPU's, and {missing}; copy it to the CPU first"
                )
            if number != 0:
                raise RuntimeError(
                    f"from_dlpack: the memory is GPU {number}'s; one GPU is used, number 0 of those that "
                    "CUDA_VISIBLE_DEVICES chooses"
                )
            # What the other side has queued ends before what this stream does next.
            options["stream"] = devices.cuda_kernels().driver.current_number()
        try:
            capsule = ext_tensor.__dlpack__(max_version=(1, 0), **options)
        except TypeError:  # written before DLPack 1.0
            capsule = ext_tensor.__dlpack__(**options)
    elif type(ext_tensor).__name__ != "PyCapsule":
        raise RuntimeError(
            "from_dlpack: expected an object with __dlpack__, or a DLPack capsule, got "
            f"{type(ext_tensor).__name__}; tensor(...) copies lists and numbers"
        )
    elif devices.missing_for_cuda() is None:
        on_gpu = devices.cuda_kernels().is_of_device(capsule)
    if on_gpu:
        return _tensor_on(devices.cuda_kernels().from_capsule(capsule))
    versioned = "versioned" in repr(capsule)  # only such a capsule tells whether it may be written to
    array = np.from_dlpack(_Capsule(capsule))
    if not array.flags.writeable and not versioned:
        array = _writable(array)
    return from_numpy(array, warn=False)


def _tensor_on(array):
    from tensor.engine import Tensor  # which needs this file

    return Tensor._wrap(array)


def from_interface(x):
    """Return a tensor on a GPU's memory that an object tells of by `__cuda_array_interface__`.

    CuPy's and Numba's arrays and PyTorch's tensors do. The memory lives as long as the tensor.
    """
    kernels = devices.table("cuda")
    return _tensor_on(kernels.from_interface(x))


def cuda_array_interface(self: Any) -> dict:
    """Return the interface by which CuPy, Numba and PyTorch take this tensor's memory over without a copy."""
    if not self.is_cuda:  # AttributeError: for such a tensor hasattr is False
        raise AttributeError(
            f"Can't get __cuda_array_interface__ on non-CUDA tensor type: {self.type()}; use .cuda()"
        )
    if self.requires_grad:
        raise RuntimeError(
            "Can't get __cuda_array_interface__ on Variable that requires grad. If gradients aren't "
            "required, use var.detach() to get Variable that doesn't require grad."
        )
    return self._array.__cuda_array_interface__


def _writable(array: np.ndarray) -> np.ndarray:
    return strided_view(array, array.shape, array.strides, writable=True)


def dlpack(self: Any, *, stream=None, max_version=None, dl_device=None, copy=None):
    """Return a DLPack capsule on the memory, for another library's `from_dlpack`.

    stream: on a GPU, the number of the stream that will use it: it waits for what is queued here.
    """
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if not self.is_cuda:
        return self._array.__dlpack__(stream=None, max_version=max_version, dl_device=dl_device, copy=copy)
    wanted = None if dl_device is None else tuple(map(int, dl_device))
    if wanted == (DLDeviceType.kDLCPU, 0):
        if copy is False:
            raise BufferError("__dlpack__: copy=False, but to the CPU it is a copy")
        return self.cpu()._array.__dlpack__(max_version=max_version)
    if wanted not in (None, (DLDeviceType.kDLCUDA, 0)):
        raise BufferError(
            f"__dlpack__: the memory is cuda:0's; it cannot be given to DLPack's device {wanted}"
        )
    found = self.clone() if copy else self
    return self._kernels.to_capsule(found._array, stream, max_version, bool(copy))


def dlpack_device(self: Any) -> tuple:
    """Return where the memory lies, as DLPack numbers it."""
    return DLDeviceType.kDLCUDA if self.is_cuda else DLDeviceType.kDLCPU, 0


# --- copies ----------------------------------------------------------------------------------------


def deepcopy(self: Any, memo):
    """Return a copy of a leaf with its gradient; views of one memory, copied together, share one again."""
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at "
            "the moment; use .detach().clone()"
        )
    out = memo[id(self)] = object.__new__(type(self))
    out._array, out._version = _copied(self._array, memo), Version()
    out._requires_grad = self._requires_grad
    out._grad = None if self._grad is None else self._grad.detach().clone()
    for name, value in self.__dict__.items():
        if not name.startswith("_") and name != "label":
            from copy import deepcopy as copy_deep

            setattr(out, name, copy_deep(value, memo))
    return out


def _copied(array: np.ndarray, memo: dict) -> np.ndarray:
    memory = whole_memory(array)
    place = ("memory", memory.ctypes.data, memory.nbytes)
    copied = memo.get(place)
    if copied is None:
        copied = memo[place] = memory.copy()
        if memory.size == array.size and array.flags.c_contiguous:
            return copied.reshape(array.shape)
    offset = array.ctypes.data - memory.ctypes.data if array.size else 0
    return strided_view(copied.view(array.dtype), array.shape, array.strides, offset)


def reduce(self: Any):
    """Return how to make this tensor again, for pickles and copies: its memory and whether it is a leaf."""
    kind = type(self)
    # Tensor and Parameter print as PyTorch's classes, a name under which a pickle would not find them
    known = kind.__name__ if kind.__module__.startswith("torch") else kind
    return _rebuild, (known, self._array, self.requires_grad)


def _rebuild(kind: type[Any] | str, array: np.ndarray, requires_grad: bool):
    found = getattr(import_module("tensor.engine"), kind) if isinstance(kind, str) else kind
    out: Any = object.__new__(found)
    out._array, out._version, out._requires_grad = array, Version(), requires_grad
    return out
