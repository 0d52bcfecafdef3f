"""kernels/cuda/gather.py: rows by their positions, as words, two at a time where rows lie so."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cuda as k
from kernels.cuda import compile as compiler

pytestmark = pytest.mark.usefixtures("device")
POSITIONS = np.array([[3, 0, -1], [2, 2, -5]])


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Return, for each launch, the bytes of a word, and whether two are moved at a time."""
    found: list[tuple[int, bool]] = []
    launch = compiler.Kernel.launch

    def note(kernel, *arguments) -> None:
        found.append(
            (arguments[7].itemsize, bool(arguments[6])) if kernel.name == "take_rows" else (0, False)
        )
        launch(kernel, *arguments)

    monkeypatch.setattr(compiler.Kernel, "launch", note)
    return found


def numbers(*shape: int, dtype="float32") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 99, shape).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "dtype", "word"),
    [
        ((5, 8), "float32", (8, True)), ((5, 100), "float32", (8, True)), ((5, 2, 3), "float64", (8, True)),
        ((5, 6), "float32", (8, False)), ((5, 3), "float32", (4, False)), ((5, 7), "uint8", (1, False)),
        ((5, 48), "uint8", (8, True)), ((5, 3), "int16", (2, False)), ((5, 16), "bool", (8, True)),
        ((5,), "int64", (8, False)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["int64", "int32", "int8"])
def test_one_launch_moves_the_widest_words(words, shape, dtype: str, word, kind: str) -> None:
    x = numbers(*shape, dtype=dtype)
    found = k.take(k.from_host(x), k.from_host(POSITIONS.astype(kind)))
    assert words == [word]
    np.testing.assert_array_equal(found.to_host(), x[POSITIONS])
    assert found.dtype == x.dtype


def test_rows_that_lie_apart_or_at_other_addresses(words) -> None:
    x, at = numbers(6, 12), k.from_host(POSITIONS)
    a = k.from_host(x)
    for part, expected, word in [
        (a[1:], x[1:], (8, True)), (a[1:, :8], x[1:, :8], (8, True)), (a[1:, 2:6], x[1:, 2:6], (8, False)),
        (a[1:, 1:9], x[1:, 1:9], (4, False)),
    ]:  # fmt: skip
        words.clear()
        np.testing.assert_array_equal(k.take(part, at).to_host(), expected[POSITIONS])
        assert words == [word]


def test_what_is_no_row_in_order_goes_the_other_way(words) -> None:
    x = numbers(6, 8)
    found = k.take(k.from_host(x).T, k.from_host(POSITIONS))
    np.testing.assert_array_equal(found.to_host(), x.T[POSITIONS])
    assert (0, False) in words
    found = k.take(k.from_host(x), (k.from_host(np.array([1, 2])), k.from_host(np.array([3, 0]))))
    np.testing.assert_array_equal(found.to_host(), x[[1, 2], [3, 0]])
    mask = np.array([True, False] * 3)
    np.testing.assert_array_equal(k.take(k.from_host(x), k.from_host(mask)).to_host(), x[mask])
