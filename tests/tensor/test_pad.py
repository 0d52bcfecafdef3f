"""tensor/pad.py: constant frames of any dims, frames of own elements, their gradients and limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tensor
import tensor.nn.functional as F

BORDERS = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # and numpy.pad's names


def numpy_pads(widths, ndim: int):
    pairs = [(widths[2 * i], widths[2 * i + 1]) for i in range(len(widths) // 2)]
    return [(0, 0)] * (ndim - len(pairs)) + pairs[::-1]


@pytest.mark.parametrize(
    ("shape", "widths"),
    [
        ((4,), (1, 2)),
        ((3, 4), (1, 2)),
        ((3, 4), (0, 1, 2, 0)),
        ((2, 3, 4), (1, 0, 0, 2, 3, 1)),
        ((2, 3, 4, 2, 1), (1, 1) * 5),
        ((3, 4), (0, 0)),
        ((3, 4), ()),
        ((0, 4), (1, 1)),
        ((0, 4), (1, 1, 2, 0)),
        ((), ()),
    ],
    ids=str,
)
def test_constant(check, shape, widths):
    pads = numpy_pads(widths, len(shape))
    check.op(
        "pad",
        lambda T, x: T.nn.functional.pad(x, widths, value=1.5),
        [check.numbers(*shape)],
        (lambda x: np.pad(x, pads, constant_values=1.5)) if shape else np.copy,
    )


@pytest.mark.parametrize("widths", [(-1, 2), (2, -3), (-2, -2), (-4, 0), (-1, -3), (1, -1, -1, 2)], ids=str)
def test_negative_widths_crop(check, widths):
    check.op("pad", lambda T, x: T.nn.functional.pad(x, widths), [check.numbers(3, 4)])


@pytest.mark.parametrize("mode", BORDERS)
@pytest.mark.parametrize(
    ("shape", "widths"),
    [
        ((2, 5), (2, 3)),
        ((2, 3, 5), (4, 0)),
        ((2, 3, 5), (0, 0)),
        ((2, 4, 5), (1, 4, 2, 3)),
        ((2, 3, 4, 5), (1, 2, 3, 0)),
        ((3, 2, 4, 2), (1, 1, 3, 2, 0, 1)),
        ((1, 1, 3, 4, 5), (4, 1, 1, 2, 2, 2)),
        ((0, 2, 3), (1, 2)),
        ((2, 2), (1, 1)),
    ],
    ids=str,
)
def test_own_elements(check, mode, shape, widths):
    pads = numpy_pads(widths, len(shape))
    check.op(
        mode,
        lambda T, x: T.nn.functional.pad(x, widths, mode),
        [check.numbers(*shape)],
        (lambda x: np.pad(x, pads, mode=BORDERS[mode])) if np.prod(shape) else None,
    )


@pytest.mark.parametrize("mode", ["replicate", "circular"])
def test_wider_than_the_tensor(check, mode):
    widths = (3, 3) if mode == "circular" else (7, 4)
    check.op(mode, lambda T, x: T.nn.functional.pad(x, widths, mode), [check.numbers(2, 3)])


@pytest.mark.parametrize(
    ("mode", "widths"),
    [
        ("reflect", (-1, 3)),
        ("reflect", (3, -1)),
        ("reflect", (-6, 3)),
        ("reflect", (3, -6)),
        ("replicate", (-1, 3)),
        ("replicate", (-6, 3)),
        ("replicate", (6, -7)),
        ("replicate", (-2, -2)),
        ("circular", (-1, 3)),
        ("circular", (3, -1)),
        ("circular", (-2, -2)),
        ("circular", (-1, 2, 1, -1)),
    ],
    ids=str,
)
def test_own_elements_cropped(check, mode, widths):
    check.op(mode, lambda T, x: T.nn.functional.pad(x, widths, mode), [check.numbers(2, 3, 5)])


@settings(deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    mode=st.sampled_from(["constant", *BORDERS]),
    seed=st.integers(0, 100),
)
def test_the_gradient_is_the_transpose(sizes, mode, seed):
    """<pad(x), g> = <x, pad's gradient of g> for the linear map that padding is."""
    rng = np.random.default_rng(seed)
    most = {"reflect": [n - 1 for n in sizes], "circular": list(sizes)}.get(mode, [4, 4, 4])
    widths = [int(rng.integers(0, most[d] + 1)) for d in (2, 2, 1, 1)]
    x = tensor.tensor(rng.normal(size=sizes), requires_grad=True)
    out = F.pad(x, widths, mode)
    g = rng.normal(size=out.shape)
    out.backward(tensor.tensor(g))
    left, right = float((out.detach().numpy() * g).sum()), float((x.detach() * x.grad).sum())
    assert left == pytest.approx(right, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_other_types(dtype):
    x = tensor.tensor([[1, 0, 1, 1]]).to(getattr(tensor, dtype))
    for mode, expected in [("constant", [0, 1, 0, 1, 1, 0]), ("circular", [1, 1, 0, 1, 1, 1])]:
        out = F.pad(x, (1, 1), mode)
        assert out.dtype is x.dtype
        assert out.int().tolist() == [expected]
    assert F.pad(tensor.arange(2), (1, 0), value=2.5).tolist() == [2, 0, 1]


def test_the_result_shares_no_memory():
    x = tensor.ones(2, 3)
    for mode in ["constant", *BORDERS]:
        assert not np.shares_memory(F.pad(x, (0, 0), mode).numpy(), x.numpy())


def test_names_in_the_graph():
    x = tensor.ones(1, 2, 3, 3, requires_grad=True)
    names = [F.pad(x, (1, 1, 1, 1), mode).grad_fn.op for mode in ["constant", *BORDERS]]
    assert names == ["ConstantPadNd", "ReflectionPad2D", "ReplicationPad2D", "CircularPad2D"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda T, x: T.nn.functional.pad(x, (1,)),
        lambda T, x: T.nn.functional.pad(x, (1,) * 8),
        lambda T, x: T.nn.functional.pad(x, 1),
        lambda T, x: T.nn.functional.pad(x, (1.0, 1)),
        lambda T, x: T.nn.functional.pad([1.0], (1, 1)),
        lambda T, x: T.nn.functional.pad(x, (-3, -3)),
        lambda T, x: T.nn.functional.pad(x, (-6, 3)),
        lambda T, x: T.nn.functional.pad(x, (1, 1), "mirror"),
        lambda T, x: T.nn.functional.pad(x, (1, 1), "reflect", 2.0),
        lambda T, x: T.nn.functional.pad(x, (), "reflect"),
        lambda T, x: T.nn.functional.pad(x, (1,) * 6, "reflect"),
        lambda T, x: T.nn.functional.pad(x[0, 0], (1, 1), "replicate"),
        lambda T, x: T.nn.functional.pad(x, (4, 0), "reflect"),
        lambda T, x: T.nn.functional.pad(x, (0, 5), "circular"),
        lambda T, x: T.nn.functional.pad(x, (-2, -2), "replicate"),
        lambda T, x: T.nn.functional.pad(x[..., :0], (1, 1), "reflect"),
        lambda T, x: T.nn.functional.pad(x[..., :0], (1, 1), "replicate"),
        lambda T, x: T.nn.functional.pad(T.arange(3).to(T.uint8), (1, 1), value=300),
        lambda T, x: T.nn.functional.pad(T.arange(3), (1, 1), value=float("nan")),
    ],
)
def test_errors(check, wrong):
    check.raises_alike(lambda T: wrong(T, T.ones(2, 3, 4)))


def test_what_pytorch_reads_uninitialised_is_an_error():
    with pytest.raises(RuntimeError, match="wrapping around more than once"):
        F.pad(tensor.ones(1, 1, 3), (3, -2), "circular")
