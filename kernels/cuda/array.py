"""DeviceArray: an ndarray whose memory is the GPU's.

It has an ndarray's shape, strides, dtype and views, and nothing that reads or writes an element: that is what
kernels are for. Views are made by NumPy itself, on an ndarray that has the device's address and is never
looked into; so a view here is a view in every case where it is one on the CPU.
"""

from operator import attrgetter
from typing import Any

import numpy as np

from kernels.cuda import driver
from kernels.cuda.allocator import Block
from kernels.cuda.compile import SIMULATED
from kernels.cuda.launching import streams


class _Place:
    """Device memory as NumPy takes it over: an address, and the block that must live as long as the array."""

    def __init__(self, owner: Any, address: int, shape, strides, dtype: np.dtype, read_only: bool = False):
        self.owner = owner
        self.__array_interface__ = {
            "shape": tuple(shape), "strides": strides, "typestr": dtype.str, "version": 3,
            "data": (address, read_only),
        }  # fmt: skip


class DeviceArray:
    """Elements in the GPU's memory: shape, strides (bytes), dtype, views, and copies to the host.

    What would read elements in Python raises TypeError, except `item`, `tolist` and `to_host`, which wait for
    the GPU.
    """

    __slots__ = ("__weakref__", "_address", "_view")
    __array_priority__ = 1000
    __array_ufunc__ = None  # NumPy's operators leave the operation to the other side

    def __init__(self, view: np.ndarray):
        self._view = view  # never to be read or written, nor given to NumPy functions that do
        self._address: int | None = None

    # --- what it is --------------------------------------------------------------------------------

    shape = property(attrgetter("_view.shape"))
    strides = property(attrgetter("_view.strides"))
    dtype = property(attrgetter("_view.dtype"))
    ndim = property(attrgetter("_view.ndim"))
    size = property(attrgetter("_view.size"))
    itemsize = property(attrgetter("_view.itemsize"))
    nbytes = property(attrgetter("_view.nbytes"))
    flags = property(attrgetter("_view.flags"))
    ctypes = property(attrgetter("_view.ctypes"))

    @property
    def address(self) -> int:
        """Where the first element lies in the GPU's memory."""
        if self._address is None:  # NumPy takes a microsecond to say it
            self._address = self._view.__array_interface__["data"][0]
        return self._address

    @property
    def base(self) -> Any:
        """What this is a view of; None for an array with memory of its own."""
        base = self._view.base
        return DeviceArray(base) if isinstance(base, np.ndarray) else None

    @property
    def block(self) -> Any:
        """What holds the memory: the allocator's block, or what it was taken over from."""
        owner: Any = self._view
        while isinstance(owner, np.ndarray | _Place):
            owner = owner.base if isinstance(owner, np.ndarray) else owner.owner
        return owner

    def whole(self) -> "DeviceArray":
        """Return, flat and in this dtype, the memory that this is a part of, as it was when allocated."""
        array: Any = self._view
        owner: Any = array
        while isinstance(owner, np.ndarray | _Place):
            if isinstance(owner, np.ndarray):
                array = owner
            owner = owner.base if isinstance(owner, np.ndarray) else owner.owner
        first = DeviceArray(array)
        return first.strided(
            (first.span * first.itemsize // self.itemsize,), (self.itemsize,), dtype=self.dtype
        )

    def __len__(self) -> int:
        return len(self._view)

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, address={self.address:#x})"

    # --- views -------------------------------------------------------------------------------------

    @property
    def T(self) -> "DeviceArray":
        """The dims in reverse order."""
        return DeviceArray(self._view.T)

    def view(self, dtype=None) -> "DeviceArray":
        """Return another array on the same memory, its bytes read as `dtype`."""
        return DeviceArray(self._view.view() if dtype is None else self._view.view(dtype))

    def reshape(self, *shape, copy: bool | None = None) -> "DeviceArray":
        """Return a view of another shape, or a copy where there can be none; copy=False: ValueError then."""
        if copy is not True:
            try:
                return DeviceArray(self._view.reshape(*shape, copy=False))
            except ValueError:
                if copy is False or self.flags.c_contiguous:
                    raise
        return self.copy().reshape(*shape, copy=False)

    def transpose(self, *dims) -> "DeviceArray":
        """Return a view with the dims in another order."""
        return DeviceArray(self._view.transpose(*dims))

    def swapaxes(self, a: int, b: int) -> "DeviceArray":
        """Return a view with two dims exchanged."""
        return DeviceArray(self._view.swapaxes(a, b))

    def squeeze(self, axis=None) -> "DeviceArray":
        """Return a view without dims of size 1."""
        return DeviceArray(self._view.squeeze(axis))

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> "DeviceArray":
        """Return a view of a diagonal."""
        return DeviceArray(self._view.diagonal(offset, axis1, axis2))

    def __getitem__(self, index) -> "DeviceArray":
        """Return the view that integers, slices, None and ... choose; TypeError for lists and arrays."""
        parts = index if isinstance(index, tuple) else (index,)
        for part in parts:
            if part is not None and part is not Ellipsis and not isinstance(part, slice | int | np.integer):
                raise TypeError(f"a device array is indexed by integers and slices, got {part!r:.40}")
        if Ellipsis not in [p for p in parts if p is Ellipsis]:
            parts = (*parts, Ellipsis)  # or NumPy would read the one element that is left
        return DeviceArray(self._view[parts])

    def broadcast_to(self, shape) -> "DeviceArray":
        """Return a view with dims of size 1 repeated; it must not be written to."""
        return DeviceArray(np.broadcast_to(self._view, shape))

    def strided(self, shape, strides, offset: int = 0, writable: bool = False, dtype=None) -> "DeviceArray":
        """Return a view `offset` bytes on with these strides in bytes; nothing checks the limits."""
        read_only = not (self.flags.writeable or writable)
        kind = self.dtype if dtype is None else np.dtype(dtype)
        place = _Place(self._view, self.address + offset, shape, tuple(strides), kind, read_only)
        return DeviceArray(np.asarray(place))

    def may_share_memory(self, other: Any) -> bool:
        """Return whether the memory of two arrays overlaps, by their first and last elements."""
        return isinstance(other, DeviceArray) and np.may_share_memory(self._view, other._view)

    # --- elements, on the host ---------------------------------------------------------------------

    def to_host(self) -> np.ndarray:
        """Return a copy in the host's memory, when all that was queued before has been computed."""
        if not self.size:
            return np.empty(self.shape, self.dtype)
        # The order of the elements in memory is kept; a view with gaps or repeats is first put in order.
        order = sorted(range(self.ndim), key=lambda d: -self.strides[d])
        packed = self.transpose(order)
        if not packed.flags.c_contiguous:
            from kernels.cuda.memory import copy  # which needs this file

            packed, order = copy(self), list(range(self.ndim))
        host = np.empty(packed.shape, self.dtype)
        driver.download(packed.address, host)
        return host.transpose(np.argsort(order)) if order else host

    def item(self):
        """Return the one element as a Python number."""
        return self.to_host().item()

    def tolist(self):
        """Return nested lists of Python numbers."""
        return self.to_host().tolist()

    def copy(self) -> "DeviceArray":
        """Return a contiguous copy."""
        from kernels.cuda.memory import copy  # which needs this file

        return copy(self)

    def astype(self, dtype) -> "DeviceArray":
        """Return a copy of another dtype."""
        from kernels.cuda.memory import cast  # which needs this file

        return cast(self, np.dtype(dtype))

    def __array__(self, *args, **kwargs):
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
            "memory first."
        )

    def __bool__(self) -> bool:
        raise TypeError("the truth of a device array is not read by itself; use item()")

    def __iter__(self):
        raise TypeError("a device array is not iterated over; index it, or copy it to the host")

    __hash__ = object.__hash__

    def __reduce__(self):
        return from_host, (self.to_host(),)

    # --- for kernels, and other libraries ----------------------------------------------------------

    @property
    def span(self) -> int:
        """How many elements lie from the first to the last, gaps included. Steps must not be negative."""
        if not self.size:
            return 0
        steps = zip(self.shape, self.strides, strict=True)
        return 1 + sum((n - 1) * s for n, s in steps) // self.itemsize

    def memory(self) -> np.ndarray:
        """Return the elements from the first to the last in order of memory: only in the simulator."""
        if not SIMULATED:
            raise RuntimeError("device memory cannot be looked into")
        return np.asarray(_Place(self._view, self.address, (self.span,), None, self.dtype))

    @property
    def __cuda_array_interface__(self) -> dict:
        return {
            "shape": self.shape, "typestr": self.dtype.str, "version": 3,
            "strides": None if self.flags.c_contiguous else self.strides,
            "data": (self.address if self.size else 0, not self.flags.writeable),
            "stream": driver.current_number(),
        }  # fmt: skip


def empty(shape, dtype) -> DeviceArray:
    """Return an array in memory that is yet to be written."""
    dtype, shape = np.dtype(dtype), tuple(shape)
    count = 1
    for n in shape:
        count *= n
    block: Block = driver.allocator.allocate(count * dtype.itemsize, streams.handle)
    if SIMULATED:
        driver.spoil(block.address, count * dtype.itemsize)
    made = DeviceArray(np.asarray(_Place(block, block.address, shape, None, dtype)))
    made._address = block.address
    return made


def empty_like(x: DeviceArray, dtype=None) -> DeviceArray:
    """Return an array of the shape of `x` whose dims lie in memory in the order of its own, without gaps."""
    if x.flags.c_contiguous:
        return empty(x.shape, x.dtype if dtype is None else dtype)
    order = sorted(range(x.ndim), key=lambda d: -x.strides[d])
    made = empty([x.shape[d] for d in order], x.dtype if dtype is None else dtype)
    return made.transpose(np.argsort(order)) if order else made


def take_over(owner: Any, address: int, shape, strides, dtype, read_only: bool = False) -> DeviceArray:
    """Return an array on memory that `owner` holds; strides in bytes, None if in order."""
    return DeviceArray(np.asarray(_Place(owner, address, shape, strides, np.dtype(dtype), read_only)))


def from_host(x: Any, wait: bool = True) -> DeviceArray:
    """Return a copy of a host array, or a number, in the GPU's memory; the dims lie in the same order.

    wait: see `driver.upload`.
    """
    x = np.asarray(x)
    order = sorted(range(x.ndim), key=lambda d: -abs(x.strides[d]))
    packed = np.ascontiguousarray(x.transpose(order)) if order else np.asarray(x)
    packed = packed.reshape(tuple(x.shape[d] for d in order))
    made = empty(packed.shape, x.dtype)
    driver.upload(made.address, packed, wait)
    return made.transpose(np.argsort(order)) if order else made


def to_host(x: DeviceArray) -> np.ndarray:
    """Return a copy in the host's memory, when all that was queued before has been computed."""
    return x.to_host()


def on_device(x: Any) -> DeviceArray:
    """Return `x` itself if it is on the GPU, else a copy there: of positions, masks and numbers."""
    return x if isinstance(x, DeviceArray) else from_host(x)
