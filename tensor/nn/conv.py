"""Convolution layers: weights over one to three spatial dims, and their transposes."""

import functools
import math

from tensor import conv, creation, volumes
from tensor.nn import init
from tensor.nn.module import Module
from tensor.nn.parameter import Parameter
from tensor.operands import to_sizes
from tensor.pad import pad

_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What the layers share: the options, the parameters and how they start."""

    dims: int  # spatial ones
    transposed = False

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding,
        output_padding,
        dilation,
        groups,
        bias,
        padding_mode,
        device,
        dtype,
    ):
        super().__init__()
        name = type(self).__name__
        in_channels = conv.to_count(name, "in_channels", in_channels)
        out_channels = conv.to_count(name, "out_channels", out_channels)
        groups = conv.to_count(name, "groups", groups)
        if groups <= 0:
            raise ValueError(f"{name}: groups must be a positive integer, got {groups}")
        for side, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name}: {side} must be divisible by groups, got {channels} and {groups}")
        if padding_mode not in _MODES:
            raise ValueError(
                f"{name}: padding_mode must be one of {_MODES}, but got padding_mode={padding_mode!r}"
            )

        def to_dims(option, value):
            return conv.to_sizes_per_dim(name, option, value, self.dims)

        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = to_dims("kernel_size", kernel_size), to_dims("stride", stride)
        self.padding = padding
        if self.transposed or not isinstance(padding, str):
            self.padding = to_dims("padding", padding)
        self.dilation = to_dims("dilation", dilation)
        self.output_padding = to_dims("output_padding", output_padding)
        self.padding_mode = padding_mode
        self._frame = self._widths()
        if self.transposed:
            shape = (in_channels, out_channels // groups, *self.kernel_size)
        else:
            shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(creation.empty(shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(creation.empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _widths(self) -> list[int]:
        """Return the padding as `F.pad` takes it: (before, after) of the last dim first."""
        if not isinstance(self.padding, str):
            return [n for n in reversed(self.padding) for _ in range(2)]
        if self.padding not in ("same", "valid"):
            raise ValueError(
                f"{type(self).__name__}: Invalid padding string {self.padding!r}, should be one of "
                "('same', 'valid')"
            )
        if self.padding == "valid":
            return [0, 0] * self.dims
        if any(n != 1 for n in self.stride):
            raise ValueError(
                f"{type(self).__name__}: padding='same' is not supported for strided convolutions, got "
                f"stride={self.stride}"
            )
        around = [d * (n - 1) for n, d in zip(self.kernel_size, self.dilation, strict=True)]
        return [width for n in reversed(around) for width in (n // 2, n - n // 2)]

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, in that order, from the default generator."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as PyTorch: the bound is 1 / sqrt(fan_in)
        if self.bias is not None:
            fan_in = self.weight.shape[1] * math.prod(self.kernel_size)
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """Return the sizes, and the options that are not the usual ones."""
        parts = [f"{self.in_channels}, {self.out_channels}"]
        parts.append(f"kernel_size={self.kernel_size}, stride={self.stride}")
        usual: dict[str, object] = {"padding": (0,) * self.dims, "dilation": (1,) * self.dims}
        usual |= {"output_padding": (0,) * self.dims, "groups": 1}
        parts += [
            f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value
        ]
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _Correlation(_Convolution):
    """The layers that are no transposes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, 0, dilation, groups, bias, padding_mode,
            device, dtype,
        )  # fmt: skip

    def _convolve(self, function, input):
        weight, bias, padding = self._parameter("weight"), self._parameter("bias"), self.padding
        if self.padding_mode != "zeros":
            input, padding = pad(input, self._frame, self.padding_mode), 0
        return function(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Correlation):
    """The cross-correlation of (batch, in_channels, length) with filters, plus a bias: see `F.conv1d`.

    padding: an int, "valid" or "same"; padding_mode: what it consists of, "zeros" or the input's own
    elements ("reflect", "replicate", "circular", as in `F.pad`). weight: (out_channels, in_channels / groups,
    kernel_size), bias: (out_channels,); both start uniform in [-k, k], k = 1 / sqrt(in_channels / groups *
    kernel_size).
    """

    dims = 1

    def forward(self, input):
        """Return (batch, out_channels, length') or, of an input without batch, (out_channels, length')."""
        return self._convolve(conv.conv1d, input)


class Conv2d(_Correlation):
    """The cross-correlation of (batch, in_channels, height, width) with filters, plus a bias.

    kernel_size, stride, padding and dilation are ints or pairs; for what they mean see `Conv1d`. weight:
    (out_channels, in_channels / groups, *kernel_size), bias: (out_channels,); both start uniform in [-k, k],
    k = 1 / sqrt(in_channels / groups * kernel height * kernel width).
    """

    dims = 2

    def forward(self, input):
        """Return (batch, out_channels, height', width'), or the same without batch."""
        return self._convolve(conv.conv2d, input)

    def forward_and(self, activation: str, input):
        """Return a formula of what `forward` returns; see `tensor.nn.fusion`."""
        return self._convolve(functools.partial(conv.conv2d_and, activation), input)


class Conv3d(_Correlation):
    """The cross-correlation of (batch, in_channels, depth, height, width) with filters, plus a bias.

    kernel_size, stride, padding and dilation are ints or triples; for what they mean see `Conv1d`. weight:
    (out_channels, in_channels / groups, *kernel_size), bias: (out_channels,); both start uniform in [-k, k],
    k = 1 / sqrt(in_channels / groups * the kernel's size).
    """

    dims = 3

    def forward(self, input):
        """Return (batch, out_channels, depth', height', width'), or the same without batch."""
        return self._convolve(volumes.conv3d, input)


class _TransposedConvolution(_Convolution):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups: int = 1,
        bias: bool = True,
        dilation=1,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ):
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, output_padding, dilation, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def _output_padding(self, input, output_size) -> tuple[int, ...]:
        """Return the output_padding that leads to `output_size`: (*spatial) or a whole shape."""
        if output_size is None:
            return self.output_padding
        lead = input.ndim - self.dims
        wanted = to_sizes((tuple(output_size),))
        if len(wanted) == input.ndim:
            wanted = wanted[lead:]
        if len(wanted) != self.dims:
            raise ValueError(
                f"{type(self).__name__}: for {input.ndim}D input, output_size must have {self.dims} or "
                f"{input.ndim} elements (got {len(wanted)})"
            )
        sizes = zip(
            input.shape[lead:], self.kernel_size, self.stride, self.padding, self.dilation, strict=True
        )
        least = [(n - 1) * s - 2 * p + d * (m - 1) + 1 for n, m, s, p, d in sizes]
        most = [n + s - 1 for n, s in zip(least, self.stride, strict=True)]
        if any(not low <= n <= high for low, n, high in zip(least, wanted, most, strict=True)):
            raise ValueError(
                f"{type(self).__name__}: requested an output size of {list(wanted)}, but valid sizes range "
                f"from {least} to {most} (for an input of {tuple(input.shape[lead:])})"
            )
        return tuple(n - low for n, low in zip(wanted, least, strict=True))

    def _transpose(self, function, input, output_size):
        extra = self._output_padding(input, output_size)
        weight, bias = self._parameter("weight"), self._parameter("bias")
        return function(input, weight, bias, self.stride, self.padding, extra, self.groups, self.dilation)


class ConvTranspose1d(_TransposedConvolution):
    """The transpose of `Conv1d`, which takes its outputs for inputs: see `F.conv_transpose1d`.

    input: (batch, in_channels, length). weight: (in_channels, out_channels / groups, kernel_size), bias:
    (out_channels,); both start uniform in [-k, k], k = 1 / sqrt(out_channels / groups * kernel_size).
    """

    dims = 1

    def forward(self, input, output_size=None):
        """Return (batch, out_channels, length'); output_size: the length' meant."""
        return self._transpose(conv.conv_transpose1d, input, output_size)


class ConvTranspose2d(_TransposedConvolution):
    """The transpose of `Conv2d`, which takes its outputs for inputs: see `F.conv_transpose2d`.

    input: (batch, in_channels, height, width). weight: (in_channels, out_channels / groups, *kernel_size),
    bias: (out_channels,); both start uniform in [-k, k], k = 1 / sqrt(out_channels / groups * kernel height *
    kernel width).
    """

    dims = 2

    def forward(self, input, output_size=None):
        """Return (batch, out_channels, height', width'); output_size: the (height', width') meant."""
        return self._transpose(conv.conv_transpose2d, input, output_size)
