"""Where a drawing that was asked for on the command line goes: a file, a pipe, a terminal."""

import sys
from pathlib import Path
from typing import Any

from viz.graph import draw
from viz.layout import LayoutError, lay_out
from viz.render import save, svg
from viz.tree import show_tree

__all__ = ["put"]


def put(root: Any, path: Path | None, format: str | None, **options: Any) -> None:
    """Draw into a file and say so; without one, print: a tree on a terminal, else DOT text.

    Args:
        path: the file. None to print.
        format: what is printed instead: "svg", "png", "pdf" or "dot".
        options: as for `draw`.

    Raises:
        ValueError: the name has another ending.
        LayoutError: the picture could not be made, or not shown on a terminal.
        OSError: the file could not be written.
    """
    if path is not None:
        print(f"wrote {save(root, path, **options)}")
    elif format == "svg":
        print(svg(root, **options), end="")
    elif format in ("png", "pdf"):
        if sys.stdout.isatty():
            raise LayoutError(f"{format} is nothing to read: name a file, as in -o graph.{format}")
        try:
            picture = lay_out(draw(root, **options).source, format)
        except LayoutError as error:
            raise type(error)(f"{format}: {error}") from None
        sys.stdout.flush()
        sys.stdout.buffer.write(picture)
    elif format == "dot" or not sys.stdout.isatty():
        print(draw(root, **options).source, end="")
    else:
        print(show_tree(root))
        print("(-o graph.svg draws it)")
