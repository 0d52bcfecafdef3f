"""What the tests of every package share."""

import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest


def _load(path: Path) -> ModuleType:
    # By its path: in importlib mode a test cannot import its neighbour, and `tests` may be another's package.
    name = "liftgrad_tests_" + path.stem
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def check() -> ModuleType:
    """Return `tests/tensor/check.py`: `check.op(...)` compares an operation with its references."""
    return _load(Path(__file__).parent / "tensor" / "check.py")


@pytest.fixture(scope="session")
def reference_conv() -> ModuleType:
    """Return `tests/kernels/cpu/reference_conv.py`: convolution and its gradients by their definitions."""
    return _load(Path(__file__).parent / "kernels" / "cpu" / "reference_conv.py")


@pytest.fixture(scope="session", params=["cpu"])
def device(request: pytest.FixtureRequest) -> str:
    """Return the device a test runs on; each test that asks for it runs once on every device."""
    return request.param


@pytest.fixture(scope="session")
def engines() -> list[ModuleType]:
    """Return this engine, and PyTorch where it is installed: what is asserted must be true of both."""
    engines = [import_module("tensor")]
    with suppress(ImportError):
        engines.append(import_module("torch"))
    return engines


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    """Return PyTorch; a test that asks for it is skipped where it is not installed."""
    return pytest.importorskip(
        "torch", reason="PyTorch is not installed; values are compared with it only where it is"
    )
