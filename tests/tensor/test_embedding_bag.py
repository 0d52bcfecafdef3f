"""Bags of embeddings; tests/tensor/surface/nn_conv.txt compares with PyTorch."""

import pytest

import tensor
from tensor.nn import functional as F

TABLE = tensor.tensor([[1.0, 2.0], [3.0, -4.0], [5.0, 6.0]])


@pytest.mark.parametrize(
    ("mode", "expected"), [("sum", [4.0, -2.0]), ("mean", [2.0, -1.0]), ("max", [3.0, 2.0])]
)
def test_modes(mode, expected):
    bags = F.embedding_bag(tensor.tensor([0, 1]), TABLE, tensor.tensor([0, 2]), mode=mode)
    assert bags.tolist() == [expected, [0.0, 0.0]]
