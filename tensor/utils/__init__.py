"""The names that programs written for PyTorch look for under `utils`."""

from tensor.utils import data

__all__ = ["data"]
