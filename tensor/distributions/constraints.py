"""Where parameters and values may lie; each constraint's check() says so for every element of a batch."""

from typing import Any

from tensor.engine import Tensor


class Constraint:
    """A region; check(value) returns a bool tensor, of value's shape less the last event_dim dims."""

    is_discrete = False
    event_dim = 0

    def check(self, value: Tensor) -> Tensor:
        """Return which elements lie within."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__.removeprefix('_')}()"


class _Real(Constraint):
    def check(self, value: Tensor) -> Tensor:
        return value == value  # false for nan


class _Boolean(Constraint):
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return (value == 0) | (value == 1)


class _Bounded(Constraint):
    """A region between bounds, either of which may be missing and may belong to it."""

    def __init__(self, **bounds: Any):
        self._bounds = bounds
        for name, bound in bounds.items():
            setattr(self, name, bound)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_plain(bound)}" for name, bound in self._bounds.items())
        return f"{type(self).__name__}({shown})"


def _plain(bound: Any) -> Any:
    return bound.item() if isinstance(bound, Tensor) and bound.ndim == 0 else bound


class GreaterThan(_Bounded):
    """Above lower_bound."""

    def __init__(self, lower_bound: Any):
        super().__init__(lower_bound=lower_bound)

    def check(self, value: Tensor) -> Tensor:
        return value > self._bounds["lower_bound"]


class GreaterThanEq(_Bounded):
    """Not below lower_bound."""

    def __init__(self, lower_bound: Any):
        super().__init__(lower_bound=lower_bound)

    def check(self, value: Tensor) -> Tensor:
        return value >= self._bounds["lower_bound"]


class LessThan(_Bounded):
    """Below upper_bound."""

    def __init__(self, upper_bound: Any):
        super().__init__(upper_bound=upper_bound)

    def check(self, value: Tensor) -> Tensor:
        return value < self._bounds["upper_bound"]


class Interval(_Bounded):
    """From lower_bound to upper_bound, both included."""

    def __init__(self, lower_bound: Any, upper_bound: Any):
        super().__init__(lower_bound=lower_bound, upper_bound=upper_bound)

    def check(self, value: Tensor) -> Tensor:
        return (value >= self._bounds["lower_bound"]) & (value <= self._bounds["upper_bound"])


class IntegerInterval(Interval):
    """The whole numbers from lower_bound to upper_bound."""

    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return (value % 1 == 0) & super().check(value)


class IntegerGreaterThan(GreaterThanEq):
    """The whole numbers from lower_bound on."""

    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return (value % 1 == 0) & super().check(value)


class _Simplex(Constraint):
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class _OneHot(Constraint):
    is_discrete = True
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)


class _LowerCholesky(Constraint):
    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        lower = (value.tril() == value).all(-1).all(-1)
        return lower & (_diagonal(value) > 0).all(-1)


class _PositiveDefinite(Constraint):
    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        from tensor import linalg

        symmetric = (value - value.mT).abs().amax((-2, -1)) < 1e-6
        return symmetric & (linalg.eigvalsh(value).amin(-1) > 0)


def _diagonal(x: Tensor) -> Tensor:
    return x.diagonal(0, -2, -1)


class _IndependentConstraint(Constraint):
    """A constraint of which the last dims are one event."""

    def __init__(self, base: Constraint, dims: int):
        self.base_constraint, self.reinterpreted_batch_ndims = base, dims
        self.is_discrete, self.event_dim = base.is_discrete, base.event_dim + dims

    def check(self, value: Tensor) -> Tensor:
        found = self.base_constraint.check(value)
        dims = self.reinterpreted_batch_ndims
        return found.reshape((*found.shape[: found.ndim - dims], -1)).all(-1) if dims else found

    def __repr__(self) -> str:
        return f"IndependentConstraint({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class _Multinomial(Constraint):
    """Counts, none of them below 0, that are upper_bound together."""

    is_discrete = True
    event_dim = 1

    def __init__(self, upper_bound: int):
        self.upper_bound = upper_bound

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0).all(-1) & (value.sum(-1) <= self.upper_bound)


class MixtureSameFamilyConstraint(Constraint):
    """A constraint on values that every component of a mixture is asked about."""

    def __init__(self, base_constraint: Constraint):
        self.base_constraint = base_constraint
        self.is_discrete, self.event_dim = base_constraint.is_discrete, base_constraint.event_dim

    def check(self, value: Tensor) -> Tensor:
        dims = self.event_dim
        found = self.base_constraint.check(value.unsqueeze(-1 - dims))
        return found.reshape((*value.shape[: value.ndim - dims], -1)).all(-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamilyConstraint({self.base_constraint!r})"


real = _Real()
boolean = _Boolean()
positive = GreaterThan(0.0)
nonnegative = GreaterThanEq(0.0)
unit_interval = Interval(0.0, 1.0)
nonnegative_integer = IntegerGreaterThan(0)
simplex = _Simplex()
one_hot = _OneHot()
lower_cholesky = _LowerCholesky()
positive_definite = _PositiveDefinite()
independent = _IndependentConstraint
multinomial = _Multinomial
real_vector = independent(real, 1)
interval, integer_interval, greater_than, greater_than_eq, less_than = (
    Interval,
    IntegerInterval,
    GreaterThan,
    GreaterThanEq,
    LessThan,
)
