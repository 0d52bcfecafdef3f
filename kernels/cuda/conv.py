"""Convolution of images and its gradients: products of filters and windows, of which no copy is made.

`kernels.cuda.windows` reads windows where they lie in the images, zeros included. For filters and images too
large for its tables an image is copied once to where zeros lie around it: its windows are then a view,
(groups, channels, taps, batch, positions), and `kernels.cuda.tiles` sums up products over any of these dims.
The input's gradient with a stride is as many convolutions of the gradient as the stride has steps, each with
the taps that meet one in every so many pixels.
"""

import itertools
import math

from kernels.activations import check_activation
from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.channels import sum_channels
from kernels.cuda.memory import contiguous, write, zeros
from kernels.cuda.tiles import contract
from kernels.cuda.windows import Windows, correlate, multiply


def _framed(x: DeviceArray, low, high) -> DeviceArray:
    """Return planes (n, c, h, w) with zeros before and after: pairs (rows, columns)."""
    if low == (0, 0) == high:
        return x
    n, c, h, w = x.shape
    out = zeros((n, c, h + low[0] + high[0], w + low[1] + high[1]), x.dtype)
    if x.size:
        write(out[:, :, low[0] : low[0] + h, low[1] : low[1] + w], x)
    return out


def _windows(x: DeviceArray, kernel, positions, stride, padding, dilation, groups) -> DeviceArray:
    """Return a view (groups, channels of a group, kh, kw, n, oh, ow) of the windows of images."""
    planes = _framed(x, padding, padding)
    n, c = x.shape[:2]
    batch, channel, row, column = planes.strides
    return planes.strided(
        (groups, c // groups, *kernel, n, *positions),
        (
            c // groups * channel, channel, dilation[0] * row, dilation[1] * column,
            batch, stride[0] * row, stride[1] * column,
        ),
    )  # fmt: skip


def _by_group(planes: DeviceArray, groups: int) -> DeviceArray:
    """Return planes (n, c, h, w) as a view (groups, channels of a group, n, h, w)."""
    n, c, h, w = planes.shape
    batch, channel, row, column = planes.strides
    within = c // groups
    strides = (within * channel, channel, batch, row, column)
    return planes.strided((groups, within, n, h, w), strides, writable=True)


def _split(filters: DeviceArray, groups: int) -> DeviceArray:
    """Return filters (f, c, kh, kw) as a view (groups, filters of a group, c, kh, kw)."""
    first, *rest = filters.strides
    f = len(filters) // groups
    return filters.strided((groups, f, *filters.shape[1:]), (f * first, first, *rest), writable=True)


def _places(kernel, positions, stride, padding, dilation) -> Windows:
    origin = (-padding[0], -padding[1])
    return Windows(tuple(kernel), tuple(positions), origin, tuple(dilation), tuple(stride))


def conv2d(x, weight, bias, stride, padding, dilation, groups, activation: str | None = None) -> DeviceArray:
    """Return the convolution of images x with filters, plus bias (f,) or None: (n, f, oh, ow).

    activation: a formula applied to it, one of `kernels.activations.ACTIVATIONS`; ValueError for others.
    """
    check_activation(activation, "conv2d")
    filters, _, *kernel = weight.shape
    positions = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    ]
    out = empty((len(x), filters, *positions), x.dtype)
    if not out.size:
        return out
    places = _places(kernel, positions, stride, padding, dilation)
    if x.size and places.serve(x):  # without channels there is nothing to sum up
        multiply(_split(weight, groups), x, places, _by_group(out, groups), bias, activation or "")
        return out
    addend = None
    if bias is not None:
        (step,) = bias.strides
        addend = bias.strided((groups, filters // groups, 1, 1, 1), (filters // groups * step, step, 0, 0, 0))
    windows = _windows(x, kernel, positions, stride, padding, dilation, groups)
    contract(_split(weight, groups), windows, _by_group(out, groups), 1, 3, addend, activation or "")
    return out


def conv2d_dx(grad, weight, input_size, stride, padding, dilation, groups) -> DeviceArray:
    """Return the gradient of images of input_size (h, w): (n, c, h, w).

    It is also the transposed convolution of `grad`.
    """
    kernel, positions = weight.shape[2:], grad.shape[2:]
    shape = (len(grad), weight.shape[1] * groups, *input_size)
    if not (math.prod(shape) and grad.size and weight.size):
        return zeros(shape, grad.dtype)
    filters = _split(weight, groups).transpose(0, 2, 3, 4, 1)  # (groups, c, kh, kw, f)
    apart = [
        n == 1 or d * (k - 1) < s for n, k, s, d in zip(positions, kernel, stride, dilation, strict=True)
    ]
    if apart[0] and apart[1]:
        return _write_apart(grad, filters, shape, stride, padding, dilation)
    # Where there is one position no other is a stride away: any stride is as good, and 1 is quick.
    stride = [s if n > 1 else 1 for s, n in zip(stride, positions, strict=True)]
    down, across = (
        [
            _Taps(first, size, positions[d], kernel[d], stride[d], padding[d], dilation[d])
            for first in range(min(stride[d], size))
        ]
        for d, size in enumerate(input_size)
    )
    met_everywhere = all(taps.count for taps in (*down, *across))
    out = empty(shape, grad.dtype) if met_everywhere else zeros(shape, grad.dtype)
    pixels = _by_group(out, groups)
    for i, j in itertools.product(down, across):
        if i.count and j.count:
            part = pixels[:, :, :, i.first :: stride[0], j.first :: stride[1]]
            met = filters[:, :, i.taps, j.taps]
            places = Windows(
                (i.count, j.count), part.shape[3:], (i.place, j.place), (-i.place_step, -j.place_step), (1, 1)
            )
            if places.serve(grad):
                multiply(met.transpose(0, 1, 4, 2, 3), grad, places, part)
            else:
                contract(met, _windows_of_gradient(grad, i, j, part, groups), part, 1, 3)
    return out


def _windows_of_gradient(grad, i: "_Taps", j: "_Taps", part: DeviceArray, groups: int) -> DeviceArray:
    """Return a view (groups, taps down, taps across, f, n, h, w) of what some taps meet at some pixels."""
    # Zeros around the gradient, as far as any tap reaches out.
    gradients = _by_group(_framed(grad, (i.low, j.low), (i.high, j.high)), groups)
    group, f, batch, row, column = gradients.strides
    return gradients.strided(
        (groups, i.count, j.count, gradients.shape[1], *part.shape[2:]),
        (group, -i.place_step * row, -j.place_step * column, f, batch, row, column),
        (i.place + i.low) * row + (j.place + j.low) * column,
    )


class _Taps:
    """The taps that meet the pixels number `first` and every `stride` further, along one dim.

    Tap number i of these meets at pixel number m of these the gradient's place `m + place - i * place_step`.
    low, high: how far that reaches out before and after the gradient.
    """

    def __init__(self, first, size, positions, kernel, stride, padding, dilation):
        met = [k for k in range(kernel) if (first + padding - k * dilation) % stride == 0]
        self.first, self.count = first, len(met)
        self.low = self.high = 0
        if met:
            common = math.gcd(stride, dilation)
            self.taps, self.place_step = slice(met[0], None, stride // common), dilation // common
            self.place = (first + padding - met[0] * dilation) // stride
            self.low = max(0, (self.count - 1) * self.place_step - self.place)
            self.high = max(0, self.place + (size - 1 - first) // stride - (positions - 1))


def _write_apart(grad, filters, shape, stride, padding, dilation) -> DeviceArray:
    """Return the input's gradient where no two windows have a pixel in common: what each brings is it.

    filters: (groups, c, kh, kw, f).
    """
    n, channels, h, w = shape
    groups, within, *kernel = filters.shape[:-1]
    framed = zeros((n, channels, h + 2 * padding[0], w + 2 * padding[1]), grad.dtype)
    batch, channel, row, column = framed.strides
    windows = framed.strided(
        (groups, within, *kernel, n, *grad.shape[2:]),
        (
            within * channel, channel, dilation[0] * row, dilation[1] * column,
            batch, stride[0] * row, stride[1] * column,
        ),
        writable=True,
    )  # fmt: skip
    contract(filters, _by_group(grad, groups), windows, 1, 1)
    return contiguous(framed[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w])


def conv2d_dparameters(grad, x, kernel, stride, padding, dilation, groups) -> tuple[DeviceArray, DeviceArray]:
    """Return the gradients of the filters and of the biases (f,)."""
    return conv2d_dweight(grad, x, kernel, stride, padding, dilation, groups), sum_channels(grad)


def conv2d_dweight(grad, x, kernel, stride, padding, dilation, groups) -> DeviceArray:
    """Return the gradient of the filters: (f, c / groups, kh, kw) for a kernel (kh, kw)."""
    shape = grad.shape[1], x.shape[1] // groups, *kernel
    if not (grad.size and x.size and math.prod(shape)):
        return zeros(shape, x.dtype)
    places = _places(kernel, grad.shape[2:], stride, padding, dilation)
    if places.serve(x):
        return correlate(_by_group(grad, groups), x, places)
    out = empty(shape, x.dtype)
    windows = _windows(x, kernel, grad.shape[2:], stride, padding, dilation, groups)
    contract(_by_group(grad, groups), windows.transpose(0, 4, 5, 6, 1, 2, 3), _split(out, groups), 1, 3)
    return out
