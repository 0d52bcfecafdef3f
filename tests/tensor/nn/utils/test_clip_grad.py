"""Limiting gradients by their joint norm or element by element."""

import math

import numpy as np
import pytest

import tensor
from tensor import nn
from tensor.nn.utils import clip_grad_norm_, clip_grad_value_


def parameters(T):
    made = [T.nn.Parameter(T.zeros(2)), T.nn.Parameter(T.zeros(1, 2)), T.nn.Parameter(T.zeros(3))]
    made[0].grad, made[1].grad = T.tensor([3.0, 0.0]), T.tensor([[0.0, -4.0]])
    return made


NORMS = {2.0: 5.0, 1.0: 7.0, math.inf: 4.0, 3.0: 91 ** (1 / 3)}


@pytest.mark.parametrize("norm_type", NORMS)
@pytest.mark.parametrize("max_norm", [1.0, 100.0])
def test_norms(norm_type, max_norm):
    made = parameters(tensor)
    total = clip_grad_norm_(iter(made), max_norm, norm_type)
    assert total.item() == pytest.approx(NORMS[norm_type], rel=1e-6)
    factor = min(1.0, max_norm / (NORMS[norm_type] + 1e-6))
    np.testing.assert_allclose(made[0].grad, [3 * factor, 0], rtol=1e-6)
    np.testing.assert_allclose(made[1].grad, [[0, -4 * factor]], rtol=1e-6)
    assert made[2].grad is None


@pytest.mark.parametrize("norm_type", NORMS)
def test_norms_are_pytorchs(torch, norm_type):
    ours, theirs = parameters(tensor), parameters(torch)
    a = clip_grad_norm_(ours, 1.0, norm_type)
    b = torch.nn.utils.clip_grad_norm_(theirs, 1.0, norm_type)
    np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_allclose(ours[1].grad, theirs[1].grad, rtol=1e-6)


def test_values():
    made = parameters(tensor)
    clip_grad_value_(made, 2)
    assert made[0].grad.tolist() == [2.0, 0.0]
    assert made[1].grad.tolist() == [[0.0, -2.0]]
    clip_grad_value_(made[0], 0.5)
    assert made[0].grad.tolist() == [0.5, 0.0]


def test_nothing_to_clip():
    assert clip_grad_norm_(nn.Parameter(tensor.ones(2)), 1.0).item() == 0.0
    assert clip_grad_norm_([], 1.0).item() == 0.0
    with pytest.warns(UserWarning, match="empty generator"):
        clip_grad_norm_((p for p in ()), 1.0)


def test_a_norm_that_is_not_finite():
    made = parameters(tensor)
    made[0].grad.fill_(math.inf)
    with pytest.raises(RuntimeError, match="non-finite, so it cannot be clipped"):
        clip_grad_norm_(made, 1.0, error_if_nonfinite=True)
    assert clip_grad_norm_(made, 1.0).item() == math.inf
    assert made[1].grad.tolist() == [[0.0, 0.0]]
