"""How a network of scalars learns to tell two moons apart: what it is before the first epoch and after each.

The scalar engine trains it and finds every gradient. What each neuron makes of the whole plane is asked of
the tensor engine, which gets the very weights: thousands of points at once, through the same formulas.
"""

import base64
import math
from typing import Any

from viz.demos.numbers import pack
from viz.demos.table import DEMOS
from viz.document import fill_template, write_document

__all__ = ["MOST_EPOCHS", "PLANE", "record", "weighted_sums", "write"]

HIDDEN = (8, 8)
POINTS, NOISE = 100, 0.22
"""So many points are learned, and as many others are asked after each epoch."""

EPOCHS, MOST_EPOCHS = 60, 100
BATCH, RATE = 25, 0.015

PLANE = {"left": -1.6, "right": 2.6, "bottom": -1.15, "top": 1.65}
"""What is drawn of the plane: all points, 3 wide by 2 high."""

COLUMNS, ROWS = 150, 100
"""Cells of the grid on which the network is asked."""

EVERY = (5, 5)
"""Each so many columns and rows the page keeps a number; lines are found on the whole grid."""

CORNERS = (COLUMNS, ROWS)
"""For the first layer: its sums are linear, and their corners say it all."""

LONG = 3600
"""The width of the plane in the page's units: whole numbers are fine enough for lines."""

MARGIN = 1.0
"""Of the hinge loss: a point whose score passes it, on its side, costs nothing."""

STRONGEST = 6.0 * MARGIN
"""Scores beyond it have one colour."""

PARTS = (
    "demo.css", "controls.css", "chart.css", "moons.css", "elements.js", "numbers.js", "player.js",
    "chart.js", "moons_plane.js", "moons_network.js", "moons.js",
)  # fmt: skip

Points = list[tuple[float, float]]


def record(seed: int = 0, epochs: int = EPOCHS) -> dict[str, Any]:
    """Train a 2-8-8-1 MLP on 100 points; return what it is before the first epoch and after each, for JSON.

    seed: of the first weights and of the order of the points; the points are always the same.

    Raises:
        ValueError: epochs below 1, or more than the page has room for.
    """
    from micro.train import train_moons
    from tensor.data.points import moons

    if not 1 <= epochs <= MOST_EPOCHS:
        raise ValueError(f"moons: expected epochs from 1 to {MOST_EPOCHS}, got {epochs}; the page holds each")
    points, labels = moons(2 * POINTS, NOISE)
    learned, held_out = (points[:POINTS], labels[:POINTS]), (points[POINTS:], labels[POINTS:])
    states: list[dict[str, Any]] = []
    train_moons(
        *learned, epochs, lr=RATE, batch_size=BATCH, seed=seed, hidden=HIDDEN,
        watch=lambda _, model: states.append(_look_at(model, learned, held_out)),
    )  # fmt: skip
    return {
        "sizes": [2, *HIDDEN, 1],
        "parameters": sum(len(neuron) for layer in states[0]["weights"] for neuron in layer),
        "epochs": epochs,
        "others": POINTS,
        "points": [[*_place(*point), label] for point, label in zip(*learned, strict=True)],
        "plane": {**PLANE, "long": LONG},
        "grids": [[COLUMNS // x + 1, ROWS // y + 1] for x, y in (CORNERS, EVERY, EVERY)],
        "strongest": STRONGEST,
        "states": states,
    }


def _look_at(
    model: Any, learned: tuple[Points, list[int]], held_out: tuple[Points, list[int]]
) -> dict[str, Any]:
    """Return what the page shows of a model: its numbers, their gradients, and how it sees the plane.

    Loss and gradients are those of all points together, with the weights as they are now.
    """
    from micro.train import mean_loss

    model.zero_grad()
    loss = mean_loss(model, *learned)
    loss.backward()
    layers = [[neuron.parameters() for neuron in layer.neurons] for layer in model.layers]
    grads = [[[p.grad for p in neuron] for neuron in layer] for layer in layers]
    flat = [[g for neuron in layer for g in neuron] for layer in grads]
    return {
        "loss": pack([loss.data])[0],
        "weights": [[pack(p.data for p in neuron) for neuron in layer] for layer in layers],
        "grads": [[pack(neuron) for neuron in layer] for layer in grads],
        "norms": pack(math.hypot(*layer) for layer in flat),
        "zeros": [layer.count(0.0) for layer in flat],
        **_ask_at_points(model, learned, held_out),
        **_ask_everywhere(model),
    }


def _ask_at_points(model: Any, learned: tuple[Points, list[int]], held_out: tuple[Points, list[int]]) -> dict:
    """Return which points are on the wrong side, and at how many of them each hidden neuron is on."""
    *hidden, scores = weighted_sums(model, learned[0])
    wrong = [i for i, label in enumerate(learned[1]) if not scores[i, 0] * label > 0.0]
    others = weighted_sums(model, held_out[0])[-1][:, 0]
    right = sum(bool(score * label > 0.0) for score, label in zip(others, held_out[1], strict=True))
    return {
        "wrong": wrong,
        "right": [len(learned[1]) - len(wrong), right],
        "on": [(layer > 0.0).sum(axis=0).tolist() for layer in hidden],
    }


def _ask_everywhere(model: Any) -> dict[str, Any]:
    """Return the sums of all neurons over the plane, and the lines where they are zero."""
    import numpy as np

    xs = np.linspace(PLANE["left"], PLANE["right"], COLUMNS + 1)
    ys = np.linspace(PLANE["top"], PLANE["bottom"], ROWS + 1)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    first, second, score = (
        layer.T.reshape(-1, ROWS + 1, COLUMNS + 1) for layer in weighted_sums(model, grid)
    )
    return {
        "most": [pack(layer.max(axis=(1, 2)).clip(0.0)) for layer in (first, second)],
        "range": pack([score.min(), score.max()]),
        "fields": [_keep(first, CORNERS), _keep(second, EVERY), _keep(score, EVERY, STRONGEST)],
        "folds": [[_lines(s[::ROWS, ::COLUMNS], ROWS) for s in first], [_lines(s) for s in second]],
        "boundary": _lines(score[0]),
        "margins": _lines(score[0], level=MARGIN) + _lines(score[0], level=-MARGIN),
    }


def weighted_sums(model: Any, points: Any) -> list[Any]:
    """Return what the neurons of each layer of a scalar MLP add up, before any ReLU.

    A layer's sums are (points, neurons). The tensor engine finds them, in float64, with the scalars' weights.
    """
    import tensor

    def lift(numbers: Any) -> Any:
        return tensor.tensor(numbers, dtype=tensor.float64)

    x, sums = lift(points), []
    for layer in model.layers:
        weight = lift([[w.data for w in neuron.w] for neuron in layer.neurons])
        bias = lift([neuron.b.data for neuron in layer.neurons])
        sums.append(tensor.nn.functional.linear(x, weight, bias))
        x = sums[-1].relu()
    return [s.numpy() for s in sums]


def _place(x: float, y: float) -> list[int]:
    """Return where a point of the plane stands in the page's units, from the left and from the top."""
    unit = (PLANE["right"] - PLANE["left"]) / LONG
    return [round((x - PLANE["left"]) / unit), round((PLANE["top"] - y) / unit)]


def _keep(fields: Any, every: tuple[int, int], largest: float | None = None) -> str:
    """Return some of (neurons, rows, columns) as bytes, in base64: 128 is zero, 1 and 255 are `largest`.

    What is larger becomes that; by default it is the largest of each neuron.
    """
    import numpy as np

    across, down = every
    scale = largest or np.maximum(np.abs(fields).max(axis=(1, 2), keepdims=True), 1e-300)
    parts = (fields[:, ::down, ::across] / scale).clip(-1.0, 1.0)
    return base64.b64encode(np.rint(128.0 + 127.0 * parts).astype(np.uint8).tobytes()).decode()


def _lines(field: Any, cell: int = 1, level: float = 0.0) -> str:
    """Return where `field` passes `level`, as the path of an SVG; its cells are `cell` of the grid's high."""
    from viz.demos.contours import level_lines

    across, down = LONG / (field.shape[1] - 1), LONG / COLUMNS * cell
    lines = level_lines(field, level, tolerance=0.12)
    return "".join("M" + " ".join(f"{x * across:.0f} {y * down:.0f}" for x, y in line) for line in lines)


def write(seed: int = 0, epochs: int = EPOCHS) -> str:
    """Return the page as text; arguments and errors as for `record`."""
    recording = record(seed, epochs)
    controls = fill_template("controls.html", unit="epoch", label="Epoch", hint="", buttons="", below="")
    return write_document("moons.html", PARTS, DEMOS["moons"].title, recording, controls=controls)
