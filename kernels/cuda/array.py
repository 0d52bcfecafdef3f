"""DeviceArray: an ndarray whose memory is the GPU's.

It has an ndarray's shape, strides, dtype and views, and nothing that reads or writes an element: that is what
kernels are for. Views are made by NumPy itself, once for each layout: on an ndarray at no address, which is
never looked into. So a view here is a view in every case where it is one on the CPU.
"""

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from kernels.cuda import driver
from kernels.cuda.allocator import Block
from kernels.cuda.compile import SIMULATED
from kernels.cuda.launching import streams

_NOWHERE = 1 << 40
"""The address that arrays have which only show where elements would lie."""


class _Place:
    """Memory as NumPy takes it over: an address, and what must live as long as the array."""

    def __init__(self, owner: Any, address: int, shape, strides, dtype: np.dtype, read_only: bool = False):
        self.owner = owner
        self.__array_interface__ = {
            "shape": tuple(shape), "strides": strides, "typestr": dtype.str, "version": 3,
            "data": (address, read_only),
        }  # fmt: skip


class _Flags(NamedTuple):
    c_contiguous: bool
    f_contiguous: bool
    forc: bool
    writeable: bool


class Layout:
    """Shape, strides in bytes and element type: one object for all arrays that have the same.

    What follows from them is found once, and what is kept for launches is looked up by the object itself.
    low, high: the first byte and the one after the last, from the first element on; equal if there are none.
    """

    __slots__ = (
        "_nowhere", "dtype", "flags", "high", "in_order", "itemsize", "low", "nbytes", "ndim", "shape",
        "size", "span", "strides",
    )  # fmt: skip

    def __init__(self, nowhere: np.ndarray):
        self._nowhere = nowhere  # never to be read or written, nor given to NumPy functions that do
        self.shape, self.strides, self.dtype = nowhere.shape, nowhere.strides, nowhere.dtype
        self.ndim, self.size, self.nbytes = nowhere.ndim, nowhere.size, nowhere.nbytes
        self.itemsize = nowhere.itemsize
        known = nowhere.flags
        self.in_order = known.c_contiguous
        self.flags = _Flags(known.c_contiguous, known.f_contiguous, known.forc, known.writeable)
        steps = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        self.low = self.high = self.span = 0
        if self.size:
            self.low, self.high = sum(min(s, 0) for s in steps), sum(max(s, 0) for s in steps) + self.itemsize
            self.span = 1 + sum(steps) // self.itemsize

    def seen(self, way: str, arguments: tuple) -> "tuple[Layout, int]":
        """Return the layout of a view, and at which byte it begins; way: in `_WAYS`, or an ndarray method."""
        array = self._nowhere
        view = _WAYS[way](array, *arguments) if way in _WAYS else getattr(array, way)(*arguments)
        offset = view.__array_interface__["data"][0] - _NOWHERE if view.size else 0
        return layout(view.shape, view.strides, view.dtype, array.flags.writeable), offset


@lru_cache(maxsize=1 << 14)
def layout(shape: tuple[int, ...], strides: tuple[int, ...] | None, dtype: Any, writable: bool) -> Layout:
    """Return the layout of arrays; strides in bytes, None if in order."""
    if strides is None or not isinstance(dtype, np.dtype):
        array = np.asarray(_Place(None, _NOWHERE, shape, strides, np.dtype(dtype)))
        return layout(array.shape, array.strides, array.dtype, writable)
    return Layout(np.asarray(_Place(None, _NOWHERE, shape, strides, dtype, not writable)))


_WAYS: dict[str, Callable[..., np.ndarray]] = {
    "index": lambda array, *parts: array[tuple(slice(*p) if type(p) is tuple else p for p in parts)],
    "broadcast": np.broadcast_to,
    "reshape": lambda array, *shape: array.reshape(*shape, copy=False),
}
_seen = lru_cache(maxsize=1 << 14)(Layout.seen)


class DeviceArray:
    """Elements in the GPU's memory: shape, strides (bytes), dtype, views, and copies to the host.

    What would read elements in Python raises TypeError, except `item`, `tolist` and `to_host`, which wait for
    the GPU.

    address: where the first element lies in the GPU's memory. base: the array that this is a view of; None
    for an array with memory of its own.
    """

    __slots__ = ("__weakref__", "_owner", "address", "base", "dtype", "layout", "shape", "strides")
    __array_priority__ = 1000
    __array_ufunc__ = None  # NumPy's operators leave the operation to the other side

    def __init__(self, layout: Layout, address: int, owner: Any, base: "DeviceArray | None" = None):
        self.layout, self.address, self._owner, self.base = layout, address, owner, base
        self.shape, self.strides, self.dtype = layout.shape, layout.strides, layout.dtype

    # --- what it is --------------------------------------------------------------------------------

    ndim = property(attrgetter("layout.ndim"))
    size = property(attrgetter("layout.size"))
    itemsize = property(attrgetter("layout.itemsize"))
    nbytes = property(attrgetter("layout.nbytes"))
    flags = property(attrgetter("layout.flags"))

    @property
    def ctypes(self) -> Any:
        """What has the address as `data`, as an ndarray's has."""
        return _Address(self.address)

    @property
    def block(self) -> Any:
        """What holds the memory: the allocator's block, or what it was taken over from."""
        return self._owner

    def whole(self) -> "DeviceArray":
        """Return, flat and in this dtype, the memory that this is a part of, as it was when allocated."""
        first = self if self.base is None else self.base
        return first.strided(
            (first.span * first.itemsize // self.itemsize,), (self.itemsize,), dtype=self.dtype
        )

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, address={self.address:#x})"

    # --- views -------------------------------------------------------------------------------------

    def _seen(self, way: str, *arguments: Any) -> "DeviceArray":
        try:
            layout, offset = _seen(self.layout, way, arguments)
        except TypeError:  # lists are as good as tuples here, but they cannot be looked up
            layout, offset = self.layout.seen(way, arguments)
        base = self if self.base is None else self.base
        return DeviceArray(layout, self.address + offset, self._owner, base)

    @property
    def T(self) -> "DeviceArray":
        """The dims in reverse order."""
        return self._seen("transpose")

    def view(self, dtype=None) -> "DeviceArray":
        """Return another array on the same memory, its bytes read as `dtype`."""
        return self._seen("view") if dtype is None else self._seen("view", dtype)

    def reshape(self, *shape, copy: bool | None = None) -> "DeviceArray":
        """Return a view of another shape, or a copy where there can be none; copy=False: ValueError then."""
        if copy is not True:
            try:
                return self._seen("reshape", *shape)
            except ValueError:
                if copy is False or self.layout.in_order:
                    raise
        return self.copy().reshape(*shape, copy=False)

    def transpose(self, *dims) -> "DeviceArray":
        """Return a view with the dims in another order."""
        return self._seen("transpose", *dims)

    def swapaxes(self, a: int, b: int) -> "DeviceArray":
        """Return a view with two dims exchanged."""
        return self._seen("swapaxes", a, b)

    def squeeze(self, axis=None) -> "DeviceArray":
        """Return a view without dims of size 1."""
        return self._seen("squeeze", axis)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> "DeviceArray":
        """Return a view of a diagonal."""
        return self._seen("diagonal", offset, axis1, axis2)

    def __getitem__(self, index) -> "DeviceArray":
        """Return the view that integers, slices, None and ... choose; TypeError for lists and arrays."""
        parts: list[Any] = []
        for part in index if isinstance(index, tuple) else (index,):
            if isinstance(part, slice):
                parts.append((part.start, part.stop, part.step))  # slices cannot be looked up
            elif part is None or part is Ellipsis or _is_position(part):
                parts.append(part)
            else:
                raise TypeError(f"a device array is indexed by integers and slices, got {part!r:.40}")
        if Ellipsis not in parts:
            parts.append(Ellipsis)  # or NumPy would read the one element that is left
        return self._seen("index", *parts)

    def broadcast_to(self, shape) -> "DeviceArray":
        """Return a view with dims of size 1 repeated; writing to it would write them several times."""
        return self._seen("broadcast", shape)

    def strided(self, shape, strides, offset: int = 0, writable: bool = False, dtype=None) -> "DeviceArray":
        """Return a view `offset` bytes on with these strides in bytes; nothing checks the limits."""
        kind = self.dtype if dtype is None else dtype
        made = layout(tuple(shape), tuple(strides), kind, writable or self.layout.flags.writeable)
        base = self if self.base is None else self.base
        return DeviceArray(made, self.address + offset, self._owner, base)

    def may_share_memory(self, other: Any) -> bool:
        """Return whether the memory of two arrays overlaps, by their first and last elements."""
        if not isinstance(other, DeviceArray):
            return False
        x, y = self.layout, other.layout
        if not (x.size and y.size):
            return False
        return self.address + x.low < other.address + y.high and other.address + y.low < self.address + x.high

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
        return self.layout.span

    def memory(self) -> np.ndarray:
        """Return the elements from the first to the last in order of memory: only in the simulator."""
        if not SIMULATED:
            raise RuntimeError("device memory cannot be looked into")
        return np.asarray(_Place(self, self.address, (self.span,), None, self.dtype))

    @property
    def __cuda_array_interface__(self) -> dict:
        return {
            "shape": self.shape, "typestr": self.dtype.str, "version": 3,
            "strides": None if self.flags.c_contiguous else self.strides,
            "data": (self.address if self.size else 0, not self.flags.writeable),
            "stream": driver.current_number(),
        }  # fmt: skip


class _Address(NamedTuple):
    data: int


def _is_position(part: Any) -> bool:
    return isinstance(part, int | np.integer) and not isinstance(part, bool)


def empty(shape, dtype) -> DeviceArray:
    """Return an array in memory that is yet to be written."""
    return empty_of(layout(tuple(shape), None, dtype, True))


def empty_of(layout: Layout) -> DeviceArray:
    """Return an array of a layout without gaps, in memory that is yet to be written."""
    block: Block = driver.allocator.allocate(layout.nbytes, streams.place)
    if SIMULATED:
        driver.spoil(block.address, layout.nbytes)
    return DeviceArray(layout, block.address, block)


def empty_like(x: DeviceArray, dtype=None) -> DeviceArray:
    """Return an array of the shape of `x` whose dims lie in memory in the order of its own, without gaps."""
    return empty_of(without_gaps(x.layout, x.dtype if dtype is None else dtype))


@lru_cache(maxsize=1 << 14)
def without_gaps(known: Layout, dtype: Any) -> Layout:
    """Return the layout of the same shape whose dims lie in the same order, without gaps."""
    if known.in_order:
        return layout(known.shape, None, dtype, True)
    order = sorted(range(known.ndim), key=lambda d: -known.strides[d])
    packed = layout(tuple([known.shape[d] for d in order]), None, dtype, True)
    return packed.seen("transpose", tuple(np.argsort(order)))[0]


def take_over(owner: Any, address: int, shape, strides, dtype, read_only: bool = False) -> DeviceArray:
    """Return an array on memory that `owner` holds; strides in bytes, None if in order."""
    made = layout(tuple(shape), None if strides is None else tuple(strides), dtype, not read_only)
    return DeviceArray(made, address, owner)


def from_host(x: Any, wait: bool = True) -> DeviceArray:
    """Return a copy of a host array, or a number, in the GPU's memory; the dims lie in the same order.

    wait: see `driver.upload`. During a capture the copy is made at once, and is a constant of the graph; with
    wait=False that of pinned memory is made at each replay.
    """
    if streams.capture is not None and (wait or not driver.is_pinned(np.asarray(x))):
        return streams.capture.constant(lambda: from_host(x, wait))
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
