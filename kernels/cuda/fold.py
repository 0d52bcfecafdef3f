"""Windows of planes as columns, and the sum of columns into planes: each is the other's gradient."""

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import ALL, FLOATS, INTEGERS, cuda, kernel
from kernels.cuda.memory import contiguous

_GEOMETRY = "int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, int64"


@kernel(f"{_GEOMETRY}, T*, out T*", ALL)
def _unfold(size, h, w, kh, kw, oh, ow, down, across, top, left, dilation_down, dilation_across, x, out):
    """Find for each element of the columns, (planes, kh, kw, oh, ow), the pixel it is, or the zero around."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        rest = i // ow
        column = (i - rest * ow) * across - left
        row = rest % oh * down - top
        rest = rest // oh
        column += rest % kw * dilation_across
        rest = rest // kw
        row += rest % kh * dilation_down
        plane = rest // kh
        value = T(0)  # noqa: F821
        if 0 <= row < h and 0 <= column < w:
            value = x[(plane * h + row) * w + column]
        out[i] = value


@kernel(f"{_GEOMETRY}, T*, out T*", (*FLOATS, *INTEGERS))
def _fold(size, h, w, kh, kw, oh, ow, down, across, top, left, dilation_down, dilation_across, x, out):
    """Sum up for each pixel of planes (planes, h, w), tap by tap, what the columns hold of it."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        rest = i // w
        column = i - rest * w + left
        plane = rest // h
        row = rest - plane * h + top
        total = T(0)  # noqa: F821
        for p in range(kh):
            y = row - p * dilation_down
            block_row = y // down
            if y >= 0 and block_row < oh and block_row * down == y:
                for q in range(kw):
                    z = column - q * dilation_across
                    block_column = z // across
                    if z >= 0 and block_column < ow and block_column * across == z:
                        total += x[(((plane * kh + p) * kw + q) * oh + block_row) * ow + block_column]
        out[i] = total


def unfold(x: DeviceArray, kernel_hw, blocks_hw, stride, padding, dilation) -> DeviceArray:
    """Return the blocks of x (n, c, h, w), zeros around it, as columns (n, c * kh * kw, oh * ow)."""
    n, c, h, w = x.shape
    (kh, kw), (oh, ow) = kernel_hw, blocks_hw
    out = empty((n, c * kh * kw, oh * ow), x.dtype)
    _unfold.over(
        out.size, out.size, h, w, kh, kw, oh, ow, *stride, *padding, *dilation, contiguous(x), out
    )  # fmt: skip
    return out


def fold(columns: DeviceArray, output_hw, kernel_hw, blocks_hw, stride, padding, dilation) -> DeviceArray:
    """Return planes (n, c, *output_hw): the sum of columns (n, c * kh * kw, oh * ow) where they came from."""
    (h, w), (kh, kw), (oh, ow) = output_hw, kernel_hw, blocks_hw
    out = empty((columns.shape[0], columns.shape[1] // (kh * kw), h, w), columns.dtype)
    _fold.over(
        out.size, out.size, h, w, kh, kw, oh, ow, *stride, *padding, *dilation, contiguous(columns), out
    )  # fmt: skip
    return out
