"""A trained network as data: its layers in order, each with its sizes and its numbers, as JSON has them.

`viz/templates/infer.js` is the other half: it computes what such a list says.
"""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tensor import Tensor, nn, no_grad, zeros

__all__ = ["encode", "list_layers"]

Layer = dict[str, Any]


def list_layers(model: nn.Module, inputs: tuple[int, ...], outputs: int) -> list[Layer]:
    """Return the layers of `model` as it computes in evaluation mode: dropout is nothing.

    Each is a dict with its "kind" and its sizes; weights are base64 of float32, little-endian, in the order
    of the tensor.

    Args:
        model: makes (1, outputs) of (1, *inputs).
        inputs: the sizes of what it looks at, without the batch, such as (1, 28, 28).
        outputs: how many logits it must give.

    Raises:
        ValueError: a module that the page cannot compute, with its path; weights that are not finite; sizes
            that do not fit.
    """
    steps = list(_walk(model, ""))
    layers = [layer for path, module in steps for layer in _export(path, module)]
    _check_sizes(steps, inputs, outputs)
    return layers


def encode(array: NDArray[Any], dtype: str = "<f4") -> str:
    """Return the numbers in C order as base64 of `dtype`."""
    return base64.b64encode(np.ascontiguousarray(array, dtype).tobytes()).decode()


def _walk(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    if type(module) is not nn.Sequential:
        yield path or "the model", module
        return
    for name, child in module.named_children():
        yield from _walk(child, f"{path}.{name}" if path else name)


@no_grad()
def _check_sizes(steps: list[tuple[str, nn.Module]], inputs: tuple[int, ...], outputs: int) -> None:
    parameters = [parameter for _, module in steps for parameter in module.parameters()]
    like = {"device": parameters[0].device, "dtype": parameters[0].dtype} if parameters else {}
    values = zeros(1, *inputs, **like)
    for path, module in steps:
        shape = tuple(values.shape)
        if type(module) is nn.Linear and len(shape) != 2:
            raise ValueError(f"play: {path} is applied to {shape}; put a Flatten before it")
        if _EXPORTS[type(module)] is _nothing:  # dropout would draw numbers
            continue
        try:
            values = module(values)
        except (RuntimeError, ValueError, IndexError) as error:
            raise ValueError(f"play: {path} cannot be applied to {shape}: {error}") from None
    if (shape := tuple(values.shape)) != (1, outputs):
        raise ValueError(f"play: expected a model that makes (1, {outputs}) of {(1, *inputs)}, got {shape}")


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
