"""The scalar engine: one number at a time, standard library only.

`formulas` holds the calculus, `Value` records it and plays it backward, `nn` and `optim` train with it, and
`step` goes through a pass one number at a time.
"""

from micro.stepper import step
from micro.value import Value

__all__ = ["Value", "step"]
