"""What a run of the bench says: the machine, a table, and the same for programs."""

import datetime
import json
import math
import os
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

import numpy as np

from kernels import cpu
from tensor import config
from tensor.bench.measure import MISSING, STARTUP, Result, Run
from tensor.bench.works import OURS, PEERS
from tensor.files import atomic_write

HEADER = ("work", "ours", "peer", "", "ratio", "spread")
LEGEND = "ratio: the peer's median by ours, above 1 we need less; spread: the middle half of the blocks"
LEGENDS = {
    "conv": "forward: nothing is kept for a backward; dx, dw: the backward alone, after a forward",
    "pool": "forward: nothing is kept for a backward; forward and backward: output and gradient are returned",
    STARTUP: "startup: our kernels come cached from the disk, and JAX compiles its step in each process; the "
    "first run with an empty cache compiles our kernels as well, which takes many times as long",
}
"""What the rows of a suite mean, shown below a table that has some of them."""

BUSY = (
    "other programs compute, which slows threads that wait for each other most; measure again when they rest"
)


def describe_run(run: Run) -> list[str]:
    """Say on what machine and with what versions is measured."""
    peers = [f"{PEERS.get(name, name)} {version}" for name, version in run.versions.items() if name != OURS]
    return [
        config.describe_processor(),
        f"{run.threads} thread{'s' * (run.threads > 1)} for each engine, ours by {cpu.threading_layer}",
        config.describe_versions(),
        *([f"beside {', '.join(peers)}"] if peers else []),
        *([f"load {run.load:.1f} before it began: {BUSY}"] if run.load > 0.5 else []),
    ]


def as_dict(run: Run, results: Iterable[Result]) -> dict[str, Any]:
    """Return a run for JSON; durations in seconds, sizes in bytes."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_run(run),
        "threads": run.threads,
        "load": run.load,
        "peers": {name: version for name, version in run.versions.items() if name != OURS},
        "results": [result.as_dict() for result in results],
    }


def write_json(path: str | os.PathLike[str], run: Run, results: Iterable[Result]) -> None:
    """Write a run to a file, atomically; OSError where that cannot be."""
    with atomic_write(path, "w") as file:
        json.dump(as_dict(run, results), file)


def table(results: Sequence[Result]) -> list[str]:
    """Return the results as lines of text, what could not be compared below them."""
    rows = [HEADER, *(_cells(r) for r in results if r.ours and r.note != MISSING)]
    rows += [_cells(r) for r in _alone(results)]
    lines = align(rows, "<>><>>")
    notes = list(dict.fromkeys(f"{r.work}: {r.note}" for r in results if r.failed))
    missing = sorted({r.peer for r in results if r.note == MISSING})
    notes += [
        f"{PEERS.get(peer, peer)} is not installed, so nothing is compared with it: pip install {peer}"
        for peer in missing
    ]
    suites = dict.fromkeys(r.suite for r in results)
    legends = [LEGEND, *(LEGENDS[suite] for suite in suites if suite in LEGENDS)]
    return [*lines, "", *legends, *notes]


def align(rows: Sequence[tuple[str, ...]], sides: str) -> list[str]:
    """Return rows as lines of text, each column to its side: "<" or ">"."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True))
        for row in rows
    ]
    return [line.rstrip() for line in lines]


def _alone(results: Sequence[Result]) -> list[Result]:
    """Return one result for each work that has no peer here at all."""
    compared = {r.work for r in results if r.note != MISSING}
    return list({r.work: r for r in results if r.ours and r.work not in compared}.values())


def _cells(r: Result) -> tuple[str, ...]:
    theirs = amount(r.theirs, r.unit) if r.theirs else "-"
    ratio = "-" if math.isnan(r.ratio) else f"{r.ratio:.2f} x"
    apart = " / ".join(spread(figures) for figures in (r.ours, r.theirs) if len(figures) > 1)
    peer = PEERS.get(r.peer, r.peer) if r.theirs else ""
    return (r.work, amount(r.ours, r.unit), theirs, peer, ratio, apart)


def amount(figures: list[float], unit: str) -> str:
    """Return the median as people read it. unit: "s" or "B"."""
    value = median(figures)
    if unit == "B":
        return f"{value / 1e6:,.0f} MB"
    if value >= 1.0:
        return f"{value:.2f} s"
    if value >= 0.01:
        return f"{value * 1e3:.1f} ms"
    return f"{value * 1e6:,.0f} us" if value >= 1e-5 else f"{value * 1e6:.2f} us"


def spread(figures: list[float]) -> str:
    """Return how far the middle half of the blocks lies apart, as a part of the median."""
    low, high = np.quantile(figures, [0.25, 0.75])
    return f"{(high - low) / median(figures):.0%}"
