"""Seeds of the GPU's generator (`tensor.device_random`), which draws other numbers than the CPU's.

`torch.manual_seed` seeds it as well. Without a GPU seeding works, as in PyTorch: there is nothing to draw.
"""

from typing import Any

from tensor import device_random
from tensor.cuda.devices import driver, is_available

_source = device_random.default_generator


def manual_seed(seed: int) -> None:
    """Start the GPU's generator anew from `seed`."""
    _source.manual_seed(int(seed))


def manual_seed_all(seed: int) -> None:
    """Start the generators of all GPUs, of which one is used, anew from `seed`."""
    manual_seed(seed)


def seed() -> None:
    """Start the GPU's generator anew from a seed that the operating system draws."""
    _source.seed()


def seed_all() -> None:
    """Start the generators of all GPUs, of which one is used, anew from a drawn seed."""
    seed()


def initial_seed() -> int:
    """Return the seed that the GPU's generator was started from."""
    driver("initial_seed")
    return _source.initial_seed()


def get_rng_state(device: Any = "cuda") -> Any:
    """Return the state of the GPU's generator: a tensor (16,) uint8 on the CPU, with PyTorch's bytes."""
    driver("get_rng_state")
    return _source.get_state()


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Let the GPU's generator continue from a state that `get_rng_state` returned."""
    driver("set_rng_state")
    _source.set_state(new_state)


def get_rng_state_all() -> list:
    """Return the states of the generators of all GPUs: of one, or [] where there is none."""
    return [_source.get_state()] if is_available() else []


def set_rng_state_all(new_states: Any) -> None:
    """Restore the states of the generators of all GPUs."""
    for state in new_states:
        set_rng_state(state)
