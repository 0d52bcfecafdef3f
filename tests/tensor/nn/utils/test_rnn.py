"""Sequences of different lengths; tests/tensor/surface/nn_recurrent.txt compares them with PyTorch."""

import tensor
from tensor.nn.utils import rnn


def test_packing_and_padding_undo_each_other():
    rows = [tensor.arange(n).float() + 10 * n for n in (2, 4, 1)]
    packed = rnn.pack_sequence(rows, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [3, 2, 1, 1]
    padded, lengths = rnn.pad_packed_sequence(packed, batch_first=True)
    assert lengths.tolist() == [2, 4, 1]
    assert tensor.equal(padded, rnn.pad_sequence(rows, batch_first=True))
    assert all(tensor.equal(a, b) for a, b in zip(rnn.unpack_sequence(packed), rows, strict=True))
