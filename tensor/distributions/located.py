"""What the distributions on the real line share that a place and a width tell apart."""

from collections.abc import Iterable
from typing import Any, ClassVar

from tensor.distributions import constraints
from tensor.distributions.distribution import Distribution, parameters_of
from tensor.engine import Tensor


class Located(Distribution):
    """A distribution symmetric around `loc`, of width `scale`: numbers or tensors that broadcast."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support: Any = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None):
        self.loc, self.scale = parameters_of(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    def expand(self, batch_shape: Iterable[int]) -> Distribution:
        shape = tuple(batch_shape)
        return self._like(shape, {"loc": self.loc.expand(shape), "scale": self.scale.expand(shape)})
