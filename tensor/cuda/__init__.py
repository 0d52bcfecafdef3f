"""`torch.cuda` where there is no GPU: nothing is available, seeding does nothing, the rest says so.

As in PyTorch built without CUDA: what a program may call on any machine (`is_available`, `manual_seed_all`,
`empty_cache`, ...) answers; what needs a GPU raises AssertionError.
"""

from typing import NoReturn

from tensor.cuda import amp

_WHY = "there is no GPU in this version; ask torch.cuda.is_available() first"


def is_available() -> bool:
    """Return whether tensors can be kept on a GPU: not yet."""
    return False


def device_count() -> int:
    """Return the number of GPUs that tensors can be kept on."""
    return 0


def is_initialized() -> bool:
    """Return whether the GPU has been used: it has not."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Return whether the GPU computes in bfloat16: there is none."""
    return False


def manual_seed(seed: int) -> None:
    """Do nothing, as PyTorch without a GPU."""


def manual_seed_all(seed: int) -> None:
    """Do nothing, as PyTorch without a GPU."""


def seed() -> None:
    """Do nothing, as PyTorch without a GPU."""


def seed_all() -> None:
    """Do nothing, as PyTorch without a GPU."""


def empty_cache() -> None:
    """Do nothing: no GPU memory is held."""


def get_rng_state_all() -> list:
    """Return the generator states of all GPUs: []."""
    return []


def set_rng_state_all(new_states) -> None:
    """Restore the generator states of all GPUs; raises AssertionError if there are any."""
    if list(new_states):
        _raise("set_rng_state_all")


def memory_allocated(device=None) -> int:
    """Return the bytes that tensors take on the GPU: 0."""
    return 0


def max_memory_allocated(device=None) -> int:
    """Return the most bytes that tensors have taken on the GPU: 0."""
    return 0


def memory_reserved(device=None) -> int:
    """Return the bytes that are held on the GPU: 0."""
    return 0


def max_memory_reserved(device=None) -> int:
    """Return the most bytes that have been held on the GPU: 0."""
    return 0


def _raise(name: str) -> NoReturn:
    raise AssertionError(f"torch.cuda.{name}: {_WHY}")


def _needs_gpu(name: str):
    def function(*args, **kwargs) -> NoReturn:
        _raise(name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Raise AssertionError: {_WHY}."
    return function


synchronize = _needs_gpu("synchronize")
init = _needs_gpu("init")
current_device = _needs_gpu("current_device")
set_device = _needs_gpu("set_device")
get_device_name = _needs_gpu("get_device_name")
get_device_properties = _needs_gpu("get_device_properties")
get_device_capability = _needs_gpu("get_device_capability")
get_rng_state = _needs_gpu("get_rng_state")
set_rng_state = _needs_gpu("set_rng_state")
initial_seed = _needs_gpu("initial_seed")
mem_get_info = _needs_gpu("mem_get_info")
memory_summary = _needs_gpu("memory_summary")
memory_stats = _needs_gpu("memory_stats")
reset_peak_memory_stats = _needs_gpu("reset_peak_memory_stats")
ipc_collect = _needs_gpu("ipc_collect")
current_stream = _needs_gpu("current_stream")
Stream = _needs_gpu("Stream")
Event = _needs_gpu("Event")
