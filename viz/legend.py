"""The legend: what the forms and colours of a drawing mean."""

from collections.abc import Iterator
from itertools import pairwise

from viz.dot import FORM, INK, LINE, attributes, quote
from viz.flow import NEGATIVE, POSITIVE

_KINDS = {
    "input": "input",
    "parameter": "parameter",
    "constant": "constant",
    "operation": "result",
    "output": "output",
    "rest": "… not shown",
}
_FLOWS = {
    "positive": ("gradient above 0", f'color="{POSITIVE}" penwidth="3"'),
    "negative": ("gradient below 0", f'color="{NEGATIVE}" penwidth="3" style="dashed"'),
    "unsigned": ("gradient of an array", f'color="{LINE}" penwidth="3"'),
    "zero": ("gradient 0", f'color="{LINE}" penwidth="0.5"'),
    "nan": ("gradient nan", f'color="{LINE}" style="dotted"'),
}


def write_legend(kinds: set[str], operations: bool, flows: set[str]) -> Iterator[str]:
    """Yield a cluster with a sample of each form that the drawing has; the wider the edge, the larger."""
    yield "\tsubgraph cluster_legend {\n"
    yield f'\t\tlabel="legend" id="legend" class="legend" color="{LINE}" style="rounded" fontcolor="{INK}"'
    yield f' fontname={quote("Helvetica,Arial,sans-serif")} fontsize="12"\n'
    names = []
    for kind, word in (*_KINDS.items(), ("op", "operation")):
        if kind in kinds or (kind == "op" and operations):
            look = f" {attributes(FORM[kind])}" if FORM[kind] else ""
            yield f'\t\tlegend_{kind} [label="{word}" id="legend-{kind}" class="legend"{look}]\n'
            names.append(f"legend_{kind}")
    # Along the graph and not across: the picture grows in the direction in which it is long anyway.
    for before, after in pairwise(names):
        yield f'\t\t{before} -> {after} [style="invis"]\n'
    for kind, (word, look) in _FLOWS.items():
        if kind in flows:
            start = f'id="legend-{kind}-from" class="legend" shape="point" height="0.05"'
            yield f'\t\tlegend_{kind}_from [label="" {start}]\n'
            yield f'\t\tlegend_{kind} [label="{word}" id="legend-{kind}" class="legend" shape="plaintext"]\n'
            yield f"\t\tlegend_{kind}_from -> legend_{kind} "
            yield f'[id="legend-{kind}-edge" class="legend" {look}]\n'
    yield "\t}\n"
