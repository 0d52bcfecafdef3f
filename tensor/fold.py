"""Sliding blocks as columns (`unfold`) and back, overlaps summed (`fold`): each is the other's gradient."""

from tensor.autograd import Operation
from tensor.conv import to_sizes_per_dim
from tensor.operands import require_tensor


class Unfold(Operation):
    """The blocks of planes as columns. geometry: pairs, as `_geometry` returns them."""

    name = "Im2Col"
    gradients_in_words = ("the columns of grad, added up into planes",)

    def forward(self, k, x, geometry):
        self.input_hw, self.geometry = x.shape[2:], geometry
        return k.unfold(x, *geometry)

    def backward(self, k, grad):
        return (k.fold(grad, self.input_hw, *self.geometry),)


class Fold(Operation):
    """The sum of columns into planes."""

    name = "Col2Im"
    gradients_in_words = ("the blocks of grad as columns",)

    def forward(self, k, x, output_hw, geometry):
        self.geometry = geometry
        return k.fold(x, output_hw, *geometry)

    def backward(self, k, grad):
        return (k.unfold(grad, *self.geometry),)


def _geometry(operation, input, size, kernel_size, dilation, padding, stride):
    """Return pairs: kernel, number of blocks, stride, padding, dilation; RuntimeError for what cannot be."""
    kernel = to_sizes_per_dim(operation, "kernel_size", kernel_size, 2)
    dilation = to_sizes_per_dim(operation, "dilation", dilation, 2)
    padding = to_sizes_per_dim(operation, "padding", padding, 2)
    stride = to_sizes_per_dim(operation, "stride", stride, 2)
    for name, pair in (("kernel_size", kernel), ("dilation", dilation), ("stride", stride)):
        if min(pair) <= 0:
            raise RuntimeError(f"{operation}: {name} should be greater than zero, but got {pair}")
    if min(padding) < 0:
        raise RuntimeError(f"{operation}: padding should be non-negative, but got {padding}")
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"{operation}: not implemented for {input.dtype!r}; use .float()")
    sizes = zip(size, kernel, stride, padding, dilation, strict=True)
    blocks = tuple([(n + 2 * p - d * (m - 1) - 1) // s + 1 for n, m, s, p, d in sizes])
    return kernel, blocks, stride, padding, dilation


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """Return the sliding blocks of `input` as columns.

    input: (batch, channels, height, width) or (channels, height, width), float32 or float64; the result:
    (batch, channels * kernel height * kernel width, blocks) or the same without batch. Options are ints or
    pairs. RuntimeError where not a single block fits.
    """
    require_tensor("unfold", "input", input)
    if input.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if input.ndim != 4:
        kind = IndexError if input.ndim < 3 else RuntimeError
        raise kind(
            f"unfold: expected 3D or 4D input, (channels, height, width) or with a batch in front, but got: "
            f"{list(input.shape)}"
        )
    size = tuple(input.shape[2:])
    geometry = _geometry("unfold", input, size, kernel_size, dilation, padding, stride)
    kernel, blocks, steps, frame, gaps = geometry
    if min(blocks) < 1:
        raise RuntimeError(
            f"unfold: Given input with spatial size {size}, kernel_size={kernel}, dilation={gaps}, "
            f"padding={frame}, stride={steps}, calculated shape of the array of sliding blocks as {blocks}, "
            "but its components must be at least one."
        )
    return Unfold.apply(input, geometry=geometry)


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Return planes of `output_size` into which the columns of `input` are added, each where it came from.

    input: (batch, channels * kernel height * kernel width, blocks) or the same without batch, float32 or
    float64; the result: (batch, channels, *output_size). Options are ints or pairs. RuntimeError unless
    `unfold` with the same options makes as many columns of planes of that size.
    """
    require_tensor("fold", "input", input)
    if input.ndim == 2:
        return fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride).squeeze(0)
    if input.ndim != 3:
        raise RuntimeError(
            "fold: Expected 2D or 3D (batch mode) tensor for input, ([batch,] channels * kernel elements, "
            f"blocks), but got: {list(input.shape)}"
        )
    size = to_sizes_per_dim("fold", "output_size", output_size, 2)
    geometry = _geometry("fold", input, size, kernel_size, dilation, padding, stride)
    kernel, blocks, steps, frame, gaps = geometry
    rows, columns = input.shape[1:]
    if rows % (kernel[0] * kernel[1]):
        raise RuntimeError(
            "fold: Expected size of input's dimension 1 to be divisible by the product of kernel_size, but "
            f"got input.size(1)={rows} and kernel_size={kernel}."
        )
    if min(blocks) < 1 or blocks[0] * blocks[1] != columns:
        raise RuntimeError(
            f"fold: Given output_size={size}, kernel_size={kernel}, dilation={gaps}, padding={frame}, "
            f"stride={steps}, expected size of input's dimension 2 to match the calculated number of sliding "
            f"blocks {blocks[0]} * {blocks[1]} = {blocks[0] * blocks[1]}, but got input.size(2)={columns}."
        )
    return Fold.apply(input, output_hw=size, geometry=geometry)
