"""Which labels a network takes for which."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
)  # fmt: skip


@styled
def draw_confusion(
    colours: Colours, matrix: NDArray[np.int64], labels: Sequence[str], title: str = "Confusion"
) -> Any:
    """Draw how many images of each label (row) were taken for each label (column): (n, n).

    What is right stands on the diagonal; the fields beside it are the darker, the more of their row they are.
    """
    n = len(labels)
    side = max(3.2, 0.44 * n)
    figure = new_figure(side + 1.0, side)
    axes = figure.add_axes((0.0, 0.0, side / (side + 1.0), 1.0))
    rows = matrix.sum(axis=1)
    parts = np.divide(matrix, rows[:, None], out=np.zeros(matrix.shape), where=rows[:, None] > 0)
    _fill(axes, colours, parts)
    size = NORMAL if n <= 3 else SMALL if matrix.max() < 10_000 else SMALL - 1.5
    for row in range(n):
        for column in range(n):
            number = int(matrix[row, column])
            if number or row == column:
                axes.text(
                    column, row, _shorten(number), ha="center", va="center", fontsize=size,
                    color=colours.soft if row == column else colours.ink,
                    fontweight="normal" if row == column else "bold",
                )  # fmt: skip
    names = [clean(label, 16) for label in labels]
    axes.set_xticks(range(n), names, color=colours.ink)
    axes.set_yticks(range(n), names, color=colours.ink)
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("was taken for")
    axes.set_ylabel("is", rotation=0.0, ha="right", va="center")
    axes.tick_params(length=0.0)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _write_margins(axes, colours, matrix)
    right, everything = int(np.trace(matrix)), int(matrix.sum())
    part = write_percent(right / max(everything, 1))
    write_headline(figure, colours, title, f"{right:,} of {count(everything, 'test image')} right: {part}")
    return figure


def _fill(axes: Any, colours: Colours, parts: NDArray[np.float64]) -> None:
    """Tint the fields: the diagonal in the paper's grey, mistakes by their part of the row."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    paper, wrong, line = (np.array(to_rgb(c)) for c in (colours.paper, colours.negative, colours.line))
    worst = max(float((parts - np.diag(np.diag(parts))).max()), 1e-12)
    n = len(parts)
    for row in range(n):
        for column in range(n):
            if row == column:
                colour = paper + 0.35 * (line - paper)
            elif parts[row, column] > 0.0:
                colour = paper + (0.08 + 0.52 * parts[row, column] / worst) * (wrong - paper)
            else:
                colour = paper
            field = Rectangle(
                (column - 0.5, row - 0.5), 1.0, 1.0, facecolor=tuple(colour), edgecolor=colours.line,
                linewidth=0.5, clip_on=False,
            )  # fmt: skip
            axes.add_patch(field)


def _write_margins(axes: Any, colours: Colours, matrix: NDArray[np.int64]) -> None:
    """Write after each row which part of it is right, below each column which part of what was called so."""
    n = len(matrix)
    right, rows, columns = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    look = {"textcoords": "offset points", "color": colours.soft, "fontsize": SMALL, "va": "center"}
    end = n - 0.5
    axes.annotate("recall", (end, -0.5), xytext=(7.0, 9.0), **look)
    axes.annotate("precision", (end, end), xytext=(7.0, -12.0), **look)
    small = {**look, "fontsize": SMALL - 1.0, "ha": "center"}
    for k in range(n):
        found = write_percent(right[k] / rows[k]) if rows[k] else "–"
        axes.annotate(found, (end, k), xytext=(7.0, 0.0), **look)
        called = write_percent(right[k] / columns[k]) if columns[k] else "–"
        axes.annotate(called, (k, end), xytext=(0.0, -12.0), **small)


def _shorten(number: int) -> str:
    return f"{number:,}" if number < 100_000 else f"{number // 1000:,}k"
