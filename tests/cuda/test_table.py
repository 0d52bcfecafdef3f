"""The GPU's kernel table beside the CPU's: the same names, and which have no kernel yet."""

from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)

import inspect

from kernels import cpu, cuda

# What is about the CPU itself.
OF_THE_CPU = {
    "Host", "available_threads", "compile_seconds", "describe", "get_num_threads",
    "set_num_threads", "threading_layer",
    # The words of its generator; the GPU has its own (`kernels.cuda.random`).
    "bernoulli_from_bits", "normal_from_bits", "normal_pairs_from_bits", "normal_words",
    "permutation_from_bits", "uniform_from_bits",
}  # fmt: skip
MISSING = set((Path(__file__).parent / "missing.txt").read_text(encoding="utf-8").split())
"""What the GPU has no kernel for yet, a name a line. The list only ever becomes shorter."""


def test_the_missing_kernels_are_these() -> None:
    assert set(cpu.__all__) - OF_THE_CPU - set(cuda.__all__) == MISSING


@pytest.mark.parametrize("name", sorted(MISSING))
def test_a_missing_kernel_says_so(name: str) -> None:
    with pytest.raises(NotImplementedError, match=f"{name}: there is no kernel for device 'cuda' yet"):
        getattr(cuda, name)()


def test_what_is_in_neither_table_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_kernel"):
        _ = cuda.no_such_kernel


@pytest.mark.parametrize("name", sorted(set(cpu.__all__) & set(cuda.__all__)))
def test_arguments_are_the_same(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(table, name)).parameters for table in (cuda, cpu))
    assert list(ours) == list(theirs)
