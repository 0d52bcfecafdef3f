"""tensor/engine.py: the Tensor's attributes, conversions, operators beside NumPy, copies."""

import copy
import math
import operator
import pickle

import numpy as np
import pytest

import tensor
from tensor.engine import Parameter, Size


def test_attributes(engines) -> None:
    for T in engines:
        x = T.zeros(2, 3, 4, dtype=T.float64)
        assert tuple(x.shape) == (2, 3, 4)
        assert x.size(1) == x.size(-2) == 3
        assert x.size() == x.shape
        assert x.ndim == x.dim() == 3
        assert x.numel() == x.nelement() == 24
        assert x.itemsize == x.element_size() == 8
        assert x.nbytes == 192
        assert x.is_floating_point()
        assert str(x.device) == "cpu"
        assert not x.is_cuda
        assert x.is_leaf
        assert x.grad is None
        assert x.T.T.shape == x.shape if x.ndim == 2 else True
        with pytest.raises(IndexError):
            x.size(3)


def test_size_is_a_tuple_that_counts(torch) -> None:
    for kind in (Size, torch.Size):
        size = kind((2, 3, 4))
        assert size == (2, 3, 4)
        assert size.numel() == 24
        assert repr(size) == "torch.Size([2, 3, 4])"
        assert repr(size[1:]) == "torch.Size([3, 4])"
        assert size[0] == 2
        assert repr(size + (5,)) == "torch.Size([2, 3, 4, 5])"  # noqa: RUF005
        assert hash(size) == hash((2, 3, 4))
        a, *rest = size
        assert (a, rest) == (2, [3, 4])


def test_numbers_from_tensors(engines) -> None:
    for T in engines:
        assert T.tensor(2.5).item() == 2.5
        assert type(T.tensor(3).item()) is int
        assert type(T.tensor(True).item()) is bool
        assert float(T.tensor([[2.5]])) == 2.5
        assert int(T.tensor(3.7)) == 3
        assert bool(T.tensor([0.0])) is False
        assert [10, 20, 30][T.tensor(1)] == 20
        assert math.sqrt(T.tensor(4.0)) == 2.0
        assert f"{T.tensor(1.23456):.2f}" == "1.23"
        assert round(T.tensor(2.567).item(), 1) == 2.6
        assert T.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
        assert T.tensor(1.5).tolist() == 1.5
        assert T.tensor([]).tolist() == []
        assert T.tensor(0.5, requires_grad=True).item() == 0.5
        for convert in (float, int, bool, operator.methodcaller("item")):
            with pytest.raises((RuntimeError, ValueError, TypeError)):
                convert(T.tensor([1.0, 2.0]))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda T: T.ones(2).item(),
        lambda T: bool(T.ones(2)),
        lambda T: bool(T.ones(0)),
        lambda T: float(T.ones(2)),
        lambda T: int(T.ones(2)),
        lambda T: range(3)[T.tensor(1.5)],
        lambda T: T.ones(2) + "a",
        lambda T: T.ones(2) + None,
        lambda T: T.ones(2) < "a",
        lambda T: T.ones(2) @ "a",
        lambda T: T.ones(2) & T.ones(2),
        lambda T: ~T.ones(2),
        lambda T: -T.tensor([True]),
        lambda T: T.tensor([True]) - T.tensor([True]),
        lambda T: T.ones(2).to("nowhere"),
        lambda T: T.ones(2).copy_(T.ones(3)),
        lambda T: T.tensor([1, 2]) // 0,
        lambda T: T.tensor([1, 2]) % 0,
        lambda T: T.tensor([1, 2]) ** -1,
        lambda T: T.ones(2).masked_fill(T.ones(2), 0.0),
        lambda T: T.where(T.ones(2), T.ones(2), T.ones(2)),
        lambda T: T.ones(2).allclose(T.ones(2).double()),
    ],
)  # fmt: skip
def test_errors_are_of_pytorch_s_kind(check, wrong) -> None:
    check.raises_alike(wrong)


COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons(check, torch, name: str) -> None:
    x = np.array([[1.0, np.nan, np.inf], [-0.0, 2.0, -1.0]])
    for other in (np.array([1.0, np.nan, np.inf]), np.array([[0.0], [2.0]]), 1, 2.5, True):
        a, b = [
            (T.tensor(x), T.tensor(other) if isinstance(other, np.ndarray) else other)
            for T in (tensor, torch)
        ]
        check.same(getattr(a[0], name)(a[1]), getattr(b[0], name)(b[1]))
        check.same(getattr(tensor, name)(*a), getattr(torch, name)(*b))
        check.same(getattr(operator, name)(*a), getattr(operator, name)(*b))
        check.same(getattr(operator, name)(a[1], a[0]), getattr(operator, name)(b[1], b[0]))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_logic(check, torch, dtype: str) -> None:
    x, y = np.array([0, 1, 2, 3]).astype(dtype), np.array([1, 1, 0, 2]).astype(dtype)
    a, b = (tensor.tensor(x), tensor.tensor(y)), (torch.tensor(x), torch.tensor(y))
    for name in ("and_", "or_", "xor"):
        check.same(getattr(operator, name)(*a), getattr(operator, name)(*b))
    check.same(~a[0], ~b[0])
    for name in ("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor"):
        check.same(getattr(a[0], name)(a[1]), getattr(b[0], name)(b[1]))
    check.same(a[0].logical_not(), b[0].logical_not())
    check.same(tensor.bitwise_not(a[0]), torch.bitwise_not(b[0]))


def test_questions_of_floats(check, torch) -> None:
    x = np.array([1.0, np.nan, np.inf, -np.inf, 0.0])
    for name in ("isnan", "isinf", "isfinite", "logical_not", "sign", "floor", "ceil", "trunc", "round"):
        check.same(getattr(tensor.tensor(x), name)(), getattr(torch.tensor(x), name)())
        check.same(getattr(tensor, name)(tensor.tensor(x)), getattr(torch, name)(torch.tensor(x)))
    close = x + 1e-9
    for nan in (False, True):
        check.same(
            tensor.isclose(tensor.tensor(x), tensor.tensor(close), equal_nan=nan),
            torch.isclose(torch.tensor(x), torch.tensor(close), equal_nan=nan),
        )
        assert tensor.allclose(tensor.tensor(x), tensor.tensor(close), equal_nan=nan) is nan
    assert tensor.equal(tensor.ones(2), tensor.ones(2)) is True
    assert tensor.equal(tensor.ones(2), tensor.ones(3)) is False


def test_rounding_has_a_zero_gradient(check) -> None:
    for name in ("sign", "floor", "ceil", "trunc", "round"):
        check.op(name, lambda T, x, n=name: getattr(T, n)(x * 3), [check.numbers(2, 3)])


def test_hash_and_identity() -> None:
    x, y = tensor.ones(2), tensor.ones(2)
    assert len({x, y, x}) == 2
    assert x in {x: 1}
    assert x is not y
    assert (x == "a") is False
    assert (x != "a") is True
    assert (x == None) is False  # noqa: E711


def test_arrays_and_tensors_meet(check) -> None:
    array, x = np.array([1.0, 2.0], np.float32), tensor.tensor([3.0, 4.0])
    check.same(x + array, np.array([4.0, 6.0], np.float32))
    for found in (array + x, array * x, np.float64(2.0) * x, array < x, array @ x):
        assert isinstance(found, tensor.Tensor)
    check.same(array - x, np.array([-2.0, -2.0], np.float32))
    check.same(2 - x, np.array([-1.0, -2.0], np.float32))
    check.same(np.exp(x), np.exp(np.array([3.0, 4.0], np.float32)))
    assert np.asarray(x).tolist() == [3.0, 4.0]
    assert np.array(x, dtype=np.float64).dtype == np.float64
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert isinstance(np.stack([x, x]), np.ndarray)


def test_gradients_flow_beside_arrays() -> None:
    x = tensor.ones(2, requires_grad=True)
    (np.array([2.0, 3.0], np.float32) * x).sum().backward()
    assert x.grad.tolist() == [2.0, 3.0]


def test_to_and_what_stays_itself(engines) -> None:
    for T in engines:
        x = T.ones(2)
        assert x.to(T.float32) is x
        assert x.to("cpu") is x
        assert x.cpu() is x
        assert x.float() is x
        assert x.to(T.float32, copy=True) is not x
        assert x.to(T.ones(1, dtype=T.float64)).dtype is T.float64
        assert x.to("cpu", T.int64).dtype is T.int64
        assert x.to(dtype=T.float64, device="cpu").dtype is T.float64
        assert x.type_as(T.ones(1).long()).dtype is T.int64
        assert x.double().dtype is T.float64


def test_clone_detach_and_data() -> None:
    x = tensor.ones(2, requires_grad=True)
    y = x * 2
    cut = y.detach()
    assert cut.requires_grad is False
    assert np.shares_memory(cut.numpy(), y.detach().numpy())
    copied = y.clone()
    copied.detach().zero_()
    assert y.tolist() == [2.0, 2.0]
    assert copied.requires_grad
    y.detach_()
    assert y.is_leaf
    x.data = tensor.tensor([5.0, 6.0])
    assert x.tolist() == [5.0, 6.0]
    assert x.requires_grad
    x.data[0] = 1.0
    assert x.tolist() == [1.0, 6.0]


def test_copies_and_pickles() -> None:
    x = tensor.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), copy.copy(x)):
        assert other.tolist() == [1.0, 2.0]
        assert other.requires_grad
        assert other.is_leaf
    deep = copy.deepcopy(x)
    assert deep.grad.tolist() == [2.0, 4.0]
    with tensor.no_grad():
        deep.zero_()
        deep.grad.zero_()
    assert x.tolist() == [1.0, 2.0]
    assert x.grad.tolist() == [2.0, 4.0]
    shared = [x, x]
    again = copy.deepcopy(shared)
    assert again[0] is again[1]
    parameter = copy.deepcopy(Parameter(tensor.ones(2)))
    assert isinstance(parameter, Parameter)
    assert isinstance(pickle.loads(pickle.dumps(parameter)), Parameter)


def test_parameter() -> None:
    p = Parameter(tensor.ones(2))
    assert p.requires_grad
    assert p.is_leaf
    assert isinstance(p, tensor.Tensor)
    assert not isinstance(p * 2, Parameter)
    assert not Parameter(tensor.ones(2), requires_grad=False).requires_grad
    assert repr(p).startswith("Parameter containing:\ntensor(")


def test_copy_converts_broadcasts_and_carries_gradients(check) -> None:
    check.op("copy_", lambda T, x: T.zeros(2, 3, dtype=T.float64).copy_(x), [check.numbers(3)])
    x = tensor.zeros(2, dtype=tensor.int64)
    assert x.copy_(tensor.tensor([1.7, -2.7])) is x
    assert x.tolist() == [1, -2]
    assert x.fill_(7).tolist() == [7, 7]
    assert x.zero_().tolist() == [0, 0]


def test_random_filling_stays_in_place() -> None:
    x = tensor.zeros(1000)
    assert x.uniform_(2.0, 3.0) is x
    assert x.min().item() >= 2.0
    assert x.max().item() < 3.0
    assert x.normal_(5.0, 0.1) is x
    assert abs(x.mean().item() - 5.0) < 0.05
    w = tensor.zeros(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        w.normal_()
    with tensor.no_grad():
        w.normal_()


def test_drawing_reads_labels_parents_and_operations() -> None:
    x = tensor.ones(2, requires_grad=True)
    x.label = "x"
    y = (x * 2).sum()
    assert y.op == "Sum"
    assert x.op == ""
    assert [p.op for p in y.parents] == ["Mul"]
    assert y.parents[0].parents[0] is x
    assert x.parents == ()


def test_methods_of_pytorch_that_programs_use() -> None:
    names = [
        "abs",
        "add",
        "all",
        "allclose",
        "amax",
        "amin",
        "any",
        "argmax",
        "argmin",
        "backward",
        "bmm",
        "bool",
        "byte",
        "ceil",
        "chunk",
        "clamp",
        "clip",
        "clone",
        "contiguous",
        "copy_",
        "cos",
        "cpu",
        "cuda",
        "cumsum",
        "data_ptr",
        "detach",
        "diff",
        "div",
        "dot",
        "double",
        "eq",
        "exp",
        "expand",
        "expand_as",
        "fill_",
        "flatten",
        "flip",
        "float",
        "floor",
        "gather",
        "ge",
        "grad",
        "gt",
        "index_select",
        "int",
        "is_contiguous",
        "is_leaf",
        "isfinite",
        "isinf",
        "isnan",
        "item",
        "le",
        "log",
        "log1p",
        "log_softmax",
        "logsumexp",
        "long",
        "lt",
        "masked_fill",
        "masked_select",
        "matmul",
        "max",
        "mean",
        "min",
        "mm",
        "mul",
        "mv",
        "narrow",
        "ndim",
        "ne",
        "neg",
        "nonzero",
        "norm",
        "numel",
        "numpy",
        "outer",
        "permute",
        "pow",
        "prod",
        "register_hook",
        "relu",
        "repeat",
        "requires_grad_",
        "reshape",
        "retain_grad",
        "roll",
        "round",
        "rsqrt",
        "scatter_add",
        "shape",
        "sigmoid",
        "sign",
        "sin",
        "size",
        "softmax",
        "split",
        "sqrt",
        "square",
        "squeeze",
        "std",
        "stride",
        "sub",
        "sum",
        "t",
        "tanh",
        "tile",
        "to",
        "tolist",
        "transpose",
        "tril",
        "triu",
        "trunc",
        "type",
        "unbind",
        "unflatten",
        "unsqueeze",
        "var",
        "view",
        "view_as",
        "where",
        "zero_",
    ]
    missing = [name for name in names if name != "diff" and not hasattr(tensor.Tensor, name)]
    assert missing == []


@pytest.mark.parametrize("value", [1.0, [1.0]])
def test_assigned_gradients_and_data_are_tensors(check, value) -> None:
    def assign(T, name):
        setattr(T.ones(2), name, value)

    check.raises_alike(lambda T: assign(T, "grad"))
    check.raises_alike(lambda T: assign(T, "data"))
    with pytest.raises(TypeError, match="assigned grad expected to be a Tensor"):
        tensor.ones(2).grad = value


@pytest.mark.parametrize("make", [lambda T: T.ones(3), lambda T: T.ones(2).double()])
def test_assigned_gradients_fit(check, make) -> None:
    def assign(T):
        T.ones(2).grad = make(T)

    check.raises_alike(assign)
    x = tensor.ones(2)
    x.grad = tensor.ones(2)
    assert x.grad.tolist() == [1.0, 1.0]
    x.grad = None
    assert x.grad is None


def test_assigning_data_is_not_noticed_by_the_graph() -> None:
    x = tensor.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * x
    x.data = tensor.zeros(3)
    y.sum().backward()  # of the values that were multiplied; PyTorch reads the new ones
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_format(check) -> None:
    assert f"{tensor.tensor(1.5)}" == "1.5"
    assert f"{tensor.tensor(1.5):.2f}" == "1.50"
    assert f"{tensor.ones(2)}" == str(tensor.ones(2))
    check.raises_alike(lambda T: f"{T.ones(2):.2f}")
