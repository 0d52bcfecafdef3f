"""A pass in a terminal: stepped through by keys, or printed as one table where there is no terminal."""

import sys
from collections.abc import Sequence
from typing import Any

from micro.stepper import Stepper
from micro.steps import PHASES, Flow, Step, write_equation, write_flow, write_name
from micro.text import shorten, show_in_line, show_quantity
from viz.keys import Keys, can_read_keys

__all__ = ["play", "table"]

HEADINGS = ("step", "phase", "formula", "with numbers", "result")
HELP = (
    ("n, space, enter, right", "the next step"),
    ("b, backspace, left", "one step back"),
    ("g K enter", "go to step K, from 0 (the beginning) to the last"),
    ("page down, page up", "ten steps on, or back"),
    ("tab", "to the end of this phase"),
    ("e, end", "to the last step"),
    ("r, home", "to the beginning"),
    ("q, Ctrl-D", "quit"),
)
NARROW = 72
"""Columns of a terminal; with fewer, what flows to an operand stands on lines of its own."""

_SIGNS = {True: "cyan", False: "red"}


def play(stepper: Stepper, title: str) -> None:
    """Step through a pass by keys in a terminal; elsewhere print all its steps."""
    if not can_read_keys():
        _print("\n".join(table(stepper)))
        return
    _Player(stepper, title).play()
    _print(str(stepper))


# --- without a terminal ----------------------------------------------------------------------------------


def table(stepper: Stepper) -> list[str]:
    """Return all steps, and the values and gradients at the end, as lines of two tables."""
    rows: list[Sequence[str]] = [HEADINGS]
    for step in stepper:
        rows += _rows(step)
    end = Stepper(stepper.recorded)
    end.run()
    lines = [stepper.recorded.note, ""] if stepper.recorded.note else []
    return [*lines, *_align(rows), "", *_align(_state(end, 0, len(end.nodes)))]


def _rows(step: Step) -> list[Sequence[str]]:
    number, result = str(step.number), show_quantity(step.result)
    if step.phase == "loss":
        return [(number, step.phase, step.formula, "", result)]
    formula = write_equation(step) if step.formula else write_name(step.node)
    if step.phase == "forward":
        return [(number, step.phase, formula, step.numbers if step.formula else "", result)]
    rows = [(number, step.phase, formula, "", f"gradient {result}")]
    for flow in step.flows:
        operand, local, contribution, change = write_flow(flow, step.result)
        rows.append(("", "", f"  to {operand}: {local}", contribution, change))
    return list(rows)


def _state(stepper: Stepper, start: int, stop: int) -> list[Sequence[str]]:
    """Return rows of some nodes with value and gradient as known at the position."""
    rows: list[Sequence[str]] = [("node", "value", "gradient")]
    for node in stepper.nodes[start:stop]:
        formula = stepper.recorded.texts[node.number][0]
        name = f"{node.name} = {formula}" if formula else write_name(node)
        rows.append((name, show_in_line(stepper.value(node)), show_in_line(stepper.grad(node))))
    return rows


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines; what has lines of its own is put into one."""
    cells = [[" ".join(cell.split("\n")) for cell in row] for row in rows]
    widths = [max(len(row[n]) for row in cells) for n in range(len(cells[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]


def _print(text: str) -> None:
    print(_printable(text), flush=True)


def _printable(text: str) -> str:
    """Return `text` in characters that standard output can hold."""
    encoding = sys.stdout.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("·", ".").replace("…", "...").replace("▶", ">").replace("─", "-")
    return text.encode(encoding, "replace").decode(encoding)


# --- in a terminal ---------------------------------------------------------------------------------------


class _Player:
    """What is on the screen, and what the keys do to it."""

    def __init__(self, stepper: Stepper, title: str) -> None:
        from rich.console import Console

        self._stepper, self._title = stepper, title
        self._console = Console(highlight=False)
        self._typed: str | None = None  # the number after g
        self._message = ""
        self._help = False
        self._shown: Any = None

    def play(self) -> None:
        """Draw, and do what the keys say, until one says to quit."""
        keys = Keys()
        with keys.reading(self._draw):
            self._draw()
            while True:
                key = keys.read(0.25)
                if key is None:
                    if self._console.size != self._shown:
                        self._draw()
                    continue
                if not self._press(key):
                    return
                self._draw()

    def _press(self, key: str) -> bool:
        """Do what a key says; return whether to go on."""
        stepper = self._stepper
        self._message = ""
        if self._help:
            self._help = False
        elif self._typed is not None:
            self._type(key)
        elif key in ("n", "space", "enter", "right"):
            if stepper.next() is None:
                self._message = "this is the last step; b goes back, q quits"
        elif key in ("b", "backspace", "left"):
            stepper.back()
        elif key in ("r", "home"):
            stepper.reset()
        elif key in ("e", "end"):
            stepper.run()
        elif key == "page down":
            stepper.goto(min(stepper.position + 10, len(stepper)))
        elif key == "page up":
            stepper.goto(max(stepper.position - 10, 0))
        elif key == "tab" and stepper.position < len(stepper):
            stepper.run(until=self._next_phase())
        elif key == "g":
            self._typed = ""
        elif key in ("?", "h"):
            self._help = True
        elif key in ("q", "Q", "interrupt"):
            return False
        elif key and key.isprintable() and len(key) == 1:
            self._message = f"{key} does nothing here; ? shows the keys"
        return True

    def _next_phase(self) -> Any:
        count = len(self._stepper.nodes)
        return None if self._stepper.position > count else PHASES[self._stepper.position == count]

    def _type(self, key: str) -> None:
        """Take one more character of the number after g."""
        typed = self._typed or ""
        if key == "enter":
            self._typed = None
            most = len(self._stepper)
            if not typed:
                return
            if typed.isascii() and typed.isdigit() and len(typed) < 16 and int(typed) <= most:
                self._stepper.goto(int(typed))
            else:
                self._message = f"there is no step {typed[:16]}: the steps are 0 to {most}"
        elif key in ("escape", "q"):
            self._typed = None
        elif key == "backspace":
            self._typed = typed[:-1] if typed else None
        elif len(key) == 1 and key.isprintable():
            self._typed = (typed + key)[:32]

    # --- drawing -----------------------------------------------------------------------------------------

    def _draw(self) -> None:
        """Write the whole screen anew, without clearing it first, which would flicker."""
        self._shown = self._console.size
        width, height = self._shown
        step = self._stepper.current
        head = [*self._lines(self._head(step), width), "", *self._lines(self._body(step), width)]
        foot = self._lines(self._foot(), width)
        room = max(height - len(foot), 1)
        lines = head[:room]
        if len(lines) + 3 <= room:
            lines += ["", *self._lines(self._nodes(room - len(lines) - 1), width)]
        lines = [*lines[:room], *[""] * (room - len(lines)), *foot][:height]
        sys.stdout.write("\x1b[H" + "\x1b[K\n".join(lines) + "\x1b[K\x1b[J")
        sys.stdout.flush()

    def _lines(self, shown: Any, width: int) -> list[str]:
        with self._console.capture() as captured:
            self._console.print(shown, width=width, overflow="fold")
        return [_printable(line) for line in captured.get().rstrip("\n").split("\n")]

    def _head(self, step: Step | None) -> Any:
        from rich.text import Text

        stepper = self._stepper
        number = f"step {stepper.position} of {len(stepper)}"
        title = shorten(self._title, max(self._console.width - 1, 2))
        shown = Text.assemble((title, "bold"), "\n", (number, "bold cyan"), "  ")
        for name in PHASES:
            # brackets, since not every terminal shows the other
            active = step is not None and name == step.phase
            shown.append(f"[{name}]" if active else f" {name} ", "reverse" if active else "dim")
        if stepper.recorded.note:
            shown.append(f"\n{stepper.recorded.note}", "dim")
        return shown

    def _body(self, step: Step | None) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        if self._help:
            keys = Table.grid(padding=(0, 2))
            for key, meaning in HELP:
                keys.add_row(Text(key, "bold"), meaning)
            return keys
        if step is None:
            return Text("Nothing is computed yet: a dot stands for what is not known.")
        if step.node.shape is not None:  # arrays need their lines
            return Text("\n".join(str(step).splitlines()[1:]))
        name, result = step.node.name, show_quantity(step.result)
        line = Text()
        if step.phase == "forward":
            parts = [name, step.formula, step.numbers] if step.formula else [write_name(step.node)]
            line.append(" = ".join(parts) + " = ").append(result, "bold")
            return line
        if step.phase == "loss":
            return line.append(f"{step.formula} = ").append(result, "bold")
        line.append(f"{write_equation(step)}   its gradient is ").append(result, self._sign(step.result))
        if self._console.width < NARROW:
            stacked = Text("\n")
            for flow in step.flows:
                operand, local, *sums = self._flow(flow, step)
                stacked.append("\nto ").append_text(operand).append(": ").append_text(local)
                for text in sums:
                    stacked.append("\n   ").append_text(text)
            return line.append_text(stacked)
        flows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("to", "local derivative", "contribution", "old + contribution = new"):
            flows.add_column(heading, overflow="fold")
        for flow in step.flows:
            flows.add_row(*self._flow(flow, step))
        return Group(line, "", flows)

    def _flow(self, flow: Flow, step: Step) -> list[Any]:
        from rich.text import Text

        operand, local, contribution, change = write_flow(flow, step.result)
        return [Text(operand, "bold"), Text(local), Text(contribution), Text(change, self._sign(flow.after))]

    def _sign(self, number: Any) -> str:
        if not isinstance(number, float) or number == 0.0 or number != number:
            return "bold"
        return f"bold {_SIGNS[number > 0.0]}"

    def _nodes(self, room: int) -> Any:
        """Return the table of as many nodes as there is room for, around the current one."""
        from rich.table import Table
        from rich.text import Text

        stepper, step = self._stepper, self._stepper.current
        count, at = len(stepper.nodes), 0 if step is None else step.node.number
        rows = max(room - 1, 1)
        start = min(max(at - rows // 2, 0), max(count - rows, 0))
        touched = {} if step is None else {flow.parent.number for flow in step.flows}
        shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("", *_state(stepper, 0, 0)[0]):
            shown.add_column(heading, no_wrap=True, overflow="ellipsis")
        for place, row in enumerate(_state(stepper, start, start + rows)[1:], start):
            mark = "▶" if step is not None and place == at else " "
            style = "bold" if place == at and step is not None else "" if place in touched else "dim"
            shown.add_row(mark, *[Text(cell, style) for cell in row])
        return shown

    def _foot(self) -> Any:
        from rich.text import Text

        if self._typed is not None:
            return Text(f"go to step (0 to {len(self._stepper)}), then enter: {self._typed}_", "bold")
        if self._help:
            return Text("any key goes back to the steps", "dim")
        if self._message:
            return Text(self._message, "yellow")
        if self._console.width < NARROW:
            return Text("n b g r e q  ? help", "dim")
        return Text("n next  b back  g K go to  r reset  e end  q quit  ? help", "dim")
