"""Triangles and diagonals of matrices."""

import numpy as np

from tensor.autograd import Operation
from tensor.memory import Diagonal, diagonal, two_dims


class Tril(Operation):
    """One triangle of matrices, zeros elsewhere."""

    gradients_in_words = ("grad in the same triangle, else 0",)

    def forward(self, k, x, kept):
        self.kept = kept
        return k.where(kept, x, k.zeros((), x.dtype))

    def backward(self, k, grad):
        return (k.where(self.kept, grad, k.zeros((), grad.dtype)),)


class Triu(Tril):
    """The upper triangle of matrices."""


class DiagEmbed(Operation):
    """Matrices with the last dim on a diagonal, zeros elsewhere."""

    gradients_in_words = ("the diagonal of grad",)

    def forward(self, k, x, offset, pair):
        self.offset, self.pair = offset, pair
        size = x.shape[-1] + abs(offset)
        lengths = iter(x.shape[:-1])
        out = k.zeros(tuple(size if d in pair else next(lengths) for d in range(x.ndim + 1)), x.dtype)
        k.write(Diagonal.show(out, {"offset": offset, "pair": pair}), x)
        return out

    def backward(self, k, grad):
        return (grad.diagonal(self.offset, *self.pair),)


class DiagonalCopy(Diagonal):
    """A diagonal of a matrix, copied."""

    name = "Diagonal"
    overload = "0_copy"
    is_view = False

    def forward(self, k, x, **options):
        return k.copy(super().forward(k, x, **options))


class Trace(Diagonal):
    """The sum of a matrix's diagonal."""

    is_view = False
    gradients_in_words = ("grad along the diagonal, else 0",)

    def forward(self, k, x, **options):
        return k.sum(super().forward(k, x, **options), (0,))

    def backward(self, k, grad):
        length = min(self.input_shape)
        return super().backward(k, k.expand(grad.reshape(1), (length,)))


def _kept(operation: str, x, keeps):
    if x.ndim < 2:
        raise RuntimeError(f"{operation}: input tensor must have at least 2 dimensions, got {tuple(x.shape)}")
    kept = keeps(*np.ogrid[: x.shape[-2], : x.shape[-1]])
    k = x._kernels
    kept = k.from_host(kept)
    return k.copy(k.expand(kept, x.shape)) if x.ndim > 2 else kept


def tril(input, diagonal=0):
    """Return the lower triangle of matrices, zeros above; diagonal 1 keeps one more, -1 one less."""
    return Tril.apply(input, kept=_kept("tril", input, lambda row, column: column - row <= diagonal))


def triu(input, diagonal=0):
    """Return the upper triangle of matrices, zeros below; diagonal 1 keeps one less, -1 one more."""
    return Triu.apply(input, kept=_kept("triu", input, lambda row, column: column - row >= diagonal))


def tril_(input, diagonal=0):
    """Set what lies above the lower triangle to zero, in place."""
    kept = _kept("tril_", input, lambda row, column: column - row <= diagonal)
    return Tril.apply_in_place(input, kept=kept)


def triu_(input, diagonal=0):
    """Set what lies below the upper triangle to zero, in place."""
    kept = _kept("triu_", input, lambda row, column: column - row >= diagonal)
    return Triu.apply_in_place(input, kept=kept)


def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Return matrices, in dims `dim1` and `dim2`, with the last dim of `input` on a diagonal."""
    if not input.ndim:
        raise IndexError("diag_embed: Dimension specified as -1 but tensor has no dimensions")
    return DiagEmbed.apply(input, offset=int(offset), pair=two_dims(input.ndim + 1, dim1, dim2, "diag_embed"))


def diag(input, diagonal=0):
    """Return a matrix with the vector `input` on a diagonal, or a copy of a matrix's diagonal."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise RuntimeError(
            f"diag: Supports 1D or 2D tensors. Got {input.ndim}D; diagonal and diag_embed take any"
        )
    return DiagonalCopy.apply(input, offset=int(diagonal), pair=(0, 1))


def diagflat(input, offset=0):
    """Return a matrix with all elements of `input` on a diagonal."""
    return diag_embed(input.reshape(-1), offset)


def trace(input):
    """Return the sum of the diagonal of a matrix."""
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    return Trace.apply(input, offset=0, pair=(0, 1))


def fill_diagonal_(input, fill_value, wrap=False):
    """Overwrite the main diagonal with a number, in place.

    A tensor of more than two dims must have equal sizes. wrap: go on, in a tall matrix, after a row's gap.
    """
    if input.ndim < 2:
        raise RuntimeError(f"fill_diagonal_: dimensions must larger than 1, got {tuple(input.shape)}")
    if input.ndim > 2 and len(set(input.shape)) > 1:
        raise RuntimeError(
            f"fill_diagonal_: all dimensions of input must be of equal length, got {tuple(input.shape)}"
        )
    if input.ndim == 2 and not wrap:
        diagonal(input).fill_(fill_value)
        return input
    columns, rows = input.shape[-1], input.shape[0]
    positions = np.arange(min(rows, columns))
    if input.ndim == 2:
        at = np.arange(0, rows * columns, columns + 1)
        input[at // columns, at % columns] = fill_value
    else:
        input[(positions,) * input.ndim] = fill_value
    return input


__all__ = [
    "diag", "diag_embed", "diagflat", "diagonal", "fill_diagonal_", "trace", "tril", "tril_", "triu", "triu_",
]  # fmt: skip
