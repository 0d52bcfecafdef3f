"""`torch.accelerator`: the device beside the CPU, a GPU where there is one."""

from tensor.devices import device, missing_for_cuda


def is_available() -> bool:
    """Return whether tensors can be kept on another device than the CPU."""
    return missing_for_cuda() is None


def device_count() -> int:
    """Return the number of accelerators: 1 or 0."""
    return int(is_available())


def current_accelerator(check_available: bool = False) -> device | None:
    """Return the accelerator, device("cuda"); None if there is none."""
    return device("cuda") if is_available() else None
