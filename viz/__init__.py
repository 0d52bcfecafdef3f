"""Pictures of computations. Draws whatever answers `Drawable`; imports neither engine."""

from viz.graph import Drawable, draw, save

__all__ = ["Drawable", "draw", "save"]
