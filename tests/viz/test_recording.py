"""A recording is made of whatever answers `viz.recording.Steps`; here by hand, with no engine."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from viz.boxes import draw_boxes
from viz.recording import THICKEST, THINNEST, record


class ByHand:
    """Answers `Steps`: y = a * a for a = 3, then 2 y, with every state written out."""

    def __init__(self):
        self.nodes = [
            SimpleNamespace(
                number=n, name=name, label=label, op=op, kind=kind, parents=parents, shape=None, dtype=None
            )
            for n, (name, label, op, kind, parents) in enumerate(
                [("a", "a", "", "input", ()), ("v1", None, "*", "operation", (0, 0)),
                 ("2", None, "", "constant", ()), ("v3", "the end", "*", "operation", (1, 2))]
            )
        ]  # fmt: skip
        a, v1, two, v3 = self.nodes
        flow = SimpleNamespace

        def step(phase, node, formula, numbers, result, flows=()):
            return SimpleNamespace(
                phase=phase, node=node, formula=formula, numbers=numbers, result=result, flows=flows
            )

        def to(parent, derivative, local, before, contribution, after, note=""):
            return flow(
                parent=parent, derivative=derivative, local=local, before=before, contribution=contribution,
                after=after, check=None, note=note,
            )  # fmt: skip

        self._steps = [
            step("forward", a, "", "", 3.0),
            step("forward", v1, "a * a", "3.0 * 3.0", 9.0),
            step("forward", two, "", "", 2.0),
            step("forward", v3, "v1 * 2", "9.0 * 2", 18.0),
            step("loss", v3, "d v3 / d v3", "d v3 / d v3", 1.0),
            step("backward", v3, "v1 * 2", "9.0 * 2", 1.0,
                 (to(v1, "2", 2.0, None, 2.0, 2.0), to(two, "v1", 9.0, None, None, None, "a constant"))),
            step("backward", v1, "a * a", "3.0 * 3.0", 2.0,
                 (to(a, "a", 3.0, None, 6.0, 6.0), to(a, "a", 3.0, 6.0, 6.0, 12.0))),
        ]  # fmt: skip
        self._states = [
            {0: (3.0, None)}, {1: (9.0, None)}, {2: (2.0, None)}, {3: (18.0, None)}, {3: (18.0, 1.0)},
            {1: (9.0, 2.0)}, {0: (3.0, 12.0)},
        ]  # fmt: skip
        self.position = 3
        self.recorded = SimpleNamespace(note="")

    def __len__(self):
        return len(self._steps)

    def __iter__(self):
        return iter(self._steps)

    def goto(self, position):
        self.position = position

    def _state(self, node):
        found = (None, None)
        for state in self._states[: self.position]:
            found = state.get(node if isinstance(node, int) else node.number, found)
        return found

    def value(self, node):
        return self._state(node)[0]

    def grad(self, node):
        return self._state(node)[1]


def text(recording, place):
    return recording["quantities"][place][0]


def test_a_pass_by_hand():
    steps = ByHand()
    recording = record(steps)
    assert steps.position == 3
    assert json.loads(json.dumps(recording)) == recording
    assert [node["name"] for node in recording["nodes"]] == ["a", "v1", "2", "v3"]
    assert recording["nodes"][3]["label"] == "the end"
    assert "label" not in recording["nodes"][0]
    changes = [
        [(node, which, text(recording, place)) for node, which, place in step["changes"]]
        for step in recording["steps"]
    ]
    assert changes == [
        [(0, 0, "3.0")], [(1, 0, "9.0")], [(2, 0, "2.0")], [(3, 0, "18.0")], [(3, 1, "1.0")], [(1, 1, "2.0")],
        [(0, 1, "12.0")],
    ]  # fmt: skip
    first, second = recording["steps"][-1]["flows"]
    assert [text(recording, first[name]) for name in ("before", "contribution", "after")] == [
        "·",
        "6.0",
        "6.0",
    ]
    assert [text(recording, second[name]) for name in ("before", "contribution", "after")] == [
        "6.0",
        "6.0",
        "12.0",
    ]
    assert first["product"] == "2.0 * 3.0"
    assert (first["position"], second["position"]) == (0, 1)
    assert first["through"] == "*"
    constant = recording["steps"][5]["flows"][1]
    assert text(recording, constant["contribution"]) == "·"
    assert constant["note"] == "a constant"


def test_the_drawing_has_a_box_a_node_and_an_arrow_an_operand():
    drawing, by_graphviz = draw_boxes(record(ByHand()), None)
    assert not by_graphviz
    for name in ("node0", "node1", "node2", "node3", "edge0-1-0", "edge0-1-1", "edge1-3-0", "edge2-3-1"):
        assert drawing.count(f'id="{name}"') == 1
    assert "v3: the end" in drawing


@pytest.mark.parametrize(
    ("value", "sign", "width"),
    [
        (18.0, 1, THICKEST),
        (-18.0, -1, THICKEST),
        (0.0, 0, THINNEST),
        (math.nan, 0, THINNEST),
        (math.inf, 1, THICKEST),
        (-math.inf, -1, THICKEST),
        (1e-300, 1, THINNEST),
        (np.array([1.0, -1.0]), 0, None),
        (np.array([-1.0, -2.0]), -1, None),
        (np.array([1e308, 1e308]), 1, None),
        (np.zeros((0, 3)), 0, THINNEST),
    ],
)
def test_signs_and_widths(value, sign, width):
    steps = ByHand()
    steps._states[0] = {0: (value, None)}
    recording = record(steps)
    quantity = recording["quantities"][recording["steps"][0]["changes"][0][2]]
    assert quantity[1] == sign
    assert THINNEST <= quantity[2] <= THICKEST
    assert width is None or quantity[2] == width


def test_arrays_are_shown_in_full_or_by_their_kind_norm_and_corners():
    steps = ByHand()
    steps._states[0] = {0: (np.arange(9.0).reshape(3, 3), None)}
    steps._states[1] = {1: (np.ones((64, 100), np.float32), None)}
    steps._states[2] = {2: (np.linspace(-1.23456, 1.0, 9), None)}
    quantities = record(steps)["quantities"]
    shown = [quantities[step["changes"][0][2]] for step in record(steps)["steps"]]
    assert shown[0][0] == "[[0.0, 1.0, 2.0],\n[3.0, 4.0, 5.0],\n[6.0, 7.0, 8.0]]"
    assert len(shown[0]) == 3
    assert shown[1][0] == "float32 (64, 100)\nnorm 80.0"
    assert shown[1][3].startswith(
        "float32 (64, 100)  norm 80.0  min 1.0  mean 1.0  max 1.0\n[1.0, 1.0, 1.0, …"
    )
    assert max(map(len, shown[2][0].split("\n"))) <= 38
    assert " ".join(shown[2][0].split()) == (
        "[-1.2346, -0.9552, -0.6759, -0.3966, -0.1173, 0.162, 0.4414, 0.7207, 1.0]"
    )
