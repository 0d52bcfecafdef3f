"""How every plot looks: colours of the pages, one type, few lines, the name of a curve beside it.

Whatever a `matplotlibrc` says: a plot looks the same everywhere, and the same numbers give the same bytes.
"""

import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import Any

from viz.document import read_template
from viz.dot import printable

FORMATS = (".svg", ".png")
DOTS_PER_INCH = 160  # of a PNG
SMALL, NORMAL, LARGE = 8.0, 9.0, 12.0  # points
LINE_HEIGHT = 1.35
GAP = "\u2002"  # between a name and its number: of two spaces a browser shows one
SERIES = 6
"""So many colours that can be told apart; beyond them, dashes do it."""

DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))


class PlotError(ValueError):
    """What cannot be drawn, in one sentence: another ending, no matplotlib."""


def check_output(path: Path, option: str = "-o") -> None:
    """Raise PlotError where a plot could not be drawn into `path`: before the work, not after it."""
    if path.suffix.lower() not in FORMATS:
        raise PlotError(f"{option} {path}: expected a name that ends in .svg or .png")
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "matplotlib":
            raise PlotError(f"matplotlib cannot be imported ({error}); pip install matplotlib") from None
        raise PlotError(
            "plots are drawn by matplotlib, which is not installed; pip install 'liftgrad[plot]'"
        ) from None
    except Exception as error:  # MPLBACKEND and matplotlibrc may hold anything
        raise PlotError(f"matplotlib cannot be imported ({error})") from None


@dataclass(frozen=True)
class Colours:
    """The colours of a page, as matplotlib takes them."""

    paper: str
    ink: str
    soft: str
    line: str
    positive: str
    negative: str
    series: tuple[str, ...]


@cache
def read_colours(dark: bool = False) -> Colours:
    """Return the colours that `base.css` has for light pages, or for dark ones."""
    css = read_template("base.css")
    start = css.index("prefers-color-scheme: dark") if dark else 0
    block = css[css.index(":root", start) : css.index("}", css.index(":root", start))]
    found = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6});", block))
    names = ("paper", "ink", "soft", "line", "positive", "negative")
    series = tuple(found[f"series-{slot}"] for slot in range(1, SERIES + 1))
    return Colours(**{name: found[name] for name in names}, series=series)


def styled(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Give `draw(colours, ...)` the colours that its caller's `dark` asks for, and the style to draw in."""

    @wraps(draw)
    def drawn(*arguments: Any, dark: bool = False, **options: Any) -> Any:
        colours = read_colours(dark)
        with _in_style(colours):
            return draw(colours, *arguments, **options)

    return drawn


def to_bytes(figure: Any, ending: str) -> bytes:
    """Return a picture as a file holds it; ending: ".svg" or ".png". Equal figures give equal bytes."""
    stream = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if ending == ".svg" else {"Software": None}
    with _in_style(read_colours()):
        figure.savefig(
            stream, format=ending[1:], dpi=DOTS_PER_INCH, metadata=metadata, bbox_inches="tight",
            pad_inches=0.2, facecolor=figure.get_facecolor(),
        )  # fmt: skip
    return stream.getvalue()


@contextmanager
def _in_style(colours: Colours) -> Iterator[None]:
    import matplotlib

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of caches and of fonts
    with warnings.catch_warnings():
        # a character that no font has is drawn as a box, and is no reason to fail
        warnings.simplefilter("ignore")
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_settings(colours))
            yield


def _settings(colours: Colours) -> dict[str, Any]:
    return {
        "svg.fonttype": "none", "svg.hashsalt": "liftgrad",
        "font.family": "sans-serif", "font.size": NORMAL,
        # the first comes with matplotlib; the others are for browsers without it
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
        "text.parse_math": False,  # a file may be called $a$
        "text.color": colours.ink, "figure.facecolor": colours.paper,
        "axes.facecolor": colours.paper, "axes.edgecolor": colours.line, "axes.labelcolor": colours.soft,
        "axes.labelsize": SMALL, "axes.linewidth": 0.8, "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True, "axes.unicode_minus": True,
        "grid.color": colours.line, "grid.linewidth": 0.6, "grid.alpha": 0.7,
        "xtick.labelsize": SMALL, "ytick.labelsize": SMALL,
        "xtick.color": colours.line, "ytick.color": colours.line,
        "xtick.labelcolor": colours.soft, "ytick.labelcolor": colours.soft,
        "ytick.major.size": 0.0, "ytick.minor.size": 0.0, "xtick.major.size": 3.0, "xtick.minor.size": 0.0,
        "lines.linewidth": 1.8, "lines.solid_capstyle": "round", "lines.markersize": 4.5,
    }  # fmt: skip


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure, of a size in inches, that no window knows of."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def write_headline(figure: Any, colours: Colours, title: str, *lines: str) -> None:
    """Write a title and lines beneath it above all that is drawn already, from its left edge on."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    width, height = figure.get_size_inches()
    left, upper = 0.0, height
    if figure.axes:
        drawn = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
        left, upper = drawn.x0, drawn.y1
    row = LINE_HEIGHT * NORMAL / 72.0
    y = upper + 0.14 + row * len(lines)
    figure.text(left / width, (y + 0.03) / height, title, fontsize=LARGE, fontweight="bold", va="bottom")
    for line in lines:
        y -= row
        figure.text(left / width, y / height, line, color=colours.soft, va="bottom")


def label_ends(axes: Any, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Write the name of each curve to the right of the axes; names that would overlap are moved apart.

    ends: (x, y, text, colour), x and y where the curve ends in the units of the axes, whose limits must be
    final. A thin line leads from there to the name.
    """
    height = 72.0 * axes.figure.get_size_inches()[1] * axes.get_position().height
    least = LINE_HEIGHT * NORMAL / height
    to_axes = axes.transData + axes.transAxes.inverted()
    places = [(*to_axes.transform((x, y)), text, colour) for x, y, text, colour in ends]
    places.sort(key=lambda place: -place[1])
    heights = spread([float(y) for _, y, _, _ in places], least)
    for (x, y, text, colour), height in zip(places, heights, strict=True):
        leader = ([x, 1.0, 1.012], [y, y, height])
        axes.plot(*leader, color=colour, linewidth=0.6, alpha=0.6, transform=axes.transAxes, clip_on=False)
        axes.text(1.02, height, text, color=colour, transform=axes.transAxes, va="center", fontweight="bold")


def spread(heights: Sequence[float], least: float) -> list[float]:
    """Return the heights, which fall, moved as little as is needed for `least` between neighbours.

    They end within 0..1 where they fit; groups of neighbours move together, about their middle.
    """
    groups: list[list[float]] = []  # [middle, members]
    for height in heights:
        groups.append([height, 1.0])
        while len(groups) > 1:
            (upper, above), (lower, below) = groups[-2:]
            if upper - lower >= least * (above + below) / 2:
                break
            groups[-2:] = [[(upper * above + lower * below) / (above + below), above + below]]
    moved = [
        middle + least * ((members - 1) / 2 - place)
        for middle, members in groups
        for place in range(int(members))
    ]
    if moved:  # not below the axes, nor above them
        shift = max(0.0, -min(moved)) - max(0.0, max(moved) - 1.0)
        moved = [height + shift for height in moved]
    return moved


def clean(text: str, most: int = 40) -> str:
    """Return a name as it can be written: no control characters, its middle left out where it is long."""
    text = " ".join(printable(text).split())
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def write_percent(part: float) -> str:
    """Return a part as per cent: 98.1%, but never 100.0% for less than all, nor 0.0% for more than none."""
    text = f"{part:.1%}"
    if (text == "100.0%" and part < 1.0) or (text == "0.0%" and part > 0.0):
        return ">99.9%" if part > 0.5 else "<0.1%"
    return "100%" if part == 1.0 else "0%" if part == 0.0 else text


def count(number: int, what: str) -> str:
    """Return "1 image", "2,000 images"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
