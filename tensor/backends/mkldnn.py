"""`torch.backends.mkldnn`: oneDNN is not used here."""


def is_available() -> bool:
    """Return whether oneDNN is used: False."""
    return False
