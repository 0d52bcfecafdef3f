"""Draw a recorded computation: a box for each value, an oval for each operation between them."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import graphviz

from micro.text import shorten, show_kind, show_quantity

__all__ = ["Drawable", "draw", "save"]


class Drawable(Protocol):
    """What a node of a computation must answer to be drawn.

    `parents` must hold the same objects on every reading: a node is known by its identity. A leaf has no
    parents and an empty `op`. `data` is None where it was not recorded, `grad` where it was not computed
    yet. Each is a number, or an array with `shape`, `dtype` and `tolist()`. A node whose `data` is None may
    itself have a `shape` and a `dtype`; they are shown in its place.
    """

    @property
    def parents(self) -> tuple["Drawable", ...]: ...
    @property
    def op(self) -> str: ...
    @property
    def label(self) -> str | None: ...
    @property
    def data(self) -> Any: ...
    @property
    def grad(self) -> Any: ...


# Both themes of a page show the picture: it brings its own background and dark ink.
# Inputs stand in their order, since `a - b` is not `b - a`.
_GRAPH_STYLE = {"bgcolor": "white", "ordering": "in", "pad": "0.2", "nodesep": "0.25", "ranksep": "0.25"}
_NODE_STYLE = {
    "shape": "record",
    "style": "filled",
    "fillcolor": "white",
    "color": "#57606a",
    "fontcolor": "#1f2328",
    "fontname": "Helvetica,Arial,sans-serif",
    "fontsize": "12",
    "height": "0.4",
}
_EDGE_STYLE = {"color": "#57606a", "arrowsize": "0.7"}
_LEAF_STYLE = {"fillcolor": "#ddf4ff"}
_OP_STYLE = {"shape": "oval", "fillcolor": "#fff8c5", "margin": "0.08,0.04", "width": "0.6"}


def draw(root: Drawable, *, format: str = "svg", rankdir: str = "LR") -> graphviz.Digraph:
    """Return the graph of everything `root` was computed from, as Graphviz source that can be rendered.

    A value is a record `label | data | grad`, an operation an oval between its inputs and its result.
    `a + a` has two edges. The same graph gives the same text in every process: nodes are numbered in the
    order of computation.

    Args:
        root: a Value, a Tensor, or anything that answers `Drawable`.
        format: what `.render()` writes: "svg", "png", "pdf", ...
        rankdir: the direction of the computation: "LR", "RL", "TB" or "BT".

    Raises:
        TypeError: `root` records no computation.
        ValueError: `format` or `rankdir` is not one that Graphviz knows.
    """
    if not {"parents", "op", "label", "data", "grad"} <= set(dir(root)):  # hasattr would ask for the gradient
        raise TypeError(f"draw: expected a Value or a Tensor, got {type(root).__name__}")
    if rankdir not in ("LR", "RL", "TB", "BT"):
        raise ValueError(f"draw: rankdir is 'LR', 'RL', 'TB' or 'BT', got {rankdir!r}")

    graph = graphviz.Digraph(
        "computation",  # the tooltip of the picture
        format=format,
        graph_attr={"rankdir": rankdir, **_GRAPH_STYLE},
        node_attr=_NODE_STYLE,
        edge_attr=_EDGE_STYLE,
    )
    graph.body.extend(_describe(root))
    return graph


def save(root: Drawable, path: str | os.PathLike[str], *, rankdir: str = "LR") -> Path:
    """Write the graph of `root` to `path` and return the path; its ending says which format.

    `.dot` holds the graph as text and needs nothing but this package; `.svg`, `.png` and `.pdf` need
    Graphviz's program `dot`. An existing file is replaced as a whole or left as it was.

    Raises:
        ValueError: another ending.
        RuntimeError: `dot` is not installed.
        OSError: `path` cannot be written.
    """
    path = Path(path)
    format = path.suffix.removeprefix(".").lower()
    if format not in ("svg", "png", "pdf", "dot"):
        raise ValueError(f"save: the name must end in .svg, .png, .pdf or .dot, got {path.name!r}")
    graph = draw(root, rankdir=rankdir)
    if format == "dot":
        content = graph.source.encode()
    else:
        try:
            content = graph.pipe(format=format)
        except graphviz.ExecutableNotFound:
            raise RuntimeError(
                f"save: {path.name} needs Graphviz's program `dot`, which is not on the PATH; install it "
                "(apt install graphviz, brew install graphviz, winget install graphviz), "
                f"or save {path.with_suffix('.dot').name}, which needs nothing"
            ) from None
    _replace(path, content)
    return path


# --- the text --------------------------------------------------------------------------------------


def _describe(root: Drawable) -> Iterator[str]:
    """Yield the lines of DOT: every value, its operation and the edges into it."""
    # Written here and not by Digraph.node: that costs six times as much, and escapes no record labels.
    number: dict[int, int] = {}
    count = 0
    for node in sort_by_computation(root):
        number[id(node)] = count
        leaf = not node.parents and not node.op
        yield f"\t{count} [label={_record(node)}{_attributes(_LEAF_STYLE) if leaf else ''}]\n"
        target = count
        count += 1
        if node.op:
            yield f"\t{count} [label={quote(escape(node.op))}{_attributes(_OP_STYLE)}]\n"
            yield f"\t{count} -> {target}\n"
            target = count
            count += 1
        for parent in node.parents:
            yield f"\t{number[id(parent)]} -> {target}\n"


def sort_by_computation(root: Drawable) -> list[Drawable]:
    """Return `root` and all it was computed from, each once, every node after its parents."""
    # Not recursive: a training loop records chains far deeper than Python's stack.
    order: list[Drawable] = []
    seen = {id(root)}
    stack = [(root, iter(root.parents))]
    while stack:
        node, parents = stack[-1]
        for parent in parents:
            if id(parent) not in seen:
                seen.add(id(parent))
                stack.append((parent, iter(parent.parents)))
                break
        else:
            order.append(node)
            stack.pop()
    return order


def _record(node: Drawable) -> str:
    label = "" if node.label is None else str(node.label)
    fields = [escape_field(shorten(label))] if label.strip() else []
    data = show_quantity(node.data)
    shape, dtype = getattr(node, "shape", None), getattr(node, "dtype", None)
    if node.data is None and shape is not None:
        data = show_kind(shape, dtype)
    # Of a computed tensor that keeps no gradient, asking for it would warn.
    has_grad = getattr(node, "is_leaf", True) or getattr(node, "retains_grad", True)
    grad = node.grad if has_grad else None
    fields += [escape_field(f"data {data}"), escape_field(f"grad {show_quantity(grad)}")]
    return quote("{ " + " | ".join(fields) + " }")


def _attributes(style: dict[str, str]) -> str:
    return "".join(f" {name}={quote(value)}" for name, value in style.items())


# --- escaping --------------------------------------------------------------------------------------

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_FIELD_CHARACTERS = re.compile(r"([{}|<>])")


def escape(text: str) -> str:
    """Return `text` so that Graphviz draws these very characters in the label of an ordinary node."""
    text = _UNPRINTABLE.sub("\ufffd", text)  # NUL ends a C string, the others are not allowed in an SVG
    text = text.replace("\\", "\\\\").replace("&", "&amp;")
    return text.replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\n").replace("\t", " ")


def escape_field(text: str) -> str:
    """Return `text` so that Graphviz draws these very characters in one field of a record."""
    return _FIELD_CHARACTERS.sub(r"\\\1", escape(text))


def quote(text: str) -> str:
    """Return escaped `text` as a DOT string. Within quotes a `<...>` is no HTML."""
    return '"' + text.replace('"', '\\"') + '"'


# --- files -----------------------------------------------------------------------------------------


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
