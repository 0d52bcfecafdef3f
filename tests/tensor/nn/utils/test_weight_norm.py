"""Weights as direction and length; tests/tensor/surface/nn_module.txt compares with PyTorch."""

import pytest

import tensor
from tensor import nn
from tensor.nn.utils import remove_weight_norm, weight_norm


def test_the_module_computes_what_it_did():
    tensor.manual_seed(0)
    layer, x = nn.Linear(4, 3), tensor.randn(2, 4)
    before = layer(x)
    weight_norm(layer)
    assert tensor.allclose(layer(x), before, atol=1e-6)
    remove_weight_norm(layer)
    assert tensor.allclose(layer(x), before, atol=1e-6)
    assert sorted(name for name, _ in layer.named_parameters()) == ["bias", "weight"]


def test_twice_is_an_error():
    with pytest.raises(RuntimeError, match="two weight_norm hooks"):
        weight_norm(weight_norm(nn.Linear(2, 2)))
