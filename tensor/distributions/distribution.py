"""What all distributions share, and dims of a batch taken as one event."""

from collections.abc import Iterable
from typing import Any, ClassVar

from tensor.autograd import no_grad
from tensor.creation import tensor
from tensor.distributions.constraints import Constraint, independent
from tensor.dtypes import get_default_dtype
from tensor.engine import Tensor
from tensor.shape import broadcast_to
from tensor.sizes import Size


class Distribution:
    """A distribution, or a batch of them.

    batch_shape: the shape of the parameters: so many distributions. event_shape: of one sample of one of
    them. sample(shape) has shape + batch_shape + event_shape, log_prob(value) the shape without the event's.
    Raises ValueError for parameters and values outside their constraints, unless validate_args=False.
    """

    has_rsample = False
    arg_constraints: ClassVar[Any] = {}
    _validate = __debug__

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Say whether parameters and values are checked where validate_args= does not."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args: expected a bool, got {value!r}")
        Distribution._validate = value

    def __init__(
        self,
        batch_shape: Iterable[int] = (),
        event_shape: Iterable[int] = (),
        validate_args: bool | None = None,
    ):
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate = validate_args
        if self._validate:
            for name, constraint in self.arg_constraints.items():
                value = self.__dict__.get(name)  # of two ways to give a parameter, the one that was used
                if value is not None:
                    what = f"parameter {name} ({_kind(value)}) of distribution {self!r}"
                    _check(value, constraint, f"{what} to satisfy the constraint {constraint!r},")

    def _validate_sample(self, value: Any) -> None:
        if not self._validate:
            return
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        shape = (*self._batch_shape, *self._event_shape)
        pairs = zip(reversed(value.shape), reversed(shape), strict=False)
        if len(self._event_shape) > value.ndim or any(a != b and 1 not in (a, b) for a, b in pairs):
            raise ValueError(
                f"Value is not broadcastable with batch_shape+event_shape: {value.shape} vs {Size(shape)}."
            )
        where = f"within the support ({self.support!r}) of the distribution {self!r},"
        _check(value, self.support, f"value argument ({_kind(value)}) to be {where}")

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one sample of one distribution."""
        return self._event_shape

    @property
    def support(self) -> Constraint:
        """Where samples lie."""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The square root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        """Draw, without gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        """Draw so that gradients flow into the parameters; NotImplementedError where they cannot."""
        raise NotImplementedError(
            f"{type(self).__name__}: samples have no gradient; use sample() and log_prob()"
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the density, or of the probability, at `value`."""
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of less than `value`, or as much."""
        raise NotImplementedError

    def icdf(self, value: Tensor) -> Tensor:
        """Return below which value samples lie with the probability `value`."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """Return the entropy in nats."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return all values, along a new first dim; NotImplementedError where there is no end of them."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """Return exp(entropy)."""
        return self.entropy().exp()

    def expand(self, batch_shape: Iterable[int]) -> "Distribution":
        """Return the distribution with its parameters broadcast to `batch_shape`."""
        raise NotImplementedError

    def _extended_shape(self, sample_shape: Iterable[int] = ()) -> Size:
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _like(self, batch_shape: Iterable[int], parameters: dict[str, Any]) -> Any:
        """Return a distribution of this kind around other parameters, unchecked: they have been."""
        new = object.__new__(type(self))
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate = self._validate
        for name, value in parameters.items():
            setattr(new, name, value)
        return new

    def __repr__(self) -> str:
        shown = [name for name in self.arg_constraints if name in self.__dict__]
        values = [self.__dict__[name] for name in shown]
        parts = [
            f"{name}: {value.item() if value.numel() == 1 else value.size()}"
            for name, value in zip(shown, values, strict=True)
        ]
        return f"{type(self).__name__}({', '.join(parts)})"


def _kind(value: Tensor) -> str:
    return f"{type(value).__name__} of shape {tuple(value.shape)}"


def _check(value: Tensor, constraint: Constraint, expected: str) -> None:
    if not bool(constraint.check(value).all()):
        shown = value.item() if value.ndim == 0 else value
        raise ValueError(f"Expected {expected} but found invalid values:\n{shown}")


def parameters_of(*given: Any) -> list[Tensor]:
    """Return the parameters as tensors of one shape; numbers as the type of the tensors beside them."""
    tensors = [value for value in given if isinstance(value, Tensor)]
    if not all(isinstance(value, Tensor | int | float) for value in given):
        raise ValueError("Input arguments must all be instances of Number, torch.Tensor")
    dtype = tensors[0].dtype if tensors else get_default_dtype()
    values = [v if isinstance(v, Tensor) else tensor(v, dtype=dtype) for v in given]
    shape: tuple[int, ...] = ()
    for value in values:
        shape = _broadcast(shape, tuple(value.shape))
    return [value if tuple(value.shape) == shape else broadcast_to(value, shape) for value in values]


def broadcast_shape(a: Iterable[int], b: Iterable[int]) -> Size:
    """Return the shape that two broadcast to."""
    return Size(_broadcast(tuple(a), tuple(b)))


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    n = max(len(a), len(b))
    a, b = (1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b
    for dim, (x, y) in enumerate(zip(a, b, strict=True)):
        if x != y and 1 not in (x, y):
            raise RuntimeError(
                f"The size of tensor a ({x}) must match the size of tensor b ({y}) at non-singleton "
                f"dimension {dim}"
            )
    return tuple(y if x == 1 else x for x, y in zip(a, b, strict=True))


class Independent(Distribution):
    """Take the last dims of a batch as one event: log_prob() sums over them."""

    arg_constraints: ClassVar[Any] = {}

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ):
        batch, n = base_distribution.batch_shape, reinterpreted_batch_ndims
        if n > len(batch):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), "
                f"actual {n} vs {len(batch)}"
            )
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, n
        cut = len(batch) - n
        super().__init__(batch[:cut], (*batch[cut:], *base_distribution.event_shape), validate_args)

    def _sum(self, x: Tensor) -> Tensor:
        n = self.reinterpreted_batch_ndims
        return x.sum(tuple(range(-n, 0))) if n else x

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether gradients flow through samples."""
        return self.base_dist.has_rsample

    @property
    def support(self) -> Constraint:
        n = self.reinterpreted_batch_ndims
        return independent(self.base_dist.support, n) if n else self.base_dist.support

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def sample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._sum(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        return self._sum(self.base_dist.entropy())

    def expand(self, batch_shape: Iterable[int]) -> "Independent":
        cut = len(self.event_shape) - len(self.base_dist.event_shape)
        base = self.base_dist.expand((*batch_shape, *self.event_shape[:cut]))
        return Independent(base, self.reinterpreted_batch_ndims, validate_args=self._validate)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist}, {self.reinterpreted_batch_ndims})"
