"""Functions of layers, activations and losses: values, gradients and errors."""

import math

import numpy as np
import pytest

import tensor
import tensor.nn.functional as F

ACTIVATIONS = {
    "relu": lambda T, x: T.nn.functional.relu(x),
    "leaky_relu": lambda T, x: T.nn.functional.leaky_relu(x, 0.3),
    "elu": lambda T, x: T.nn.functional.elu(x, 0.7),
    "silu": lambda T, x: T.nn.functional.silu(x),
    "gelu": lambda T, x: T.nn.functional.gelu(x),
    "gelu_tanh": lambda T, x: T.nn.functional.gelu(x, approximate="tanh"),
    "softplus": lambda T, x: T.nn.functional.softplus(x, 1.5, 2.0),
    "logsigmoid": lambda T, x: T.nn.functional.logsigmoid(x * 30),
    "softmax": lambda T, x: T.nn.functional.softmax(x, dim=0),
    "log_softmax": lambda T, x: T.nn.functional.log_softmax(x, 1),
    "tanh": lambda T, x: T.nn.functional.tanh(x),
    "sigmoid": lambda T, x: T.nn.functional.sigmoid(x),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(check, name):
    check.op(name, ACTIVATIONS[name], [check.numbers(3, 4)])


def test_softmax_in_another_type():
    x = tensor.tensor([0.0, math.log(3.0)])
    assert F.softmax(x, 0, dtype=tensor.float64).dtype is tensor.float64
    np.testing.assert_allclose(F.log_softmax(x, 0, dtype=tensor.float64).exp(), [0.25, 0.75], rtol=1e-7)


# --- losses ---------------------------------------------------------------------------------------------

REAL = {
    "mse_loss": (lambda T, x, y: T.nn.functional.mse_loss(x, y), lambda x, y: ((x - y) ** 2).mean()),
    "mse_loss none": (
        lambda T, x, y: T.nn.functional.mse_loss(x, y, reduction="none"),
        lambda x, y: (x - y) ** 2,
    ),
    "mse_loss sum": (
        lambda T, x, y: T.nn.functional.mse_loss(x, y, reduction="sum"),
        lambda x, y: ((x - y) ** 2).sum(),
    ),
    "mse_loss weighted": (
        lambda T, x, y: T.nn.functional.mse_loss(x, y, weight=T.ones_like(x.detach()) * 2),
        lambda x, y: ((x - y) ** 2).mean(),
    ),
    "l1_loss": (lambda T, x, y: T.nn.functional.l1_loss(x, y), lambda x, y: np.abs(x - y).mean()),
    "bce with logits": (
        lambda T, x, y: T.nn.functional.binary_cross_entropy_with_logits(x, T.sigmoid(y)),
        lambda x, y: (np.log1p(np.exp(x)) - x / (1 + np.exp(-y))).mean(),
    ),
    "bce": (
        lambda T, x, y: T.nn.functional.binary_cross_entropy(x.sigmoid(), y.sigmoid(), reduction="none"),
        lambda x, y: np.log1p(np.exp(x)) - x / (1 + np.exp(-y)),
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_losses_of_real_numbers(check, name):
    ours, reference = REAL[name]
    x, y = check.numbers(3, 4), check.numbers(3, 4, seed=1)
    check.op(name, ours, [x, y], reference, rtol=2e-6, atol=2e-6)


def test_binary_cross_entropy_at_its_limits(check):
    x = tensor.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    y = tensor.tensor([0.0, 1.0, 1.0, 0.0])
    loss = F.binary_cross_entropy(x, y, reduction="none")
    assert loss.tolist() == [0.0, 0.0, 100.0, 100.0]
    loss.sum().backward()
    np.testing.assert_allclose(x.grad, [0.0, 0.0, -1e12, 1e12], rtol=1e-6)


def test_binary_cross_entropy_at_its_limits_is_pytorchs(torch):
    def run(T):
        x = T.tensor([0.0, 1.0, 0.0, 1.0, 0.3], requires_grad=True)
        y = T.tensor([0.0, 1.0, 1.0, 0.0, 0.6], requires_grad=True)
        loss = T.nn.functional.binary_cross_entropy(x, y, reduction="none")
        loss.sum().backward()
        return loss.detach().numpy(), x.grad.numpy(), y.grad.numpy()

    for ours, theirs in zip(run(tensor), run(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("x", [0.0, 1.0, -1.0, 50.0, -50.0, 1000.0, -1000.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_logits_of_any_size(x, y):
    given = tensor.tensor([x], dtype=tensor.float64, requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(given, tensor.tensor([y], dtype=tensor.float64))
    loss.backward()
    z = math.exp(-abs(x))
    sigmoid = 1 / (1 + z) if x >= 0 else z / (1 + z)
    assert loss.item() == pytest.approx(max(x, 0) - x * y + math.log1p(z), rel=1e-14, abs=1e-14)
    assert given.grad.item() == pytest.approx(sigmoid - y, rel=1e-14, abs=1e-14)


CLASSIFICATION = {
    "cross_entropy": lambda T, x, y: T.nn.functional.cross_entropy(x, y),
    "positional": lambda T, x, y: T.nn.functional.cross_entropy(x, y, None, None, 1),
    "smoothed": lambda T, x, y: T.nn.functional.cross_entropy(x, y, label_smoothing=0.2, reduction="sum"),
    "nll_loss": lambda T, x, y: T.nn.functional.nll_loss(T.log_softmax(x, 1), y, None, None, 2),
}


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_losses_of_classes(check, name):
    check.op(name, CLASSIFICATION[name], [check.numbers(4, 3), np.array([0, 2, 1, 2])], rtol=1e-5)


def test_class_probabilities(check):
    target = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    check.op(
        "probabilities",
        lambda T, x: T.nn.functional.cross_entropy(x, T.tensor(target, dtype=x.dtype, device=x.device)),
        [check.numbers(2, 3)],
        lambda x: -(target * (x - np.log(np.exp(x).sum(1, keepdims=True)))).sum(1).mean(),
        rtol=1e-5,
    )


# --- the rest -------------------------------------------------------------------------------------------


def test_one_hot():
    assert F.one_hot(tensor.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
    out = F.one_hot(tensor.tensor([[1], [0]]), 4)
    assert (out.shape, out.dtype) == ((2, 1, 4), tensor.int64)
    assert F.one_hot(tensor.tensor(1), 2).tolist() == [0, 1]
    assert F.one_hot(tensor.zeros(0, 2, dtype=tensor.int64), 3).shape == (0, 2, 3)


ERRORS = {
    "floats": lambda T: T.nn.functional.one_hot(T.ones(2)),
    "negative": lambda T: T.nn.functional.one_hot(T.tensor([-1])),
    "too few": lambda T: T.nn.functional.one_hot(T.tensor([3]), 3),
    "none": lambda T: T.nn.functional.one_hot(T.tensor([3]), 0),
    "empty": lambda T: T.nn.functional.one_hot(T.tensor([]).long()),
    "dropout": lambda T: T.nn.functional.dropout(T.ones(2), 1.5),
    "reduction": lambda T: T.nn.functional.mse_loss(T.ones(2), T.ones(2), reduction="max"),
    "bce sizes": lambda T: T.nn.functional.binary_cross_entropy(T.rand(2), T.rand(3)),
    "bce logits": lambda T: T.nn.functional.binary_cross_entropy(T.ones(2) * 2, T.rand(2)),
    "bce target": lambda T: T.nn.functional.binary_cross_entropy(T.rand(2), -T.ones(2)),
    "bce types": lambda T: T.nn.functional.binary_cross_entropy(T.rand(2), T.rand(2).double()),
    "logits sizes": lambda T: T.nn.functional.binary_cross_entropy_with_logits(T.rand(2), T.rand(2, 1)),
    "gelu": lambda T: T.nn.functional.gelu(T.ones(1), approximate="exact"),
    "cross-entropy sizes": lambda T: T.nn.functional.cross_entropy(T.ones(3, 2), T.tensor([0, 1])),
    "cross-entropy class": lambda T: T.nn.functional.cross_entropy(T.ones(1, 2), T.tensor([2])),
    "weight size": lambda T: T.nn.functional.mse_loss(T.ones(2), T.ones(2), weight=T.ones(1)),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        ERRORS[case](tensor)


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_pytorchs(check, torch, case):
    check.raises_alike(ERRORS[case])


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss])
def test_sizes_that_broadcast_are_warned_of(loss):
    with pytest.warns(UserWarning, match=r"target size \(torch.Size\(\[3\]\)\) that is different"):
        assert loss(tensor.ones(3, 1), tensor.zeros(3)).item() == 1.0
