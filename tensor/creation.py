"""Making tensors from data, or filled with a number."""

import warnings

import numpy as np

from kernels import cpu
from tensor import devices, dtypes
from tensor.engine import Tensor
from tensor.interop import from_interface
from tensor.layouts import preserve_format
from tensor.making import check_layout, element_type, size_of
from tensor.memory import own_memory
from tensor.operands import check_range, require_tensor, to_array


def finish(array: np.ndarray, device, requires_grad: bool, layout=None, pin_memory: bool = False) -> Tensor:
    """Return a tensor of a new array, on a device; check what every maker of tensors is asked for."""
    check_layout(layout, pin_memory)
    out = Tensor._wrap(devices.put(array, device, is_constant=True))
    out = out.pin_memory() if pin_memory else out
    return out.requires_grad_() if requires_grad else out


# --- from data -------------------------------------------------------------------------------------


def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False) -> Tensor:
    """Return a tensor with a copy of `data`: numbers, nested lists, an array or a tensor.

    dtype: by default float32 for Python floats, int64 for ints, and that of an array or tensor.
    """
    if _tells_of_gpu(data):
        data = from_interface(data).clone()
    if device is None and isinstance(data, Tensor):
        device = data.device
    if isinstance(data, np.ndarray | Tensor):  # which may change: no constant of a CUDA graph
        array = to_array(data, dtype, "tensor")
        return finish(devices.put(array, device), device, requires_grad, None, pin_memory)
    return finish(to_array(data, dtype, "tensor"), device, requires_grad, None, pin_memory)


def scalar_tensor(
    s, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False
) -> Tensor:
    """Return a zero-dim tensor of a number, of the default float type."""
    array = to_array(s, dtype or dtypes.get_default_dtype(), "scalar_tensor")
    return finish(array, device, requires_grad, layout, pin_memory)


def _tells_of_gpu(data) -> bool:
    """Return whether `data` is another library's array on a GPU."""
    return not isinstance(data, Tensor | np.ndarray) and hasattr(data, "__cuda_array_interface__")


def as_tensor(data, dtype=None, device=None) -> Tensor:
    """Return `data` as a tensor, sharing the memory of arrays and tensors where the dtype allows.

    Arrays on a GPU are known by `__cuda_array_interface__`.
    """
    if _tells_of_gpu(data):
        data = from_interface(data)
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    if isinstance(data, np.ndarray) and (dtype is None or dtypes.array_dtype(dtype) == data.dtype):
        shared = from_numpy(data)
        return shared if devices.table(device) is cpu else shared.to(device or devices.get_default_device())
    return tensor(data, dtype=dtype, device=device)


def from_numpy(ndarray: np.ndarray, *, warn: bool = True) -> Tensor:
    """Return a tensor on the memory of `ndarray`: changing one changes the other.

    Warns, as PyTorch, of an array that must not be written to, unless `warn` is False: nor can the tensor.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected np.ndarray (got {type(ndarray).__name__})")
    if not ndarray.dtype.isnative:
        raise ValueError(
            f"from_numpy: the bytes of {ndarray.dtype} are not in this machine's order; use "
            ".astype(array.dtype.newbyteorder('='))"
        )
    dtypes.of_array(ndarray.dtype)
    if any(step < 0 for step in ndarray.strides):
        raise ValueError(
            "from_numpy: At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not supported; use array.copy()"
        )
    if warn and not ndarray.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable, and neither is the tensor on its memory; "
            "copy the array, or make it writable, before converting it to a tensor.",
            UserWarning,
            stacklevel=2,
        )
    return Tensor._wrap(own_memory(ndarray))


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False) -> Tensor:
    """Return `obj` as a tensor, sharing its memory where that can be; copy: True never, False always."""
    if copy:
        out = tensor(obj.detach() if isinstance(obj, Tensor) else obj, dtype=dtype, device=device)
        return out.requires_grad_() if requires_grad else out
    out = as_tensor(obj, dtype, device)
    if _tells_of_gpu(obj):
        shared = out.is_cuda and out.data_ptr() == obj.__cuda_array_interface__["data"][0]
    else:
        shared = out is obj or (isinstance(obj, np.ndarray) and np.may_share_memory(out._array, obj))
    if copy is False and not shared:
        raise ValueError("asarray: can't alias data of this kind or change its dtype without a copy")
    return out.requires_grad_() if requires_grad else out


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False) -> Tensor:
    """Return a 1-D tensor on the memory of a bytes-like object, `count` elements from byte `offset`."""
    element = element_type("frombuffer", dtype)
    size = memoryview(buffer).nbytes
    if not size:
        raise ValueError("frombuffer: both buffer length (0) and count (-1) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(f"frombuffer: offset ({offset} bytes) must be within the buffer, [0, {size - 1}]")
    if count < 0 and (size - offset) % element.itemsize:
        raise ValueError(
            f"frombuffer: buffer size ({size - offset} bytes after offset) must be a multiple of element "
            f"size ({element.itemsize})"
        )
    if count * element.itemsize > size - offset or count == 0:
        raise ValueError(f"frombuffer: the buffer holds fewer than {count} elements after byte {offset}")
    return finish(np.frombuffer(buffer, element, count, offset), None, requires_grad)


# --- filled ----------------------------------------------------------------------------------------


def full(
    size, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
) -> Tensor:
    """Return a tensor filled with a number; dtype by default that of the number."""
    if not isinstance(size, tuple | list):
        raise TypeError(
            f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}"
        )
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    if dtype is None:
        dtype = dtypes.of_array(to_array(fill_value, None, "full").dtype)
    element = element_type("full", dtype)
    check_range(fill_value, element)
    out = devices.table(device).full(size_of((size,)), cpu.cast(np.asarray(fill_value), element), element)
    return finish(out, device, requires_grad, layout, pin_memory)


def zeros(
    *args, size=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
) -> Tensor:
    """Return zeros."""
    out = devices.table(device).zeros(size_of(args, size), element_type("zeros", dtype))
    return finish(out, device, requires_grad, layout, pin_memory)


def ones(
    *args, size=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
) -> Tensor:
    """Return ones."""
    out = devices.table(device).full(size_of(args, size), 1, element_type("ones", dtype))
    return finish(out, device, requires_grad, layout, pin_memory)


def empty(
    *args,
    size=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
    memory_format=None,
) -> Tensor:
    """Return a tensor whose elements are yet to be written; they are 0, unlike PyTorch's."""
    array = devices.table(device).zeros(size_of(args, size), element_type("empty", dtype))
    out = finish(array, device, False, layout, pin_memory)
    if memory_format is not None:
        out = out.contiguous(memory_format=memory_format)
    return out.requires_grad_() if requires_grad else out


def new_like(name, input, dtype, layout, device, requires_grad, pin_memory, memory_format=None) -> Tensor:
    """Return a tensor of zeros in the shape, dtype and order in memory of `input`."""
    require_tensor(name, "input", input)
    element = element_type(name, dtype, input.dtype)
    device = input.device if device is None else device
    array = input._kernels.zeros_like(input._array, element)  # in the order of the input's memory
    out = finish(array, device, False, layout, pin_memory)
    if memory_format not in (None, preserve_format):
        out = out.contiguous(memory_format=memory_format)
    return out.requires_grad_() if requires_grad else out


def zeros_like(
    input, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, memory_format=None
) -> Tensor:
    """Return zeros in the shape and dtype of `input`."""
    return new_like("zeros_like", input, dtype, layout, device, requires_grad, pin_memory, memory_format)


def ones_like(
    input, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, memory_format=None
) -> Tensor:
    """Return ones in the shape and dtype of `input`."""
    out = new_like("ones_like", input, dtype, layout, device, False, pin_memory, memory_format).fill_(1)
    return out.requires_grad_() if requires_grad else out


def full_like(
    input,
    fill_value,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
    memory_format=None,
) -> Tensor:
    """Return a number repeated in the shape and dtype of `input`."""
    out = new_like("full_like", input, dtype, layout, device, False, pin_memory, memory_format)
    out.fill_(fill_value)
    return out.requires_grad_() if requires_grad else out


def empty_like(
    input, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, memory_format=None
) -> Tensor:
    """Return a tensor in the shape and dtype of `input` whose elements are yet to be written; they are 0."""
    return new_like("empty_like", input, dtype, layout, device, requires_grad, pin_memory, memory_format)


def eye(n, m=None, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False) -> Tensor:
    """Return ones on the diagonal of an (n, m) matrix of zeros."""
    if n < 0 or (m or 0) < 0:
        raise RuntimeError(f"eye: n and m must be greater or equal to 0, got {n} and {m}")
    return finish(np.eye(n, m, dtype=element_type("eye", dtype)), device, requires_grad, layout, pin_memory)
