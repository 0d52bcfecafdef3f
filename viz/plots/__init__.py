"""Plots of training runs and of trained networks, drawn by matplotlib, which is an extra: `liftgrad[plot]`.

Every function takes arrays, numbers and things with the attributes it names, and returns a matplotlib Figure;
`dark=True` draws it for a dark page. No window is ever opened.
"""

from viz.plots.activations import draw_activations
from viz.plots.confusion import draw_confusion
from viz.plots.curves import Curve, draw_curves
from viz.plots.filters import draw_filters
from viz.plots.flow import draw_flow
from viz.plots.mistakes import draw_mistakes
from viz.plots.style import FORMATS, PlotError, check_output, to_bytes

__all__ = [
    "FORMATS", "Curve", "PlotError", "check_output", "draw_activations", "draw_confusion", "draw_curves",
    "draw_filters", "draw_flow", "draw_mistakes", "to_bytes",
]  # fmt: skip
