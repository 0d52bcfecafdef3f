"""Schedulers: they change the learning rates of an optimiser from epoch to epoch, or step to step."""

from tensor.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from tensor.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from tensor.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from tensor.optim.lr_scheduler.decay import (
    ConstantLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from tensor.optim.lr_scheduler.functions import LambdaLR, MultiplicativeLR
from tensor.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tensor.optim.lr_scheduler.scheduler import LRScheduler

_LRScheduler = LRScheduler  # the name of old programs

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
