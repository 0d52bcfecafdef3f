"""Random tensors whose distribution is another tensor, and tensors filled in place, as PyTorch draws them."""

import math
from typing import Any

import numpy as np

from tensor import dtypes, random
from tensor.operands import to_sizes
from tensor.random import Generator


def normal(mean: Any, std: Any = 1.0, size: Any = None, *, generator=None, dtype=None, requires_grad=False):
    """Return normal random numbers; `mean` and `std` are tensors that broadcast, or numbers with a `size`.

    float32 or the type of the tensors. Nothing is recorded for gradients. Raises RuntimeError for a negative
    std and for shapes that do not broadcast, TypeError for two numbers without a size.
    """
    from tensor.creation import randn, zeros

    tensors = [x for x in (mean, std) if hasattr(x, "_array")]
    if not tensors:
        if size is None:
            raise TypeError("normal: of two numbers a size is needed: normal(mean, std, size)")
        drawn = zeros(to_sizes((size,)), dtype=dtype).normal_(mean, std, generator=generator)
        return drawn.requires_grad_() if requires_grad else drawn
    if any(bool((x < 0).any() if hasattr(x, "_array") else x < 0) for x in (std,)):
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    mean, std = (x.detach() if hasattr(x, "_array") else x for x in (mean, std))
    shape = (mean * 0 + std).shape if len(tensors) == 2 else tensors[0].shape
    if not tensors[0].is_floating_point():
        raise NotImplementedError(f"normal: expected floating-point tensors, got {tensors[0].dtype!r}")
    if hasattr(std, "_array"):
        return randn(shape, generator=generator, dtype=tensors[0].dtype).mul_(std).add_(mean)
    return zeros(shape, dtype=tensors[0].dtype).normal_(0.0, std, generator=generator).add_(mean)


def bernoulli(input: Any, p: float | None = None, *, generator=None):
    """Return ones with the probabilities `input` holds (or p, in input's shape), else zeros; input's type.

    Raises RuntimeError for what is no probability and NotImplementedError for integers.
    """
    source = random.find_generator(generator)
    if p is not None:
        return input.detach().clone().bernoulli_(p, generator=generator)
    if not input.is_floating_point():
        raise NotImplementedError(f"bernoulli: expected floating-point probabilities, got {input.dtype!r}")
    return input._wrap(source.bernoulli(np.ascontiguousarray(input._array)))


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Any:
    """Return random indices into each row of weights, drawn as often as the weights say; int64.

    input: (n,) or (rows, n) float weights, which need not sum to 1. Returns (num_samples,) or (rows,
    num_samples). replacement: an index may be drawn again. The draws are PyTorch's for the same seed. Raises
    RuntimeError for weights that are negative, not finite, or sum to 0, and for more draws than there are
    indices, without replacement.
    """
    if input.ndim not in (1, 2):
        raise RuntimeError(f"multinomial: prob_dist must be 1 or 2 dim, got {input.ndim}")
    if not input.is_floating_point():
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got {input.dtype}; use .float()"
        )
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: cannot sample n_sample <= 0 samples, got {num_samples}")
    if not replacement and num_samples > input.shape[-1]:
        raise RuntimeError(
            "multinomial: cannot sample n_sample > prob_dist.size(-1) samples without replacement: "
            f"{num_samples} of {input.shape[-1]}"
        )
    weights = np.atleast_2d(input._array)
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise RuntimeError("multinomial: probability tensor contains either `inf`, `nan` or element < 0")
    if not (weights.sum(axis=1) > 0).all():
        raise RuntimeError("multinomial: invalid multinomial distribution (sum of probabilities <= 0)")
    found = random.find_generator(generator).multinomial(weights, num_samples, replacement)
    return input._wrap(found if input.ndim == 2 else found[0])


# --- in place --------------------------------------------------------------------------------------


def _positive(name: str, operation: str, value: float) -> None:
    if not value > 0:
        raise RuntimeError(f"{operation} expects {name} > 0.0, but found {name}={value}")


def exponential_(self: Any, lambd: float = 1.0, *, generator=None):
    """Overwrite with waiting times of events that come `lambd` in a unit of time."""
    _positive("lambda", "exponential_", lambd)
    if not self.is_floating_point():
        raise RuntimeError(f"exponential_: expected a floating-point tensor, got {self.dtype!r}")
    return self._fill_random("exponential", (lambd,), generator)


def cauchy_(self: Any, median: float = 0.0, sigma: float = 1.0, *, generator=None):
    """Overwrite with Cauchy numbers around `median`, of half width `sigma`."""
    _positive("sigma", "cauchy_", sigma)
    if not self.is_floating_point():
        raise RuntimeError(f"cauchy_: expected a floating-point tensor, got {self.dtype!r}")
    return self._fill_random("cauchy", (median, sigma), generator)


def log_normal_(self: Any, mean: float = 1.0, std: float = 2.0, *, generator=None):
    """Overwrite with exp(x) where x is normal with this mean and standard deviation."""
    _positive("std", "log_normal_", std)
    return self._fill_random("log_normal", (mean, std), generator)


def geometric_(self: Any, p: float, *, generator=None):
    """Overwrite with how many trials it took until one succeeded, each with probability p."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    return self._fill_random("geometric", (p,), generator)


def bernoulli_(self: Any, p: Any = 0.5, *, generator=None):
    """Overwrite with ones, with probability p (a number, or a tensor that broadcasts), else zeros."""
    source = random.find_generator(generator)
    shape = self._array.shape
    if hasattr(p, "_array"):
        # compared with numbers of its own precision, unlike a number
        ones = source.bernoulli(
            np.ascontiguousarray(np.broadcast_to(p._array, shape)), dtype=self._array.dtype
        )
    else:
        ones = source.bernoulli(float(p), shape, self._array.dtype)
    return self.copy_(self._wrap(ones))


def random_(self: Any, from_: int = 0, to: int | None = None, *, generator=None):
    """Overwrite with whole numbers: random_(a, b), random_(b) from 0, random_() of all the type counts.

    Raises RuntimeError where the range is empty.
    """
    source = random.find_generator(generator)
    kind = self._array.dtype
    if to is None and from_ == 0:
        if kind.kind == "f":
            low, high = 0, 2 ** (np.finfo(kind).nmant + 1) + 1
        else:
            low, high = 0, dtypes.of_array(kind).limits[1] + 1
        if kind == np.int32:  # one word each, though the range is long
            count = math.prod(self._array.shape)
            drawn = source.words(count).astype(np.int64) % 2**31
            return self.copy_(self._wrap(drawn.astype(kind).reshape(self._array.shape)))
    else:
        low, high = (0, from_) if to is None else (from_, to)
    return self.copy_(self._wrap(source.integers(low, high, self._array.shape).astype(kind)))
