"""Linear, Identity and Flatten: starting values, results and shapes."""

import math

import numpy as np
import pytest

import tensor
from tensor import nn

# From PyTorch 2.13: torch.manual_seed(0); layer = torch.nn.Linear(4, 2).
WEIGHT = [
    [-0.003743410110473633, 0.26822179555892944, -0.4115225672721863, -0.3679695129394531],
    [-0.19257718324661255, 0.13407868146896362, -0.009906589984893799, 0.39644473791122437],
]
BIAS = [-0.04437202215194702, 0.1323062777519226]


def test_starting_values_are_recorded_ones():
    tensor.manual_seed(0)
    layer = nn.Linear(4, 2)
    np.testing.assert_array_equal(layer.weight.detach().numpy(), np.array(WEIGHT, np.float32))
    np.testing.assert_array_equal(layer.bias.detach().numpy(), np.array(BIAS, np.float32))


@pytest.mark.parametrize("sizes", [(784, 128), (3, 1), (1, 7), (17, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_starting_values_are_pytorchs(torch, sizes, bias):
    tensor.manual_seed(7)
    torch.manual_seed(7)
    ours, theirs = nn.Linear(*sizes, bias=bias), torch.nn.Linear(*sizes, bias=bias)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    assert tensor.rand(1).item() == torch.rand(1).item(), "the generators have drawn as often"


def test_starting_values_are_bounded():
    layer = nn.Linear(100, 50, dtype=tensor.float64)
    assert layer.weight.dtype is tensor.float64
    assert 0.09 < layer.weight.abs().max() <= 1 / math.sqrt(100)
    layer.weight.data.zero_()
    layer.reset_parameters()
    assert layer.weight.abs().sum() > 0


def test_result():
    layer = nn.Linear(3, 2)
    layer.load_state_dict(
        {"weight": tensor.tensor([[1.0, 2, 3], [4, 5, 6]]), "bias": tensor.tensor([0.5, -0.5])}
    )
    assert layer(tensor.tensor([1.0, 0, -1])).tolist() == [-1.5, -2.5]
    assert layer(tensor.ones(2, 5, 3)).shape == (2, 5, 2)
    with pytest.raises(RuntimeError, match=r"expected \(\.\.\., 3\)"):
        layer(tensor.ones(2, 4))
    with pytest.raises(RuntimeError, match="expected operands of one dtype"):
        layer(tensor.ones(2, 3, dtype=tensor.float64))


def test_values_and_gradients(check):
    x, w, b = check.numbers(4, 3), check.numbers(2, 3, seed=1), check.numbers(2, seed=2)
    check.op("linear", lambda T, *args: T.nn.functional.linear(*args), [x, w, b])


def test_no_features():
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        layer = nn.Linear(0, 2)
    assert layer.bias.tolist() == [0.0, 0.0]


def test_identity_and_flatten():
    x = tensor.zeros(2, 3, 4, 5)
    assert nn.Identity(1, unused=2)(x) is x
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert repr(nn.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"
    assert repr(nn.Identity(5)) == "Identity()"
    assert repr(nn.Linear(2, 3)) == "Linear(in_features=2, out_features=3, bias=True)"
