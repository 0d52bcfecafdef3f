"""What a notebook shows of a value: its graph as a picture, where that is small enough to be read."""

from typing import Any

from viz.graph import draw
from viz.layout import LayoutError, lay_out, tidy
from viz.render import caption

__all__ = ["LARGEST_DRAWN", "show"]

LARGEST_DRAWN = 200
"""Values; more would fill a notebook with a picture that nobody can read."""

PATIENCE = 3.0
"""Seconds that the layout may take: somebody waits for the next cell."""


def show(value: Any) -> dict[str, str] | None:
    """Return the text and the picture of `value`'s graph; None where there is only text to show.

    An array that was not computed from anything has no graph. Of a large graph there are the text and a line.
    """
    if hasattr(value, "shape") and not value.parents:
        return None
    text = repr(value)
    if _is_larger(value, LARGEST_DRAWN):
        why = f"more than {LARGEST_DRAWN} values"
    else:
        try:
            picture = tidy(lay_out(draw(value).source, "svg", PATIENCE), *caption(value))
            return {"text/plain": text, "image/svg+xml": picture}
        except LayoutError as error:
            why = str(error)
    return {"text/plain": f'{text}\n(not drawn here: {why}; viz.save(..., "graph.svg") writes a file)'}


def _is_larger(root: Any, most: int) -> bool:
    seen, waiting = {id(root)}, [root]
    while waiting and len(seen) <= most:
        new = {id(parent): parent for parent in waiting.pop().parents if id(parent) not in seen}
        seen.update(new)
        waiting += new.values()
    return len(seen) > most
