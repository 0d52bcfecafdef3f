"""Padding: a frame of a constant, or of the tensor's own elements (mirrored, repeated, from the far side)."""

import numpy as np

from tensor.autograd import Operation
from tensor.operands import check_range, require_tensor, to_sizes
from tensor.shape import narrow


class ConstantPad(Operation):
    """A frame of one value; negative widths crop."""

    name = "ConstantPadNd"
    gradients_in_words = ("grad without the frame",)

    def forward(self, k, x, pads, value):
        self.input_shape, self.pads = x.shape, pads
        return k.pad_constant(x, pads, value)

    def backward(self, k, grad):
        return (k.pad_constant_dx(grad, self.input_shape, self.pads),)


class BorderPad(Operation):
    """A frame of own elements: along each dim, out[i] = x[source[i]]; their gradients add up."""

    gradients_in_words = ("grad, that of the frame added to where it was copied from",)

    def forward(self, k, x, mode, borders):
        self.printed_name = f"{_NAMES[mode]}Pad{len(borders)}D"
        self.borders = []
        for dim, source, before in borders:
            self.borders.append((dim, k.from_host(source), before, x.shape[dim]))
            x = k.pad_from(x, dim, self.borders[-1][1], before)
        return x

    def backward(self, k, grad):
        for dim, source, before, size in reversed(self.borders):
            grad = k.pad_from_dx(grad, dim, source, before, size)
        return (grad,)


_NAMES = {"reflect": "Reflection", "replicate": "Replication", "circular": "Circular"}


def _source(mode: str, size: int, before: int, after: int) -> np.ndarray:
    """Return which element stands at each place of a padded dim."""
    place = np.arange(-before, size + after)
    if mode == "replicate":
        return place.clip(0, size - 1)
    if mode == "circular":
        return place % size
    mirrored = np.abs(place)
    return np.where(mirrored < size, mirrored, 2 * (size - 1) - mirrored)


def pad(input, pad, mode="constant", value=None):
    """Return `input` with a frame around it.

    input: (*) of any dtype. pad: widths (before, after) of the last dim, then of the one before it, and so
    on; negative widths crop. mode: "constant" (of `value`, 0 if None, on any number of dims), or the
    tensor's own elements on the last one, two or three dims: "reflect" (mirrored at the edge, which is not
    repeated), "replicate" (the edge) or "circular" (from the far side). RuntimeError where the elements do
    not reach that far; NotImplementedError for other numbers of dims.
    """
    require_tensor("pad", "input", input)
    if not isinstance(pad, tuple | list):
        raise TypeError(f"pad(): argument 'pad' (position 2) must be tuple of ints, not {type(pad).__name__}")
    widths = to_sizes((tuple(pad),))
    shape = tuple(input.shape)
    if len(widths) % 2:
        raise RuntimeError(
            f"pad: Padding length must be divisible by 2, got {widths}; give (before, after) for each dim"
        )
    if len(widths) > 2 * input.ndim:
        raise RuntimeError(
            "pad: Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(widths)} and input of dimension {input.ndim}"
        )
    count = len(widths) // 2
    framed = tuple((widths[2 * i], widths[2 * i + 1]) for i in reversed(range(count)))
    pads = ((0, 0),) * (input.ndim - count) + framed
    if mode == "constant":
        _check_remains(mode, shape, pads)
        value = 0 if value is None else value
        check_range(value, input._array.dtype)
        return ConstantPad.apply(input, pads=pads, value=value)
    return _pad_border(input, mode, value, pads, count)


def _pad_border(input, mode, value, pads, count):
    shape = list(input.shape)
    if mode not in _NAMES:
        raise NotImplementedError(
            f"pad: Unrecognised padding mode {mode}; use 'constant', 'reflect', 'replicate' or 'circular'"
        )
    if value is not None and value != 0:
        raise RuntimeError(f'pad: Padding mode "{mode}" doesn\'t take in value argument; leave it out')
    if not 1 <= count <= 3 or not count + 1 <= input.ndim <= count + 2:
        raise NotImplementedError(
            f"pad: Padding size {2 * count} is not supported for {input.ndim}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    _check_remains(mode, shape, pads)
    borders = []
    for dim in range(input.ndim - count, input.ndim):
        (before, after), where = pads[dim], f"padding {pads[dim]} at dimension {dim} of input {shape}"
        if mode == "circular":  # what is cropped does not come round again
            if before < 0 or after < 0:
                left, right = max(-before, 0), max(-after, 0)
                input = narrow(input, dim, left, input.shape[dim] - left - right)
                before, after = max(before, 0), max(after, 0)
            if max(before, after) > input.shape[dim]:
                raise RuntimeError(
                    f"pad: Padding value causes wrapping around more than once, got: {where}; repeat() it"
                )
        elif mode == "reflect" and max(before, after) >= shape[dim]:
            raise RuntimeError(
                "pad: Padding size should be less than the corresponding input dimension, but got: "
                f"{where}; pad by less, or use 'replicate'"
            )
        elif not shape[dim]:
            raise RuntimeError(f"pad: Expected non-zero dimensions to {mode}, but got: {where}")
        borders.append((dim, _source(mode, input.shape[dim], before, after), before))
    return BorderPad.apply(input, mode=mode, borders=borders)


def _check_remains(mode: str, shape, pads) -> None:
    """Raise RuntimeError where more is cropped than there is."""
    for dim, (size, (before, after)) in enumerate(zip(shape, pads, strict=True)):
        if mode in ("constant", "circular"):  # the others may read beyond what is cropped
            short = max(-before, 0) + max(-after, 0) > size
        else:
            short = (before < 0 or after < 0) and size + before + after < 1
        if short:
            raise RuntimeError(
                f"pad: input is too small at dimension {dim}: {size} elements cannot be cropped by "
                f"{(before, after)}"
            )
