"""viz/play/export.py: a network as a list of layers, and what is refused."""

import base64

import numpy as np
import pytest

import tensor
from tensor import models, nn
from viz.play import list_layers

SIZES = ((1, 28, 28), 10)


def unpack(text, shape):
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(shape)


def test_the_layers_of_the_cnn():
    model = models.build("cnn")
    layers = list_layers(model, *SIZES)
    kinds = ["conv", "relu", "pool", "conv", "relu", "pool", "flatten", "linear"]
    assert [layer["kind"] for layer in layers] == kinds
    weights = [layer for layer in layers if "weight" in layer]
    for layer, module in zip(weights, (model[0], model[3], model[7]), strict=True):
        assert np.array_equal(unpack(layer["weight"], module.weight.shape), module.weight.detach().numpy())
        assert np.array_equal(unpack(layer["bias"], module.bias.shape), module.bias.detach().numpy())
    sizes = {key: layers[3][key] for key in ("inputs", "outputs", "kernel", "stride", "padding", "groups")}
    assert sizes == {
        "inputs": 32, "outputs": 32, "kernel": [3, 3], "stride": [1, 1], "padding": [1, 1, 1, 1], "groups": 1,
    }  # fmt: skip


def test_within_and_without():
    """Sequentials within each other are one list; dropout and identity are nothing, and draw no numbers."""
    model = nn.Sequential(
        nn.Flatten(), nn.Dropout(0.5),
        nn.Sequential(nn.Linear(784, 7, bias=False), nn.Tanh(), nn.Identity()),
        nn.Sequential(nn.Linear(7, 10)),
    )  # fmt: skip
    before = tensor.get_rng_state()
    layers = list_layers(model, *SIZES)
    assert [layer["kind"] for layer in layers] == ["flatten", "linear", "tanh", "linear"]
    assert layers[1]["bias"] is None
    assert tensor.equal(before, tensor.get_rng_state())
    assert model.training


def test_strided_and_other_weights():
    """Weights are written in the order of the tensor, whatever its memory and its dtype are."""
    layer = nn.Linear(784, 10).double()
    layer.weight = nn.Parameter(tensor.randn(784, 10).double().T)
    (found,) = list_layers(nn.Sequential(nn.Flatten(), layer), *SIZES)[1:]
    assert np.array_equal(unpack(found["weight"], (10, 784)), layer.weight.detach().numpy().astype("f4"))


class Doubled(nn.Linear):
    def forward(self, input):
        return 2 * super().forward(input)


def broken():
    layer = nn.Linear(784, 10)
    with tensor.no_grad():
        layer.weight[3, 5] = float("inf")
    return layer


REFUSED = [
    ([nn.Flatten(), nn.Linear(784, 10), nn.Softmax(dim=1)], "play: 2 is a Softmax; a page can compute Lin"),
    ([nn.Sequential(nn.Flatten(), Doubled(784, 10))], r"play: 0\.1 is a Doubled; a page can compute"),
    ([nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(784, 10)], "play: 0 is a BatchNorm2d"),
    ([nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect")], "play: 0 pads with padding_mode='reflect'"),
    ([nn.MaxPool2d(3, ceil_mode=True)], "play: 0 pools with ceil_mode=True"),
    ([nn.Flatten(0), nn.Linear(784, 10)], "play: 0 flattens dims 0 to -1; a page can compute 1 to -1"),
    ([nn.Flatten(), broken()], r"play: 1\.weight has numbers that are not finite; train the model anew"),
    ([nn.Linear(28, 10)], r"play: 0 is applied to \(1, 1, 28, 28\); put a Flatten before it"),
    ([nn.Flatten(), nn.Linear(64, 10)], r"play: 1 cannot be applied to \(1, 784\): "),
    ([nn.Conv2d(3, 4, 3)], r"play: 0 cannot be applied to \(1, 1, 28, 28\): "),
    ([nn.Flatten(), nn.Linear(784, 3)], r"expected .* makes \(1, 10\) of \(1, 1, 28, 28\), got \(1, 3\)"),
    ([], r"expected a model that makes \(1, 10\)"),
]  # fmt: skip


@pytest.mark.parametrize(("modules", "message"), REFUSED, ids=[message[:24] for _, message in REFUSED])
def test_refusals(modules, message):
    with pytest.raises(ValueError, match=message) as caught:
        list_layers(nn.Sequential(*modules), *SIZES)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_no_sequential():
    with pytest.raises(ValueError, match="play: the model is a LSTM; a page can compute Linear"):
        list_layers(nn.LSTM(3, 4), *SIZES)
