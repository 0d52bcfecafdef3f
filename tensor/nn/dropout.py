"""Dropping elements or channels at random while training."""

from tensor.nn import functional as F
from tensor.nn.module import Module


class _Dropout(Module):
    """What all of them share: a probability, and whether the input is overwritten."""

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        """Return the options."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Set each element to 0 with probability p and scale the others by 1 / (1 - p); nothing in evaluation."""

    def forward(self, input):
        """Return `input` with elements dropped."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Set whole channels of (batch, channels, length), or of one example, to 0 with probability p."""

    def forward(self, input):
        """Return `input` with channels dropped."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Set whole channels of (batch, channels, height, width) to 0 (Tompson et al. 2015)."""

    def forward(self, input):
        """Return `input` with channels dropped."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """Set whole channels of (batch, channels, depth, height, width), or of one example, to 0."""

    def forward(self, input):
        """Return `input` with channels dropped."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Drop elements to SELU's lower limit; mean and variance stay (Klambauer et al. 2017)."""

    def forward(self, input):
        """Return `input` with elements dropped."""
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """Drop whole channels as `AlphaDropout` drops elements."""

    def forward(self, input):
        """Return `input` with channels dropped."""
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
