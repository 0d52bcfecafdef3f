"""`torch.cuda` where there is no GPU: nothing is available, and seeding it does nothing."""


def is_available() -> bool:
    """Return whether tensors can be kept on a GPU: not yet."""
    return False


def device_count() -> int:
    """Return the number of GPUs that tensors can be kept on."""
    return 0


def manual_seed(seed: int) -> None:
    """Do nothing, as PyTorch without a GPU."""


def manual_seed_all(seed: int) -> None:
    """Do nothing, as PyTorch without a GPU."""
