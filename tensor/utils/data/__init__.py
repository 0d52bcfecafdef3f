"""`torch.utils.data`: the data sets and loaders of `tensor.data`, under PyTorch's name."""

from tensor.data import *  # noqa: F403
from tensor.data import __all__ as __all__
from tensor.utils.data import dataloader, dataset, sampler
