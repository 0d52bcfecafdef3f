"""Starting values: the numbers PyTorch draws, their bounds, and gains."""

import math

import numpy as np
import pytest

import tensor
from tensor.nn import init

DRAWS = {
    "uniform_": lambda T, t: T.nn.init.uniform_(t, -2.0, 3.0),
    "normal_": lambda T, t: T.nn.init.normal_(t, 1.0, 0.5),
    "xavier_uniform_": lambda T, t: T.nn.init.xavier_uniform_(t, gain=2.0),
    "xavier_normal_": lambda T, t: T.nn.init.xavier_normal_(t),
    "kaiming_uniform_": lambda T, t: T.nn.init.kaiming_uniform_(t, nonlinearity="relu"),
    "kaiming_uniform_ fan_out": lambda T, t: T.nn.init.kaiming_uniform_(t, 0.3, mode="fan_out"),
    "kaiming_normal_": lambda T, t: T.nn.init.kaiming_normal_(t, nonlinearity="tanh"),
}
# The deviation of the numbers drawn for a weight of shape (30, 20, 3, 3): fan_in 180, fan_out 270.
DEVIATIONS = {
    "uniform_": 5 / math.sqrt(12),
    "normal_": 0.5,
    "xavier_uniform_": 2 * math.sqrt(2 / 450),
    "xavier_normal_": math.sqrt(2 / 450),
    "kaiming_uniform_": math.sqrt(2 / 180),
    "kaiming_uniform_ fan_out": math.sqrt(2 / 1.09 / 270),
    "kaiming_normal_": 5 / 3 / math.sqrt(180),
}


@pytest.mark.parametrize("name", DRAWS)
def test_deviations(name):
    tensor.manual_seed(1)
    weight = tensor.zeros(30, 20, 3, 3, requires_grad=True)
    assert DRAWS[name](tensor, weight) is weight
    assert weight.is_leaf
    values = weight.detach().numpy().astype(np.float64)
    assert values.std() == pytest.approx(DEVIATIONS[name], rel=0.03)
    if "normal" not in name:
        half = DEVIATIONS[name] * math.sqrt(3)
        assert np.abs(values - values.mean()).max() <= half * 1.02


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 3, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_are_pytorchs(torch, name, shape, dtype):
    found = []
    for T in (tensor, torch):
        T.manual_seed(5)
        weight = T.zeros(shape, dtype=getattr(T, dtype))
        DRAWS[name](T, weight)
        found.append(weight.numpy())
    np.testing.assert_allclose(
        *found, rtol=3e-7 if dtype == "float32" else 1e-15, atol=1e-7 * (dtype == "float32")
    )
    if "normal" not in name:
        np.testing.assert_array_equal(*found)


def test_a_generator_may_be_given():
    first = init.normal_(tensor.zeros(20), generator=tensor.Generator().manual_seed(3))
    tensor.manual_seed(3)
    assert first.equal(init.normal_(tensor.zeros(20)))


def test_constants():
    t = tensor.zeros(2, requires_grad=True)
    assert init.ones_(t).tolist() == [1.0, 1.0]
    assert init.constant_(t, 0.3).tolist() == [np.float32(0.3)] * 2
    assert init.zeros_(t).tolist() == [0.0, 0.0]
    assert t.grad_fn is None


GAINS = {
    ("linear",): 1, ("sigmoid",): 1, ("conv2d",): 1, ("conv_transpose3d",): 1, ("tanh",): 5 / 3,
    ("relu",): math.sqrt(2), ("leaky_relu",): math.sqrt(2 / 1.0001), ("leaky_relu", 0.2): math.sqrt(2 / 1.04),
    ("selu",): 0.75,
}  # fmt: skip


@pytest.mark.parametrize("args", GAINS)
def test_gains(args):
    assert init.calculate_gain(*args) == GAINS[args]


@pytest.mark.parametrize("args", GAINS)
def test_gains_are_pytorchs(torch, args):
    assert torch.nn.init.calculate_gain(*args) == GAINS[args]


def test_fans():
    assert init._calculate_fan_in_and_fan_out(tensor.zeros(5, 3)) == (3, 5)
    assert init._calculate_fan_in_and_fan_out(tensor.zeros(8, 4, 3, 2)) == (24, 48)


ERRORS = {
    "one dim": lambda T: T.nn.init.xavier_uniform_(T.zeros(3)),
    "mode": lambda T: T.nn.init.kaiming_normal_(T.zeros(2, 2), mode="fan"),
    "nonlinearity": lambda T: T.nn.init.calculate_gain("swish"),
    "slope": lambda T: T.nn.init.calculate_gain("leaky_relu", True),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    with pytest.raises(ValueError, match=r"Fan in|not supported|Unsupported|not a valid number"):
        ERRORS[case](tensor)


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_pytorchs(check, torch, case):
    check.raises_alike(ERRORS[case])
