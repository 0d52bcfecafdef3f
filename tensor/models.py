"""The networks that the command line trains, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tensor import nn
from tensor.data import patterns

DATA = ("digits", "mnist", "idx", "patterns")
"""The names of all data; the command line knows them as well."""

BUILT_IN = ("digits", "patterns")
"""Those of them that no file holds."""


@dataclass(frozen=True)
class Inputs:
    """What a network looks at, and what it tells apart."""

    data: tuple[str, ...]  # where they come from: names of `DATA`, the first unless the user says otherwise
    size: tuple[int, int]
    labels: tuple[str, ...]
    mean: float  # subtracted from each pixel,
    std: float  # by which the difference is divided


DIGITS = Inputs(("digits", "mnist", "idx"), (28, 28), tuple("0123456789"), 0.1307, 0.3081)
"""Mean and standard deviation are those of MNIST's training pixels, each from 0 to 1. All digits are
normalised by them, so that a model that has learned from one set can be shown another."""

PATTERNS = Inputs(("patterns",), (8, 8), patterns.CLASSES, 0.0, 1.0)


@dataclass(frozen=True)
class Recipe:
    """A network, and how it is trained unless the user says otherwise."""

    title: str  # its sizes, as a person writes them
    make: Callable[[], nn.Module]
    epochs: int
    inputs: Inputs = DIGITS
    batch_size: int = 64
    optimizer: str = "adam"
    lr: float | None = None  # with that optimizer; None: the optimizer's own, `training.OPTIMIZERS`
    lr_decay: float = 0.6  # of each epoch, the rate of the next: it does not depend on how many will follow
    test_batch: int = 1000  # images measured at once; what a convolution makes of them takes memory


def _mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])  # what leaves the last layer are logits


def _tinycnn() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 3))


def _cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1568, 10),
    )  # fmt: skip


MODELS: dict[str, Recipe] = {
    "mlp": Recipe("784-128-10", lambda: _mlp(784, 128, 10), epochs=5),
    "mlp-deep": Recipe("784-128-64-10", lambda: _mlp(784, 128, 64, 10), epochs=10),
    "cnn": Recipe("two convolutions of 32 channels, 1568-10", _cnn, epochs=3, lr=1e-3, test_batch=100),
    "tinycnn": Recipe(
        "a convolution of 3 channels, 27-3", _tinycnn, epochs=20, inputs=PATTERNS, batch_size=32, lr=2e-2,
        lr_decay=0.9,
    ),
}  # fmt: skip


def build(name: str) -> nn.Module:
    """Return a new model, its parameters drawn from the default generator; input (batch, 1, height, width).

    Raises ValueError for a name that is not in `MODELS`, with the nearest one that is.
    """
    if name not in MODELS:
        raise ValueError(unknown_model(name, list(MODELS)))
    return MODELS[name].make()


def unknown_model(name: str, known: list[str]) -> str:
    """Return the sentence that says so, with the nearest of the `known` names."""
    near = get_close_matches(name, known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown model {name!r}; {hint}known are {', '.join(known)}"


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers training changes."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def normalize(images: NDArray[Any], inputs: Inputs = DIGITS) -> NDArray[np.float32]:
    """Return images (N, height, width) as a model's input: (N, 1, height, width) float32.

    That is (pixel / 255 - mean) / std for uint8, (pixel - mean) / std for floats. Raises ValueError for
    images of another size than `inputs` has.
    """
    if images.shape[1:] != inputs.size:
        expected, found = ("x".join(str(n) for n in size) for size in (inputs.size, images.shape[1:]))
        raise ValueError(f"normalize: expected images of {expected}, got {found}; resize them to {expected}")
    if images.dtype == np.uint8:  # a byte has 256 values: a table
        levels = ((np.arange(256) / 255.0 - inputs.mean) / inputs.std).astype(np.float32)
        return levels[images][:, None]
    return ((images - inputs.mean) / inputs.std).astype(np.float32)[:, None]
