"""Layers around `F.unfold` and `F.fold`."""

from tensor import fold
from tensor.nn.module import Module


class _Blocks(Module):
    def __init__(self, kernel_size, dilation, padding, stride):
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def extra_repr(self) -> str:
        """Return the options."""
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Unfold(_Blocks):
    """Return sliding blocks as columns: ([batch,] channels, height, width) to ([batch,] rows, blocks).

    There are channels * kernel height * kernel width rows. Options are ints or pairs.
    """

    def __init__(self, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__(kernel_size, dilation, padding, stride)

    def forward(self, input):
        """Return the columns."""
        return fold.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(_Blocks):
    """Add up columns where `Unfold` takes them: ([batch,] rows, blocks) to ([batch,] channels, *output_size).

    There are channels * kernel height * kernel width rows. Options are ints or pairs.
    """

    def __init__(self, output_size, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input):
        """Return the planes."""
        options = self.kernel_size, self.dilation, self.padding, self.stride
        return fold.fold(input, self.output_size, *options)

    def extra_repr(self) -> str:
        """Return the options."""
        return f"output_size={self.output_size}, {super().extra_repr()}"
