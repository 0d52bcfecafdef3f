"""tensor/reduction.py: every reduction over every set of dims."""

import itertools

import numpy as np
import pytest

import tensor

SHAPES = [(), (1,), (4,), (2, 3), (2, 3, 4), (3, 1, 2), (0,), (2, 0, 3)]


def dim_choices(shape: tuple[int, ...]) -> list:
    """Return None, every dim from both ends, and every set of several."""
    single = list(range(-max(len(shape), 1), max(len(shape), 1)))
    several = [c for n in range(2, len(shape) + 1) for c in itertools.combinations(range(len(shape)), n)]
    return [None, *single, *several, *[tuple(d - len(shape) for d in reversed(c)) for c in several]]


CASES = [(shape, dim) for shape in SHAPES for dim in dim_choices(shape)]


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(("shape", "dim"), CASES, ids=str)
def test_sum_and_mean(check, shape, dim, keepdim) -> None:
    x = check.numbers(*shape)
    everything = len(shape) == 3 and 0 not in shape
    check.op(
        "sum",
        lambda T, x: x.sum(dim, keepdim),
        [x],
        lambda x: x.sum(dim, keepdims=keepdim) if x.ndim else x,
        all_layouts=everything,
    )
    check.op("mean", lambda T, x: T.mean(x, dim=dim, keepdim=keepdim), [x], all_layouts=everything)


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize(
    ("shape", "dim"), [c for c in CASES if 0 not in c[0] and len(c[0]) in (1, 2, 3)], ids=str
)
@pytest.mark.filterwarnings("ignore:.*degrees of freedom.*")
def test_var_and_std(check, name, shape, dim) -> None:
    x = check.numbers(*shape)
    count = x.size if dim is None else int(np.prod([shape[d] for d in np.atleast_1d(dim)]))
    for correction in (1, 0, 2):
        enough = count > correction
        check.op(
            name,
            lambda T, x, c=correction: getattr(x, name)(dim, correction=c, keepdim=True),
            [x],
            gradient=enough,
            differences=enough and not (name == "std" and count == 1),
            all_layouts=False,
        )
    if count > 1:
        check.op(
            name, lambda T, x: getattr(T, name)(x, dim, True), [x], lambda x: getattr(x, name)(dim, ddof=1)
        )
        check.op(
            name, lambda T, x: getattr(T, name)(x, dim, unbiased=False), [x], lambda x: getattr(x, name)(dim)
        )


def test_var_takes_the_old_signature(check) -> None:
    x = check.numbers(3, 4)
    check.op("var", lambda T, x: x.var(False), [x], np.var)
    check.op("std", lambda T, x: x.std(True), [x])
    check.op("var", lambda T, x: x.var(), [x])
    check.op("var", lambda T, x: x.var(1), [x])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
@pytest.mark.parametrize("name", ["sum", "prod", "any", "all"])
def test_integers(check, torch, name, dtype) -> None:
    x = np.array([[1, 0, 3], [200, 7, 5]]).astype(dtype)
    a, b = tensor.tensor(x), torch.tensor(x)
    check.same(getattr(a, name)(), getattr(b, name)())
    for dim in (0, 1, -1):
        check.same(getattr(a, name)(dim), getattr(b, name)(dim))
        check.same(getattr(a, name)(dim, keepdim=True), getattr(b, name)(dim, keepdim=True))


def test_dtype_argument(check) -> None:
    x = check.numbers(2, 3)
    check.op("sum", lambda T, x: x.sum(dtype=T.float64), [x])
    check.op("mean", lambda T, x: T.mean(x, 0, dtype=T.float64), [x])
    assert tensor.tensor([1, 2]).sum(dtype=tensor.float32).dtype is tensor.float32
    assert tensor.tensor([1, 2]).prod(dtype=tensor.float32).dtype is tensor.float32


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(("shape", "dim"), [c for c in CASES if not isinstance(c[1], tuple)], ids=str)
def test_prod(check, shape, dim, keepdim) -> None:
    x = check.numbers(*shape)
    if dim is None:
        check.op("prod", lambda T, x: x.prod(), [x], np.prod)
    else:
        check.op("prod", lambda T, x: T.prod(x, dim, keepdim), [x], all_layouts=len(shape) == 3)


def test_prod_with_zeros(check) -> None:
    for x in ([1.0, 0.0, 2.0], [0.0, 0.0, 3.0], [[1.0, 0.0], [2.0, 3.0]], [0.0]):
        check.op("prod", lambda T, x: x.prod(), [np.array(x)])
        check.op("prod", lambda T, x: x.prod(-1), [np.array(x)])


@pytest.mark.parametrize("name", ["any", "all"])
@pytest.mark.parametrize(("shape", "dim"), CASES, ids=str)
def test_any_and_all(check, name, shape, dim) -> None:
    for values in (
        check.numbers(*shape) > 0,
        np.zeros(shape, bool),
        np.ones(shape, bool),
        check.numbers(*shape),
    ):
        check.op(
            name,
            lambda T, x: getattr(T, name)(x, dim=dim, keepdim=True),
            [values],
            lambda x: getattr(np, name)(x, dim, keepdims=True) if x.ndim else getattr(np, name)(x),
            gradient=False,
            all_layouts=False,
        )
    check.op(name, lambda T, x: getattr(x, name)(), [values > 1], getattr(np, name), gradient=False)


@pytest.mark.parametrize(("shape", "dim"), [c for c in CASES if c[1] is not None and 0 not in c[0]], ids=str)
def test_logsumexp(check, shape, dim) -> None:
    x = check.numbers(*shape)
    check.op("logsumexp", lambda T, x: T.logsumexp(x, dim), [x], all_layouts=False)
    check.op(
        "logsumexp",
        lambda T, x: (x * 300).logsumexp(dim, keepdim=True),
        [x],
        all_layouts=False,
        differences=False,
        dtypes=["float64"],
    )


def test_logsumexp_of_infinities(check, torch) -> None:
    for x in ([-np.inf, -np.inf], [np.inf, 1.0], [-np.inf, 2.0], [np.nan, 1.0]):
        check.same(tensor.tensor(x).logsumexp(0), torch.tensor(x).logsumexp(0))


def test_std_of_equal_numbers(check) -> None:
    check.op("std", lambda T, x: x.std(), [np.full(3, 2.0)], differences=False)
    check.op("std", lambda T, x: x.std(0), [np.array([[1.0, 2.0], [1.0, 5.0]])], differences=False)


def test_count_nonzero(check) -> None:
    x = np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 3.0]])
    for dim in (None, 0, 1, (0, 1)):
        check.op("count_nonzero", lambda T, x, d=dim: T.count_nonzero(x, d), [x], gradient=False)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda T: T.ones(2, 3).sum(2),
        lambda T: T.ones(2, 3).sum((0, 0)),
        lambda T: T.ones(2, 3).mean((0, -2)),
        lambda T: T.ones(2, 3).long().mean(),
        lambda T: T.ones(2, 3).bool().std(),
        lambda T: T.ones(2).sum("x"),
        lambda T: T.ones(2).prod((0,)),
        lambda T: T.ones(2, 3).logsumexp(4),
    ],
)  # fmt: skip
def test_errors_are_of_pytorch_s_kind(check, wrong) -> None:
    check.raises_alike(wrong)


def test_float32_sums_are_within_pytorch_s_own_error(torch) -> None:
    x = np.random.default_rng(0).normal(size=(64, 4097)).astype(np.float32)
    for run in (
        lambda t: t.sum(),
        lambda t: t.sum(0),
        lambda t: t.mean(1),
        lambda t: t.var(),
        lambda t: t.std(0),
        lambda t: t.norm(),
    ):
        exact = run(torch.tensor(x, dtype=torch.float64)).numpy()
        ours = np.abs(run(tensor.tensor(x)).numpy() - exact).max()
        theirs = np.abs(run(torch.tensor(x)).numpy() - exact).max()
        assert ours <= theirs + np.abs(exact).max() * 1.2e-7


def test_large_numbers_neither_overflow_nor_cancel() -> None:
    x = tensor.tensor([1e4 + v for v in (1.0, 2.0, 3.0)], requires_grad=True)
    assert x.var().item() == pytest.approx(1.0, rel=1e-6)
    assert tensor.tensor([1000.0, 1000.0]).logsumexp(0).item() == pytest.approx(1000.6931, rel=1e-6)


def test_variance_far_from_zero() -> None:
    x = (np.random.default_rng(0).standard_normal(100_000) + 1e5).astype(np.float32)
    np.testing.assert_allclose(tensor.tensor(x).var().item(), x.astype(np.float64).var(ddof=1), 1e-6)


@pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "prod", "any"])
def test_numpy_names_of_dims(check, name) -> None:
    def reduce(T, x):
        return getattr(T, name)(x, axis=1, keepdims=True)

    x = check.numbers(2, 3)
    check.op(name, reduce, [x], gradient=False, all_layouts=False)
    assert reduce(tensor, tensor.tensor(x)).shape == (2, 1)
    with pytest.raises(TypeError, match=f"{name}: argument 'input' must be Tensor, not float"):
        reduce(tensor, 1.0)
