"""Where a tensor's memory is: the CPU, a GPU, and the other places that programs name."""

import functools
import os
import sys
import threading
from importlib.util import find_spec
from typing import Any

import numpy as np

from kernels import cpu

_TYPES = ("cpu", "cuda", "mps", "xpu", "meta", "hpu", "mtia", "xla", "vulkan", "ipu", "ve", "privateuseone")


class device:
    """A device: `device("cpu")`, `device("cuda:0")`, `device("cuda", 0)`, or another device.

    Any device may be named, and compared; tensors are made on the CPU and, where there is one, on a GPU. As a
    context, `with device("cpu"): ...`, it is where tensors are made that name none. Raises RuntimeError for a
    name that is none of PyTorch's, TypeError for what is no name.
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __init__(self, type: "str | device | int", index: int | None = None):
        if isinstance(type, device):
            self.type, self.index = type.type, type.index
            return
        if isinstance(type, int) and not isinstance(type, bool):
            if missing_for_cuda() is not None:
                raise RuntimeError(
                    f"device({type}): a number alone means an accelerator, and there is none; use "
                    "device('cpu')"
                )
            self.type, self.index = "cuda", int(type)
            return
        if not isinstance(type, str):
            raise TypeError(f"device: expected a name such as 'cpu' or 'cuda:0', got {type!r}")
        kind, colon, number = type.partition(":")
        if kind not in _TYPES:
            raise RuntimeError(
                f"device: expected one of {', '.join(_TYPES)} device type at start of device string: {type!r}"
            )
        if colon and not number.isdigit():
            raise RuntimeError(f"device: invalid device string {type!r}; write 'cuda:0', or 'cuda'")
        if colon and index is not None:
            raise RuntimeError(
                f"device: type (string) must not include an index because index was passed: {type!r}"
            )
        self.type = kind
        self.index = int(number) if colon else index

    def require(self) -> None:
        """Raise if tensors cannot be made on this device: AssertionError for a GPU, as in PyTorch."""
        if self.type == "cpu":
            return
        if self.type == "cuda":
            missing = missing_for_cuda()
            if missing is not None:
                raise AssertionError(
                    f"device {self}: {missing}; use device='cpu', or ask first: 'cuda' if "
                    "torch.cuda.is_available() else 'cpu'"
                )
            if self.index:
                raise RuntimeError(
                    f"device {self}: CUDA error: invalid device ordinal; one GPU is used, 'cuda:0': the one "
                    "that the environment variable CUDA_VISIBLE_DEVICES chooses"
                )
            return
        where = f"device {self}: tensors live on the CPU and on CUDA's GPUs; use device='cpu', or ask first: "
        if self.type == "xpu":
            raise AssertionError(f"{where}torch.xpu.is_available()")
        raise NotImplementedError(f"{where}torch.backends.mps.is_available()")

    def __enter__(self) -> "device":
        _chosen.stack.append(self)
        return self

    def __exit__(self, *exc) -> None:
        _chosen.stack.pop()

    def __eq__(self, other) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __reduce__(self):
        return device, (self.type, self.index)


class _Chosen(threading.local):
    def __init__(self) -> None:
        self.stack: list[device] = [device("cpu")]


_chosen = _Chosen()


def set_default_device(device_: "str | device | None") -> None:
    """Choose where tensors are made that name no device; None for the CPU.

    A device that is not there can be chosen; making a tensor then raises, as it would by name.
    """
    _chosen.stack[0] = device("cpu" if device_ is None else device_)


def get_default_device() -> device:
    """Return where tensors are made that name no device."""
    return _chosen.stack[-1]


CPU, CUDA = device("cpu"), device("cuda", 0)


# --- GPUs ------------------------------------------------------------------------------------------


def missing_for_cuda() -> str | None:
    """Return what is missing for tensors on a GPU, package, driver or device; None if nothing is."""
    return _missing(os.environ.get("NUMBA_ENABLE_CUDASIM"))


@functools.cache
def _missing(_simulator: str | None) -> str | None:
    if find_spec("numba_cuda") is None:
        return "the package numba-cuda is not installed; pip install 'liftgrad[cuda]'"
    try:
        return cuda_kernels().driver.missing()
    except ImportError as error:
        return f"numba-cuda cannot be imported ({error}); pip install 'liftgrad[cuda]'"


def look_again() -> None:
    """Find out anew what is missing for a GPU, when it is next asked for."""
    _missing.cache_clear()


@functools.cache
def cuda_kernels() -> Any:
    """Return the GPU's kernel table. It is imported here, when it is first needed, and nowhere else."""
    from kernels import cuda

    return cuda


def is_capturing() -> bool:
    """Return whether this thread's work for the GPU goes into a CUDA graph, and is not computed."""
    kernels: Any = sys.modules.get("kernels.cuda")  # which is not imported to find this out
    return kernels is not None and kernels.driver.streams.capture is not None


def kernels_of(array) -> Any:
    """Return the kernel table of the device that an array is on."""
    return cpu if isinstance(array, np.ndarray) else cuda_kernels()


def device_of(array) -> device:
    """Return the device that an array is on."""
    return CPU if isinstance(array, np.ndarray) else CUDA


def table(named: "str | device | int | None" = None) -> Any:
    """Return the kernel table of a device, or of the default one; raise if no tensor can be made there."""
    return cpu if chosen(named).type == "cpu" else cuda_kernels()


def chosen(named: "str | device | int | None" = None) -> device:
    """Return the device of this name, or the default one; raise if no tensor can be made there."""
    found = _chosen.stack[-1] if named is None else device(named)
    found.require()
    return found


def put(array, named: "str | device | int | None" = None, wait: bool = True, is_constant: bool = False):
    """Return an array on a device, or the default one: itself if it is there, else a copy.

    wait: False to return before a copy from pinned memory to the GPU has ended. is_constant: that nobody will
    change it, so that a CUDA graph may have it as it is; else a capture refuses the copy.
    """
    source, target = kernels_of(array), table(named)
    if source is target:
        return array
    if target is cpu:
        return source.to_host(array)
    if not is_constant:
        target.driver.check_copy(array, wait)
    return target.from_host(array, wait)


def to_host(array) -> np.ndarray:
    """Return an array of any device in the CPU's memory: itself if it is there."""
    return kernels_of(array).to_host(array)


def join(operation: str, tensors, target=None) -> list:
    """Return tensors that are on several devices on one: numbers of the CPU, zero-dim tensors, join the GPU.

    target: the one that is overwritten, which cannot move. Raises PyTorch's RuntimeError for others.
    """
    joined = []
    for t in tensors:
        if isinstance(t._array, np.ndarray):
            if t._array.ndim or t is target:
                raise RuntimeError(
                    f"{operation}: Expected all tensors to be on the same device, but found at least two "
                    "devices, cuda:0 and cpu! Move one: x.to('cuda'), or x.cpu()"
                )
            t = t.to(CUDA)
        joined.append(t)
    return joined
