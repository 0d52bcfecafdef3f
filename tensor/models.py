"""The networks that the command line trains, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tensor import nn

MEAN, STD = 0.1307, 0.3081
"""Of MNIST's training pixels, each from 0 to 1. All data is normalised by them, so that a model that has
learned from one set of digits can be shown another."""

CLASSES = 10
IMAGE_SIZE = (28, 28)


@dataclass(frozen=True)
class Recipe:
    """A network, and how it is trained unless the user says otherwise."""

    title: str  # its sizes, as a person writes them
    make: Callable[[], nn.Module]
    epochs: int
    batch_size: int = 64
    optimizer: str = "adam"
    lr_decay: float = 0.6  # of each epoch, the rate of the next: it does not depend on how many will follow


def _mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])  # what leaves the last layer are logits


MODELS: dict[str, Recipe] = {
    "mlp": Recipe("784-128-10", lambda: _mlp(784, 128, 10), epochs=5),
    "mlp-deep": Recipe("784-128-64-10", lambda: _mlp(784, 128, 64, 10), epochs=10),
}


def build(name: str) -> nn.Module:
    """Return a new model, its parameters drawn from the default generator; input (batch, 1, 28, 28).

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


def normalize(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images (N, 28, 28) uint8 as a model's input: (N, 1, 28, 28) float32, (pixel / 255 - MEAN) / STD.

    Raises ValueError for images of another size.
    """
    if images.shape[1:] != IMAGE_SIZE:
        found = "x".join(str(n) for n in images.shape[1:])
        raise ValueError(f"normalize: expected images of 28x28, got {found}; resize them to 28x28")
    levels = ((np.arange(256) / 255.0 - MEAN) / STD).astype(np.float32)  # a byte has 256 values: a table
    return levels[images][:, None]
