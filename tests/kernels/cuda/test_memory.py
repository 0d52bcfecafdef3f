"""kernels/cuda/memory.py: filling, copying, turning and joining, by the kernel that each layout asks for."""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cuda as k
from kernels.cuda import compile as compiler
from kernels.cuda import geometry
from kernels.cuda.memory import contiguous

pytestmark = pytest.mark.usefixtures("device")


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return the names of kernels as they are launched."""
    names: list[str] = []
    launch, call = compiler.Kernel.launch, compiler.Kernel.with_last

    def note(kernel, *arguments) -> None:
        names.append(kernel.name)
        launch(kernel, *arguments)

    def note_last(kernel, *last):
        made = call(kernel, *last)

        def launch_noted(*arguments) -> None:
            names.append(kernel.name)
            made(*arguments)

        return launch_noted

    for kernel in compiler.KERNELS.values():
        kernel.plans.clear()
    monkeypatch.setattr(compiler.Kernel, "launch", note)
    monkeypatch.setattr(compiler.Kernel, "with_last", note_last)
    yield names
    for kernel in compiler.KERNELS.values():
        kernel.plans.clear()


def numbers(*shape: int, dtype="float32") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def same(found: k.DeviceArray, expected) -> None:
    host = found.to_host()
    assert host.dtype == expected.dtype
    np.testing.assert_array_equal(host, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16", "bool"])
@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((9, 12), (1, 0)), ((33, 65), (1, 0)), ((3, 9, 11), (0, 2, 1)), ((9, 3, 11), (1, 2, 0)),
        ((9, 3, 11), (2, 1, 0)), ((2, 9, 3, 8), (0, 3, 1, 2)), ((8, 2, 2, 2, 2, 9), (5, 3, 1, 4, 2, 0)),
    ],
)  # fmt: skip
def test_transposed_copies_go_by_tiles(launches: list[str], shape, order, dtype: str) -> None:
    x = numbers(*shape, dtype=dtype)
    view = k.from_host(x).transpose(order)
    same(contiguous(view), x.transpose(order))
    assert launches == ["transpose"]


def test_what_tiles_are_not_for(launches: list[str]) -> None:
    x = numbers(9, 12)
    a = k.from_host(x)
    for view, expected in [
        (a[:, :7].T, x[:, :7].T), (a.T[::2].T, x.T[::2].T), (a[0].broadcast_to((9, 12)).T, x[[0] * 9].T),
        (a[:, ::2].T, x[:, ::2].T), (a[1:], x[1:]),
    ]:  # fmt: skip
        same(k.copy(view), expected)
    assert set(launches) == {"copy"}


def test_parts_of_matrices_are_transposed(launches: list[str]) -> None:
    x = numbers(20, 30)
    a, out = k.from_host(x), k.from_host(np.zeros((31, 21), np.float32))
    same(k.copy(a[3:17, 5:29].T), x[3:17, 5:29].T)
    k.write(out[1:, 1:], a.T)
    expected = np.zeros((31, 21), np.float32)
    expected[1:, 1:] = x.T
    assert launches == ["transpose", "transpose"]
    same(out, expected)
    square = k.from_host(x[:, :20].copy())
    k.write(square, square.T)  # which is in the same memory
    same(square, x[:, :20].T)


def test_large_copies_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry, "_LIMIT", 300)
    geometry._plan.cache_clear()
    try:
        x = numbers(20, 34)
        a = k.from_host(x)
        same(k.copy(a.T), x.T)
        same(k.flip(a, (0,)), x[::-1])
        same(k.flip(a.T, (0, 1)), x.T[::-1, ::-1])
        same(k.full((700,), 3.0, np.dtype("float32")), np.full(700, 3.0, np.float32))
    finally:
        geometry._plan.cache_clear()


@pytest.mark.parametrize("view", ["whole", "transposed", "thinned", "shifted"])
@pytest.mark.parametrize("dims", [(), (0,), (1,), (2,), (0, 2), (0, 1, 2), (-1,)])
def test_turning_is_one_launch(launches: list[str], view: str, dims: tuple[int, ...]) -> None:
    x = numbers(4, 3, 5)
    seen = {
        "whole": lambda y: y, "transposed": lambda y: y.transpose(2, 0, 1),
        "thinned": lambda y: y[:, ::2, ::3], "shifted": lambda y: y[1:, 1:],
    }[view]  # fmt: skip
    a, expected = seen(k.from_host(x)), seen(x)
    same(k.flip(a, dims), np.flip(expected, dims))
    assert len(launches) == 1
    for shift in (1, -2, 7, 0):
        shifts = (shift,) * len(dims)
        same(k.roll(a, shifts, dims), np.roll(expected, shifts, dims))
        same(k.roll(a, (shift,), None), np.roll(expected, shift))


@pytest.mark.parametrize("size", [0, 1, 7, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64", "bool"])
def test_filling(dtype: str, size: int) -> None:
    kind = np.dtype(dtype)
    same(k.full((size,), 1, kind), np.full(size, 1, kind))
    same(k.zeros((size, 3), kind), np.zeros((size, 3), kind))
    like = k.zeros_like(k.from_host(np.ones((size, 3), np.float32)).T, kind)
    same(like, np.zeros((3, size), kind))
    assert size < 2 or like.strides == (kind.itemsize, 3 * kind.itemsize)
