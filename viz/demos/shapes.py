"""Shapes through a network, for a batch of any size: forward through its layers, the gradients' way back.

The engine runs each model at several batch sizes. A number that was the same in all of these runs stands in
the page as it is; one that differed stands there as a line through what it was, and a number that lies on no
line is an error: nothing is assumed about what depends on the batch.
"""

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from viz.demos.layers import describe_backward, describe_forward
from viz.demos.table import DEMOS
from viz.document import fill_template, write_document

__all__ = ["LARGEST_BATCH", "fit", "observe", "record", "write"]

PARTS = (
    "demo.css", "controls.css", "shapes.css",
    "elements.js", "numbers.js", "player.js", "blocks.js", "shapes.js",
)  # fmt: skip

RUN_AT = (2, 3, 7, 32)
"""The batch sizes at which the engine runs; two of them find a line, the others must lie on it."""

LARGEST_BATCH = 512

NUMBER = re.compile(r"\d+")


def observe(name: str, batch: int) -> dict[str, Any]:
    """Run a model of `tensor.models` forward and backward and return all the page shows of it at this size.

    "blocks": what is computed, in order: the input, each layer's output, the loss. Each has name, kind,
    shape, numbers, bytes (0 of a view), multiply-adds, parameters, the shape of its gradient (None where the
    engine computes none), and words for each dim and for the backward pass. "totals": of parameters, bytes
    and multiply-adds. "mistakes": what the engine answers to some that people make.
    """
    import tensor
    from tensor.models import MODELS, build
    from tensor.nn import functional

    tensor.manual_seed(0)
    inputs = MODELS[name].inputs
    model = build(name)
    images = tensor.rand(batch, 1, *inputs.size)
    targets = tensor.randint(0, len(inputs.labels), (batch,))
    gradients: dict[str, list[int]] = {}
    calls: list[tuple[str, Any, Any, Any]] = []

    def watch(path: str, output: Any) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: gradients.update({path: list(gradient.shape)}))

    def note(path: str) -> Callable[[Any, Any, Any], None]:
        def hook(layer: Any, arguments: Any, output: Any) -> None:
            calls.append((path, layer, arguments[0], output))
            watch(path, output)

        return hook

    for path, layer in model.named_children():
        layer.register_forward_hook(note(path))
    logits = model(images)
    loss = functional.cross_entropy(logits, targets)
    watch("loss", loss)
    loss.backward()
    blocks = [_block("input", None, images, None)]
    blocks += [_block(path, layer, output, given) for path, layer, given, output in calls]
    blocks.append(_loss_block(loss, targets, logits))
    for block in blocks:
        block["gradient"] = gradients.get(block["name"])
    for earlier, block in pairwise(blocks):
        block["backward"] = describe_backward(block, earlier) if block["gradient"] is not None else []
    return {
        "title": MODELS[name].title,
        "blocks": blocks,
        "totals": {
            "parameters": sum(p.numel() for p in model.parameters()),
            "bytes": sum(block["bytes"] for block in blocks),
            "products": sum(block["products"] for block in blocks),
        },
        "mistakes": _make_mistakes(name, batch),
    }


def _block(path: str, layer: Any, output: Any, given: Any) -> dict[str, Any]:
    shape = list(output.shape)
    before = None if given is None else list(given.shape)
    parameters = [
        {"name": name, "shape": list(p.shape), "count": p.numel(), "gradient": list(p.grad.shape)}
        for name, p in (layer.named_parameters() if layer is not None else ())
    ]
    is_view = given is not None and output.data_ptr() == given.data_ptr()
    block = {
        "name": path,
        "kind": "input" if layer is None else type(layer).__name__,
        "written": "the images" if layer is None else repr(layer),
        "shape": shape,
        "before": before,
        "numbers": output.numel(),
        "dtype": str(output.dtype).rpartition(".")[2],
        "view": is_view,
        "bytes": 0 if is_view else output.numel() * output.element_size(),
        "parameters": parameters,
        "count": sum(parameter["count"] for parameter in parameters),
    }
    return {**block, **describe_forward(layer, before, shape)}


def _loss_block(loss: Any, targets: Any, logits: Any) -> dict[str, Any]:
    words = {
        "kind": "cross-entropy",
        "written": "cross_entropy(logits, targets)",
        "dims": [],
        "note": f"The targets are {_write(targets.shape)}: the true class of each sample. The mean over the "
        "batch is one number, of no dims.",
        "work": "",
    }
    return {**_block("loss", None, loss, None), **words, "before": list(logits.shape)}


def _write(shape: Any) -> str:
    return str(tuple(shape))


# --- mistakes ---------------------------------------------------------------------------------------------


def _make_mistakes(name: str, batch: int) -> list[dict[str, str]]:
    """Return what people get wrong, each with its code and with what the engine says about it."""
    import tensor
    from tensor import nn
    from tensor.models import MODELS, build
    from tensor.nn import functional

    inputs = MODELS[name].inputs
    height, width = inputs.size
    model: Any = build(name)
    images = tensor.zeros(batch, 1, height, width)
    flat = nn.Sequential(*[layer for layer in model if not isinstance(layer, nn.Flatten)])
    larger = tensor.zeros(batch, 1, height + 4, width + 4)
    column = tensor.zeros(batch, 1, dtype=tensor.int64)
    mistakes: list[tuple[str, str, Callable[[], Any]]] = [
        ("Flatten is left out", "nn.Sequential(…)  # without nn.Flatten()", lambda: flat(images)),
        ("The images have another size", f"model(images)  # {_write(larger.shape)}", lambda: model(larger)),
        (
            "The targets are a column",
            f"cross_entropy(logits, targets)  # targets: {_write(column.shape)}",
            lambda: functional.cross_entropy(model(images), column),
        ),
    ]
    if any(isinstance(layer, nn.Conv2d) for layer in model):
        bare = tensor.zeros(batch, height, width)
        code = f"model(images)  # {_write(bare.shape)}"
        mistakes.insert(1, ("The images have no dim for channels", code, lambda: model(bare)))
    else:
        narrow = nn.Linear(100, len(inputs.labels))
        apart = nn.Sequential(*list(model)[:-1], narrow)
        code = f"nn.Sequential(…, {list(model)[-3]}, nn.ReLU(), {narrow})"
        mistakes.insert(1, ("Two layers do not meet", code, lambda: apart(images)))
    return [{"title": title, "code": code, "error": _error_of(run)} for title, code, run in mistakes]


def _error_of(run: Callable[[], Any]) -> str:
    try:
        run()
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("shapes: the engine has nothing against what the page calls a mistake")


# --- what depends on the batch ----------------------------------------------------------------------------


def fit(seen: Mapping[int, Any]) -> Any:
    """Return what was seen at some batch sizes as one: trees of lists and dicts with numbers and texts.

    A number that differs becomes {"each": a, "plus": b}, which is a x batch + b; a text whose numbers differ
    becomes {"text": [...]}, of texts and such numbers.

    Raises:
        ValueError: what was seen has not one form, or a number lies on no line.
    """
    sizes, trees = list(seen), list(seen.values())
    first = trees[0]
    if isinstance(first, int) and not isinstance(first, bool):
        return _fit_line(sizes, trees)
    if isinstance(first, str):
        return _fit_text(sizes, trees)
    if any(type(tree) is not type(first) for tree in trees):
        raise ValueError(f"shapes: at batch sizes {sizes} the engine gave things of different kinds: {trees}")
    if isinstance(first, list):
        if any(len(tree) != len(first) for tree in trees):
            raise ValueError(
                f"shapes: at batch sizes {sizes} the engine gave different numbers of things: {trees}"
            )
        return [fit(dict(zip(sizes, parts, strict=True))) for parts in zip(*trees, strict=True)]
    if isinstance(first, dict):
        if any(tree.keys() != first.keys() for tree in trees):
            raise ValueError(f"shapes: at batch sizes {sizes} the engine gave different things: {trees}")
        return {key: fit({size: tree[key] for size, tree in seen.items()}) for key in first}
    if any(tree != first for tree in trees):
        raise ValueError(f"shapes: at batch sizes {sizes} the engine gave {trees}")
    return first


def _fit_line(sizes: list[int], values: list[int]) -> Any:
    if len(set(values)) == 1:
        return values[0]
    each, rest = divmod(values[1] - values[0], sizes[1] - sizes[0])
    plus = values[0] - each * sizes[0]
    if rest or any(value != each * size + plus for size, value in zip(sizes, values, strict=True)):
        raise ValueError(f"shapes: at batch sizes {sizes} the engine gave {values}, which lie on no line")
    return {"each": each, "plus": plus}


def _fit_text(sizes: list[int], texts: list[str]) -> Any:
    if len(set(texts)) == 1:
        return texts[0]
    between = [NUMBER.split(text) for text in texts]
    if any(parts != between[0] for parts in between):
        raise ValueError(f"shapes: at batch sizes {sizes} the engine gave different sentences: {texts}")
    columns = zip(*[[int(number) for number in NUMBER.findall(text)] for text in texts], strict=True)
    numbers = [_fit_line(sizes, list(column)) for column in columns]
    parts: list[Any] = [between[0][0]]
    for number, text in zip(numbers, between[0][1:], strict=True):
        if isinstance(number, int):
            parts[-1] += f"{number}{text}"
        else:
            parts += [number, text]
    return {"text": parts}


def record() -> dict[str, Any]:
    """Return, for each model of `tensor.models`, what `observe` gives, by `fit`.

    "alone" is what the engine said of each mistake with a batch of one, where it is another sentence.
    """
    from tensor.models import MODELS

    models = {}
    for name in MODELS:
        models[name] = fit({batch: observe(name, batch) for batch in RUN_AT})
        alone = _make_mistakes(name, 1)
        for mistake, there in zip(models[name]["mistakes"], alone, strict=True):
            mistake["alone"] = there["error"] if there["error"] != _at(mistake["error"], 1) else None
    return {"models": models, "largest": LARGEST_BATCH}


def _at(text: Any, batch: int) -> str:
    if isinstance(text, str):
        return text
    return "".join(
        part if isinstance(part, str) else str(part["each"] * batch + part["plus"]) for part in text["text"]
    )


def write() -> str:
    """Return the page as text."""
    words = {"unit": "layer", "label": "Step", "hint": " Or choose a block.", "buttons": "", "below": ""}
    controls = fill_template("controls.html", **words)
    return write_document("shapes.html", PARTS, DEMOS["shapes"].title, record(), controls=controls)
