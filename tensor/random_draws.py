"""Random numbers by a tensor: drawn with its elements as weights, or over what it holds.

PyTorch's for the same seed, in the order in which it draws them.
"""

import math

from tensor import devices, random
from tensor.autograd import Operation
from tensor.elementwise import Copy
from tensor.operands import require_tensor, to_sizes

_KINDS: dict[tuple[str, int], type[Copy]] = {}


def overwrite_random(input, name: str, draw, generator=None, overload: int = 0, in_memory_order: bool = True):
    """Overwrite `input` with draw(source, shape), an array of its dtype, and return it.

    name, overload: what PyTorch records. in_memory_order: whether a transposed tensor is filled in the order
    of its memory.
    """
    kind = _KINDS.get((name, overload))
    if kind is None:
        kind = _KINDS[name, overload] = type(name, (Copy,), {"name": name, "overload": overload})
    array = input._array
    dims = list(range(array.ndim))
    order = sorted(dims, key=lambda d: -abs(array.strides[d])) if in_memory_order else dims
    source = random.find_generator(generator, input.device)
    values = draw(source, tuple(array.shape[d] for d in order))
    values = values.transpose([order.index(d) for d in dims])
    source = input._wrap(devices.put(values, input.device))
    return kind.apply_in_place(input, source)


def uniform_(input, from_: float = 0.0, to: float = 1.0, *, generator=None, **limits):
    """Overwrite with random numbers, evenly spread over [from, to)."""
    low = limits.pop("from", limits.pop("a", from_))
    high = limits.pop("b", to)
    if limits:
        raise TypeError(f"uniform_: expected from=, to= and generator=, got {sorted(limits)}")
    dtype = input._array.dtype
    return overwrite_random(
        input, "Uniform", lambda source, shape: source.uniform(shape, low, high, dtype=dtype), generator
    )


def normal_(input, mean: float = 0.0, std: float = 1.0, *, generator=None):
    """Overwrite with normally distributed random numbers."""
    array = input._array
    return overwrite_random(
        input,
        "Normal",
        lambda source, shape: source.normal(
            shape, mean, std, dtype=array.dtype, contiguous=array.flags.c_contiguous
        ),
        generator,
    )


def bernoulli_(input, p=0.5, *, generator=None):
    """Overwrite with ones, with probability p (a number, or a tensor that broadcasts), else zeros."""
    if hasattr(p, "_array"):
        k = input._kernels
        chances = k.copy(k.expand(devices.put(p._array, input.device), tuple(input.shape)))
        drawn = random.find_generator(generator, input.device).bernoulli(chances)
        return overwrite_random(
            input, "Bernoulli", lambda _, shape: drawn.reshape(shape), generator, 1, False
        )
    return overwrite_random(
        input, "Bernoulli", lambda source, shape: source.bernoulli(p, shape, input._array.dtype), generator, 2
    )


def random_(input, *args, generator=None, **limits):
    """Overwrite with integers in [from, to), in [0, to), or as many as the type holds exactly."""
    names = {"from": None, "to": None} | limits
    if len(args) == 1:
        names["to" if names["to"] is None else "from"] = args[0]
    elif len(args) == 2:
        names["from"], names["to"] = args
    low, high = names["from"], names["to"]
    element = input._array.dtype
    if low is None and high is None:
        return overwrite_random(
            input, "Random", lambda source, shape: source.any_integers(shape, element), generator, 2
        )
    low, high = 0 if low is None else int(low), int(high)
    if not input.dtype.is_floating_point:
        least, most = input.dtype.limits
        if not (least <= low and high - 1 <= most):
            raise RuntimeError(f"random_: {low} and {high} - 1 must be within [{least}, {most}]")
    return overwrite_random(
        input,
        "Random",
        lambda source, shape: source.integers(low, high, shape).astype(element),
        generator,
        1 if low == 0 else 0,
    )


def _positive(name: str, argument: str, value: float) -> None:
    if not value > 0.0:
        raise RuntimeError(f"{name} expects {argument} > 0.0, but found {argument}={value}")


def _must_be_float(name: str, input) -> None:
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"{name}: not implemented for {input.dtype!r}; use x.float()")


def exponential_(input, lambd=1.0, *, generator=None):
    """Overwrite with exponentially distributed numbers of rate `lambd`."""
    _must_be_float("exponential_", input)
    _positive("exponential_", "lambda", lambd)
    return overwrite_random(
        input,
        "Exponential",
        lambda source, shape: source.exponential(shape, lambd, input._array.dtype),
        generator,
    )


def cauchy_(input, median=0.0, sigma=1.0, *, generator=None):
    """Overwrite with numbers of Cauchy's distribution."""
    _must_be_float("cauchy_", input)
    _positive("cauchy_", "sigma", sigma)

    def draw(source, shape):
        return source.cauchy(shape, median, sigma, input._array.dtype)

    return overwrite_random(input, "Cauchy", draw, generator)


def log_normal_(input, mean=1.0, std=2.0, *, generator=None):
    """Overwrite with numbers whose logarithm is normally distributed."""
    _must_be_float("log_normal_", input)
    _positive("log_normal_", "std", std)

    def draw(source, shape):
        return source.log_normal(shape, mean, std, input._array.dtype)

    return overwrite_random(input, "LogNormal", draw, generator)


def geometric_(input, p, *, generator=None):
    """Overwrite with the number of trials, each a success with probability p, up to the first success."""
    if not 0.0 < p < 1.0:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")

    def draw(source, shape):
        return source.geometric(shape, p, input._array.dtype)

    return overwrite_random(input, "Geometric", draw, generator)


# --- drawn with weights ------------------------------------------------------------------------------


class Bernoulli(Operation):
    """Draws; constant in their probabilities, so that their gradient is zero."""

    gradients_in_words = ("0, draws are constant",)

    def forward(self, k, p, drawn):
        return drawn

    def backward(self, k, grad):
        return (k.zeros(grad.shape, grad.dtype),)


class Poisson(Bernoulli):
    """Draws of the Poisson distribution."""


def bernoulli(input, p=None, *, generator=None, out=None):
    """Return ones with the probabilities in `input`, or with p, else zeros; of input's shape and dtype."""
    require_tensor("bernoulli", "input", input)
    if p is not None:
        return bernoulli_(input.detach().clone(), p, generator=generator)
    drawn = random.find_generator(generator, input.device).bernoulli(input._array)
    result = Bernoulli.apply(input, drawn=drawn)
    return result if out is None else out.copy_(result)


def poisson(input, generator=None):
    """Return draws of the Poisson distribution with the rates in `input`."""
    require_tensor("poisson", "input", input)
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"poisson: not implemented for {input.dtype!r}; use x.float()")
    if (input.detach() < 0).any():
        raise RuntimeError("poisson: invalid Poisson rate, expected rate to be non-negative")
    drawn = random.find_generator(generator, input.device).poisson(input._array)
    return Poisson.apply(input, drawn=drawn)


def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    """Return positions drawn with the weights in each row of `input`: (samples,) or (rows, samples) int64."""
    require_tensor("multinomial", "input", input)
    if input.ndim not in (1, 2):
        raise RuntimeError("multinomial: prob_dist must be 1 or 2 dim")
    if not input.dtype.is_floating_point:
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {input.dtype!r}; use x.float()"
        )
    categories = input.shape[-1]
    if num_samples <= 0:
        raise RuntimeError("multinomial: cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > categories:
        raise RuntimeError(
            "multinomial: cannot sample n_sample > prob_dist.size(-1) samples without replacement, "
            f"{num_samples} of {categories}"
        )
    k, weights = input._kernels, input._array
    low, high = k.bounds(weights) if weights.size else (0.0, 0.0)
    if not 0.0 <= low <= high < math.inf:  # nan is not, either
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    sums = k.sum(weights, (weights.ndim - 1,))
    if sums.size and k.bounds(sums)[0] == 0.0:
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    source = random.find_generator(generator, input.device)
    drawn = source.multinomial(weights.reshape(-1, categories), int(num_samples), bool(replacement))
    found = input._wrap(drawn if input.ndim == 2 else drawn[0])
    return found if out is None else out.copy_(found)


def normal(mean, std=1.0, size=None, *, generator=None, dtype=None, requires_grad=False):
    """Return normal random numbers; `mean` and `std` are tensors that broadcast, or numbers with a `size`.

    float32 or the type of the tensors. Nothing is recorded for gradients. Raises RuntimeError for a negative
    std and for shapes that do not broadcast, TypeError for two numbers without a size.
    """
    from tensor.creation import zeros  # whose tensors have the functions of this file
    from tensor.sampling import randn

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
        drawn = randn(shape, generator=generator, dtype=tensors[0].dtype, device=tensors[0].device)
        return drawn.mul_(std).add_(mean)
    drawn = zeros(shape, dtype=tensors[0].dtype, device=tensors[0].device)
    return drawn.normal_(0.0, std, generator=generator).add_(mean)
