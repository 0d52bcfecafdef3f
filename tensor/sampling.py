"""Random tensors: PyTorch's numbers for the same seed, bit for bit; on a GPU, those of its own generator."""

from tensor import devices, dtypes, random
from tensor.creation import finish, new_like
from tensor.engine import Tensor
from tensor.making import element_type, size_of


def rand(
    *args,
    size=None,
    generator=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
) -> Tensor:
    """Return random numbers evenly spread over [0, 1), the ones PyTorch gives for the same seed."""
    source = random.find_generator(generator, devices.chosen(device))
    values = source.uniform(size_of(args, size), dtype=element_type("rand", dtype))
    return finish(values, device, requires_grad, layout, pin_memory)


def randn(
    *args,
    size=None,
    generator=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
) -> Tensor:
    """Return standard normal random numbers, the ones PyTorch gives for the same seed."""
    source = random.find_generator(generator, devices.chosen(device))
    values = source.normal(size_of(args, size), dtype=element_type("randn", dtype))
    return finish(values, device, requires_grad, layout, pin_memory)


def randint(
    *args,
    low=None,
    high=None,
    size=None,
    generator=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
) -> Tensor:
    """Return random integers in [low, high), int64 by default; `randint(high, size)` starts at 0."""
    given = list(args)
    if size is None and given and isinstance(given[-1], tuple | list):
        size = given.pop()
    if high is None and given:
        high = given.pop()
    if low is None and given:
        low = given.pop()
    if given or high is None or not isinstance(size, tuple | list):
        raise TypeError(
            f"randint: expected (high, size) or (low, high, size), with size a tuple of ints, got {args}"
        )
    low, high = (v.item() if isinstance(v, Tensor) else v for v in (0 if low is None else low, high))
    source = random.find_generator(generator, devices.chosen(device))
    values = source.integers(int(low), int(high), size_of((size,)))
    element = element_type("randint", dtype, dtypes.int64)
    return finish(values.astype(element), device, requires_grad, layout, pin_memory)


def randperm(
    n,
    *,
    generator=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
) -> Tensor:
    """Return 0 .. n - 1 in random order, int64 by default, the order PyTorch gives for the same seed."""
    values = random.find_generator(generator, devices.chosen(device)).permutation(n)
    element = element_type("randperm", dtype, dtypes.int64)
    return finish(values.astype(element), device, requires_grad, layout, pin_memory)


def rand_like(
    input, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, memory_format=None
) -> Tensor:
    """Return random numbers in [0, 1) in the shape of `input`."""
    out = new_like("rand_like", input, dtype, layout, device, False, pin_memory, memory_format).uniform_()
    return out.requires_grad_() if requires_grad else out


def randn_like(
    input, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, memory_format=None
) -> Tensor:
    """Return standard normal random numbers in the shape of `input`."""
    out = new_like("randn_like", input, dtype, layout, device, False, pin_memory, memory_format).normal_()
    return out.requires_grad_() if requires_grad else out


def randint_like(
    input,
    *args,
    low=None,
    high=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
    memory_format=None,
) -> Tensor:
    """Return random integers in [low, high), or [0, high), in the shape and dtype of `input`."""
    limits = [*args] if low is None else [low, *args]
    if high is not None:
        limits.append(high)
    if len(limits) not in (1, 2):
        raise TypeError(f"randint_like: expected (input, high) or (input, low, high), got {limits}")
    low, high = limits if len(limits) == 2 else (0, limits[0])
    out = new_like("randint_like", input, dtype, layout, device, False, pin_memory, memory_format)
    out.random_(int(low), int(high))
    return out.requires_grad_() if requires_grad else out
