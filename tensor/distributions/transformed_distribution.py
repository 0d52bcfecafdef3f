"""What is drawn by one distribution and passed through functions: normalizing flows, squashed policies."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from tensor.autograd import no_grad
from tensor.distributions import constraints
from tensor.distributions.distribution import Distribution, Independent
from tensor.distributions.transforms import ComposeTransform, Transform, sum_rightmost
from tensor.engine import Tensor


class TransformedDistribution(Distribution):
    """The distribution of transforms[-1](...transforms[0](x)), x drawn by `base_distribution`."""

    arg_constraints: ClassVar[Any] = {}

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ):
        self.transforms = [transforms] if isinstance(transforms, Transform) else transforms
        if not isinstance(self.transforms, list) or not all(
            isinstance(t, Transform) for t in self.transforms
        ):
            raise ValueError(f"transforms must be a Transform or list, but was {transforms}")
        whole = ComposeTransform(self.transforms)
        event = len(base_distribution.event_shape)
        shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        if len(shape) < whole.domain.event_dim:
            raise ValueError(
                f"base_distribution needs to have shape with size at least {whole.domain.event_dim}, "
                f"but got {shape}."
            )
        forward = whole.forward_shape(shape)
        expanded = whole.inverse_shape(forward)
        if tuple(expanded) != shape:
            base_distribution = base_distribution.expand(expanded[: len(expanded) - event])
        more = whole.domain.event_dim - event
        if more > 0:
            base_distribution = Independent(base_distribution, more)
        self.base_dist = base_distribution
        dims = max(whole.codomain.event_dim + event - whole.domain.event_dim, whole.codomain.event_dim)
        cut = len(forward) - dims
        super().__init__(forward[:cut], forward[cut:], validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether gradients flow through samples."""
        return self.base_dist.has_rsample

    @property
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        last = self.transforms[-1].codomain
        more = len(self.event_shape) - last.event_dim
        return constraints.independent(last, more) if more > 0 else last

    def expand(self, batch_shape: Iterable[int]) -> "TransformedDistribution":
        shape = (*batch_shape, *self.event_shape)
        shape = ComposeTransform(self.transforms).inverse_shape(shape)
        base = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        return TransformedDistribution(base, self.transforms, validate_args=self._validate)

    def _through(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def sample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        with no_grad():
            return self._through(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        return self._through(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        dims, y = len(self.event_shape), value
        total: Any = 0.0
        for transform in reversed(self.transforms):
            x = transform._inv_call(y)
            dims += transform.domain.event_dim - transform.codomain.event_dim
            stretched = transform.log_abs_det_jacobian(x, y)
            total = total - sum_rightmost(stretched, dims - transform.domain.event_dim)
            y = x
        return total + sum_rightmost(self.base_dist.log_prob(y), dims - len(self.base_dist.event_shape))

    def _sign(self) -> Any:
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        return sign

    def cdf(self, value: Tensor) -> Tensor:
        sign = self._sign()
        for transform in reversed(self.transforms):
            value = transform._inv_call(value)
        found = self.base_dist.cdf(value)
        return found if isinstance(sign, int) and sign == 1 else sign * (found - 0.5) + 0.5

    def icdf(self, value: Tensor) -> Tensor:
        sign = self._sign()
        if not (isinstance(sign, int) and sign == 1):
            value = sign * (value - 0.5) + 0.5
        return self._through(self.base_dist.icdf(value))

    def __repr__(self) -> str:
        return "TransformedDistribution()"
