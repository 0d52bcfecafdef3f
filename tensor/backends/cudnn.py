"""`torch.backends.cudnn`: there is no cuDNN; its switches keep what they are given."""

import contextlib
from collections.abc import Iterator

enabled = True
benchmark = False
benchmark_limit = 10
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """Return whether cuDNN is there: False."""
    return False


def version() -> None:
    """Return the version of cuDNN: None, for there is none."""


@contextlib.contextmanager
def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
) -> Iterator[None]:
    """Set the switches for the length of a block."""
    given = {name: value for name, value in locals().items() if name in _SWITCHES}
    before = {name: globals()[name] for name in _SWITCHES}
    globals().update(given)
    try:
        yield
    finally:
        globals().update(before)


_SWITCHES = ("enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32")
