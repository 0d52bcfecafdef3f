"""Sequences of different lengths: padded to one length, or packed without padding.

A packed batch has the rows of the first step of every sequence, then those of the second step, and so on;
the sequences stand in descending order of length, so each step takes the first rows of the one before.
"""

import itertools
from typing import Any, NamedTuple

from tensor import creation, dtypes, ranges
from tensor.autograd import Operation
from tensor.engine import Tensor


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """Sequences packed by `pack_padded_sequence` or `pack_sequence`; recurrent layers take and return it.

    data: (sum of the lengths, *); batch_sizes: int64, on the CPU, how many sequences have each step;
    sorted_indices: where each came from if they were sorted, unsorted_indices: where each went; else None.
    """

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        """Make one of fields that fit; unsorted_indices default to the inverse of sorted_indices."""
        if batch_sizes is None:
            if not isinstance(data, list | tuple) or len(data) != 2:
                raise AssertionError("Expected data to be a list or tuple of length 2: (data, batch_sizes)")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> "PackedSequence":
        """Convert the data as `Tensor.to` does; self if nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        order, places = (None if i is None else i.to(data.device) for i in self[2:])
        return type(self)(data, self.batch_sizes, order, places)

    def cpu(self) -> "PackedSequence":
        """Return it in the CPU's memory; itself if it is there."""
        return self.to("cpu")

    def cuda(self, device=None) -> "PackedSequence":
        """Return it in a GPU's memory."""
        return self.to("cuda" if device is None else device)

    def double(self) -> "PackedSequence":
        """Convert the data to float64."""
        return self.to(dtypes.float64)

    def float(self) -> "PackedSequence":
        """Convert the data to float32."""
        return self.to(dtypes.float32)

    def long(self) -> "PackedSequence":
        """Convert the data to int64."""
        return self.to(dtypes.int64)

    def int(self) -> "PackedSequence":
        """Convert the data to int32."""
        return self.to(dtypes.int32)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is in a GPU's memory."""
        return self.data.is_cuda


class _Pack(Operation):
    """The rows of a padded batch that are not padding."""

    name = "PackPaddedSequence"

    def forward(self, k, rows, positions):
        self.saved, self.shape_before = (positions,), rows.shape
        return k.take(rows, (positions,))

    def backward(self, k, grad):
        return k.scatter_add(grad, self.saved, self.shape_before), None


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Return the permutation that undoes a 1-D one; None for None."""
    if permutation is None:
        return None
    inverse = [0] * permutation.numel()
    for place, index in enumerate(permutation.tolist()):
        inverse[index] = place
    return creation.tensor(inverse, dtype=dtypes.int64, device=permutation.device)


def _as_lengths(operation: str, lengths) -> list[int]:
    if isinstance(lengths, Tensor):
        if lengths.ndim != 1 or lengths.is_floating_point():
            raise RuntimeError(
                f"{operation}: 'lengths' argument should be a 1D CPU int64 tensor, but got {lengths.ndim}D "
                f"{lengths.dtype!r} tensor"
            )
        return lengths.tolist()
    return [int(n) for n in lengths]


def pack_padded_sequence(
    input: Tensor, lengths, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch (steps, batch, *), or (batch, steps, *) with batch_first.

    lengths: of each sequence, a list or a 1-D integer tensor. enforce_sorted: they must be in descending
    order, RuntimeError if not; else the sequences are sorted, and the result remembers how.
    """
    operation = "pack_padded_sequence"
    found = _as_lengths(operation, lengths)
    batch_dim = 0 if batch_first else 1
    sorted_indices = None
    if not enforce_sorted:
        order = sorted(range(len(found)), key=lambda n: -found[n])
        sorted_indices = creation.tensor(order, dtype=dtypes.int64, device=input.device)
        input = input.index_select(batch_dim, sorted_indices)
        found = [found[n] for n in order]
    steps, batch = input.shape[1 - batch_dim], input.shape[batch_dim]
    if len(found) != batch:
        raise RuntimeError(
            f"{operation}: Expected `len(lengths)` to be equal to batch_size, but got {len(found)} "
            f"(batch_size={batch})"
        )
    if not found:
        raise RuntimeError(f"{operation}: Cannot pack empty tensors.")
    if found[-1] <= 0:
        raise RuntimeError(
            f"{operation}: Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if any(found[n] < found[n + 1] for n in range(batch - 1)):
        raise RuntimeError(
            f"{operation}: `lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep "
            "this requirement."
        )
    if found[0] > steps:
        raise IndexError(f"{operation}: Expected lengths of at most {steps} steps, got {found[0]}")
    sizes = _sizes(found)
    of_step, of_sequence = (1, steps) if batch_first else (batch, 1)
    positions = [t * of_step + n * of_sequence for t, size in enumerate(sizes) for n in range(size)]
    rows = input.reshape(steps * batch, *input.shape[2:])
    index = creation.tensor(positions, dtype=dtypes.int64, device=input.device)
    data = _Pack.apply(rows, index)
    return PackedSequence(data, _on_the_cpu(sizes), sorted_indices, None)


def _on_the_cpu(numbers: list[int]) -> Tensor:
    """Return counts as a tensor, which is read in Python wherever the sequences are."""
    return creation.tensor(numbers, dtype=dtypes.int64, device="cpu")


def _sizes(lengths: list[int]) -> list[int]:
    """Return how many of the lengths, in descending order, reach each step."""
    sizes, count = [], len(lengths)
    for t in range(lengths[0]):
        while lengths[count - 1] <= t:
            count -= 1
        sizes.append(count)
    return sizes


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return a padded batch (steps, batch, *), or (batch, steps, *), and the lengths, as they were packed.

    total_length: the steps to pad to, by default the longest sequence's; ValueError if that is longer.
    """
    sizes = sequence.batch_sizes.tolist()
    steps, batch = len(sizes), sizes[0]
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    data = sequence.data
    padded = data.new_full((steps, batch, *data.shape[1:]), padding_value)
    start = first = 0
    for size, run in itertools.groupby(sizes):  # steps of one size are written together
        last = first + len(list(run))
        rows = data[start : start + (last - first) * size]
        padded[first:last, :size] = rows.reshape(last - first, size, *data.shape[1:])
        start, first = start + len(rows), last
    if batch_first:
        padded = padded.transpose(0, 1)
    lengths = _on_the_cpu([sum(size > n for size in sizes) for n in range(batch)])
    places = sequence.unsorted_indices
    if places is not None:
        return padded.index_select(0 if batch_first else 1, places), lengths[places.cpu()]
    return padded, lengths


def pad_sequence(
    sequences, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Stack sequences (length, *) of different lengths, padded to the longest: (steps, batch, *).

    batch_first: (batch, steps, *). padding_side: "right" pads after a sequence, "left" before it.
    """
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}")
    if isinstance(sequences, Tensor):
        sequences = sequences.unbind(0)
    elif not isinstance(sequences, list | tuple):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    sequences = list(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    longest, like = max(len(s) for s in sequences), sequences[0]
    padded = like.new_full((len(sequences), longest, *like.shape[1:]), padding_value)
    if not batch_first:
        padded = padded.transpose(0, 1).contiguous()
    for n, s in enumerate(sequences):
        start = 0 if padding_side == "right" else longest - len(s)
        steps = slice(start, start + len(s))
        padded[(n, steps) if batch_first else (steps, n)] = s
    return padded


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """Return the sequences of a padded batch, each of its own length; undoes `pad_sequence`."""
    batch = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[ranges.arange(n, device=row.device)] for row, n in zip(batch, lengths.tolist(), strict=True)]


def pack_sequence(sequences, enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences (length, *); enforce_sorted as in `pack_padded_sequence`."""
    return pack_padded_sequence(
        pad_sequence(sequences), [len(s) for s in sequences], enforce_sorted=enforce_sorted
    )


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Return the sequences of a packed batch, as they were packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
