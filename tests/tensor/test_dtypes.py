"""tensor/dtypes.py: element types and PyTorch's promotion rules."""

import copy
import itertools
import pickle

import numpy as np
import pytest

import tensor
from tensor import dtypes

NAMES = ["bool", "uint8", "int32", "int64", "float32", "float64"]
NUMBERS = [True, 3, 2.5]
RANK = {"bool": 0, "uint8": 1, "int32": 1, "int64": 1, "float32": 2, "float64": 2}


@pytest.mark.parametrize("a", NAMES)
def test_promotion_of_pairs(torch, a: str) -> None:
    for b in NAMES:
        expected = str(torch.promote_types(getattr(torch, a), getattr(torch, b)))
        assert repr(tensor.promote_types(getattr(tensor, a), getattr(tensor, b))) == expected


def operands(T) -> list:
    return [
        *[T.ones(2, dtype=getattr(T, n)) for n in NAMES],
        *[T.ones((), dtype=getattr(T, n)) for n in NAMES],
        *NUMBERS,
    ]


def test_result_type_of_every_pair(torch) -> None:
    ours, theirs = operands(tensor), operands(torch)
    for i, j in itertools.product(range(len(ours)), repeat=2):
        if isinstance(ours[i], bool | int | float) and isinstance(ours[j], bool | int | float):
            continue
        expected = str(torch.result_type(theirs[i], theirs[j]))
        assert repr(tensor.result_type(ours[i], ours[j])) == expected, (ours[i], ours[j])
        if "bool" not in expected:
            assert repr((ours[i] + ours[j]).dtype) == expected, (ours[i], ours[j])


def test_result_type_of_three(torch) -> None:
    for a, b, c in itertools.product(["dims", "zero"], NAMES, NUMBERS):
        kinds = [
            tensor.ones(2 if a == "dims" else (), dtype=getattr(tensor, b)),
            tensor.ones((), dtype=tensor.float64),
        ]
        joint = dtypes.result_type((kinds[0].dtype, a), (tensor.float64, "zero"), (dtypes.int64, "number"))
        assert joint is (tensor.float64 if RANK[b] < 2 or a == "zero" else kinds[0].dtype), (a, b, c)


def test_rules_in_words() -> None:
    """The same, where PyTorch is not there to say it."""
    f32, f64, i32, i64, u8 = (
        tensor.ones(2, dtype=getattr(tensor, n)) for n in ("float32", "float64", "int32", "int64", "uint8")
    )
    assert (f32 + 1.5).dtype is tensor.float32
    assert (f32 + np.float64(1.5)).dtype is tensor.float32
    assert (f32 + f64).dtype is tensor.float64
    assert (f32 + i64).dtype is tensor.float32
    assert (f32 + f64.sum()).dtype is tensor.float32
    assert (i32 + i64.sum()).dtype is tensor.int32
    assert (i64 + 1.5).dtype is tensor.float32
    assert (u8 + i32).dtype is tensor.int32
    assert (u8 + 1).dtype is tensor.uint8
    assert (i64 / i64).dtype is tensor.float32
    assert (i64 + f64.sum()).dtype is tensor.float64
    assert (f32 + np.ones(2)).dtype is tensor.float64
    assert ((u8 > 0) + 1).dtype is tensor.int64


def test_default_dtype(engines) -> None:
    for T in engines:
        assert T.get_default_dtype() is T.float32
        T.set_default_dtype(T.float64)
        try:
            assert T.tensor(1.5).dtype is T.float64
            assert T.zeros(2).dtype is T.float64
            assert (T.tensor([1, 2]) / 2).dtype is T.float64
            assert (T.tensor([1]) + 0.5).dtype is T.float64
        finally:
            T.set_default_dtype(T.float32)
        with pytest.raises(TypeError):
            T.set_default_dtype(T.int64)


@pytest.mark.parametrize("name", NAMES)
def test_a_dtype_prints_copies_and_pickles_as_itself(torch, name: str) -> None:
    d = getattr(tensor, name)
    assert repr(d) == repr(getattr(torch, name))
    assert pickle.loads(pickle.dumps(d)) is d
    assert copy.deepcopy(d) is d
    assert d.itemsize == getattr(torch, name).itemsize
    assert d.is_floating_point == getattr(torch, name).is_floating_point
    assert d == d
    assert len({d, getattr(tensor, name)}) == 1


def test_aliases(torch) -> None:
    for alias in ("float", "double", "int", "long"):
        assert repr(getattr(tensor, alias)) == repr(getattr(torch, alias))


def test_types_of_python_and_numpy(torch) -> None:
    assert tensor.zeros(2, dtype=float).dtype is tensor.float64  # PyTorch: float means float64
    assert tensor.zeros(2, dtype=int).dtype is tensor.int64
    assert tensor.zeros(2, dtype=bool).dtype is tensor.bool
    for kind in (float, int, bool):
        assert repr(tensor.zeros(2, dtype=kind).dtype) == str(torch.zeros(2, dtype=kind).dtype)
    with pytest.raises(TypeError, match="uint16"):
        tensor.tensor(np.ones(2, np.uint16))
    with pytest.raises(TypeError):
        tensor.zeros(2, dtype="float32x")


def test_can_cast(torch) -> None:
    for a, b in itertools.product(NAMES, repeat=2):
        assert tensor.can_cast(getattr(tensor, a), getattr(tensor, b)) == torch.can_cast(
            getattr(torch, a), getattr(torch, b)
        )


@pytest.mark.parametrize("source", NAMES)
def test_conversions(check, torch, source: str) -> None:
    x = np.array([0, 1, 2, 3, 200]).astype(source)
    for target in NAMES:
        a, b = tensor.tensor(x), torch.tensor(x)
        check.same(a.to(getattr(tensor, target)), b.to(getattr(torch, target)))
        check.same(a.type(getattr(tensor, target)), b.type(getattr(torch, target)))
    for method in ("float", "double", "int", "long", "bool", "byte"):
        check.same(getattr(tensor.tensor(x), method)(), getattr(torch.tensor(x), method)())
    assert tensor.tensor(x).type() == torch.tensor(x).type()


def test_floats_are_truncated_and_wrap(check, torch) -> None:
    x = np.array([-1.9, -0.5, 0.5, 1.9, 254.6])
    for target in ("int64", "int32", "bool"):
        check.same(tensor.tensor(x).to(getattr(tensor, target)), torch.tensor(x).to(getattr(torch, target)))
