"""Resizing; tests/tensor/surface/nn_conv.txt compares it with PyTorch."""

import pytest

import tensor
from tensor.nn import functional as F


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_the_same_size_is_the_same_image(mode):
    x = tensor.randn(1, 2, 4, 5)
    assert tensor.allclose(F.interpolate(x, size=(4, 5), mode=mode), x, atol=1e-6)


def test_gradients_of_gradients():
    x = tensor.randn(1, 1, 3, 3, dtype=tensor.float64, requires_grad=True)
    (grad,) = tensor.autograd.grad(
        F.interpolate(x, scale_factor=2, mode="bilinear").pow(3).sum(), x, create_graph=True
    )
    grad.sum().backward()
    assert x.grad.shape == x.shape


def test_a_mode_for_other_dims_says_so():
    with pytest.raises(NotImplementedError, match="bilinear mode needs 4D"):
        F.interpolate(tensor.randn(1, 2, 3), scale_factor=2, mode="bilinear")
