"""How much of the GPU's memory tensors take. Without a GPU it is 0 bytes."""

from typing import Any

from kernels.errors import OutOfMemoryError
from tensor.cuda.devices import check_index, driver
from tensor.devices import cuda_kernels, missing_for_cuda

__all__ = [
    "OutOfMemoryError",
    "empty_cache",
    "get_allocator_backend",
    "ipc_collect",
    "max_memory_allocated",
    "max_memory_cached",
    "max_memory_reserved",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "memory_stats",
    "memory_stats_as_nested_dict",
    "memory_summary",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_memory_stats",
]


def _count(name: str, device: Any) -> int:
    if missing_for_cuda() is not None:
        return 0
    check_index(device)
    return getattr(cuda_kernels().driver.allocator, name)


def memory_allocated(device: Any = None) -> int:
    """Return the bytes that tensors take on the GPU."""
    return _count("allocated", device)


def max_memory_allocated(device: Any = None) -> int:
    """Return the most bytes that tensors have taken since the start, or `reset_peak_memory_stats()`."""
    return _count("most_allocated", device)


def memory_reserved(device: Any = None) -> int:
    """Return the bytes that are held on the GPU, those kept for the next tensors included."""
    return _count("reserved", device)


def max_memory_reserved(device: Any = None) -> int:
    """Return the most bytes that have been held since the start, or `reset_peak_memory_stats()`."""
    return _count("most_reserved", device)


memory_cached, max_memory_cached = memory_reserved, max_memory_reserved  # their names of old


def get_allocator_backend() -> str:
    """Return "native": memory comes from this engine's own allocator, which keeps what is freed."""
    return "native"


def empty_cache() -> None:
    """Give memory that no tensor uses back to the GPU, for other programs."""
    if missing_for_cuda() is None:
        cuda_kernels().driver.empty_cache()


def reset_peak_memory_stats(device: Any = None) -> None:
    """Let `max_memory_allocated` and `max_memory_reserved` count from now on."""
    found = driver("reset_peak_memory_stats")
    check_index(device)
    found.allocator.reset_peak()


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats  # their names of old


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """Return `memory_stats`, a dict for each part of a name."""
    nested: dict[str, Any] = {}
    for name, count in memory_stats(device).items():
        *folders, last = name.split(".")
        inner = nested
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[last] = count
    return nested


def memory_stats(device: Any = None) -> dict[str, int]:
    """Return the counts under PyTorch's names, "allocated_bytes.all.current" and the like."""
    found = driver("memory_stats").allocator
    check_index(device)
    return {
        "allocated_bytes.all.current": found.allocated,
        "allocated_bytes.all.peak": found.most_allocated,
        "reserved_bytes.all.current": found.reserved,
        "reserved_bytes.all.peak": found.most_reserved,
    }


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Return the counts as text, a line each."""
    lines = [f"{name:30} {count:>16,} bytes" for name, count in memory_stats(device).items()]
    return "\n".join(lines)


def ipc_collect() -> None:
    """Do nothing: memory is not shared with other processes."""
    driver("ipc_collect")
