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


LAYERS = [
    ("Dropout", (3, 8)),
    ("Dropout1d", (3, 8, 2)),
    ("Dropout2d", (3, 8, 2, 2)),
    ("Dropout3d", (3, 8, 2, 2, 2)),
    ("AlphaDropout", (3, 8)),
    ("FeatureAlphaDropout", (3, 8, 4)),
]


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(("name", "shape"), LAYERS)
def test_layers(torch, name: str, shape, inplace: bool) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = []
    for T in (tensor, torch):
        T.manual_seed(4)
        layer = getattr(T.nn, name)(0.4, inplace)
        out = layer(T.from_numpy(x.copy()))
        still = layer.eval()(T.from_numpy(x)).numpy()
        np.testing.assert_array_equal(still, x)
        found.append((repr(layer), out.numpy()))
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1], 1e-6, 1e-6)
