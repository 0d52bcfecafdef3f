"""Layers of scalar neurons: micrograd's, with the same reprs and the same draws from `random`."""

import random
from collections.abc import Iterator, Sequence
from operator import mul
from typing import Any

from micro.trace import Kind, Trace, Tracer, parts_of, trace_call
from micro.value import Value, make_parameter


class Module:
    """What has parameters."""

    def parameters(self) -> list[Value]:
        """Return the Values that training changes, always in the same order."""
        return []

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to zero."""
        for p in self.parameters():
            p.grad = 0.0

    def trace(self, *inputs: Any, **kwargs: Any) -> Trace:
        """Call this module once and return what was computed, and by which of the modules within it.

        The modules are those in attributes, and in lists, tuples and dicts there: "layers.0.neurons.2".
        """
        return trace_call(self, inputs, kwargs, _ValueTracer())


class Neuron(Module):
    """relu(w · x + b), or w · x + b alone with `nonlin=False`; weights uniform in [-1, 1), bias zero."""

    def __init__(self, nin: int, nonlin: bool = True) -> None:
        self.w = [make_parameter(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = make_parameter(0.0)
        self.nonlin = nonlin

    def __call__(self, x: Sequence[Any]) -> Value:
        if not hasattr(x, "__len__"):
            x = list(x)
        if len(x) != len(self.w):  # map would drop the rest in silence
            raise ValueError(f"{self}: expected {len(self.w)} inputs, got {len(x)}")
        act = sum(map(mul, self.w, x), self.b)
        return act.relu() if self.nonlin else act

    def parameters(self) -> list[Value]:
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{'ReLU' if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """`nout` neurons over the same `nin` inputs; a layer of one neuron returns its Value, not a list."""

    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        self.neurons = [Neuron(nin, **kwargs) for _ in range(nout)]

    def __call__(self, x: Any) -> Any:
        if isinstance(x, Value):  # what a layer of one neuron returned
            x = [x]
        elif not hasattr(x, "__len__"):  # an iterator would be empty for the second neuron
            x = list(x)
        out = [neuron(x) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        return [p for neuron in self.neurons for p in neuron.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(neuron) for neuron in self.neurons)}]"


class MLP(Module):
    """Layers of `nouts` neurons each, ReLU between them and none after the last."""

    def __init__(self, nin: int, nouts: Sequence[int]) -> None:
        sizes = [nin, *nouts]
        last = len(nouts) - 1
        self.layers = [Layer(sizes[i], sizes[i + 1], nonlin=i != last) for i in range(len(nouts))]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


class _ValueTracer(Tracer):
    """How modules of Values are looked at: they register nothing, so their attributes are searched."""

    node_type = Value

    def modules(self, model: Any) -> Iterator[tuple[str, Any]]:
        return ((path, found) for path, found in _search(model) if isinstance(found, Module))

    def parameters(self, model: Any) -> Iterator[tuple[str, Any]]:
        trained = {id(p) for p in model.parameters()}
        return ((path, found) for path, found in _search(model) if id(found) in trained)

    def count(self, module: Any) -> tuple[int, int]:
        count = len({id(p) for p in module.parameters()})
        return count, count

    def describe(self, tree: Any) -> Iterator[Kind]:
        shape = _shape_of(tree)
        if shape is not None:
            yield Kind(shape)
        else:
            for _, part in parts_of(tree):
                yield from self.describe(part)


def _search(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the modules and Values in the attributes of a module, itself first, each once, with paths."""
    seen: set[int] = set()
    stack = [("", model)]
    while stack:
        path, found = stack.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, Module | Value):
            yield path, found
        parts = list(vars(found).items()) if isinstance(found, Module) else parts_of(found)
        stack.extend((f"{path}.{name}" if path else str(name), part) for name, part in reversed(parts))


def _shape_of(tree: Any) -> tuple[int, ...] | None:
    """Return the shape of nested lists of Values, whose rows must be alike; None for anything else."""
    if isinstance(tree, Value | int | float):
        return ()
    if not isinstance(tree, list | tuple) or not tree:
        return None
    shapes = {_shape_of(row) for row in tree}
    first = shapes.pop()
    return None if shapes or first is None else (len(tree), *first)
