"""The GPU's kernel table beside the CPU's: the same names with the same arguments."""

from importlib.util import find_spec

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


def test_every_kernel_of_the_cpu_is_there() -> None:
    assert not set(cpu.__all__) - OF_THE_CPU - set(cuda.__all__)


@pytest.mark.parametrize("name", sorted(set(cpu.__all__) & set(cuda.__all__)))
def test_arguments_are_the_same(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(table, name)).parameters for table in (cuda, cpu))
    assert list(ours) == list(theirs)
