"""Finding the operation that made a nan: its name, and where the program called it."""

import traceback
import warnings
from collections.abc import Callable
from typing import Any

from tensor.autograd.operation import Operation


class _Anomaly:
    enabled = False
    check_nan = True


_state = _Anomaly()
_record_silently = Operation._record


def is_anomaly_enabled() -> bool:
    """Return whether the backward pass looks for nan."""
    return _state.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Return whether nan is an error where anomalies are looked for."""
    return _state.check_nan


def _record_with_traceback(node, inputs, out, changes=0) -> None:
    _record_silently(node, inputs, out, changes)
    node.traceback = traceback.format_list(traceback.extract_stack()[:-1])


def _switch(enabled: bool, check_nan: bool) -> None:
    _state.enabled, _state.check_nan = enabled, check_nan
    # Another method, not a question in it: recording is what every operation waits for.
    record: Any = _record_with_traceback if enabled else _record_silently
    Operation._record = record  # type: ignore[method-assign]


def watcher(run: Callable | None = None) -> Callable:
    """Return what runs a node, by `run` or its `backward`, and tells where it was recorded if that fails."""

    def watched(node, k, grad):
        try:
            incoming = node.backward(k, grad) if run is None else run(node, k, grad)
            if _state.check_nan:
                _check(node, incoming)
        except Exception:
            _tell(node)
            raise
        return incoming

    return watched


def _check(node, incoming) -> None:
    for i, grad in enumerate(incoming):
        if grad is not None and node.edges[i] is not None:
            array = getattr(grad, "_array", grad)
            k = node._kernels
            if k.any(k.compare("isnan", array), tuple(range(array.ndim))).item():
                raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")


def _tell(node) -> None:
    lines = getattr(node, "traceback", None)
    if lines is None:
        warnings.warn(
            f"Error detected in {node.name()}. No forward pass information available. Enable "
            "detect anomaly during forward pass for more information.",
            UserWarning,
            stacklevel=2,
        )
    else:
        warnings.warn(
            f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n"
            + "".join(lines),
            UserWarning,
            stacklevel=2,
        )


class detect_anomaly:
    """Find what makes a nan: `with detect_anomaly(): ...` around the forward and the backward pass.

    An operation whose backward makes a nan raises RuntimeError, and a warning shows where the program called
    it. check_nan: False only shows where an operation was called whose backward raises. Slow: for debugging.
    """

    def __init__(self, check_nan: bool = True):
        self._check_nan = check_nan
        self._before = (_state.enabled, _state.check_nan)
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be "
            "enabled for debugging.",
            UserWarning,
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self._before = (_state.enabled, _state.check_nan)
        _switch(True, self._check_nan)

    def __exit__(self, *exc) -> None:
        _switch(*self._before)


class set_detect_anomaly:
    """Switch the search for nan at once, as a call; or for the length of a `with` block."""

    def __init__(self, mode: bool, check_nan: bool = True):
        self._before = (_state.enabled, _state.check_nan)
        _switch(bool(mode), check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc) -> None:
        _switch(*self._before)
