"""Optimisers: they change parameters in place by their gradients, one compiled pass over all."""

from tensor.optim.adam import Adam, AdamW
from tensor.optim.optimizer import Optimizer
from tensor.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]
