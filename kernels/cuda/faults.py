"""Errors that only the GPU can find, such as an index out of range: it notes one, and nobody waits for that.

A kernel that meets what is wrong goes on with something harmless, and writes which error it is into a word of
the host's memory that the GPU reaches. The host reads the word, which costs nothing, whenever it has waited
for the GPU anyway, and whenever an operation that may fail is asked for again: the error is raised there, of
the kind and with the words that the CPU has for it at the operation itself. What was computed in between is
as wrong as the index was. `CUDA_LAUNCH_BLOCKING=1` raises it at the operation, which then waits.
"""

import os
import threading

import numpy as np

from kernels.cuda import driver
from kernels.cuda.array import DeviceArray, empty, from_host, take_over
from kernels.cuda.compile import FLOATS, INTEGERS, cuda, device, kernel
from kernels.cuda.launching import streams
from kernels.cuda.memory import contiguous
from kernels.cuda.reduce import bounds
from kernels.errors import LateIndexError, LateRuntimeError

AT_ONCE = os.environ.get("CUDA_LAUNCH_BLOCKING", "0") not in ("", "0")
"""Whether an operation that may fail waits for the GPU, and raises its own errors."""

_VALUE_BITS = 44
_LARGEST = (1 << (_VALUE_BITS - 1)) - 1
_MASK = (1 << _VALUE_BITS) - 1
_LATE: dict[type[Exception], type[Exception]] = {IndexError: LateIndexError, RuntimeError: LateRuntimeError}
_HOW_LATE = (
    " (the GPU found it in an operation that had returned before; with CUDA_LAUNCH_BLOCKING=1 that raises it)"
)


class _Faults:
    """The word, and what the numbers in it mean."""

    def __init__(self) -> None:
        # One word, written at once: which error, and those bits of the value that fit beside.
        self.word = driver.empty_pinned((1,), np.dtype(np.int64))
        self.word[0] = 0
        # In the GPU's own memory: not 0 once a thread has taken it on itself to write the word.
        self.claim = from_host(np.zeros(1, np.int64))
        self.on_gpu = take_over(self.word, self.word.ctypes.data, (1,), None, self.word.dtype)
        self.known: list[tuple[type[Exception], str]] = []
        self.numbers: dict[tuple[type[Exception], str], int] = {}
        self.lock = threading.Lock()

    def number_of(self, kind: type[Exception], message: str) -> int:
        """Return the number, from 1, of an error."""
        found = self.numbers.get((kind, message))
        if found is None:
            with self.lock:
                self.known.append((kind, message))
                found = self.numbers.setdefault((kind, message), len(self.known))
        return found


_kept: _Faults | None = None
_making = threading.Lock()


def _faults() -> _Faults:
    global _kept
    with _making:
        _kept = _kept or _Faults()
    return _kept


SITE = "int64, out int64[], out int64*"
"""The arguments of a kernel that are for `note`."""


@device
def note(number, claim, word, value):
    """Keep an error with the value that it names, unless there is one already: for kernels to call."""
    if cuda.atomic.cas(claim, 0, 0, number) == 0:
        kept = max(-_LARGEST, min(np.int64(value), _LARGEST))  # NumPy would keep it an int32
        word[0] = (number << _VALUE_BITS) | (kept & _MASK)


def site(kind: type[Exception], message: str) -> tuple[int, DeviceArray, DeviceArray]:
    """Return what a kernel is given for `note`: the number of an error, and where it is kept.

    kind: IndexError or RuntimeError. message: with {} where the value belongs. Raises what was found before.
    """
    look()
    faults = _kept or _faults()
    return faults.number_of(kind, message), faults.claim, faults.on_gpu


def launched() -> None:
    """Say that a kernel with a site was launched: raise its error now, if that is wanted."""
    if AT_ONCE and streams.capture is None:
        driver.synchronize_stream(streams.current, look=False)
        look(is_late=False)


def look(is_late: bool = True) -> None:
    """Raise the error that the GPU has noted, if there is one. It does not wait for what is still queued."""
    faults = _kept
    if faults is None or not faults.word[0] or streams.capture is not None:
        return
    driver.synchronize(look=False)  # what is queued may note the same error once more
    with faults.lock:
        found, faults.word[0] = int(faults.word[0]), 0
        if not found:  # another thread has raised it
            return
        driver.upload(faults.claim.address, faults.word)
    kind, message = faults.known[(found >> _VALUE_BITS) - 1]
    value = (found & _MASK) - ((found & (_LARGEST + 1)) << 1)
    if is_late:
        raise _LATE[kind](message.format(value) + _HOW_LATE)
    raise kind(message.format(value))


driver.when_waited = look


# --- what may be wrong in many operations ------------------------------------------------------------


@kernel(f"int64, int64, int64, {SITE}, K*, out K*", INTEGERS, {"note": note})
def _within(size, least, end, number, claim, word, positions, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        position = positions[i]
        if position < least or position >= end:
            note(number, claim, word, position)
            position = 0
        out[i] = position


def within(positions: DeviceArray, least: int, end: int, kind: type[Exception], message: str) -> DeviceArray:
    """Return integers, with 0 in the place of those that are not within [least, end): they raise, later.

    message: with {} where such a number belongs.
    """
    if not positions.size:
        return positions
    if end <= max(least, 0):  # not even 0 is within
        raise kind(message.format(bounds(positions)[1]))
    noted = site(kind, message)
    positions = contiguous(positions)
    out = empty(positions.shape, positions.dtype)
    _within.over(out.size, out.size, least, end, *noted, positions, out)
    launched()
    return out


@kernel(f"int64, T, T, {SITE}, T*", FLOATS, {"note": note})
def _check_between(size, low, high, number, claim, word, x):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        if not low <= x[i] <= high:  # nan is not, either
            note(number, claim, word, i)


def check_between(x: DeviceArray, low: float, high: float, kind: type[Exception], message: str) -> None:
    """Raise an error, later, unless all numbers are within [low, high]; nan is not."""
    if x.size:
        _check_between.over(x.size, x.size, low, high, *site(kind, message), contiguous(x))
        launched()
