"""tensor/data/collate.py: samples joined as PyTorch joins them, and clear words where they cannot be."""

import collections
from typing import NamedTuple

import numpy as np
import pytest

import tensor as lg
from tensor.data import default_collate, default_convert


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="the comparison needs PyTorch")


class Point(NamedTuple):
    x: int
    y: float


PLAIN = [
    [np.float32(1), np.float32(2)],
    [np.float64(1)],
    [np.int32(1)],
    [np.bool_(True)],
    [True, False],
    [1, 2],
    [1.5, 2],
    [np.array(1.5), np.array(2)],
    [np.arange(3), np.arange(3)],
    [np.zeros((0, 2), np.float32)] * 2,
    ["a", "b"],
    (b"a",),
    [np.str_("a")],
    [(1, 2.0), (3, 4.0)],
    [[1, "a"], [2, "b"]],
    [range(2), range(2)],
    [{"a": 1, "b": [1.0]}, {"a": 2, "b": [2.0]}],
    [collections.OrderedDict(a=1), collections.OrderedDict(a=2)],
    [collections.deque([1, 2]), collections.deque([3, 4])],
    [Point(1, 2.0), Point(3, 4.0)],
    [((1, (2,)), {"k": ("s",)})] * 2,
]


def described(x):
    if hasattr(x, "numpy"):
        return str(x.dtype), tuple(x.shape), x.tolist()
    if isinstance(x, dict):
        return type(x), {key: described(value) for key, value in x.items()}
    if isinstance(x, tuple | list | collections.deque):
        return type(x), [described(value) for value in x]
    return type(x), x


@pytest.mark.parametrize("batch", PLAIN, ids=str)
def test_collated_as_in_pytorch(torch, batch):
    from torch.utils.data import default_collate as collate
    from torch.utils.data import default_convert as convert

    assert described(default_collate(batch)) == described(collate(batch))
    assert described(default_convert(batch)) == described(convert(batch))


def test_collate():
    batch = default_collate([(lg.ones(2), 3, "a"), (lg.zeros(2), 4, "b")])
    assert isinstance(batch, list)
    assert [batch[0].tolist(), batch[1].tolist(), batch[2]] == [[[1.0, 1.0], [0.0, 0.0]], [3, 4], ("a", "b")]
    assert default_collate([1.5]).dtype == lg.float64
    assert default_collate([1]).dtype == lg.int64
    points = default_collate([Point(1, 2.0), Point(3, 4.0)])
    assert type(points) is Point
    assert points.x.tolist() == [1, 3]
    assert default_collate([{"a": np.ones(2)}, {"a": np.zeros(2)}])["a"].tolist() == [[1.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (
            [lg.zeros(2), lg.zeros(3)],
            RuntimeError,
            r"equal size, but got \[2\] at entry 0 and \[3\] at entry 1; pad",
        ),
        ([np.zeros(2), np.zeros((2, 1))], RuntimeError, r"got \[2\] at entry 0 and \[2, 1\] at entry 1"),
        ([(1, 2), (1,)], RuntimeError, r"list of batch should be of equal size, got lengths \[1, 2\]"),
        ([None], TypeError, "found <class 'NoneType'>; pass a collate_fn"),
        ([np.array(["a"])], TypeError, "found <U1"),
        ([], IndexError, "the batch has no samples"),
        ([{"a": 1}, {"b": 1}], KeyError, "a"),
    ],
)
def test_collate_refuses(batch, error, message):
    with pytest.raises(error, match=message):
        default_collate(batch)


def test_convert():
    assert default_convert(3) == 3
    assert default_convert("a") == "a"
    x = lg.ones(2)
    assert default_convert(x) is x
    converted = default_convert({"a": np.float32(1.5), "b": (np.ones(1), "s")})
    assert converted["a"].dtype == lg.float32
    assert converted["b"][0].tolist() == [1.0]
    assert default_convert(np.array(["a"])).tolist() == ["a"]
