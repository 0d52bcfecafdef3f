"""Whether products of float32 may be rounded for tensor cores: a program says so, a GPU's kernels ask."""

_allowed = {"tf32": False}


def allow_tf32(allowed: bool) -> None:
    """Say whether factors may be rounded to TF32, of 10 bits of mantissa; they are not at first."""
    _allowed["tf32"] = bool(allowed)


def allows_tf32() -> bool:
    """Return what `allow_tf32` was last told."""
    return _allowed["tf32"]
