"""A GPU that computes nothing, for tensors: so what the host does for a GPU is measured without one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tensor import devices
from tensor.cuda import graph


@contextmanager
def stand_in(is_recorded: bool = True) -> Iterator[Any]:
    """Let "cuda" be a device that is there and computes nothing; see `kernels.cuda.stand_in`.

    is_recorded: keep every launch; False: only count, which takes next to no time of the host's. Needs
    numba-cuda, and is not for the simulator, which launches nothing.
    """
    from kernels.cuda import stand_in as below  # which needs numba-cuda

    try:
        with below.stand_in(is_recorded) as made:
            _look_again()
            yield made
    finally:
        _look_again()


def _look_again() -> None:
    devices.look_again()
    graph.default_capture_stream = None  # which is the other GPU's
