"""Switches that programs set at their beginning: determinism, precision of products, warnings, denormals."""

import warnings

from kernels.precision import allow_tf32

_state = {"deterministic": False, "warn_only": False, "precision": "highest", "warn_always": False}


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Demand the same results each run: kernels always give them, on any number of threads."""
    _state["deterministic"], _state["warn_only"] = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """Return whether `use_deterministic_algorithms` has demanded the same results each run."""
    return bool(_state["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Return whether `use_deterministic_algorithms` was called with warn_only=True."""
    return bool(_state["warn_only"])


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Demand the same results each run: 0 "default", 1 "warn", 2 "error"; RuntimeError for others."""
    modes = {"default": 0, "warn": 1, "error": 2}
    mode = modes.get(debug_mode) if isinstance(debug_mode, str) else debug_mode
    if mode not in (0, 1, 2):
        raise RuntimeError(f"set_deterministic_debug_mode: expected 0, 1, 2 or a name, got {debug_mode!r}")
    use_deterministic_algorithms(mode > 0, warn_only=mode == 1)


def get_deterministic_debug_mode() -> int:
    """Return 0, 1 (warn) or 2 (error), as `set_deterministic_debug_mode` takes it."""
    if not _state["deterministic"]:
        return 0
    return 1 if _state["warn_only"] else 2


def set_float32_matmul_precision(precision: str) -> None:
    """Allow products of float32 matrices in lower precision: "highest", "high" or "medium".

    The lower two allow TF32, of 10 bits of mantissa, where a GPU's tensor cores have it; elsewhere products
    are computed in the highest. Warns for another word.
    """
    if precision not in ("highest", "high", "medium"):
        warnings.warn(
            f"set_float32_matmul_precision: {precision!r} is not one of 'highest', 'high', or 'medium'; the "
            "call has no effect",
            stacklevel=2,
        )
        return
    _state["precision"] = precision
    allow_tf32(precision != "highest")


def get_float32_matmul_precision() -> str:
    """Return what `set_float32_matmul_precision` was last given; "highest" at first."""
    return str(_state["precision"])


def set_warn_always(b: bool) -> None:
    """Say whether warnings given once are given always: here every warning is left to Python's filters."""
    _state["warn_always"] = bool(b)


def is_warn_always_enabled() -> bool:
    """Return what `set_warn_always` was last given; False at first."""
    return bool(_state["warn_always"])


def set_flush_denormal(mode: bool) -> bool:
    """Return False: the processor's way with denormal numbers is not changed."""
    return False


def get_num_interop_threads() -> int:
    """Return how many operations run at a time: 1."""
    return 1


def set_num_interop_threads(num_threads: int) -> None:
    """Allow so many operations to run at a time: there is one, on all threads. RuntimeError below 1."""
    if num_threads < 1:
        raise RuntimeError(f"set_num_interop_threads: expected a positive number, got {num_threads}")
