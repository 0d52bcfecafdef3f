"""All parameters as one vector, and back."""

import pytest

import tensor
from tensor import nn
from tensor.nn.utils import parameters_to_vector, vector_to_parameters


def test_there_and_back():
    model = nn.Linear(3, 2)
    vector = parameters_to_vector(model.parameters())
    assert vector.shape == (8,)
    assert vector.tolist() == model.weight.flatten().tolist() + model.bias.tolist()
    (vector * tensor.arange(8)).sum().backward()
    assert model.weight.grad.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert model.bias.grad.tolist() == [6.0, 7.0]

    values = tensor.arange(8).float()
    vector_to_parameters(values, model.parameters())
    assert model.weight.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    values[7] = -1.0
    assert model.bias.tolist() == [6.0, -1.0]
    assert model.weight.is_leaf


def test_errors():
    with pytest.raises(TypeError, match=r"expected torch\.Tensor, but got: list"):
        vector_to_parameters([1.0], nn.Linear(1, 1).parameters())
    with pytest.raises(RuntimeError, match="a vector of 1 elements is too short"):
        vector_to_parameters(tensor.ones(1), nn.Linear(1, 1).parameters())
