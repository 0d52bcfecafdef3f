"""A page that plays a recorded pass, step by step: one file that needs no network and computes nothing.

Every number of every state is written down beforehand, by the functions that print it in a terminal
(`viz.recording`), and every box has its place (`viz.boxes`); the script only looks up what holds at a step.
"""

import os
from pathlib import Path
from typing import Any

from micro.stepper import step
from micro.text import shorten
from viz.boxes import draw_boxes
from viz.document import escape_html, fill_template, write_document
from viz.dot import printable
from viz.layout import lay_out
from viz.recording import Steps, record
from viz.render import write_whole

__all__ = ["LARGEST_PAGE", "page", "write_page"]

LARGEST_PAGE = 2000
"""A pass over more nodes is refused: nobody could read the drawing, and a browser is slow to show it."""

PARTS = (
    "drawing.css", "controls.css", "page.css",
    "elements.js", "recording.js", "player.js", "panel.js", "page.js",
)  # fmt: skip

CONTROLS = {
    "unit": "step",
    "label": "Step",
    "hint": " Click a box for the step of its value, again for that of its gradient.",
    "buttons": '<button type="button" id="fit" aria-pressed="false">Fit</button>\n',
    "below": '<div id="phases" aria-hidden="true"></div>\n',
}

LONGEST_TITLE = 120

LIMIT = 10.0
"""Seconds that Graphviz may take; after them the boxes stand in plain layers."""


def page(root: Any, path: str | os.PathLike[str], *, title: str | None = None, check: bool = False) -> Path:
    """Write a page that plays how `root` was computed and how its gradient flows back; return its path.

    An existing file is replaced as a whole or left as it was. The same computation gives the same bytes,
    wherever the same Graphviz places its boxes.

    Args:
        root: a Value or a Tensor; a function that returns one, which is called so that tensors keep all that
            a page can show; or the Stepper of one, which is left where it stands.
        path: the file, whose name ends in .html or .htm.
        title: the headline; by default the label of the result.
        check: show a finite difference beside each local derivative. A Stepper has been made with it or not.

    Raises:
        TypeError: `root` records no computation.
        ValueError: another ending, or more than `LARGEST_PAGE` nodes.
        OSError: `path` cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"page: the name must end in .html, got {path.name!r}")
    write_whole(path, write_page(root, title=title, check=check).encode())
    return path


def write_page(root: Any, *, title: str | None = None, check: bool = False) -> str:
    """Return the page as text; arguments and errors as for `page`."""
    steps = _step_through(root, check)
    count = len(steps.nodes)
    if count > LARGEST_PAGE:
        raise ValueError(
            f"page: {count:,} nodes; a page shows at most {LARGEST_PAGE:,}: step through them in Python, "
            "with step(root), or make the page of a smaller computation, such as one sample of a batch"
        )
    recording = record(steps)
    drawing, by_graphviz = draw_boxes(recording, _render)
    notes = [steps.recorded.note]
    if not by_graphviz:
        notes.append("Drawn in plain layers: Graphviz is not here, or took too long.")
    if title is None:
        title = f"{steps.nodes[-1].label or 'Forward and backward'}, step by step"
    return write_document(
        "page.html",
        PARTS,
        shorten(printable(title), LONGEST_TITLE),
        recording,
        drawing=drawing,
        controls=fill_template("controls.html", **CONTROLS),
        note=escape_html(" ".join(note for note in notes if note)),
    )


def _step_through(root: Any, check: bool) -> Steps:
    if hasattr(root, "record_pass") or callable(root):
        return step(root, check=check)
    if all(hasattr(root, name) for name in ("goto", "value", "grad", "nodes")):
        return root
    raise TypeError(f"page: expected a Value, a Tensor or a Stepper, got {type(root).__name__}")


def _render(source: str) -> str:
    return lay_out(source, "svg", LIMIT).decode()
