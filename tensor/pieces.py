"""A tensor cut into pieces, each a view, whose gradients are joined in one pass.

On its own, the gradient of a piece is an array of the whole's shape, zero elsewhere; of three pieces, three
such arrays are filled and added up. Here each piece leaves its gradient with the node they share, which runs
after all of them and joins what has come.
"""

from tensor.autograd import Operation, is_grad_enabled
from tensor.autograd.keeping import share_notes
from tensor.shape import Select


class Pieces(Operation):
    """What the pieces were cut from: joins their gradients, with zeros for a piece that was not used."""

    gradients_in_words = ("the gradients of the pieces, joined",)
    repeatable = False

    def __init__(self, whole, dim: int, shapes: list, name: str):
        self.printed_name, self.dim, self.shapes = name, dim, shapes
        self.parts: dict = {}
        self.record_again([whole.grad_fn or whole], whole)

    def backward(self, k, grad):
        parts = [
            self.parts[i].reshape(shape) if i in self.parts else k.zeros(shape, self.dtype)
            for i, shape in enumerate(self.shapes)
        ]
        self.parts.clear()
        return (k.cat(parts, self.dim),)

    def release(self) -> None:
        super().release()
        self.parts.clear()


class Piece(Select):
    """One of the pieces; alone, as where it is recorded again, it is a slice like any other."""

    pieces: Pieces | None = None
    number = 0

    @property
    def hands_over(self) -> bool:  # type: ignore[override]
        return self.pieces is not None

    def backward(self, k, grad):
        if self.pieces is None:
            return super().backward(k, grad)
        self.pieces.parts[self.number] = grad
        return (k.zeros((), grad.dtype),)  # says that something has come; it is not looked at


def cut(whole, dim: int, indices: list, name: str) -> tuple:
    """Return whole[..., index] for indices along `dim`, slices or ints, that follow on each other; views."""
    lead = (slice(None),) * dim
    shared = None
    if len(indices) > 1 and is_grad_enabled() and whole.requires_grad:
        sizes = [i.stop - i.start if isinstance(i, slice) else 1 for i in indices]
        shapes = [(*whole.shape[:dim], size, *whole.shape[dim + 1 :]) for size in sizes]
        shared = Pieces(whole, dim, shapes, name)
    pieces = []
    for number, index in enumerate(indices):
        piece = Piece.apply(whole, index=(*lead, index), name=name)
        if shared is not None:
            node = piece._grad_fn
            node.pieces, node.number, node.edges = shared, number, [shared]
            share_notes(node, shared)
        pieces.append(piece)
    return tuple(pieces)
