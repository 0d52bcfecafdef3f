"""Loads and stores of 16 bytes: what the compiler makes of kernels/cuda/vectors.py."""

import re
from importlib.util import find_spec

import pytest

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)

from kernels.cuda import vectors
from kernels.cuda.compile import SIMULATED, Kernel, cuda, pointer

if find_spec("nvidia.cu13") is None or SIMULATED:
    pytest.skip(
        "the CUDA compiler is not installed: pip install 'liftgrad[cuda-check]'", allow_module_level=True
    )

SCOPE = {"load": vectors.load, "store": vectors.store}


def _reverse(x, addresses, out):
    shared = cuda.shared.array(1024, T, alignment=16)  # noqa: F821
    t = cuda.threadIdx.x
    store(shared, t * COUNT, load(x, t * COUNT, COUNT))  # noqa: F821
    cuda.syncthreads()
    values = load(shared, (cuda.blockDim.x - 1 - t) * COUNT, COUNT)  # noqa: F821
    store(pointer(addresses[t], COUNT, out), 0, values)  # noqa: F821


@pytest.mark.parametrize(
    ("kind", "count", "instruction"),
    [
        ("float32", 4, "v4.f32"), ("float32", 2, "v2.f32"), ("float64", 2, "v2.f64"), ("int64", 2, "v2.u64"),
        ("uint8", 16, "v4.u32"), ("uint8", 4, "u32"), ("int16", 8, "v4.u32"),
    ],
)  # fmt: skip
def test_neighbours_take_one_instruction_each_way(kind, count, instruction) -> None:
    made = Kernel(_reverse, "T*, int64*, out T*", [kind], {**SCOPE, "COUNT": count})
    ptx = made.ptx(made.kinds[0], (9, 0))
    for what in ("ld.global", "st.shared", "ld.shared", "st.global"):
        assert f"{what}.{instruction}" in ptx, ptx
    assert not re.search(r"\b(ld|st)\.(v|[usfb]\d)", ptx), ptx  # of an address space that is not known
