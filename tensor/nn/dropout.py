"""Dropping elements at random while training."""

from tensor.nn import functional as F
from tensor.nn.module import Module


class Dropout(Module):
    """Set each element to 0 with probability p and scale the others by 1 / (1 - p); nothing in evaluation."""

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input):
        """Return `input` with elements dropped."""
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """Return the options."""
        return f"p={self.p}, inplace={self.inplace}"
