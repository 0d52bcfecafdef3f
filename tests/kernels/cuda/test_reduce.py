"""kernels/cuda/reduce.py, walking.py, extremes.py: what is read together, in which order, how often."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cuda as k
from kernels.cuda import compile as compiler
from kernels.cuda.walking import BLOCK, FOUR, LAYOUT, SINGLE, VECTOR, plan_for

pytestmark = pytest.mark.usefixtures("device")
KIND = [part.strip() for part in LAYOUT.split(",")].index("dims")  # two before, and less two in front
"""Where a launch has the kind of items, behind its blocks and its threads."""


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return the names of kernels that reduce, and their kinds of items, as they are launched."""
    found: list[tuple[str, int]] = []
    launch = compiler.Kernel.launch

    def note(kernel, *arguments) -> None:
        if kernel.family in ("reduce", "extremes", "deviations") and kernel.signature.startswith(LAYOUT):
            found.append((kernel.name, arguments[KIND]))
        launch(kernel, *arguments)

    monkeypatch.setattr(compiler.Kernel, "launch", note)
    return found


def numbers(*shape: int, dtype="float32") -> np.ndarray:
    return np.random.default_rng(0).integers(-9, 9, shape).astype(dtype)


def check(x: k.DeviceArray, host: np.ndarray, dims: tuple[int, ...]) -> None:
    """Compare sums and extrema of small integers, which are exact in every order."""
    np.testing.assert_array_equal(k.sum(x, dims).to_host(), host.sum(axis=dims))
    np.testing.assert_array_equal(k.extreme_value(x, dims, -1).to_host(), host.min(axis=dims))
    if len(dims) == 1:
        found = k.extreme(x, dims[0], 1)
        np.testing.assert_array_equal(found[0].to_host(), host.max(axis=dims))
        np.testing.assert_array_equal(found[1].to_host(), host.argmax(axis=dims[0]))


ROWS = [((24,), (0,)), ((6, 8), (1,)), ((6, 8), (0, 1)), ((3, 2, 8), (0, 2)), ((27,), (0,))]
COLUMNS = [((6, 8), (0,)), ((3, 5, 8), (1,)), ((3, 5, 12), (0, 1))]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int16", "uint8"])
@pytest.mark.parametrize(("shape", "dims"), [*ROWS, *COLUMNS])
def test_neighbours_are_read_at_once(launches, shape, dims, dtype: str) -> None:
    x = numbers(*shape, dtype=dtype)
    k.sum(k.from_host(x), dims)
    assert launches == [("sum_of_columns" if (shape, dims) in COLUMNS else "sum", VECTOR)]
    check(k.from_host(x), x, dims)


@pytest.mark.parametrize(("shape", "dims"), [*ROWS, *COLUMNS])
def test_an_address_changes_loads_and_no_bit(launches, shape, dims) -> None:
    flat = np.random.default_rng(1).standard_normal(1 + np.prod(shape)).astype(np.float32)
    inside = k.from_host(flat)[1:].reshape(*shape, copy=False)
    alone = k.from_host(flat[1:].reshape(shape).copy())
    assert np.array_equal(k.sum(inside, dims).to_host(), k.sum(alone, dims).to_host())
    assert [kind for _, kind in launches] == [FOUR, VECTOR]


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, 1:], lambda x: x[:, ::2], lambda x: x[:, :7], lambda x: x.T[1:],
        lambda x: x[:, 1:].reshape(5, 7, 1).swapaxes(0, 2),
    ],
)  # fmt: skip
def test_what_does_not_lie_so_is_read_by_ones(launches, view) -> None:
    x = numbers(5, 8)
    part = view(k.from_host(x))
    for dim in range(2):
        check(part, view(x), (dim,))
    assert {kind for name, kind in launches if name != "sum_of_columns"} <= {SINGLE, VECTOR, FOUR}
    assert SINGLE in {kind for _, kind in launches}


@pytest.mark.parametrize("shape", [(2 * BLOCK * 64 + 5,), (3, 64 * BLOCK + 8), (64 * BLOCK + 3, 2)])
def test_what_is_long_is_cut_into_parts(launches, shape) -> None:
    x = numbers(*shape)
    for dim in range(x.ndim):
        plan = plan_for(k.from_host(x), (dim,))
        launches.clear()
        np.testing.assert_array_equal(k.sum(k.from_host(x), (dim,)).to_host(), x.sum(axis=dim))
        assert len(launches) == (1 if plan.parts == 1 else 2)
        check(k.from_host(x), x, (dim,))
    assert plan_for(k.from_host(x), (0,)).parts > 1 or plan_for(k.from_host(x), (x.ndim - 1,)).parts > 1


@pytest.mark.parametrize(("shape", "dims"), [((64, 10), (0,)), ((16, 10), (0, 1)), ((16, 10), (1,))])
def test_what_is_short_takes_one_launch(launches, shape, dims) -> None:
    k.sum(k.from_host(numbers(*shape)), dims)
    assert len(launches) == 1


@pytest.mark.parametrize("dims", [(0, 2, 4), (0, 2), (1, 3), (0, 1, 2, 3, 4), (0, 3, 4)])
def test_many_dims_are_reduced_by_turns(dims) -> None:
    x = numbers(3, 4, 5, 2, 6)
    for order in [(0, 1, 2, 3, 4), (4, 2, 0, 3, 1), (1, 0, 3, 4, 2)]:
        view = k.from_host(x)[:, 1:, :, :, 1:].transpose(order)
        check(view, x[:, 1:, :, :, 1:].transpose(order), dims)


def test_more_kept_dims_than_a_kernel_takes() -> None:
    x = numbers(*(2, 3) * 4, 2)
    view, host = k.from_host(x).transpose(1, 0, 3, 2, 5, 4, 7, 6, 8), x.transpose(1, 0, 3, 2, 5, 4, 7, 6, 8)
    for dims in [(0,), (8,), (1, 4), (3,)]:
        check(view, host, dims)


def test_long_runs_are_reduced_before_how_many_there_are() -> None:
    x = numbers(3, 2, 16 * BLOCK + 4)
    check(k.from_host(x), x, (0, 2))
    x = numbers(70, 66, 8)
    check(k.from_host(x)[:, ::2], x[:, ::2], (0, 1))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_first_of_equal_ones_and_nan_before_all(sign: int) -> None:
    x = np.zeros((3, 41), np.float32)
    x[1, 7] = x[1, 30] = np.nan
    x[2, [5, 33]] = sign
    values, places = k.extreme(k.from_host(x), 1, sign)
    np.testing.assert_array_equal(places.to_host(), [0, 7, 5])
    np.testing.assert_array_equal(values.to_host(), [0, np.nan, sign])
    np.testing.assert_array_equal(k.extreme(k.from_host(x.T.copy()), 0, sign)[1].to_host(), [0, 7, 5])
