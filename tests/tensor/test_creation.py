"""tensor/creation.py: tensors from data and from rules."""

import numpy as np
import pytest

import tensor

DATA = [
    1,
    1.5,
    True,
    [1, 2],
    [1.0, 2],
    [1, 2.5],
    [True, False],
    [True, 2],
    [[1, 2], [3, 4]],
    [],
    [[]],
    [[], []],
    [[[1.5]]],
    (1, 2),
    [(1, 2), (3, 4)],
    np.arange(3),
    np.arange(3.0),
    np.float32(1.5),
    np.float64(1.5),
    np.int64(3),
    np.int32(3),
    np.array(2.0),
    [np.float64(1.5), np.float64(2)],
    [np.float32(1.5)],
    np.array([True]),
    [float("nan"), float("inf")],
    np.ones((2, 0)),
    range(3),
    2**40,
    [np.array([1, 2]), np.array([3, 4])],
]


@pytest.mark.parametrize("data", DATA, ids=str)
@pytest.mark.filterwarnings("ignore:Creating a tensor from a list of numpy")
def test_tensor(check, torch, data) -> None:
    check.same(tensor.tensor(data), torch.tensor(data))
    for dtype in ("float64", "int64", "bool"):
        if dtype != "float64" and (
            isinstance(data, np.float32)
            or (isinstance(data, list) and data and isinstance(data[0], np.float32))
        ):
            continue  # PyTorch refuses NumPy's floats as integers
        if isinstance(data, list) and data and isinstance(data[0], np.ndarray):
            break
        if dtype == "int64" and isinstance(data, list) and data and data[0] != data[0]:
            continue  # nan has no integer
        check.same(
            tensor.tensor(data, dtype=getattr(tensor, dtype)), torch.tensor(data, dtype=getattr(torch, dtype))
        )
    check.same(tensor.as_tensor(data), torch.as_tensor(data))


def test_tensor_of_tensors(check, torch) -> None:
    for make in (
        lambda T: T.tensor([T.tensor(1.0), T.tensor(2.0)]),
        lambda T: T.tensor([T.tensor(1), 2.5]),
        lambda T: T.tensor([[T.tensor(1), T.tensor(2)], [3, 4]]),
    ):
        check.same(make(tensor), make(torch))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda T: T.tensor([[1, 2], [3]]),
        lambda T: T.tensor("abc"),
        lambda T: T.tensor(None),
        lambda T: T.tensor([1, None]),
        lambda T: T.tensor([1, "a"]),
        lambda T: T.tensor({1: 2}),
        lambda T: T.tensor([1, 2], requires_grad=True),
        lambda T: T.from_numpy([1, 2]),
        lambda T: T.zeros(-1),
        lambda T: T.zeros(2, -3),
        lambda T: T.arange(0, 5, 0),
        lambda T: T.arange(0, 5, -1),
        lambda T: T.zeros(2, device="gpu"),
        lambda T: T.linspace(0, 1, -1),
        lambda T: T.eye(-1),
        lambda T: T.full((2,), 300, dtype=T.uint8),
        lambda T: T.tensor(300, dtype=T.uint8),
    ],
)
def test_errors_are_of_pytorch_s_kind(check, wrong) -> None:
    check.raises_alike(wrong)


RULES = {
    "zeros": lambda T: T.zeros(2, 3),
    "zeros of a sequence": lambda T: T.zeros([2, 3]),
    "zeros of a size": lambda T: T.zeros(T.ones(2, 3).shape),
    "zeros of nothing": lambda T: T.zeros(0, 3),
    "zeros ()": lambda T: T.zeros(()),
    "zeros of a type": lambda T: T.zeros(2, dtype=T.int64),
    "ones": lambda T: T.ones((2, 3), dtype=T.float64),
    "ones of bool": lambda T: T.ones(2, dtype=T.bool),
    "full": lambda T: T.full((2, 3), 1.5),
    "full of an int": lambda T: T.full((2,), 7),
    "full of a bool": lambda T: T.full((2,), True),
    "full of a type": lambda T: T.full((2,), 7, dtype=T.float32),
    "full ()": lambda T: T.full((), 3.0),
    "zeros_like": lambda T: T.zeros_like(T.ones(2, 3, dtype=T.float64)),
    "ones_like": lambda T: T.ones_like(T.ones(2, dtype=T.int64), dtype=T.float32),
    "full_like": lambda T: T.full_like(T.ones(2), 4.0),
    "full_like of a type": lambda T: T.full_like(T.ones(2), 4, dtype=T.int64),
    "arange": lambda T: T.arange(5),
    "arange 2": lambda T: T.arange(2, 5),
    "arange 3": lambda T: T.arange(2, 9, 3),
    "arange down": lambda T: T.arange(5, 0, -2),
    "arange of floats": lambda T: T.arange(0.0, 1.0, 0.1),
    "arange of a float": lambda T: T.arange(3.5),
    "arange half": lambda T: T.arange(1, 2.5, 0.5),
    "arange of nothing": lambda T: T.arange(3, 3),
    "arange of a type": lambda T: T.arange(3, dtype=T.float64),
    "arange by name": lambda T: T.arange(start=1, end=4),
    "linspace": lambda T: T.linspace(0, 1, 5),
    "linspace 1": lambda T: T.linspace(3, 10, steps=1),
    "linspace 0": lambda T: T.linspace(3, 10, 0),
    "linspace down": lambda T: T.linspace(1.0, -1.0, 4, dtype=T.float64),
    "eye": lambda T: T.eye(3),
    "eye m": lambda T: T.eye(2, 3, dtype=T.int64),
    "new_zeros": lambda T: T.ones(1, dtype=T.float64).new_zeros(2, 3),
    "new_zeros of a size": lambda T: T.ones(1).new_zeros((2,)),
    "new_ones": lambda T: T.ones(1).new_ones((2, 2), dtype=T.int64),
    "new_full": lambda T: T.ones(1, dtype=T.int64).new_full((2,), 3),
    "new_tensor": lambda T: T.ones(1, dtype=T.float64).new_tensor([1, 2]),
    "Tensor of data": lambda T: T.Tensor([1, 2]),
    "Tensor of nothing": lambda T: T.Tensor(),
}


@pytest.mark.parametrize("name", RULES)
def test_rules(check, torch, name: str) -> None:
    check.same(RULES[name](tensor), RULES[name](torch))


def test_values_without_pytorch(check) -> None:
    check.same(tensor.arange(2, 9, 3), np.array([2, 5, 8]))
    check.same(tensor.linspace(0, 1, 3), np.array([0, 0.5, 1], np.float32))
    check.same(tensor.eye(2), np.eye(2, dtype=np.float32))
    check.same(tensor.full((2,), 7), np.array([7, 7]))


def test_tensor_copies_and_from_numpy_shares() -> None:
    array = np.zeros(3, np.float32)
    copied, shared, as_is = tensor.tensor(array), tensor.from_numpy(array), tensor.as_tensor(array)
    shared[0] = 1.0
    as_is[1] = 2.0
    assert array.tolist() == [1.0, 2.0, 0.0]
    assert copied.tolist() == [0.0, 0.0, 0.0]
    assert tensor.as_tensor(shared) is shared
    assert shared.numpy() is array
    converted = tensor.as_tensor(array, dtype=tensor.float64)
    converted[0] = 9.0
    assert array[0] == 1.0


def test_a_read_only_array_is_never_changed() -> None:
    array = np.zeros(3, np.float32)
    array.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        x = tensor.from_numpy(array)
    for change in (
        lambda: x.add_(1),
        lambda: x.zero_(),
        lambda: x.__setitem__(0, 1.0),
        lambda: x[1:].mul_(2),
    ):
        with pytest.raises(RuntimeError, match="read-only"):
            change()
    assert array.tolist() == [0.0, 0.0, 0.0]
    assert (x + 1).tolist() == [1.0, 1.0, 1.0]


def test_requires_grad_and_device() -> None:
    for make in (tensor.zeros, tensor.ones, tensor.rand, tensor.randn, tensor.empty):
        x = make(2, 3, requires_grad=True, device="cpu")
        assert x.requires_grad
        assert x.is_leaf
        assert tuple(x.shape) == (2, 3)
    assert tensor.tensor([1.0], requires_grad=True, device=tensor.device("cpu")).requires_grad
    assert tensor.full((2,), 1.0, requires_grad=True).requires_grad
    assert tensor.empty_like(tensor.ones(2, 3)).shape == (2, 3)
    with pytest.raises(AssertionError, match=r"cuda\.is_available"):
        tensor.zeros(2, device="cuda")


def test_random_shapes_and_types() -> None:
    assert tensor.rand((2, 3)).dtype is tensor.float32
    assert tensor.randn(2, 3, dtype=tensor.float64).dtype is tensor.float64
    assert tensor.randint(5, (3,)).dtype is tensor.int64
    drawn = tensor.randint(2, 5, (100,))
    assert (drawn.min().item(), drawn.max().item()) == (2, 4)
    assert sorted(tensor.randperm(6).tolist()) == list(range(6))
    assert tensor.rand_like(tensor.zeros(2, 3, dtype=tensor.float64)).dtype is tensor.float64
    assert tensor.randn_like(tensor.zeros(2)).shape == (2,)


@pytest.mark.parametrize(
    "make",
    [
        lambda T: T.tensor([2**40], dtype=T.int32),
        lambda T: T.tensor([[1, 300]], dtype=T.uint8),
        lambda T: T.tensor(2**40, dtype=T.int32),
        lambda T: T.zeros(2, dtype=T.uint8).fill_(300),
        lambda T: T.zeros(2, dtype=T.uint8).__setitem__(0, 300),
        lambda T: T.full((2,), 300, dtype=T.uint8),
    ],
)
def test_numbers_out_of_range(check, make) -> None:
    check.raises_alike(make)
    with pytest.raises(RuntimeError, match="without overflow"):
        make(tensor)


def test_negative_numbers_wrap_in_unsigned_types(check) -> None:
    for module in filter(None, (tensor, check.torch)):
        assert module.tensor(-1, dtype=module.uint8).item() == 255
        assert module.tensor([-1, 255], dtype=module.uint8).tolist() == [255, 255]
        assert module.zeros(1, dtype=module.uint8).fill_(-1).tolist() == [255]
        assert module.full((1,), -1, dtype=module.uint8).tolist() == [255]


@pytest.mark.parametrize("make", [lambda T: T.zeros(2.7), lambda T: T.ones(6).view(6 / 2, -1)])
def test_sizes_are_integers(check, make) -> None:
    check.raises_alike(make)
    with pytest.raises(TypeError, match="//"):
        make(tensor)
