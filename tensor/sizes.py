"""The shape of a tensor."""

import operator


class Size(tuple):
    """The shape of a tensor: a tuple that prints as PyTorch's and counts its elements."""

    __slots__ = ()
    __module__ = "torch"  # as PyTorch prints the class

    def __new__(cls, sizes=()):
        """Return the sizes that an iterable of integers gives; TypeError for others."""
        found = tuple.__new__(cls, sizes)
        for i, n in enumerate(found):
            if type(n) is not int:
                return tuple.__new__(cls, [_as_int(i, n) for i, n in enumerate(found)])
        return found

    def numel(self) -> int:
        """Return the number of elements."""
        total = 1
        for n in self:
            total *= n
        return total

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def __getitem__(self, index):
        found = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other):
        return Size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other):
        return Size(tuple(other) + tuple(self))

    def __mul__(self, times):
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __reduce__(self):
        return _again, (tuple(self),)


def _again(sizes: tuple[int, ...]) -> Size:
    return Size(sizes)


def _as_int(position: int, n) -> int:
    try:
        return operator.index(n)
    except TypeError:
        raise TypeError(
            f"torch.Size() takes an iterable of 'int' (item {position} is '{type(n).__name__}')"
        ) from None
