"""Draw a graph into a file or into SVG text, whatever its size.

A layout that takes longer than it may is tried again in simpler forms: with straight edges, then with its
oldest part folded away; at last the graph is left as DOT text. One line, a warning, says what was done.
"""

import os
import secrets
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import graphviz

from viz.graph import draw
from viz.layout import LIMIT, GraphvizMissing, LayoutError, LayoutTimeout, lay_out, tidy
from viz.nodes import Drawable, sort_by_computation

__all__ = ["save", "svg"]

FORMATS = ("svg", "png", "pdf", "dot")

# What is tried in turn, each with its part of the time, and what is said of it.
_LADDER: tuple[tuple[float, dict[str, Any], str], ...] = (
    (0.6, {}, ""),
    (0.2, {"splines": "line"}, "drawn with straight edges, since {reason}"),
)


def svg(root: Drawable | graphviz.Digraph, *, timeout: float = LIMIT, **options: Any) -> str:
    """Return the picture of all that `root` was computed from as text: one `<svg>` element.

    It needs no file and no network; its words are text.

    Args:
        root: what `draw` takes, or a graph that `draw` or `draw_model` returned.
        timeout: seconds the layout may take. Then a simpler drawing takes its place, and a warning says so.
        options: as for `draw`.

    Raises:
        RuntimeError: it could not be drawn within the time, or there is no Graphviz.
    """
    _check_timeout("svg", timeout)
    try:
        content, note = _climb_down(root, "svg", timeout, options)
    except LayoutError as error:
        raise type(error)(f"svg: {error}") from None
    if note:
        warnings.warn(f"svg: {note}", stacklevel=2)
    return tidy(content, *describe(root))


def save(
    root: Drawable | graphviz.Digraph, path: str | os.PathLike[str], *, timeout: float = LIMIT, **options: Any
) -> Path:
    """Write the graph of `root` to `path` and return the path; its ending says which format.

    `.svg` and `.dot` (the graph as text) need nothing but this package's dependencies; `.png` and `.pdf` need
    Graphviz's program `dot`. An existing file is replaced as a whole or left as it was. A graph that cannot
    be laid out within the time is written as `.dot` beside `path`; the path of that is returned, and a
    warning names it.

    Args:
        root: what `draw` takes, or a graph that `draw` or `draw_model` returned.
        timeout: seconds the layout may take. Then a simpler drawing takes its place, and a warning says so.
        options: as for `draw`.

    Raises:
        ValueError: another ending.
        RuntimeError: no Graphviz here writes this format.
        OSError: `path` cannot be written.
    """
    path = Path(path)
    format = path.suffix.removeprefix(".").lower()
    if format not in FORMATS:
        raise ValueError(f"save: the name must end in .svg, .png, .pdf or .dot, got {path.name!r}")
    _check_timeout("save", timeout)
    if format == "dot":
        _replace(path, _graph_of(root, options).source.encode())
        return path
    try:
        content, note = _climb_down(root, format, timeout, options)
    except GraphvizMissing as error:
        other = path.with_suffix(".dot" if format == "svg" else ".svg").name
        raise GraphvizMissing(f"save: {path.name} {error}, or save {other}, which needs nothing") from None
    except LayoutError as error:
        text = path.with_suffix(".dot")
        _replace(text, _graph_of(root, options).source.encode())
        warnings.warn(
            f"save: wrote {text.name}, the graph as text, and no {path.name}: {error}", stacklevel=2
        )
        return text
    if format == "svg":
        picture = tidy(content, *describe(root))
        content = f'<?xml version="1.0" encoding="UTF-8"?>\n{picture}'.encode()
    _replace(path, content)
    if note:
        warnings.warn(f"save: {path.name} was {note}", stacklevel=2)
    return path


def _check_timeout(name: str, timeout: float) -> None:
    if not timeout > 0:
        raise ValueError(f"{name}: timeout is the seconds a layout may take, above 0, got {timeout!r}")


def _climb_down(root: Any, format: str, timeout: float, options: dict[str, Any]) -> tuple[bytes, str]:
    """Return the picture in the first form that can be laid out in time, and what is to be said of it."""
    reason = ""
    for part, simpler, note in _LADDER:
        graph = _graph_of(root, options)
        graph.graph_attr.update(simpler)
        try:
            return lay_out(graph.source, format, timeout * part), note.format(reason=reason)
        except GraphvizMissing:
            raise
        except LayoutError as error:
            reason = reason or str(error)
    raise LayoutTimeout(f"{reason}, and straight edges did not help")


def _graph_of(root: Any, options: dict[str, Any]) -> graphviz.Digraph:
    return root.copy() if isinstance(root, graphviz.Digraph) else draw(root, **options)


def describe(root: Any) -> tuple[str, str]:
    """Return what a screen reader says of the picture: a title and a sentence."""
    if isinstance(root, graphviz.Digraph):
        return root.name or "Graph", ""
    nodes = sort_by_computation(root)
    inputs = [node for node in nodes if not node.parents and not node.op]
    names = [str(node.label) for node in inputs if node.label]
    result = str(root.label or "a result")
    of = ", ".join(names) if 0 < len(names) == len(inputs) <= 10 else f"{len(inputs):,} inputs"
    return f"How {result} was computed", f"{result} from {of}, in {len(nodes) - len(inputs):,} operations"


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
