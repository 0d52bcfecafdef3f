"""tensor/cuda.py: what programs ask before they move to a GPU."""

import subprocess
import sys

import pytest

import tensor


@pytest.mark.skipif(tensor.cuda.is_available(), reason="there is a GPU")
def test_nothing_is_available() -> None:
    assert tensor.cuda.is_available() is False
    assert tensor.cuda.device_count() == 0
    tensor.cuda.manual_seed(1)
    tensor.cuda.manual_seed_all(1)
    assert tensor.cuda.memory_allocated() == tensor.cuda.max_memory_reserved() == 0
    tensor.cuda.empty_cache()
    for ask in (tensor.cuda.synchronize, tensor.cuda.current_device, tensor.cuda.Stream, tensor.cuda.Event):
        with pytest.raises(AssertionError, match=r"ask torch\.cuda\.is_available\(\) first"):
            ask()
    assert tensor.cuda.get_arch_list() == []
    assert not isinstance(tensor.ones(1), tensor.cuda.FloatTensor)
    with pytest.raises(AssertionError, match="use device='cpu'"):
        tensor.cuda.FloatTensor(2, 3)
    with pytest.raises(AssertionError, match=r"numba-cuda is not installed|driver|finds no GPU"):
        tensor.ones(1).to("cuda")


def test_importing_tensor_imports_no_cuda() -> None:
    told = (
        "import sys, tensor; print([m for m in sys.modules if m.startswith(('kernels.cuda', 'numba.cuda.'))])"
    )
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
