"""The state of a capture: what a thread asks of the GPU goes into a graph, and nothing of it is computed yet.

`kernels.cuda.graphs` begins and ends captures. This file is what those ask who launch, allocate and copy:
`streams.capture` is the `Capture` that the calling thread is in, or None.
"""

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from kernels.cuda.allocator import Block
from kernels.cuda.launching import Driver, number_of, streams, three

RELAXED = 2  # CU_STREAM_CAPTURE_MODE_RELAXED: what is not part of the capture may be done beside it
_LOADS_KERNELS = 12030  # the first version of the driver that loads kernels during a capture

under_way: list["Capture"] = []
"""The captures of all threads."""


class Capture:
    """What one thread captures.

    pool: whose memory it takes. origin: the number of the stream that it began on. aside: a stream that takes
    no part in it, for what must be done at once: copies of constants. driver: None in the simulator. watches:
    whether memory that is not the graph's own is to be remembered, to notice when it is freed.
    """

    def __init__(self, pool: Any, origin: int, aside: Any, driver: Driver | None, watches: bool = False):
        self.pool, self.origin, self.aside, self.driver = pool, origin, aside, driver
        self.streams = {origin}
        """The numbers of the streams whose work is captured: more join by waiting for an event of these."""
        self.unjoined: set[int] = set()
        """Those whose work the origin does not wait for yet."""
        self.kept: list[Any] = []
        """What must live as long as the graph does: constants, and tables."""
        self.launches: list[tuple[str, tuple, tuple]] = []  # (kernel, grid, block)
        self.recorded: list[Callable[[], Any]] = []
        """What a replay does, in the simulator."""
        self.draws: dict[Any, Any] = {}
        """What random generators draw from, by generator; see `random.Draws`."""
        self.inputs: dict[int, weakref.ref] | None = {} if watches else None
        """Memory of others that launches work on, by address."""

    def takes(self, stream: int) -> bool:
        """Return whether what is queued on a stream, by its number, goes into the graph."""
        return stream in self.streams

    def place(self, stream: int) -> Any:
        """Return where arrays of a stream get their memory: the allocator's name of a list of blocks."""
        return (self.pool, stream) if stream in self.streams else stream

    def note(self, name: str, blocks: int | tuple, block: int | tuple, arguments: tuple = ()) -> None:
        """Note a launch on the current stream, and the memory of others that it works on."""
        if streams.handle not in self.streams:
            return
        self.launches.append((name, three(blocks), three(block)))
        if streams.handle != self.origin:
            self.unjoined.add(streams.handle)
        if self.inputs is None:
            return
        for array in arguments:
            owner = getattr(array, "block", None)
            if isinstance(owner, Block) and owner.place != streams.place:
                self.inputs[array.address] = weakref.ref(owner)

    def join(self, event: Any, stream: Any) -> None:
        """Let a stream wait for an event: it takes part from now on, or is waited for."""
        number = number_of(stream)
        if getattr(event, "capture", None) is not self:
            refuse(
                "waits for what was queued before the capture, or beside it: the graph cannot",
                "wait before the capture begins, or let both streams take part: "
                "other.wait_stream(torch.cuda.current_stream()) within it",
            )
        self.streams.add(number)
        self.unjoined.discard(event.stream)
        if number != self.origin:
            self.unjoined.add(number)
        streams.current = streams.current  # whose memory may be the graph's from now on

    def check_loading(self, kernel: str) -> None:
        """Raise RuntimeError for a kernel that is not loaded yet, where the driver cannot do so now."""
        if self.driver is not None and self.driver.version < _LOADS_KERNELS:
            raise RuntimeError(
                f"{kernel}: a driver older than CUDA 12.3 loads no kernels while a graph is captured; run "
                "the step once before capturing it"
            )

    def constant(self, make: Callable[[], Any]) -> Any:
        """Return what `make` makes of arrays on the GPU, at once and not as a part of the graph; keep it."""
        with self.outside():
            made = make()
        self.kept.append(made)
        return made

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Compute at once, on the stream aside and in ordinary memory; wait until it is done."""
        before = streams.current
        streams.capture = None
        streams.current = self.aside
        try:
            with unhindered():
                yield
                self.aside.synchronize()
        finally:
            streams.capture = self
            streams.current = before


@contextmanager
def unhindered() -> Iterator[None]:
    """Let this thread ask the driver for memory and the like while any thread captures."""
    driver = next((capture.driver for capture in under_way), None)
    if driver is None:
        yield
        return
    before = driver.exchange_capture_mode(RELAXED)
    try:
        yield
    finally:
        driver.exchange_capture_mode(before)


@contextmanager
def at_once() -> Iterator[None]:
    """Compute what follows now, also during a capture: what is there before the first replay."""
    if streams.capture is None:
        yield
    else:
        with streams.capture.outside():
            yield


_SPOKEN = {
    "__repr__": "print", "__str__": "print", "__format__": "print", "__bool__": "bool (if, while, and)",
    "__float__": "float", "__int__": "int", "__index__": "int", "__array__": "numpy", "__iter__": "iter",
    "getitem": "indexing by a mask", "__setitem__": "writing by a mask", "__contains__": "in",
}  # fmt: skip
_OWN = ("kernels", "tensor")
_WRAPPERS = ("with_out", "watched")
_SIZED = "its result's size would depend on them: use torch.where, or a product with the mask"
_REPAIRS = {
    **dict.fromkeys(("nonzero", "masked_select", "unique", "argwhere", "indexing by a mask"), _SIZED),
    **dict.fromkeys(("multinomial", "poisson"), "it checks them on the CPU: draw before the capture"),
    "print": "print after a replay",
}  # fmt: skip


def operation() -> str:
    """Return what the user called that has led here: the outermost function of the engine's own."""
    frame: Any = sys._getframe(1)
    name = ""
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OWN:
        if not frame.f_code.co_name.startswith("<") and frame.f_code.co_name not in _WRAPPERS:
            name = frame.f_code.co_name
            if name == "__init__":
                name = type(frame.f_locals.get("self")).__name__
        frame = frame.f_back
    return _SPOKEN.get(name, name)


def refuse(what: str, repair: str) -> NoReturn:
    """Raise RuntimeError for what cannot be captured; it names the operation that the user called."""
    name = operation()
    repair = _REPAIRS.get(name, repair)
    raise RuntimeError(f"{name}: cannot be captured in a CUDA graph: it {what}; {repair}")


def check(what: str, repair: str) -> None:
    """Raise RuntimeError, as `refuse` does, if the calling thread captures."""
    if streams.capture is not None:
        refuse(what, repair)
