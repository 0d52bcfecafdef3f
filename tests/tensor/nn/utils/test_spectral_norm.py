"""Weights over their largest singular value; tests/tensor/surface/nn_module.txt compares with PyTorch."""

import numpy as np

import tensor
from tensor import nn
from tensor.nn.utils import remove_spectral_norm, spectral_norm


def test_the_largest_singular_value_becomes_1():
    tensor.manual_seed(0)
    layer = spectral_norm(nn.Linear(5, 4), n_power_iterations=50)
    layer(tensor.randn(2, 5))
    largest = np.linalg.svd(layer.weight.detach().numpy())[1][0]
    assert abs(largest - 1) < 1e-4
    remove_spectral_norm(layer)
    assert isinstance(layer.weight, nn.Parameter)
