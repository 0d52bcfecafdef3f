"""Device memory shared with other libraries, and pinned memory. On the simulator the other side is played:

there device memory is the host's, so a capsule whose kind of device is changed is one that NumPy and PyTorch
make and take themselves.
"""

import ctypes
import gc
import weakref
from collections import namedtuple

import numpy as np
import pytest

import tensor
from tensor.data import DataLoader, TensorDataset

DTYPES = ["float32", "float64", "int64", "int32", "uint8", "bool"]
CPU, CUDA = 1, 2


@pytest.fixture(autouse=True)
def _needs_a_gpu(device: str) -> None:
    if device == "cpu":
        pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda")


@pytest.fixture
def played(device: str) -> None:
    """Skip where device memory is not the host's, which NumPy could not read."""
    if "simulator" not in tensor.cuda.get_device_name():
        pytest.skip("plays the other library on the host: for the simulator")


pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def field(capsule, offset: int, kind):
    """Return a field of the tensor in a capsule, by its offset within dlpack.h's DLTensor."""
    versioned = "versioned" in repr(capsule)
    address = pointer(capsule, b"dltensor_versioned" if versioned else b"dltensor")
    return kind.from_address(address + 32 * versioned + offset)  # version, context, deleter, flags come first


class Other:
    """An array as another library would have it: NumPy's or PyTorch's, on another kind of device."""

    def __init__(self, array, kind: int, number: int = 0, old: bool = False):
        self.array, self.kind, self.number, self.old, self.asked = array, kind, number, old, {}

    def __dlpack_device__(self):
        return self.kind, self.number

    def __dlpack__(self, **options):
        self.asked = options
        if self.old and "max_version" in options:
            raise TypeError("__dlpack__() got an unexpected keyword argument 'max_version'")
        capsule = self.array.__dlpack__(max_version=options.get("max_version"))
        field(capsule, 8, ctypes.c_int32).value = self.kind
        return capsule


def arrays(dtype, device):
    whole = tensor.from_numpy((np.arange(12) % 5).reshape(3, 4).astype(dtype)).to(device)
    yield from (whole, whole.t(), whole[1:, ::2], whole[:, 1], whole[0, 0], whole[:0])


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_given_is_the_memory_itself(device, played, dtype, old):
    for ours in arrays(dtype, device):
        assert ours.__dlpack_device__() == (CUDA, 0)
        theirs = np.from_dlpack(Other(ours, CPU, old=old))
        assert theirs.shape == ours.shape
        np.testing.assert_array_equal(theirs, ours.cpu())
        if ours.numel():
            assert theirs.ctypes.data == ours.data_ptr()
            assert theirs.strides == tuple(s * ours.itemsize for s in ours.stride())
            ours.fill_(1)
            assert (theirs == 1).all()


def test_pytorch_takes_what_is_given(torch, device, played):
    for ours in arrays("float32", device):
        theirs = torch.from_dlpack(Other(ours, CPU))
        assert theirs.tolist() == ours.tolist()
        if ours.numel():
            assert theirs.data_ptr() == ours.data_ptr()


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_taken_is_the_memory_itself(device, played, dtype, old):
    for like in arrays(dtype, "cpu"):
        theirs = Other(like.numpy(), CUDA, old=old)
        ours = tensor.from_dlpack(theirs)
        assert theirs.asked["stream"] == 1
        assert ours.is_cuda
        assert (ours.dtype, ours.shape) == (like.dtype, like.shape)
        assert ours.tolist() == like.tolist()
        if like.numel():
            assert (ours.data_ptr(), ours.stride()) == (like.data_ptr(), like.stride())
            ours.zero_()
            assert not theirs.array.any()


def test_numpy_says_that_it_takes_no_memory_of_a_gpu(device) -> None:
    x = tensor.ones(64, device=device)
    before = tensor.cuda.memory_allocated()
    with pytest.raises((RuntimeError, BufferError), match=r"[Dd]evice"):
        np.from_dlpack(x)
    with pytest.raises((RuntimeError, BufferError), match=r"[Dd]evice"):
        np.from_dlpack(x * 2)  # whose memory is then free again
    assert tensor.cuda.memory_allocated() == before


def test_memory_lives_as_long_as_either_side(device, played):
    array = np.arange(1000.0)
    ours = tensor.from_dlpack(Other(array, CUDA))
    alive = weakref.ref(array)
    del array
    gc.collect()
    assert alive() is not None
    part = ours[2:4]
    del ours
    gc.collect()
    assert part.tolist() == [2.0, 3.0]
    del part
    gc.collect()
    assert alive() is None
    before = tensor.cuda.memory_allocated()
    ours = tensor.arange(1000.0).to(device)
    theirs = np.from_dlpack(Other(ours, CPU))
    del ours
    gc.collect()
    assert tensor.cuda.memory_allocated() > before
    assert theirs[999] == 999.0
    del theirs
    gc.collect()
    assert tensor.cuda.memory_allocated() == before
    capsule = tensor.ones(3, device=device).__dlpack__()  # nobody takes it
    assert tensor.cuda.memory_allocated() > before
    del capsule
    gc.collect()
    assert tensor.cuda.memory_allocated() == before


def test_capsules(device):
    x = tensor.ones(2, device=device)
    capsule = tensor.utils.dlpack.to_dlpack(x)
    again = tensor.from_dlpack(capsule)
    assert again.data_ptr() == x.data_ptr()
    with pytest.raises(BufferError, match="taken already"):
        tensor.from_dlpack(capsule)
    y = tensor.from_dlpack(x)  # without a capsule in sight
    assert y.data_ptr() == x.data_ptr()
    assert tensor.from_dlpack(x, copy=True).data_ptr() != x.data_ptr()
    assert not tensor.from_dlpack(x, device="cpu").is_cuda
    with pytest.raises(ValueError, match="is a copy"):
        tensor.from_dlpack(x, device="cpu", copy=False)
    assert np.from_dlpack(tensor.ones(2)).tolist() == [1.0, 1.0]  # the CPU's go on as before
    capsule = tensor.ones(2).__dlpack__()
    assert not tensor.from_dlpack(capsule).is_cuda


def test_what_must_not_be_written_to(device, played):
    array = np.arange(3.0)
    array.flags.writeable = False
    ours = tensor.from_dlpack(Other(array, CUDA))
    assert ours.tolist() == [0.0, 1.0, 2.0]
    with pytest.raises((RuntimeError, ValueError), match="read-only"):
        ours[0] = 1.0
    with pytest.raises(BufferError, match="clone"):
        ours.__dlpack__()
    assert not np.from_dlpack(Other(ours, CPU)).flags.writeable


def test_streams_and_devices_of_dlpack(device):
    x = tensor.ones(2, device=device)
    for stream in (None, 1, -1):
        assert "dltensor" in repr(x.__dlpack__(stream=stream))
    with pytest.raises(BufferError, match="0 is no stream"):
        x.__dlpack__(stream=0)
    with pytest.raises(TypeError, match="number of a stream"):
        x.__dlpack__(stream="1")
    side = tensor.cuda.Stream()
    with tensor.cuda.stream(side):
        other = Other(tensor.ones(2), CPU)
        tensor.from_dlpack(other)
        assert "stream" not in other.asked
        assert "dltensor" in repr(x.__dlpack__(stream=1))
    assert np.from_dlpack(x, device="cpu").tolist() == [1.0, 1.0]
    with pytest.raises(BufferError, match="copy=False"):
        x.__dlpack__(dl_device=(CPU, 0), copy=False)
    with pytest.raises(BufferError, match="cannot be given"):
        x.__dlpack__(dl_device=(10, 0))
    with pytest.raises(BufferError, match="detach"):
        tensor.ones(2, device=device, requires_grad=True).__dlpack__()


def test_what_cannot_be_taken(device, played):
    with pytest.raises(RuntimeError, match="GPU 1's"):
        tensor.from_dlpack(Other(np.ones(2), CUDA, 1))
    with pytest.raises(RuntimeError, match="DLPack's number 10"):
        tensor.from_dlpack(Other(np.ones(2), 10))
    for array in (np.ones(2, np.uint16), np.ones(2, np.complex64), np.ones(2, np.float16)):
        with pytest.raises(BufferError, match="no tensor has these elements"):
            tensor.from_dlpack(Other(array, CUDA))
    with pytest.raises(ValueError, match="negative strides"):
        tensor.from_dlpack(Other(np.ones(2)[::-1], CUDA))


# --- __cuda_array_interface__ ----------------------------------------------------------------------


class Shown:
    """An array that tells of itself by the interface; `changes` are what it tells otherwise."""

    def __init__(self, array: np.ndarray, **changes):
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape, "typestr": array.dtype.str, "data": (array.ctypes.data, False),
            "strides": array.strides, "version": 3, **changes,
        }  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_that_tell_of_themselves(device, played, dtype):
    for like in arrays(dtype, "cpu"):
        shown = Shown(like.numpy())
        ours = tensor.as_tensor(shown)
        assert ours.is_cuda
        assert ours.tolist() == like.tolist()
        copied = tensor.tensor(shown)
        assert copied.is_cuda
        if like.numel():
            assert (ours.data_ptr(), ours.stride()) == (like.data_ptr(), like.stride())
            assert tensor.asarray(shown, copy=False).data_ptr() == like.data_ptr()
            assert copied.data_ptr() != like.data_ptr()
        assert not tensor.as_tensor(shown, device="cpu").is_cuda
        assert tensor.as_tensor(shown, dtype=tensor.float64).dtype is tensor.float64


def test_an_array_that_told_of_itself_is_kept(device, played):
    shown = Shown(np.arange(3.0), strides=None, stream=1)
    alive = weakref.ref(shown)
    ours = tensor.as_tensor(shown)
    del shown
    gc.collect()
    assert alive() is not None
    assert ours.tolist() == [0.0, 1.0, 2.0]
    del ours
    gc.collect()
    assert alive() is None


def test_what_tells_of_what_no_tensor_is(device, played):
    array = np.arange(4.0)
    for changes, error, text in (
        ({"mask": array}, NotImplementedError, "mask"),
        ({"typestr": ">f8"}, ValueError, "order"),
        ({"typestr": "<u2"}, TypeError, "uint16"),
        ({"strides": (12,)}, ValueError, "multiple"),
        ({"strides": (-8,)}, ValueError, "negative"),
    ):
        with pytest.raises(error, match=text):
            tensor.as_tensor(Shown(array, **changes))
    with pytest.raises((RuntimeError, ValueError), match="read-only"):
        tensor.as_tensor(Shown(array, data=(array.ctypes.data, True)))[0] = 1.0


def test_tensors_tell_of_themselves(device):
    x = tensor.arange(6.0, device=device).view(2, 3)
    told = x.t().__cuda_array_interface__
    assert told["shape"] == (3, 2)
    assert told["strides"] == (4, 12)
    assert told["data"] == (x.data_ptr(), False)
    assert told["typestr"] == "<f4"
    assert told["stream"] == 1
    assert x.__cuda_array_interface__["strides"] is None
    assert x[:0].__cuda_array_interface__["data"][0] == 0
    assert not hasattr(x.cpu(), "__cuda_array_interface__")
    with pytest.raises(RuntimeError, match="requires grad"):
        _ = x.requires_grad_().__cuda_array_interface__


def test_cupy(device):
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    x = tensor.arange(6.0, device=device)
    for theirs in (cupy.from_dlpack(x), cupy.asarray(x)):
        assert theirs.data.ptr == x.data_ptr()
        theirs += 1
        assert tensor.from_dlpack(theirs).data_ptr() == tensor.as_tensor(theirs).data_ptr() == x.data_ptr()
    assert x.tolist() == [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]


def test_pytorch_on_the_gpu(device, torch):
    if not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    x = tensor.arange(6.0, device=device)
    for theirs in (torch.from_dlpack(x), torch.as_tensor(x, device="cuda")):
        assert theirs.data_ptr() == x.data_ptr()
        assert tensor.from_dlpack(theirs).data_ptr() == tensor.as_tensor(theirs).data_ptr() == x.data_ptr()


# --- pinned memory ---------------------------------------------------------------------------------


def test_pinned_memory(device):
    x = tensor.arange(6.0).view(2, 3)
    assert not x.is_pinned()
    pinned = x.pin_memory()
    assert pinned.is_pinned()
    assert pinned.pin_memory() is pinned
    assert pinned[1].is_pinned()
    assert pinned.tolist() == x.tolist()
    assert x.t().pin_memory().stride() == (1, 3)
    there = pinned.to(device, non_blocking=True)
    pinned.t().cuda(non_blocking=True)
    again = tensor.zeros(2, 3, device=device).copy_(pinned, non_blocking=True)
    tensor.cuda.synchronize()
    assert there.tolist() == again.tolist() == x.tolist()
    assert there.to("cpu", non_blocking=True).tolist() == x.tolist()
    assert tensor.zeros(2, pin_memory=True).is_pinned()
    assert tensor.tensor([1, 2], pin_memory=True).is_pinned()
    assert x.new_ones(2, pin_memory=True).is_pinned()
    assert not there.is_pinned()
    with pytest.raises(RuntimeError, match="only dense CPU tensors can be pinned"):
        there.pin_memory()
    with tensor.cuda.stream(tensor.cuda.Stream()):
        assert pinned.to(device).tolist() == x.tolist()
    w = tensor.ones(2, requires_grad=True)
    w.pin_memory().cuda().sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]


Pair = namedtuple("Pair", ["x", "rest"])


class Own:
    """A batch of a kind of its own, which knows how to be pinned."""

    pinned = False

    def pin_memory(self):
        self.pinned = True
        return self


def test_a_loader_pins_its_batches(device):
    data = TensorDataset(tensor.arange(4.0), tensor.arange(4))
    for workers in (0, 1):
        for x, y in DataLoader(data, batch_size=2, pin_memory=True, num_workers=workers):
            assert x.is_pinned()
            assert y.to(device, non_blocking=True).tolist() == x.long().tolist()
    assert not any(x.is_pinned() for x, _ in DataLoader(data, batch_size=2))

    def collate(samples):
        own = Own()
        return {"pair": Pair(tensor.stack(samples), ["name", own, (tensor.ones(1),)]), "number": 1}

    (batch,) = DataLoader([tensor.ones(1)], collate_fn=collate, pin_memory=True)
    assert isinstance(batch["pair"], Pair)
    assert batch["pair"].x.is_pinned()
    name, own, (one,) = batch["pair"].rest
    assert (name, batch["number"], own.pinned, one.is_pinned()) == ("name", 1, True, True)
