"""The page as text: of a model file, or of any network of ten digits, with a line about it and samples."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tensor import nn
from tensor.data import digits
from tensor.history import History
from tensor.models import DIGITS, MODELS, count_parameters
from tensor.serialization import ModelFileError, SavedModel
from tensor.session import load_digit_model
from viz.document import escape_html, write_document
from viz.play.export import encode, list_layers

__all__ = ["write_file", "write_page"]

PARTS = (
    "play.css", "elements.js", "numbers.js", "infer.js", "digit.js", "board.js", "maps.js", "stages.js",
    "play.js",
)  # fmt: skip

SAMPLES = 2
"""Of each digit, in the gallery."""

DATA = {"digits": "the built-in digits", "mnist": "MNIST", "idx": "IDX files"}


def write_file(file: str | os.PathLike[str]) -> str:
    """Return the page of a model that `liftgrad train --save` wrote.

    Raises ModelFileError where the file is something else, Refused where its model does not look at digits.
    """
    model, saved = load_digit_model(Path(file))
    return write_page(model, describe(model, saved))


def write_page(model: nn.Module, about: str = "", title: str = "Draw a digit") -> str:
    """Return the page of a network that tells digits apart: (batch, 1, 28, 28) to (batch, 10) logits.

    about: a line about the network, such as `describe` returns. Raises ValueError as `list_layers` does.
    """
    images, labels = pick_samples()
    data = {
        "layers": list_layers(model, (1, *DIGITS.size), len(DIGITS.labels)),
        "labels": list(DIGITS.labels),
        "mean": DIGITS.mean,
        "std": DIGITS.std,
        "samples": {"labels": labels.tolist(), "pixels": encode(images, "u1")},
    }
    return write_document("play.html", PARTS, title, data, about=escape_html(about))


def pick_samples() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the first `SAMPLES` of each digit among the built-in test digits, 0 to 9.

    Whatever a model was trained on: pages are passed on, and MNIST's pictures are not ours to give.
    """
    images, labels = digits.generate(200, digits.TEST_SEED)
    chosen = [np.flatnonzero(labels == label)[:SAMPLES] for label in range(10)]
    order = np.concatenate(chosen)
    return images[order], labels[order]


def describe(model: nn.Module, saved: SavedModel) -> str:
    """Say in a line what a saved model is, what it was trained on, and how well it did, as far as known."""
    recipe = MODELS[saved.name]
    parameters = f"{count_parameters(model):,} parameters"
    data = DATA.get(saved.data, "unknown data")
    return f"{saved.name} ({recipe.title}; {parameters}), trained on {data}{_course(model, saved)}."


def _course(model: nn.Module, saved: SavedModel) -> str:
    """Return how long a model was trained, and its test accuracy; nothing of what the file does not say."""
    history = History(model, 1)
    try:
        _, position = saved.training()
        history.restore(saved)
    except ModelFileError:
        return ""
    parts = [_count(position.epoch, "epoch")] if position.epoch or not position.batch else []
    if position.batch:
        parts.append(_count(position.batch, "batch", "es"))
    course = f" for {' and '.join(parts)}"
    last = (history.epochs.as_dicts() or [{}])[-1]
    accuracy = last.get("test_accuracy")
    # not where more was learned since: the weights are others
    if position.batch or last.get("epoch") != position.epoch or accuracy is None:
        return course
    return f"{course}; right on {accuracy:.2%} of its test digits"


def _count(n: int, what: str, plural: str = "s") -> str:
    return f"{n:,} {what}{plural if n != 1 else ''}"
