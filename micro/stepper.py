"""Play a computation one step at a time: forward, the loss, backward, and back again.

    x, y = Value(2.0, "x"), Value(3.0, "y")
    s = step(x * y + x**2)
    s.run(until="loss")
    print(s.next())
    s.grad("x")  # None until a step has computed it

A Stepper plays the `Pass` that `root.record_pass()` returns; Value and Tensor both have that method. All
was computed when it was recorded: nothing runs again, and no gradient of the user's is touched. A state is
not kept per step: what a node's value and gradient are at a position follows from which steps changed them.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from difflib import get_close_matches
from itertools import accumulate
from typing import Any, overload

from micro.steps import PHASES, Node, Pass, Step, write_name
from micro.text import shorten, show_in_line

AROUND_CALLS: list[Callable[[], AbstractContextManager[Any]]] = []
"""Contexts in which `step` calls a function; an engine that keeps values on demand only adds its own."""


def step(root: Any, check: bool = False) -> "Stepper":
    """Record how `root` was computed and how its gradient flows back; return what plays it.

    root: a Value or a Tensor. Its graph and its gradients stay as they are. Or a function that returns one:
    it is called so that tensors keep all that a step can show.
    check: compute a finite difference beside each local derivative.
    """
    if isinstance(root, type):
        raise TypeError(f"step: expected a Value or a Tensor, got the class {root.__name__}")
    record, came = getattr(root, "record_pass", None), "got"
    if record is None and callable(root):
        with ExitStack() as stack:
            for around in AROUND_CALLS:
                stack.enter_context(around())
            root, came = root(), "the function returned"
        record = getattr(root, "record_pass", None)
    if record is None:
        raise TypeError(f"step: expected a Value or a Tensor, {came} {type(root).__name__}")
    return Stepper(record(check=check))


class Stepper(Sequence[Step]):
    """The steps of one pass, and a position among them.

    `position` counts the steps that are done: 0 before the first, `len(s)` after the last. `current` is the
    step done last. As a sequence it holds the steps, so `s[0].number` is 1, and `s.goto(1)` is after it.
    """

    def __init__(self, recorded: Pass) -> None:
        self.recorded = recorded
        self.position = 0
        self._uses: tuple[list[int], list[int]] | None = None
        self._names: dict[str, int] | None = None

    # --- the steps -----------------------------------------------------------------------------------

    @property
    def nodes(self) -> Sequence[Node]:
        """All nodes, in order of computation; the root is the last."""
        return self.recorded.nodes

    def __len__(self) -> int:
        return len(self.recorded.nodes) + 1 + len(self.recorded.order)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> list[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | list[Step]:
        if isinstance(index, slice):
            return [self._make(n) for n in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"step {index} is out of range: there are {len(self)} steps, from 0")
        return self._make(place)

    def _make(self, place: int) -> Step:
        recorded, count = self.recorded, len(self.recorded.nodes)
        phase = self.phase_of(place + 1)
        number = {"forward": place, "loss": count - 1}.get(phase)
        number = recorded.order[place - count - 1] if number is None else number
        node = recorded.nodes[number]
        formula, numbers = recorded.texts[number]
        if phase == "forward":
            return Step(place + 1, len(self), phase, node, formula, numbers, recorded.data[number])
        if phase == "loss":
            own = f"d {node.name} / d {node.name}"
            return Step(place + 1, len(self), phase, node, own, own, recorded.start)
        grad = self._grad_before(number, place - count - 1)
        return Step(place + 1, len(self), phase, node, formula, numbers, grad, recorded.flows[number])

    def phase_of(self, number: int) -> str:
        """Return the phase of the step of this number (from 1)."""
        count = len(self.recorded.nodes)
        return "forward" if number <= count else "loss" if number == count + 1 else "backward"

    # --- the position --------------------------------------------------------------------------------

    @property
    def current(self) -> Step | None:
        """The step done last; None before the first."""
        return self[self.position - 1] if self.position else None

    def next(self) -> Step | None:
        """Do one step and return it; None, and nothing happens, at the end."""
        if self.position == len(self):
            return None
        self.position += 1
        return self.current

    def back(self) -> Step | None:
        """Undo one step, and return the step that is then the last one done; None at the beginning."""
        self.position = max(self.position - 1, 0)
        return self.current

    def goto(self, number: int) -> Step | None:
        """Go to where `number` steps are done, and return the last of them; 0 is the beginning."""
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= len(self):
            raise ValueError(f"goto: expected a step from 0 to {len(self)}, got {number!r}")
        self.position = number
        return self.current

    def reset(self) -> None:
        """Go to the beginning, where nothing is computed."""
        self.position = 0

    def run(self, until: Any = None) -> Step | None:
        """Do steps to the end, or up to and with one; return the step done last.

        until: a node (one of the user's, its name or its number): the next step that computes it, adds to
        its gradient or passes it on. A phase: its last step. A node named like a phase comes first.
        """
        if until is None:
            return self.goto(len(self))
        if isinstance(until, str) and until in PHASES and until not in self._by_name():
            count = len(self.recorded.nodes)
            end = {"forward": count, "loss": count + 1, "backward": len(self)}[until]
            if end < self.position:
                raise ValueError(f"run: {until} ended with step {end}; reset() or goto({end}) first")
            return self.goto(end)
        number = self._number(until, "run")
        steps = self._steps_of(number)
        place = bisect_left(steps, self.position + 1)
        if place == len(steps):
            name = self.nodes[number].name
            raise ValueError(
                f"run: no step after {self.position} concerns {name}; the last one is step {steps[-1]}"
            )
        return self.goto(steps[place])

    # --- what is known at the position ---------------------------------------------------------------

    def value(self, node: Any) -> Any:
        """Return the value of a node (the user's, a name or a number) as known; None: not computed yet."""
        number = self._number(node, "value")
        return self.recorded.data[number] if number < self.position else None

    def grad(self, node: Any) -> Any:
        """Return the gradient of a node as known at the position; None: not computed yet."""
        number, done = self._number(node, "grad"), self.position - len(self.recorded.nodes) - 1
        return self._grad_before(number, done) if done >= 0 else None

    def _grad_before(self, number: int, done: int) -> Any:
        """Return the gradient of a node after so many backward steps."""
        if number == len(self.recorded.nodes) - 1:
            return self.recorded.start
        uses = self._uses_of(number)
        for place in range(bisect_left(uses, done) - 1, -1, -1):
            for flow in reversed(self.recorded.flows[self.recorded.order[uses[place]]]):
                if flow.parent.number == number and flow.after is not None:
                    return flow.after
        return None

    def _uses_of(self, number: int) -> list[int]:
        """Return the backward steps, counted from 0, that may add to the gradient of a node."""
        if self._uses is None:
            # all lists in one: a million of them would take more memory than the graph
            recorded = self.recorded
            counts = [0] * (len(recorded.nodes) + 1)
            for operation in recorded.order:
                for parent in recorded.parents_of(operation):
                    counts[parent + 1] += 1
            starts = list(accumulate(counts))
            following, uses = starts[:], [0] * starts[-1]
            for place, operation in enumerate(recorded.order):
                for parent in recorded.parents_of(operation):
                    uses[following[parent]] = place
                    following[parent] += 1
            self._uses = starts, uses
        starts, uses = self._uses
        return uses[starts[number] : starts[number + 1]]

    def _steps_of(self, number: int) -> list[int]:
        """Return the numbers of the steps that compute a node, change its gradient or pass it on."""
        count = len(self.recorded.nodes)
        steps = {number + 1, *(count + 2 + place for place in self._uses_of(number))}
        steps |= {count + 1} if number == count - 1 else set()
        if self.recorded.parents_of(number):
            steps |= {count + 2 + place for place, of in enumerate(self.recorded.order) if of == number}
        return sorted(steps)

    def _by_name(self) -> dict[str, int]:
        if self._names is None:
            names = self.recorded.names
            if names is None:
                names = {node.number: node.name for node in self.recorded.nodes}
            self._names = {}
            for number, name in names.items():
                self._names.setdefault(name, number)
        return self._names

    def _find_name(self, name: str, operation: str) -> int:
        """Return the number of the node of this name, or of this label."""
        names, count = self._by_name(), len(self.nodes)
        if name in names:
            return names[name]
        numbered = int(name[1:]) if re.fullmatch(r"v\d{1,9}", name) else count
        if numbered < count and self.nodes[numbered].name == name:
            return numbered
        for number, original in enumerate(self.recorded.originals):
            if getattr(original, "label", None) == name:
                return number
        near = get_close_matches(name, names, 1)
        known = ", ".join([*names][:8]) or f"v0 to v{count - 1}"
        hint = f"did you mean {near[0]}?" if near else f"there are {shorten(known)}"
        raise ValueError(f"{operation}: no node is named {name!r}; {hint}")

    def _number(self, node: Any, operation: str) -> int:
        """Return the number of a node that is given as one of the user's, as a Node, by name or by number."""
        if isinstance(node, Node):
            node = node.number
        if isinstance(node, str):
            return self._find_name(node, operation)
        if isinstance(node, int) and not isinstance(node, bool):
            if 0 <= node < len(self.recorded.nodes):
                return node
            raise ValueError(f"{operation}: expected a node from 0 to {len(self.nodes) - 1}, got {node}")
        number = self.recorded.find(node)
        if number is None:
            shown = shorten(repr(node))
            raise ValueError(f"{operation}: {shown} had no part in the computation of {self.nodes[-1].name}")
        return number

    def __str__(self) -> str:
        return describe(self)

    __repr__ = __str__


def describe(stepper: Stepper, most: int = 40) -> str:
    """Return the position, the current step, and the nodes with value and gradient as known."""
    count = len(stepper)
    lines = [f"{stepper.position} of {count} steps done"]
    if stepper.recorded.note:
        lines.append(stepper.recorded.note)
    if stepper.current is not None:
        lines = [*lines[1:], str(stepper.current)]
    rows = [["", "node", "value", "gradient"]]
    at = 0 if stepper.current is None else stepper.current.node.number
    start = min(max(at - most // 2, 0), max(len(stepper.nodes) - most, 0))  # the current one is among them
    for node in stepper.nodes[start : start + most]:
        formula = stepper.recorded.texts[node.number][0]
        mark = ">" if stepper.current is not None and stepper.current.node.number == node.number else " "
        rows.append(
            [
                mark,
                f"{node.name} = {formula}" if formula else write_name(node),
                show_in_line(stepper.value(node)),
                show_in_line(stepper.grad(node)),
            ]
        )
    widths = [max(len(row[n]) for row in rows) for n in range(4)]
    lines += ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if len(stepper.nodes) > most:
        lines.append(f"... and {len(stepper.nodes) - most:,} more nodes")
    return "\n".join(lines)
