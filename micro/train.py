"""Training loops on scalars, and a picture of what was learned.

Points are pairs of floats, labels +1 or -1. `on_epoch(epoch, loss, accuracy)` is called after each epoch,
counted from 1, with the mean loss on the way through and the accuracy at its end. `watch(epoch, model)` is
called before the first epoch, with 0, and after each one: it may look at the model, and use its gradients.
"""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from micro.nn import MLP, Neuron
from micro.optim import SGD, Adam, Optimizer
from micro.value import Value

Point = tuple[float, float]
OnEpoch = Callable[[int, float, float], Any]
Watch = Callable[[int, Any], Any]


class Diverged(ValueError):
    """The loss is no longer a number: there is nothing to continue from."""


def train_perceptron(
    points: Sequence[Point],
    labels: Sequence[int],
    epochs: int = 1000,
    lr: float = 0.1,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
) -> Neuron:
    """Train one linear neuron, 3 parameters, by the perceptron rule (Rosenblatt 1958), point by point.

    Stops at the first epoch that ends with every point on its side: soon, where a line separates them.
    """
    model = _with_seed(seed, lambda: Neuron(2, nonlin=False))
    optimizer = SGD(model.parameters(), lr=lr)
    _train(model, optimizer, _miss, points, labels, epochs, 1, seed, on_epoch, until_perfect=True)
    return model


def train_moons(
    points: Sequence[Point],
    labels: Sequence[int],
    epochs: int = 15,
    lr: float = 0.02,
    batch_size: int = 10,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
    *,
    hidden: Sequence[int] = (32, 32),
    watch: Watch | None = None,
) -> MLP:
    """Train an MLP with Adam on the hinge loss of minibatches; 2-32-32-1 by default: 1,185 parameters."""
    model = _with_seed(seed, lambda: MLP(2, [*hidden, 1]))
    optimizer = Adam(model.parameters(), lr=lr)
    _train(model, optimizer, hinge, points, labels, epochs, batch_size, seed, on_epoch, watch=watch)
    return model


def predict(model: Any, x: float, y: float) -> float:
    """Return the score of a point: its sign is the predicted label."""
    return model([x, y]).data


def accuracy(model: Any, points: Sequence[Point], labels: Sequence[int]) -> float:
    """Return the fraction of points whose score has the sign of their label."""
    if len(points) == 0:
        raise ValueError("accuracy: expected points, got none")
    hits = sum(predict(model, *point) * label > 0.0 for point, label in zip(points, labels, strict=True))
    return hits / len(points)


def hinge(score: Value, label: int) -> Value:
    """Return max(0, 1 - label * score): zero where the score has the label's sign and is 1 or more."""
    return (1.0 - label * score).relu()


def mean_loss(
    model: Any,
    points: Sequence[Point],
    labels: Sequence[int],
    loss_of: Callable[[Value, int], Value] = hinge,
) -> Value:
    """Return the mean of `loss_of(score, label)` over the points, of which there must be one at least."""
    if len(points) == 0:
        raise ValueError("mean_loss: expected points, got none")
    losses = [loss_of(model(point), label) for point, label in zip(points, labels, strict=True)]
    return sum(losses, Value(0.0)) * (1.0 / len(losses))


def _train(
    model: Any,
    optimizer: Optimizer,
    loss_of: Callable[[Value, int], Value],
    points: Sequence[Point],
    labels: Sequence[int],
    epochs: int,
    batch_size: int,
    seed: int,
    on_epoch: OnEpoch | None,
    until_perfect: bool = False,
    watch: Watch | None = None,
) -> None:
    if len(points) != len(labels) or len(points) == 0:
        raise ValueError(f"train: expected a label for every point, got {len(points)} and {len(labels)}")
    if epochs < 1 or batch_size < 1:
        raise ValueError(f"train: expected epochs and batch_size from 1, got {epochs} and {batch_size}")
    if not set(labels) <= {-1, 1}:
        raise ValueError(f"train: expected labels +1 and -1, got {sorted(set(labels))}")
    draw, order, lr = random.Random(seed), list(range(len(points))), optimizer.lr
    if watch is not None:
        watch(0, model)
    for epoch in range(1, epochs + 1):
        draw.shuffle(order)
        total = 0.0
        optimizer.lr = lr * (1.0 - 0.9 * (epoch - 1) / epochs)  # as micrograd's demo: down to a tenth
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            loss = mean_loss(model, [points[i] for i in batch], [labels[i] for i in batch], loss_of)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.data * len(batch)
        if not math.isfinite(total):
            raise Diverged(f"the loss of epoch {epoch} is {total}; try a smaller learning rate")
        correct = accuracy(model, points, labels)
        if on_epoch is not None:
            on_epoch(epoch, total / len(points), correct)
        if watch is not None:
            watch(epoch, model)
        if until_perfect and correct == 1.0:
            return


def _miss(score: Value, label: int) -> Value:
    return (-label * score).maximum(0.0)  # not relu: a point exactly on the line must pull on it, too


def _with_seed(seed: int, build: Callable[[], Any]) -> Any:
    """Build a model from the given seed, and leave the global generator as it was."""
    state = random.getstate()
    random.seed(seed)
    try:
        return build()
    finally:
        random.setstate(state)


def text_boundary(
    score: Callable[[float, float], float],
    points: Sequence[Point],
    labels: Sequence[int],
    width: int = 60,
    height: int = 22,
) -> str:
    """Draw the plane as text: where `score` is positive, where it is not, and the points in it.

    Plain ASCII: `o` stands for label +1 and `x` for -1, in capitals where the score has the wrong sign.
    """
    if len(points) == 0:
        raise ValueError("text_boundary: expected points, got none; they set the limits of the picture")
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    left, right = _padded(min(xs), max(xs))
    bottom, top = _padded(min(ys), max(ys))
    if not (math.isfinite(right - left) and math.isfinite(top - bottom)):
        raise ValueError("text_boundary: expected points within a finite range; scale them down")
    rows = []
    for row in range(height):
        y = top - (row + 0.5) * (top - bottom) / height
        marks = [
            "." if score(left + (column + 0.5) * (right - left) / width, y) > 0.0 else " "
            for column in range(width)
        ]
        rows.append(marks)
    wrong = 0
    for (x, y), label in zip(points, labels, strict=True):
        mark = "o" if label > 0 else "x"
        if not score(x, y) * label > 0.0:  # not <=: nan is wrong, too
            mark, wrong = mark.upper(), wrong + 1
        column = min(int((x - left) / (right - left) * width), width - 1)
        row = min(int((top - y) / (top - bottom) * height), height - 1)
        if rows[row][column] not in "OX":  # a mistake stays visible under its neighbours
            rows[row][column] = mark
    edge = f"+{'-' * width}+"
    legend = f" o +1   x -1   dotted: predicted +1   capitals: wrong ({wrong} of {len(points)})"
    return "\n".join([edge, *(f"|{''.join(marks)}|" for marks in rows), edge, legend])


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = 0.08 * (high - low) or max(1.0, 1e-9 * abs(low))  # one that does not vanish beside `low`
    return low - margin, high + margin
