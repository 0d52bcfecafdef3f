"""Hooks: functions of the user that a gradient passes through."""

import itertools
import weakref
from typing import Any

import numpy as np

from tensor.autograd.grad_mode import no_grad


class HookTable(dict):
    """Hooks in order of registration (a dict that can be referred to weakly)."""


class Hook:
    """Handle of a registered hook; `remove()` takes it off again."""

    _ids = itertools.count()

    def __init__(self, hooks: "HookTable", function: Any, prepend: bool = False):
        self._hooks, self._id = weakref.ref(hooks), next(Hook._ids)
        before = list(hooks.items()) if prepend else []
        hooks[self._id] = function
        for key, value in before:  # hooks run in the order of the table: move the earlier ones behind
            del hooks[key]
            hooks[key] = value

    def remove(self) -> None:
        """Take the hook off; a second call does nothing."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self._id, None)


def run_hooks(hooks: HookTable, grad: np.ndarray, wrap) -> np.ndarray:
    """Give an array that is a gradient to every hook in turn; return what they make of it."""
    with no_grad():
        return _run(hooks, wrap(grad), wrap)._array


def run_hooks_recorded(hooks: HookTable, grad, wrap):
    """Give a gradient, a tensor with a history, to every hook in turn; return what they make of it."""
    return _run(hooks, grad, wrap)


def _run(hooks: HookTable, grad, wrap):
    for hook in list(hooks.values()):
        returned = hook(grad)
        if returned is None:
            continue
        if not hasattr(returned, "_array"):
            raise TypeError(
                f"register_hook: expected Variable, but hook returned {type(returned).__name__!r}; "
                "return a tensor, or None to leave the gradient"
            )
        if returned.dtype is not grad.dtype:
            raise RuntimeError(
                f"register_hook: the hook has changed the type of the gradient: {returned.dtype!r}, "
                f"expected {grad.dtype!r}"
            )
        if returned.shape != grad.shape:
            raise RuntimeError(
                f"register_hook: the hook returned a gradient of shape {tuple(returned.shape)}, "
                f"expected {tuple(grad.shape)}"
            )
        grad = returned
    return grad
