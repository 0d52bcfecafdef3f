"""Dropping elements or whole channels at random; the same seed drops what PyTorch drops."""

import math
import warnings
from typing import Any

import numpy as np

from tensor import devices, random
from tensor.autograd import Operation
from tensor.operands import require_tensor


class Dropout(Operation):
    """x * scale where kept, else 0. Saved is one byte an element, or a channel."""

    name = "Mul"
    gradients_in_words = ("grad * scale where it was kept, else 0",)

    def forward(self, k, x, kept, scale):
        self.kept, self.scale = kept, scale
        return k.keep_scaled(x, kept, scale)

    def overwrite(self, k, target, kept, scale):
        self.kept, self.scale = kept, scale
        k.keep_scaled(target, kept, scale, out=target)

    def backward(self, k, grad):
        return (k.keep_scaled(grad, self.kept, self.scale),)


def _drops(operation: str, input, p: float, training: bool) -> bool:
    """Return whether there is something to do; raise the errors that all of these functions share."""
    require_tensor(operation, "input", input)
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if p == 0.0 or not training or not input.numel():
        return False
    if not input.dtype.is_floating_point:
        raise RuntimeError(
            f"{operation}: result type Float can't be cast to the desired output type {input.dtype!r}; use "
            "x.float()"
        )
    return True


def draw(p: float, shape: tuple[int, ...], device=None) -> Any:
    """Return bools of `shape`, True with probability 1 - p; nothing is drawn where p is 1."""
    if p == 1.0:
        return devices.table(device or devices.CPU).zeros(shape, np.dtype(np.bool_))
    return random.find_generator(None, device).bernoulli(1.0 - p, shape, np.bool_)


def _draw_elements(input, p: float) -> Any:
    """Return a bool for each element, as `draw` does for channels.

    PyTorch fills a mask that lies in memory as the input does, in the order of memory; its mask of channels,
    even if there is one for each element, always lies in order.
    """
    shape, strides = input._array.shape, input._array.strides
    if input._array.flags.c_contiguous or 0 in strides:
        return draw(p, shape, input.device)
    order = sorted(range(len(shape)), key=lambda d: -strides[d])
    drawn = draw(p, tuple([shape[d] for d in order]), input.device)
    return drawn.transpose(np.argsort(order))


def scale_for(p: float) -> float:
    return 1.0 / (1.0 - p) if p < 1.0 else 0.0


def _apply(input, kept, p: float, inplace: bool):
    run = Dropout.apply_in_place if inplace else Dropout.apply
    return run(input, kept=kept, scale=scale_for(p))


def dropout(input, p=0.5, training=True, inplace=False):
    """Set each element to 0 with probability p and scale the others by 1 / (1 - p), if training.

    Draws from the default generator: the same seed drops what PyTorch drops.
    """
    if not _drops("dropout", input, p, training):
        return input
    return _apply(input, _draw_elements(input, p), p, inplace)


def _channels(operation: str, input) -> tuple[int, ...]:
    if input.ndim < 2:
        raise RuntimeError(
            f"{operation}: Feature dropout requires at least 2 dimensions in the input, got shape "
            f"{tuple(input.shape)}"
        )
    return (*input._array.shape[:2], *(1,) * (input.ndim - 2))


def _drop_channels(operation: str, input, p, training, inplace):
    if not _drops(operation, input, p, training):
        return input
    return _apply(input, draw(p, _channels(operation, input), input.device), p, inplace)


def _drop_channels_batched(operation: str, input, p, training, inplace, dims: int):
    """Drop channels of a batch, which has `dims` dims, or else of one example."""
    if input.ndim == dims:
        return _drop_channels(operation, input, p, training, inplace)
    if not inplace:
        return _drop_channels(operation, input.unsqueeze(0), p, training, False).squeeze(0)
    _drop_channels(operation, input.unsqueeze(0), p, training, True)
    return input


def dropout1d(input, p=0.5, training=True, inplace=False):
    """Set whole channels of (batch, channels, length) or (channels, length) to 0 with probability p.

    The others are scaled by 1 / (1 - p). Raises RuntimeError for an input of other dims.
    """
    require_tensor("dropout1d", "input", input)
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input; expected "
            "(batch, channels, length) or (channels, length)"
        )
    return _drop_channels_batched("dropout1d", input, p, training, inplace, 3)


def dropout2d(input, p=0.5, training=True, inplace=False):
    """Set whole channels of (batch, channels, height, width) to 0 with probability p.

    The others are scaled by 1 / (1 - p). As in PyTorch an input of 3 dims is (batch, channels, length), with
    a warning.
    """
    require_tensor("dropout2d", "input", input)
    if input.ndim not in (3, 4):
        _warn_of_dims("dropout2d", input, "3D or 4D")
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior "
            "is desired - input is interpreted as shape (N, C, L), where C is the channel dim; use dropout1d",
            stacklevel=2,
        )
    return _drop_channels("dropout2d", input, p, training, inplace)


def dropout3d(input, p=0.5, training=True, inplace=False):
    """Set whole channels of (batch, channels, depth, height, width), or of one example, to 0.

    Each with probability p; the others are scaled by 1 / (1 - p). As in PyTorch an input of other dims is one
    example, with a warning: its first dim is the channel.
    """
    require_tensor("dropout3d", "input", input)
    if input.ndim not in (4, 5):
        _warn_of_dims("dropout3d", input, "4D or 5D")
    return _drop_channels_batched("dropout3d", input, p, training, inplace, 5)


def _warn_of_dims(operation: str, input, expected: str) -> None:
    warnings.warn(
        f"{operation}: Received a {input.ndim}-D input to {operation}, which is deprecated and will result "
        f"in an error in a future release; expected {expected}. To retain the behavior and silence this "
        "warning, please use dropout instead.",
        stacklevel=3,
    )


_ALPHA = 1.7580993408473766  # the value SELU goes to, with the sign changed


def _drop_to_alpha(input, p: float, inplace: bool, kept):
    if p == 1.0:
        zeros = input.new_zeros(kept.shape)
        return input.mul_(zeros) if inplace else input * zeros
    a = 1.0 / math.sqrt((_ALPHA * _ALPHA * p + 1.0) * (1.0 - p))
    k = input._kernels
    noise = input._wrap(k.cast(kept, input._array.dtype))
    offset = (noise - 1.0).mul_(_ALPHA * a).add_(_ALPHA * a * p)
    noise.mul_(a)
    return input.mul_(noise).add_(offset) if inplace else input * noise + offset


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Set elements to SELU's lower limit with probability p, then restore mean and variance.

    Klambauer et al. 2017. input: float32 or float64, of mean 0 and variance 1.
    """
    if not _drops("alpha_dropout", input, p, training):
        return input
    return _drop_to_alpha(input, p, inplace, _draw_elements(input, p))


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Do `alpha_dropout` to whole channels of (batch, channels, ...)."""
    if not _drops("feature_alpha_dropout", input, p, training):
        return input
    return _drop_to_alpha(input, p, inplace, draw(p, _channels("feature_alpha_dropout", input), input.device))
