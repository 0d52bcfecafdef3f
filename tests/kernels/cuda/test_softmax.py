"""kernels/cuda/softmax.py beside the CPU: rows of one thread and of many, losses of one block and of many."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cpu
from kernels import cuda as k

pytestmark = pytest.mark.usefixtures("device")
RNG = np.random.default_rng(0)
SHAPES = [(1, 1), (3, 2), (7, 3), (4, 6), (12, 2), (9, 40), (2, 70), (30, 5), (45, 2), (0, 3)]
if not k.driver.SIMULATED:  # as large as there takes another way
    SHAPES += [(64, 10), (3000, 10), (20000, 3), (5, 5000), (2, 8192)]


def close(found, expected) -> None:
    tight = 1e-12 if expected.dtype == np.float64 else 2e-6
    np.testing.assert_allclose(found.to_host(), expected, tight, tight)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[0]])
def test_rows(shape, dtype):
    x, grad = RNG.normal(size=(2, *shape)).astype(dtype) * 3
    for name in ("softmax", "log_softmax"):
        out = getattr(cpu, name)(x, 1)
        close(getattr(k, name)(k.from_host(x), 1), out)
        found = getattr(k, f"{name}_dx")(k.from_host(out), k.from_host(grad), 1)
        close(found, getattr(cpu, f"{name}_dx")(out, grad, 1))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_losses(shape, weighted, reduction):
    rows, classes = shape
    dtype = np.dtype(np.float64 if rows % 2 else np.float32)
    x, target = RNG.normal(size=shape).astype(dtype) * 3, RNG.integers(0, classes, rows)
    target[1::3] = -100
    weight = RNG.uniform(0.5, 2, classes).astype(dtype) if weighted else None
    grad = RNG.normal(size=rows if reduction == "none" else ()).astype(dtype)
    there = [None if a is None else k.from_host(a) for a in (x, target, weight, grad)]
    with np.errstate(all="ignore"):  # no row: 0 / 0, on both
        log_probs = cpu.log_softmax(x, 1)
        for name, given in (("cross_entropy", x), ("nll", log_probs)):
            out = getattr(cpu, name)(given, target, -100, weight, reduction)
            found = getattr(k, name)(k.from_host(given), there[1], -100, there[2], reduction)
            if name == "cross_entropy":
                close(found[1], log_probs)
                out, found = out[0], found[0]
            close(found, np.asarray(out))
            dx = getattr(cpu, f"{name}_dx")(log_probs, target, -100, weight, reduction, grad)
            back = getattr(k, f"{name}_dx")
            close(back(k.from_host(log_probs), there[1], -100, there[2], reduction, there[3]), dx)


def test_a_loss_is_the_same_in_any_order_of_memory():
    x, target = RNG.normal(size=(6, 5)).astype(np.float32), np.arange(6) % 5
    there = k.from_host(np.ascontiguousarray(x.T)).T
    out, log_probs = k.cross_entropy(there, k.from_host(np.repeat(target, 2))[::2], -100, None, "mean")
    expected, kept = cpu.cross_entropy(x, target, -100, None, "mean")
    close(out, np.asarray(expected))
    close(log_probs, kept)


def test_rows_with_no_number_or_all_of_the_weight():
    x = np.array([[1, np.nan, 2], [-np.inf, 0, -np.inf], [np.inf, 1, 0], [-np.inf] * 3], np.float32)
    with np.errstate(all="ignore"):
        for name in ("softmax", "log_softmax"):
            close(getattr(k, name)(k.from_host(x), 1), getattr(cpu, name)(x, 1))
