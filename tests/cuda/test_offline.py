"""Every kernel compiled to PTX and assembled, without a GPU: what the simulator cannot see."""

import struct
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)

from kernels.cuda import lift, offline
from kernels.cuda.compile import SIMULATED, Kernel

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
    "batch_norm.dx": 72,
    "elementwise.atan": 72,
    "jacobi.diagonalise": 176,
    "jacobi.orthogonalise": 224,
    "linalg.eliminate": 88,
    "linalg.factor_positive": 88,
    "linalg.substitute": 88,
    "orthogonal.make_q": 80,
    "orthogonal.reflect": 80,
    # Two blocks of 256 threads a multiprocessor, as launch bounds say; by tables one, of 64 sums a thread.
    "products.flat_product_of_windows": 168,
    "products.large_product": 128,
    "products.tensor_product": 128,
    "products.large_product_of_dims": 168,
    "products.square_product": 128,
    "products.square_product_of_dims": 160,
    # 64 threads a block, each with much on its way; the most registers are taken by elements of 8 bytes.
    "products.small_product": 216,
    "products.square_product_of_windows": 144,
    "products.thin_product": 168,
    "products.thin_product_of_dims": 216,
    "indexing.limit_norms": 80,
    "pool.average_pool_dx": 84,
    "radix.move": 96,
    "optim.adam_by_table": 72,  # in float64, where the rule's numbers are read from memory
    "optim.rmsprop_by_table": 72,
    "optim_adaptive.adadelta_by_table": 72,
    "layer_norm.row_norm_dx": 72,
    # Four vectors of 16 bytes on their way for each thread: three blocks of a multiprocessor ask for 48 KB,
    # more than twice of what its share of the memory's bandwidth takes in the time a load takes.
    "deviations": 80,
    "extremes": 72,
    "moments.moments": 96,
    "reduce": 80,
    "reduce.maximum": 88,  # of bools, in one byte each
    "reduce.minimum": 88,
    "scan.logcumsumexp": 72,
    # Sixteen numbers of a row for each thread, twice as many for the gradient; of float64 twice that.
    "short_rows": 136,
    "softmax.log_softmax": 72,  # in float64, as the two below: 768 threads at once
    "softmax.losses": 72,
    "softmax.softmax": 72,
}
"""By "family.name", or by family: kernels that may take more, as tiles of accumulators do."""


SLOW_PATH = {f"elementwise.{name}{end}" for name in ("cos", "sin", "sinc", "tan") for end in ("", "_dx")}
"""The library, PyTorch's as well, brings arguments above 10^5 into range by a table in local memory and one
product in float64. No other arguments pay for it."""


EACH_CAPABILITY = {
    "compare.isclose", "elementwise.gelu", "elementwise.pow", "elementwise.clamp", "memory.copy",
    "optim.adam", "products.large_product", "products.tensor_product", "reduce.sum", "softmax.softmax",
}  # fmt: skip
"""Kernels that are compiled for every capability, lifted ones in their last variant, too. Others are alike,
and compiling takes these tests minutes; `python -m kernels.cuda.offline` compiles all of it."""


def cases(kernel: Kernel) -> list[tuple[dict[str, np.dtype], tuple[int, int]]]:
    """Return what is compiled for the newest capability: of lifted kernels one variant, else two."""
    if f"{kernel.family}.{kernel.name}" in EACH_CAPABILITY:
        return offline.telling(kernel)
    newest, first, last = offline.CAPABILITIES[-1], kernel.kinds[0], kernel.kinds[-1]
    if kernel.function.__module__ == lift.__name__ or first == last:
        return [(first, newest)]
    return [(first, newest), (last, newest)]


@needs_compiler
@pytest.mark.parametrize("kernel", offline.all_kernels(), ids=lambda k: f"{k.family}.{k.name}")
def test_kernels_compile_and_fit(kernel: Kernel) -> None:
    name = f"{kernel.family}.{kernel.name}"
    for kind, capability in cases(kernel):
        report = offline.examine(kernel, kind, capability, PTXAS)
        what = f"{name} {kind} on sm_{capability[0]}{capability[1]}"
        packed = tuple(struct.calcsize(code) for code in "".join(kernel.codes(kind)))
        assert report.parameter_bytes == packed, f"{what}: a launch packs other parameters than it takes"
        assert report.spilled_bytes == 0, f"{what}: spills {report.spilled_bytes} bytes"
        budget = LARGER_BUDGET.get(name, LARGER_BUDGET.get(kernel.family, BUDGET))
        assert report.registers <= budget, f"{what}: {report.registers} registers, budget {budget}"
        local = 64 if name in SLOW_PATH else 0
        assert report.local_bytes <= local, f"{what}: {report.local_bytes} bytes of local memory"
        if np.dtype(np.float64) in kind.values() or "float64" in kernel.signature:
            continue
        wide = [line for line in report.float64_instructions if name not in SLOW_PATH or not _is_range(line)]
        assert not wide, f"{what}: {wide}"


def _is_range(line: str) -> bool:
    """Return whether a line of PTX is the library's product by half of pi in float64, or brings it back."""
    return "0d3BF921FB54442D19" in line or line.startswith("cvt.rn.f32.f64")


def test_kernels_named_here_are_there() -> None:
    names = {f"{kernel.family}.{kernel.name}" for kernel in offline.all_kernels()}
    families = {kernel.family for kernel in offline.all_kernels()}
    assert names >= EACH_CAPABILITY | SLOW_PATH
    assert names | families >= LARGER_BUDGET.keys()


@needs_compiler
def test_what_must_not_be_is_found() -> None:
    def widens(size, x, out):
        for i in range(size):
            out[i] = x[i] * (size / 7)  # the quotient of integers is a float64

    bad = Kernel(widens, "int64, T*, out T*", ["float32"])
    assert offline.examine(bad, bad.kinds[0], (9, 0), PTXAS).float64_instructions
