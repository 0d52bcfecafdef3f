"""What a layer does to a shape, in words and with its own numbers; the engine's shape must come out."""

from collections.abc import Callable
from math import prod
from typing import Any

__all__ = ["describe_backward", "describe_forward"]

Words = dict[str, Any]
"""dims: name, size and reason of each dim of the output. note: a sentence. products: multiply-adds of the
forward pass. work: how they are counted."""


def describe_forward(layer: Any, before: list[int] | None, shape: list[int]) -> Words:
    """Return how `shape` follows from `before`; None is no layer: the input.

    Raises ValueError where the words give another shape than the engine.
    """
    kind = "input" if layer is None else type(layer).__name__
    if before is None or kind == "input":
        return {"dims": _name_dims(shape), "note": "", "products": 0, "work": ""}
    words = FORWARD[kind](layer, before, shape)
    found = [dim["size"] for dim in words["dims"]]
    if found != shape:
        raise ValueError(f"shapes: by its formula {layer} gives {found}, the engine gave {shape}")
    return words


def _name_dims(shape: list[int]) -> list[dict[str, Any]]:
    reasons = ["samples", "channels: grey has one", "rows of pixels", "pixels in a row"]
    names = ["batch", "channels", "height", "width"]
    return [_dim(name, size, reason) for name, size, reason in zip(names, shape, reasons, strict=False)]


def _dim(name: str, size: int, why: str) -> dict[str, Any]:
    return {"name": name, "size": size, "why": why}


def _batch(shape: list[int]) -> dict[str, Any]:
    return _dim("batch", shape[0], "each sample goes its own way")


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _window(size: int, padding: int, dilation: int, kernel: int, stride: int) -> tuple[int, str]:
    """Return how many places a window has along a side, and the formula with its numbers."""
    reach = kernel if dilation == 1 else dilation * (kernel - 1) + 1
    written = str(kernel) if dilation == 1 else f"({dilation} · ({kernel} − 1) + 1)"
    over = size + 2 * padding - reach
    fraction = f"({size} + 2 · {padding} − {written}) / {stride}"
    if over % stride:
        fraction = f"⌊{fraction}⌋"
    places = over // stride + 1
    return places, f"{fraction} + 1 = {places}"


def _sides(layer: Any, before: list[int]) -> list[dict[str, Any]]:
    pairs = [_pair(getattr(layer, name)) for name in ("padding", "dilation", "kernel_size", "stride")]
    sides = []
    for side, name in enumerate(("height", "width")):
        places, formula = _window(before[2 + side], *[pair[side] for pair in pairs])
        sides.append(_dim(name, places, formula))
    return sides


def _convolve(layer: Any, before: list[int], shape: list[int]) -> Words:
    kernel = _pair(layer.kernel_size)
    channels = before[1] // layer.groups
    taps = channels * prod(kernel)
    outputs = " · ".join(map(str, shape))
    return {
        "dims": [
            _batch(before),
            _dim("channels", layer.out_channels, f"{layer.out_channels} filters, each gives one plane"),
            *_sides(layer, before),
        ],
        "note": "(size + 2 · padding − kernel) / stride + 1",
        "products": prod(shape) * taps,
        "work": f"{outputs} outputs, each a sum of {channels} · {kernel[0]} · {kernel[1]} products",
    }


def _pool(layer: Any, before: list[int], shape: list[int]) -> Words:
    return {
        "dims": [
            _batch(before),
            _dim("channels", before[1], "each plane is pooled by itself"),
            *_sides(layer, before),
        ],
        "note": "(size + 2 · padding − kernel) / stride + 1",
        "products": 0,
        "work": "it compares, and multiplies nothing",
    }


def _activate(layer: Any, before: list[int], shape: list[int]) -> Words:
    names = ["batch", "channels", "height", "width"] if len(before) == 4 else ["batch", "features"]
    whys = ["each sample goes its own way", *["as before"] * (len(before) - 1)]
    return {
        "dims": [_dim(*parts) for parts in zip(names, before, whys, strict=True)],
        "note": "Each number becomes max(0, number): no shape changes.",
        "products": 0,
        "work": "it compares, and multiplies nothing",
    }


def _flatten(layer: Any, before: list[int], shape: list[int]) -> Words:
    written = " · ".join(map(str, before[1:]))
    return {
        "dims": [_batch(before), _dim("features", prod(before[1:]), f"{written} = {prod(before[1:])}")],
        "note": "The planes of a sample are laid row by row into one line; no number changes.",
        "products": 0,
        "work": "it computes nothing",
    }


def _multiply(layer: Any, before: list[int], shape: list[int]) -> Words:
    rows, inputs, outputs = before[0], before[1], layer.out_features
    return {
        "dims": [
            _batch(before),
            _dim("features", outputs, f"one for each row of the weight, {_write([outputs, inputs])}"),
        ],
        "note": f"{_write(before)} @ {_write([inputs, outputs])}, the weight transposed: inner sizes agree.",
        "products": rows * inputs * outputs,
        "work": f"{rows} · {outputs} outputs, each a sum of {inputs} products",
    }


FORWARD: dict[str, Callable[[Any, list[int], list[int]], Words]] = {
    "Conv2d": _convolve,
    "MaxPool2d": _pool,
    "ReLU": _activate,
    "Flatten": _flatten,
    "Linear": _multiply,
}


def _write(shape: list[int]) -> str:
    return str(tuple(shape))


def describe_backward(block: dict[str, Any], earlier: dict[str, Any]) -> list[str]:
    """Return, sentence by sentence, what the gradient of a block's output becomes.

    The shapes are those that the engine gave: of the gradient of its output, of its parameters, and of the
    output before it, None where the engine computes none.
    """
    grad, passed = block["gradient"], earlier["gradient"]
    lines = []
    kind = block["kind"]
    if kind == "Linear":
        rows, outputs = grad
        inputs = block["before"][1]
        product = f"{_write([outputs, rows])} @ {_write([rows, inputs])} = {_write([outputs, inputs])}"
        lines.append(f"weight.grad: {product}; the batch is the inner size: it is summed over.")
        lines.append(f"bias.grad: the sum of {rows} rows.")
        if passed is not None:
            lines.append(f"To the input: {_write(grad)} @ {_write([outputs, inputs])} = {_write(passed)}.")
    elif kind == "Conv2d":
        channels, kernel = block["parameters"][0]["shape"][1], block["parameters"][0]["shape"][2:]
        lines.append(
            f"weight.grad: each of {channels} · {kernel[0]} · {kernel[1]} taps of a filter sums over "
            f"{grad[0]} samples and {grad[2]} · {grad[3]} places."
        )
        lines.append(f"bias.grad: a plane's sum, over {grad[0]} · {grad[2]} · {grad[3]} numbers.")
        if passed is not None:
            lines.append(
                f"To the input: every output gives to the window that it came from, {_write(passed)}."
            )
    elif kind == "cross-entropy":
        lines.append(
            f"The gradient of each sample's logits is (p − y) / {block['before'][0]}: {_write(passed)}."
        )
    else:
        lines.append(BACKWARD[kind])
    if passed is None:
        to = "the images" if earlier["name"] == "input" else "what is before it"
        lines.append(f"To {to}: nothing, for no parameter is there.")
    return lines


BACKWARD = {
    "MaxPool2d": "Each gradient goes to the largest of its window; the others get 0. The sides grow back.",
    "ReLU": "It passes where the output was above 0, and is 0 elsewhere: the same shape.",
    "Flatten": "The line is cut into rows and planes again; no number changes.",
}
