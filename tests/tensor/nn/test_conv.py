"""Convolution layers: starting values, results beside PyTorch's, representations, errors."""

import math
import pickle

import numpy as np
import pytest

import tensor
from tensor import nn

# From PyTorch 2.13: torch.manual_seed(0); layer = torch.nn.Conv2d(1, 2, 2).
WEIGHT = [
    -0.003743410110473633, 0.26822179555892944, -0.4115225672721863, -0.3679695129394531,
    -0.19257718324661255, 0.13407868146896362, -0.009906589984893799, 0.39644473791122437,
]  # fmt: skip
BIAS = [-0.04437202215194702, 0.1323062777519226]

LAYERS = [
    ("Conv1d", (4, 6, 3), {}),
    ("Conv1d", (4, 6, 4), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}),
    ("Conv1d", (4, 2, 3), {"padding": "same", "bias": False}),
    ("Conv1d", (4, 2, 2), {"padding": (3,), "padding_mode": "circular"}),
    ("Conv2d", (4, 6, 3), {}),
    ("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}),
    ("Conv2d", (4, 8, 3), {"padding": 1, "groups": 4, "bias": False}),
    ("Conv2d", (4, 2, 3), {"padding": "valid"}),
    ("Conv2d", (4, 2, (4, 3)), {"padding": "same", "dilation": (1, 2)}),
    ("Conv2d", (4, 2, 3), {"padding": 1, "padding_mode": "reflect"}),
    ("Conv2d", (4, 2, 3), {"padding": (1, 2), "padding_mode": "replicate", "stride": 2}),
    ("Conv2d", (4, 2, (2, 3)), {"padding": "same", "padding_mode": "circular"}),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "output_padding": 1}),
    ("ConvTranspose1d", (4, 6, 2), {"groups": 2, "bias": False}),
    ("ConvTranspose2d", (4, 6, 3), {}),
    ("ConvTranspose2d", (4, 6, (3, 2)), {"stride": 2, "padding": 1, "output_padding": (1, 0)}),
    ("ConvTranspose2d", (4, 8, 3), {"groups": 4, "dilation": (1, 2)}),
]


def test_starting_values_are_recorded_ones():
    tensor.manual_seed(0)
    layer = nn.Conv2d(1, 2, 2)
    np.testing.assert_array_equal(layer.weight.detach().numpy().ravel(), np.array(WEIGHT, np.float32))
    np.testing.assert_array_equal(layer.bias.detach().numpy(), np.array(BIAS, np.float32))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # PyTorch's
@pytest.mark.parametrize(("name", "sizes", "options"), LAYERS, ids=str)
def test_like_pytorchs(check, torch, name, sizes, options):
    for module in (tensor, torch):
        module.manual_seed(3)
    ours, theirs = (getattr(module.nn, name)(*sizes, **options) for module in (tensor, torch))
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    assert tensor.rand(1).item() == torch.rand(1).item(), "the generators have drawn as often"

    for batch in [(2,), ()]:
        values = check.numbers(*batch, 4, *(7, 6)[: ours.dims]).astype(np.float32)
        results = []
        for module, layer in ((tensor, ours), (torch, theirs)):
            x = module.tensor(values, requires_grad=True)
            out = layer(x)
            layer.zero_grad()
            (out * out).sum().backward()
            results.append([out, x.grad, *[p.grad for p in layer.parameters()]])
        for a, b in zip(*results, strict=True):
            check.same(a, b, rtol=1e-4, atol=2e-5)


def test_starting_values_are_bounded():
    layer = nn.Conv2d(8, 16, (3, 5), groups=2, dtype=tensor.float64)
    bound = 1 / math.sqrt(4 * 15)
    assert layer.weight.dtype is tensor.float64
    assert 0.9 * bound < layer.weight.abs().max() <= bound
    assert 0.5 * bound < layer.bias.abs().max() <= bound
    layer.weight.data.zero_()
    layer.reset_parameters()
    assert layer.weight.abs().sum() > 0


@pytest.mark.parametrize("bias", [True, False])
def test_state(bias):
    layer = nn.Conv2d(1, 3, 3, padding=1, bias=bias)
    shapes = {name: tuple(t.shape) for name, t in layer.state_dict().items()}
    assert shapes == {"weight": (3, 1, 3, 3)} | ({"bias": (3,)} if bias else {})
    again = pickle.loads(pickle.dumps(layer))
    x = tensor.randn(2, 1, 5, 5)
    np.testing.assert_array_equal(again(x).detach(), layer(x).detach())
    assert nn.ConvTranspose2d(4, 6, 3, groups=2).weight.shape == (4, 3, 3, 3)


def test_result():
    layer = nn.Conv2d(1, 1, 2)
    layer.load_state_dict({"weight": tensor.tensor([[[[1.0, 2], [3, 4]]]]), "bias": tensor.tensor([0.5])})
    x = tensor.tensor([[[[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]]])
    assert layer(x).tolist() == [[[[5.5, 3.5], [2.5, 5.5]]]]


@pytest.mark.parametrize("output_size", [None, (9, 8), (1, 2, 10, 8), [10, 7]], ids=str)
def test_output_size(engines, output_size):
    for module in engines:
        up = module.nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
        out = up(module.ones((1, 2, 5, 4)), output_size=output_size)
        assert tuple(out.shape[2:]) == tuple((output_size or (9, 7))[-2:])
        line = module.nn.ConvTranspose1d(2, 3, 3, stride=2)
        assert tuple(line(module.ones((2, 5)), output_size=(12,)).shape) == (3, 12)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda T: T.nn.Conv2d(3, 4, 3, groups=0),
        lambda T: T.nn.Conv2d(3, 4, 3, groups=2),
        lambda T: T.nn.Conv2d(4, 4, 2, groups="2"),
        lambda T: T.nn.Conv2d(4, 4, 2, groups=2.0),
        lambda T: T.nn.Conv2d(4, None, 2),
        lambda T: T.nn.Conv2d(4.0, 4, 2),
        lambda T: T.nn.Conv2d(4, 4, 2, stride=True)(T.ones((1, 4, 3, 3))),
        lambda T: T.nn.Conv2d(4, 3, 3, groups=2),
        lambda T: T.nn.Conv2d(1, 1, 3, padding="full"),
        lambda T: T.nn.Conv2d(1, 1, 3, padding="same", stride=2),
        lambda T: T.nn.Conv2d(1, 1, 3, padding_mode="zero"),
        lambda T: T.nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect"),
        lambda T: T.nn.Conv2d(1, 1, 3)(T.ones((1, 2, 5, 5))),
        lambda T: T.nn.Conv2d(1, 1, 3, padding=3, padding_mode="reflect")(T.ones((1, 1, 3, 3))),
        lambda T: T.nn.ConvTranspose2d(1, 1, 3, stride=2)(T.ones((1, 1, 3, 3)), output_size=(9, 9)),
        lambda T: T.nn.ConvTranspose2d(1, 1, 3)(T.ones((1, 1, 3, 3)), output_size=(9, 9, 9)),
    ],
)
def test_errors(check, wrong):
    check.raises_alike(wrong)


def test_messages():
    with pytest.raises(ValueError, match="in_channels must be divisible by groups, got 3 and 2"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match=r"valid sizes range from \[7, 7\] to \[8, 8\]"):
        nn.ConvTranspose2d(1, 1, 3, stride=2)(tensor.ones(1, 1, 3, 3), output_size=(9, 9))
    with pytest.raises(TypeError, match="argument 'kernel_size' must be tuple of ints, not float"):
        nn.Conv2d(1, 1, 3.0)
    for option in ("groups", "in_channels", "out_channels"):
        sizes = {"in_channels": 4, "out_channels": 4, "kernel_size": 2} | {option: "2"}
        with pytest.raises(TypeError, match=rf"^Conv2d\(\): argument '{option}' must be int, not str '2'"):
            nn.Conv2d(**sizes)
