"""Storages: the memory behind tensors, which a file keeps once however many tensors show it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tensor import dtypes
from tensor.devices import cuda_kernels
from tensor.devices import device as Device
from tensor.engine import Tensor


@dataclass(frozen=True)
class Element:
    """An element type of PyTorch's files.

    name: of the dtype. storage: the class under which files name it. raw: NumPy's type of its bytes. wider:
    the dtype that holds its values where this engine has none of that name, if one does.
    """

    name: str
    storage: str
    raw: str
    wider: str | None = None

    @property
    def own(self) -> dtypes.dtype | None:
        """The engine's dtype of that name, if tensors can have it."""
        found = self.named
        return found if found in dtypes.dtype._by_array.values() else None

    @property
    def named(self) -> dtypes.dtype | None:
        """The engine's dtype of that name, also one that is there only to be named."""
        found = getattr(dtypes, self.name, None)
        return found if isinstance(found, dtypes.dtype) else None


ELEMENTS = [
    Element("float32", "FloatStorage", "<f4"),
    Element("float64", "DoubleStorage", "<f8"),
    Element("float16", "HalfStorage", "<f2", "float32"),
    Element("bfloat16", "BFloat16Storage", "<u2", "float32"),
    Element("int64", "LongStorage", "<i8"),
    Element("int32", "IntStorage", "<i4"),
    Element("int16", "ShortStorage", "<i2", "int32"),
    Element("int8", "CharStorage", "<i1", "int32"),
    Element("uint8", "ByteStorage", "<u1"),
    Element("bool", "BoolStorage", "<u1"),
    Element("complex64", "ComplexFloatStorage", "<c8"),
    Element("complex128", "ComplexDoubleStorage", "<c16"),
    # These have no storage class: files name `UntypedStorage`, and the dtype beside it.
    Element("uint16", "", "<u2", "int32"),
    Element("uint32", "", "<u4", "int64"),
    Element("uint64", "", "<u8"),
]
BY_NAME = {element.name: element for element in ELEMENTS}
BY_STORAGE = {element.storage: element for element in ELEMENTS if element.storage}
UNTYPED = "UntypedStorage"


class UnreadableType(TypeError):
    """An element type that no dtype of this engine can hold."""


def target_of(element: Element, widened: set[str]) -> dtypes.dtype:
    """Return the dtype that values of an element type are read as; a wider one is noted in `widened`."""
    if element.own is not None:
        return element.own
    if element.wider is None:
        raise UnreadableType(
            f"the file holds {element.name}, which this engine has no dtype for, nor a wider one; convert it "
            "before saving: tensor.to(torch.float32), or torch.view_as_real(...) of a complex one"
        )
    widened.add(element.name)
    return getattr(dtypes, element.wider)


def warn_of_widening(widened: set[str]) -> None:
    """Say once a file which element types were read as wider ones."""
    if widened:
        kinds = ", ".join(f"{name} as {BY_NAME[name].wider}" for name in sorted(widened))
        warnings.warn(f"load: this engine has no such dtype, so the file was read with {kinds}", stacklevel=3)


def convert(raw: NDArray, element: Element, target: dtypes.dtype) -> NDArray:
    """Return the bytes of a storage as an array of `target`; no copy unless the type is widened."""
    raw = raw.view(np.dtype(element.raw))
    if element.name == "bool":
        return raw != 0
    if element.own is target:
        return raw.view(target._array)
    if element.name == "bfloat16":  # the upper half of a float32
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(target._array)


class Storage:
    """Memory read from a file, as `map_location` functions see it and tensors are rebuilt from it."""

    def __init__(self, array: NDArray, location: str):
        self.array, self.location = array, location
        self._on_gpu: Any = None  # its bytes there, which all tensors on it share

    @property
    def device(self) -> Device:
        """The device that its tensors go to."""
        return Device(self.location)

    def cpu(self) -> Storage:
        """Return the storage for the CPU's memory."""
        return Storage(self.array, "cpu")

    def cuda(self, device: Any = None) -> Storage:
        """Return the storage for a GPU's memory."""
        return Storage(self.array, str(Device("cuda" if device is None else device)))

    def shown(self, dtype: np.dtype, offset: int, size: tuple, stride: tuple) -> Any:
        """Return the array that shows a part of it, on the device that its tensors go to."""
        step = dtype.itemsize
        strides = tuple(s * step for s in stride)
        if self.location == "cpu":
            return np.ndarray(size, dtype, self.array, offset * step, strides)
        if self._on_gpu is None:
            self._on_gpu = cuda_kernels().from_host(self.array.view(np.uint8))
        return self._on_gpu.strided(size, strides, offset * step, dtype=dtype)

    def fill(self, values: NDArray) -> None:
        """Write what comes later in a file than the tensors that show it."""
        self.array[...] = values
        if self._on_gpu is not None:
            cuda_kernels().write(self._on_gpu, cuda_kernels().from_host(self.array.view(np.uint8)))

    def nbytes(self) -> int:
        """Return the number of bytes."""
        return self.array.nbytes

    def __len__(self) -> int:
        return self.array.size

    size = __len__


class MapLocationFailed(Exception):
    """An exception of the caller's map_location, which says nothing about the file."""

    def __init__(self, error: Exception):
        super().__init__(str(error))
        self.error = error


MapLocation = str | Device | dict | Callable[[Storage, str], Any] | None


def relocate(storage: Storage, to: MapLocation) -> Storage:
    """Return the storage where `map_location` puts it; RuntimeError for a device that is not there."""
    location = storage.location
    if isinstance(to, Device):
        location = str(to)
    elif isinstance(to, str):
        location = to
    elif isinstance(to, dict):
        location = str(to.get(location, location))
    elif callable(to):
        storage = _call(to, storage)
        location = storage.location
    try:
        Device(location).require()
    except (RuntimeError, AssertionError) as error:
        raise RuntimeError(
            f"load: the file's tensors belong to device {location!r}, which is not available here ({error}); "
            "use load(..., map_location='cpu')"
        ) from None
    return storage if location == storage.location else Storage(storage.array, location)


def _call(to: Callable[[Storage, str], Any], storage: Storage) -> Storage:
    try:
        found = to(storage.cpu(), storage.location)  # read, it lies in the CPU's memory
        if not isinstance(found, Storage | None):
            kind = type(found).__name__
            raise TypeError(f"load: map_location() must return the storage or None, got {kind}")
    except Exception as error:
        raise MapLocationFailed(error) from error
    return storage if found is None else found


def rebuild(storage: Storage, offset: int, size: tuple, stride: tuple, dtype: dtypes.dtype | None) -> Tensor:
    """Return the tensor that shows part of a storage; ValueError where that part lies outside of it."""
    array = storage.array if dtype is None else storage.array.view(dtype._array)
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(type(n) is int and 0 <= n < 2**62 for n in numbers):
        raise ValueError(f"a tensor of size {size} with stride {stride} at {offset}")
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if 0 not in size and last >= array.size:
        raise ValueError(f"a tensor of size {size} reaches element {last} of a storage of {array.size}")
    if 0 in size:
        return Tensor._wrap(np.zeros(size, array.dtype)).to(device=storage.location)
    return Tensor._wrap(storage.shown(array.dtype, offset, size, stride))


@dataclass(frozen=True)
class Placed:
    """Where a tensor's elements are kept: in which storage, and how they are found there."""

    key: str
    element: Element
    count: int
    offset: int
    stride: tuple[int, ...]


class Storages:
    """The storages that the tensors of one file need, each once; `arrays` are their bytes by key."""

    def __init__(self) -> None:
        self.arrays: list[NDArray] = []
        self._keys: dict[tuple[bool, int, int], str] = {}  # memory -> key
        self._kept: list[Any] = []  # what lies in the GPU's memory: its addresses must not be used anew
        self._elements: dict[str, Element] = {}

    def place(self, tensor: Tensor) -> Placed:
        """Give a tensor its place; tensors that share memory get one storage, as in PyTorch the whole of it.

        RuntimeError where two element types show the same memory.
        """
        element = BY_NAME.get(tensor.dtype.name)
        if element is None:
            raise TypeError(f"save: PyTorch's files have no element type {tensor.dtype!r}")
        array: Any = tensor.detach()._array
        on_cpu = isinstance(array, np.ndarray)
        memory: Any = _root(array) if on_cpu else array.whole()
        offset = _address(array) - _address(memory)
        item = array.itemsize
        if offset % item or memory.nbytes % item or any(s < 0 or s % item for s in array.strides):
            memory, offset = np.array(array, order="C"), 0
            array = memory
        where = (on_cpu, _address(memory), memory.nbytes)
        key = self._keys.get(where) if memory.nbytes else None
        if key is None:
            key = str(len(self.arrays))
            self.arrays.append(memory if on_cpu else memory.to_host())
            self._kept.append(memory)
            self._keys[where], self._elements[key] = key, element
        elif self._elements[key] is not element:
            raise RuntimeError(
                "save: Cannot save multiple tensors or storages that view the same data as different types: "
                f"{self._elements[key].name} and {element.name}; save a clone() of one"
            )
        stride = tuple(s // item for s in array.strides)
        return Placed(key, element, memory.nbytes // item, offset // item, stride)

    def count(self, key: int) -> int:
        """Return the number of elements of a storage."""
        return self.arrays[key].nbytes // np.dtype(self._elements[str(key)].raw).itemsize

    def read(self, key: int) -> memoryview:
        """Return the bytes of a storage."""
        array = self.arrays[key]
        return array.ravel(order="K").view(np.uint8).data


def _address(array: Any) -> int:
    return array.__array_interface__["data"][0] if isinstance(array, np.ndarray) else array.address


def _root(array: NDArray) -> NDArray:
    """Return the array that holds the memory; a copy of `array` where no array without gaps does."""
    found = array
    while isinstance(found.base, np.ndarray):
        found = found.base
    return np.asarray(found) if found.flags.forc else np.array(array, order="C")
