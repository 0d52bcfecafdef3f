"""What every maker of tensors is asked for: sizes, dtype, layout, device; and a tensor's own makers."""

import builtins

import numpy as np

from tensor import devices, dtypes
from tensor.layouts import strided
from tensor.operands import check_range, to_array, to_sizes

_PYTHON_TYPES = (builtins.float, builtins.int, builtins.bool)


def check_layout(layout, pin_memory: bool) -> None:
    """Raise RuntimeError for other layouts than strided, and for pinned memory without a GPU."""
    if layout not in (None, strided):
        raise RuntimeError(f"layout: expected torch.strided, got {layout!r}; there are no sparse ones")
    missing = devices.missing_for_cuda() if pin_memory else None
    if missing is not None:
        raise RuntimeError(
            f"pin_memory=True requires a CUDA or other accelerator backend; leave it out ({missing})"
        )


def size_of(args, size=None) -> tuple[int, ...]:
    """Return sizes given one by one, as one sequence, or as `size=`; none may be negative."""
    if size is not None:
        if args:
            raise TypeError(f"sizes given twice, {args} and size={size}")
        args = (size,)
    sizes = to_sizes(args)
    if any(n < 0 for n in sizes):
        raise RuntimeError(f"Trying to create tensor with negative dimension: {list(sizes)}")
    return sizes


def element_type(operation: str, dtype, default: dtypes.dtype | None = None) -> np.dtype:
    """Return the NumPy dtype of `dtype=`: a tensor's, Python's float, int or bool, or the default's."""
    if dtype is None:
        return (default or dtypes.get_default_dtype())._array
    if not isinstance(dtype, dtypes.dtype) and dtype not in _PYTHON_TYPES:
        raise TypeError(f"{operation}(): argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
    return dtypes.array_dtype(dtype)


def _new(input, array, device, requires_grad, layout, pin_memory):
    check_layout(layout, pin_memory)
    out = input._wrap(devices.put(array, input.device if device is None else device))
    out = out.pin_memory() if pin_memory else out
    return out.requires_grad_() if requires_grad else out


def new_tensor(input, data, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """Return `data` as a new tensor of the dtype of `input`."""
    array = to_array(data, dtype or input.dtype, "new_tensor")
    return _new(input, array, device, requires_grad, layout, pin_memory)


def new_full(
    input,
    size,
    fill_value,
    *,
    dtype=None,
    device=None,
    requires_grad=False,
    layout=None,
    pin_memory=False,
):
    """Return a tensor of the dtype of `input`, filled with a number."""
    element = element_type("new_full", dtype, input.dtype)
    check_range(fill_value, element)
    k = input._kernels
    array = k.full(size_of((size,)), k.cast(k.from_host(np.asarray(fill_value)), element), element)
    return _new(input, array, device, requires_grad, layout, pin_memory)


def new_zeros(
    input, *args, size=None, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False
):
    """Return zeros of the dtype of `input`."""
    array = input._kernels.zeros(size_of(args, size), element_type("new_zeros", dtype, input.dtype))
    return _new(input, array, device, requires_grad, layout, pin_memory)


def new_ones(
    input, *args, size=None, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False
):
    """Return ones of the dtype of `input`."""
    array = input._kernels.full(size_of(args, size), 1, element_type("new_ones", dtype, input.dtype))
    return _new(input, array, device, requires_grad, layout, pin_memory)


def new_empty(
    input, *args, size=None, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False
):
    """Return a tensor of the dtype of `input` whose elements are yet to be written; they are 0."""
    array = input._kernels.zeros(size_of(args, size), element_type("new_empty", dtype, input.dtype))
    return _new(input, array, device, requires_grad, layout, pin_memory)


def new(input, *args):
    """Return a tensor of the dtype of `input`, of these sizes or of this data; an old form of new_empty."""
    if len(args) == 1 and not isinstance(args[0], int | tuple):
        return new_tensor(input, args[0])
    return new_empty(input, *args) if args else new_empty(input, 0)
