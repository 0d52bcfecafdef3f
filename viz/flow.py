"""What a recorded pass puts on the edges: local derivatives, and the gradient that flows back."""

from math import isnan
from typing import Any

from micro.text import shorten, show_number
from viz.dot import LINE, escape, quote
from viz.nodes import norm, steps_done

POSITIVE, NEGATIVE = "#0072b2", "#d55e00"
"""Blue and vermilion: told apart with every common colour blindness. What is negative is dashed as well."""

WIDEST = 5.0
LONGEST_FORMULA = 16
"""A local derivative of more characters is shown as a number alone; its formula waits under the pointer."""


def label_derivatives(recorded: Any, position: int | None, vertical: bool) -> dict[tuple[int, int], str]:
    """Return the attributes that show the local derivative on each edge, by node and place of the operand.

    vertical: whether edges run upwards or downwards.
    """
    shown = {}
    for number in steps_done(recorded, position):
        for place, flow in enumerate(recorded.flows[number]):
            if flow.contribution is None:  # the operand needs no gradient
                continue
            full = f"{flow.derivative} = {show_number(flow.local)}" if flow.local is not None else ""
            text = full or flow.derivative
            if full and (_is_number(flow.derivative) or len(flow.derivative) > LONGEST_FORMULA):
                text = show_number(flow.local)
            tip = "\n".join(filter(None, [full or flow.derivative, flow.note]))
            # Spaces hold it off an edge to its left; a second line, which is empty, off one below it.
            label = escape(shorten(text, 2 * LONGEST_FORMULA))
            label = f"   {label}   " if vertical else f" {label}\\n "
            shown[number, place] = (
                f" label={quote(label)} labeltooltip={quote(escape(tip))} edgetooltip={quote(escape(tip))}"
            )
    return shown


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


Look = tuple[str, str]


def color_flows(recorded: Any, position: int | None) -> tuple[dict[tuple[int, int], Look], dict[int, Look]]:
    """Return, for each edge, a class and the attributes that show the size and the sign of its gradient.

    The first are of the edges from operands, by node and place of the operand, the second of the edges from
    an operation to its result. An edge's width follows the root of its share of the largest; an array counts
    by its norm, and has no sign.
    """
    operands: dict[tuple[int, int], Any] = {}
    results: dict[int, Any] = {}
    known = {len(recorded.nodes) - 1: recorded.start}
    for number in steps_done(recorded, position):
        results[number] = known.get(number)
        for place, flow in enumerate(recorded.flows[number]):
            if flow.after is not None:
                known[flow.parent.number] = flow.after
            if flow.contribution is not None:
                operands[number, place] = flow.contribution
    sizes = [norm(flow) or 0.0 for flow in (*operands.values(), *results.values()) if flow is not None]
    largest = max((size for size in sizes if size < float("inf")), default=0.0)
    return (
        {key: _look(flow, largest) for key, flow in operands.items()},
        {key: _look(flow, largest) for key, flow in results.items() if flow is not None},
    )


def _look(flow: Any, largest: float) -> tuple[str, str]:
    """Return the class of an edge and its attributes."""
    size = norm(flow)
    if size is None or isnan(size):
        return "nan", f' color="{LINE}" style="dotted"'
    share = 1.0 if size > largest else (size / largest) ** 0.5 if largest else 0.0
    width = f'penwidth="{0.5 + (WIDEST - 0.5) * share:.2f}"'
    if getattr(flow, "shape", ()) or size == 0:
        return "zero" if size == 0 else "unsigned", f' color="{LINE}" {width}'
    if flow > 0:
        return "positive", f' color="{POSITIVE}" {width}'
    return "negative", f' color="{NEGATIVE}" {width} style="dashed"'
