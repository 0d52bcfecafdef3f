"""Seeds of the GPU. Random numbers are drawn by the CPU's generator, and copied to the GPU.

So the same seed gives the same numbers on every device: `manual_seed` of `tensor` is all a program needs.
What is here answers as PyTorch's; seeding the GPU apart has no effect of its own.
"""

from typing import NoReturn

from tensor.cuda.devices import driver


def manual_seed(seed: int) -> None:
    """Do nothing: the numbers of the GPU come from `torch.manual_seed`."""


def manual_seed_all(seed: int) -> None:
    """Do nothing: the numbers of the GPU come from `torch.manual_seed`."""


def seed() -> None:
    """Do nothing: the numbers of the GPU come from `torch.seed`."""


def seed_all() -> None:
    """Do nothing: the numbers of the GPU come from `torch.seed`."""


def get_rng_state_all() -> list:
    """Return the generator states of all GPUs: [], since the CPU's is the only one."""
    return []


def set_rng_state_all(new_states) -> None:
    """Restore the generator states of all GPUs; RuntimeError if there are any."""
    if list(new_states):
        _of_the_cpu("set_rng_state_all")


def _of_the_cpu(name: str) -> NoReturn:
    driver(name)
    raise RuntimeError(
        f"torch.cuda.{name}: the CPU's generator draws the GPU's numbers, too; use torch.{name}"
    )


def get_rng_state(device="cuda") -> NoReturn:
    """Raise: the state is that of `torch.get_rng_state`."""
    _of_the_cpu("get_rng_state")


def set_rng_state(new_state, device="cuda") -> NoReturn:
    """Raise: the state is that of `torch.set_rng_state`."""
    _of_the_cpu("set_rng_state")


def initial_seed() -> NoReturn:
    """Raise: the seed is that of `torch.initial_seed`."""
    _of_the_cpu("initial_seed")
