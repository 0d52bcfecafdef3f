"""Layers that resize; tests/tensor/surface/nn_conv.txt compares them with PyTorch."""

import tensor
from tensor import nn


def test_upsample_prints_what_it_was_given():
    assert repr(nn.Upsample(scale_factor=2)) == "Upsample(scale_factor=2.0, mode='nearest')"
    assert nn.Upsample(size=(4, 3))(tensor.zeros(1, 1, 2, 2)).shape == (1, 1, 4, 3)
