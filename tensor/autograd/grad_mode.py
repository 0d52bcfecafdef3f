"""Switching recording on and off in a thread."""

import functools
import inspect
import threading
import warnings
from collections.abc import Callable
from typing import Any


class _Mode(threading.local):
    enabled = True
    inference = False
    only_inputs = False  # a backward pass is running for some tensors only
    keeping: Any = None  # how operations keep their values, if they do; see `keeping`


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Return whether operations are recorded in this thread."""
    return _mode.enabled


class _GradMode:
    """Switch recording on or off in this thread, as a context or a decorator of functions and generators."""

    _enabled = False

    def __init__(self):
        self._before: list[bool] = []

    def __enter__(self):
        self._before.append(_mode.enabled)
        _mode.enabled = self._enabled and not _mode.inference
        return self

    def __exit__(self, *exc):
        _mode.enabled = self._before.pop()
        return False

    def __call__(self, function: Callable) -> Callable:
        if inspect.isclass(function):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You should only "
                "decorate functions or methods. To preserve the current behavior of class decoration, you "
                "can directly decorate the `__init__` method and nothing else.",
                FutureWarning,
                stacklevel=2,
            )
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def switched(*args, **kwargs):
            with self._again():
                return function(*args, **kwargs)

        return switched

    def _again(self) -> "_GradMode":
        """Return a context like this one, for one call: calls may be nested, and run in several threads."""
        return type(self)()

    def _wrap_generator(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def switched(*args, **kwargs):
            # Between two values the caller runs, in the mode that is the caller's.
            generator = function(*args, **kwargs)
            step: Callable = functools.partial(next, generator)
            while True:
                try:
                    with self._again():
                        value = step()
                except StopIteration as stop:
                    return stop.value
                try:
                    step = functools.partial(generator.send, (yield value))
                except GeneratorExit:
                    with self._again():
                        generator.close()
                    raise
                except BaseException as error:
                    step = functools.partial(generator.throw, error)

        return switched


class no_grad(_GradMode):
    """Do not record operations: `with no_grad(): ...`, `@no_grad()` or `@no_grad`."""

    def __new__(cls, function: Callable | None = None):
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self, function: Callable | None = None):
        super().__init__()


class enable_grad(no_grad):
    """Record operations, also inside `no_grad`."""

    _enabled = True


class set_grad_enabled(_GradMode):
    """Switch recording at once, as a call; or for the length of a `with` block or of a function."""

    def __init__(self, mode: bool):
        super().__init__()
        self._enabled, self._previous = bool(mode), _mode.enabled
        _mode.enabled = self._enabled

    def __exit__(self, *exc):
        super().__exit__(*exc)
        _mode.enabled = self._previous
        return False

    def __call__(self, function: Callable) -> Callable:
        _mode.enabled = self._previous  # a decorator switches in the function only
        return super().__call__(function)

    def _again(self) -> _GradMode:
        return set_grad_enabled(self._enabled)


def is_run_for_inputs() -> bool:
    """Return whether a backward pass is running that is to fill some tensors only, or none."""
    return _mode.only_inputs


def is_inference_mode_enabled() -> bool:
    """Return whether tensors made in this thread are inference tensors."""
    return _mode.inference


class inference_mode(_GradMode):
    """Do not record operations, and make inference tensors, which cannot be changed in place elsewhere.

    mode=False, within such a block, records operations again and makes usual tensors.
    """

    def __new__(cls, mode: bool | Callable = True):
        return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: bool = True):
        super().__init__()
        self._enabled = not mode
        self._inference_before: list[bool] = []

    def __enter__(self):
        self._inference_before.append(_mode.inference)
        _mode.inference = not self._enabled
        if _mode.inference:
            watch_inference(1)
        return super().__enter__()

    def __exit__(self, *exc):
        if _mode.inference:
            watch_inference(-1)
        _mode.inference = self._inference_before.pop()
        return super().__exit__(*exc)

    def _again(self) -> _GradMode:
        return inference_mode(not self._enabled)


def watch_inference(change: int) -> None:
    """Be told that a block of inference mode begins (1) or ends (-1); the engine puts its own in place."""
