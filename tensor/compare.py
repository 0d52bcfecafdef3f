"""Comparisons and logic: tensors in, bool tensors out; no gradient flows through them."""

import numpy as np

from tensor.operands import as_tensor_like, common_dtype, find_tensor


def _compare(name: str, *operands):
    like, joint = find_tensor(operands, name), common_dtype(operands)
    tensors = [as_tensor_like(like, v, joint, name) for v in operands]
    try:
        return like._wrap(like._kernels.compare(name, *[t._array for t in tensors]))
    except ValueError:
        a, b = (tuple(t.shape) for t in tensors)
        raise RuntimeError(
            f"{name}: The sizes of the operands must match at non-singleton dimensions; got {a} and {b}"
        ) from None


def _two(name: str, doc: str):
    def function(input, other):
        return _compare(name, input, other)

    function.__name__, function.__doc__ = name, doc
    return function


def _one(name: str, doc: str):
    def function(input):
        return _compare(name, input)

    function.__name__, function.__doc__ = name, doc
    return function


eq = _two("eq", "Return whether each pair is equal.")
ne = _two("ne", "Return whether each pair differs.")
lt = _two("lt", "Return where `input` is less.")
le = _two("le", "Return where `input` is less or equal.")
gt = _two("gt", "Return where `input` is greater.")
ge = _two("ge", "Return where `input` is greater or equal.")
logical_and = _two("logical_and", "Return where both are not zero.")
logical_or = _two("logical_or", "Return where either is not zero.")
logical_xor = _two("logical_xor", "Return where exactly one is not zero.")
logical_not = _one("logical_not", "Return where `input` is zero.")
isnan = _one("isnan", "Return where elements are nan.")
isinf = _one("isinf", "Return where elements are infinite.")
isfinite = _one("isfinite", "Return where elements are neither nan nor infinite.")


def _bitwise(name: str):
    def function(input, other):
        joint = common_dtype((input, other))
        if joint.is_floating_point:
            raise NotImplementedError(f"bitwise_{name}: not implemented for {joint!r}; use logical_{name}()")
        return _compare(f"bitwise_{name}", input, other)

    function.__name__ = f"bitwise_{name}"
    function.__doc__ = f"Return the bitwise {name} of integers, the logical one of bools."
    return function


bitwise_and, bitwise_or, bitwise_xor = _bitwise("and"), _bitwise("or"), _bitwise("xor")


def bitwise_not(input):
    """Return the bitwise complement of integers, the logical one of bools."""
    if input.dtype.is_floating_point:
        raise NotImplementedError(f"bitwise_not: not implemented for {input.dtype!r}; use logical_not()")
    return _compare("bitwise_not", input)


def equal(input, other) -> bool:
    """Return whether shape and all elements are equal."""
    return input.shape == other.shape and bool(eq(input, other).all())


def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Return where |input - other| <= atol + rtol * |other|."""
    _same_type("isclose", input, other)
    try:
        return input._wrap(np.asarray(np.isclose(input._array, other._array, rtol, atol, equal_nan)))
    except ValueError:
        raise RuntimeError(
            f"isclose: shapes do not broadcast, {tuple(input.shape)} and {tuple(other.shape)}"
        ) from None


def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False) -> bool:
    """Return whether |input - other| <= atol + rtol * |other| everywhere."""
    _same_type("allclose", input, other)
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def _same_type(operation: str, a, b) -> None:
    if a.dtype is not b.dtype:
        raise RuntimeError(f"{operation}: {a.dtype!r} did not match {b.dtype!r}; convert one with .to()")


def is_tensor(obj) -> bool:
    """Return whether `obj` is a tensor."""
    return hasattr(obj, "_array")
