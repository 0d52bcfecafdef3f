"""Looking up rows of a table, and the gradient that adds up what each row was used for."""

from tensor import dtypes
from tensor.autograd import Operation
from tensor.operands import require_tensor, within


class Embedding(Operation):
    """weight[positions]; the gradient of a row used twice adds up, that of the padding row is zero."""

    gradients_in_words = ("grad at the rows read, added up",)

    def forward(self, k, weight, positions, padding_idx, by_frequency):
        self.saved, self.rows = (positions,), weight.shape[0]
        self.padding_idx, self.by_frequency = padding_idx, by_frequency
        return k.take(weight, positions)

    def backward(self, k, grad):
        positions = self.saved[0]
        return k.embedding_dx(grad, positions, self.rows, self.padding_idx, self.by_frequency), None


def refuse_sparse(operation: str, sparse: bool) -> None:
    """Raise NotImplementedError if a sparse gradient is asked for."""
    if sparse:
        raise NotImplementedError(
            f"{operation}: sparse=True is not supported: gradients are dense here; leave sparse=False"
        )


def padding_row(padding_idx: int | None, rows: int) -> int | None:
    """Return `padding_idx` counted from the front; AssertionError (PyTorch's) if out of range."""
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < max(rows, 1):
        raise AssertionError(f"Padding_idx must be within num_embeddings, got {padding_idx} of {rows}")
    return padding_idx % rows if rows else 0


def embedding(
    input,
    weight,
    padding_idx=None,
    max_norm=None,
    norm_type=2.0,
    scale_grad_by_freq=False,
    sparse=False,
):
    """Return the rows of `weight` at the positions `input`: (*, embedding_dim).

    input: (*) int64 or int32, 0 <= position < num_embeddings; weight: (num_embeddings, embedding_dim).
    padding_idx: a row that gets no gradient. max_norm: rows used whose norm (`norm_type`) is larger are first
    scaled down to it, in place. scale_grad_by_freq: divide a row's gradient by how often it was used. Raises
    IndexError for a position out of range, RuntimeError for other dtypes or dims.
    """
    require_tensor("embedding", "input", input)
    require_tensor("embedding", "weight", weight)
    refuse_sparse("embedding", sparse)
    if weight.ndim != 2:
        raise RuntimeError(f"embedding: 'weight' must be 2-D, got shape {tuple(weight.shape)}")
    rows = weight.shape[0]
    padding_idx = padding_row(padding_idx, rows)
    if input.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            "embedding: Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got {input.dtype!r} instead; use .long()"
        )
    told = f"embedding: index out of range in self: {{}}, with {rows} embeddings"
    input = within(input, 0, rows, IndexError, told)
    if max_norm is not None:
        weight._kernels.limit_norms(weight._array, input._array, float(max_norm), float(norm_type))
        weight._version.count += 1
    return Embedding.apply(weight, input, padding_idx=padding_idx, by_frequency=bool(scale_grad_by_freq))
