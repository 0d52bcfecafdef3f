"""kernels/cuda/moments.py: statistics out of parts, in two launches, by whichever way the numbers lie."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cuda as k
from kernels.cuda import compile as compiler
from kernels.cuda.moments import statistics_of
from kernels.cuda.norm import MEAN, REST, RSTD
from kernels.cuda.walking import BLOCK

pytestmark = pytest.mark.usefixtures("device")


@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((9, 3), (0,)), ((3, 9), (1,)), ((4, 3, 8), (0, 2)), ((4, 3, 7), (0, 2)), ((40, 3, 8), (0, 2)),
        ((2, 3, 20 * BLOCK + 4), (0, 2)), ((2, 3, 80 * BLOCK + 3), (0, 2)), ((80 * BLOCK + 3,), (0,)),
        ((3, 2, 3, 20 * BLOCK), (0, 1, 3)), ((3, 2, 4, 5), (1, 3)), ((1, 3, 1), (0, 2)),
    ],
)  # fmt: skip
def test_statistics(monkeypatch: pytest.MonkeyPatch, shape, dims) -> None:
    x = (np.random.default_rng(0).standard_normal(shape) + 1000).astype(np.float32)
    x.reshape(-1)[-1] = 5000  # an outlier, in one of the sets
    given = k.from_host(x)
    names: list[str] = []
    launch = compiler.Kernel.launch

    def note(kernel, *arguments) -> None:
        names.append(kernel.name)
        launch(kernel, *arguments)

    monkeypatch.setattr(compiler.Kernel, "launch", note)
    stats = statistics_of(given, dims, 1e-5, None, None, 0.0)
    assert names == ["moments", "merge_moments"]
    stats, exact = stats.to_host().astype(np.float64), x.astype(np.float64)
    mean, var = exact.mean(axis=dims).reshape(-1), exact.var(axis=dims).reshape(-1)
    np.testing.assert_allclose(stats[MEAN] + stats[REST], mean, rtol=1e-8)
    np.testing.assert_allclose(stats[RSTD], 1 / np.sqrt(var + 1e-5), rtol=3e-6)


def test_running_ones_move_wherever_they_lie() -> None:
    x = np.random.default_rng(1).standard_normal((5, 3, 4)).astype(np.float32)
    mean, var = k.from_host(np.ones((3, 2), np.float32)), k.from_host(np.ones(3, np.float32))
    k.batch_norm(k.from_host(x), None, None, mean[:, 1], var, True, 0.25, 1e-5)
    moved = mean.to_host()
    np.testing.assert_allclose(moved[:, 1], 0.75 + 0.25 * x.mean((0, 2)), rtol=1e-5)
    np.testing.assert_array_equal(moved[:, 0], 1)
    np.testing.assert_allclose(var.to_host(), 0.75 + 0.25 * x.var((0, 2), ddof=1), rtol=1e-5)
