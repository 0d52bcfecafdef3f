"""Work on arrays: a step of scalars, products, convolution, pooling, functions of numbers.

Rows of a forward alone keep nothing for a backward, in any engine; rows of a backward alone are given what a
forward before them has kept; rows of both keep it, and return the output as well as the gradient.
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .case import OURS, Case, draw

# --- scalar ------------------------------------------------------------------------------------------------


def moons(engine: str) -> Case:
    step = importlib.import_module("micro.bench").demo_step("micro" if engine == OURS else engine)

    def answer() -> list[Any]:
        loss, gradients = step()
        return [np.array([loss]), np.array(gradients)]

    return Case(step, answer)


# --- matmul ------------------------------------------------------------------------------------------------

PRODUCTS = {
    "64x784 @ 784x128": lambda: (draw(0, 64, 784), draw(1, 784, 128)),
    "x.T @ g, 784x64 @ 64x128": lambda: (draw(0, 64, 784).T, draw(2, 64, 128)),
    "g @ W.T, 64x128 @ 128x784": lambda: (draw(2, 64, 128), draw(1, 784, 128).T),
    "64x128 @ 128x10": lambda: (draw(0, 64, 128), draw(1, 128, 10)),
    "256 cubed": lambda: (draw(0, 256, 256), draw(1, 256, 256)),
    "1024 cubed": lambda: (draw(0, 1024, 1024), draw(1, 1024, 1024)),
    "2048 cubed": lambda: (draw(0, 2048, 2048), draw(1, 2048, 2048)),
}


def array_product(operands: Callable[[], tuple]) -> Callable[[str], Case]:
    """The product of arrays: our kernel beside NumPy's `@`, which calls its BLAS."""

    def make(engine: str) -> Case:
        x, y = operands()
        multiply = importlib.import_module("kernels.cpu").matmul if engine == OURS else np.matmul
        return Case(lambda: multiply(x, y), lambda: [multiply(x, y)])

    return make


def tensor_product(operands: Callable[[], tuple]) -> Callable[[Any], Case]:
    """The product of tensors, `x @ y` on both sides."""

    def make(torch: Any) -> Case:
        # a transposed array becomes a transposed tensor
        x, y = (torch.from_numpy(a) if a.flags.c_contiguous else torch.from_numpy(a.T).T for a in operands())
        return Case(lambda: x @ y, lambda: [(x @ y).numpy()])

    return make


# --- convolution and pooling -------------------------------------------------------------------------------

CONVOLUTIONS = {
    "(64,32,14,14) * (32,32,3,3)": ((64, 32, 14, 14), (32, 32, 3, 3)),
    "(64,1,28,28) * (32,1,3,3)": ((64, 1, 28, 28), (32, 1, 3, 3)),
    "(16,64,56,56) * (64,64,3,3)": ((16, 64, 56, 56), (64, 64, 3, 3)),
}  # fmt: skip


def convolution(x_shape: tuple, w_shape: tuple) -> tuple[Any, Any, Any]:
    """Return images, weights, and a gradient of the output's shape (padding 1 keeps the size)."""
    return draw(0, *x_shape), draw(1, *w_shape), draw(2, x_shape[0], w_shape[0], *x_shape[2:])


def conv_forward(*shapes: tuple) -> Callable[[Any], Case]:
    def make(torch: Any) -> Case:
        x, w, _ = map(torch.from_numpy, convolution(*shapes))

        def call() -> Any:
            return torch.nn.functional.conv2d(x, w, padding=1)

        return Case(call, lambda: [call().numpy()])

    return make


def conv_gradient(which: int, *shapes: tuple) -> Callable[[Any], Case]:
    """The gradient in the images (which = 0) or the weights (1) alone: the other needs none."""

    def make(torch: Any) -> Case:
        *operands, g = map(torch.from_numpy, convolution(*shapes))
        operands[which].requires_grad_()
        out = torch.nn.functional.conv2d(*operands, padding=1)

        def call() -> Any:
            return torch.autograd.grad(out, operands[which], g, retain_graph=True)[0]

        return Case(call, lambda: [call().numpy()])

    return make


def jax_conv(which: int | None, *shapes: tuple) -> Callable[[str], Case]:
    def make(engine: str) -> Case:
        jax = importlib.import_module(engine)
        x, w, g = map(jax.numpy.asarray, convolution(*shapes))

        def conv(x: Any, w: Any) -> Any:
            layout = ("NCHW", "OIHW", "NCHW")
            return jax.lax.conv_general_dilated(x, w, (1, 1), ((1, 1), (1, 1)), dimension_numbers=layout)

        compute = jax.jit(conv if which is None else lambda x, w, g: jax.vjp(conv, x, w)[1](g)[which])
        arguments = (x, w) if which is None else (x, w, g)

        def call() -> Any:
            return compute(*arguments).block_until_ready()

        return Case(call, lambda: [np.asarray(call())])

    return make


def pool(part: str) -> Callable[[Any], Case]:
    """Max-pooling 2x2: "forward", keeping nothing, "backward" of one before, or "forward and backward"."""

    def make(torch: Any) -> Case:
        x = torch.from_numpy(draw(0, 64, 32, 28, 28)).requires_grad_(part != "forward")
        g = torch.from_numpy(draw(1, 64, 32, 14, 14))
        pool = torch.nn.functional.max_pool2d
        out = pool(x, 2)

        def forward() -> tuple:
            return (pool(x, 2),)

        def backward() -> tuple:
            return torch.autograd.grad(out, x, g, retain_graph=True)

        def both() -> tuple:
            out = pool(x, 2)
            return out, *torch.autograd.grad(out, x, g)

        call = {"forward": forward, "backward": backward, "forward and backward": both}[part]
        return Case(call, lambda: [result.detach().numpy() for result in call()])

    return make


def jax_pool(part: str) -> Callable[[str], Case]:
    def make(engine: str) -> Case:
        jax = importlib.import_module(engine)
        x, g = jax.numpy.asarray(draw(0, 64, 32, 28, 28)), jax.numpy.asarray(draw(1, 64, 32, 14, 14))

        def pool(x: Any) -> Any:
            window = (1, 1, 2, 2)
            return jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, window, "VALID")

        def both(x: Any, g: Any) -> tuple:
            out, back = jax.vjp(pool, x)
            return out, *back(g)

        arguments: tuple[Any, ...]
        if part == "forward":
            compute, arguments = jax.jit(lambda x: (pool(x),)), (x,)
        elif part == "backward":
            # `back` carries what the forward has kept, and goes into the compiled function as arrays do
            _, back = jax.jit(lambda x: jax.vjp(pool, x))(x)
            compute, arguments = jax.jit(lambda back, g: back(g)), (back, g)
        else:
            compute, arguments = jax.jit(both), (x, g)

        def call() -> Any:
            return jax.block_until_ready(compute(*arguments))

        return Case(call, lambda: [np.asarray(result) for result in call()])

    return make


# --- elementwise -------------------------------------------------------------------------------------------

FUNCTIONS = ("tanh", "gelu", "sigmoid", "exp", "relu")
ELEMENTS = 1_000_000


def lifted(name: str) -> Callable[[Any], Case]:
    def make(torch: Any) -> Case:
        function = torch.nn.functional.gelu if name == "gelu" else getattr(torch, name)
        x = torch.from_numpy(draw(0, ELEMENTS)).requires_grad_()
        g = torch.from_numpy(draw(1, ELEMENTS))

        def call() -> Any:
            return torch.autograd.grad(function(x), x, g)[0]

        return Case(call, lambda: [function(x).detach().numpy(), call().numpy()])

    return make


def jax_lifted(name: str) -> Callable[[str], Case]:
    def make(engine: str) -> Case:
        jax = importlib.import_module(engine)
        function = {
            "tanh": jax.numpy.tanh, "exp": jax.numpy.exp, "sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu,
            "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        }[name]  # fmt: skip

        @jax.jit
        def both(x: Any, g: Any) -> Any:
            out, back = jax.vjp(function, x)
            return out, back(g)[0]

        x, g = jax.numpy.asarray(draw(0, ELEMENTS)), jax.numpy.asarray(draw(1, ELEMENTS))

        def call() -> Any:
            return jax.block_until_ready(both(x, g))

        return Case(call, lambda: [np.asarray(a) for a in call()])

    return make
