"""`torch.mps`: Apple's GPU, which tensors cannot be kept on."""


def is_available() -> bool:
    """Return whether tensors can be kept on Apple's GPU: False."""
    return False


def device_count() -> int:
    """Return the number of such devices: 0."""
    return 0


def manual_seed(seed: int) -> None:
    """Do nothing: there is no such device."""
