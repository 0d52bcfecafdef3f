"""Plots as the command line asks for them: read or measured on the floor below, drawn by `viz.plots`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from tensor import measuring, models, serialization, session
from tensor.files import write_bytes
from tensor.history import read_history
from tensor.runlog import read_runs
from tensor.session import Refused, Screen
from viz import plots

__all__ = ["OF_A_MODEL", "draw_model", "draw_runs", "drawn_too", "write"]


def write(figure: Any, path: Path) -> None:
    """Write a plot whole, in the form that the name's ending says."""
    write_bytes(path, plots.to_bytes(figure, path.suffix.lower()))


# --- of trainings ----------------------------------------------------------------------------------------


@contextmanager
def drawn_too(log: Any, path: Path | None, model: str, before: Sequence[Any] = ()) -> Iterator[Any]:
    """Give what takes the events of a training: the log and, where there is a path, the plot at it.

    before: the epochs before the training was resumed. However it ends, its plot is up to date.
    """
    if path is None:
        yield log
        return
    curve = plots.Curve(
        f"Training {model}", path.suffix.lower(), lambda picture: write_bytes(path, picture), before
    )

    class Both:
        def add(self, event: str, **entries: Any) -> None:
            log.add(event, **entries)
            curve.add(event, **entries)

    try:
        yield Both()
    finally:
        curve.finish()


def draw_runs(files: Sequence[str], dark: bool) -> Any:
    """Draw what `train --log` wrote, the runs of all files beside each other; a file named twice is one."""
    near = get_close_matches(files[0], OF_A_MODEL, 1)
    if near and not Path(files[0]).exists():
        raise Refused(f"{files[0]}: no such file; did you mean plot {near[0]}?")
    found = []
    files = list({Path(file).resolve(): file for file in files}.values())
    for file in files:
        if file.endswith(".safetensors"):
            known = ", ".join(OF_A_MODEL)
            raise Refused(f"{file}: is a model; `liftgrad plot WHAT {file}` draws it, with one of {known}")
        runs = read_runs(file)
        for number, run in enumerate(runs, 1):
            found.append((_name_of(file, files) + f" #{number}" * (len(runs) > 1), run))
    return plots.draw_curves([(name, run.in_order()) for name, run in found], dark=dark)


def _name_of(file: str, files: Sequence[str]) -> str:
    """Return what a plot calls a log: its name, with as many folders as tell it from the others."""
    others = {Path(other).absolute() for other in files} - {Path(file).absolute()}
    parts = Path(file).absolute().with_suffix("").parts
    for length in range(1, len(parts)):
        if not any(other.with_suffix("").parts[-length:] == parts[-length:] for other in others):
            return "/".join(parts[-length:])
    return file


# --- of a saved model ------------------------------------------------------------------------------------


def draw_model(
    kind: str,
    file: Path,
    screen: Screen,
    *,
    data: str | None = None,
    data_dir: Path | None = None,
    count: int = 20,
    threads: int | None = None,
    dark: bool = False,
) -> Any:
    """Draw what a model that `train --save` wrote has learned.

    kind: of `OF_A_MODEL`. data, data_dir, threads: for what is measured on test images. count: of mistakes.
    """
    if kind in FROM_FILE:
        return FROM_FILE[kind](file, dark)
    session.set_threads(threads)
    opened = session.open_saved(file, data, data_dir, screen)
    if kind == "activations":
        with screen.waiting("measuring the activations"):
            return _draw_activations(opened, dark)
    logits = measuring.compute_logits(opened.model, opened.images, opened.recipe.test_batch)
    if kind == "confusion":
        return _draw_confusion(opened, logits, dark)
    return _draw_mistakes(opened, logits, count, dark)


def _draw_filters(file: Path, dark: bool) -> Any:
    model, saved = serialization.load_model(file)
    filters = measuring.filters_of(model, models.MODELS[saved.name].inputs.size)
    return plots.draw_filters(filters, f"Filters of {saved.name}", dark=dark)


def _draw_flow(file: Path, dark: bool) -> Any:
    saved = serialization.read_model(file)
    history = read_history(saved)
    names = [measuring.describe_layer(layer) for layer in history.layers.values()]
    return plots.draw_flow(*history.norms(), names, f"Gradients of {saved.name}", dark=dark)


def _draw_activations(opened: session.Opened, dark: bool) -> Any:
    layers = measuring.measure_activations(opened.model, opened.images, min(opened.recipe.test_batch, 100))
    title = f"Activations of {opened.saved.name}"
    return plots.draw_activations(layers, len(opened.images), title, dark=dark)


def _draw_confusion(opened: session.Opened, logits: Any, dark: bool) -> Any:
    labels = opened.recipe.inputs.labels
    matrix = measuring.count_confusions(logits, opened.split.test_labels, len(labels))
    return plots.draw_confusion(matrix, labels, f"What {opened.saved.name} takes for what", dark=dark)


def _draw_mistakes(opened: session.Opened, logits: Any, count: int, dark: bool) -> Any:
    labels, known = opened.recipe.inputs.labels, opened.split.test_labels
    mistakes = measuring.find_mistakes(logits, known)
    worst = mistakes[:count]
    images = opened.split.test_images[np.array([m.index for m in worst], np.int64)]
    title = f"What {opened.saved.name} gets most wrong"
    return plots.draw_mistakes(images, worst, labels, len(known), len(mistakes), title, dark=dark)


FROM_FILE: dict[str, Callable[[Path, bool], Any]] = {"filters": _draw_filters, "flow": _draw_flow}
"""What needs no images."""

OF_A_MODEL = ("filters", "confusion", "mistakes", "flow", "activations")
