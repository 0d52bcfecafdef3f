"""Every kernel compiled to PTX and assembled, without a GPU: what the simulator cannot see."""

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)

from kernels.cuda import offline
from kernels.cuda.compile import FLOATS, SIMULATED, Kernel

PTXAS = offline.find_ptxas()
needs_compiler = pytest.mark.skipif(
    PTXAS is None or find_spec("nvidia.cu13") is None or SIMULATED,
    reason="the CUDA compiler is not installed: pip install 'liftgrad[cuda-check]'",
)
BUDGET = 64
"""Registers a thread: with so few a multiprocessor runs 1024 threads at once."""
LARGER_BUDGET: dict[str, int] = {
    "attention.weigh": 96,
    "attention.weigh_dx": 96,
    "jacobi.diagonalise": 176,
    "jacobi.orthogonalise": 224,
    "linalg.eliminate": 88,
    "linalg.factor_positive": 88,
    "linalg.substitute": 88,
    "orthogonal.make_q": 80,
    "orthogonal.reflect": 80,
    "tiles.product": 168,
    "tiles.product_of_dims": 192,
    "tiles.thin_product": 232,
    "tiles.thin_product_of_dims": 232,
    "indexing.limit_norms": 80,
    "pool.average_pool_dx": 84,
    "radix.move": 96,
    "layer_norm.row_norm_dx": 72,
    "reduce.extreme": 72,
    "reduce.extreme_of_parts": 72,
    "scan.logcumsumexp": 72,
}
"""By "family.name": kernels that may take more, as tiles of accumulators do."""


@needs_compiler
@pytest.mark.parametrize("kernel", offline.all_kernels(), ids=lambda k: f"{k.family}.{k.name}")
def test_kernels_compile_and_fit(kernel: Kernel) -> None:
    for kind in _telling(kernel):
        for capability in offline.CAPABILITIES:
            report = offline.examine(kernel, kind, capability, PTXAS)
            what = f"{kernel.family}.{kernel.name} {kind} on sm_{capability[0]}{capability[1]}"
            assert report.spilled_bytes == 0, f"{what}: spills {report.spilled_bytes} bytes"
            assert report.local_bytes == 0, f"{what}: {report.local_bytes} bytes of local memory"
            budget = LARGER_BUDGET.get(f"{kernel.family}.{kernel.name}", BUDGET)
            assert report.registers <= budget, f"{what}: {report.registers} registers, budget {budget}"
            if np.dtype(np.float64) not in kind.values() and "float64" not in kernel.signature:
                assert not report.float64_instructions, f"{what}: {report.float64_instructions}"


def _telling(kernel: Kernel) -> list[dict[str, np.dtype]]:
    """Return the variants that are compiled: all of a few, else those of floats and the first and last."""
    if len(kernel.kinds) <= 4:
        return kernel.kinds
    floats = [k for k in kernel.kinds if {d.name for d in k.values()} <= set(FLOATS)]
    return [*floats, *[k for k in (kernel.kinds[0], kernel.kinds[-1]) if k not in floats]]


@needs_compiler
def test_what_must_not_be_is_found() -> None:
    def widens(size, x, out):
        for i in range(size):
            out[i] = x[i] * (size / 7)  # the quotient of integers is a float64

    bad = Kernel(widens, "int64, T*, out T*", ["float32"])
    assert offline.examine(bad, bad.kinds[0], (9, 0), PTXAS).float64_instructions
