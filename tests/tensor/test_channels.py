"""Numbers moved between channels and space; tests/tensor/surface/nn_conv.txt compares with PyTorch."""

import tensor
from tensor.nn import functional as F


def test_shuffle_and_unshuffle_undo_each_other():
    x = tensor.arange(2 * 12 * 2 * 3).float().reshape(2, 12, 2, 3)
    assert F.pixel_shuffle(x, 2).shape == (2, 3, 4, 6)
    assert tensor.equal(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), x)
    assert tensor.equal(F.channel_shuffle(F.channel_shuffle(x, 3), 4), x)
