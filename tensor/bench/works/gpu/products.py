"""Products of matrices and convolutions: what the GPU's arithmetic bounds."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arrays import convolution
from ..case import Case, draw
from . import reference
from .case import Goal, GpuWork, on_both
from .engines import Engine
from .graphs import captured
from .sizes import SIZES

# A TF32 number has 10 bits after the first; float32's tolerance is one that TF32 does not meet.
TF32_TOLERANCE = 2e-3
GOAL = (Goal("70% of PyTorch's speed", "torch", 0.7),)


def _operands(rows: int, inner: int, columns: int) -> tuple[Any, Any]:
    return draw(0, rows, inner), draw(1, inner, columns)


def _product(*sizes: int) -> Callable[[Engine], Case]:
    def make(engine: Engine) -> Case:
        x, y = map(engine.put, _operands(*sizes))
        return Case(lambda: x @ y, lambda: [engine.host(x @ y)])

    return make


def _jax_product(*sizes: int) -> Callable[[Engine], Case]:
    def make(engine: Engine) -> Case:
        x, y = map(engine.put, _operands(*sizes))
        multiply = engine.module.jit(lambda x, y: x @ y)
        return Case(lambda: multiply(x, y), lambda: [engine.host(multiply(x, y))])

    return make


def _products_in_a_graph(*sizes: int) -> Callable[[Engine], Case]:
    """So many times the same product: launched one by one it would be the host that is measured."""

    def make(engine: Engine) -> Case:
        x, y = map(engine.put, _operands(*sizes))

        def several() -> Any:
            for _ in range(SIZES.captured):
                out = x @ y
            return out

        replay, out = captured(engine, several)

        def answer() -> Sequence[Any]:
            replay()
            return [engine.host(out)]

        return Case(replay, answer)

    return make


def _right(*sizes: int) -> Callable[[], Sequence[Any]]:
    def compute() -> Sequence[Any]:
        x, y = _operands(*sizes)
        return [x.astype(np.float64) @ y.astype(np.float64)]

    return compute


def _cube(n: int, tf32: bool = False) -> GpuWork:
    others = {"jax": _jax_product(n, n, n), **({} if tf32 else {"cupy": _product(n, n, n)})}
    return GpuWork(
        "matmul", f"product of {n} cubed{', TF32' if tf32 else ''}", on_both(_product(n, n, n), **others),
        _right(n, n, n), TF32_TOLERANCE if tf32 else 1e-5, operations=2.0 * n**3,
        goals=GOAL if n == SIZES.cubes[0] and not tf32 else (), tf32=tf32,
    )  # fmt: skip


PRODUCTS = (
    *(_cube(n) for n in SIZES.cubes),
    _cube(SIZES.cubes[0], tf32=True),
    *(
        GpuWork(
            "matmul", f"product of {m} x {k} and {k} x {n}, {SIZES.captured} in a graph",
            on_both(_products_in_a_graph(m, k, n)), _right(m, k, n), operations=2.0 * m * k * n,
            calls_in_one=SIZES.captured,
        )
        for m, k, n in SIZES.thin
    ),
)  # fmt: skip


# --- convolution -------------------------------------------------------------------------------------------


def _forward(*shapes: tuple) -> Callable[[Engine], Case]:
    def make(engine: Engine) -> Case:
        x, w, _ = map(engine.put, convolution(*shapes))

        def call() -> Any:
            return engine.module.nn.functional.conv2d(x, w, padding=1)

        return Case(call, lambda: [engine.host(call())])

    return make


def _gradient(which: int, *shapes: tuple) -> Callable[[Engine], Case]:
    """The gradient in the images (which = 0) or the weights (1) alone: the other needs none."""

    def make(engine: Engine) -> Case:
        torch, (*operands, g) = engine.module, map(engine.put, convolution(*shapes))
        operands[which].requires_grad_()
        out = torch.nn.functional.conv2d(*operands, padding=1)

        def call() -> Any:
            return torch.autograd.grad(out, operands[which], g, retain_graph=True)[0]

        return Case(call, lambda: [engine.host(call())])

    return make


def _jax_conv(which: int | None, *shapes: tuple) -> Callable[[Engine], Case]:
    def make(engine: Engine) -> Case:
        jax = engine.module
        x, w, g = map(engine.put, convolution(*shapes))

        def conv(x: Any, w: Any) -> Any:
            layout = ("NCHW", "OIHW", "NCHW")
            return jax.lax.conv_general_dilated(x, w, (1, 1), ((1, 1), (1, 1)), dimension_numbers=layout)

        compute = jax.jit(conv if which is None else lambda x, w, g: jax.vjp(conv, x, w)[1](g)[which])
        arguments = (x, w) if which is None else (x, w, g)
        return Case(lambda: compute(*arguments), lambda: [engine.host(compute(*arguments))])

    return make


def _right_convolution(which: int | None, *shapes: tuple) -> Callable[[], Sequence[Any]]:
    def compute() -> Sequence[Any]:
        x, w, g = (a.astype(np.float64) for a in convolution(*shapes))
        if which is None:
            return [reference.conv2d(x, w, 1)]
        return [reference.conv2d_dx(w, g, 1) if which == 0 else reference.conv2d_dw(x, g, w.shape[2:], 1)]

    return compute


def _convolutions() -> list[GpuWork]:
    found = []
    for images, weights in SIZES.convolutions:
        name = " * ".join(f"({','.join(map(str, shape))})" for shape in (images, weights))
        operations = 2.0 * np.prod(weights) * images[0] * images[2] * images[3]
        for what, which in (("forward", None), ("dx", 0), ("dw", 1)):
            make = _forward(images, weights) if which is None else _gradient(which, images, weights)
            found.append(
                GpuWork(
                    "conv", f"{name} {what}", on_both(make, jax=_jax_conv(which, images, weights)),
                    _right_convolution(which, images, weights), 4e-5, operations=float(operations),
                )
            )  # fmt: skip
    return found


CONVOLUTIONS = tuple(_convolutions())
