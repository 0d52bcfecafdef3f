"""What the layers of a network give: how the numbers are distributed, and which units rest."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from viz.plots.style import (
    NORMAL,
    SMALL,
    Colours,
    clean,
    count,
    new_figure,
    styled,
    write_headline,
    write_percent,
)

HEIGHT, GAP, WIDTH = 0.62, 0.36, 4.4  # inches, of a histogram


@styled
def draw_activations(colours: Colours, layers: Sequence[Any], images: int, title: str = "Activations") -> Any:
    """Draw a histogram for each layer, first to last, and beside it its share of zeros and its dead units.

    layers: each with `name`, `edges`, `counts` (zeros left out), `count` and `zeros` of all numbers, `units`
    and `dead`, and `rectifies`, whether it is a ReLU. images: how many the network was shown.
    """
    total = len(layers) * (HEIGHT + GAP)
    figure = new_figure(WIDTH, total)
    for place, layer in enumerate(layers):
        lower = total - (place + 1) * (HEIGHT + GAP) + GAP
        axes = figure.add_axes((0.0, lower / total, 1.0, HEIGHT / total))
        _draw_layer(axes, colours, layer)
    write_headline(
        figure, colours, title,
        f"what each layer gives for {count(images, 'test image')}; the histograms leave out zeros",
    )  # fmt: skip
    return figure


def _draw_layer(axes: Any, colours: Colours, layer: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    counts, edges = np.asarray(layer.counts, np.float64), np.asarray(layer.edges)
    high = counts.max()
    for below, colour in ((True, colours.negative), (False, colours.positive)):
        middle = (edges[1:] + edges[:-1]) / 2
        chosen = np.where((middle < 0.0) == below, counts, 0.0)
        axes.stairs(chosen, edges, fill=True, color=colour, linewidth=0.0)
    axes.set_ylim(0.0, max(high, 1.0) * 1.04)
    axes.set_xlim(edges[0], edges[-1])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="x", pad=1.5, length=2.0, labelsize=SMALL - 1.0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(False)
    for y, (text, look) in zip((0.82, 0.5, 0.18), _say(colours, layer), strict=False):
        axes.text(1.03, y, text, transform=axes.transAxes, va="center", **look)


def _say(colours: Colours, layer: Any) -> list[tuple[str, dict[str, Any]]]:
    soft = {"color": colours.soft, "fontsize": SMALL}
    said = [(clean(layer.name), {"fontweight": "bold", "fontsize": NORMAL})]
    if layer.zeros or layer.rectifies:
        said.append((f"{write_percent(layer.zeros / max(layer.count, 1))} zeros", soft))
    if layer.rectifies:
        loud = {"color": colours.negative, "fontsize": SMALL, "fontweight": "bold"}
        said.append((f"{layer.dead:,} of {count(layer.units, 'unit')} dead", loud if layer.dead else soft))
    return said
