"""A layer and the activation after it, computed as one on a GPU where nobody can tell.

A product or a convolution applies the activation to its results before it stores them, if the gradient needs
those alone: a launch less, and the results are not read and written once more. What is recorded is the same:
two operations. Whoever looks on, by a hook of a module, by keeping values or seeking anomalies, finds the
layers computed one by one. On the CPU results of this size are in its caches, and it would gain nothing.
"""

from typing import Any

from numpy import ndarray

from tensor.autograd import is_anomaly_enabled
from tensor.autograd.keeping import is_watched
from tensor.nn.activation import ReLU, Sigmoid, Tanh
from tensor.nn.calling import is_called_plainly
from tensor.nn.conv import Conv2d
from tensor.nn.linear import Linear
from tensor.nn.module import Module

_LAYERS: tuple[Any, ...] = (Linear, Conv2d)
_ACTIVATIONS: dict[Any, str] = {ReLU: "relu", Sigmoid: "sigmoid", Tanh: "tanh"}
_FORWARDS = {kind: kind.forward for kind in (*_LAYERS, *_ACTIVATIONS)}


def may_begin(module: Module, input) -> bool:
    """Return whether an activation may be computed together with this module, which is called before it."""
    if type(module) not in _LAYERS or not _is_on_gpu(input) or not _is_as_made(module):
        return False
    return not is_watched() and not is_anomaly_enabled()


def activation_of(module: Module) -> str | None:
    """Return the formula that calling this module computes, if a layer can apply it; else None."""
    name = _ACTIVATIONS.get(type(module))
    if name is None or not _is_as_made(module) or getattr(module, "inplace", False):
        return None
    return name


def _is_as_made(module: Module) -> bool:
    kind = type(module)
    return is_called_plainly(module) and "forward" not in vars(module) and kind.forward is _FORWARDS[kind]


def _is_on_gpu(input) -> bool:
    """Return whether this is a tensor of floats on a GPU."""
    return (
        hasattr(input, "_array") and not isinstance(input._array, ndarray) and input.dtype.is_floating_point
    )


def call_in_order(modules, input):
    """Return what the last of the modules returns, each called with what the one before returned."""
    layer = None  # that is still to be called
    for module in modules:
        if layer is not None:
            name = activation_of(module)
            if name is not None:
                input, layer = layer.forward_and(name, input), None
                continue
            input, layer = layer(input), None
        if may_begin(module, input):
            layer = module
        else:
            input = module(input)
    return input if layer is None else layer(input)
