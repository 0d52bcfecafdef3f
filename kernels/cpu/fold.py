"""Windows of planes as columns, and the sum of columns into planes: each is the other's gradient."""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from kernels.cpu.pad import pad_constant


def _windows(planes: np.ndarray, kernel_hw, blocks_hw, stride, dilation) -> np.ndarray:
    """Return a view (n, c, kh, kw, oh, ow): for each tap of the kernel, what it meets in each block."""
    n, c = planes.shape[:2]
    batch, channel, row, column = planes.strides
    return as_strided(
        planes,
        (n, c, *kernel_hw, *blocks_hw),
        (
            batch,
            channel,
            row * dilation[0],
            column * dilation[1],
            row * stride[0],
            column * stride[1],
        ),
    )


def _frame(padding) -> tuple[tuple[int, int], ...]:
    ph, pw = padding
    return (0, 0), (0, 0), (ph, ph), (pw, pw)


def unfold(x: np.ndarray, kernel_hw, blocks_hw, stride, padding, dilation) -> np.ndarray:
    """Return the blocks of x (n, c, h, w), zeros around it, as columns (n, c * kh * kw, oh * ow)."""
    planes = pad_constant(x, _frame(padding), 0) if padding != (0, 0) else x
    windows = _windows(planes, kernel_hw, blocks_hw, stride, dilation)
    kh, kw = kernel_hw
    shape = (x.shape[0], x.shape[1] * kh * kw, blocks_hw[0] * blocks_hw[1])
    out = np.empty(windows.shape, x.dtype)
    np.copyto(out, windows)
    return out.reshape(shape)


def fold(columns: np.ndarray, output_hw, kernel_hw, blocks_hw, stride, padding, dilation) -> np.ndarray:
    """Return planes (n, c, *output_hw): the sum of columns (n, c * kh * kw, oh * ow) where they came from."""
    (h, w), (kh, kw), (oh, ow), (ph, pw) = output_hw, kernel_hw, blocks_hw, padding
    n, c = columns.shape[0], columns.shape[1] // (kh * kw)
    blocks = columns.reshape(n, c, kh, kw, oh, ow)
    planes = np.zeros((n, c, h + 2 * ph, w + 2 * pw), columns.dtype)
    windows = _windows(planes, kernel_hw, blocks_hw, stride, dilation)
    for i in range(kh):  # tap by tap: the blocks of one tap do not overlap
        for j in range(kw):
            windows[:, :, i, j] += blocks[:, :, i, j]
    return np.array(planes[:, :, ph : ph + h, pw : pw + w], order="C")
