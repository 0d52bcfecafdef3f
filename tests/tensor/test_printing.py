"""tensor/printing.py: PyTorch's text, compared with PyTorch where it is installed, else with a record."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tensor import printing
from tensor.printing import format_tensor, get_printoptions, set_printoptions

NAMES = ["float32", "float64", "int64", "int32", "uint8", "bool"]
INF, NAN = math.inf, math.nan


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="the comparison needs PyTorch")


@pytest.fixture(autouse=True)
def _options_of_their_own():
    before = get_printoptions()
    yield
    set_printoptions(**before)


def text_of(array, **options) -> str:
    array = np.asarray(array)
    suffix = array.dtype not in (np.float32, np.int64, np.bool_)
    return format_tensor(array, dtype_suffix=suffix, **options)


def floats(*values) -> np.ndarray:
    return np.array(values, np.float32)


# --- as recorded from PyTorch 2.13 -------------------------------------------------------------------

RECORDED = [
    (floats(1, 2), "tensor([1., 2.])"),
    (np.array(3), "tensor(3)"),
    (np.array(-0.5, np.float32), "tensor(-0.5000)"),
    (np.array(NAN, np.float32), "tensor(nan)"),
    (
        np.array([[1.5, -2.25], [NAN, INF]], np.float32),
        "tensor([[ 1.5000, -2.2500],\n        [    nan,     inf]])",
    ),
    (floats(-0.0, -INF), "tensor([-0., -inf])"),
    (floats(0, 0), "tensor([0., 0.])"),
    (floats(1e-5, 1), "tensor([1.0000e-05, 1.0000e+00])"),
    (floats(123456789), "tensor([1.2346e+08])"),
    (floats(1, 1000), "tensor([   1., 1000.])"),
    (floats(1, 1001), "tensor([1.0000e+00, 1.0010e+03])"),
    (np.array([True, False]), "tensor([ True, False])"),
    (np.array([1, -20], np.int32), "tensor([  1, -20], dtype=torch.int32)"),
    (np.array([1.0, 2.0]), "tensor([1., 2.], dtype=torch.float64)"),
    (np.zeros((0, 3), np.float32), "tensor([], size=(0, 3))"),
    (np.zeros(0, np.float32), "tensor([])"),
    (np.zeros(0, np.int64), "tensor([], dtype=torch.int64)"),
    (np.zeros((2, 0), np.bool_), "tensor([], size=(2, 0), dtype=torch.bool)"),
    (np.arange(1001), "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (
        np.arange(30),
        "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
        "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])",
    ),
    (
        np.arange(8, dtype=np.float32).reshape(2, 2, 2),
        "tensor([[[0., 1.],\n         [2., 3.]],\n\n        [[4., 5.],\n         [6., 7.]]])",
    ),
    (
        np.full(8, 0.1),
        "tensor([0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000],\n"
        "       dtype=torch.float64)",
    ),
    (
        np.ones((40, 40), np.int64),
        "tensor([[1, 1, 1,  ..., 1, 1, 1],\n        [1, 1, 1,  ..., 1, 1, 1],\n"
        "        [1, 1, 1,  ..., 1, 1, 1],\n        ...,\n        [1, 1, 1,  ..., 1, 1, 1],\n"
        "        [1, 1, 1,  ..., 1, 1, 1],\n"
        "        [1, 1, 1,  ..., 1, 1, 1]])",
    ),
]


@pytest.mark.parametrize(("array", "text"), RECORDED)
def test_recorded(array, text):
    assert text_of(array) == text


def test_suffixes():
    assert text_of(floats(2, 2), grad_fn_name="<AddBackward0>") == "tensor([2., 2.], grad_fn=<AddBackward0>)"
    assert text_of(np.float32(2.5), requires_grad=True) == "tensor(2.5000, requires_grad=True)"
    assert (
        text_of(np.array([1.0]), requires_grad=True)
        == "tensor([1.], dtype=torch.float64, requires_grad=True)"
    )
    assert text_of(np.full(9, 0.1, np.float32), requires_grad=True) == (
        "tensor([0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000],\n"
        "       requires_grad=True)"
    )


def test_strided_and_read_only_arrays():
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    array.flags.writeable = False
    assert (
        text_of(array) == text_of(array.copy()) == "tensor([[0., 3.],\n        [1., 4.],\n        [2., 5.]])"
    )


# --- the same as PyTorch -----------------------------------------------------------------------------


def elements(name: str):
    if name == "bool":
        return st.booleans()
    if name.startswith("float"):
        width = int(name[5:])
        whole = st.integers(-2000, 2000).map(float)
        common = st.sampled_from([0.0, -0.0, 0.5, 1.0, 0.99995, 999.99995, 1e8, NAN, INF, -INF])
        return whole | common | st.floats(-100, 100, width=width) | st.floats(width=width)
    info = np.iinfo(name)
    return st.integers(max(info.min, -300), min(info.max, 300)) | st.integers(info.min, info.max)


arrays = st.sampled_from(NAMES).flatmap(
    lambda name: hnp.arrays(
        name, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4), elements=elements(name)
    )
)


def assert_same(torch, array: np.ndarray, requires_grad: bool = False, grad: bool = False) -> None:
    theirs = torch.from_numpy(array.copy())
    name = None
    if array.dtype.kind == "f":
        theirs.requires_grad_(requires_grad)
        if grad:
            theirs = theirs.requires_grad_() + 0
            name = "<AddBackward0>"
            array = theirs.detach().numpy()
    requires_grad = theirs.requires_grad and name is None
    assert text_of(array, requires_grad=requires_grad, grad_fn_name=name) == repr(theirs)


@settings(max_examples=400, deadline=None)
@given(array=arrays, requires_grad=st.booleans(), grad=st.booleans())
def test_small_tensors(torch, array, requires_grad, grad):
    assert_same(torch, array, requires_grad, grad)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["float32", "int64", "uint8", "bool"]),
    shape=st.sampled_from(
        [(1000,), (1001,), (7, 200), (200, 7), (6, 6, 40), (3, 2, 500), (2, 2, 7, 50), (1001, 1)]
    ),
    scale=st.sampled_from([1e-6, 0.1, 1.0, 400.0, 1e7]),
)
def test_large_tensors(torch, name, shape, scale):
    values = scale * np.random.RandomState(0).standard_normal(shape)
    assert_same(torch, values.astype(np.int64).astype(name) if name != "float32" else values.astype(name))


@settings(max_examples=150, deadline=None)
@given(
    array=arrays,
    options=st.fixed_dictionaries(
        {},
        optional={
            "precision": st.integers(0, 8),
            "threshold": st.sampled_from([0, 3, 10, INF]),
            "edgeitems": st.integers(0, 4),
            "linewidth": st.integers(10, 120),
            "profile": st.sampled_from(["default", "short", "full"]),
            "sci_mode": st.sampled_from([None, True, False]),
        },
    ),
)
def test_options(torch, array, options):
    try:
        for module in (printing, torch):
            module.set_printoptions(profile="default")
            module.set_printoptions(**options)
        assert_same(torch, array)
    finally:
        for module in (printing, torch):
            module.set_printoptions(profile="default")


# --- options -----------------------------------------------------------------------------------------


def test_options_stay_until_changed():
    set_printoptions(precision=2, sci_mode=True)
    assert text_of(floats(1.5)) == "tensor([1.50e+00])"
    set_printoptions(edgeitems=1, threshold=2)
    assert text_of(floats(1.5, 2, 3)) == "tensor([1.50,  ..., 3.00])"
    options = get_printoptions()
    set_printoptions(profile="default")
    assert get_printoptions() == {
        "precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None,
    }  # fmt: skip
    set_printoptions(**options)
    assert get_printoptions() == options


def test_an_unknown_profile_changes_nothing():
    before = get_printoptions()
    with pytest.raises(ValueError, match="must be one of default, short, full, got 'long'"):
        set_printoptions(precision=1, profile="long")
    assert get_printoptions() == before
