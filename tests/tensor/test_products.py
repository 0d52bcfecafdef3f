"""tensor/products.py: products of vectors, matrices and batches."""

import numpy as np
import pytest

import tensor
from tensor import products

SHAPES = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (1, 3, 4)),
    ((2, 1, 2, 3), (3, 3, 4)),
    ((2, 3, 2, 3), (2, 3, 3, 1)),
    ((2, 1, 2, 3), (1, 3, 3, 2)),
    ((6, 1, 2, 3), (3,)),
    ((3,), (2, 2, 3, 2)),
    ((1, 1), (1, 1)),
    ((1, 5), (5, 1)),
    ((7, 9), (9, 5)),
    ((17, 6), (6, 33)),
    ((0, 3), (3, 4)),
    ((2, 0), (0, 4)),
    ((2, 3), (3, 0)),
    ((0,), (0,)),
    ((0, 2, 3), (3, 4)),
    ((2, 2, 0), (2, 0, 3)),
    ((0, 2, 3), (1, 3, 4)),
    ((2, 3, 0), (0, 4)),
    ((2, 3, 4), (4, 0)),
    ((2, 3, 0), (0, 0)),
]


@pytest.mark.parametrize(("a", "b"), SHAPES, ids=str)
def test_matmul(check, a, b) -> None:
    inputs = [check.numbers(*a, seed=1), check.numbers(*b, seed=2)]
    check.op("matmul", lambda T, a, b: T.matmul(a, b), inputs, np.matmul)
    check.op("@", lambda T, a, b: a @ b, inputs, all_layouts=False, dtypes=["float32"])


def test_matmul_of_a_tensor_with_itself(check) -> None:
    check.op("matmul", lambda T, x: x @ x, [check.numbers(3, 3)])
    check.op("matmul", lambda T, x: x @ x.T, [check.numbers(3, 2)])
    check.op("matmul", lambda T, x: x.T @ x, [check.numbers(3, 2)])
    check.op("matmul", lambda T, x: x @ x.mT, [check.numbers(2, 3, 2)])


def test_expanded_operands(check) -> None:
    a, b = check.numbers(1, 3), check.numbers(3, 1, seed=1)
    check.op("matmul", lambda T, a, b: a.expand(4, 3) @ b.expand(3, 2), [a, b])
    check.op("matmul", lambda T, a, b: a.expand(2, 4, 3) @ b.expand(2, 3, 2), [a, b])


@pytest.mark.parametrize(
    ("name", "a", "b"),
    [
        ("mm", (2, 3), (3, 4)),
        ("mv", (2, 3), (3,)),
        ("bmm", (5, 2, 3), (5, 3, 4)),
        ("dot", (3,), (3,)),
        ("outer", (2,), (3,)),
        ("mm", (0, 3), (3, 2)),
        ("outer", (0,), (3,)),
    ],
    ids=str,
)
def test_products_of_given_dims(check, name, a, b) -> None:
    inputs = [check.numbers(*a, seed=1), check.numbers(*b, seed=2)]
    check.op(name, lambda T, a, b: getattr(T, name)(a, b), inputs)
    check.op(name, lambda T, a, b: getattr(a, name)(b), inputs)


@pytest.mark.parametrize("batch", [(), (1,), (4,), (2, 3), (0,), (2, 0)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_linear(check, batch, bias) -> None:
    inputs = [
        check.numbers(*batch, 3, seed=1),
        check.numbers(2, 3, seed=2),
        *([check.numbers(2, seed=3)] if bias else []),
    ]
    check.op(
        "linear", lambda T, *a: products.linear(*a), inputs, theirs=lambda T, *a: T.nn.functional.linear(*a)
    )


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_matmul_of_integers(check, torch, dtype) -> None:
    a, b = np.arange(6).reshape(2, 3).astype(dtype), np.arange(12).reshape(3, 4).astype(dtype)
    check.same(tensor.tensor(a) @ tensor.tensor(b), torch.tensor(a) @ torch.tensor(b))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda T: T.ones(2, 3) @ T.ones(4, 3),
        lambda T: T.ones(2, 3) @ T.ones(2),
        lambda T: T.ones(3) @ T.ones(4),
        lambda T: T.ones(2, 2, 3) @ T.ones(3, 3, 4),
        lambda T: T.ones(()) @ T.ones(3),
        lambda T: T.ones(2, 3) @ T.ones(3, 4).double(),
        lambda T: T.ones(2, 3) @ 3,
        lambda T: 3 @ T.ones(2, 3),
        lambda T: T.mm(T.ones(3), T.ones(3, 4)),
        lambda T: T.mv(T.ones(2, 3), T.ones(2, 3)),
        lambda T: T.bmm(T.ones(2, 2, 3), T.ones(3, 3, 4)),
        lambda T: T.dot(T.ones(2, 3), T.ones(3)),
        lambda T: T.dot(T.ones(2), T.ones(3)),
        lambda T: T.outer(T.ones(2, 1), T.ones(3)),
        lambda T: T.matmul(T.ones(2), [1.0, 2.0]),
    ],
)
def test_errors_are_of_pytorch_s_kind(check, wrong) -> None:
    check.raises_alike(wrong)


def test_errors_say_the_repair() -> None:
    with pytest.raises(
        RuntimeError, match=r"matmul: inner sizes differ.*\(2, 3\) @ \(4, 3\); did you mean b.T\?"
    ):
        tensor.ones(2, 3) @ tensor.ones(4, 3)
    with pytest.raises(RuntimeError, match=r"did you mean a.T\?"):
        tensor.ones(3, 2) @ tensor.ones(3, 4)
    with pytest.raises(RuntimeError, match=r"did you mean input.flatten\(1\)\?"):
        products.linear(tensor.ones(2, 4, 4), tensor.ones(3, 16))


def test_float32_is_within_pytorch_s_own_error(torch) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(129, 300)).astype(np.float32), rng.normal(size=(300, 65)).astype(np.float32))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    ours = np.abs((tensor.tensor(a) @ tensor.tensor(b)).numpy() - exact).max()
    theirs = np.abs((torch.tensor(a) @ torch.tensor(b)).numpy() - exact).max()
    assert ours < 4 * theirs


def test_nan_and_infinity_spread(check) -> None:
    a = np.array([[1.0, np.nan], [np.inf, 0.0]])
    check.op(
        "matmul", lambda T, a, b: a @ b, [a, np.array([[1.0, 0.0], [0.0, 1.0]])], np.matmul, gradient=False
    )


@pytest.mark.parametrize(
    ("x", "weight"), [((2, 0), (3, 0)), ((2, 4), (0, 4)), ((2, 3, 0), (5, 0)), ((0, 4), (3, 4))], ids=str
)
def test_linear_of_empty_sizes(check, x, weight) -> None:
    inputs = [check.numbers(*x), check.numbers(*weight, seed=1), check.numbers(weight[0], seed=2)]
    check.op(
        "linear",
        lambda T, x, w, b: T.nn.functional.linear(x, w, b),
        inputs,
        lambda x, w, b: x @ w.T + b,
    )


@pytest.mark.parametrize("rows", [None, 3])
def test_long_sums_of_one_column_are_exact(check, rows) -> None:
    shape = (100_000,) if rows is None else (rows, 100_000)
    x = np.random.default_rng(0).random(shape).astype(np.float32)
    y = np.random.default_rng(1).random((100_000,)).astype(np.float32)
    out = tensor.from_numpy(x) @ tensor.from_numpy(y)
    np.testing.assert_allclose(out.numpy(), x.astype(np.float64) @ y.astype(np.float64), 5e-6)
