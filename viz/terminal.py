"""What a terminal shows: lines, colours, moving bars; plain lines where there is no terminal.

It draws whatever answers the names it reads (an epoch, a score, a clock), and imports neither engine.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Bar", "Screen", "draw_bar"]


class Screen:
    """Prints: with colours and moving bars on a terminal, plain lines elsewhere, only the end when quiet."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.console: Any = None
        if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            from rich.console import Console

            self.console = Console(highlight=False)

    def line(self, text: str, style: str = "") -> None:
        """Print a line, unless quiet."""
        if not self.quiet:
            self._print(text, style)

    def note(self, label: str, text: str) -> None:
        """Print what something is."""
        if self.console is not None and not self.quiet:
            from rich.text import Text

            self.console.print(Text.assemble((f"{label:9s} ", "cyan"), text))
        else:
            self.line(f"{label:9s} {text}")

    def last(self, accuracy: float) -> None:
        """Print the last line: the test accuracy."""
        self._print(f"test accuracy: {100.0 * accuracy:.2f}%", "bold green")

    def _print(self, text: str, style: str) -> None:
        if self.console is None:
            print(text, flush=True)
        else:
            self.console.print(text, style=style or None, markup=False, soft_wrap=True)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that something is being done."""
        if self.console is None or self.quiet:
            yield
        else:
            with self.console.status(what):
                yield

    @contextmanager
    def following(self, what: str) -> Iterator[Callable[[str], None]]:
        """Show, while something is being done, the words that tell(words) is called with."""
        if self.console is None or self.quiet:
            yield lambda words: None
        else:
            with self.console.status(what) as status:
                yield lambda words: status.update(f"{what}: {words}")

    @contextmanager
    def counting(self, what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        """Show progress(done, total), once it is called."""
        if self.quiet:
            yield lambda done, total: None
        elif self.console is None:
            told: list[str] = []

            def tell(done: int, total: int) -> None:
                if not told:
                    told.append(what)
                    self.line(f"{what}: {total:,} {unit} ...")

            yield tell
        else:
            from rich import progress as rich

            columns = [rich.TextColumn("{task.description}"), rich.BarColumn(), rich.TaskProgressColumn()]
            columns += [rich.DownloadColumn()] if unit == "bytes" else [rich.MofNCompleteColumn()]
            with rich.Progress(*columns, console=self.console, transient=True) as bars:
                tasks: list[rich.TaskID] = []

                def show(done: int, total: int) -> None:
                    if not tasks:
                        tasks.append(bars.add_task(what))
                    bars.update(tasks[0], completed=done, total=total)

                yield show

    @contextmanager
    def bar(self, epochs: int, batches: int) -> Iterator["Bar"]:
        """Show the training: a live bar on a terminal, a line an epoch in any case."""
        bar = Bar(self, epochs, batches)
        if self.console is not None and not self.quiet:
            from rich import progress as rich

            text = "{task.fields[text]}"
            columns = [rich.TextColumn("{task.description}"), rich.BarColumn(None), rich.TextColumn(text)]
            with rich.Progress(
                *columns, console=self.console, transient=True, expand=True, auto_refresh=False
            ) as live:
                bar.live, bar.task = live, live.add_task("epoch", total=epochs * batches, text="")
                yield bar
        else:
            yield bar


NARROW = 60
"""Columns of a terminal; with fewer, the moving line says less."""


class Bar:
    """The progress of a training run."""

    live: Any = None
    task: Any = None
    _shown = 0.0

    def __init__(self, screen: Screen, epochs: int, batches: int) -> None:
        self._screen, self._epochs, self._batches = screen, epochs, batches

    def update(self, position: Any, clock: Any) -> None:
        """Show where the training stands, ten times a second at most."""
        if self.live is None or (now := time.perf_counter()) - self._shown < 0.1:
            return
        self._shown = now
        done = position.epoch * self._batches + position.batch
        images = position.seen / max(position.batch, 1)
        rate = clock.recent_rate
        left = (self._epochs * self._batches - done) * images / max(rate, 1e-9)
        more = f"accuracy {position.accuracy:.1%}  {rate:,.0f} images/s  "
        if self._screen.console.width < NARROW:  # the bar and the time left are worth more
            more = ""
        self.live.update(
            self.task,
            completed=done,
            description=f"epoch {position.epoch + 1}/{self._epochs}",
            text=f"loss {position.loss:.4f}  {more}{int(left) // 60}:{int(left) % 60:02d} left",
            refresh=True,
        )

    def finish_epoch(self, done: Any, score: Any, clock: Any) -> None:
        """Print the epoch's line."""
        width = len(str(self._epochs))
        self._screen.line(
            f"epoch {done.epoch:{width}d}/{self._epochs}  loss {done.loss:.4f}  "
            f"accuracy {done.accuracy:.2%}  test {score.accuracy:.2%}  "
            f"{clock.rate:,.0f} images/s  {clock.seconds:.1f} s"
        )


def draw_bar(part: float, width: int) -> str:
    """Draw a bar of `part` of the width in eighths of a character, or in # where those cannot be printed."""
    try:
        "█▏".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#" * round(part * width)
    full, rest = divmod(round(part * width * 8), 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
