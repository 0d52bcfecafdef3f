"""`torch.backends.mkl`: Intel MKL is not used here."""


def is_available() -> bool:
    """Return whether Intel MKL is used: False."""
    return False
