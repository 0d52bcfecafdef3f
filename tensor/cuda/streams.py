"""Streams: work on the GPU that is done in the order it was asked for, beside that of other streams."""

import time
from typing import Any

from tensor.cuda.devices import driver
from tensor.devices import CUDA


class Stream:
    """A queue of work on the GPU; used by `with stream(s): ...`.

    A tensor belongs to the stream it was made on: another may use it after `wait_stream` or `synchronize`.
    """

    def __init__(self, device: Any = None, priority: int = 0):
        self._driver = driver("Stream")
        self._queue = self._driver.new_stream()

    @classmethod
    def _of(cls, queue: Any) -> "Stream":
        made = object.__new__(cls)
        made._driver, made._queue = driver("current_stream"), queue
        return made

    device = CUDA

    @property
    def cuda_stream(self) -> int:
        """The driver's handle of it; 0 for the default stream."""
        return self._driver.number_of(self._queue)

    def synchronize(self) -> None:
        """Wait until its work is done."""
        self._driver.synchronize_stream(self._queue)

    def query(self) -> bool:
        """Return whether its work is done; this waits for it."""
        self.synchronize()
        return True

    def record_event(self, event: "Event | None" = None) -> "Event":
        """Return an event that happens when the work queued so far is done."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: "Event") -> None:
        """Let work that is queued from now on begin after the event."""
        event.wait(self)

    def wait_stream(self, stream: "Stream") -> None:
        """Let work that is queued from now on begin after what is queued on another stream."""
        self.wait_event(stream.record_event())

    def __eq__(self, other) -> bool:
        return isinstance(other, Stream) and self.cuda_stream == other.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)

    def __repr__(self) -> str:
        return f"<torch.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class Event:
    """A mark in a stream, which happens when the work before it is done; enable_timing: to measure by two."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False):
        self._driver, self._timing = driver("Event"), enable_timing
        self._event: Any = None
        self._at = 0.0

    def record(self, stream: "Stream | None" = None) -> None:
        """Mark the end of the work that is queued on a stream, the current one by default."""
        queue = (stream or current_stream())._queue
        self._at = time.perf_counter()
        self._event = self._driver.record_event(queue)

    def wait(self, stream: "Stream | None" = None) -> None:
        """Let the work that is queued on a stream from now on begin after this."""
        if self._event is not None:
            self._driver.wait_event(self._event, (stream or current_stream())._queue)

    def synchronize(self) -> None:
        """Wait until it has happened."""
        if self._event is not None:
            self._driver.synchronize_event(self._event)

    def query(self) -> bool:
        """Return whether it has happened."""
        return self._event is None or self._driver.has_happened(self._event)

    def elapsed_time(self, end_event: "Event") -> float:
        """Return the milliseconds from this event to another; both were made with enable_timing=True."""
        if not (self._timing and end_event._timing):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self._event is None or end_event._event is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        measured = self._driver.milliseconds_between(self._event, end_event._event)
        return 1000 * (end_event._at - self._at) if measured is None else measured


class ExternalStream(Stream):
    """A stream that another library made, by the driver's number of it; that library keeps it alive."""

    def __init__(self, stream_ptr: int, device: Any = None):
        self._driver = driver("ExternalStream")
        self._queue = self._driver.foreign_stream(stream_ptr)


def get_stream_from_external(data_ptr: int, device: Any = None) -> Stream:
    """Return the stream of a number that another library gave it."""
    return ExternalStream(data_ptr, device)


class StreamContext:
    """A `with` block whose work is queued on a stream; None changes nothing."""

    def __init__(self, stream: Stream | None):
        self._stream = stream

    def __enter__(self) -> None:
        if self._stream is not None:
            streams = self._stream._driver.streams
            self._before, streams.current = streams.current, self._stream._queue

    def __exit__(self, *exc) -> None:
        if self._stream is not None:
            self._stream._driver.streams.current = self._before


def stream(stream: Stream | None) -> StreamContext:
    """Return a `with` block whose work is queued on a stream; None changes nothing."""
    return StreamContext(stream)


def current_stream(device: Any = None) -> Stream:
    """Return the stream that this Python thread's work is queued on."""
    return Stream._of(driver("current_stream").streams.current)


def default_stream(device: Any = None) -> Stream:
    """Return the stream that work is queued on unless another is chosen."""
    driver("default_stream")
    return Stream._of(None)


def set_stream(stream: Stream | None) -> None:
    """Queue this Python thread's work on a stream from now on; None changes nothing."""
    if stream is not None:
        driver("set_stream").streams.current = stream._queue
