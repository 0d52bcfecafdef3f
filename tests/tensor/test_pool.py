"""tensor/pool.py: pooling against PyTorch and finite differences, over shapes and options."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tensor
import tensor.nn.functional as F

NAMES = ["max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool"]
SLIDING = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": 4, "stride": 1, "padding": 2},
]
PAIRS = [
    {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0)},
    {"kernel_size": [3, 1], "stride": [2], "padding": (1, 0), "ceil_mode": True},
    {"kernel_size": 2, "stride": (2, 2)},
]
SHAPES = {
    1: [(2, 3, 9), (1, 1, 4), (3, 8), (0, 2, 6)],
    2: [(2, 3, 8, 6), (1, 2, 5, 7), (2, 4, 34), (0, 2, 4, 6)],
}


def pool(name: str, dims: int, **options):
    return lambda T, x: getattr(T.nn.functional, f"{name}{dims}d")(x, **options)


def distinct(check, *shape: int) -> np.ndarray:
    """Return numbers so far apart that finite differences meet no tie."""
    x = check.numbers(*shape)
    return np.argsort(np.argsort(x, None)).reshape(shape) / max(x.size, 1) * 4 - 2


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("options", SLIDING, ids=str)
def test_sliding(check, options, dims: int) -> None:
    for shape in SHAPES[dims]:
        x = distinct(check, *shape)
        for indices in (False, True):
            check.op("max_pool", pool("max_pool", dims, return_indices=indices, **options), [x])
        for include in (True, False):
            check.op("avg_pool", pool("avg_pool", dims, count_include_pad=include, **options), [x])


@pytest.mark.parametrize("options", PAIRS, ids=str)
def test_pairs(check, options) -> None:
    for shape in SHAPES[2]:
        x = distinct(check, *shape)
        check.op("max_pool2d", pool("max_pool", 2, return_indices=True, dilation=(1, 2), **options), [x])
        for divisor in (None, 3, -2):
            check.op("avg_pool2d", pool("avg_pool", 2, divisor_override=divisor, **options), [x])


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 4, 7, 0], ids=str)
def test_adaptive(check, size: int, dims: int) -> None:
    for shape in SHAPES[dims]:
        x = distinct(check, *shape)
        wanted = x.size and size  # PyTorch has no gradient of nothing
        check.op("adaptive_avg_pool", pool("adaptive_avg_pool", dims, output_size=size), [x], gradient=wanted)
        for indices in (False, True):
            op = pool("adaptive_max_pool", dims, output_size=size, return_indices=indices)
            check.op("adaptive_max_pool", op, [x], gradient=wanted)


def test_adaptive_pairs(check) -> None:
    for size in [(2, 3), (None, 2), (3, None), (None, None), [1, 5]]:
        x = distinct(check, 2, 3, 5, 4)
        check.op("adaptive_avg_pool2d", pool("adaptive_avg_pool", 2, output_size=size), [x])
        op = pool("adaptive_max_pool", 2, output_size=size, return_indices=True)
        check.op("adaptive_max_pool2d", op, [x])
    check.op("adaptive_avg_pool1d", pool("adaptive_avg_pool", 1, output_size=(3,)), [distinct(check, 2, 7)])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    ceil_mode=st.booleans(),
    include=st.booleans(),
    ties=st.booleans(),
)
def test_any_options_are_pytorchs(
    torch, data, shape, kernel, stride, dilation, ceil_mode, include, ties
) -> None:
    """Whatever PyTorch takes gives its values, places and gradients; what it refuses is refused."""
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x = np.round(x) if ties else x
    flat = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    for name, options in [
        ("max_pool2d", {**flat, "dilation": dilation, "return_indices": True}),
        ("avg_pool2d", {**flat, "count_include_pad": include}),
    ]:
        reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        if "dilation" in options and any(r > n for r, n in zip(reach, shape[2:], strict=True)):
            continue  # a window may step over all of x: PyTorch then tells a place, and writes, outside of x
        results = []
        for T in (tensor, torch):
            t = T.tensor(x, requires_grad=True)
            try:
                found = getattr(T.nn.functional, name)(t, kernel, **options)
            except RuntimeError as error:
                results.append(type(error))
                continue
            out, *indices = found if isinstance(found, tuple) else (found,)
            out.backward(out.detach() * 0.5 + 1)
            results.append([out.detach().numpy(), t.grad.numpy(), *[i.numpy() for i in indices]])
        ours, theirs = results
        if ours is RuntimeError or theirs is RuntimeError:
            assert ours is theirs
            continue
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, 1e-5, 1e-5)


def test_nan_ties_and_infinity(check) -> None:
    nan, inf = np.nan, np.inf
    cases = [
        [[1, nan, 2, nan], [nan, 3, 4, 5], [0, 0, inf, inf], [0, 0, -inf, inf]],
        [[-inf] * 4] * 4,
        [[2.0] * 4] * 4,
        [[0.0, -0.0, -0.0, 0.0]] * 4,
        [[nan] * 4, [1.0] * 4, [-inf] * 4, [nan, 1, 1, nan]],
    ]
    for case, options in itertools.product(cases, [SLIDING[0], SLIDING[1], SLIDING[2]]):
        x = np.array([case])
        op = pool("max_pool", 2, return_indices=True, **options)
        check.op("max_pool2d", op, [x], differences=False, all_layouts=False)
        check.op("avg_pool2d", pool("avg_pool", 2, **options), [x], differences=False, all_layouts=False)
        line = pool("max_pool", 1, return_indices=True, **options)
        check.op("max_pool1d", line, [x[0]], differences=False, all_layouts=False)
    for case in cases:
        op = pool("adaptive_max_pool", 2, output_size=3, return_indices=True)
        check.op("adaptive_max_pool2d", op, [np.array([case])], differences=False, all_layouts=False)


def test_integers(check) -> None:
    for dtype, options in itertools.product(["int64", "int32", "uint8"], SLIDING[:3]):
        x = np.random.default_rng(0).integers(0, 99, (2, 6, 6)).astype(dtype)
        check.op("max_pool2d", pool("max_pool", 2, return_indices=True, **options), [x], gradient=False)
    for sign, options in itertools.product([1, -1], SLIDING[:3]):
        x = sign * np.arange(72).reshape(2, 6, 6)
        check.op("avg_pool2d", pool("avg_pool", 2, **options), [x], gradient=False)
        check.op("avg_pool1d", pool("avg_pool", 1, **options), [x], gradient=False)


def test_names_beside_nn(engines) -> None:
    """What PyTorch has outside nn.functional, and the forms that always give indices."""
    for T in engines:
        x = T.arange(12.0).reshape(1, 2, 6)
        assert T.max_pool1d(x, 2).tolist() == [[[1, 3, 5], [7, 9, 11]]]
        assert T.avg_pool1d(x, 2, 2, 0, False, True).tolist() == [[[0.5, 2.5, 4.5], [6.5, 8.5, 10.5]]]
        assert T.max_pool2d(x, 2).tolist() == [[[7, 9, 11]]]
        assert T.adaptive_avg_pool1d(x, 1).tolist() == [[[2.5], [8.5]]]
        functional = T.nn.functional
        for values, indices in [
            T.max_pool1d_with_indices(x, 3),
            functional.max_pool1d_with_indices(x, 3),
            T.adaptive_max_pool1d(x, 2),
            functional.adaptive_max_pool1d_with_indices(x, 2),
        ]:
            assert values.tolist() == [[[2, 5], [8, 11]]]
            assert indices.tolist() == [[[2, 5], [2, 5]]]
        for values, indices in [
            functional.max_pool2d_with_indices(x, (2, 3)),
            functional.adaptive_max_pool2d_with_indices(x, (1, 2)),
        ]:
            assert values.tolist() == [[[8, 11]]]
            assert indices.tolist() == [[[8, 11]]]


def test_recording() -> None:
    x = tensor.rand(1, 1, 4, 4, requires_grad=True)
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    assert values.requires_grad
    assert not indices.requires_grad
    assert "MaxPool2DWithIndices" in repr(values)
    with tensor.no_grad():
        assert not F.max_pool2d(x, 2).requires_grad
    values.sum().backward(retain_graph=True)
    values.sum().backward()
    assert x.grad.sum() == 8
    with pytest.raises(RuntimeError, match="second time"):
        values.sum().backward()


def test_in_place_changes_do_not_matter() -> None:
    """Nothing of the input or the result is needed backward; PyTorch keeps the input, and refuses this."""
    x = tensor.arange(16.0).reshape(1, 4, 4).requires_grad_()
    y = x * 1
    out = F.max_pool2d(y, 2)
    y.zero_()
    out.mul_(2)
    out.sum().backward()
    assert x.grad[0, 1::2, 1::2].tolist() == [[2, 2], [2, 2]]
    assert x.grad.sum() == 8


ERRORS = {
    "padding above half": lambda f, x, k: f(x, k, padding=2),
    "negative padding": lambda f, x, k: f(x, k, padding=-1),
    "too large": lambda f, x, k: f(x, 9),
    "no stride": lambda f, x, k: f(x, k, 0),
    "negative stride": lambda f, x, k: f(x, k, -1),
    "no kernel": lambda f, x, k: f(x, 0),
    "no kernel, a stride": lambda f, x, k: f(x, 0, 1),
    "three sizes": lambda f, x, k: f(x, (k, k, k)),
    "no sizes": lambda f, x, k: f(x, ()),
    "three strides": lambda f, x, k: f(x, k, (1, 1, 1)),
    "three paddings": lambda f, x, k: f(x, k, padding=(1, 1, 1)),
    "a float": lambda f, x, k: f(x, 2.0),
    "floats": lambda f, x, k: f(x, (2.0,)),
    "a truth value": lambda f, x, k: f(x, True),
    "None": lambda f, x, k: f(x, None),
    "too few dims": lambda f, x, k: f(x[0, 0], k),
    "no dims": lambda f, x, k: f(x.sum(), k),
    "too many dims": lambda f, x, k: f(x[None, None], k),
    "no channels": lambda f, x, k: f(x[:, :0], k),
    "no columns": lambda f, x, k: f(x[..., :0], k),
    "not a tensor": lambda f, x, k: f([1.0, 2.0], k),
    "of truth values": lambda f, x, k: f(x > 0, k),
}


@pytest.mark.parametrize("what", ERRORS)
def test_errors_of_sliding(check, what: str) -> None:
    for name, shape in [
        ("max_pool1d", (2, 3, 6)),
        ("avg_pool1d", (2, 3, 6)),
        ("max_pool2d", (2, 3, 6, 6)),
        ("avg_pool2d", (2, 3, 6, 6)),
    ]:
        check.raises_alike(
            lambda T, n=name, s=shape: ERRORS[what](getattr(T.nn.functional, n), T.zeros(*s), 2)
        )


def test_more_errors_of_sliding(check) -> None:
    for call in [
        lambda T, F: F.max_pool2d(T.zeros(1, 4, 4), 2, dilation=0),
        lambda T, F: F.max_pool1d(T.zeros(1, 4), 2, dilation=0),
        lambda T, F: F.max_pool2d(T.zeros(1, 4, 4), 2, dilation=(1, 1, 1)),
        lambda T, F: F.max_pool2d(T.zeros(1, 4, 4), 3, dilation=2),
        lambda T, F: F.max_pool1d(T.zeros(1, 4), (2, 2)),
        lambda T, F: F.avg_pool1d(T.zeros(1, 4), (2, 2)),
        lambda T, F: F.avg_pool2d(T.zeros(1, 4, 4), 2, divisor_override=0),
        lambda T, F: F.avg_pool2d(T.zeros(1, 4, 4), 2, divisor_override=2.5),
        lambda T, F: F.avg_pool2d(T.zeros(1, 4, 4, dtype=T.int32), 2),
        lambda T, F: F.max_pool2d(T.zeros(0, 4, 4), 2),
    ]:
        check.raises_alike(lambda T, call=call: call(T, T.nn.functional))


def test_errors_of_adaptive(check) -> None:
    for (name, dims), call in itertools.product(
        itertools.product(["adaptive_avg_pool", "adaptive_max_pool"], [1, 2]),
        [
            lambda f, x: f(x, -1),
            lambda f, x: f(x, (1, 1, 1)),
            lambda f, x: f(x, None),
            lambda f, x: f(x, 1.5),
            lambda f, x: f(x[0, 0], 2),
            lambda f, x: f(x[0, 0], (2, 2)),
            lambda f, x: f(x[None, None], 2),
            lambda f, x: f(x[..., :0], 2),
            lambda f, x: f(x.long(), 2),
        ],
    ):
        shape = (2, 3, 6, 6)[: dims + 2]
        check.raises_alike(
            lambda T, n=f"{name}{dims}d", s=shape, c=call: c(getattr(T.nn.functional, n), T.zeros(*s))
        )
    check.raises_alike(lambda T: T.nn.functional.adaptive_max_pool2d(T.zeros(2, 0, 4, 4), 2))
    for shape, size in [((2, 0, 4, 4), 2), ((2, 3, 0, 4), 1)]:
        average = pool("adaptive_avg_pool", 2, output_size=size)
        check.op("adaptive_avg_pool2d", average, [np.zeros(shape)], gradient=False)


def test_errors_say_the_repair() -> None:
    x = tensor.zeros(1, 4, 4)
    for call, message in [
        (
            lambda: F.max_pool2d(x, 2, padding=2),
            r"max_pool2d: pad should be at most half .* pad the input first",
        ),
        (lambda: F.max_pool2d(x, 5), "max_pool2d: Output size is too small: .* use a smaller kernel_size"),
        (lambda: F.avg_pool1d(x[None], 2), r"avg_pool1d: .*\(batch, channels, length\), got \(1, 1, 4, 4\)"),
        (lambda: F.adaptive_avg_pool2d(x.long(), 2), r"adaptive_avg_pool2d: .*use x.float\(\)"),
        (lambda: F.max_pool2d(x, (1, 2, 3)), r"max_pool2d: kernel_size must be .*, got \(1, 2, 3\)"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            call()
