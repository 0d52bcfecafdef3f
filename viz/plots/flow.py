"""How large the gradients of each layer were while a network was trained."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viz.plots.style import DASHES, SERIES, Colours, clean, label_ends, new_figure, styled, write_headline

SMOOTH = 9
"""Steps that the strong line is the mean of; the faint one has every step that was measured."""


@styled
def draw_flow(
    colours: Colours, epochs: Sequence[float], norms: NDArray[np.float64], layers: Sequence[str],
    title: str = "Gradients",
) -> Any:  # fmt: skip
    """Draw gradient norms (steps, layers) on a logarithmic scale by epoch.

    epochs: (steps,), how many were done at each step. nan, inf and 0 leave a gap.
    """
    figure = new_figure(6.4, 3.6)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    x = np.asarray(epochs, np.float64)
    norms = np.where(np.isfinite(norms) & (norms > 0.0), norms, np.nan)
    ends = []
    for place, name in enumerate(layers):
        colour, dashes = colours.series[place % SERIES], DASHES[place // SERIES % len(DASHES)]
        y = norms[:, place]
        smooth = smoothen(y)
        axes.plot(x, y, color=colour, linewidth=0.7, alpha=0.35, marker="." if len(x) < 3 else None)
        axes.plot(x, smooth, color=colour, linestyle=dashes)
        finite = smooth[np.isfinite(smooth)]
        if len(finite):
            ends.append((float(x[np.isfinite(smooth)][-1]), float(finite[-1]), clean(name, 32), colour))
    _set_scales(axes, x, norms)
    label_ends(axes, ends)
    lost = len(norms) - int(np.isfinite(norms).all(axis=1).sum())
    lines = [
        "Euclidean norm of the gradient, weights and biases of a layer together",
        f"faint: single steps; strong: the geometric mean of {SMOOTH} of them",
    ]
    if lost:
        lines.append(f"gaps: {lost} of {len(norms)} steps with a gradient of 0, or that is no number")
    write_headline(figure, colours, title, *lines)
    return figure


def smoothen(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the geometric mean of each number and its neighbours, fewer towards both ends; nan stays nan."""
    logs, found = np.log(y), np.full(len(y), np.nan)
    for i in range(len(y)):
        near = logs[max(0, i - SMOOTH // 2) : i + SMOOTH // 2 + 1]
        near = near[np.isfinite(near)]
        if math.isfinite(y[i]) and len(near):
            found[i] = math.exp(near.mean())
    return found


def _set_scales(axes: Any, x: NDArray[np.float64], norms: NDArray[np.float64]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set_yscale("log")
    values = norms[np.isfinite(norms)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.1, 1.0)
    axes.set_ylim(low / 1.2, high * 1.2)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 300.0 else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    span = float(x[-1] - x[0])
    axes.set_xlim(float(x[0]), float(x[0]) + (1.01 * span or 1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=span > 3.0, nbins=10, steps=[1, 2, 5, 10]))
    axes.set_xlabel("epochs done")
    axes.set_ylabel("gradient norm")
