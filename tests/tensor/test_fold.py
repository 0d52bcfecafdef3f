"""tensor/fold.py: sliding blocks as columns, and back."""

import numpy as np
import pytest

import tensor
import tensor.nn.functional as F

CASES = [
    ((2, 3, 4, 5), {"kernel_size": 2}),
    ((2, 3, 4, 5), {"kernel_size": (3, 2), "stride": 2, "padding": 1}),
    ((1, 2, 7, 6), {"kernel_size": 2, "dilation": (3, 2), "padding": (0, 1), "stride": (2, 1)}),
    ((3, 4, 5), {"kernel_size": (2, 3)}),
    ((0, 3, 4, 5), {"kernel_size": 2}),
    ((1, 1, 1, 1), {"kernel_size": 1}),
    ((1, 2, 4, 4), {"kernel_size": 1, "stride": 3}),
]


@pytest.mark.parametrize(("shape", "options"), CASES, ids=str)
def test_unfold(check, shape, options):
    check.op("unfold", lambda T, x: T.nn.functional.unfold(x, **options), [check.numbers(*shape)])


@pytest.mark.parametrize(("shape", "options"), CASES, ids=str)
def test_fold(check, shape, options):
    columns = F.unfold(tensor.zeros(shape), **options).shape
    size = shape[-2:]
    check.op("fold", lambda T, x: T.nn.functional.fold(x, size, **options), [check.numbers(*columns)])


def test_values():
    x = tensor.arange(6.0).reshape(1, 1, 2, 3)
    columns = F.unfold(x, 2)
    assert columns.tolist() == [[[0, 1], [1, 2], [3, 4], [4, 5]]]
    assert F.fold(columns, (2, 3), 2).tolist() == [[[[0, 2, 2], [3, 8, 5]]]]


def test_convolution_is_a_product_with_unfolded_blocks(check, reference_conv):
    x, weight = check.numbers(2, 3, 6, 5), check.numbers(4, 3, 3, 2, seed=1)
    options = (2, 1), (1, 0), (1, 2)
    columns = F.unfold(tensor.tensor(x), (3, 2), options[2], options[1], options[0])
    out = tensor.tensor(weight).flatten(1) @ columns
    expected = reference_conv.conv2d(x, weight, None, *options, 1)
    np.testing.assert_allclose(out.reshape(expected.shape), expected, 1e-12, 1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda T: T.nn.functional.unfold(T.ones((3, 3)), 2),
        lambda T: T.nn.functional.unfold(T.ones((1, 2, 3, 3)), 5),
        lambda T: T.nn.functional.unfold(T.ones((1, 2, 3, 3)), 2, stride=0),
        lambda T: T.nn.functional.unfold(T.ones((1, 2, 3, 3)), 0),
        lambda T: T.nn.functional.unfold(T.ones((1, 2, 3, 3)), 2, padding=-1),
        lambda T: T.nn.functional.unfold(T.ones((1, 2, 3, 3)), 2.0),
        lambda T: T.nn.functional.unfold(T.ones((1, 2, 3, 3)), (2, 2, 2)),
        lambda T: T.nn.functional.unfold(T.ones((1, 2, 3, 3)).long(), 2),
        lambda T: T.nn.functional.fold(T.ones((1, 2, 3, 3)), (3, 3), 2),
        lambda T: T.nn.functional.fold(T.ones((1, 7, 4)), (3, 3), 2),
        lambda T: T.nn.functional.fold(T.ones((1, 8, 5)), (3, 3), 2),
        lambda T: T.nn.functional.fold(T.ones((1, 8, 4)), (1, 1), 2),
    ],
)
def test_errors(check, wrong):
    check.raises_alike(wrong)
