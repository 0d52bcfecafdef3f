"""The filters of a network's layers, as pictures of their weights."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viz.plots.style import SMALL, Colours, clean, count, new_figure, styled, write_headline

WIDTH, GAP, CAPTION, LARGEST_WEIGHT = 6.4, 0.42, 0.06, 0.25  # inches
NARROWEST = 3.8  # inches: a layer's caption and its scale side by side
BETWEEN = 2  # dots of the picture, between two filters
QUANTILE = 0.995
"""Weights are shown up to this quantile of their sizes: a single one that is larger would pale all others."""


@styled
def draw_filters(colours: Colours, layers: Sequence[Any], title: str = "Filters") -> Any:
    """Draw weights: blue for those above zero, orange for those below, one scale for each layer.

    layers: each with a `name`, and `weights` (outputs, inputs, height, width). Filters of one input stand in
    rows; of more, each row holds the filters of one output, a column those of one input.
    """
    mosaics = [_arrange(layer.weights) for layer in layers]
    sizes = [_measure(layer.weights, mosaic) for layer, mosaic in zip(layers, mosaics, strict=True)]
    total = sum(height for height, _ in sizes) + GAP * (len(layers) - 1)
    figure = new_figure(WIDTH, total)
    upper = total
    for layer, mosaic, (height, width) in zip(layers, mosaics, sizes, strict=True):
        axes = figure.add_axes((0.0, (upper - height) / total, width / WIDTH, height / total))
        tones, limit = _draw_layer(axes, colours, layer, mosaic)
        text = {"va": "bottom", "fontweight": "bold", "fontsize": SMALL}
        figure.text(0.0, (upper + CAPTION) / total, _describe(layer), **text)
        bar = figure.add_axes(
            (
                (max(width, NARROWEST) - 1.0) / WIDTH,
                (upper + 1.3 * CAPTION) / total,
                0.6 / WIDTH,
                0.07 / total,
            )
        )
        _draw_scale(bar, colours, tones, limit)
        upper -= height + GAP
    lines = ["weights: orange below zero, blue above"]
    if any(layer.weights.shape[1] > 1 for layer in layers):
        lines.append("filters of several inputs: a row for each output, a column for each input")
    write_headline(figure, colours, title, *lines)
    return figure


def _arrange(weights: NDArray[Any]) -> NDArray[np.float64]:
    """Return all filters side by side, small ones enlarged, with nan around each."""
    outputs, inputs, height, width = weights.shape
    enlarged = max(1, round(12 / max(height, width)))
    tiles = weights.reshape(-1, height, width).repeat(enlarged, axis=1).repeat(enlarged, axis=2)
    columns = _columns(outputs, height, width) if inputs == 1 else inputs
    rows = math.ceil(len(tiles) / columns)
    height, width = tiles.shape[1] + BETWEEN, tiles.shape[2] + BETWEEN
    mosaic = np.full((rows * height + BETWEEN, columns * width + BETWEEN), np.nan)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        mosaic[row * height : (row + 1) * height, column * width : (column + 1) * width][
            BETWEEN:, BETWEEN:
        ] = tile
    return mosaic


def _measure(weights: NDArray[Any], mosaic: NDArray[np.float64]) -> tuple[float, float]:
    """Return how high and how wide a layer is drawn, in inches."""
    rows, columns = mosaic.shape
    enlarged = max(1, round(12 / max(weights.shape[2:])))
    dot = min(WIDTH / columns, WIDTH / rows, LARGEST_WEIGHT / enlarged)
    return dot * rows, dot * columns


def _columns(count: int, height: int, width: int) -> int:
    """Return how many filters stand in a row: where it can be a divisor of `count`."""
    wanted = math.sqrt(3.0 * count * height / width)
    near = [n for n in range(1, count + 1) if count % n == 0 and 0.6 * wanted <= n <= 1.7 * wanted]
    if near:
        return min(near, key=lambda n: abs(math.log(n / wanted)))
    return min(count, max(1, round(wanted)))


def _draw_layer(axes: Any, colours: Colours, layer: Any, mosaic: NDArray[np.float64]) -> tuple[Any, float]:
    """Draw the weights; return the tones, and the size of a weight that has the strongest of them."""
    from matplotlib.colors import LinearSegmentedColormap

    sizes = np.abs(layer.weights)
    limit = float(np.quantile(sizes, QUANTILE)) or float(sizes.max()) or 1.0
    tones = LinearSegmentedColormap.from_list("sign", [colours.negative, colours.paper, colours.positive])
    tones.set_bad(colours.line)
    axes.imshow(
        np.ma.masked_invalid(mosaic), cmap=tones, vmin=-limit, vmax=limit, interpolation="none", aspect="auto"
    )
    axes.set_axis_off()
    return tones, limit


def _describe(layer: Any) -> str:
    outputs, inputs, height, width = layer.weights.shape
    filters = count(outputs, "filter") if inputs == 1 else f"{outputs}x{inputs} filters"
    return f"{clean(layer.name)}: {filters} of {height}x{width}"


def _draw_scale(bar: Any, colours: Colours, tones: Any, limit: float) -> None:
    bar.imshow(np.linspace(-1.0, 1.0, 65)[None], cmap=tones, aspect="auto")
    bar.set_axis_off()
    look = {"transform": bar.transAxes, "va": "center", "color": colours.soft, "fontsize": SMALL - 1.0}
    bar.text(-0.08, 0.45, f"−{limit:.2g}", ha="right", **look)
    bar.text(1.08, 0.45, f"{limit:.2g}", ha="left", **look)
