"""The names that programs written for PyTorch look for under `utils`."""

from tensor.utils import checkpoint, data, tensorboard

__all__ = ["checkpoint", "data", "tensorboard"]
