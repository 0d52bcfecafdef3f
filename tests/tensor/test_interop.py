"""tensor/interop.py: memory shared with NumPy, PyTorch and JAX, and copies."""

import copy
import gc
import os
import warnings

import numpy as np
import pytest

import tensor

DTYPES = ["float32", "float64", "int64", "int32", "uint8", "bool"]


def arrays(dtype):
    """Yield tensors in several memory layouts."""
    whole = tensor.from_numpy((np.arange(12) % 5).reshape(3, 4).astype(dtype))
    yield from (whole, whole.t(), whole[1:, ::2], whole[:, 1], whole[0, 0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_with_numpy_shares_memory_both_ways(dtype):
    for ours in arrays(dtype):
        theirs = np.from_dlpack(ours)
        assert theirs.ctypes.data == ours.data_ptr()
        np.testing.assert_array_equal(theirs, ours.numpy())
        again = tensor.from_dlpack(theirs)
        assert again.data_ptr() == ours.data_ptr()
        assert (again.stride(), again.dtype) == (ours.stride(), ours.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_with_pytorch_shares_memory_both_ways(dtype):
    torch = pytest.importorskip("torch")
    for ours in arrays(dtype):
        theirs = torch.from_dlpack(ours)
        assert theirs.data_ptr() == ours.data_ptr()
        assert theirs.tolist() == ours.tolist()
        capsule = torch.utils.dlpack.from_dlpack(tensor.utils.dlpack.to_dlpack(ours))
        assert capsule.data_ptr() == ours.data_ptr()
        for back in (theirs, torch.utils.dlpack.to_dlpack(theirs)):
            again = tensor.from_dlpack(back)
            assert again.data_ptr() == ours.data_ptr()
            assert (again.stride(), again.dtype) == (ours.stride(), ours.dtype)


def test_dlpack_keeps_the_memory_alive():
    torch = pytest.importorskip("torch")
    theirs = torch.arange(1000)
    ours = tensor.from_dlpack(theirs)
    ours[0] = 7
    assert theirs[0] == 7
    del theirs
    gc.collect()
    assert ours.sum().item() == sum(range(1000)) + 7


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8", "bool"])
def test_dlpack_with_jax(dtype):
    jnp = pytest.importorskip("jax.numpy")
    array = (np.arange(6) % 3).reshape(2, 3).astype(dtype)
    np.testing.assert_array_equal(tensor.from_dlpack(jnp.asarray(array)).numpy(), array)
    np.testing.assert_array_equal(np.asarray(jnp.from_dlpack(tensor.from_numpy(array))), array)


def test_dlpack_of_what_must_not_be_written_to():
    array = np.arange(3.0)
    array.flags.writeable = False
    ours = tensor.from_dlpack(array)
    assert ours.data_ptr() == array.ctypes.data
    with pytest.raises(RuntimeError, match="read-only"):
        ours[0] = 1
    with pytest.raises(BufferError, match="detach"):
        tensor.ones(2, requires_grad=True).__dlpack__()


def test_from_numpy_of_a_part_is_a_memory_of_its_own():
    array = np.arange(10.0)
    part = tensor.from_numpy(array[2:])
    assert (part.storage_offset(), part[1:].storage_offset()) == (0, 1)
    assert part.untyped_storage().nbytes() == 64
    part[0] = 5
    assert array[2] == 5


def test_deepcopy_keeps_what_is_shared():
    whole = tensor.zeros(2, 3)
    copied = copy.deepcopy({"whole": whole, "row": whole[1], "turned": whole.t()})
    copied["row"][0] = 5
    assert (copied["whole"][1, 0].item(), copied["turned"][0, 1].item()) == (5, 5)
    assert whole.sum() == 0
    assert copied["row"].storage_offset() == 3


def test_share_memory_reaches_a_forked_process():
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    shared = tensor.zeros(3).share_memory_()
    assert (shared.is_shared(), tensor.zeros(3).is_shared()) == (True, False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, which the child does not use
        child = os.fork()
    if not child:
        shared.numpy()[1] = 5
        os._exit(0)
    os.waitpid(child, 0)
    assert shared.tolist() == [0, 5, 0]
