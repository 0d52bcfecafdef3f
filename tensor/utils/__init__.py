"""The names that programs written for PyTorch look for under `utils`."""

from tensor.utils import data, tensorboard

__all__ = ["data", "tensorboard"]
