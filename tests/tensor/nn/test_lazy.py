"""Lazy layers; tests/tensor/surface/nn_module.txt compares them with PyTorch."""

import pytest

import tensor
from tensor import nn


def test_a_lazy_layer_becomes_an_ordinary_one_at_the_first_input():
    model = nn.LazyConv2d(4, 3, groups=2)
    weight = model.weight
    assert model.has_uninitialized_params()
    assert model(tensor.randn(1, 6, 5, 5)).shape == (1, 4, 3, 3)
    assert type(model) is nn.Conv2d
    assert model.weight is weight
    assert type(weight) is nn.Parameter
    assert weight.shape == (4, 3, 3, 3)


def test_an_optimizer_made_before_trains_it():
    model = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    optimizer = tensor.optim.SGD(model.parameters(), lr=0.1)
    model(tensor.randn(5, 4)).square().sum().backward()
    before = model[0].weight.clone()
    optimizer.step()
    assert not tensor.equal(before, model[0].weight)


def test_without_an_input_nothing_can_be_computed():
    with pytest.raises(ValueError, match="uninitialized"):
        _ = nn.LazyLinear(3).weight * 2
    with pytest.raises(RuntimeError, match="shape"):
        _ = nn.LazyLinear(3).weight.shape


def test_loading_gives_it_its_shape():
    model = nn.LazyLinear(3)
    model.load_state_dict(nn.Linear(4, 3).state_dict())
    assert model.weight.shape == (3, 4)
