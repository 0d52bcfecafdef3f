"""What a drawing draws: the nodes of a computation, read once, numbered in the order of computation."""

from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np

from micro.text import LARGEST_SHOWN, show_kind, show_number, show_quantity
from micro.trace import sort_by_parents

__all__ = ["Drawable", "Node", "describe", "norm", "read", "read_recorded"]


class Drawable(Protocol):
    """What a node of a computation must answer to be drawn.

    `parents` must hold the same objects on every reading: a node is known by its identity. A leaf has no
    parents and an empty `op`. `data` is None where it was not recorded, `grad` where it was not computed
    yet. Each is a number, or an array with `shape`, `dtype` and `tolist()`. A node whose `data` is None may
    itself have a `shape` and a `dtype`; they are shown in its place.

    A node may also answer `kind` ("input", "parameter", "constant" or "operation"; otherwise what has no
    parents is an input) and `has_grad`, false where its `grad` is not computed yet although it is no None.
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


@dataclass(slots=True)
class Node:
    """One value of a drawing and the operation that made it."""

    number: int
    kind: str
    op: str
    label: str
    parents: list[int]
    """Numbers of the operands, in order; a value used twice stands twice."""
    data: Any = None
    grad: Any = None
    shape: Any = None
    dtype: Any = None
    count: int = 1
    """How many values this one stands for: more than one where equal operations in a row were folded."""


def read(root: Drawable) -> list[Node]:
    """Return everything `root` was computed from, and `root` at the end, as nodes 0, 1, 2, ..."""
    number: dict[int, int] = {}
    nodes = []
    for n, source in enumerate(sort_by_parents([root])):
        number[id(source)] = n
        op, label = source.op, source.label
        parents = [number[id(parent)] for parent in source.parents]
        kind = getattr(source, "kind", None) or ("operation" if parents or op else "input")
        data = source.data
        shape, dtype = getattr(source, "shape", None), getattr(source, "dtype", None)
        if shape is None:
            shape, dtype = getattr(data, "shape", None), getattr(data, "dtype", None)
        label = "" if label is None else str(label)
        nodes.append(Node(n, kind, op, label, parents, data, _grad(source), shape, dtype))
    return nodes


def read_recorded(recorded: Any, position: int | None = None) -> list[Node]:
    """Return the nodes of a recorded pass, with what is known of them where `position` steps are done.

    recorded: a Pass, as a Stepper plays it. position: None for the end, where everything is known. What has
    no label has the pass's name: derivatives speak of it. A constant needs none, its number is the name.
    """
    data = recorded.data
    if position is None:
        position = len(recorded.nodes) + 1 + len(recorded.order)
    nodes = [
        Node(
            node.number,
            node.kind,
            node.op,
            node.label or (node.name if node.kind != "constant" else ""),
            list(node.parents),
            data[node.number] if node.number < position else None,
            None,
            node.shape,
            node.dtype,
        )
        for node in recorded.nodes
    ]
    if position > len(nodes):
        nodes[-1].grad = recorded.start
    for number in steps_done(recorded, position):
        for flow in recorded.flows[number]:
            if flow.after is not None:
                nodes[flow.parent.number].grad = flow.after
    return nodes


def steps_done(recorded: Any, position: int | None) -> list[int]:
    """Return the operations that have passed their gradient on where `position` steps are done."""
    order = recorded.order
    done = len(order) if position is None else max(position - len(recorded.nodes) - 1, 0)
    return list(order[:done])


def _grad(source: Any) -> Any:
    """Return the gradient of a node, None where it was not computed."""
    if not getattr(source, "has_grad", True):  # a Value's is 0.0 before it is computed
        return None
    # Of a computed tensor that keeps no gradient, asking for it would warn.
    return source.grad if getattr(source, "is_leaf", True) or getattr(source, "retains_grad", True) else None


# --- what a box says -------------------------------------------------------------------------------


def describe(node: Node) -> list[str]:
    """Return the lines of a box below its label: dtype and shape of an array, data, gradient.

    A number and a small array stand in full, a larger one by its norm.
    """
    if node.shape is None:
        return [f"data {show_quantity(node.data)}", f"grad {show_quantity(node.grad)}"]
    lines = [show_kind(node.shape, node.dtype)]
    if node.data is not None:
        lines.append(show_array("data", node.data))
    return [*lines, show_array("grad", node.grad)]


def show_array(word: str, array: Any) -> str:
    """Return `word` and a number or a small array in full, a larger one by its norm, None as a dot."""
    shape = getattr(array, "shape", None)
    if shape is None or 0 < prod(shape) <= LARGEST_SHOWN:
        text = show_quantity(array)
        # the rows of a matrix stand under each other, and not beside the word in front of the first
        return f"{word}\n{text}" if "\n" in text else f"{word} {text}"
    size = norm(array)
    known = show_kind(shape, getattr(array, "dtype", None)) if size is None else f"norm {show_number(size)}"
    return f"{word} {known}"


def norm(array: Any) -> float | None:
    """Return the root of the sum of squares of a number or an array; None where it cannot be read."""
    if isinstance(array, float):
        return abs(array)
    try:
        numbers = np.asarray(array)
    except (TypeError, ValueError, RuntimeError, NotImplementedError):  # it lies on a GPU, for example
        return None
    if numbers.dtype.kind not in "biuf":
        return None
    # BLAS would raise no warning where squares overflow, and neither shall this
    with np.errstate(all="ignore"):
        wide = numbers.astype(np.float64, copy=False).ravel()
        scale = float(np.abs(wide).max(initial=0.0))
        if not 0.0 < scale < np.inf:
            return scale
        return scale * float(np.linalg.norm(wide / scale))
