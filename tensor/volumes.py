"""Convolution over three spatial dims, made of convolutions of planes."""

from tensor.conv import conv2d, to_sizes_per_dim
from tensor.engine import Tensor
from tensor.pad import pad

_DIMS = 3


def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Return the cross-correlation of `input` with `weight`, plus `bias`, over depth, height and width.

    input: (batch, channels, depth, height, width), or the same without batch; weight: (filters, channels /
    groups, kernel depth, kernel height, kernel width); bias: (filters,) or None. Each of stride, padding and
    dilation is an int or a triple; padding may be "same" or "valid". See `conv1d` for what they mean.
    """
    for name, given in (("input", input), ("weight", weight)):
        if not isinstance(given, Tensor):
            raise TypeError(f"conv3d: {name} must be a Tensor, got {type(given).__name__}")
    if weight.ndim != _DIMS + 2 or input.ndim not in (_DIMS + 1, _DIMS + 2):
        raise RuntimeError(
            "conv3d: expected an input of 4 or 5 dims (batch, channels, depth, height, width) and a weight "
            f"of 5, got {tuple(input.shape)} and {tuple(weight.shape)}"
        )
    if input.ndim == _DIMS + 1:
        return conv3d(input.unsqueeze(0), weight, bias, stride, padding, dilation, groups).squeeze(0)
    if input.shape[1] != weight.shape[1] * groups:
        raise RuntimeError(
            f"conv3d: weight {tuple(weight.shape)} with groups={groups} needs an input of "
            f"{weight.shape[1] * groups} channels, got {input.shape[1]}"
        )
    strides = to_sizes_per_dim("conv3d", "stride", stride, _DIMS)
    dilations = to_sizes_per_dim("conv3d", "dilation", dilation, _DIMS)
    spans = [d * (n - 1) for d, n in zip(dilations, weight.shape[2:], strict=True)]
    if padding == "same":
        if any(n != 1 for n in strides):
            raise RuntimeError("padding='same' is not supported for strided convolutions")
        input, padding = pad(input, [w for n in reversed(spans) for w in (n // 2, n - n // 2)]), 0
    around = (0,) * _DIMS if padding == "valid" else to_sizes_per_dim("conv3d", "padding", padding, _DIMS)
    if around[0]:
        input = pad(input, (0, 0, 0, 0, around[0], around[0]))
    batch, channels, depth = input.shape[:3]
    if depth <= spans[0]:
        raise RuntimeError(f"conv3d: the kernel's depth spans {spans[0] + 1}, more than the input's {depth}")
    # each window along the depth becomes a plane whose channels are the channels of its slices
    windows = input.unfold(2, spans[0] + 1, strides[0])[..., :: dilations[0]]
    slices = windows.shape[-1]
    planes = windows.permute(0, 2, 1, 5, 3, 4)
    count = planes.shape[1]
    planes = planes.reshape(batch * count, channels * slices, *input.shape[3:])
    filters = weight.reshape(weight.shape[0], -1, *weight.shape[3:])
    found = conv2d(planes, filters, bias, strides[1:], around[1:], dilations[1:], groups)
    return found.reshape(batch, count, *found.shape[1:]).transpose(1, 2)
