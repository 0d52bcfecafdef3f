"""kernels/cuda/short_rows.py: which rows are held in registers, and that they give what all rows give."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cpu
from kernels import cuda as k
from kernels.cuda import compile as compiler

pytestmark = pytest.mark.usefixtures("device")
RNG = np.random.default_rng(0)


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of kernels as they are launched."""
    names: list[str] = []
    launch = compiler.Kernel.launch

    def note(kernel, *arguments) -> None:
        names.append(kernel.name)
        launch(kernel, *arguments)

    monkeypatch.setattr(compiler.Kernel, "launch", note)
    return names


def close(found, expected) -> None:
    np.testing.assert_allclose(found.to_host(), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("size", [4, 8, 20, 32])
@pytest.mark.parametrize("affine", [0, 1, 2])
def test_rows_in_registers(launches: list[str], size: int, centered: bool, affine: int, dtype: str) -> None:
    x, grad = (RNG.standard_normal((7, size)).astype(dtype) for _ in range(2))
    given = [RNG.standard_normal(size).astype(dtype) if n < affine else None for n in range(2)]
    on_gpu = [None if a is None else k.from_host(a) for a in given]
    found = k.layer_norm(k.from_host(x), size, *on_gpu, 1e-5, centered)
    expected = cpu.layer_norm(x, size, *given, 1e-5, centered)
    assert launches == ["short_row_norm"]
    close(found[0], expected[0])
    dx = k.layer_norm_dx(k.from_host(x), k.from_host(grad), size, on_gpu[0], found[1], centered)
    assert "short_row_norm_dx" in launches
    for a, b in zip(dx, cpu.layer_norm_dx(x, grad, size, given[0], expected[1], centered), strict=True):
        close(a, b)


def test_rows_that_lie_elsewhere_go_the_other_way(launches: list[str]) -> None:
    flat = RNG.standard_normal(1 + 5 * 8).astype(np.float32)
    inside = k.from_host(flat)[1:].reshape(5, 8, copy=False)
    found, stats = k.layer_norm(inside, 8, None, None, 1e-5)
    close(found, cpu.layer_norm(flat[1:].reshape(5, 8), 8, None, None, 1e-5)[0])
    k.layer_norm_dx(inside, found, 8, None, stats)
    x = RNG.standard_normal((5, 7)).astype(np.float32)
    close(k.layer_norm(k.from_host(x), 7, None, None, 1e-5)[0], cpu.layer_norm(x, 7, None, None, 1e-5)[0])
    assert launches.count("row_norm") == 2
    assert launches.count("row_norm_dx") == 1
    assert not [name for name in launches if name.startswith("short")]
