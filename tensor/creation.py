"""Making tensors from data, from a rule, or at random."""

import warnings

import numpy as np

from kernels import cpu
from tensor import dtypes, random
from tensor.devices import check as check_device
from tensor.engine import Tensor
from tensor.memory import own_memory
from tensor.operands import check_range, to_array, to_sizes


def _finish(array: np.ndarray, device, requires_grad: bool) -> Tensor:
    check_device(device)
    out = Tensor._wrap(array)
    return out.requires_grad_() if requires_grad else out


def _size(args) -> tuple[int, ...]:
    size = to_sizes(args)
    if any(n < 0 for n in size):
        raise RuntimeError(f"a tensor's sizes cannot be negative, got {list(size)}")
    return size


def _float_type(dtype) -> np.dtype:
    return dtypes.array_dtype(dtype or dtypes.get_default_dtype())


def tensor(data, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Return a tensor with a copy of `data`: numbers, nested lists, an array or a tensor.

    dtype: by default float32 for Python floats, int64 for ints, and that of an array or tensor.
    """
    return _finish(to_array(data, dtype, "tensor"), device, requires_grad)


def as_tensor(data, dtype=None, device=None) -> Tensor:
    """Return `data` as a tensor, sharing the memory of arrays and tensors where the dtype allows."""
    if isinstance(data, Tensor):
        return data.to(dtype) if dtype is not None else data
    if isinstance(data, np.ndarray) and (dtype is None or dtypes.array_dtype(dtype) == data.dtype):
        return from_numpy(data)
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


def full(size, fill_value, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Return a tensor filled with a number; dtype by default that of the number."""
    if dtype is None:
        dtype = to_array(fill_value, None, "full").dtype
    element = dtypes.array_dtype(dtype)
    check_range(fill_value, element)
    out = cpu.full(_size((size,)), cpu.cast(np.asarray(fill_value), element), element)
    return _finish(out, device, requires_grad)


def zeros(*size, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Return zeros."""
    return _finish(cpu.zeros(_size(size), _float_type(dtype)), device, requires_grad)


def ones(*size, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Return ones."""
    return _finish(cpu.full(_size(size), 1, _float_type(dtype)), device, requires_grad)


def empty(*size, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Return a tensor whose elements are yet to be written; they are 0, unlike PyTorch's."""
    return zeros(*size, dtype=dtype, device=device, requires_grad=requires_grad)


def zeros_like(input, *, dtype=None, requires_grad=False) -> Tensor:
    """Return zeros in the shape and dtype of `input`."""
    return zeros(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def ones_like(input, *, dtype=None, requires_grad=False) -> Tensor:
    """Return ones in the shape and dtype of `input`."""
    return ones(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def full_like(input, fill_value, *, dtype=None, requires_grad=False) -> Tensor:
    """Return a number repeated in the shape and dtype of `input`."""
    return full(tuple(input.shape), fill_value, dtype=dtype or input.dtype, requires_grad=requires_grad)


def empty_like(input, *, dtype=None, requires_grad=False) -> Tensor:
    """Return a tensor in the shape and dtype of `input` whose elements are yet to be written."""
    return zeros_like(input, dtype=dtype, requires_grad=requires_grad)


def arange(start, end=None, step=1, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Return start, start + step, ... below `end`; int64 if all are integers, else the default float."""
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("arange: step must be nonzero")
    if (end - start) / step < 0:
        raise RuntimeError("arange: upper bound and lower bound inconsistent with step sign")
    if dtype is None:
        integers = all(isinstance(v, int | np.integer) for v in (start, end, step))
        dtype = dtypes.int64 if integers else dtypes.get_default_dtype()
    count = int(np.ceil((end - start) / step))
    values = start + step * np.arange(count)  # not np.arange(start, end, step): its length may be off by one
    return _finish(values.astype(dtypes.array_dtype(dtype)), device, requires_grad)


def linspace(start, end, steps, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Return `steps` numbers evenly from `start` to `end`, both included."""
    if steps < 0:
        raise RuntimeError(f"linspace: number of steps must be non-negative, got {steps}")
    return _finish(np.linspace(start, end, steps).astype(_float_type(dtype)), device, requires_grad)


def eye(n, m=None, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Return ones on the diagonal of an (n, m) matrix of zeros."""
    if n < 0 or (m or 0) < 0:
        raise RuntimeError(f"eye: n and m must be greater or equal to 0, got {n} and {m}")
    return _finish(np.eye(n, m, dtype=_float_type(dtype)), device, requires_grad)


def rand(*size, generator=None, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Return random numbers evenly spread over [0, 1), the ones PyTorch gives for the same seed."""
    source = random.find_generator(generator)
    return _finish(source.uniform(_size(size), dtype=_float_type(dtype)), device, requires_grad)


def randn(*size, generator=None, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Return standard normal random numbers, the ones PyTorch gives for the same seed."""
    source = random.find_generator(generator)
    return _finish(source.normal(_size(size), dtype=_float_type(dtype)), device, requires_grad)


def randint(low, high=None, size=None, *, generator=None, dtype=None, device=None) -> Tensor:
    """Return random integers in [low, high), int64 by default; `randint(high, size)` starts at 0."""
    if size is None:
        low, high, size = 0, low, high
    source = random.find_generator(generator)
    values = source.integers(low, high, _size((size,)))
    return _finish(values.astype(dtypes.array_dtype(dtype or dtypes.int64)), device, False)


def randperm(n, *, generator=None, dtype=None, device=None) -> Tensor:
    """Return 0 .. n - 1 in random order, int64 by default, the order PyTorch gives for the same seed."""
    values = random.find_generator(generator).permutation(n)
    return _finish(values.astype(dtypes.array_dtype(dtype or dtypes.int64)), device, False)


def rand_like(input, *, dtype=None, requires_grad=False) -> Tensor:
    """Return random numbers in [0, 1) in the shape of `input`."""
    return rand(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def randn_like(input, *, dtype=None, requires_grad=False) -> Tensor:
    """Return standard normal random numbers in the shape of `input`."""
    return randn(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)
