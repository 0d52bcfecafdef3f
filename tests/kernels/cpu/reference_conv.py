"""Convolution by its definition, tap by tap in float64: what the kernels are compared with.

The arguments are those of `kernels.cpu`: x (n, c, h, w), weight (f, c / groups, kh, kw), bias (f,) or None;
stride, padding and dilation pairs of ints. Results are float64.
"""

import numpy as np


def _taps(kernel_hw, out_hw, stride, dilation):
    """Yield each tap (i, j) of the kernel and the window of the padded input that it meets."""
    for i in range(kernel_hw[0]):
        for j in range(kernel_hw[1]):
            top, left = i * dilation[0], j * dilation[1]
            rows = slice(top, top + (out_hw[0] - 1) * stride[0] + 1, stride[0])
            columns = slice(left, left + (out_hw[1] - 1) * stride[1] + 1, stride[1])
            yield i, j, (slice(None), slice(None), rows, columns)


def _pad(x, padding):
    ph, pw = padding
    return np.pad(x.astype(np.float64), ((0, 0), (0, 0), (ph, ph), (pw, pw)))


def _by_group(array, groups, dim):
    """Split dim `dim` into (groups, rest)."""
    return array.reshape(*array.shape[:dim], groups, array.shape[dim] // groups, *array.shape[dim + 1 :])


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Return how often the kernel fits."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def conv2d(x, weight, bias, stride, padding, dilation, groups):
    """Return (n, f, oh, ow)."""
    kernel_hw = weight.shape[2:]
    out_hw = tuple(map(output_size, x.shape[2:], kernel_hw, stride, padding, dilation))
    padded, filters = _pad(x, padding), _by_group(weight.astype(np.float64), groups, 0)
    out = np.zeros((x.shape[0], groups, filters.shape[1], *out_hw))
    for i, j, window in _taps(kernel_hw, out_hw, stride, dilation):
        seen = _by_group(padded[window], groups, 1)
        out += np.einsum("ngchw,gfc->ngfhw", seen, filters[..., i, j])
    out = out.reshape(x.shape[0], weight.shape[0], *out_hw)
    return out if bias is None else out + bias.astype(np.float64)[:, None, None]


def conv2d_dx(grad, weight, input_hw, stride, padding, dilation, groups):
    """Return the gradient (n, c, h, w) of x, with h, w = input_hw."""
    filters = _by_group(weight.astype(np.float64), groups, 0)
    arriving = _by_group(grad.astype(np.float64), groups, 1)
    (h, w), (ph, pw) = input_hw, padding
    padded = np.zeros((grad.shape[0], groups * weight.shape[1], h + 2 * ph, w + 2 * pw))
    for i, j, window in _taps(weight.shape[2:], grad.shape[2:], stride, dilation):
        share = np.einsum("ngfhw,gfc->ngchw", arriving, filters[..., i, j])
        padded[window] += share.reshape(padded[window].shape)
    return padded[:, :, ph : ph + h, pw : pw + w]


def conv2d_dweight(grad, x, kernel_hw, stride, padding, dilation, groups):
    """Return the gradient (f, c / groups, kh, kw) of weight, with kh, kw = kernel_hw."""
    padded, arriving = _pad(x, padding), _by_group(grad.astype(np.float64), groups, 1)
    out = np.zeros((groups, grad.shape[1] // groups, x.shape[1] // groups, *kernel_hw))
    for i, j, window in _taps(kernel_hw, grad.shape[2:], stride, dilation):
        seen = _by_group(padded[window], groups, 1)
        out[..., i, j] = np.einsum("ngfhw,ngchw->gfc", arriving, seen)
    return out.reshape(grad.shape[1], x.shape[1] // groups, *kernel_hw)
