"""The process of one engine: `python worker.py ENGINE WORKS [TABLE]`, which answers `measure.Worker`.

It is started by its path, not as a part of the package, since a peer's process must not import this engine:
Numba and PyTorch would share one OpenMP library, which Numba sets up in its own way (kernels/README.md).
Requests and answers are pickled on standard input and output; what an engine prints goes to standard error.
"""

import gc
import importlib
import importlib.util
import os
import pickle
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SLOW = 0.05
"""Seconds of a call from which on it needs no warming up: waking threads takes thousands of times less."""


def serve(engine: str, source: str, table: str = "") -> None:
    """Answer requests until standard input ends: (True, answer), or (False, what is wrong, where)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.path[0] = str(ROOT)  # was this file's folder, whose modules must not hide others
    works = _load(source, table)
    bench = getattr(works, "Bench", Bench)(engine, works)
    while True:
        try:
            what, *arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: tuple[Any, ...]
        try:
            answer = (True, getattr(bench, what)(*arguments))
        except Exception as error:
            answer = (False, f"{type(error).__name__}: {error}", traceback.format_exc())
        pickle.dump(answer, answers)
        answers.flush()


def _load(source: str, table: str) -> Any:
    """Import the works under a name that does not import this engine; table: a package of theirs, "gpu"."""
    specification = importlib.util.spec_from_file_location("liftgrad_bench_works", source)
    assert specification is not None
    assert specification.loader is not None
    works = importlib.util.module_from_spec(specification)
    sys.modules["liftgrad_bench_works"] = works
    specification.loader.exec_module(works)
    return importlib.import_module(f"liftgrad_bench_works.{table}") if table else works


class Bench:
    """What the process can be asked for, of the CPU; a table of works may bring another."""

    def __init__(self, engine: str, works: Any) -> None:
        self._works, self._engine = works, engine
        self._case: Any = None

    def version(self, threads: int) -> str:
        """Load the engine, give it so many threads, and return its version."""
        if self._engine == self._works.OURS:
            return ""
        module = importlib.import_module(self._engine)
        if self._engine == "torch":
            module.set_num_threads(threads)
        return str(getattr(module, "__version__", "") or _installed_version(self._engine))

    def open(self, name: str) -> Any:
        """Make the work of that name ready and warm; return its answer and about the seconds of a call."""
        self._case = None
        gc.collect()
        (work,) = [work for work in self._works.WORKS if work.name == name]
        self._case = work.makers[self._engine](self._engine)
        answer = list(self._case.answer())
        seconds = self._time(1)
        if seconds < SLOW:
            self._warm_up()
            seconds = min(self._time(1) for _ in range(3))
        return answer, seconds

    def run(self, calls: int, pause: float) -> float:
        """Return the seconds of a call, in the mean of so many, after a pause and some that do not count."""
        gc.collect()
        time.sleep(pause)
        if calls > 1:
            self._warm_up()
        return self._time(calls)

    def _warm_up(self) -> None:
        """Call twice at least, and for some milliseconds: threads awake, caches full."""
        start, calls = time.perf_counter(), 0
        while calls < 2 or time.perf_counter() - start < 0.004:
            self._case.call()
            calls += 1

    def _time(self, calls: int) -> float:
        call = self._case.call
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - start) / calls

    def peak(self) -> int:
        """Return the bytes that this process has held in memory at most."""
        try:
            # not ru_maxrss: Linux hands the parent's down to a process that it starts
            with open("/proc/self/status", encoding="ascii") as file:
                return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        except OSError:
            import resource

            unit = 1 if sys.platform == "darwin" else 1024
            return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _installed_version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


if __name__ == "__main__":
    serve(*sys.argv[1:])
