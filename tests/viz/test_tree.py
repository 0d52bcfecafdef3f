"""Graphs as trees of lines."""

import io
import sys

import pytest

from micro import Value, step
from viz.tree import DEEPEST, MOST_LINES, show_tree


def test_a_tree_shows_operations_labels_and_numbers_in_columns():
    x, y = Value(2.0, "x"), Value(-3.0, "y")
    z = (x**2).relu() + x * y * 1e-7
    z.label = "z"
    assert show_tree(z).splitlines() == [
        "z = +           data 4.0     grad ·",
        "├─ ReLU         data 4.0     grad ·",
        "│  └─ **2       data 4.0     grad ·",
        "│     └─ x      data 2.0     grad ·",
        "└─ *            data -6e-07  grad ·",
        "   ├─ *         data -6.0    grad ·",
        "   │  ├─ x      data 2.0     grad ·",
        "   │  └─ y      data -3.0    grad ·",
        "   └─ constant  data 1e-07   grad ·",
    ]
    z.backward()
    assert "x      data 2.0     grad 4.0" in show_tree(z)


def test_a_value_used_again_is_not_written_out_twice():
    x = Value(2.0, "x")
    h = x * x
    h.label = "h"
    assert show_tree(h + h).splitlines() == [
        "+             data 8.0  grad ·",
        "├─ h = *      data 4.0  grad ·",
        "│  ├─ x       data 2.0  grad ·",
        "│  └─ x       data 2.0  grad ·",
        "└─ h (above)  data 4.0  grad ·",
    ]


def test_a_leaf_is_one_line():
    assert show_tree(Value(2.0, "two\nlines")) == "two lines  data 2.0  grad ·"
    assert show_tree(Value(2.0)) == "input  data 2.0  grad ·"


@pytest.mark.parametrize("length", [DEEPEST + 5, 100_000])
def test_a_deep_graph_is_cut_and_says_so(length):
    root = Value(1.0, "x")
    for _ in range(length):
        root = root.tanh()
    lines = show_tree(root).splitlines()
    assert len(lines) <= MOST_LINES + 1
    shown = len(lines) - 1
    assert lines[-1] == f"… {length + 1 - shown:,} more values"
    assert max(map(len, lines)) < 110


def test_a_wide_graph_is_cut_and_says_so():
    x = Value(1.0, "x")
    parts = [x + i for i in range(100)]
    while len(parts) > 1:
        parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)] + parts[len(parts) // 2 * 2 :]
    (root,) = parts
    lines = show_tree(root).splitlines()
    assert len(lines) == MOST_LINES + 1
    assert lines[-1].endswith("more values")


def test_a_graph_in_which_every_value_is_used_twice_is_short():
    root = Value(1.0, "x")
    for _ in range(10):
        root = root + root
    assert len(show_tree(root).splitlines()) == 21


def test_a_tensors_arrays_stand_in_one_line_each():
    import tensor

    w = tensor.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    w.label = "w"
    text = show_tree((w * w).sum())
    assert text.splitlines()[1:] == [
        "└─ Mul   float32 (2, 2)  data ·                         grad ·",
        "   ├─ w  float32 (2, 2)  data [[1.0, 2.0], [3.0, 4.0]]  grad ·",
        "   └─ w  float32 (2, 2)  data [[1.0, 2.0], [3.0, 4.0]]  grad ·",
    ]


def test_a_stepper_is_shown_where_it_stands():
    x = Value(2.0, "x")
    stepper = step(x * x)
    assert "data ·" in show_tree(stepper)
    stepper.goto(len(stepper))
    assert "grad 4.0" in show_tree(stepper)


def test_a_terminal_without_these_characters_gets_others(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    text = show_tree(Value(2.0, "x") * Value(3.0, "y"))
    assert text.splitlines()[1] == "|- x  data 2.0  grad ."
    text.encode("ascii")
