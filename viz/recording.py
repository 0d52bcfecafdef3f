"""Write a recorded pass down as plain data, every number as the text that a terminal shows.

What it reads is a Stepper by its names alone (`Steps`), and it leaves the Stepper where it stood.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from micro.steps import write_result
from micro.text import LARGEST_SHOWN, NOT_THERE, shorten, show_corners, show_kind, show_quantity, summarize
from viz.dot import printable

__all__ = ["Steps", "record"]

PHASES = ("forward", "loss", "backward")

LONGEST_LINE = 38
"""Longer lines of numbers are broken."""

THINNEST, THICKEST = 1.0, 5.0
DECADES = 3.0
"""Arrows are as thick as the logarithm of what they carry, over so many powers of 10 below the largest."""


class Steps(Protocol):
    """What a pass must answer to be shown: `micro.stepper.Stepper` does."""

    @property
    def nodes(self) -> Sequence[Any]: ...
    @property
    def position(self) -> int: ...
    @property
    def recorded(self) -> Any: ...  # of which `note` is a line for the whole pass, or ""
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def goto(self, position: int) -> Any: ...
    def value(self, node: Any) -> Any: ...
    def grad(self, node: Any) -> Any: ...


def record(steps: Steps) -> dict[str, Any]:
    """Return the pass as what JSON can hold: its nodes, its steps, and the quantities they refer to.

    A quantity is `[text, sign, width, detail]`: of an array too large for a box the text is its kind and its
    norm, and the detail its summary and corners. A step lists what it changes as `[node, which, quantity]`,
    which being 0 for a value and 1 for a gradient; between two changes a number stays.
    """
    recorder = _Recorder(steps)
    before = steps.position
    try:
        steps_recorded = [recorder.describe_step(k, step) for k, step in enumerate(steps, 1)]
    finally:
        steps.goto(before)
    recorder.name_consumers(steps_recorded)
    nodes = [_describe_node(node) for node in steps.nodes]
    return {"nodes": nodes, "steps": steps_recorded, "quantities": recorder.measured()}


class _Recorder:
    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.quantities: list[list[Any]] = []
        self.sizes: list[tuple[float, int]] = []  # of each quantity: how large, and of which sort
        self.known: dict[tuple[Any, ...], int] = {}

    def describe_step(self, position: int, step: Any) -> dict[str, Any]:
        """Return step number `position`, counted from 1, and what it changes."""
        phase, node = PHASES.index(step.phase), step.node.number
        self.steps.goto(position)
        flows = [self._describe_flow(n, flow, step.result) for n, flow in enumerate(step.flows)]
        if phase == 0:
            changes = [[node, 0, self.note(self.steps.value(node), 0)]]
        elif phase == 1:
            changes = [[node, 1, self.note(self.steps.grad(node), 1)]]
        else:
            receivers = dict.fromkeys(flow.parent.number for flow in step.flows)
            after = [(n, self.steps.grad(n)) for n in receivers]
            changes = [[n, 1, self.note(grad, 1)] for n, grad in after if grad is not None]
        described = {
            "phase": phase,
            "node": node,
            "formula": printable(step.formula or ""),
            "numbers": printable(step.numbers or ""),
            "result": self.note(step.result, 1 if phase else 0),
            "flows": flows,
            "changes": changes,
        }
        if (name := write_result(step)) != step.node.name:
            described["name"] = printable(name)
        return described

    def _describe_flow(self, position: int, flow: Any, grad: Any) -> dict[str, Any]:
        local = None if flow.local is None else show_quantity(flow.local)
        described = {
            "parent": flow.parent.number,
            "position": position,
            "derivative": "" if flow.derivative == NOT_THERE else printable(flow.derivative),
            "local": local,
            "before": self.note(flow.before, 1),
            "contribution": self.note(flow.contribution, 1),
            "after": self.note(flow.after, 1),
        }
        if local is not None and flow.contribution is not None:
            described["product"] = f"{show_quantity(grad)} * {local}"
        if flow.check is not None:
            described["check"] = show_quantity(flow.check)
        if flow.note:
            described["note"] = printable(str(flow.note))
        return described

    def note(self, quantity: Any, sort: int) -> int:
        """Return the place of a quantity in the list, where equal ones stand once."""
        text, detail = _show(quantity)
        sign, size = _measure(quantity)
        key = (text, detail, sign, size, sort)
        if key not in self.known:
            self.known[key] = len(self.quantities)
            self.quantities.append([printable(text), sign, 0.0, printable(detail)])
            self.sizes.append((size, sort))
        return self.known[key]

    def measured(self) -> list[list[Any]]:
        """Return the quantities with their widths, which depend on the largest of their sort."""
        largest = [
            max((size for size, of in self.sizes if of == sort and math.isfinite(size)), default=0.0)
            for sort in (0, 1)
        ]
        for quantity, (size, sort) in zip(self.quantities, self.sizes, strict=True):
            quantity[2] = _choose_width(size, largest[sort])
            if not quantity[3]:
                quantity.pop()
        return self.quantities

    def name_consumers(self, steps: list[dict[str, Any]]) -> None:
        """Say through which operation each contribution came; by name too, where that alone is ambiguous."""
        nodes = self.steps.nodes
        consumers: dict[tuple[int, str], set[int]] = {}
        for step in steps:
            for flow in step["flows"]:
                op = str(nodes[step["node"]].op)
                consumers.setdefault((flow["parent"], op), set()).add(step["node"])
        for step in steps:
            node = nodes[step["node"]]
            for flow in step["flows"]:
                alone = len(consumers[flow["parent"], str(node.op)]) == 1
                flow["through"] = printable(f"{node.op}" if alone else f"{node.op}, {node.name}")


def _describe_node(node: Any) -> dict[str, Any]:
    described = {
        "name": printable(str(node.name)),
        "op": printable(str(node.op or "")),
        "kind": node.kind,
        "parents": list(node.parents),
    }
    if node.label and node.label != node.name:  # it cannot stand in a formula
        described["label"] = shorten(printable(str(node.label)))
    if node.shape is not None:
        described["array"] = show_kind(node.shape, node.dtype)
    return described


def _show(quantity: Any) -> tuple[str, str]:
    """Return what stands in a box, and what is known besides."""
    if quantity is None:
        return NOT_THERE, ""
    shape = getattr(quantity, "shape", None)
    if shape is None or 0 < math.prod(shape) <= LARGEST_SHOWN:
        return _fold(show_quantity(quantity)), ""
    summary = summarize(quantity)
    return "\n".join(summary.split("  ")[:2]), f"{summary}\n{show_corners(quantity)}"


def _fold(text: str) -> str:
    """Return `text` with lines that fit into a box, broken between numbers."""
    lines = []
    for line in text.split("\n"):
        while len(line) > LONGEST_LINE and (end := line.rfind(", ", 0, LONGEST_LINE)) >= 0:
            lines.append(line[: end + 1])
            line = " " + line[end + 2 :]
        lines.append(line)
    return "\n".join(lines)


def _measure(quantity: Any) -> tuple[int, float]:
    """Return the sign (of an array: 0 where signs are mixed) and the size (of an array: its norm)."""
    if quantity is None:
        return 0, 0.0
    here = quantity.cpu() if hasattr(quantity, "cpu") else quantity  # it may lie on a GPU
    numbers = np.asarray(here, dtype=np.float64)
    if numbers.size == 0 or np.isnan(numbers).any():
        return 0, 0.0
    sign = int(numbers.min() >= 0) - int(numbers.max() <= 0)
    with np.errstate(over="ignore"):
        return sign, float(np.sqrt(np.square(numbers).sum()))


def _choose_width(size: float, largest: float) -> float:
    if size == 0 or largest == 0:
        return THINNEST
    if not math.isfinite(size):
        return THICKEST
    part = 1.0 + math.log10(size / largest) / DECADES if size / largest > 0 else 0.0
    return round(THINNEST + (THICKEST - THINNEST) * min(max(part, 0.0), 1.0), 1)
