"""tensor/conv.py: convolution and its transpose over one and two dims, values, gradients and errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tensor
import tensor.nn.functional as F
from kernels import cpu


def compare(check, function, x, weight, bias=True, **options):
    """Compare with PyTorch and finite differences; x, weight: shapes."""
    filters = weight[1] * options.get("groups", 1) if "transpose" in function else weight[0]
    inputs = [check.numbers(*x), check.numbers(*weight, seed=1)]
    inputs += [check.numbers(filters, seed=2)] if bias else []

    def run(T, *operands):
        return getattr(T.nn.functional, function)(*operands, **options)

    # In float32 the sums are of other orders: a few roundings of terms as large as 4.
    terms = 16 * int(np.prod(weight)) / max(weight[0], 1)
    check.op(function, run, inputs, dtypes=["float32"], rtol=1e-5, atol=1e-7 * terms + 1e-6)
    check.op(function, run, inputs, dtypes=["float64"])


CONV2D = [
    ((2, 3, 5, 6), (4, 3, 3, 3), {}),
    ((2, 3, 6, 5), (4, 3, 3, 3), {"padding": 1}),
    ((1, 1, 8, 8), (3, 1, 3, 3), {}),
    ((2, 3, 5, 6), (2, 3, 1, 1), {}),
    ((2, 3, 5, 6), (2, 3, 1, 1), {"stride": 2, "padding": (1, 0)}),
    ((2, 2, 5, 6), (3, 2, 2, 3), {"padding": (2, 1)}),
    ((2, 2, 7, 6), (3, 2, 3, 2), {"stride": 2, "padding": 1}),
    ((2, 2, 7, 8), (3, 2, 3, 3), {"stride": (3, 1), "padding": (0, 2), "dilation": (1, 2)}),
    ((1, 2, 9, 9), (2, 2, 3, 2), {"dilation": 2, "stride": 2, "padding": 3}),
    ((2, 4, 5, 5), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    ((2, 3, 5, 5), (3, 1, 3, 3), {"groups": 3}),
    ((2, 3, 5, 5), (6, 1, 3, 3), {"groups": 3, "padding": 1, "stride": 2}),
    ((2, 3, 4, 5), (4, 3, 4, 5), {}),
    ((2, 3, 1, 1), (4, 3, 3, 3), {"padding": 1}),
    ((2, 1, 1, 9), (2, 1, 1, 3), {"padding": (0, 1)}),
    ((0, 3, 5, 6), (4, 3, 3, 3), {}),
    ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": "valid"}),
    ((2, 3, 5, 6), (4, 3, 3, 5), {"padding": "same"}),
    ((2, 3, 5, 6), (4, 3, 4, 3), {"padding": "same"}),
    ((2, 3, 5, 6), (4, 3, 2, 4), {"padding": "same", "dilation": (3, 1)}),
    ((3, 5, 6), (4, 3, 3, 3), {"padding": 1}),
    ((3, 5, 6), (4, 3, 2, 2), {"padding": "same"}),
    ((2, 17, 3, 4), (5, 17, 3, 3), {"padding": 1}),
]

CONV1D = [
    ((2, 3, 7), (4, 3, 3), {}),
    ((2, 3, 7), (4, 3, 2), {"stride": 2, "padding": 1}),
    ((2, 4, 9), (2, 2, 3), {"groups": 2, "dilation": 3, "padding": (2,)}),
    ((2, 3, 7), (3, 1, 4), {"groups": 3, "padding": "same"}),
    ((2, 3, 7), (3, 3, 3), {"padding": "valid", "stride": [3]}),
    ((3, 7), (4, 3, 3), {"padding": 1}),
    ((0, 3, 7), (4, 3, 3), {}),
]

CONV_TRANSPOSE2D = [
    ((2, 3, 4, 5), (3, 4, 3, 3), {}),
    ((2, 3, 4, 5), (3, 4, 3, 2), {"stride": 2, "padding": 1, "output_padding": 1}),
    ((2, 3, 4, 5), (3, 4, 2, 2), {"stride": 2}),
    ((2, 4, 3, 3), (4, 2, 3, 3), {"groups": 2, "stride": (3, 1), "padding": (2, 0)}),
    ((2, 3, 3, 4), (3, 2, 3, 2), {"groups": 3, "dilation": (2, 3), "stride": 2, "output_padding": (1, 2)}),
    ((1, 2, 3, 4), (2, 3, 3, 3), {"dilation": 3, "padding": 2, "output_padding": (2, 1)}),
    ((1, 2, 3, 4), (2, 3, 3, 3), {"stride": 2, "dilation": 5, "padding": 1, "output_padding": (4, 3)}),
    ((3, 4, 5), (3, 4, 3, 3), {"stride": 2, "padding": 1}),
    ((0, 3, 4, 5), (3, 4, 3, 3), {}),
]

CONV_TRANSPOSE1D = [
    ((2, 3, 5), (3, 4, 3), {}),
    ((2, 3, 5), (3, 4, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    ((2, 4, 5), (4, 1, 2), {"groups": 4, "stride": 3, "dilation": 2}),
    ((1, 2, 5), (2, 3, 2), {"dilation": 3, "output_padding": 2}),
    ((3, 5), (3, 4, 3), {"stride": (2,)}),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # PyTorch's
@pytest.mark.parametrize(("x", "weight", "options"), CONV2D, ids=str)
def test_conv2d(check, x, weight, options):
    compare(check, "conv2d", x, weight, **options)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(("x", "weight", "options"), CONV1D, ids=str)
def test_conv1d(check, x, weight, options):
    compare(check, "conv1d", x, weight, **options)


@pytest.mark.parametrize(("x", "weight", "options"), CONV_TRANSPOSE2D, ids=str)
def test_conv_transpose2d(check, x, weight, options):
    compare(check, "conv_transpose2d", x, weight, **options)


@pytest.mark.parametrize(("x", "weight", "options"), CONV_TRANSPOSE1D, ids=str)
def test_conv_transpose1d(check, x, weight, options):
    compare(check, "conv_transpose1d", x, weight, **options)


@pytest.mark.parametrize("function", ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"])
def test_without_bias(check, function):
    spatial = (5, 4)[: int(function[-2])]
    compare(check, function, (2, 3, *spatial), (3, 3, *spatial), bias=False, stride=2, padding=1)


def test_values_are_those_of_the_definition(check, reference_conv):
    x, weight, bias = check.numbers(2, 4, 7, 6), check.numbers(6, 2, 3, 2, seed=1), check.numbers(6, seed=2)
    options = (2, 1), (1, 2), (2, 3), 2
    out = F.conv2d(*map(tensor.tensor, (x, weight, bias)), *options)
    np.testing.assert_allclose(out, reference_conv.conv2d(x, weight, bias, *options), 1e-12, 1e-12)
    line = F.conv1d(*map(tensor.tensor, (x[:, :, 3], weight[:, :, 1], bias)), 1, 2, 3, 2)
    expected = reference_conv.conv2d(x[:, :, 3:4], weight[:, :, 1:2], bias, (1, 1), (0, 2), (1, 3), 2)
    np.testing.assert_allclose(line, expected[:, :, 0], 1e-12, 1e-12)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(deadline=None, max_examples=60)
@given(
    batch=st.integers(0, 2),
    groups=st.integers(1, 3),
    channels=st.integers(1, 2),
    filters=st.integers(1, 3),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=pairs,
    stride=pairs,
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=pairs,
    seed=st.integers(0, 100),
)
def test_the_transpose_is_the_transpose(
    batch, groups, channels, filters, size, kernel, stride, padding, dilation, seed
):
    """<conv(x), g> = <x, conv_transpose(g)>, and the gradients of either are the other."""
    fits = [n + 2 * p > d * (k - 1) for n, k, p, d in zip(size, kernel, padding, dilation, strict=True)]
    if not all(fits):
        return
    rng = np.random.default_rng(seed)
    x = tensor.tensor(rng.normal(size=(batch, groups * channels, *size)), requires_grad=True)
    weight = tensor.tensor(rng.normal(size=(groups * filters, channels, *kernel)), requires_grad=True)
    out = F.conv2d(x, weight, None, stride, padding, dilation, groups)
    g = tensor.tensor(rng.normal(size=out.shape), requires_grad=True)
    out.backward(g.detach(), retain_graph=True)
    forward_weight = weight.grad

    sizes = zip(size, out.shape[2:], kernel, stride, padding, dilation, strict=True)
    extra = [n - ((m - 1) * s - 2 * p + d * (k - 1) + 1) for n, m, k, s, p, d in sizes]
    back = F.conv_transpose2d(g, weight, None, stride, padding, extra, groups, dilation)
    assert back.shape == x.shape
    np.testing.assert_allclose(back.detach(), x.grad, 1e-10, 1e-10)
    weight.grad = None
    back.backward(x.detach())
    np.testing.assert_allclose(g.grad, out.detach(), 1e-10, 1e-10)
    np.testing.assert_allclose(weight.grad, forward_weight, 1e-10, 1e-10)


def test_only_what_is_needed_is_computed(monkeypatch):
    calls = []
    for name in ("conv2d_dx", "conv2d_dweight", "conv2d_dparameters"):
        original = getattr(cpu, name)
        monkeypatch.setattr(
            cpu, name, lambda *a, name=name, original=original: calls.append(name) or original(*a)
        )
    x, weight, bias = tensor.ones(1, 2, 4, 4), tensor.ones(3, 2, 3, 3), tensor.ones(3)
    for needed, expected in [
        ((), []),
        ((x,), ["conv2d_dx"]),
        ((weight,), ["conv2d_dweight"]),
        ((bias,), []),
        ((x, weight, bias), ["conv2d_dx", "conv2d_dparameters"]),
    ]:
        calls.clear()
        for t in (x, weight, bias):
            t.requires_grad_(any(t is n for n in needed)).grad = None
        out = F.conv2d(x, weight, bias)
        assert out.requires_grad == bool(needed)
        if needed:
            saved = out.grad_fn.saved
            assert [s is not None for s in saved] == [weight.requires_grad, x.requires_grad]
            out.sum().backward()
        assert calls == expected
        assert [t.grad is not None for t in (x, weight, bias)] == [
            any(t is n for n in needed) for t in (x, weight, bias)
        ]


def test_changes_in_place_are_noticed():
    x, weight = tensor.ones(1, 1, 3, 3), tensor.ones(1, 1, 2, 2, requires_grad=True)
    out = F.conv2d(x, weight)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_names():
    x, weight = tensor.ones(1, 2, 3, 3, requires_grad=True), tensor.ones(2, 2, 2, 2)
    assert F.conv2d(x, weight).grad_fn.name() == "ConvolutionBackward0"
    assert F.conv_transpose2d(x, weight).grad_fn.name() == "ConvolutionBackward0"
    for name in ("conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"):
        assert getattr(tensor, name) is getattr(F, name)


def ones(T, *shape):
    return T.ones(shape)


ERRORS = {
    "channels": lambda T: T.conv2d(ones(T, 1, 3, 5, 5), ones(T, 4, 2, 3, 3)),
    "channels last": lambda T: T.conv2d(ones(T, 1, 5, 5, 2), ones(T, 4, 2, 3, 3)),
    "unbatched channels": lambda T: T.conv2d(ones(T, 3, 5, 5), ones(T, 4, 2, 3, 3)),
    "dims": lambda T: T.conv2d(ones(T, 5, 5), ones(T, 4, 2, 3, 3)),
    "too many dims": lambda T: T.conv2d(ones(T, 1, 1, 1, 5, 5), ones(T, 4, 2, 3, 3)),
    "dims of conv1d": lambda T: T.conv1d(ones(T, 5), ones(T, 4, 2, 3)),
    "dims of the weight": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3)),
    "dims of the weight of conv1d": lambda T: T.conv1d(ones(T, 1, 2, 5), ones(T, 4, 2, 3, 3)),
    "kernel": lambda T: T.conv2d(ones(T, 1, 2, 2, 2), ones(T, 4, 2, 3, 3)),
    "kernel of conv1d": lambda T: T.conv1d(ones(T, 1, 2, 2), ones(T, 4, 2, 3)),
    "dilated kernel": lambda T: T.conv2d(ones(T, 1, 2, 4, 4), ones(T, 4, 2, 3, 3), dilation=2),
    "padded": lambda T: T.conv2d(ones(T, 1, 2, 2, 2), ones(T, 4, 2, 5, 5), padding=1),
    "bias": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), ones(T, 3)),
    "dims of the bias": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), ones(T, 4, 1)),
    "groups": lambda T: T.conv2d(ones(T, 1, 6, 5, 5), ones(T, 4, 2, 3, 3), groups=3),
    "fewer filters": lambda T: T.conv2d(ones(T, 1, 6, 5, 5), ones(T, 2, 2, 3, 3), groups=3),
    "no groups": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), groups=0),
    "negative groups": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), groups=-1),
    "half a group": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), groups=0.5),
    "stride 0": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), stride=(1, 0)),
    "three strides": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), stride=(1, 1, 1)),
    "stride 1.0": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), stride=1.0),
    "strides 1.0": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), stride=(1.0, 1.0)),
    "negative padding": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), padding=-1),
    "dilation 0": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), dilation=0),
    "padding by name": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), padding="full"),
    "same and stride": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), stride=2, padding="same"),
    "same and dims": lambda T: T.conv2d(ones(T, 5, 5), ones(T, 4, 2, 3, 3), padding="same"),
    "types": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3).double()),
    "type of the bias": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), ones(T, 4).double()),
    "bools": lambda T: T.conv2d(ones(T, 1, 2, 5, 5).bool(), ones(T, 4, 2, 3, 3).bool()),
    "a list": lambda T: T.conv2d([1.0], ones(T, 4, 2, 3, 3)),
    "a list for weight": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), [1.0]),
    "a list for bias": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 3, 3), [1.0] * 4),
    "no filters": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 0, 2, 3, 3)),
    "no height": lambda T: T.conv2d(ones(T, 1, 2, 0, 5), ones(T, 4, 2, 3, 3), padding=2),
    "no kernel": lambda T: T.conv2d(ones(T, 1, 2, 5, 5), ones(T, 4, 2, 0, 3)),
    "transposed channels": lambda T: T.conv_transpose2d(ones(T, 1, 3, 5, 5), ones(T, 2, 4, 3, 3)),
    "transposed bias": lambda T: T.conv_transpose2d(ones(T, 1, 2, 5, 5), ones(T, 2, 4, 3, 3), ones(T, 2)),
    "transposed groups": lambda T: T.conv_transpose2d(ones(T, 1, 3, 2, 2), ones(T, 3, 4, 3, 3), groups=2),
    "transposed dims": lambda T: T.conv_transpose2d(ones(T, 2, 2), ones(T, 2, 4, 3, 3)),
    "output_padding": lambda T: T.conv_transpose1d(ones(T, 1, 2, 5), ones(T, 2, 4, 3), output_padding=1),
    "negative output_padding": lambda T: T.conv_transpose1d(
        ones(T, 1, 2, 5), ones(T, 2, 4, 3), output_padding=-1
    ),
    "nothing remains": lambda T: T.conv_transpose2d(ones(T, 1, 2, 2, 2), ones(T, 2, 4, 3, 3), padding=2),
    "transposed padding by name": lambda T: T.conv_transpose2d(
        ones(T, 1, 2, 2, 2), ones(T, 2, 4, 3, 3), padding="same"
    ),
    "transposed stride 0": lambda T: T.conv_transpose1d(ones(T, 1, 2, 3), ones(T, 2, 4, 3), stride=0),
    "transposed types": lambda T: T.conv_transpose1d(ones(T, 1, 2, 3), ones(T, 2, 4, 3).double()),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(check, name):
    check.raises_alike(ERRORS[name])


INTEGERS = {
    "int64": lambda T: np.int64(2),
    "uint8": lambda T: np.uint8(2),
    "tensor": lambda T: T.tensor(2),
    "pair of int64": lambda T: (np.int64(2), np.int64(1)),
    "pair of tensors": lambda T: [T.tensor(1), T.tensor(2)],
    "a bool behind": lambda T: (2, True),
}


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("option", ["stride", "padding", "dilation"])
def test_whatever_counts_as_integers(check, torch, option, kind):
    values = check.numbers(1, 2, 7, 6), check.numbers(2, 4, 2, 3)
    results = []
    for T in (tensor, torch):
        x, w = map(T.tensor, values)
        options = {option: INTEGERS[kind](T)}
        results.append([T.conv2d(x, w.transpose(0, 1), **options), T.conv_transpose2d(x, w, **options)])
    check.same(*results)


@pytest.mark.parametrize("kind", ["int64", "uint8", "tensor"])
def test_groups_of_other_integers(check, torch, kind):
    values = check.numbers(1, 2, 6), check.numbers(2, 1, 3)
    results = []
    for T in (tensor, torch):
        x, w = map(T.tensor, values)
        groups = INTEGERS[kind](T)
        results.append([T.conv1d(x, w, groups=groups), T.conv_transpose1d(x, w, groups=groups)])
    check.same(*results)


@pytest.mark.parametrize(
    "value", [True, np.True_, 2.0, "2", None, (True, 2), (2.0, 1), range(1, 3)], ids=repr
)
@pytest.mark.parametrize("option", ["stride", "dilation", "groups", "output_padding"])
def test_no_integers(check, option, value):
    function = "conv_transpose2d" if option == "output_padding" else "conv2d"

    def convolve(T):
        getattr(T.nn.functional, function)(ones(T, 1, 2, 5, 5), ones(T, 2, 2, 2, 2), **{option: value})

    check.raises_alike(convolve)
    with pytest.raises(TypeError, match=rf"^{function}\(\): argument '{option}' must be"):
        convolve(tensor)


MESSAGES = {
    "channels": r"Given groups=1, weight of size \[4, 2, 3, 3\], expected input\[1, 3, 5, 5\] to have 2 "
    "channels, but got 3 channels instead",
    "channels last": r"did you mean input.movedim\(-1, 1\)",
    "dims": r"Expected 3D \(unbatched\) or 4D \(batched\) input to conv2d, but got input of size: \[5, 5\]",
    "dims of conv1d": r"Expected 2D \(unbatched\) or 3D \(batched\) input to conv1d, but got input of size: "
    r"\[5\]",
    "padded": r"Calculated padded input size per channel: \(4 x 4\). Kernel size: \(5 x 5\). Kernel size "
    r"can't be greater than actual input size; the least padding that will do is \(2, 2\)",
    "dilated kernel": r"Kernel size: \(5 x 5\)",
    "kernel of conv1d": r"padded input size per channel: \(2\). Kernel size: \(3\).*is \(1,\)",
    "bias": "expected bias to be 1-dimensional with 4 elements, but got bias of size",
    "groups": "expected weight to be divisible by 3 at dimension 0",
    "types": r"expected operands of one dtype, got input torch.float32 and weight torch.float64",
    "transposed channels": r"Given transposed=1, weight of size \[2, 4, 3, 3\], expected input",
    "nothing remains": r"Calculated output size per channel: \(0 x 0\). Output size is too small",
    "same and stride": "padding='same' is not supported for strided convolutions",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name):
    with pytest.raises(RuntimeError, match=MESSAGES[name]):
        ERRORS[name](tensor)


def test_integers_are_refused():
    with pytest.raises(NotImplementedError, match=r"use \.float\(\)"):
        F.conv2d(tensor.ones(1, 1, 3, 3).long(), tensor.ones(1, 1, 2, 2).long())


def test_options_may_be_written_in_several_ways(check):
    x, weight = (tensor.tensor(a) for a in (check.numbers(2, 4, 7, 8), check.numbers(2, 4, 3, 3, seed=1)))
    expected = F.conv2d(x, weight, None, 2, 1, 2)
    for two, one in [((2, 2), (1, 1)), ([2, 2], [1, 1]), ((2,), (1,)), (2, np.int64(1))]:
        np.testing.assert_array_equal(F.conv2d(x, weight, None, two, one, two), expected)
    expected = F.conv1d(x[:, :, 0], weight[:, :, 0], None, 2, 1, 2)
    for two, one in [((2,), (1,)), ([2], [1]), (2, np.int64(1))]:
        np.testing.assert_array_equal(F.conv1d(x[:, :, 0], weight[:, :, 0], None, two, one, two), expected)


@pytest.mark.parametrize("function", ["conv1d", "conv2d"])
def test_the_quick_check_agrees_with_the_full_one(function):
    """Whatever passes unexamined is right, and whatever does not fit is told so."""
    rng = np.random.default_rng(0)
    dims, refused = int(function[-2]), 0
    for _ in range(400):
        groups, depth, filters = (int(n) for n in rng.integers(1, 4, 3))
        numbers = [2, groups * depth, *[7] * dims, groups * filters, depth, *[2] * dims, groups * filters]
        numbers += [1, 1, 1, groups]
        for place in rng.integers(0, len(numbers), 2):  # most changes make it a misfit, some do not
            numbers[place] = int(rng.integers(-1 if place >= len(numbers) - 4 else 0, 6))
        shape, (*kernel, count), options = numbers[: dims + 2], numbers[dims + 2 : -4], numbers[-4:]
        x, weight, bias = tensor.zeros(shape), tensor.zeros(kernel), tensor.zeros(count)
        results = []
        for quick in (options, [*([n] for n in options[:3]), options[3]]):  # a list is not looked at quickly
            try:
                results.append(tuple(getattr(F, function)(x, weight, bias, *quick).shape))
            except RuntimeError as error:
                results.append(str(error))
        assert results[0] == results[1]
        refused += isinstance(results[0], str)
    assert 100 < refused < 400
