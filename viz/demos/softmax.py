"""Softmax and cross-entropy by hand: logits to drag, probabilities, loss and the gradient p - y.

Here the page computes: nobody can record every place to which a logit may be dragged. What the engine makes
of the presets stands in the page as well: when it is opened, it compares its own results with those, and says
so.
"""

from collections.abc import Sequence
from typing import Any

from viz.demos.table import DEMOS
from viz.document import fill_template, write_document

__all__ = ["record", "run", "write"]

PARTS = (
    "demo.css", "controls.css", "chart.css", "softmax.css",
    "elements.js", "numbers.js", "player.js", "chart.js", "softmax.js",
)  # fmt: skip

CLASSES = range(2, 7)
TEMPERATURES = (1.0, 0.5, 3.0)

PRESETS: dict[str, tuple[tuple[float, ...], int]] = {
    "A first guess": ((1.5, 2.0, 0.5, -0.5, -1.0, 0.0), 0),
    "All equal": ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0),
    "Confident, right": ((6.0, 0.0, -1.0, 1.0, 0.5, -0.5), 0),
    "Confident, wrong": ((-2.0, 6.0, -1.0, 1.0, 0.5, -0.5), 0),
    "Close call": ((2.0, 2.1, -3.0, -2.5, -3.5, -2.0), 0),
    "Huge": ((1000.0, 1001.0, 998.0, 999.0, 997.5, 1000.5), 0),
    "Hugely wrong": ((-1000.0, 1000.0, 0.0, 500.0, 999.0, -500.0), 0),
}
"""The logits of up to six classes, of which a page with fewer takes the first; and the true class."""


def run(logits: Sequence[float], target: int, temperature: float = 1.0) -> dict[str, Any]:
    """Let the engine compute softmax, loss and gradient, in float64.

    Returns probabilities and gradient, a number a class, and the loss: the cross-entropy of
    logits / temperature against class `target`, whose gradient in the logits is (p - y) / temperature.
    """
    import tensor
    from tensor.nn import functional

    z = tensor.tensor(list(logits), dtype=tensor.float64, requires_grad=True)
    scaled = z / temperature
    loss = functional.cross_entropy(scaled, tensor.tensor(target))
    loss.backward()
    assert z.grad is not None
    p = functional.softmax(scaled.detach(), dim=0)
    return {"p": p.tolist(), "loss": loss.item(), "gradient": z.grad.tolist()}


def record() -> dict[str, Any]:
    """Return the presets, and the engine's results for each of them.

    "presets": name, logits of six classes, target. "cases": for each preset, each number of classes and each
    temperature the arguments of `run` and what it returned.
    """
    presets = [
        {"name": name, "logits": list(logits), "target": target} for name, (logits, target) in PRESETS.items()
    ]
    cases = [
        {"logits": arguments[0], "target": arguments[1], "temperature": arguments[2], **run(*arguments)}
        for logits, target in PRESETS.values()
        for classes in CLASSES
        for temperature in TEMPERATURES
        for arguments in [(list(logits[:classes]), target, temperature)]
    ]
    return {"classes": list(CLASSES), "presets": presets, "cases": cases}


def write() -> str:
    """Return the page as text."""
    controls = fill_template(
        "controls.html", unit="step", label="Step of descent", hint="", buttons="", below=""
    )
    return write_document("softmax.html", PARTS, DEMOS["softmax"].title, record(), controls=controls)
