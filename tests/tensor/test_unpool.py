"""Maxima put back, and power-averages; tests/tensor/surface/nn_conv.txt compares with PyTorch."""

import pytest

import tensor
from tensor.nn import functional as F


def test_maxima_return_to_their_places():
    x = tensor.tensor([[[1.0, 5.0, 2.0, 3.0]]])
    values, places = F.max_pool1d(x, 2, return_indices=True)
    assert F.max_unpool1d(values, places, 2).tolist() == [[[0.0, 5.0, 0.0, 3.0]]]


def test_a_size_that_does_not_fit_is_an_error():
    values, places = F.max_pool1d(tensor.randn(1, 1, 4), 2, return_indices=True)
    with pytest.raises(ValueError, match="invalid output_size"):
        F.max_unpool1d(values, places, 2, output_size=(9,))


def test_the_norm_of_each_window():
    assert F.lp_pool1d(tensor.tensor([[3.0, 4.0, 0.0, 0.0]]), 2.0, 2).tolist() == [[5.0, 0.0]]
