"""Losses as modules: they hand their settings to the functions, which test_functional compares."""

import numpy as np
import pytest

import tensor
from tensor import nn

LOGITS = np.array([[0.2, -1.0, 0.5], [2.0, 0.3, -0.4], [0.0, 0.1, 0.2], [1.0, -2.0, 0.5]])
CLASSES = np.array([2, 0, 1, 0])
TARGETS = np.array([[0.0, 1.0, 0.3], [1.0, 0.0, 1.0], [0.5, 0.5, 0.0], [1.0, 1.0, 0.0]])

# Each with what it is given: logits, probabilities or real numbers.
LOSSES = {
    "CrossEntropyLoss()": "log",
    "CrossEntropyLoss(reduction='sum')": "log",
    "CrossEntropyLoss(weight=W, label_smoothing=0.1)": "log",
    "CrossEntropyLoss(ignore_index=0)": "log",
    "NLLLoss()": "log",
    "NLLLoss(weight=W, ignore_index=1, reduction='none')": "log",
    "MSELoss()": "real",
    "MSELoss(reduction='none')": "real",
    "L1Loss(reduction='sum')": "real",
    "BCELoss(weight=W)": "probability",
    "BCEWithLogitsLoss()": "real",
    "BCEWithLogitsLoss(pos_weight=W, weight=W, reduction='sum')": "real",
}


def compute(T, text):
    names = {name: getattr(T.nn, name) for name in [text.split("(")[0]]}
    loss = eval(text, {**names, "W": T.tensor([1.0, 2.0, 0.5], dtype=T.float64)})
    kind = LOSSES[text]
    x = T.tensor(LOGITS, requires_grad=True)
    given = T.sigmoid(x) if kind == "probability" else x
    out = loss(given, T.tensor(CLASSES if kind == "log" else TARGETS))
    out.sum().backward()
    return out.detach().numpy(), x.grad.numpy()


def log_softmax(x):
    x = x - x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


REFERENCES = {
    "CrossEntropyLoss()": -log_softmax(LOGITS)[range(4), CLASSES].mean(),
    "CrossEntropyLoss(reduction='sum')": -log_softmax(LOGITS)[range(4), CLASSES].sum(),
    "CrossEntropyLoss(ignore_index=0)": -log_softmax(LOGITS)[[0, 2], [2, 1]].mean(),
    "NLLLoss()": -LOGITS[range(4), CLASSES].mean(),
    "NLLLoss(weight=W, ignore_index=1, reduction='none')": -LOGITS[range(4), CLASSES] * [0.5, 1, 0, 1],
    "MSELoss()": ((LOGITS - TARGETS) ** 2).mean(),
    "MSELoss(reduction='none')": (LOGITS - TARGETS) ** 2,
    "L1Loss(reduction='sum')": np.abs(LOGITS - TARGETS).sum(),
    "BCELoss(weight=W)": ((np.log1p(np.exp(LOGITS)) - TARGETS * LOGITS) * [1, 2, 0.5]).mean(),
    "BCEWithLogitsLoss()": (np.log1p(np.exp(LOGITS)) - TARGETS * LOGITS).mean(),
}


@pytest.mark.parametrize("text", REFERENCES)
def test_values(text):
    np.testing.assert_allclose(compute(tensor, text)[0], REFERENCES[text], rtol=1e-12)


@pytest.mark.parametrize("text", LOSSES)
def test_values_and_gradients_are_pytorchs(torch, text):
    for ours, theirs in zip(compute(tensor, text), compute(torch, text), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)


def test_weights_are_buffers():
    loss = nn.CrossEntropyLoss(weight=tensor.ones(3))
    assert [name for name, _ in loss.named_buffers()] == ["weight"]
    assert loss.double().weight.dtype is tensor.float64
    assert repr(loss) == "CrossEntropyLoss()"
    assert nn.BCEWithLogitsLoss().pos_weight is None


def test_early_pytorchs_flags():
    with pytest.warns(UserWarning, match="please use reduction='sum' instead"):
        assert nn.MSELoss(size_average=False).reduction == "sum"
    with pytest.warns(UserWarning, match="please use reduction='none' instead"):
        assert nn.CrossEntropyLoss(reduce=False).reduction == "none"
