"""Pooling over windows of one or two dims: the largest element of each, or the average.

Inputs are (batch, channels, length) or (batch, channels, rows, columns); the batch dim may be left out.
"""

import functools
import operator

from tensor import dtypes
from tensor.autograd import Operation
from tensor.operands import require_tensor


class MaxPool(Operation):
    """The largest of each window; the gradient goes where it was found."""

    name = "MaxPool2DWithIndices"
    gradients_in_words = ("grad to the largest of each window, else 0",)

    def forward(self, k, x, windows, found=None):
        """found: what `k.max_pool` gave, where the caller has asked already."""
        self.windows = windows
        out, places = found or k.max_pool(x, windows, self.needs[0])
        self.saved = (places,)
        return out

    def backward(self, k, grad):
        return (k.max_pool_dx(grad, self.saved[0], self.windows),)


class AdaptiveMaxPool(MaxPool):
    """The largest of each window, where the windows cover the input evenly."""

    name = "AdaptiveMaxPool2D"


class AvgPool(Operation):
    """The average of each window; each of its elements gets an equal share of the gradient."""

    name = "AvgPool2D"
    gradients_in_words = ("grad / count, to each element of a window",)

    def forward(self, k, x, windows, include_pad=True, divisor=None):
        self.how = (windows, include_pad, divisor)
        return k.average_pool(x, *self.how)

    def backward(self, k, grad):
        return (k.average_pool_dx(grad, *self.how),)


class AdaptiveAvgPool(AvgPool):
    """The average of each window, where the windows cover the input evenly."""

    name = "AdaptiveAvgPool2D"

    def forward(self, k, x, windows):
        if len(windows) == 2 and all(window.first.size == 1 for window in windows):
            self.printed_name, self.overload = "Mean", 1  # as PyTorch computes and calls it
        return super().forward(k, x, windows)


# --- checks ----------------------------------------------------------------------------------------------


def _index(operation: str, argument: str, value) -> int:
    if not isinstance(value, bool | float):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{operation}: argument {argument!r} must be int or tuple of ints, not {value!r}")


def _sizes(operation: str, argument: str, value, dims: int) -> tuple[int, ...]:
    """Return `value`, an int or a sequence of one or `dims` ints, as `dims` ints."""
    if type(value) is int:
        return (value,) * dims
    if not isinstance(value, tuple | list):
        return (_index(operation, argument, value),) * dims
    if len(value) not in (1, dims):
        wanted = "an int, or a tuple of " + ("one int" if dims == 1 else "two ints")
        raise RuntimeError(f"{operation}: {argument} must be {wanted}, got {tuple(value)}")
    sizes = tuple(_index(operation, argument, v) for v in value)
    return sizes if len(sizes) == dims else sizes * dims


def _expected(dims: int) -> str:
    return "expected an input of shape " + (
        "(channels, length) or (batch, channels, length)"
        if dims == 1
        else "(channels, rows, columns) or (batch, channels, rows, columns)"
    )


def _check_shape(operation: str, shape: tuple[int, ...], dims: int, filled_from: int) -> None:
    """Raise RuntimeError unless `dims` dims follow the channels, and none is empty from `filled_from` on."""
    if len(shape) not in (dims + 1, dims + 2):
        raise RuntimeError(f"{operation}: {_expected(dims)}, got {shape}")
    if 0 in shape[filled_from:]:
        raise RuntimeError(f"{operation}: {_expected(dims)}, only the batch may be empty, got {shape}")


def _slide(make, operation, size, kernel, stride, padding, dilation, ceil_mode):
    """Return the windows that `make` makes of a dim's options, ints; RuntimeError if none fits."""
    for argument, value in (("kernel_size", kernel), ("stride", stride), ("dilation", dilation)):
        if value <= 0:
            raise RuntimeError(f"{operation}: {argument} must be greater than zero, got {value}")
    if padding < 0:
        raise RuntimeError(f"{operation}: padding must be non-negative, got {padding}")
    reach = (kernel - 1) * dilation + 1
    if padding > reach // 2:
        raise RuntimeError(
            f"{operation}: pad should be at most half of effective kernel size, {reach // 2}, but got "
            f"pad={padding}, kernel_size={kernel} and dilation={dilation}; pad the input first"
        )
    count = (size + 2 * padding - reach + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1  # the last window would start in the padding on the right
    if count < 1:
        raise RuntimeError(
            f"{operation}: Output size is too small: a window of {reach} does not fit a dim of {size} padded "
            f"by {padding}; use a smaller kernel_size"
        )
    return make(size, count, kernel, stride, padding, dilation)


def _sliding(operation, input, dims, *options) -> tuple:
    """Return the windows of a pooling's options (kernel_size, stride, padding, ...), checked."""
    require_tensor(operation, "input", input)
    make = input._kernels.sliding_windows
    try:
        return _kept_windows(make, operation, input._array.shape, dims, *options)
    except TypeError:  # a list among the options, which has no hash; or an error, raised again
        return _make_windows(make, operation, input._array.shape, dims, *options)


def _make_windows(make, operation, shape, dims, kernel_size, stride, padding, dilation, ceil_mode) -> tuple:
    _check_shape(operation, shape, dims, len(shape) - dims - 1)
    kernel = _sizes(operation, "kernel_size", kernel_size, dims)
    stride = kernel if stride is None or stride in ((), []) else _sizes(operation, "stride", stride, dims)
    padding = _sizes(operation, "padding", padding, dims)
    dilation = _sizes(operation, "dilation", dilation, dims)
    ceil_mode = bool(ceil_mode)
    return tuple(
        [
            _slide(make, operation, shape[d - dims], kernel[d], stride[d], padding[d], dilation[d], ceil_mode)
            for d in range(dims)
        ]
    )


_kept_windows = functools.lru_cache(512, typed=True)(_make_windows)  # typed: True is not 1 here


def _adaptive(operation, input, dims, output_size, filled_from) -> tuple:
    """Return the windows that make `output_size` of the last dims, checked; None keeps a dim's size."""
    require_tensor(operation, "input", input)
    shape = tuple(input.shape)
    if output_size is None:
        raise TypeError(f"{operation}: argument 'output_size' must be int or tuple of ints, not None")
    wanted = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size,) * dims
    if isinstance(output_size, tuple | list) and dims == 2 and len(shape) <= len(wanted):
        raise ValueError(f"{operation}: {_expected(dims)}, got {shape}")
    if len(wanted) != dims:
        raise RuntimeError(f"{operation}: output_size must be {dims} sizes or one int, got {wanted}")
    counts = [
        n if count is None else _index(operation, "output_size", count)
        for n, count in zip(shape[-dims:], wanted, strict=False)
    ]
    if filled_from < 0 and set(counts) == {1}:
        filled_from = len(shape)  # as PyTorch, the one average of nothing is nan
    _check_shape(operation, shape, dims, filled_from)
    if min(counts) < 0:
        raise RuntimeError(f"{operation}: output_size must be greater than or equal to 0, got {wanted}")
    return tuple(map(input._kernels.adaptive_windows, shape[-dims:], counts))


_INTEGERS = (dtypes.int64, dtypes.int32, dtypes.uint8)  # have a largest; adaptive windows want floats


def _check_type(operation, input, *others) -> None:
    if input._array.dtype.kind != "f" and input.dtype not in others:
        raise NotImplementedError(
            f"{operation}: not implemented for {input.dtype!r}; expected a floating point tensor, "
            "use x.float()"
        )


# --- the largest -----------------------------------------------------------------------------------------


def _max(function, input, windows, with_indices):
    """Return the largest of each window, and where they are, if asked for, in the flattened pooled dims."""
    if not with_indices:
        return function.apply(input, windows=windows)
    k = input._kernels
    out, places = k.max_pool(input._array, windows, True)
    indices = input._wrap(k.max_pool_indices(places, windows))
    return function.apply(input, windows=windows, found=(out, places)), indices


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Return the largest of each window, with `return_indices` also where it is: int64 into the length.

    input: (channels, length), with a batch dim or none. stride: kernel_size if None. padding, at most half
    the window, never wins. dilation: the distance of a window's elements. ceil_mode: windows may pass the
    end. nan is the largest.
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode)
    windows = _sliding("max_pool1d", input, 1, *options)
    _check_type("max_pool1d", input, *_INTEGERS)
    return _max(MaxPool, input, windows, return_indices)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Return the largest of each window, with `return_indices` also where it is: int64 into the flat plane.

    input: (channels, rows, columns) or (batch, channels, rows, columns); sizes are ints, or pairs (down,
    across). stride: kernel_size if None. padding, at most half the window, never wins. dilation: the distance
    of a window's elements. ceil_mode: windows may pass the end. nan is the largest.
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode)
    windows = _sliding("max_pool2d", input, 2, *options)
    _check_type("max_pool2d", input, *_INTEGERS)
    return _max(MaxPool, input, windows, return_indices)


def max_pool1d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Return (values, indices) of `max_pool1d`."""
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool2d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Return (values, indices) of `max_pool2d`."""
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def adaptive_max_pool1d(input, output_size, return_indices=False):
    """Return the largest of each of `output_size` windows that cover the length evenly.

    input: (channels, length) or (batch, channels, length). With `return_indices` also int64 places.
    """
    windows = _adaptive("adaptive_max_pool1d", input, 1, output_size, 1)
    _check_type("adaptive_max_pool1d", input)
    return _max(AdaptiveMaxPool, input, windows, return_indices)


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """Return the largest of each of `output_size` windows that cover the plane evenly.

    input: (channels, rows, columns), with a batch dim or none. output_size: an int for both, or a pair; None
    in it keeps the input's size. With `return_indices` also int64 places in the flattened plane.
    """
    windows = _adaptive("adaptive_max_pool2d", input, 2, output_size, 1)
    _check_type("adaptive_max_pool2d", input)
    return _max(AdaptiveMaxPool, input, windows, return_indices)


def adaptive_max_pool1d_with_indices(input, output_size):
    """Return (values, indices) of `adaptive_max_pool1d`."""
    return adaptive_max_pool1d(input, output_size, True)


def adaptive_max_pool2d_with_indices(input, output_size):
    """Return (values, indices) of `adaptive_max_pool2d`."""
    return adaptive_max_pool2d(input, output_size, True)


# --- the average -----------------------------------------------------------------------------------------


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """Return the average of each window.

    input: (channels, length), with a batch dim or none. stride: kernel_size if None. padding: zeros on both
    sides, at most half the window; they count unless `count_include_pad` is false. ceil_mode: windows may
    pass the end.
    """
    windows = _sliding("avg_pool1d", input, 1, kernel_size, stride, padding, 1, ceil_mode)
    _check_type("avg_pool1d", input, dtypes.int64)
    return AvgPool.apply(input, windows=windows, include_pad=bool(count_include_pad))


def avg_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """Return the average of each window, or its sum divided by `divisor_override`.

    input: (channels, rows, columns), with a batch dim or none; sizes are ints, or pairs (down, across).
    stride: kernel_size if None. padding: zeros around, at most half the window; they count unless
    `count_include_pad` is false. ceil_mode: windows may pass the end.
    """
    if hasattr(input, "_array") and input.ndim < 3:
        raise IndexError(f"avg_pool2d: {_expected(2)}, got {tuple(input.shape)}")  # the type PyTorch raises
    windows = _sliding("avg_pool2d", input, 2, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None:
        divisor_override = _index("avg_pool2d", "divisor_override", divisor_override)
        if divisor_override == 0:
            raise RuntimeError("avg_pool2d: divisor must be not zero, got divisor_override=0; leave it out")
    _check_type("avg_pool2d", input, dtypes.int64)
    return AvgPool.apply(
        input, windows=windows, include_pad=bool(count_include_pad), divisor=divisor_override
    )


def adaptive_avg_pool1d(input, output_size):
    """Return the average of each of `output_size` windows that cover the length evenly.

    input: (channels, length) or (batch, channels, length).
    """
    windows = _adaptive("adaptive_avg_pool1d", input, 1, output_size, -1)
    _check_type("adaptive_avg_pool1d", input)
    return AdaptiveAvgPool.apply(input, windows=windows)


def adaptive_avg_pool2d(input, output_size):
    """Return the average of each of `output_size` windows that cover the plane evenly.

    input: (channels, rows, columns), with a batch dim or none. output_size: an int for both, or a pair; None
    in it keeps the input's size.
    """
    windows = _adaptive("adaptive_avg_pool2d", input, 2, output_size, -2)
    _check_type("adaptive_avg_pool2d", input)
    return AdaptiveAvgPool.apply(input, windows=windows)
