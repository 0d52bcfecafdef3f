"""The interactive session of `liftgrad repl`: both engines at hand."""

from typing import Any

import micro
import tensor
import viz
from viz import console

__all__ = ["GREETING", "run"]

GREETING = """\
liftgrad {version}: Value, Tensor, tensor (or torch), nn, optim, F, step, draw, viz. Two lines to try:
x, y = Value(2.0, "x"), Value(3.0, "y"); z = x * y + (x**2).relu(); z.backward(); draw(z)
w = tensor.ones(2, 2, requires_grad=True); loss = (w @ w).tanh().sum(); step(loss)"""


def run(version: str, code: str | None, plain: bool) -> int:
    """Run the session, or `code` in its place, as `console.run` does; return the exit code."""
    tensor.set_keep_values(True)  # or a drawing would show no numbers within a tensor's graph
    names: dict[str, Any] = {
        "Value": micro.Value, "step": micro.step, "draw": console.draw_in_terminal, "viz": viz,
        "tensor": tensor, "torch": tensor, "Tensor": tensor.Tensor, "nn": tensor.nn, "optim": tensor.optim,
        "F": tensor.nn.functional, "micro": micro,
    }  # fmt: skip
    return console.run(names, GREETING.format(version=version), code, plain)
