"""How the simulator runs the threads of a block here: what it notices, and that its own threads agree."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("NUMBA_ENABLE_CUDASIM", "0") in ("", "0"):
    pytest.skip("runs on the simulator: NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)
pytest.importorskip("greenlet", reason="greenlet is not installed: the simulator's own threads run")

from kernels.cuda.array import empty
from kernels.cuda.compile import Kernel, cuda, device

pytestmark = pytest.mark.usefixtures("device")
ROOT = Path(__file__).parents[3]


def launched(function, blocks: int = 1, elements: int = 0, dtype=np.float32, scope=None) -> np.ndarray:
    """Return what blocks of four threads of a kernel of `out` wrote: one a thread, or `elements`."""
    out = empty((elements or 4 * blocks,), dtype)
    Kernel(function, "out T*", [np.dtype(dtype).name], scope).launch(blocks, 4, out)
    return out.to_host()


@device
def _after_a_barrier(shared, t, value):
    shared[t] = value
    cuda.syncthreads()
    return shared[cuda.blockDim.x - 1 - t]


def test_threads_wait_for_each_other() -> None:
    def turn(out):
        shared = cuda.shared.array(4, T)  # noqa: F821
        t = cuda.threadIdx.x
        out[cuda.grid(1)] = _after_a_barrier(shared, t, 10 * cuda.blockIdx.x + t)

    np.testing.assert_array_equal(launched(turn, 2), [3, 2, 1, 0, 13, 12, 11, 10])


def test_threads_count_what_they_found() -> None:
    def count(out):
        t = cuda.threadIdx.x
        found = cuda.syncthreads_count(t > 0)
        out[t] = 100 * found + 10 * cuda.syncthreads_and(t >= 0) + cuda.syncthreads_or(t > 2)

    np.testing.assert_array_equal(launched(count), [311] * 4)


def test_atomic_operations() -> None:
    def add(out):
        if cuda.threadIdx.x == 0:
            for i in range(4):
                out[i] = 0
        cuda.syncthreads()
        cuda.atomic.add(out, 0, 1)
        cuda.atomic.max(out, 1, cuda.threadIdx.x)

    out = empty((4,), np.float32)
    Kernel(add, "out T[]", ["float32"]).launch(1, 4, out)
    np.testing.assert_array_equal(out.to_host(), [4, 3, 0, 0])


def test_an_error_names_its_thread() -> None:
    def leave(out):
        cuda.syncthreads()
        out[cuda.threadIdx.x + (1 if cuda.blockIdx.x else 0)] = 0

    with pytest.raises(IndexError, match=r"tid=\[3, 0, 0\] ctaid=\[1, 0, 0\]: .* element 4 of 4"):
        launched(leave, 2, 4)


def test_a_barrier_that_some_do_not_reach() -> None:
    def some(out):
        if cuda.threadIdx.x < 2:
            cuda.syncthreads()

    with pytest.raises(RuntimeError, match=r"wait at .*test_simulator\.py:\d+, and 2 have ended; on a GPU"):
        launched(some)


def test_two_barriers_at_a_time() -> None:
    def divided(out):
        if cuda.threadIdx.x < 2:
            cuda.syncthreads()
        else:
            cuda.syncthreads()

    with pytest.raises(RuntimeError, match=r"wait at .*py:\d+, .*py:\d+; on a GPU each must"):
        launched(divided)


def test_one_barrier_by_two_calls() -> None:
    def divided(out):
        shared = cuda.shared.array(4, T)  # noqa: F821
        t = cuda.threadIdx.x
        if t < 2:
            out[t] = _after_a_barrier(shared, t, 1)
        else:
            out[t] = _after_a_barrier(shared, t, 2)

    with pytest.raises(RuntimeError, match=r"wait at .*py:\d+, to which they came by different calls; on a"):
        launched(divided)


def test_two_counts_at_a_time() -> None:
    def divided(out):
        if cuda.threadIdx.x < 2:
            out[0] = cuda.syncthreads_count(True)
        else:
            out[0] = cuda.syncthreads_count(True)

    with pytest.raises(RuntimeError, match=r"wait at .*test_simulator.py:\d+, .*test_simulator.py:\d+; on a"):
        launched(divided)


@pytest.mark.parametrize("step", [1, -1])
def test_a_missing_barrier_shows(step) -> None:
    def hasty(out):
        shared = cuda.shared.array(4, T)  # noqa: F821
        t = cuda.threadIdx.x
        shared[t] = t
        out[cuda.grid(1)] = shared[(t + STEP) % 4]  # noqa: F821

    assert np.isnan(launched(hasty, 2, scope={"STEP": step})).any()


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
def test_shared_memory_is_not_zero_before_it_is_written(dtype) -> None:
    def early(out):
        first, second = cuda.shared.array(4, T), cuda.shared.array(4, T)  # noqa: F821
        first[cuda.threadIdx.x] = 1
        out[cuda.threadIdx.x] = second[cuda.threadIdx.x]

    assert not np.isin(launched(early, dtype=dtype), [0, 1]).any()


def test_a_block_does_not_find_what_the_one_before_has_left() -> None:
    def early(out):
        shared = cuda.shared.array(4, T)  # noqa: F821
        if cuda.blockIdx.x == 0:
            shared[cuda.threadIdx.x] = 1
        out[cuda.grid(1)] = shared[cuda.threadIdx.x]

    found = launched(early, 2)
    np.testing.assert_array_equal(found[:4], 1)
    assert np.isnan(found[4:]).all()


def test_local_memory_is_not_zero_before_it_is_written() -> None:
    def early(out):
        local = cuda.local.array((2, 2), T)  # noqa: F821
        out[cuda.threadIdx.x] = local[0, 1]

    assert np.isnan(launched(early)).all()


def test_kernels_of_others_have_dynamic_shared_memory_and_debugging() -> None:
    from numba import float32

    @cuda.jit
    def turn(out):
        shared = cuda.shared.array(0, float32)
        shared[cuda.threadIdx.x] = cuda.threadIdx.x
        cuda.syncthreads()
        out[cuda.threadIdx.x] = shared[3 - cuda.threadIdx.x]

    @cuda.jit(debug=True, opt=False)
    def divide(out):
        out[0] = out[0] / out[1]

    out = np.zeros(4, np.float32)
    turn[1, 4, 0, 16](out)
    np.testing.assert_array_equal(out, [3, 2, 1, 0])
    with pytest.raises(FloatingPointError, match="divide by zero"):
        divide[1, 1](np.array([1, 0], np.float32))


def test_memory_is_not_zero_before_it_is_written() -> None:
    assert np.isnan(empty((3,), np.float32).to_host()).all()
    assert (empty((3,), np.int64).to_host() == -1).all()


# --- beside numba-cuda's own threads ---------------------------------------------------------------

COMPUTED = """
import sys
import numpy as np
if "threads" in sys.argv:
    sys.modules["greenlet"] = None
    sys.setswitchinterval(0.0005)  # each thread waits its turn: a barrier would take 30 ms
from kernels import cuda as k
from kernels.cuda import simulator
assert simulator.BY_TURNS == ("threads" not in sys.argv)
rng = np.random.default_rng(0)
x, y = (k.from_host(rng.normal(size=size).astype(np.float32)) for size in ((5, 6), (6, 7)))
nought = k.from_host(np.zeros((), np.float32))
results = [
    k.forward("add", x, x), k.matmul(x, y), k.sum(x, (1,)), k.sum(x, (0,)), k.softmax(x, 1), k.cumsum(x, 1),
    *k.sort(x, 1, False), *k.extreme(x, 0, 1), k.square_deviation(x, nought, (0, 1)),
]
sys.stdout.buffer.write(b"".join(np.ascontiguousarray(r.to_host()).tobytes() for r in results))
"""


def test_numba_cudas_own_threads_give_the_same_bits() -> None:
    found = [
        subprocess.run(
            [sys.executable, "-c", COMPUTED, how], cwd=ROOT, capture_output=True, check=True, timeout=600
        ).stdout
        for how in ("greenlets", "threads")
    ]
    assert len(found[0]) > 500
    assert found[0] == found[1]
