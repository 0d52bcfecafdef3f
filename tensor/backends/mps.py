"""`torch.backends.mps`: Apple's GPU is not used here."""


def is_available() -> bool:
    """Return whether Apple's GPU is used: False."""
    return False


def is_built() -> bool:
    """Return whether there are kernels for Apple's GPU: False."""
    return False
