"""A training run on scalars as a user meets it: what is trained, how it goes, what was learned.

What is printed goes to a screen that answers `note`, `line` and `last`, what is logged to a log that answers
`add`: the command line brings both.
"""

import time
from collections.abc import Sequence
from typing import Any

from micro import train
from micro.train import Point

TESTED = 100
"""So many points, the last ones, are kept to test on."""


def train_on_points(
    name: str,
    points: Sequence[Point],
    labels: Sequence[int],
    settings: dict[str, Any],
    screen: Any,
    log: Any,
    version: str,
) -> None:
    """Train "perceptron" or "moons" on all points but the last 100; show how it goes, and a picture of it.

    points: pairs of floats, with labels +1 or -1. settings: the arguments of `micro.train`, None for a
    default. version: of this program, for the log.
    """
    test_points, test_labels = points[-TESTED:], labels[-TESTED:]
    points, labels = points[:-TESTED], labels[:-TESTED]
    settings = {key: value for key, value in settings.items() if value is not None}
    screen.note("data", f"{name}: {len(points)} points to train on, {len(test_points)} to test on")
    screen.note("engine", "micro: scalars, one at a time, in Python")
    log.add("start", liftgrad=version, model=name, **settings)
    started = time.perf_counter()

    def on_epoch(epoch: int, loss: float, accuracy: float) -> None:
        seconds = time.perf_counter() - started
        log.add("epoch", epoch=epoch, loss=loss, accuracy=accuracy, seconds=round(seconds, 3))
        screen.line(f"epoch {epoch:<3d} loss {loss:.4f}  accuracy {accuracy:.1%}  {seconds:.1f} s")

    fit = train.train_moons if name == "moons" else train.train_perceptron
    model: Any = fit(points, labels, on_epoch=on_epoch, **settings)
    accuracy = train.accuracy(model, test_points, test_labels)
    screen.note("model", f"{name}: {len(model.parameters()):,} parameters")
    screen.line(train.text_boundary(lambda x, y: train.predict(model, x, y), test_points, test_labels))
    screen.last(accuracy)
