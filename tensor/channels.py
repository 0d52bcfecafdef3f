"""Moving numbers between channels and space, and among channels."""

import math

from tensor.autograd import Operation
from tensor.operands import require_tensor


class _Rearrange(Operation):
    """The same numbers: split into dims, permuted, joined to a shape."""

    gradients_in_words = ("grad, put back in order",)

    def forward(self, k, x, split, order, shape, name):
        self.printed_name, self.split, self.order, self.input_shape = name, split, order, tuple(x.shape)
        return k.copy(k.permute(x.reshape(split), order)).reshape(shape)

    def backward(self, k, grad):
        middle = tuple(self.split[d] for d in self.order)
        back = tuple(self.order.index(d) for d in range(len(self.order)))
        return (k.permute(grad.reshape(middle), back).reshape(self.input_shape),)


def _check(operation: str, input, factor, name: str) -> None:
    require_tensor(operation, "input", input)
    if input.ndim < 3:
        raise RuntimeError(
            f"{operation} expects input to have at least 3 dimensions, but got input with {input.ndim} "
            "dimension(s)"
        )
    if factor <= 0:
        raise RuntimeError(f"{operation} expects a positive {name}, but got {factor}")


def pixel_shuffle(input, upscale_factor):
    """Make images `upscale_factor` times as large of channels: (*, C * r * r, H, W) -> (*, C, H * r, W * r).

    Shi et al. 2016.
    """
    r = upscale_factor
    _check("pixel_shuffle", input, r, "upscale_factor")
    *lead, channels, height, width = input.shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
            f"upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}"
        )
    split = (math.prod(lead), channels // (r * r), r, r, height, width)
    shape = (*lead, channels // (r * r), height * r, width * r)
    return _Rearrange.apply(input, split=split, order=(0, 1, 4, 2, 5, 3), shape=shape, name="PixelShuffle")


def pixel_unshuffle(input, downscale_factor):
    """Undo `pixel_shuffle`: (*, C, H * r, W * r) -> (*, C * r * r, H, W)."""
    r = downscale_factor
    _check("pixel_unshuffle", input, r, "downscale_factor")
    *lead, channels, height, width = input.shape
    for name, size in (("height", height), ("width", width)):
        if size % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but {size} is not "
                f"divisible by {r}"
            )
    split = (math.prod(lead), channels, height // r, r, width // r, r)
    shape = (*lead, channels * r * r, height // r, width // r)
    return _Rearrange.apply(input, split=split, order=(0, 1, 3, 5, 2, 4), shape=shape, name="PixelUnshuffle")


def channel_shuffle(input, groups):
    """Mix `groups` groups of channels of (batch, channels, ...): the first of each, then the second of each.

    Zhang et al. 2018.
    """
    _check("channel_shuffle", input, groups, "number of groups")
    batch, channels, *rest = input.shape
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and {groups} groups."
        )
    split = (batch, groups, channels // groups, math.prod(rest))
    return _Rearrange.apply(
        input, split=split, order=(0, 2, 1, 3), shape=tuple(input.shape), name="ChannelShuffle"
    )
