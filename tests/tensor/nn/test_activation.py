"""Activations as modules: the functions they stand for, and how they print."""

import numpy as np
import pytest

import tensor
from tensor import nn

# Each with its value at -1 and 2 (or along a row of them), and how it prints.
ACTIVATIONS = {
    "ReLU()": ([0.0, 2.0], "ReLU()"),
    "ReLU(inplace=True)": ([0.0, 2.0], "ReLU(inplace=True)"),
    "LeakyReLU(0.2)": ([-0.2, 2.0], "LeakyReLU(negative_slope=0.2)"),
    "LeakyReLU(0.5, inplace=True)": ([-0.5, 2.0], "LeakyReLU(negative_slope=0.5, inplace=True)"),
    "ELU(alpha=1.5)": ([-0.9481808382428365, 2.0], "ELU(alpha=1.5)"),
    "ELU(inplace=True)": ([-0.6321205588285577, 2.0], "ELU(alpha=1.0, inplace=True)"),
    "GELU()": ([-0.15865525393145707, 1.9544997361036416], "GELU(approximate='none')"),
    "GELU(approximate='tanh')": ([-0.15880800939172324, 1.954597694087775], "GELU(approximate='tanh')"),
    "SiLU()": ([-0.2689414213699951, 1.7615941559557646], "SiLU()"),
    "SiLU(True)": ([-0.2689414213699951, 1.7615941559557646], "SiLU(inplace=True)"),
    "Tanh()": ([-0.7615941559557649, 0.9640275800758169], "Tanh()"),
    "Sigmoid()": ([0.2689414213699951, 0.8807970779778823], "Sigmoid()"),
    "LogSigmoid()": ([-1.3132616875182228, -0.1269280110429726], "LogSigmoid()"),
    "Softplus()": ([0.31326168751822286, 2.1269280110429727], "Softplus(beta=1.0, threshold=20.0)"),
    "Softplus(2.0, 3.0)": ([0.06346400552148629, 2.0], "Softplus(beta=2.0, threshold=3.0)"),
    "Softmax(dim=-1)": ([0.04742587317756678, 0.9525741268224331], "Softmax(dim=-1)"),
    "LogSoftmax(dim=0)": ([-3.048587351573742, -0.04858735157374196], "LogSoftmax(dim=0)"),
}


def build(T, text):
    return eval(text, {name: getattr(T.nn, name) for name in [text.split("(")[0]]})


@pytest.mark.parametrize("text", ACTIVATIONS)
def test_values_and_printed_form(text):
    values, printed = ACTIVATIONS[text]
    layer = build(tensor, text)
    np.testing.assert_allclose(layer(tensor.tensor([-1.0, 2.0], dtype=tensor.float64)), values, rtol=1e-13)
    assert repr(layer) == printed


@pytest.mark.parametrize("text", ACTIVATIONS)
def test_printed_form_is_pytorchs(torch, text):
    assert repr(build(torch, text)) == ACTIVATIONS[text][1]


@pytest.mark.parametrize("text", ACTIVATIONS)
def test_values_and_gradients(check, text):
    # Multiplied first: in place, an activation may not overwrite a leaf.
    check.op(text, lambda T, x: build(T, text)(x * 1), [check.numbers(3, 4)])


@pytest.mark.parametrize("text", [t for t in ACTIVATIONS if "True" in t])
def test_in_place(text):
    x = tensor.tensor([-1.0, 2.0])
    assert build(tensor, text)(x) is x
    np.testing.assert_allclose(x, ACTIVATIONS[text][0], rtol=1e-6)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place"):
        build(tensor, text)(tensor.ones(2, requires_grad=True))


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(("shape", "dim"), [((3,), 0), ((2, 3), 1), ((2, 3, 4), 0), ((1, 2, 3, 4), 1)])
def test_a_dim_that_is_not_given_is_chosen_with_a_warning(name, shape, dim):
    x = tensor.randn(*shape)
    with pytest.warns(UserWarning, match="Implicit dimension choice for"):
        out = getattr(nn, name)()(x)
    assert out.equal(getattr(nn, name)(dim)(x))
