"""What the process of one engine answers, of a GPU: see `worker.py`."""

import gc
import time
from collections.abc import Sequence
from typing import Any

from ..case import Case
from .case import GpuWork, apart
from .engines import ENGINES
from .table import WORKS

WARM = 0.01
"""Seconds for which a work is called before it is timed, at least: a GPU that rests lowers its clocks."""


class Bench:
    """An engine, and the work it is at. engine: its name; "torch:eager" is another process of torch."""

    def __init__(self, engine: str, table: Any = None):
        self._key = engine
        self._engine = ENGINES[engine.partition(":")[0]](engine.partition(":")[0])
        self._work: GpuWork
        self._case: Case | None = None

    def version(self, threads: int) -> str:
        """Return the engine's version."""
        return self._engine.version() if self._engine.missing() is None else ""

    def missing(self) -> str | None:
        """Return what the engine cannot use a GPU for the lack of; None if nothing lacks."""
        return self._engine.missing()

    def describe(self) -> dict[str, str]:
        """Return the GPU's name, its compute capability and its memory."""
        gpu = self._engine.module.cuda
        capability = ".".join(map(str, gpu.get_device_capability()))
        return {
            "GPU": gpu.get_device_name(),
            "capability": f"compute capability {capability}",
            "memory": f"{gpu.mem_get_info()[1] / (1 << 30):.0f} GiB",
        }

    def open(self, name: str, reference: Sequence[Any]) -> tuple[float, float | None]:
        """Make the work of that name ready; return how far its answer lies from the reference, and seconds.

        The seconds are about those of a call; None where nothing can be timed.
        """
        self.forget()
        (self._work,) = [work for work in WORKS if work.name == name]
        self._engine.use_tf32(self._work.tf32)
        self._case = self._work.makers[self._key](self._engine)
        found = apart(list(self._case.answer()), reference)
        seconds = self._time(1)
        if seconds is not None:
            seconds = min(self._time(3) or seconds for _ in range(2)) if seconds < 0.5 else seconds
        self._engine.reset_peak()
        return found, seconds

    def run(self, calls: int, pause: float) -> float:
        """Return the seconds of a call, in the mean of so many, after some that do not count."""
        gc.collect()
        time.sleep(pause)
        start = time.perf_counter()
        while calls > 1 and time.perf_counter() - start < WARM:
            self._time(1)
        return self._time(calls) or 0.0

    def forget(self) -> None:
        """Let go of the work, and give the GPU its memory back."""
        self._case = None
        gc.collect()
        self._engine.let_go()

    def peak(self) -> int:
        """Return the most bytes of the GPU's memory that arrays have taken since the work was opened."""
        return self._engine.most_bytes()

    def _time(self, calls: int) -> float | None:
        assert self._case is not None
        calls = min(calls, self._work.most_calls)
        return self._engine.seconds(self._case.call, calls, self._work.timed)
