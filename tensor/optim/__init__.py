"""Optimisers: they change parameters in place by their gradients, and schedulers change their rates.

SGD, Adam, AdamW, RMSprop and Adagrad are one compiled pass over all parameters; the others are tensor
operations, one parameter after the other.
"""

from tensor.optim import lr_scheduler, swa_utils
from tensor.optim.adadelta import Adadelta
from tensor.optim.adafactor import Adafactor
from tensor.optim.adagrad import Adagrad
from tensor.optim.adam import Adam, AdamW
from tensor.optim.adamax import Adamax
from tensor.optim.asgd import ASGD
from tensor.optim.lbfgs import LBFGS
from tensor.optim.nadam import NAdam
from tensor.optim.optimizer import Optimizer
from tensor.optim.radam import RAdam
from tensor.optim.rmsprop import RMSprop
from tensor.optim.rprop import Rprop
from tensor.optim.sgd import SGD

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
    "swa_utils",
]
