"""A trained network as data: its layers in order, each with its sizes and its numbers, as JSON has them.

`viz/templates/infer.js` is the other half: it computes what such a list says.
"""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tensor import Tensor, nn

__all__ = ["encode", "list_layers"]

Layer = dict[str, Any]


def list_layers(model: nn.Module) -> list[Layer]:
    """Return the layers of `model` as it computes in evaluation mode: dropout is nothing.

    Each is a dict with its "kind" and its sizes; weights are base64 of float32, little-endian, in the order
    of the tensor. Raises ValueError for a module that the page cannot compute, with its path, and for weights
    that are not finite.
    """
    return [layer for path, module in _walk(model, "") for layer in _export(path, module)]


def encode(array: NDArray[Any], dtype: str = "<f4") -> str:
    """Return the numbers in C order as base64 of `dtype`."""
    return base64.b64encode(np.ascontiguousarray(array, dtype).tobytes()).decode()


def _walk(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    if type(module) is not nn.Sequential:
        yield path or "the model", module
        return
    for name, child in module.named_children():
        yield from _walk(child, f"{path}.{name}" if path else name)


def _export(path: str, module: nn.Module) -> list[Layer]:
    # the class itself: one that inherits from it may compute something else
    export = _EXPORTS.get(type(module))
    if export is None:
        known = ", ".join(kind.__name__ for kind in _EXPORTS)
        raise ValueError(f"play: {path} is a {type(module).__name__}; a page can compute {known}")
    return export(path, module)


def _linear(path: str, module: Any) -> list[Layer]:
    sizes = {"inputs": module.in_features, "outputs": module.out_features}
    return [{"kind": "linear", **sizes, **_numbers(path, module)}]


def _conv(path: str, module: Any) -> list[Layer]:
    if module.padding_mode != "zeros":
        raise ValueError(
            f"play: {path} pads with padding_mode={module.padding_mode!r}; a page can compute 'zeros'"
        )
    sizes = {
        "inputs": module.in_channels, "outputs": module.out_channels, "groups": module.groups,
        "kernel": list(module.kernel_size), "stride": list(module.stride),
        "dilation": list(module.dilation), "padding": _padding(module),
    }  # fmt: skip
    return [{"kind": "conv", **sizes, **_numbers(path, module)}]


def _padding(module: Any) -> list[int]:
    """Return the rows above and below, the columns left and right that are added."""
    if not isinstance(module.padding, str):
        down, across = module.padding
        return [down, down, across, across]
    if module.padding == "valid":
        return [0, 0, 0, 0]
    around = [d * (n - 1) for d, n in zip(module.dilation, module.kernel_size, strict=True)]
    return [side for width in around for side in (width // 2, width - width // 2)]


def _max_pool(path: str, module: Any) -> list[Layer]:
    kernel, stride, padding, dilation = (
        list(size) if isinstance(size, tuple | list) else [size, size]
        for size in (module.kernel_size, module.stride, module.padding, module.dilation)
    )
    if module.ceil_mode or module.return_indices:
        option = "ceil_mode" if module.ceil_mode else "return_indices"
        raise ValueError(f"play: {path} pools with {option}=True; a page can compute {option}=False")
    around = [padding[0], padding[0], padding[1], padding[1]]
    return [{"kind": "pool", "kernel": kernel, "stride": stride, "dilation": dilation, "padding": around}]


def _flatten(path: str, module: Any) -> list[Layer]:
    if (module.start_dim, module.end_dim) not in ((1, -1), (1, 3)):
        raise ValueError(
            f"play: {path} flattens dims {module.start_dim} to {module.end_dim}; a page can compute 1 to -1"
        )
    return [{"kind": "flatten"}]


def _numbers(path: str, module: Any) -> Layer:
    weight, bias = module.weight, module.bias
    return {
        "weight": _encode_parameter(f"{path}.weight", weight),
        "bias": None if bias is None else _encode_parameter(f"{path}.bias", bias),
    }


def _encode_parameter(path: str, parameter: Tensor) -> str:
    values = parameter.detach().cpu().numpy()
    if not np.isfinite(values).all():
        raise ValueError(f"play: {path} has numbers that are not finite; train the model anew")
    return encode(values)


def _elementwise(kind: str) -> Callable[[str, Any], list[Layer]]:
    return lambda path, module: [{"kind": kind}]


def _nothing(path: str, module: Any) -> list[Layer]:
    return []


_EXPORTS: dict[type[nn.Module], Callable[[str, Any], list[Layer]]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.MaxPool2d: _max_pool,
    nn.Flatten: _flatten,
    nn.ReLU: _elementwise("relu"),
    nn.Tanh: _elementwise("tanh"),
    nn.Sigmoid: _elementwise("sigmoid"),
    nn.Dropout: _nothing,
    nn.Dropout2d: _nothing,
    nn.Identity: _nothing,
}
