"""What a row of the GPU's table is made of, and how an answer is compared with what it should be."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..case import OURS, PEERS, Case, distance
from .engines import Engine

COPY, SECONDS = "copy", "seconds"
SHOWN = {**PEERS, "cupy": "CuPy", "torch:eager": "PyTorch eager"}


def shown(engine: str) -> str:
    """Return the name of an engine as people write it."""
    return SHOWN.get(engine, engine)


class Goal(NamedTuple):
    """What a row is to reach.

    against: a peer, whose time divided by ours is at least `bound`; COPY, whose bytes a second times `bound`
    ours are at least; or SECONDS, of which a call takes no more than `bound`.
    """

    text: str
    against: str
    bound: float


def repeated(array: Any, times: int) -> tuple[Any, int]:
    """Return what stands in a reference for an array so many times along its first dim.

    That is quickly checked. A tuple, since it goes to processes that know no class of ours.
    """
    return array, times


class GpuWork(NamedTuple):
    """A row: `makers[engine](engine)` returns the case of that engine; the first engine is ours.

    moved: bytes that must be read and written at least; operations: of floats, in a call. timed: "device",
    by the GPU's events; "wall", by the host's clock until the GPU has ended; "host", by the host's clock
    until the call returns.
    """

    suite: str
    name: str
    makers: dict[str, Callable[[Engine], Case]]
    reference: Callable[[], Sequence[Any]]
    tolerance: float = 1e-5
    """How far an answer may lie from float64's, as a part of the largest number in it."""
    moved: float = 0.0
    operations: float = 0.0
    goals: tuple[Goal, ...] = ()
    timed: str = "device"
    tf32: bool = False
    calls_in_one: int = 1
    """How often a call does what the row names."""
    most_calls: int = 1 << 20
    """Without a wait between them: a GPU's queue is bounded, and a full one makes the host wait."""


def on_both(make: Callable[[Engine], Case], **others: Callable[[Engine], Case]) -> dict:
    """Return the makers of work that this engine and PyTorch do by the same lines."""
    return {OURS: make, "torch": make, **others}


def apart(found: Sequence[Any], reference: Sequence[Any]) -> float:
    """Return how far an answer lies from the reference, as a part of the largest number; inf for shapes."""
    if len(found) != len(reference):
        return math.inf
    most = 0.0
    for answer, right in zip(found, reference, strict=True):
        pieces = [answer]
        if isinstance(right, tuple):  # of `repeated`
            right, times = right
            if answer.shape != (times * right.shape[0], *right.shape[1:]):
                return math.inf
            pieces = np.split(answer, times)
        most = max([most, *(distance([piece], [right]) for piece in pieces)])
    return most
