"""Data sets, the order in which their samples are visited, and batches, after `torch.utils.data`.

Beside these, modules that make or read data, imported by whoever needs them: `digits` (drawn digits), `mnist`
and `idx` (files), `patterns` and `points` (small ones for small models).
"""

from tensor.data.collate import default_collate, default_convert
from tensor.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from tensor.data.loader import DataLoader, get_worker_info
from tensor.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]
