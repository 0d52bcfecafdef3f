"""The log of a training run: a JSON line for each event. Written here, and read here again.

A line is an object with the key "event": "start" and "resume" with the facts of the run, "epoch" with its
figures, "stop" where it was interrupted.
"""

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensor.files import atomic_write

FIGURES = ("loss", "accuracy", "test_loss", "test_accuracy")
"""What a line may say of an epoch; networks on scalars are not tested on the way."""


class LogError(ValueError):
    """A file that is no log: one sentence with the file, the line, the expected and the found."""


class Log:
    """A file of JSON lines, written anew as a whole with each line: a kill leaves whole lines."""

    def __init__(self, path: Path | None, go_on: bool) -> None:
        self._path = path
        self._text = ""
        if path is not None and go_on and path.is_file():
            try:
                self._text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                raise LogError(
                    f"--log {path}: expected a log to append to, text in UTF-8, got other bytes; "
                    "name another file"
                ) from None
            if self._text and not self._text.endswith("\n"):
                self._text += "\n"

    def add(self, event: str, **entries: Any) -> None:
        """Write a line about an event; numbers that JSON has not (nan, inf) become null."""
        if self._path is None:
            return
        entries = {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in entries.items()
        }
        line = json.dumps({"event": event, **entries}) + "\n"
        if self._path.exists() and not self._path.is_file():  # a pipe or a device takes the line alone
            self._text = ""
        self._text += line
        try:
            with atomic_write(self._path, "w") as file:
                file.write(self._text)
        except OSError as error:  # what the disk says does not always name the file
            raise OSError(error.errno, error.strerror, error.filename or str(self._path)) from None


@dataclass
class Run:
    """One training: the model's name, and the figures of its epochs by number; a missing one is nan."""

    model: str = ""
    epochs: dict[int, dict[str, float]] = field(default_factory=dict)

    def in_order(self) -> list[dict[str, float]]:
        """Return the epochs one after another, each with its number as "epoch"."""
        return [{"epoch": number, **self.epochs[number]} for number in sorted(self.epochs)]


def read_runs(path: str | os.PathLike[str]) -> list[Run]:
    """Return the runs in a log, one for each "start": what was resumed goes on with the run before it.

    An epoch that is there twice, as after a kill, counts as it was the last time. Raises LogError, with the
    number of the line, for anything that `Log` does not write, and where there is no finished epoch.
    """
    where = Path(path)
    if not where.exists():
        raise LogError(f"{where}: no such file; `liftgrad train mlp --log {where}` would make one")
    if where.is_dir():
        raise LogError(f"{where}: expected a log of `train --log`, got a folder")
    try:
        text = where.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = where.read_bytes()[: error.start].count(b"\n") + 1
        raise LogError(f"{where}, line {line}: {EXPECTED}, got bytes that are no UTF-8") from None
    except OSError as error:
        raise LogError(f"{where}: cannot be read ({error.strerror or error})") from None
    runs: list[Run] = []
    lines = text.split("\n")  # not splitlines: what else ends a line may stand within a string
    for number, content in enumerate(lines, 1):
        if content.strip():
            try:
                _add(runs, content)
            except _Foreign as error:
                raise LogError(f"{where}, line {number}: {EXPECTED}, got {error}") from None
    finished = [run for run in runs if run.epochs]
    if not finished:
        found = "an empty file" if not runs else "one of a training that ended before its first epoch did"
        raise LogError(f"{where}: expected a log with a finished epoch, got {found}")
    return finished


EXPECTED = "expected a JSON line as `train --log` writes them"


class _Foreign(Exception):
    """What a line is instead."""


def _add(runs: list[Run], line: str) -> None:
    """Add what a line says to the runs; _Foreign if it is none of a log."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise _Foreign(_shorten(line.strip())) from None
    if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
        raise _Foreign(f'no "event": {_shorten(line.strip())}')
    event, model = entry["event"], str(entry.get("model", ""))
    if event == "start" or (event == "resume" and (not runs or runs[-1].model != model)):
        runs.append(Run(model))
    elif event == "epoch":
        if not runs:  # its beginning was cut off
            runs.append(Run())
        number = entry.get("epoch")
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number < 2**53:
            raise _Foreign(f'"epoch": {_shorten(json.dumps(number))}')
        runs[-1].epochs[number] = {name: _read_number(name, entry[name]) for name in FIGURES if name in entry}


def _read_number(name: str, value: Any) -> float:
    if value is None:  # nan and inf, which JSON has not
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Foreign(f'"{name}": {_shorten(json.dumps(value))}')
    try:
        number = float(value)
    except OverflowError:
        raise _Foreign(f'"{name}": {_shorten(str(value))}') from None
    return number if math.isfinite(number) else math.nan


def _shorten(text: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in text[:61])
    return shown if len(shown) <= 60 else shown[:57] + "..."
