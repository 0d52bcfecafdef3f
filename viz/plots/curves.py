"""Loss and accuracy by epoch: of one training, also while it goes on, or of several beside each other."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from viz.plots.style import (
    DASHES,
    GAP,
    SERIES,
    Colours,
    clean,
    label_ends,
    new_figure,
    styled,
    to_bytes,
    write_headline,
)

Epochs = Sequence[Mapping[str, float | None]]
"""For each epoch, in order: its number from 1, as "epoch", and those of `FIGURES` that are known of it."""

FIGURES = ("loss", "accuracy", "test_loss", "test_accuracy")
Columns = dict[str, list[float]]

LOG_FROM = 20.0
"""A loss that falls to less than a twentieth is drawn on a logarithmic scale."""

DOTTED = (0, (2, 2))
MARKED = 60
"""Curves of so many points together show each."""


@styled
def draw_curves(colours: Colours, runs: Sequence[tuple[str, Epochs]], title: str = "") -> Any:
    """Draw the runs' loss above and their accuracy below; nan, inf and None leave a gap, with a cross.

    runs: names and figures; one run is drawn with its training data beside its test data, of several each
    has a colour.
    """
    figure = new_figure(6.4, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"hspace": 0.16})
    columns = [(name, _columns(epochs)) for name, epochs in runs]
    series = _one(colours, columns[0][1]) if len(runs) == 1 else _several(colours, columns)
    numbers = [number for _, found in columns for number in found["epoch"]]
    for axes, kind in ((above, "loss"), (below, "accuracy")):
        shown = [entry for entry in series if entry["kind"] == kind]
        marked = sum(len(entry["x"]) for entry in shown if entry["label"]) <= MARKED
        for entry in shown:
            _draw_line(axes, entry, marked)
        _set_limits(axes, kind, shown)
        axes.set_ylabel(kind)
    _set_epochs(below, min(numbers), max(numbers))
    for axes, kind in ((above, "loss"), (below, "accuracy")):
        _mark_gaps(axes, [entry for entry in series if entry["kind"] == kind])
        label_ends(axes, [end for entry in series if entry["kind"] == kind for end in _end(entry)])
    lines = [] if len(runs) == 1 else [_explain(series)]
    if any(not math.isfinite(y) for entry in series for y in entry["y"]):
        lines.append("×: not a finite number")
    title = title or (clean(runs[0][0]) if len(runs) == 1 else f"{len(runs)} training runs")
    write_headline(figure, colours, title, *lines)
    return figure


def _columns(epochs: Epochs) -> Columns:
    """Return lists of one length; nan stands for what is no number."""
    found = {"epoch": [float(entry["epoch"] or 0) for entry in epochs]}
    for key in FIGURES:
        if any(key in entry for entry in epochs):
            values = [entry.get(key) for entry in epochs]
            found[key] = [v if v is not None and math.isfinite(v) else math.nan for v in values]
    return found


def _one(colours: Colours, columns: Columns) -> list[dict[str, Any]]:
    """Return the curves of a single run."""
    look = {
        "loss": ("training", colours.series[0]), "test_loss": ("test", colours.series[1]),
        "accuracy": ("training", colours.series[0]), "test_accuracy": ("test", colours.series[1]),
    }  # fmt: skip
    return [
        {
            "kind": key.removeprefix("test_"), "x": columns["epoch"], "y": columns[key], "colour": colour,
            "label": label, "dashes": "-", "width": 1.8,
        }
        for key, (label, colour) in look.items() if key in columns
    ]  # fmt: skip


def _several(colours: Colours, runs: Sequence[tuple[str, Columns]]) -> list[dict[str, Any]]:
    """Return the curves of several runs: solid for what a run is measured by, faint for its training data."""
    found = []
    for number, (name, columns) in enumerate(runs):
        look = {"colour": colours.series[number % SERIES], "x": columns["epoch"]}
        turn = number // SERIES  # beyond the colours, dashes tell runs apart
        for kind in ("loss", "accuracy"):
            tested = f"test_{kind}" in columns
            if tested and len(runs) <= SERIES:
                found.append({
                    **look, "kind": kind, "y": columns[kind], "label": "", "width": 0.9, "dashes": DOTTED,
                })  # fmt: skip
            key = f"test_{kind}" if tested else kind
            if key in columns:
                found.append({
                    **look, "kind": kind, "y": columns[key], "label": clean(name, 32), "width": 1.8,
                    "dashes": DASHES[turn % len(DASHES)], "tested": tested,
                })  # fmt: skip
    return found


def _explain(series: Sequence[dict[str, Any]]) -> str:
    named = [entry for entry in series if entry["label"]]
    faint = any(not entry["label"] for entry in series)
    if all(entry["tested"] for entry in named):
        return "on test data; dotted: on training data" if faint else "on test data"
    if any(entry["tested"] for entry in named):
        return "on test data; dotted, and where there are none: on training data"
    return "on training data"


def _draw_line(axes: Any, entry: dict[str, Any], marked: bool) -> None:
    x, y = entry["x"], entry["y"]
    axes.plot(x, y, color=entry["colour"], linewidth=entry["width"], linestyle=entry["dashes"])
    alone = [
        (a, b)
        for i, (a, b) in enumerate(zip(x, y, strict=True))
        if math.isfinite(b)
        and (
            (marked and entry["label"])
            or not any(math.isfinite(y[j]) for j in (i - 1, i + 1) if 0 <= j < len(y))
        )
    ]
    if alone:
        size = 4.5 if entry["label"] else 2.0
        axes.plot(*zip(*alone, strict=True), "o", color=entry["colour"], clip_on=False, markersize=size)


def _end(entry: dict[str, Any]) -> list[tuple[float, float, str, str]]:
    """Return where the curve ends, with its name and its last number."""
    points = [(x, y) for x, y in zip(entry["x"], entry["y"], strict=True) if math.isfinite(y)]
    if not entry["label"] or not points:
        return []
    last = f"{points[-1][1]:.2%}" if entry["kind"] == "accuracy" else f"{points[-1][1]:.3g}"
    if not math.isfinite(entry["y"][-1]):
        last = "no number"
    return [(*points[-1], f"{entry['label']}{GAP}{last}", entry["colour"])]


def _set_limits(axes: Any, kind: str, shown: Sequence[dict[str, Any]]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

    values = [y for entry in shown for y in entry["y"] if math.isfinite(y)] or [0.0, 1.0]
    low, high = min(values), max(values)
    if kind == "accuracy":
        margin = max(0.06 * (high - low), 0.004)
        low = max(low - margin, -0.02)
        axes.set_ylim(low, min(high + margin, 1.0 + 0.03 * (1.0 - low)))  # no tick above 100%
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    elif low > 0.0 and high / low > LOG_FROM:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.3, high * 1.3)
        subs = (1.0, 2.0, 5.0) if high / low < 1e3 else (1.0,)
        axes.yaxis.set_major_locator(LogLocator(subs=subs))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(min(0.0, low), high * 1.06 if high > 0.0 else 1.0)


def _set_epochs(axes: Any, first: float, last: float) -> None:
    from matplotlib.ticker import MaxNLocator

    margin = 0.02 * (last - first) or 0.5
    axes.set_xlim(first - margin, last + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
    axes.set_xlabel("epoch")


def _mark_gaps(axes: Any, shown: Sequence[dict[str, Any]]) -> None:
    """Put a cross at the upper edge where a number is missing."""
    for entry in shown:
        lost = [x for x, y in zip(entry["x"], entry["y"], strict=True) if not math.isfinite(y)]
        if lost:
            axes.plot(
                lost, [1.0] * len(lost), "x", color=entry["colour"], transform=axes.get_xaxis_transform(),
                clip_on=False, zorder=5,
            )  # fmt: skip


class Curve:
    """The plot of a training that goes on: takes what a log takes, and draws the epochs so far.

    name: what stands above it. ending: ".svg" or ".png". write: puts a picture in the place of the last.
    epochs: those before the training was resumed, as `add` would be given them.
    """

    PART = 0.1  # of the time that passes, at most, is spent on drawing

    def __init__(self, name: str, ending: str, write: Callable[[bytes], None], epochs: Epochs = ()) -> None:
        self._name, self._ending, self._write = name, ending, write
        self._epochs = {int(entry["epoch"] or 0): entry for entry in epochs}
        self._waits = bool(self._epochs)
        self._not_before = 0.0

    def add(self, event: str, **entries: Any) -> None:
        """Take an event; an epoch is drawn, unless the last one has only just been."""
        if event == "epoch":
            self._epochs[entries["epoch"]] = entries
            self._waits = True
            if time.perf_counter() >= self._not_before:
                try:
                    self.finish()
                except (
                    OSError
                ):  # no reason to lose the training: the next epoch tries again, and so does its end
                    self._waits = True

    def finish(self) -> None:
        """Draw what has not been drawn yet."""
        if not self._waits:
            return
        started = time.perf_counter()
        self._waits = False
        epochs = [self._epochs[number] for number in sorted(self._epochs)]
        self._write(to_bytes(draw_curves([(self._name, epochs)]), self._ending))
        took = time.perf_counter() - started
        self._not_before = started + took / self.PART
