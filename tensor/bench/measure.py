"""Measure this engine beside its peers, each in a process of its own, in turns.

Machines drift, so only ratios of one run count: blocks of calls alternate between the engines, and a busy
moment slows all of them. An engine waits asleep while another one works. Each block begins with a pause, in
which idle threads stop spinning, and with calls that are not counted; it then lasts long enough to be timed
well. A block's figure is the mean of its calls; what is shown is the median of the blocks, and how far the
middle half of them lies apart.
"""

import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np

from kernels import cpu
from tensor.bench import works
from tensor.bench.works import OURS, Work, distance

WORKER = Path(__file__).with_name("worker.py")
MEMORY, STARTUP = "peak memory of CNN training", "startup"
SUITES = ("scalar", "matmul", "conv", "pool", "elementwise", "mlp", "cnn", "tinycnn", "gpt", STARTUP)


@dataclass(frozen=True)
class Timing:
    """How long to measure; seconds."""

    blocks: int = 15
    fewest: int = 5  # blocks, of work that takes long
    block: float = 0.025  # what a block lasts at least
    limit: float = 0.6  # of all blocks of one engine, where `fewest` allows it
    pause: float = 0.02  # before each block, while the other processes stand still
    starts: int = 5  # of each program of the start-up suite
    memory_steps: int = 50


TIMING = Timing()
MISSING = "not installed"
"""The note of a result that has no peer; any other note says what went wrong."""


@dataclass
class Result:
    """One row: what our engine needed, and one peer, block by block; `theirs` is empty without the peer."""

    suite: str
    work: str
    peer: str  # as it is imported
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    unit: str = "s"  # or "B", for bytes
    same: bool | None = None  # whether both computed the same thing; None where nothing was compared
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times our median fits into the peer's: above 1 we need less.

        nan without a peer, and where the two did not do the same.
        """
        compared = self.theirs and self.ours and self.same is not False
        return median(self.theirs) / median(self.ours) if compared else math.nan

    @property
    def failed(self) -> bool:
        """Whether the engines disagreed, or one that is there could not do the work."""
        return self.note not in ("", MISSING)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON: medians, the limits of the middle half, and every block."""
        found: dict[str, Any] = {
            "suite": self.suite, "work": self.work, "peer": self.peer, "unit": self.unit, "same": self.same,
            "note": self.note, "ratio": None if math.isnan(self.ratio) else self.ratio,
        }  # fmt: skip
        for name, figures in (("ours", self.ours), ("theirs", self.theirs)):
            found[name] = None
            if figures:
                low, high = np.quantile(figures, [0.25, 0.75]).tolist()
                found[name] = {"median": median(figures), "low": low, "high": high, "blocks": figures}
        return found


class WorkFailed(RuntimeError):
    """An engine could not do its work; the text says which engine and why."""


class Worker:
    """An engine in a process of its own, on so many threads; see `worker.py`."""

    def __init__(
        self,
        engine: str,
        threads: int,
        source: str = works.__file__,
        table: str = "",
        env: dict[str, str] | None = None,
    ) -> None:
        self.engine = engine
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), engine, source, table],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env or environment(threads),
            start_new_session=True,  # Ctrl-C is for the parent, who ends it
        )  # fmt: skip
        try:
            self.version: str = self.ask("version", threads)
        except BaseException:
            self.close()
            raise

    def open(self, name: str) -> tuple[list[Any], float]:
        """Make the work of that name ready; return its answer and about the seconds of a call."""
        return self.ask("open", name)

    def run(self, calls: int, pause: float) -> float:
        """Run a block; return the seconds of a call."""
        return self.ask("run", calls, pause)

    def stand_still(self, still: bool) -> None:
        """Stop the process, or let it go on, where the system can.

        A library's idle threads turn for a while, waiting for work (OpenBLAS's for 27 ms), and would take the
        cores from the next engine.
        """
        if hasattr(signal, "SIGSTOP"):
            self._process.send_signal(signal.SIGSTOP if still else signal.SIGCONT)

    def peak(self) -> int:
        """Return the most bytes of memory that the process has held."""
        return self.ask("peak")

    def has_ended(self) -> bool:
        """Return whether the process is there no longer."""
        return self._process.poll() is not None

    def ask(self, *request: Any) -> Any:
        """Return the process's answer; WorkFailed with what it raised, or where it has ended."""
        try:
            pickle.dump(request, self._process.stdin)  # type: ignore[arg-type]
            self._process.stdin.flush()  # type: ignore[union-attr]
            good, answer, *where = pickle.load(self._process.stdout)  # type: ignore[arg-type]
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            raise WorkFailed(
                f"{_shown(self.engine)}: its process has ended, with {self._process.wait()}"
            ) from None
        if not good:
            raise WorkFailed(f"{_shown(self.engine)}: {answer}") from RuntimeError(where[0])
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _shown(engine: str) -> str:
    """Return the name of an engine as people write it."""
    return works.PEERS.get(engine, engine)


def environment(threads: int) -> dict[str, str]:
    """Return what a process must find so that its engine computes with so many threads, whichever it is."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    one = "--xla_cpu_multi_thread_eigen=false " if threads == 1 else ""
    return {
        **os.environ,
        **{f"{name}_NUM_THREADS": str(threads) for name in names},
        "NPROC": str(threads),  # the size of JAX's pools
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": one + os.environ.get("XLA_FLAGS", ""),
    }


def is_installed(engine: str) -> bool:
    """Return whether the peer of that name can be imported."""
    return find_spec(engine) is not None


class Run:
    """One run of the bench: its engines' processes, started when they are first needed.

    threads: of each engine; by default as many as ours has now. table: a module like `works`.
    """

    def __init__(
        self, threads: int | None = None, timing: Timing | None = None, table: ModuleType = works
    ) -> None:
        self.threads = threads or cpu.get_num_threads()
        self.timing = timing or TIMING
        self.table = table
        self.load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        self.versions: dict[str, str] = {}
        self._stack = ExitStack()
        self._workers: dict[str, Worker] = {}
        self._broken: dict[str, str] = {}  # engines that cannot be started, and why

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def measure(self, suites: Sequence[str], on_work: Callable[[str], Any] = print) -> Iterator[Result]:
        """Yield the results of some of `SUITES`; `on_work` is told the name of what comes next."""
        for suite in suites:
            for work in self.table.WORKS:
                if work.suite == suite:
                    on_work(work.name)
                    yield from self.measure_work(work)
            if suite == "cnn":
                on_work(MEMORY)
                yield from self.measure_memory()
            if suite == STARTUP:
                on_work("import, and the first step")
                yield from self.measure_start()

    def measure_work(self, work: Work) -> Iterator[Result]:
        """Measure one row of the table beside each of its peers."""
        results = {name: Result(work.suite, work.name, name) for name in work.makers if name != OURS}
        ready: dict[str, tuple[Worker, list[Any], float]] = {}
        for name in work.makers:
            if name != OURS and not is_installed(name):
                results[name].note = MISSING
                continue
            try:
                worker = self._worker(name)
                ready[name] = (worker, *worker.open(work.name))
            except WorkFailed as error:
                for result in results.values() if name == OURS else [results[name]]:
                    result.note = str(error)
                if name == OURS:
                    yield from results.values()
                    return
        try:
            figures = self._alternate([(worker, seconds) for worker, _, seconds in ready.values()])
        except WorkFailed as error:
            for result in results.values():
                result.note = str(error)
            yield from results.values()
            return
        times = dict(zip(ready, figures, strict=True))
        for name, result in results.items():
            result.ours = times[OURS]
            if name in ready:
                result.theirs = times[name]
                apart = distance(ready[OURS][1], ready[name][1])
                result.same = apart <= work.tolerance
                if not result.same:
                    result.note = _disagreement(name, apart, work.tolerance)
            yield result

    def _worker(self, engine: str) -> Worker:
        """Return the process of that engine; start it where it has not been, or has ended."""
        if engine not in self._workers or self._workers[engine].has_ended():
            self._workers[engine] = self._stack.enter_context(self._start_worker(engine))
        return self._workers[engine]

    def _start_worker(self, engine: str) -> Worker:
        """Start a process of that engine; WorkFailed, without another try, where that has failed before."""
        if engine in self._broken:
            raise WorkFailed(self._broken[engine])
        try:
            worker = self._new_worker(engine)
        except WorkFailed as error:
            self._broken[engine] = str(error)
            raise
        self.versions[engine] = worker.version
        return worker

    def _new_worker(self, engine: str) -> Worker:
        return Worker(engine, self.threads, str(self.table.__file__))

    def _alternate(self, engines: Sequence[tuple[Worker, float]]) -> list[list[float]]:
        """Run blocks of the engines in turns; return for each the seconds of a call, block by block."""
        t = self.timing
        calls = [max(1, math.ceil(t.block / max(seconds, 1e-9))) for _, seconds in engines]
        longest = max(seconds * n for (_, seconds), n in zip(engines, calls, strict=True))
        figures: list[list[float]] = [[] for _ in engines]
        turns = list(range(len(engines)))
        for block in range(max(min(t.fewest, t.blocks), min(t.blocks, int(t.limit / longest)))):
            for i in turns if block % 2 == 0 else reversed(turns):
                for j, (worker, _) in enumerate(engines):
                    worker.stand_still(j != i)
                figures[i].append(engines[i][0].run(calls[i], t.pause))
        for worker, _ in engines:
            worker.stand_still(False)
        return figures

    def measure_memory(self) -> Iterator[Result]:
        """Measure what memory a process needs at most that trains the CNN, in a fresh one for each engine."""
        (work,) = [work for work in self.table.WORKS if work.suite == "cnn"]
        peaks: dict[str, float] = {}
        notes: dict[str, str] = {}
        for name in work.makers:
            if name != OURS and not is_installed(name):
                notes[name] = MISSING
                continue
            try:
                with self._start_worker(name) as worker:
                    worker.open(work.name)
                    worker.run(self.timing.memory_steps, 0.0)
                    peaks[name] = float(worker.peak())
            except WorkFailed as error:
                notes[name] = str(error)
        what = f"{MEMORY}, {self.timing.memory_steps} steps"
        for name in work.makers:
            if name != OURS:
                ours, theirs = ([peaks[n]] if n in peaks else [] for n in (OURS, name))
                note = notes.get(OURS) or notes.get(name, "")
                yield Result("cnn", what, name, ours, theirs, "B", note=note)

    def measure_start(self) -> Iterator[Result]:
        """Measure a process from its start to the engine's import, and to the first step of Adam."""
        losses: dict[str, float] = {}
        notes: dict[str, str] = {}
        for name in self.table.STARTS:
            try:
                if name == OURS or is_installed(name):
                    losses[name] = self._start(name)[2]  # its time is not counted: it fills the caches
                else:
                    notes[name] = MISSING
            except WorkFailed as error:
                notes[name] = str(error)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in self.table.STARTS}
        for i in range(self.timing.starts):
            for name in list(losses if i % 2 == 0 else reversed(losses)):
                if name in notes:
                    continue
                try:
                    times[name].append(self._start(name)[:2])
                except WorkFailed as error:
                    notes[name] = str(error)
                    times[name].clear()
        for which, what in enumerate(("import", "first step of 784-128-10, from process start")):
            for name in self.table.STARTS:
                if name == OURS:
                    continue
                ours, theirs = ([t[which] for t in times[n]] for n in (OURS, name))
                note = notes.get(OURS) or notes.get(name, "")
                result = Result(STARTUP, what, name, ours, theirs, note=note)
                if not result.note:
                    apart = distance([np.array([losses[OURS]])], [np.array([losses[name]])])
                    result.same = apart <= 1e-5
                    result.note = "" if result.same else _disagreement(name, apart, 1e-5)
                yield result

    def _start(self, engine: str) -> tuple[float, float, float]:
        """Run the start-up program; return seconds to the import, seconds to the first step, and the loss."""
        root = str(WORKER.parents[2])
        env = environment(self.threads)
        if engine == OURS:
            env["PYTHONPATH"] = os.pathsep.join(filter(None, (root, env.get("PYTHONPATH", ""))))
        start = time.perf_counter()
        seconds = []
        failed = WorkFailed(f"{_shown(engine)}: the start-up program failed; its message is above")
        with subprocess.Popen(
            [sys.executable, "-c", self.table.STARTS[engine]], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, env=env, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                for word in ("imported", "stepped"):
                    if process.stdout.readline() != word + "\n":  # type: ignore[union-attr]
                        raise failed
                    seconds.append(time.perf_counter() - start)
                loss = process.stdout.readline()  # type: ignore[union-attr]
                if not loss.endswith("\n"):
                    raise failed
                return seconds[0], seconds[1], float(loss)
            except WorkFailed:
                raise
            except BaseException:  # Ctrl-C, which the program does not hear of
                process.kill()
                raise


def _disagreement(peer: str, apart: float, allowed: float) -> str:
    return f"{_shown(peer)} disagrees with this engine: {apart:.1e} apart, {allowed:.0e} allowed"
