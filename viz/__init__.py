"""Pictures of computations. Draws whatever answers `Drawable`; imports neither engine."""

from viz.graph import Drawable, draw
from viz.models import draw_model
from viz.page import page
from viz.render import save, svg

__all__ = ["Drawable", "draw", "draw_model", "page", "save", "svg"]
