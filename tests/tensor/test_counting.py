"""tensor/counting.py: distinct elements, bins and places."""

import numpy as np
import pytest

import tensor


def test_unique_can_be_put_together_again() -> None:
    x = np.random.default_rng(0).integers(0, 9, (4, 50))
    found, inverse, counts = tensor.unique(tensor.tensor(x), return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(found[inverse].numpy(), x)
    assert counts.sum().item() == x.size
    rows, inverse = tensor.tensor(x % 2)[:, :2].unique(dim=0, return_inverse=True)
    np.testing.assert_array_equal(rows[inverse].numpy(), (x % 2)[:, :2])


@pytest.mark.parametrize("layout", ["transposed", "steps"])
def test_layouts(check, torch, layout) -> None:
    x = check.layouts(check.numbers(4, 5))[layout]
    edges = np.array([-1.0, 0.0, 0.5])

    def run(T, x):
        whole = T.round(x * 2).long() + 4
        return (
            *T.unique(whole, return_inverse=True, return_counts=True),
            T.bincount(whole.flatten()),
            T.histc(x, 5),
            *T.histogram(x, T.tensor(edges)),
            T.bucketize(x.contiguous(), T.tensor(edges)),
            T.isin(whole, T.tensor([3, 5])),
            *T.unique_consecutive(whole, dim=1, return_counts=True),
        )

    check.same(run(tensor, tensor.from_numpy(x)), run(torch, torch.from_numpy(x)))


def test_weights_keep_single_precision() -> None:
    x = tensor.tensor([0, 2, 2])
    assert x.bincount(tensor.tensor([1.0, 2.0, 3.0])).dtype is tensor.float32
    assert x.bincount(tensor.tensor([1, 2, 3])).dtype is tensor.float64
