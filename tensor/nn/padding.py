"""Layers that put a frame around their input: modules around `F.pad`."""

from tensor.nn.module import Module
from tensor.pad import pad


class _Pad(Module):
    """A frame of widths `padding`: an int for all sides, or (before, after) of the last dim, then others."""

    dims: int
    mode = "constant"

    def __init__(self, padding: int | tuple[int, ...]):
        super().__init__()
        self.padding = (padding,) * (2 * self.dims) if isinstance(padding, int) else tuple(padding)

    def forward(self, input):
        """Return the framed input, of as many dims."""
        return pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        """Return the widths."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: int | tuple[int, ...], value: float):
        super().__init__(padding)
        self.value = value

    def forward(self, input):
        """Return the input within a frame of `value`."""
        return pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        """Return the widths and the value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Put `value` before and after the last dim."""

    dims = 1


class ConstantPad2d(_ConstantPad):
    """Put `value` around the last two dims. padding: an int or (left, right, top, bottom)."""

    dims = 2


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: int | tuple[int, ...]):
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """Return the widths."""
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad):
    """Put zeros before and after the last dim."""

    dims = 1


class ZeroPad2d(_ZeroPad):
    """Put zeros around the last two dims. padding: an int or (left, right, top, bottom)."""

    dims = 2


class ReflectionPad1d(_Pad):
    """Mirror the last dim at its ends. input: ([batch,] channels, length)."""

    dims, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Mirror height and width at the edges. input: ([batch,] channels, height, width)."""

    dims, mode = 2, "reflect"


class ReplicationPad1d(_Pad):
    """Repeat the first and last element. input: ([batch,] channels, length)."""

    dims, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Repeat the edges of height and width. input: ([batch,] channels, height, width)."""

    dims, mode = 2, "replicate"


class CircularPad1d(_Pad):
    """Continue the last dim from its far end. input: ([batch,] channels, length)."""

    dims, mode = 1, "circular"


class CircularPad2d(_Pad):
    """Continue height and width from the far sides. input: ([batch,] channels, height, width)."""

    dims, mode = 2, "circular"
