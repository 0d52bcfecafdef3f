"""`torch.utils.data.dataloader`: the loader of `tensor.data`, under PyTorch's name."""

from tensor.data.collate import default_collate, default_convert
from tensor.data.loader import DataLoader, get_worker_info

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]
