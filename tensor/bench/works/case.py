"""What a row of the table is made of, and what makers of rows share."""

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

OURS = "ours"
PEERS = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "micrograd": "micrograd"}
"""The engines that may be installed, by the name they are imported under."""


class Case(NamedTuple):
    """Work that is ready: `call` is measured; `answer` returns arrays that all engines must agree on."""

    call: Callable[[], Any]
    answer: Callable[[], Sequence[Any]]


class Work(NamedTuple):
    """A row: `makers[engine](engine)` returns the case of that engine; the first engine is ours."""

    suite: str
    name: str
    makers: dict[str, Callable[[str], Case]]
    tolerance: float = 1e-5
    """How far answers may differ, as a part of the largest number in them."""


def eager(engine: str) -> Any:
    return importlib.import_module("tensor" if engine == OURS else engine)


def both(make: Callable[[Any], Case], jax: Callable[[str], Case] | None = None) -> dict:
    """Return the makers of work that this engine and PyTorch do by the same lines."""
    makers = {OURS: lambda engine: make(eager(engine)), "torch": lambda engine: make(eager(engine))}
    return makers if jax is None else {**makers, "jax": jax}


def draw(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def distance(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """Return how far two answers lie apart at most, as a part of the largest number; inf for other shapes."""
    apart = 0.0
    if len(ours) != len(theirs):
        return math.inf
    for a, b in zip(ours, theirs, strict=True):
        if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
            return math.inf
        largest = float(np.abs(b).max(initial=0.0)) or 1.0
        apart = max(apart, float(np.abs(a.astype(np.float64) - b).max(initial=0.0)) / largest)
    return apart
