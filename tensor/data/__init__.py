"""Data sets, the order in which their samples are visited, and batches, after `torch.utils.data`.

Beside these, modules that make or read data, imported by whoever needs them: `digits` (drawn digits), `mnist`
and `idx` (files), `patterns` and `points` (small ones for small models).
"""

from tensor.data.collate import default_collate, default_convert
from tensor.data.dataset import Dataset, IterableDataset, Subset, TensorDataset, random_split
from tensor.data.loader import DataLoader, get_worker_info
from tensor.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
)

__all__ = [
    "BatchSampler",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]
