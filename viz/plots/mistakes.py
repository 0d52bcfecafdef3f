"""The images that a network gets most wrong, with what it took them for."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viz.plots.style import (
    GAP,
    LARGE,
    SMALL,
    Colours,
    clean,
    count,
    new_figure,
    styled,
    write_headline,
    write_percent,
)  # fmt: skip

MOST_COLUMNS = 5
TILE, TEXT = 1.15, 0.62  # inches: an image, and what stands beneath it


@styled
def draw_mistakes(
    colours: Colours, images: NDArray[Any], mistakes: Sequence[Any], labels: Sequence[str],
    everything: int, wrong: int, title: str = "Mistakes",
) -> Any:  # fmt: skip
    """Draw images (N, height, width), 0 for background, that were taken for something else.

    mistakes: for each image what has `label`, `guess`, `sure` (the probability of the guess), `own` (that of
    the label), `loss` and `index`. labels: their names. everything: of how many images; wrong: how many of
    them were mistaken.
    """
    if not mistakes:
        figure = new_figure(4.0, 0.1)
        write_headline(figure, colours, title, f"No mistake in {count(everything, 'test image')}.")
        return figure
    columns = min(len(mistakes), MOST_COLUMNS * max(1, math.ceil(math.sqrt(len(mistakes) / 50))))
    rows = math.ceil(len(mistakes) / columns)
    width, height = columns * TILE * 1.12, rows * (TILE + TEXT)
    figure = new_figure(width, height)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    tone = _tones(colours)
    top = _largest(images)
    for place, (image, mistake) in enumerate(zip(images, mistakes, strict=True)):
        row, column = divmod(place, columns)
        left, upper = column * TILE * 1.12, height - row * (TILE + TEXT)
        axes.imshow(
            image, cmap=tone, vmin=0.0, vmax=top, interpolation="none", aspect="auto",
            extent=(left, left + TILE, upper - TILE, upper),
        )  # fmt: skip
        _write(axes, colours, mistake, labels, left, upper - TILE)
    axes.set_xlim(0.0, width)
    axes.set_ylim(0.0, height)
    part = write_percent(wrong / everything)
    lines = [
        f"{count(wrong, 'mistake')} in {count(everything, 'test image')}: {part}",
        "the largest loss first; bold: what it was taken for, and how sure the network was",
    ]
    if len(mistakes) < wrong:
        lines[0] += f"; here are the worst {len(mistakes):,}"
    write_headline(figure, colours, title, *lines)
    return figure


def _write(
    axes: Any, colours: Colours, mistake: Any, labels: Sequence[str], left: float, bottom: float
) -> None:
    guess, label = clean(labels[mistake.guess], 12), clean(labels[mistake.label], 12)
    long = max(len(guess), len(label)) > 2
    axes.text(
        left, bottom - 0.17, f"{guess}{GAP}{write_percent(mistake.sure)}", va="center", fontweight="bold",
        color=colours.negative, fontsize=SMALL if long else LARGE - 2.0,
    )  # fmt: skip
    axes.text(
        left, bottom - 0.35, f"is {label}: {write_percent(mistake.own)}", va="center", color=colours.soft,
        fontsize=SMALL - 1.0 if long else SMALL,
    )  # fmt: skip


def _tones(colours: Colours) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    tones: list[Any] = [_between(colours), colours.ink]
    return LinearSegmentedColormap.from_list("ink", tones)


def _between(colours: Colours) -> tuple[float, ...]:
    """Return a background that an image's edge can be seen against."""
    from matplotlib.colors import to_rgb

    paper, line = np.array(to_rgb(colours.paper)), np.array(to_rgb(colours.line))
    return tuple(paper + 0.3 * (line - paper))


def _largest(images: NDArray[Any]) -> float:
    return 255.0 if images.dtype == np.uint8 else float(max(images.max(), 1e-12))
