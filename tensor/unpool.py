"""Pooling beside maxima and averages: the power-average, and putting maxima back where they were."""

import math

from tensor import creation, dtypes, pool
from tensor.operands import require_tensor


def _lp(operation: str, pooled, norm_type, count: int):
    # the average times the number of elements is the sum; its sign is kept, as PyTorch does
    return ((pooled.sign() * pooled.abs().relu()) * count).pow(1.0 / norm_type)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """Return the norm of each window, sum(x ** norm_type) ** (1 / norm_type); see `avg_pool1d`."""
    require_tensor("lp_pool1d", "input", input)
    kernel = kernel_size[0] if isinstance(kernel_size, tuple | list) else kernel_size
    averages = pool.avg_pool1d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return _lp("lp_pool1d", averages, norm_type, kernel)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """Return the norm of each window, sum(x ** norm_type) ** (1 / norm_type); see `avg_pool2d`."""
    require_tensor("lp_pool2d", "input", input)
    pair = tuple(kernel_size) if isinstance(kernel_size, tuple | list) else (kernel_size,) * 2
    averages = pool.avg_pool2d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return _lp("lp_pool2d", averages, norm_type, math.prod(pair))


def _pairs(value, dims: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,) * dims


def _unpool(operation, input, indices, kernel_size, stride, padding, output_size, dims: int):
    require_tensor(operation, "input", input)
    require_tensor(operation, "indices", indices)
    kernel = _pairs(kernel_size, dims)
    steps = kernel if stride is None else _pairs(stride, dims)
    around = _pairs(padding, dims)
    lead, pooled = tuple(input.shape[: input.ndim - dims]), tuple(input.shape[input.ndim - dims :])
    usual = [(n - 1) * s - 2 * p + k for n, s, p, k in zip(pooled, steps, around, kernel, strict=True)]
    size = usual
    if output_size is not None:
        size = list(output_size)[-dims:]
        if len(output_size) not in (dims, dims + 2):
            raise ValueError(
                f"output_size should be a sequence containing {dims} or {dims + 2} elements, but it has a "
                f"length of '{len(output_size)}'"
            )
        for d in range(dims):
            if not usual[d] - steps[d] < size[d] < usual[d] + steps[d]:
                raise ValueError(
                    f'invalid output_size "{size}" (dim {d} must be between {usual[d] - steps[d]} and '
                    f"{usual[d] + steps[d]})"
                )
    if indices.dtype is not dtypes.int64:
        raise RuntimeError(
            f"{operation}: elements in indices should be type int64 but got: {indices.dtype!r}"
        )
    if indices.shape != input.shape:
        raise RuntimeError(
            f"{operation}: Expected shape of indices to be same as that of the input tensor "
            f"({list(input.shape)}) but got indices tensor with shape: {list(indices.shape)}"
        )
    rows, count = math.prod(lead), math.prod(size)
    places = indices.reshape(rows, -1)
    if places.numel() and not (int(places.min()) >= 0 and int(places.max()) < count):
        raise RuntimeError(f"{operation}: Found an invalid max index for an output of size {tuple(size)}")
    empty = creation.zeros((rows, count), dtype=input.dtype, device=input.device)
    return empty.scatter(1, places, input.reshape(rows, -1)).reshape(*lead, *size)


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put the maxima of `max_pool1d` back where they were, zeros elsewhere.

    output_size: where several lengths lead to the same pooled one; by default the shortest.
    """
    return _unpool("max_unpool1d", input, indices, kernel_size, stride, padding, output_size, 1)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put the maxima of `max_pool2d` back where they were, zeros elsewhere; output_size: see max_unpool1d."""
    return _unpool("max_unpool2d", input, indices, kernel_size, stride, padding, output_size, 2)
