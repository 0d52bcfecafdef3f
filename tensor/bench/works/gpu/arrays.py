"""Copies, functions of numbers at every position, reductions: what the GPU's memory bounds."""

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..case import OURS, Case
from .case import COPY, Goal, GpuWork, on_both, repeated
from .engines import Engine
from .sizes import SIZES

ROWS, COLUMNS = SIZES.matrix
TIMES = ROWS // SIZES.block
BYTES = 4 * ROWS * COLUMNS
AT_LEAST = (Goal("80% of the copy", COPY, 0.8),)


def block(seed: int, positive: bool = False) -> Any:
    """Return the first rows of a matrix, which repeats them: normal numbers, or uniform ones below 1."""
    draw, shape = np.random.default_rng(seed), (SIZES.block, COLUMNS)
    return draw.random(shape, np.float32) if positive else draw.standard_normal(shape, np.float32)


def matrix(seed: int, positive: bool = False) -> Any:
    return np.tile(block(seed, positive), (TIMES, 1))


def row(seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal(COLUMNS, np.float32)


# --- copies ------------------------------------------------------------------------------------------------


def _driver_copy(engine: Engine) -> Case:
    """The driver's own copy, which is what `cudaMemcpy` does."""
    driver = importlib.import_module("kernels.cuda").driver
    x, y = engine.put(matrix(0)), engine.put(matrix(1))

    def call() -> Any:
        driver.copy_within(y.data_ptr(), x.data_ptr(), BYTES)
        return y

    return Case(call, lambda: [engine.host(call())])


def _copy(engine: Engine) -> Case:
    """`y.copy_(x)`, which this engine does by a kernel."""
    x, y = engine.put(matrix(0)), engine.put(matrix(1))
    return Case(lambda: y.copy_(x), lambda: [engine.host(y.copy_(x))])


def _cupy_copy(engine: Engine) -> Case:
    x, y = engine.put(matrix(0)), engine.put(matrix(1))

    def call() -> Any:
        engine.module.copyto(y, x)
        return y

    return Case(call, lambda: [engine.host(call())])


SIZE = f"{BYTES >> 20} MiB" if BYTES >> 20 else f"{BYTES} bytes"


def _same() -> list[Any]:
    return [repeated(block(0), TIMES)]


COPIES = (
    GpuWork("copy", f"the driver's copy of {SIZE}", {OURS: _driver_copy}, _same, 0.0, 2 * BYTES),
    GpuWork("copy", f"copy of {SIZE}", on_both(_copy, cupy=_cupy_copy), _same, 0.0, 2 * BYTES),
)

# --- functions ---------------------------------------------------------------------------------------------


class Function(NamedTuple):
    """A function of some matrices, and of one row, in the words of each engine; None: it has none.

    moved: how many matrices are read and written. of: how many of them are arguments. gradient: it is the
    gradient in the first argument, of the output and a matrix, that is measured.
    """

    name: str
    torch: Callable[..., Any]
    cupy: Callable[..., Any] | None
    jax: Callable[..., Any] | None
    reference: Callable[..., Any]
    moved: int
    of: int = 1
    with_row: bool = False
    gradient: bool = False
    positive: bool = False
    tolerance: float = 1e-6


def _gelu(x: Any) -> Any:
    return x * _phi(x)


def _phi(x: Any) -> Any:
    return 0.5 * (1.0 + np.vectorize(math.erf)(x / math.sqrt(2.0)))


def _gelu_gradient(x: Any, g: Any) -> Any:
    return g * (_phi(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi))


def _softmax(x: Any) -> Any:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _normalized(x: Any) -> Any:
    return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)


def _jax_layer_norm(jax: Any, x: Any) -> Any:
    return (x - x.mean(1, keepdims=True)) * jax.lax.rsqrt(x.var(1, keepdims=True) + 1e-5)


FUNCTIONS = (
    Function("x + y", lambda torch, x, y: x + y, lambda cp, x, y: x + y, lambda jax, x, y: x + y,
             lambda x, y: x + y, 3, 2),
    Function("x + row", lambda torch, x, r: x + r, lambda cp, x, r: x + r, lambda jax, x, r: x + r,
             lambda x, r: x + r, 2, 1, with_row=True),
    Function("relu", lambda torch, x: torch.relu(x), lambda cp, x: cp.maximum(x, 0),
             lambda jax, x: jax.nn.relu(x), lambda x: np.maximum(x, 0.0), 2),
    Function("exp", lambda torch, x: torch.exp(x), lambda cp, x: cp.exp(x),
             lambda jax, x: jax.numpy.exp(x), np.exp, 2),
    Function("gelu", lambda torch, x: torch.nn.functional.gelu(x), None,
             lambda jax, x: jax.nn.gelu(x, approximate=False), _gelu, 2),
    Function("gradient of relu", lambda torch, x: torch.relu(x), None, lambda jax, x: jax.nn.relu(x),
             lambda x, g: g * (x > 0), 3, gradient=True),
    Function("gradient of gelu", lambda torch, x: torch.nn.functional.gelu(x), None,
             lambda jax, x: jax.nn.gelu(x, approximate=False), _gelu_gradient, 3, gradient=True),
)  # fmt: skip

REDUCTIONS = (
    Function("sum of all", lambda torch, x: x.sum(), lambda cp, x: x.sum(), lambda jax, x: x.sum(),
             lambda x: x.sum() * TIMES, 1, positive=True, tolerance=1e-5),
    Function("sum of each row", lambda torch, x: x.sum(1), lambda cp, x: x.sum(1), lambda jax, x: x.sum(1),
             lambda x: repeated(x.sum(1), TIMES), 1,
             positive=True, tolerance=1e-5),
    Function("sum of each column", lambda torch, x: x.sum(0), lambda cp, x: x.sum(0),
             lambda jax, x: x.sum(0), lambda x: x.sum(0) * TIMES, 1,
             positive=True, tolerance=1e-5),
    Function("largest of each row", lambda torch, x: x.amax(1), lambda cp, x: x.max(1),
             lambda jax, x: x.max(1), lambda x: repeated(x.max(1), TIMES), 1),
    Function("softmax of each row", lambda torch, x: torch.softmax(x, 1), None,
             lambda jax, x: jax.nn.softmax(x, axis=1), lambda x: repeated(_softmax(x), TIMES), 2,
             tolerance=1e-5),
    Function("layer norm of each row", lambda torch, x: torch.nn.functional.layer_norm(x, (COLUMNS,)), None,
             _jax_layer_norm, lambda x: repeated(_normalized(x), TIMES), 2, tolerance=1e-5),
)  # fmt: skip


def _arguments(of: Function) -> list[Any]:
    return [*(matrix(seed, of.positive) for seed in range(of.of)), *([row(9)] if of.with_row else [])]


def _eager(of: Function) -> Callable[[Engine], Case]:
    def make(engine: Engine) -> Case:
        torch, arguments = engine.module, [engine.put(a) for a in _arguments(of)]
        if of.gradient:
            x, g = arguments[0].requires_grad_(), engine.put(matrix(5))
            out = of.torch(torch, x)

            def call() -> Any:
                return torch.autograd.grad(out, x, g, retain_graph=True)[0]
        else:

            def call() -> Any:
                return of.torch(torch, *arguments)

        return Case(call, lambda: [engine.host(call())])

    return make


def _cupy(of: Function) -> Callable[[Engine], Case]:
    def make(engine: Engine) -> Case:
        arguments = [engine.put(a) for a in _arguments(of)]

        def call() -> Any:
            return of.cupy(engine.module, *arguments)  # type: ignore[misc]

        return Case(call, lambda: [np.asarray(engine.host(call()))])

    return make


def _jax(of: Function) -> Callable[[Engine], Case]:
    def make(engine: Engine) -> Case:
        jax, arguments = engine.module, [engine.put(a) for a in _arguments(of)]

        def function(*arguments: Any) -> Any:
            return of.jax(jax, *arguments)  # type: ignore[misc]

        if of.gradient:
            arguments.append(engine.put(matrix(5)))
            compute = jax.jit(lambda x, g: jax.vjp(function, x)[1](g)[0])
        else:
            compute = jax.jit(function)
        return Case(lambda: compute(*arguments), lambda: [engine.host(compute(*arguments))])

    return make


def _work(suite: str, of: Function) -> GpuWork:
    others = {name: make(of) for name, make, has in (("cupy", _cupy, of.cupy), ("jax", _jax, of.jax)) if has}

    def reference() -> Sequence[Any]:
        arguments = [block(seed, of.positive).astype(np.float64) for seed in range(of.of)]
        arguments += [row(9).astype(np.float64)] * of.with_row + [block(5).astype(np.float64)] * of.gradient
        found = of.reference(*arguments)
        if suite == "elementwise":
            return [repeated(found, TIMES)]
        return [found if isinstance(found, tuple) else np.asarray(found)]

    return GpuWork(
        suite, f"{of.name} of {ROWS} x {COLUMNS}", on_both(_eager(of), **others), reference, of.tolerance,
        of.moved * BYTES, goals=AT_LEAST,
    )  # fmt: skip


ELEMENTWISE = tuple(_work("elementwise", function) for function in FUNCTIONS)
REDUCED = tuple(_work("reduction", function) for function in REDUCTIONS)
