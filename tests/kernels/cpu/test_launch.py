"""kernels/cpu/launch.py: every worker does its own part, once, whoever it is."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kernels.cpu import compile as compiling
from kernels.cpu.launch import share_of, shared_kernel, workers_for

ROOT = Path(__file__).parents[3]


@shared_kernel("T[:,:], out T[::1], out int64[::1], int64")
def _half_rows(worker, workers, x, out, who, more):
    first, end = share_of(x.shape[0], workers, worker)
    for i in range(first, end):
        who[i] += 1 + 100 * worker
        for j in range(x.shape[1]):
            out[i] += 0.5 * x[i, j]
        out[i] += more


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("workers", [1, 2, 3, 7, 20])
def test_each_worker_does_its_share(workers: int, dtype: str) -> None:
    x = 2 * np.arange(30).reshape(3, 10).astype(dtype).T
    out, who = np.zeros(10, dtype), np.zeros(10, np.int64)
    _half_rows(workers, x, out, who, 5)
    np.testing.assert_array_equal(out, x.sum(1) / 2 + 5)
    assert (who % 100 == 1).all()
    shares = [(10 * w // workers, 10 * (w + 1) // workers) for w in range(workers)]
    np.testing.assert_array_equal(who // 100, np.repeat(np.arange(workers), [b - a for a, b in shares]))


def test_other_types_and_layouts_are_refused() -> None:
    x, out, who = np.ones((2, 2)), np.zeros(2), np.zeros(2, np.int64)
    with pytest.raises(TypeError):
        _half_rows(1, x, np.zeros((2, 2))[:, 0], who, 1)
    with pytest.raises(TypeError):
        _half_rows(1, x, out.astype(np.float32), who, 1)


def test_workers_are_as_many_as_are_of_use() -> None:
    before = compiling.get_num_threads()
    try:
        for threads in (1, 2):
            compiling.set_num_threads(threads)
            threads = compiling.get_num_threads()
            assert workers_for(99, 100, 1000) == 1
            assert workers_for(100, 100, 1000) == threads
            assert workers_for(100, 100, 1) == workers_for(100, 100, 0) == 1
    finally:
        compiling.set_num_threads(before)


PROGRAM = """
import numpy as np
from kernels.cpu import compile as compiling
from kernels.cpu.launch import shared_kernel
def body(worker, workers, out):
    out[worker] = {number} + worker
out = np.zeros(3)
shared_kernel("out T[::1]")(body)(3, out)
print(out.tolist(), compiling.compile_seconds() > 0)
"""


def _run(cache: Path, number: int) -> str:
    program = [sys.executable, "-c", PROGRAM.format(number=number)]
    environment = {**os.environ, "LIFTGRAD_CACHE": str(cache)}
    done = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_cache_knows_kernels_of_one_name_apart(tmp_path: Path) -> None:
    assert _run(tmp_path, 1) == "[1.0, 2.0, 3.0] True"
    assert _run(tmp_path, 1) == "[1.0, 2.0, 3.0] False"
    assert _run(tmp_path, 5) == "[5.0, 6.0, 7.0] True"
