"""Dropout: the mask PyTorch draws, the scale, and nothing in evaluation."""

import numpy as np
import pytest

import tensor
from tensor import nn

# From PyTorch 2.13: torch.manual_seed(0); torch.nn.functional.dropout(torch.ones(2, 8), 0.25) != 0.
RECORDED = [[0, 1, 1, 0, 1, 0, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1]]


def test_the_recorded_mask():
    tensor.manual_seed(0)
    out = nn.functional.dropout(tensor.ones(2, 8), 0.25)
    assert (out != 0).long().tolist() == RECORDED
    assert set(out.flatten().tolist()) <= {0.0, float(np.float32(1) / np.float32(0.75))}


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("shape", [(7,), (3, 50)])
def test_the_mask_is_pytorchs(torch, p, shape):
    tensor.manual_seed(3)
    torch.manual_seed(3)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    ours, theirs = nn.Dropout(p)(tensor.from_numpy(x)), torch.nn.Dropout(p)(torch.from_numpy(x))
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_evaluation_and_gradients():
    x = tensor.ones(1000, requires_grad=True)
    layer = nn.Dropout(0.5)
    assert repr(layer) == "Dropout(p=0.5, inplace=False)"
    out = layer(x)
    out.sum().backward()
    assert out.equal(x.grad)
    assert 400 < int((out == 0).sum()) < 600
    assert layer.eval()(x) is x
    y = tensor.ones(10)
    assert nn.Dropout(1.0, inplace=True)(y) is y
    assert y.sum() == 0
    for bad in (-0.1, 1.1):
        with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1"):
            nn.Dropout(bad)
