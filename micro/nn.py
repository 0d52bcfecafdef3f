"""Layers of scalar neurons: micrograd's, with the same reprs and the same draws from `random`."""

import random
from collections.abc import Sequence
from operator import mul
from typing import Any

from micro.value import Value


class Module:
    """What has parameters."""

    def parameters(self) -> list[Value]:
        """Return the Values that training changes, always in the same order."""
        return []

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to zero."""
        for p in self.parameters():
            p.grad = 0.0


class Neuron(Module):
    """relu(w · x + b), or w · x + b alone with `nonlin=False`; weights uniform in [-1, 1), bias zero."""

    def __init__(self, nin: int, nonlin: bool = True) -> None:
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0.0)
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
