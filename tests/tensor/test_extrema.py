"""tensor/extrema.py: the largest and smallest over every set of dims, their places, ties and nan."""

import itertools

import numpy as np
import pytest

import tensor

SHAPES = [(), (1,), (4,), (2, 3), (2, 3, 4), (3, 1, 2)]
ONE_DIM = [(shape, dim) for shape in SHAPES for dim in range(-max(len(shape), 1), max(len(shape), 1))]
SEVERAL = [
    (shape, dims)
    for shape in SHAPES
    for n in range(2, len(shape) + 1)
    for dims in itertools.combinations(range(-len(shape), 0), n)
]


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize(("shape", "dim"), ONE_DIM, ids=str)
def test_extremes_along_a_dim(check, name, shape, dim, keepdim) -> None:
    x = check.numbers(*shape)
    check.op(name, lambda T, x: tuple(getattr(x, name)(dim, keepdim)), [x])
    check.op("arg" + name, lambda T, x: getattr(T, "arg" + name)(x, dim, keepdim), [x], gradient=False)


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("name", ["amax", "amin"])
@pytest.mark.parametrize(("shape", "dim"), [*ONE_DIM, *SEVERAL], ids=str)
def test_amax_and_amin(check, name, shape, dim, keepdim) -> None:
    check.op(
        name,
        lambda T, x: getattr(T, name)(x, dim, keepdim),
        [check.numbers(*shape)],
        all_layouts=len(shape) == 3,
    )


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "argmax", "argmin"])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 3, 4)], ids=str)
def test_extremes_of_everything(check, name, shape) -> None:
    x = check.numbers(*shape)
    check.op(name, lambda T, x: getattr(T, name)(x), [x], getattr(np, name), gradient="arg" not in name)


def test_named_results(check) -> None:
    found = tensor.tensor([[1.0, 3.0], [4.0, 2.0]]).max(dim=1)
    check.same(found.values, np.array([3.0, 4.0], np.float32))
    check.same(found.indices, np.array([1, 0]))
    values, indices = tensor.min(tensor.tensor([3, 1, 2]), 0)
    assert (values.item(), indices.item()) == (1, 1)


def test_max_of_two_tensors_is_maximum(check) -> None:
    x, y = check.numbers(2, 3), check.numbers(3, seed=1)
    check.op("max", lambda T, x, y: T.max(x, y), [x, y], np.maximum)
    check.op("min", lambda T, x, y: x.min(other=y), [x, y], np.minimum)


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin"])
def test_ties(check, name) -> None:
    for x in ([2.0, 1.0, 2.0, 1.0], [[1.0, 1.0], [1.0, 1.0]], [[3.0, 3.0, 1.0], [1.0, 3.0, 1.0]]):
        check.op(name, lambda T, x: getattr(T, name)(x), [np.array(x)], differences=False)
        check.op(name, lambda T, x: as_tuple(getattr(x, name)(dim=-1)), [np.array(x)], differences=False)
        check.op(name, lambda T, x: as_tuple(getattr(x, name)(dim=0)), [np.array(x)], differences=False)


def as_tuple(found):
    return tuple(found) if isinstance(found, tuple) else found


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "argmax", "argmin"])
def test_nan_and_infinities(check, name) -> None:
    nan, inf = np.nan, np.inf
    for x in ([1.0, nan, 3.0, nan], [nan, nan], [inf, -inf, 1.0], [-inf, -inf], [nan, 1.0], [1.0, nan]):
        x = np.array(x)
        check.op(
            name,
            lambda T, x: getattr(T, name)(x),
            [x],
            gradient="arg" not in name and not np.isnan(x).any(),
            differences=False,
        )
        check.op(name, lambda T, x: as_tuple(getattr(x, name)(dim=0)), [x], gradient=False)


def test_empty_along_another_dim(check) -> None:
    check.op("max", lambda T, x: tuple(x.max(0)), [np.zeros((2, 0))], gradient=False)
    check.op("amax", lambda T, x: x.amax(0), [np.zeros((2, 0))])
    check.op("argmax", lambda T, x: x.argmax(0), [np.zeros((2, 0))], gradient=False)


@pytest.mark.parametrize("name", ["amax", "amin", "max"])
def test_gradient_of_an_extreme_that_is_nan(check, name) -> None:
    x = np.array([1.0, np.nan, 3.0])
    if name == "max":  # PyTorch's amax gives nan everywhere
        check.op(name, lambda T, x: x.max(), [x], differences=False, all_layouts=False)
    ours = tensor.tensor(x, requires_grad=True)
    getattr(ours, name)().backward()
    assert ours.grad is not None
    assert ours.grad.tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "argmax", "argmin"])
def test_integers(check, torch, name, dtype) -> None:
    if (name, dtype) in (("argmax", "bool"), ("argmin", "bool")):
        pytest.skip("PyTorch has no argmax of bools")
    x = np.array([[1, 0, 3], [200, 7, 5]]).astype(dtype)
    a, b = tensor.tensor(x), torch.tensor(x)
    check.same(getattr(a, name)(), getattr(b, name)())
    for dim in (0, 1, -1):
        check.same(as_tuple(getattr(a, name)(dim)), as_tuple(getattr(b, name)(dim)))
        check.same(
            as_tuple(getattr(a, name)(dim, keepdim=True)), as_tuple(getattr(b, name)(dim, keepdim=True))
        )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda T: T.ones(2, 3).max(5),
        lambda T: T.ones(0).max(),
        lambda T: T.ones(0).argmax(),
        lambda T: T.ones(2, 0).max(1),
        lambda T: T.ones(2, 0).amax(1),
        lambda T: T.ones(2, 0).amin(),
        lambda T: T.ones(2, 0).argmin(-1),
    ],
)
def test_errors_are_of_pytorch_s_kind(check, wrong) -> None:
    check.raises_alike(wrong)


@pytest.mark.parametrize("name", ["amax", "amin", "argmax", "argmin"])
def test_numpy_names_of_dims(check, name) -> None:
    def reduce(T, x):
        return getattr(T, name)(x, axis=1, keepdims=True)

    x = check.numbers(2, 3)
    check.op(name, reduce, [x], gradient=False, all_layouts=False)
    assert reduce(tensor, tensor.tensor(x)).shape == (2, 1)
    with pytest.raises(TypeError, match=f"{name}: argument 'input' must be Tensor, not float"):
        reduce(tensor, 1.0)
