"""Every backward can be recorded: the kernels that backward passes call have recorded forms."""

import ast
import inspect
import pkgutil
import textwrap
from importlib import import_module

import pytest

import tensor
from micro.formulas import FORMULAS
from tensor import recorded
from tensor.autograd import Operation
from tensor.recorded.formula import on_tensors

FORWARD = {"forward", "overwrite", "change", "normalise", "show"}
"""Methods that never see a recorded kernel."""


def operations() -> list[type[Operation]]:
    """Return every operation of the engine."""
    for module in pkgutil.walk_packages(tensor.__path__, "tensor."):
        if "bench" not in module.name:
            import_module(module.name)
    found: list[type[Operation]] = []
    waiting = [Operation]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if kind.__module__.startswith("tensor.") and kind not in found:
                found.append(kind)
    return found


def kernels_called(function) -> set[str]:
    """Return the names that a method asks of its argument `k`, and those asked where `k` is handed on."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "k"
    }


def helpers_of(kind: type[Operation]) -> list:
    """Return the methods, beside forward's, and the module's functions that take `k`."""
    own = [f for name, f in vars(kind).items() if inspect.isfunction(f) and name not in FORWARD]
    return [f for f in own if "k" in inspect.signature(f).parameters]


@pytest.mark.parametrize("kind", operations(), ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_what_a_backward_calls_has_a_recorded_form(kind) -> None:
    if kind.backward_recorded is not Operation.backward_recorded:
        return  # it has a way of its own
    names = set().union(*[kernels_called(f) for f in helpers_of(kind)], set())
    missing = [name for name in sorted(names) if name not in vars(recorded)]
    assert not missing, f"tensor/recorded lacks {missing}"


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_the_language_of_the_formulas_is_known_on_tensors(name) -> None:
    formula = FORMULAS[name]
    here = [1.3, 1.7] if name == "acosh" else [0.3, 0.7]
    values = {v: tensor.tensor(here, dtype=tensor.float64, requires_grad=True) for v in formula.variables}
    values["out"] = tensor.tensor([0.4, 0.8], dtype=tensor.float64, requires_grad=True)
    values["grad"] = tensor.tensor([1.0, 2.0], dtype=tensor.float64, requires_grad=True)
    for derivative in formula.derivatives:
        found = on_tensors(derivative)({**values, **formula.options})
        expected = [
            derivative(
                *[values[v][i].item() for v in formula.variables],
                values["out"][i].item(),
                values["grad"][i].item(),
                **formula.options,
            )
            for i in range(2)
        ]
        assert (
            tensor.as_tensor(found)
            .to(tensor.float64)
            .expand(2)
            .allclose(tensor.tensor(expected, dtype=tensor.float64))
        )
