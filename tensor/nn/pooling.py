"""Pooling as modules; the functions are in `functional`."""

from tensor.nn import functional as F
from tensor.nn.module import Module


class _MaxPool(Module):
    """The options of both sliding maxima."""

    def __init__(
        self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False
    ):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def _pool(self, function, input):
        options = (self.kernel_size, self.stride, self.padding, self.dilation)
        return function(input, *options, ceil_mode=self.ceil_mode, return_indices=self.return_indices)

    def extra_repr(self) -> str:
        """Return the options."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest of each window: (batch, channels, length) -> (batch, channels, windows)."""

    def forward(self, input):
        """Return max_pool1d(input), with indices where asked for."""
        return self._pool(F.max_pool1d, input)


class MaxPool2d(_MaxPool):
    """The largest of each window: (batch, channels, rows, columns) -> (batch, channels, down, across)."""

    def forward(self, input):
        """Return max_pool2d(input), with indices where asked for."""
        return self._pool(F.max_pool2d, input)


class _AvgPool(Module):
    """What both sliding averages print."""

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


def _single(size):
    return tuple(size) if isinstance(size, tuple | list) else (size,)


class AvgPool1d(_AvgPool):
    """The average of each window: (batch, channels, length) -> (batch, channels, windows)."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        super().__init__()
        self.kernel_size = _single(kernel_size)
        self.stride = _single(kernel_size if stride is None else stride)
        self.padding = _single(padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input):
        """Return avg_pool1d(input)."""
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )


class AvgPool2d(_AvgPool):
    """The average of each window: (batch, channels, rows, columns) -> (batch, channels, down, across)."""

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
    ):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input):
        """Return avg_pool2d(input)."""
        options = (self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)
        return F.avg_pool2d(input, *options, self.divisor_override)


class _AdaptivePool(Module):
    """What all adaptive poolings hold: the size to make."""

    def __init__(self, output_size):
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        """Return the size."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """The average of each of `output_size` windows that cover the length evenly."""

    def forward(self, input):
        """Return adaptive_avg_pool1d(input)."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePool):
    """The average of each of `output_size` windows (an int, or a pair; None keeps a size) over the plane."""

    def forward(self, input):
        """Return adaptive_avg_pool2d(input)."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class _AdaptiveMaxPool(_AdaptivePool):
    """An adaptive pooling that can tell where the largest are."""

    def __init__(self, output_size, return_indices=False):
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest of each of `output_size` windows that cover the length evenly."""

    def forward(self, input):
        """Return adaptive_max_pool1d(input), with indices where asked for."""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest of each of `output_size` windows (an int, or a pair; None keeps a size) over the plane."""

    def forward(self, input):
        """Return adaptive_max_pool2d(input), with indices where asked for."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class _LPPool(Module):
    """The options of both power-averages."""

    def __init__(self, norm_type: float, kernel_size, stride=None, ceil_mode: bool = False):
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = (
            norm_type,
            kernel_size,
            stride,
            ceil_mode,
        )

    def extra_repr(self) -> str:
        """Return the options."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The norm of each window: see `F.lp_pool1d`."""

    def forward(self, input):
        """Return lp_pool1d(input)."""
        return F.lp_pool1d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPool):
    """The norm of each window: see `F.lp_pool2d`."""

    def forward(self, input):
        """Return lp_pool2d(input)."""
        return F.lp_pool2d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class _MaxUnpool(Module):
    """The options of both."""

    dims = 1

    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__()

        def to_dims(value):
            return value if isinstance(value, tuple) else (value,) * self.dims

        self.kernel_size = to_dims(kernel_size)
        self.stride = to_dims(stride if stride is not None else kernel_size)
        self.padding = to_dims(padding)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Put the maxima of a MaxPool1d back where they were."""

    def forward(self, input, indices, output_size=None):
        """Return max_unpool1d(input, indices)."""
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpool):
    """Put the maxima of a MaxPool2d back where they were."""

    dims = 2

    def forward(self, input, indices, output_size=None):
        """Return max_unpool2d(input, indices)."""
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)
