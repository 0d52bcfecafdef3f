"""What a Stepper plays: nodes, what flows between them, single steps; and how a step reads as text."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard, TypeVar, overload

from micro.text import EDGE, NOT_THERE, show_corners, show_quantity, summarize

PHASES = ("forward", "loss", "backward")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the computation.

    number: its place in the order of computation, from 0. name: its label where that can stand in a
    formula, else `v` and its number; a constant is named as it is written. kind: "input", "parameter",
    "constant" or "operation". parents: the numbers of the operands, in order, twice for `a * a`. shape and
    dtype: None for a number.
    """

    number: int
    name: str
    label: str | None
    op: str
    kind: str
    parents: tuple[int, ...]
    shape: tuple[int, ...] | None = None
    dtype: Any = None


@dataclass(frozen=True, slots=True)
class Flow:
    """What one operand receives in one backward step.

    derivative: the local derivative in the operands' names, as in "1 - out**2"; local: the same as a number
    (None for tensors). before, after: the operand's gradient, None where there is none yet; contribution:
    what is added, None where the operand needs no gradient. check: the local derivative by finite
    differences, None unless asked for. note: what else is worth saying, or "".
    """

    parent: Node
    derivative: str
    local: float | None
    before: Any
    contribution: Any
    after: Any
    check: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Step:
    """One step: number (from 1) of `of`, and what it computes.

    forward: `result` is the node's value. loss: it is the gradient of the root. backward: `result` is the
    gradient of the node, which flows to its operands as `flows` say.
    """

    number: int
    of: int
    phase: str
    node: Node
    formula: str
    numbers: str
    result: Any
    flows: tuple[Flow, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"step {self.number} of {self.of} · {self.phase}", *_write_step(self)])

    __repr__ = __str__


@dataclass
class Pass:
    """What one forward and one backward pass computed, for a Stepper to play.

    nodes: in order of computation, the root last. data: their values, None where not recorded. texts: for
    each node its formula and the formula with numbers; the formula of a leaf is "". order: the operations
    that pass a gradient on, by number, in the order in which they do. flows: by the number of such an
    operation, one Flow for each of its parents, in order. originals: the user's own nodes, by number.
    start: the gradient of the root. note: one line for the whole pass, or "".
    """

    nodes: Sequence[Node]
    data: Sequence[Any]
    texts: Sequence[tuple[str, str]]
    order: Sequence[int]
    flows: "Mapping[int, tuple[Flow, ...]] | Sequence[tuple[Flow, ...]]"
    originals: Sequence[Any]
    start: Any = 1.0
    note: str = ""
    # where nodes are only made when they are asked for: what is known without making them
    parents: Sequence[tuple[int, ...]] | None = None
    names: Mapping[int, str] | None = None
    _numbers: dict[int, int] = field(default_factory=dict, repr=False)

    def find(self, original: Any) -> int | None:
        """Return the number of one of the user's nodes; None if it had no part in the computation."""
        if not self._numbers:
            self._numbers = {id(node): number for number, node in enumerate(self.originals)}
        return self._numbers.get(id(original))

    def parents_of(self, number: int) -> tuple[int, ...]:
        """Return the numbers of a node's operands."""
        return self.nodes[number].parents if self.parents is None else self.parents[number]


class Made(Sequence[T]):
    """A sequence whose elements are made when they are asked for: a million nodes cost nothing before."""

    def __init__(self, length: int, make: Callable[[int], T]) -> None:
        self._length, self._make = length, make

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._make(n) for n in range(*index.indices(self._length))]
        place = index + self._length if index < 0 else index
        if not 0 <= place < self._length:
            raise IndexError(f"index {index} is out of range: there are {self._length}")
        return self._make(place)


# --- names -------------------------------------------------------------------------------------------

_NAME = re.compile(r"(?:\d+\.)*[^\W\d][\w.\[\]']*")
_NUMBERED = re.compile(r"v(0|[1-9]\d{0,8})")


def name_nodes(labels: Iterable[str | None]) -> dict[int, str]:
    """Return a name for each labelled node by its number; the others are called v0, v1, ...

    A label is the name if it can stand in a formula. Of several nodes with one label the later ones get
    their number too: w, w#7. So does a label such as v3 if that is what another node is called.
    """
    labels = list(labels)
    names: dict[int, str] = {}
    taken: set[str] = set()
    for number, label in enumerate(labels):
        if not _is_name(label):
            continue
        numbered = _NUMBERED.fullmatch(label)
        other = int(numbered[1]) if numbered else number
        clashes = other != number and other < len(labels) and not _is_name(labels[other])
        name = f"{label}#{number}" if clashes or label in taken else label
        taken.add(name)
        names[number] = name
    return names


def _is_name(label: str | None) -> TypeGuard[str]:
    return bool(label and len(label) <= 30 and _NAME.fullmatch(label))


# --- as text -----------------------------------------------------------------------------------------


def _write_step(step: Step) -> list[str]:
    if getattr(step.result, "shape", None) is not None or step.node.shape is not None:
        return _write_arrays(step)
    result = show_quantity(step.result)
    name = step.node.name
    if step.phase == "forward":
        parts = [name, step.formula, step.numbers] if step.formula else [write_name(step.node)]
        return ["  " + " = ".join([*parts, result])]
    if step.phase == "loss":
        return [f"  {step.formula} = {result}"]
    lines = [f"  {write_equation(step)}, its gradient is {result}"]
    rows = [["to", "local derivative", "contribution", "old + contribution = new"]]
    rows += [write_flow(flow, step.result) for flow in step.flows]
    widths = [max(len(row[n]) for row in rows) for n in range(4)]
    lines += [
        "    " + "   ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return lines


def write_equation(step: Step) -> str:
    """Return `v2 = x * y`; where a local derivative reads the result, `v3 = out = tanh(x)`."""
    return f"{write_result(step)} = {step.formula}"


def write_result(step: Step) -> str:
    """Return the name of what a step computes; where a local derivative reads it, `v3 = out`."""
    reads = any(re.search(r"\bout\b", flow.derivative) for flow in step.flows)
    named = any(flow.parent.name == "out" for flow in step.flows)  # then it is that operand
    return f"{step.node.name} = out" if reads and not named and step.node.name != "out" else step.node.name


def write_name(node: Node) -> str:
    """Return a node's name, and that it is a constant if it is one: `constant 2`."""
    return f"constant {node.name}" if node.kind == "constant" else node.name


def _write_arrays(step: Step) -> list[str]:
    """Return a step of arrays: each under what it is, large ones by a summary and their corners."""
    name = step.node.name
    if step.phase == "forward":
        parts = [name, step.formula, step.numbers] if step.formula else [write_name(step.node)]
        return ["  " + " = ".join(parts), *_write_array("", step.result, 4)]
    if step.phase == "loss":
        return _write_array(f"{step.formula} = ", step.result, 2)
    lines = [f"  {write_equation(step)}", *_write_array("its gradient is ", step.result, 4)]
    for flow in step.flows:
        if not flow.derivative and flow.contribution is None and flow.note:
            lines.append(f"    to {write_name(flow.parent)}: {flow.note}")
            continue
        lines.append(f"    to {write_name(flow.parent)}: {flow.derivative or NOT_THERE}")
        if flow.contribution is not None:
            lines += _write_array("contribution ", flow.contribution, 6)
        if flow.before is not None:
            lines += _write_array("+ old gradient ", flow.before, 6)
            lines += _write_array("= new gradient ", flow.after, 6)
        lines += [f"      {flow.note}"] * bool(flow.note)
    return lines


def _write_array(label: str, array: Any, indent: int) -> list[str]:
    """Return the lines of an array under each other, after a label."""
    shape = getattr(array, "shape", None)
    if shape is None or len(shape) == 0:
        return [" " * indent + label + show_quantity(array)]
    # of a stack of matrices less of each, or they would fill the screen
    corners = show_corners(array, 1 if len(shape) > 2 else EDGE)
    lines = [label + summarize(array), *corners.split("\n")]
    return [" " * indent + line for line in lines]


def write_flow(flow: Flow, grad: Any) -> list[str]:
    """Return four texts: the operand, the local derivative, the contribution, how the gradient changes."""
    conditional = " if " in flow.derivative
    local = [f"({flow.derivative})" if conditional else flow.derivative] if flow.derivative else []
    if flow.local is not None and not _is_number(flow.derivative):
        local.append(show_quantity(flow.local))
    derivative = " = ".join(local) or NOT_THERE
    if flow.check is not None:
        derivative += f" (measured {show_quantity(flow.check)}{': differs' * _differs(flow)})"
    contribution = show_quantity(flow.contribution)
    if flow.local is not None and flow.contribution is not None:
        contribution = f"{show_quantity(grad)} * {show_quantity(flow.local)} = {contribution}"
    change = show_quantity(flow.after)
    if flow.contribution is not None:
        change = f"{show_quantity(flow.before)} + {show_quantity(flow.contribution)} = {change}"
    if flow.note:
        change += f"  ({flow.note})"
    return [write_name(flow.parent), derivative, contribution, change]


def _differs(flow: Flow) -> bool:
    """Whether the derivative is not what was measured, beyond the error of measuring."""
    if flow.local is None or flow.check is None:
        return False
    return not abs(flow.local - flow.check) <= 1e-4 * max(1.0, abs(flow.local), abs(flow.check))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
