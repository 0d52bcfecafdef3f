"""Every row of the surface table against PyTorch or, where it is not installed, against what it gave."""

import functools
import importlib.util
import pathlib
import sys

import pytest

import tensor

try:
    import torch
except ImportError:
    torch = None


def _load_harness():
    name = "liftgrad_tests_surface_harness"
    if name not in sys.modules:
        path = pathlib.Path(__file__).parent / "harness.py"
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


harness = _load_harness()
ROWS = [row for family in harness.families() for row in harness.rows_of(family)]
RECORDED = {family: harness.load(family) for family in harness.families()}


@functools.cache  # the row and the record are compared with one run
def _what_pytorch_gives(program):
    return harness.run(torch, program)


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_row(row, device):
    recorded = RECORDED[row.family].get(row.program)
    if torch is None and recorded is None:
        pytest.fail(f"not recorded; with PyTorch: python tests/tensor/surface/harness.py {row.family}")
    reason = None if device == "cpu" else harness.on_gpu().why_not(row)
    if reason is not None:
        pytest.skip(reason)
    ours = harness.run(tensor, row.program)
    if device != "cpu" and "message" in ours:
        reason = harness.on_gpu().why_an_error(ours["message"])
        if reason is not None:
            pytest.skip(reason)
    theirs = _what_pytorch_gives(row.program) if torch is not None else recorded
    if device != "cpu" and "text" in ours and "text" in theirs:
        ours, theirs = {**ours, "text": ""}, {**theirs, "text": ""}  # the device's name is in ours
    found = harness.differences(ours, theirs, row, recorded=torch is None)
    if row.differs is None:
        assert not found, "\n".join([row.program, *found])
    elif (
        torch is not None and device == "cpu"
    ):  # records are rounded: a difference in the last digits is not in them
        assert found, f"{row.program}\ndoes not differ any more; remove the mark: #! {row.differs}"


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed; records are compared with it")
@pytest.mark.parametrize("family", harness.families())
def test_what_is_recorded_is_what_pytorch_gives(family):
    again = f"run: python tests/tensor/surface/harness.py {family}"
    rows = {row.program: row for row in harness.rows_of(family)}
    assert rows.keys() == RECORDED[family].keys(), again
    for program, row in rows.items():
        found = harness.stale(_what_pytorch_gives(program), RECORDED[family][program], row)
        assert not found, "\n".join([program, *found, again])
