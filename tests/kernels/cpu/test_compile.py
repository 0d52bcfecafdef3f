"""kernels/cpu/compile.py: the cache, types of constants, signatures, time spent."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from kernels.cpu import compile as compiler
from kernels.cpu.lift import lift

ROOT = Path(__file__).parents[3]


def half(x):
    return 0.5 * x


@compiler.kernel("T[:,:], out T[::1], int64")
def _sum_rows_plus(x, out, more):
    for i in range(x.shape[0]):
        out[i] = 0.25 * more
        for j in range(x.shape[1]):
            out[i] += x[i, j]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_literals_take_the_type_of_the_arrays(dtype: str) -> None:
    out = lift(half, np.dtype(dtype))(np.ones(3, dtype))
    assert out.dtype == dtype
    constants = compiler.with_constants_of(half, np.dtype(dtype)).__code__.co_consts
    assert [type(c) for c in constants if isinstance(c, float | np.floating)] == [np.dtype(dtype).type]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_a_kernel_takes_any_strides_and_read_only_arrays(dtype: str) -> None:
    x = np.arange(12).reshape(3, 4).astype(dtype)
    read_only = x.copy()
    read_only.flags.writeable = False
    for view in (
        x,
        np.asfortranarray(x),
        np.repeat(x, 2, 1)[:, ::2],
        np.broadcast_to(x[:1], (3, 4)),
        read_only,
    ):
        out = np.empty(3, dtype)
        _sum_rows_plus(view, out, 4)
        np.testing.assert_array_equal(out, view.sum(1) + 1)


def test_a_kernel_refuses_another_layout_and_type() -> None:
    with pytest.raises(TypeError):
        _sum_rows_plus(np.ones((2, 2)), np.empty((2, 2))[:, 0], 1)
    with pytest.raises(TypeError):
        _sum_rows_plus(np.ones((2, 2)), np.empty(2, np.float32), 1)


def test_numba_s_own_cache_setting_is_left_alone() -> None:
    before = numba.config.CACHE_DIR
    lift(half, np.dtype("float64"))
    assert before == numba.config.CACHE_DIR


def test_threads_can_be_set_and_read() -> None:
    before = compiler.get_num_threads()
    try:
        compiler.set_num_threads(1)
        assert compiler.get_num_threads() == 1
    finally:
        compiler.set_num_threads(before)
    assert compiler.threading_layer in ("omp", "tbb", "workqueue")


PROGRAM = """
import numpy as np
from kernels import cpu
cpu.forward("sigmoid", np.ones(3, np.float32))
cpu.sum(np.ones((3, 4), np.float32), (1,))
print(cpu.compile_seconds())
"""


def run(cache: Path, **variables: str) -> float:
    environment = {**os.environ, "LIFTGRAD_CACHE": str(cache), **variables}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def test_the_second_process_loads_what_the_first_compiled(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert first > 0.0
    files = sorted(p.name for p in tmp_path.rglob("*.nbc"))
    assert files
    assert run(tmp_path) == 0.0
    assert sorted(p.name for p in tmp_path.rglob("*.nbc")) == files


def test_serial_and_parallel_kernels_have_caches_of_their_own(tmp_path: Path) -> None:
    # loaded in a process with a pool, serial ones are slow; parallel ones without a pool abort
    assert run(tmp_path, NUMBA_THREADING_LAYER="workqueue") > 0.0
    if compiler.threading_layer != "workqueue":
        assert run(tmp_path, NUMBA_THREADING_LAYER=compiler.threading_layer) > 0.0
    assert run(tmp_path, NUMBA_THREADING_LAYER="workqueue") == 0.0


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_an_unwritable_cache_is_done_without(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert run(tmp_path) > 0.0


def test_a_cache_that_is_a_file_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert run(tmp_path / "cache") > 0.0
