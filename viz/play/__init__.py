"""A page on which one draws a digit, and a trained network classifies it in the browser, stroke by stroke.

The network comes as a list of layers; the browser computes them, and nothing else of the engine.
"""

from viz.play.export import list_layers
from viz.play.page import write_file, write_page

__all__ = ["list_layers", "write_file", "write_page"]
