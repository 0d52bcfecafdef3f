"""Four optimizers walk down a surface, side by side; every walk was walked by this engine."""

from typing import Any

import numpy as np

import tensor
from tensor import optim
from viz.demos.contours import outline
from viz.demos.numbers import pack
from viz.demos.surfaces import SURFACES, Surface
from viz.demos.table import DEMOS
from viz.document import fill_template, write_document

__all__ = ["OPTIMIZERS", "RATES", "record", "walk", "write"]

OPTIMIZERS = {
    "SGD": lambda groups: optim.SGD(groups),
    "momentum": lambda groups: optim.SGD(groups, momentum=0.9),
    "RMSprop": lambda groups: optim.RMSprop(groups),
    "Adam": lambda groups: optim.Adam(groups),
}
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)

PARTS = (
    "controls.css", "demo.css", "chart.css", "optimizers.css",
    "elements.js", "numbers.js", "player.js", "chart.js", "optimizers.js",
)  # fmt: skip

GRID = (241, 181)  # points of x and of y at which a surface is measured
LEVELS = 13
WIDE, HIGH = 1200, 900  # of the outlines: the same 4 to 3 as every surface is wide and high


def write() -> str:
    """Return the page."""
    controls = fill_template("controls.html", unit="step", label="Step", hint="", buttons="", below="")
    return write_document("optimizers.html", PARTS, DEMOS["optimizers"].title, record(), controls=controls)


def record() -> dict[str, Any]:
    """Return all walks on all surfaces, and the surfaces' outlines.

    A walk is {x, y, loss}, a number for each step from 0 on. It ends early where a number is not finite any
    more: that is its last one. Walks stand by start, optimizer and rate; so does `best`, the rate that led
    lowest within the picture.
    """
    return {
        "optimizers": list(OPTIMIZERS),
        "rates": list(RATES),
        "size": [WIDE, HIGH],
        "surfaces": [_record_surface(surface) for surface in SURFACES],
    }


def _record_surface(surface: Surface) -> dict[str, Any]:
    paths, losses = walk(surface)
    walks = [
        [
            [_cut(paths[:, n, r, s], losses[:, n, r, s]) for r in range(len(RATES))]
            for n in range(len(OPTIMIZERS))
        ]
        for s in range(len(surface.starts))
    ]
    best = [
        [_find_best(surface, paths[:, n, :, s], losses[-1, n, :, s]) for n in range(len(OPTIMIZERS))]
        for s in range(len(surface.starts))
    ]
    return {
        "name": surface.name, "title": surface.title, "formula": surface.formula, "lesson": surface.lesson,
        "x": surface.x, "y": surface.y, "minima": surface.minima, "starts": surface.starts,
        "steps": surface.steps, "levels": _outline(surface), "walks": walks, "best": best,
    }  # fmt: skip


def walk(surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Walk from every start with every optimizer at every rate.

    Each walk is a parameter with a rate of its own, (starts, 2); the surface's heights are computed for all
    at once. No walk knows of another: each goes as it would alone.

    Returns:
        the positions, (steps + 1, optimizers, rates, starts, 2), and the losses without the last axis.
    """
    starts = tensor.tensor(surface.starts, dtype=tensor.float64)
    walkers = [[starts.clone().requires_grad_() for _ in RATES] for _ in OPTIMIZERS]
    optimizers = [
        make([{"params": [walker], "lr": rate} for walker, rate in zip(row, RATES, strict=True)])
        for make, row in zip(OPTIMIZERS.values(), walkers, strict=True)
    ]
    shape = (len(OPTIMIZERS), len(RATES), len(surface.starts))
    paths, losses = np.empty((surface.steps + 1, *shape, 2)), np.empty((surface.steps + 1, *shape))
    for k in range(surface.steps + 1):
        places = tensor.stack([walker for row in walkers for walker in row])
        loss = surface.height(places[..., 0], places[..., 1])
        paths[k] = places.detach().numpy().reshape(paths[k].shape)
        losses[k] = loss.detach().numpy().reshape(shape)
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.sum().backward()
        for optimizer in optimizers:
            optimizer.step()
    return paths, losses


def _find_best(surface: Surface, paths: np.ndarray, last: np.ndarray) -> int:
    """Return which rate ends lowest, of those whose walks never leave the picture if there are such.

    paths: (steps + 1, rates, 2); last: (rates,), the losses at the end.
    """
    low, high = np.array([surface.x, surface.y]).T
    inside = ((paths >= low) & (paths <= high)).all(axis=(0, 2))
    lost = ~np.isfinite(last)
    return int(np.lexsort((last, ~inside, lost))[0])


def _cut(path: np.ndarray, loss: np.ndarray) -> dict[str, list[float | str]]:
    """Return a walk as far as it can be followed; path: (steps + 1, 2)."""
    lost = ~(np.isfinite(loss) & np.isfinite(path).all(axis=1))
    end = int(np.argmax(lost)) + 1 if lost.any() else len(loss)
    return {"x": pack(path[:end, 0], 5), "y": pack(path[:end, 1], 5), "loss": pack(loss[:end], 5)}


def _outline(surface: Surface) -> list[str]:
    """Return, from the highest level to the lowest, where the surface lies below it: paths of SVG."""
    x = tensor.linspace(*surface.x, GRID[0], dtype=tensor.float64)
    y = tensor.linspace(*surface.y, GRID[1], dtype=tensor.float64)
    heights = surface.height(x, y.unsqueeze(1)).numpy()
    # Evenly spaced to the eye: by the fourth root, which the steep walls of a banana do not use up.
    roots = np.linspace(0.0, heights.max() ** 0.25, LEVELS + 1)[1:]
    return [_draw(outline(heights, float(root**4))) for root in reversed(roots)]


def _draw(outlines: list[np.ndarray]) -> str:
    """Return a path of SVG in whole pixels of WIDE by HIGH, where y goes down."""
    scale = np.array([WIDE / (GRID[0] - 1), -HIGH / (GRID[1] - 1)])
    parts = []
    for points in outlines:
        pixels = np.rint(points * scale + [0, HIGH]).astype(int)
        moved = np.diff(pixels, axis=0)
        moved = moved[moved.any(axis=1)]
        if not len(moved):  # smaller than a pixel
            continue
        begin = f"M{pixels[0, 0]} {pixels[0, 1]}l"
        parts.append(begin + " ".join(f"{dx} {dy}" for dx, dy in moved.tolist()).replace(" -", "-") + "z")
    return "".join(parts)
