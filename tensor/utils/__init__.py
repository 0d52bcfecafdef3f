"""The names that programs written for PyTorch look for under `utils`."""

from tensor.utils import checkpoint, data, dlpack, tensorboard

__all__ = ["checkpoint", "data", "dlpack", "tensorboard"]
