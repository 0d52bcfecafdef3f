"""tensor/sorting.py: order along a dim, in every memory layout, with gradients."""

import numpy as np
import pytest

import tensor

OPERATIONS = {
    "sort": lambda T, x: T.sort(x, 0)[0],
    "sort, descending": lambda T, x: x.sort(dim=1, descending=True)[0],
    "argsort": lambda T, x: x.gather(1, T.argsort(x, 1)),
    "msort": lambda T, x: T.msort(x),
    "topk": lambda T, x: T.topk(x, 2, 0)[0],
    "topk, smallest": lambda T, x: x.topk(3, largest=False)[0],
    "kthvalue": lambda T, x: T.kthvalue(x, 2, 0, keepdim=True)[0],
    "median": lambda T, x: x.median(),
    "median along a dim": lambda T, x: T.median(x, 1)[0],
    "mode": lambda T, x: x.mode(0)[0],
    "quantile": lambda T, x: T.quantile(x, x.new_tensor([0.2, 0.9]), dim=1),
    "quantile, midpoint": lambda T, x: x.quantile(0.4, 0, interpolation="midpoint"),
    "nanquantile": lambda T, x: x.nanquantile(0.7),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_values_and_gradients(check, name) -> None:
    check.op(name, OPERATIONS[name], [check.numbers(4, 5)])


def test_equals_stay_in_order() -> None:
    x = tensor.tensor([2.0, 1.0, 2.0, 1.0])
    assert x.sort().indices.tolist() == [1, 3, 0, 2]
    assert x.sort(descending=True).indices.tolist() == [0, 2, 1, 3]
    assert x.topk(3).indices.tolist() == [0, 2, 1]


def test_a_named_result_is_a_tuple_that_prints_as_pytorch() -> None:
    found = tensor.sort(tensor.tensor([3, 1, 2]))
    values, indices = found
    assert isinstance(found, tensor.return_types.sort)
    assert values is found.values
    assert indices is found[1]
    expected = "torch.return_types.sort(\nvalues=tensor([1, 2, 3]),\nindices=tensor([1, 2, 0]))"
    assert repr(found) == expected


def test_large() -> None:
    x = np.random.default_rng(0).normal(size=(3, 20_000)).astype(np.float32)
    found = tensor.from_numpy(x).sort(1)
    np.testing.assert_array_equal(found.values.numpy(), np.sort(x, 1))
    np.testing.assert_array_equal(np.take_along_axis(x, found.indices.numpy(), 1), np.sort(x, 1))
    assert tensor.from_numpy(x).median(1).values.tolist() == np.sort(x, 1)[:, 9_999].tolist()
