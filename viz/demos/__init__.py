"""Pages that show the engine at work: one file each, which needs no network.

A demo is a module with `record(...)`, which runs this engine and returns what happened as JSON can hold it,
and `write(...)`, which returns the page that plays it.
"""

from viz.demos.table import DEMOS, Demo

__all__ = ["DEMOS", "Demo"]
