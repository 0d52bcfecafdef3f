"""What is different about a row on a GPU, or its simulator, beside what PyTorch gives on the CPU."""

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from tensor import device_random, random

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
DRAWS = (
    "uniform", "normal", "integers", "any_integers", "permutation", "random_int64", "bernoulli",
    "exponential", "cauchy", "geometric", "log_normal", "multinomial", "poisson", "words",
)  # fmt: skip
"""The methods of a generator that draw."""

FOR_THE_CPU = (
    "to numpy. Use Tensor.cpu()",
    "Expected all tensors to be on the same device",
    "device type for generator",
)
"""What an error says where a program is one for the CPU: PyTorch on a GPU raises it too."""


@contextlib.contextmanager
def numbers_of_the_cpu() -> Iterator[None]:
    """Let the GPU's default generator draw the CPU's numbers, so that weights of layers are PyTorch's.

    The GPU's own numbers are tested in `tests/tensor/cuda/test_device_random.py`.
    """
    from kernels import cuda

    def drawing(name: str) -> Callable:
        own = getattr(device_random.DeviceGenerator, name)

        @functools.wraps(own)
        def draw(self: Any, *arguments: Any, **named: Any) -> Any:
            if self is not device_random.default_generator:
                return own(self, *arguments, **named)
            given = [a.to_host() if isinstance(a, cuda.DeviceArray) else a for a in arguments]
            drawn = getattr(random.find_generator(), name)(*given, **named)
            return drawn if isinstance(drawn, int) else cuda.from_host(drawn)

        return draw

    with mock.patch.multiple(device_random.DeviceGenerator, **{name: drawing(name) for name in DRAWS}):
        yield


def without_device(found: Any) -> Any:
    """Return a described result without the name of the GPU in the reprs that it holds."""
    if isinstance(found, str):
        return re.sub(r",\s+device='cuda:0'", "", found)
    if isinstance(found, list):
        return [without_device(part) for part in found]
    if isinstance(found, dict):
        return {key: without_device(part) for key, part in found.items()}
    return found


def why_not(row: Any) -> str | None:
    """Return why a row is not run on a GPU, or its simulator; None if it is."""
    if row.differs is not None:
        return "differs on the CPU"
    if row.on_cpu is not None:
        return f"compared on the CPU alone: {row.on_cpu}"
    if row.slow is not None and SIMULATED:
        return f"too much for the simulator: {row.slow}"
    return None


def why_an_error(message: str) -> str | None:
    """Return why a row raises an error with this message on a GPU; None if it should not."""
    return next((f"a program for the CPU: {told}" for told in FOR_THE_CPU if told in message), None)
