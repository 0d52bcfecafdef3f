"""What is measured of a trained network: its guesses, its mistakes, its filters, what its layers give.

All results are arrays and numbers, ready to be drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tensor import nn
from tensor.autograd import no_grad
from tensor.creation import from_numpy
from tensor.engine import Tensor
from tensor.softmax import softmax
from tensor.training import device_of

BINS = 60
"""Of a histogram of activations."""


class NotFinite(ValueError):
    """What a model gives is beyond the range of its numbers: there is nothing to show."""


@no_grad()
def compute_logits(
    model: nn.Module, images: NDArray[np.float32], batch_size: int = 1000
) -> NDArray[np.float32]:
    """Return what a model makes of images (N, ...): (N, classes). It keeps its training mode.

    Raises NotFinite where it gives inf or nan.
    """
    parts: list[NDArray[np.float32]] = []
    _run(model, images, batch_size, lambda logits: parts.append(logits.cpu().numpy()))
    logits = np.concatenate(parts)
    if not np.isfinite(logits).all():
        raise NotFinite(
            "the model gives inf or nan for some images: its weights are too large; train it anew"
        )
    return logits


def _run(
    model: nn.Module, images: NDArray[np.float32], batch_size: int, use: Callable[[Tensor], Any]
) -> None:
    was_training, device = model.training, device_of(model)
    model.eval()
    try:
        for first in range(0, len(images), batch_size):
            use(model(from_numpy(images[first : first + batch_size]).to(device)))
    finally:
        model.train(was_training)


def count_confusions(
    logits: NDArray[np.float32], labels: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Return how many images of each label (row) were taken for each (column): (classes, classes)."""
    pairs = labels * classes + logits.argmax(1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True)
class Mistake:
    """An image that was taken for another label, and how sure of that, and of its own, the model was."""

    index: int  # of the image
    label: int
    guess: int
    sure: float  # the probability of the guess
    own: float  # the probability of the label
    loss: float  # the cross-entropy: -log of `own`


@no_grad()
def find_mistakes(
    logits: NDArray[np.float32], labels: NDArray[np.int64], count: int | None = None
) -> list[Mistake]:
    """Return the mistakes, those of the largest loss first, `count` of them or all."""
    losses = nn.CrossEntropyLoss(reduction="none")(from_numpy(logits), from_numpy(labels)).numpy()
    probabilities, guesses = softmax(from_numpy(logits), dim=1).numpy(), logits.argmax(1)
    worst_first = np.argsort(-losses, kind="stable")
    wrong = worst_first[guesses[worst_first] != labels[worst_first]][:count]
    return [
        Mistake(
            int(i), int(labels[i]), int(guesses[i]), float(probabilities[i, guesses[i]]),
            float(probabilities[i, labels[i]]), float(losses[i]),
        )
        for i in wrong
    ]  # fmt: skip


@dataclass(frozen=True)
class Filters:
    """The weights of a layer that can be looked at: (outputs, inputs, height, width)."""

    name: str
    weights: NDArray[np.float32]


def filters_of(model: nn.Module, size: tuple[int, int]) -> list[Filters]:
    """Return the filters of each convolution, and those of a first linear layer that sees images of `size`.

    A linear layer's weights are images, too, where it has one for each pixel.
    """
    found = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            found.append(Filters(describe_layer(module), module.weight.detach().cpu().numpy()))
        elif isinstance(module, nn.Linear) and not found and module.in_features == size[0] * size[1]:
            images = module.weight.detach().cpu().numpy().reshape(-1, 1, *size)
            found.append(Filters(describe_layer(module), images))
    return found


def describe_layer(layer: nn.Module) -> str:
    """Return what a plot calls a layer: its class, and from how many inputs it makes how many outputs."""
    name = type(layer).__name__
    if isinstance(layer, nn.Linear):
        return f"{name} {layer.in_features}→{layer.out_features}"
    if isinstance(layer, nn.Conv2d):
        return f"{name} {layer.in_channels}→{layer.out_channels}"
    return name


@dataclass
class Activations:
    """What a layer gives for all images: how its numbers are distributed, and which of its units rest.

    edges: (BINS + 1,) of the histogram; counts: (BINS,), how many numbers lie between them, zeros left out.
    A unit is a feature, or a channel with all its places; it is dead if it gave 0 for every image.
    """

    name: str
    rectifies: bool  # a ReLU, whose zeros say something
    count: int = 0
    zeros: int = 0
    low: float = np.inf
    high: float = -np.inf
    edges: NDArray[np.float64] | None = None
    counts: NDArray[np.int64] | None = None
    alive: NDArray[np.bool_] | None = None

    @property
    def units(self) -> int:
        """How many units the layer has."""
        return 0 if self.alive is None else len(self.alive)

    @property
    def dead(self) -> int:
        """How many of its units are dead."""
        return 0 if self.alive is None else int(np.count_nonzero(~self.alive))

    def look(self, values: NDArray[np.float32]) -> None:
        """Note the range, the zeros, and which units are alive: the first time through."""
        self.count += values.size
        self.zeros += values.size - int(np.count_nonzero(values))
        by_unit = values.reshape(*values.shape[:2], -1)
        low, high = by_unit.min(axis=2).min(axis=0), by_unit.max(axis=2).max(axis=0)
        self.low, self.high = min(self.low, float(low.min())), max(self.high, float(high.max()))
        if not np.isfinite([self.low, self.high]).all():  # min and max hand a nan on
            raise NotFinite(f"{self.name} gives inf or nan: the model's weights are too large; train it anew")
        alive = (low != 0) | (high != 0)
        self.alive = alive if self.alive is None else self.alive | alive

    def sort_in(self, values: NDArray[np.float32]) -> None:
        """Add to the histogram: the second time through, when the range is known."""
        if self.edges is None or self.counts is None:
            self.edges = _edges(self.low, self.high)
            self.counts = np.zeros(BINS, np.int64)
            self.counts[self._bin_of(np.zeros(1, np.float32))] -= self.zeros
        self.counts += np.bincount(self._bin_of(values.ravel()), minlength=BINS)

    def _bin_of(self, values: NDArray[np.float32]) -> NDArray[np.intp]:
        # not np.histogram, which is exact at the edges of its bins, and five times as slow
        assert self.edges is not None
        low = np.float32(self.edges[0])
        places = (values - low) * np.float32(BINS / (self.edges[-1] - self.edges[0]))
        return np.minimum(np.maximum(places, 0, out=places), BINS - 1, out=places).astype(np.intp)


def _edges(low: float, high: float) -> NDArray[np.float64]:
    """Return the edges of bins from low to high, or a little further, so that 0 is one of them if within."""
    if low == high:
        low, high = low - 0.5, low + 0.5
    if not low < 0.0 < high:
        return np.linspace(low, high, BINS + 1, dtype=np.float64)
    below = min(max(1, round(BINS * -low / (high - low))), BINS - 1)
    width = max(-low / below, high / (BINS - below))
    return np.arange(-below, BINS - below + 1, dtype=np.float64) * width


@no_grad()
def measure_activations(
    model: nn.Module, images: NDArray[np.float32], batch_size: int = 100
) -> list[Activations]:
    """Return what each layer gives for images (N, ...), first to last.

    A layer is a module that holds no others; one that only arranges (Flatten), or does nothing while
    measuring (Dropout), is left out. Raises NotFinite where one gives inf or nan.
    """
    layers = [m for m in model.modules() if not list(m.children()) and not isinstance(m, PASSIVE)]
    found = [Activations(describe_layer(layer), isinstance(layer, nn.ReLU)) for layer in layers]
    for note in (Activations.look, Activations.sort_in):
        hooks = [
            layer.register_forward_hook(partial(_hand_over, note, entry))
            for layer, entry in zip(layers, found, strict=True)
        ]
        try:
            _run(model, images, batch_size, lambda logits: None)
        finally:
            for hook in hooks:
                hook.remove()
    return found


def _hand_over(
    note: Callable[..., None], entry: Activations, layer: nn.Module, inputs: Any, out: Tensor
) -> None:
    note(entry, out.detach().cpu().numpy())


PASSIVE = (nn.Flatten, nn.Identity, nn.Dropout)
