"""Device memory, kept between uses: freed blocks wait in lists by size for the next array that fits.

Asking the driver for memory, or giving it back, waits for all that runs on the GPU. A block goes back to the
list of the stream it was made for: what is queued on that stream still reads it before the next owner writes.
Of the blocks that fit the one at the lowest address is handed out, not the one freed last: so a training loop
comes to find its arrays where they were before, and tables of addresses, as optimisers have, are made once.

A CUDA graph replays launches on the memory they were captured with. So a capture takes blocks from a `Pool`,
and what is freed goes back there: others do not get it before the last graph of the pool is gone.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

from kernels.errors import OutOfMemoryError

_SMALL = 1 << 20
_ROUND_SMALL, _ROUND_LARGE = 512, 1 << 21


class Pool:
    """Memory of CUDA graphs. Of one pool are graphs that are replayed in the order they were captured in."""

    def __init__(self) -> None:
        self.users = 0
        """How many graphs, and captures, have it."""


class Block:
    """Memory that belongs to one array and its views; goes back to the allocator with the last of them."""

    __slots__ = ("__weakref__", "_allocator", "_key", "_owner", "address", "used_on")

    def __init__(self, allocator: "Allocator", key: tuple, address: int, owner: Any):
        self._allocator, self._key, self.address, self._owner = allocator, key, address, owner
        self.used_on: tuple[Any, ...] = ()
        """Other streams that work on it: it is handed out again when they have done so."""

    @property
    def place(self) -> Any:
        """The name of the list it goes back to: the number of a stream, or (pool, number)."""
        return self._key[0]

    @property
    def nbytes(self) -> int:
        """The bytes it holds, at least as many as were asked for."""
        return self._key[1]

    def keep_for(self, stream: Any) -> None:
        """Hand it out again only when a further stream has done what it has queued by then."""
        with self._allocator.lock:  # two threads may say so at once
            self.used_on += (stream,)

    def __del__(self) -> None:
        self._allocator.take_back(self._key, self.address, self._owner, self.used_on)


class Allocator:
    """Hands out blocks of device memory, and counts them.

    reserve(nbytes) -> (address, owner): new memory of the device, freed with the last reference to `owner`;
    MemoryError if there is none. room() -> (free, total) bytes of the device, for messages.
    """

    def __init__(self, reserve: Callable[[int], tuple[int, Any]], room: Callable[[], tuple[int, int]]):
        self._reserve, self._room = reserve, room
        self.mark: Callable[[Any], Any] = lambda stream: None
        """Return an event, which happens when the work queued on a stream has ended."""
        self.happened: Callable[[Any], bool] = lambda event: True
        self.may_ask: Callable[[], bool] = lambda: True
        """Return whether events may be made and asked for now; not while a CUDA graph is captured."""
        self.caches: list[Callable[[], Any]] = []
        """Functions that let go of arrays which are kept because they may be wanted again."""
        self._in_use: list[tuple[list[Any], tuple, tuple[int, Any]]] = []  # (events, key, memory), freed
        self._to_mark: list[tuple[Sequence[Any], tuple, tuple[int, Any]]] = []  # as these, with streams
        self._free: dict[tuple, list[tuple[int, Any]]] = defaultdict(list)  # by (place, bytes), as heaps
        self.lock = threading.RLock()  # the collector may free a block while one is handed out
        self.allocated = self.reserved = self.most_allocated = self.most_reserved = 0

    def allocate(self, nbytes: int, place: Any = 0) -> Block:
        """Return a block of at least `nbytes`; OutOfMemoryError if there is no room.

        place: the number of the stream that it is used on, or (pool, number) during a capture.
        """
        unit = _ROUND_SMALL if nbytes <= _SMALL else _ROUND_LARGE
        key = place, -(-nbytes // unit) * unit or unit
        with self.lock:
            if self._in_use or self._to_mark:
                self._collect_unused()
            free = self._free.get(key)
            address, owner = heappop(free) if free else self._new(key[1], nbytes)
            self.allocated = allocated = self.allocated + key[1]
            if allocated > self.most_allocated:
                self.most_allocated = allocated
        return Block(self, key, address, owner)

    def _new(self, size: int, asked: int) -> tuple[int, Any]:
        try:
            found = self._reserve(size)
        except MemoryError:
            self.empty_cache()  # blocks of other sizes may make room
            try:
                found = self._reserve(size)
            except MemoryError:
                free, total = self._room()
                raise OutOfMemoryError(
                    f"CUDA out of memory. Tried to allocate {_readable(asked)}; of the GPU's "
                    f"{_readable(total)}, {_readable(free)} are free and {_readable(self.allocated)} are "
                    "taken by tensors of this process. Use a smaller batch, or drop tensors (and losses kept "
                    "with their graph: keep loss.item())"
                ) from None
        self.reserved += size
        self.most_reserved = max(self.most_reserved, self.reserved)
        return found

    def take_back(self, key: tuple, address: int, owner: Any, used_on: Sequence[Any] = ()) -> None:
        """Keep freed memory for the next array of its size, once the streams that use it have done so."""
        with self.lock:
            self.allocated -= key[1]
            if used_on:
                self._to_mark.append((used_on, key, (address, owner)))
                self._mark()
            elif type(key[0]) is int:  # a stream's, as most are
                heappush(self._free[key], (address, owner))
            else:
                self._keep(key, (address, owner))

    def _keep(self, key: tuple, memory: tuple[int, Any]) -> None:
        if _is_abandoned(key):
            self.reserved -= key[1]
        else:
            heappush(self._free[key], memory)

    def _mark(self) -> None:
        if self.may_ask():
            while self._to_mark:
                used_on, key, memory = self._to_mark.pop()
                self._in_use.append(([self.mark(stream) for stream in used_on], key, memory))

    def _collect_unused(self) -> None:
        if not self.may_ask():
            return
        self._mark()
        waiting, self._in_use = self._in_use, []
        for events, key, memory in waiting:
            if all(map(self.happened, events)):
                self._keep(key, memory)
            else:
                self._in_use.append((events, key, memory))

    def empty_cache(self) -> None:
        """Give memory that no array uses back to the device, and what `caches` keep."""
        for let_go in self.caches:
            let_go()
        with self.lock:
            self._collect_unused()
            # The graphs of a pool write to its free blocks, at each replay.
            self._drop([key for key in list(self._free) if type(key[0]) is not tuple or _is_abandoned(key)])

    def abandon(self, pool: Pool) -> None:
        """Note that a graph of a pool is gone; with the last of them its memory goes back to the device."""
        with self.lock:
            pool.users -= 1
            self._drop([key for key in list(self._free) if _is_abandoned(key) and key[0][0] is pool])

    def _drop(self, keys: list[tuple]) -> None:
        for key in keys:
            self.reserved -= key[1] * len(self._free.pop(key, ()))

    def reset_peak(self) -> None:
        """Count the most memory in use anew."""
        self.most_allocated, self.most_reserved = self.allocated, self.reserved


def _is_abandoned(key: tuple) -> bool:
    """Return whether blocks of this key are of a pool that no graph has any more."""
    return isinstance(key[0], tuple) and not key[0][0].users


def _readable(nbytes: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if nbytes >= size:
            return f"{nbytes / size:.2f} {unit}"
    return f"{nbytes} bytes"
