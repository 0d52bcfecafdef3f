"""`torch.accelerator`: the device beside the CPU, of which there is none."""


def is_available() -> bool:
    """Return whether tensors can be kept on another device than the CPU: False."""
    return False


def device_count() -> int:
    """Return the number of accelerators: 0."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """Return the accelerator: None, for there is none."""
