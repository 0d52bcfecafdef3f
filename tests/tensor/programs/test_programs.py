"""Whole programs: what they print here is what they print with PyTorch, or did where it is not installed."""

import importlib.util
import sys
from pathlib import Path

import pytest

try:
    import torch
except ImportError:
    torch = None

HERE = Path(__file__).parent


def _load():
    name = "liftgrad_tests_programs"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / "programs.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


programs = _load()


@pytest.mark.parametrize("name", programs.names())
def test_it_prints_what_pytorch_prints(name):
    recorded = (HERE / "recorded" / f"{name}.txt").read_text(encoding="utf-8")
    found = programs.differences(programs.run(name, "tensor"), recorded)
    assert not found, "\n".join([f"- PyTorch, + here: {name}", *found])


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed; records are compared with it")
@pytest.mark.parametrize("name", programs.names())
def test_what_is_recorded_is_what_pytorch_prints(name):
    recorded = (HERE / "recorded" / f"{name}.txt").read_text(encoding="utf-8")
    found = programs.differences(programs.run(name, "torch"), recorded)
    assert not found, "\n".join([f"run: python tests/tensor/programs/programs.py {name}", *found])
