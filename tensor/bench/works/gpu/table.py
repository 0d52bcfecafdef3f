"""The rows of the GPU's table."""

from .arrays import COPIES, ELEMENTWISE, REDUCED
from .case import GpuWork
from .products import CONVOLUTIONS, PRODUCTS
from .training import CNN_STEPS, EPOCHS, LAUNCHES, MLP_STEPS

MEMORY = CNN_STEPS[0]
"""The work whose peak of memory is measured."""

WORKS: tuple[GpuWork, ...] = (
    *COPIES, *ELEMENTWISE, *REDUCED, *PRODUCTS, *CONVOLUTIONS, *MLP_STEPS, *CNN_STEPS, *EPOCHS, *LAUNCHES,
)  # fmt: skip
SUITES = tuple(dict.fromkeys(work.suite for work in WORKS))
