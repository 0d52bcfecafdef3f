"""`torch.compile` and `torch.compiler`: what is given runs as it is; kernels are compiled already."""

from collections.abc import Callable
from typing import Any

from tensor.nn.module import Module

_MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")
_BACKENDS = ("inductor", "eager", "aot_eager", "cudagraphs")


class OptimizedModule(Module):
    """What `compile` makes of a module: it has that module's parameters, named `_orig_mod.` and so on.

    What it does not have itself, it asks the module for.
    """

    def __init__(self, module: Module):
        super().__init__()
        self._orig_mod = module
        self.training = module.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module."""
        return self._orig_mod(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__.get("_modules", {})
        if name == "_orig_mod":
            return modules["_orig_mod"]
        return getattr(modules["_orig_mod"], name)


def compile(
    model: Callable | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable = "inductor",
    mode: str | None = None,
    options: dict | None = None,
    disable: bool = False,
) -> Any:
    """Return what computes the same as `model`: a function itself, a module within an `OptimizedModule`.

    Also a decorator, with and without options. The options choose how PyTorch compiles; here an operation is
    one compiled kernel whatever they say, so they change no result. Raises RuntimeError for a mode or a
    backend that PyTorch does not have either, and for mode and options together.
    """
    if mode is not None and options is not None:
        raise RuntimeError("compile: mode or options can be specified, not both")
    if mode is not None and mode not in _MODES:
        raise RuntimeError(f"compile: mode must be one of {', '.join(_MODES)}, got {mode!r}")
    if isinstance(backend, str) and backend not in _BACKENDS:
        raise RuntimeError(f"compile: backend must be one of {', '.join(_BACKENDS)}, got {backend!r}")
    if model is None:
        return lambda model: compile(model, backend=backend, disable=disable)
    if not callable(model):
        raise AssertionError(f"compile: expected a function or a module, got {type(model).__name__}")
    return OptimizedModule(model) if isinstance(model, Module) and not disable else model


def is_compiling() -> bool:
    """Return whether a graph is being compiled: False."""
    return False


is_dynamo_compiling = is_compiling


def disable(fn: Callable | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Return `fn` as it is; also a decorator."""
    return fn if fn is not None else lambda fn: fn


def reset() -> None:
    """Do nothing: nothing has been compiled."""
