"""Comparisons and logic: tensors in, bool tensors out; no gradient flows through them."""

from tensor import dtypes
from tensor.formula import in_place, write_out
from tensor.operands import as_tensor_like, common_dtype, find_tensor, require_tensor


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
    def function(input, other, *, out=None):
        result = _compare(name, input, other)
        return result if out is None else write_out(name, result, out)

    function.__name__, function.__doc__ = name, doc
    return function, in_place(function)


def _one(name: str, doc: str):
    def function(input):
        require_tensor(name, "input", input)
        return _compare(name, input)

    function.__name__, function.__doc__ = name, doc
    return function


eq, eq_ = _two("eq", "Return whether each pair is equal.")
ne, ne_ = _two("ne", "Return whether each pair differs.")
lt, lt_ = _two("lt", "Return where `input` is less.")
le, le_ = _two("le", "Return where `input` is less or equal.")
gt, gt_ = _two("gt", "Return where `input` is greater.")
ge, ge_ = _two("ge", "Return where `input` is greater or equal.")
equal_to, not_equal, less, less_equal, greater, greater_equal = eq, ne, lt, le, gt, ge
not_equal_, less_, less_equal_, greater_, greater_equal_ = ne_, lt_, le_, gt_, ge_
logical_and, logical_and_ = _two("logical_and", "Return where both are not zero.")
logical_or, logical_or_ = _two("logical_or", "Return where either is not zero.")
logical_xor, logical_xor_ = _two("logical_xor", "Return where exactly one is not zero.")
logical_not = _one("logical_not", "Return where `input` is zero.")
logical_not_ = in_place(logical_not)
isnan = _one("isnan", "Return where elements are nan.")
isfinite = _one("isfinite", "Return where elements are neither nan nor infinite.")


def _infinite(name: str, doc: str):
    def function(input):
        require_tensor(name, "input", input)
        return _compare(name if input.dtype.is_floating_point else "isnan", input)  # no integer is infinite

    function.__name__, function.__doc__ = name, doc
    return function


isinf = _infinite("isinf", "Return where elements are infinite.")
isposinf = _infinite("isposinf", "Return where elements are inf.")
isneginf = _infinite("isneginf", "Return where elements are -inf.")


def isreal(input):
    """Return where elements are real: everywhere, since complex numbers are not supported."""
    require_tensor("isreal", "input", input)
    return _compare("eq", input, input) | _compare("ne", input, input)


def _bitwise(name: str):
    def function(input, other, *, out=None):
        joint = common_dtype((input, other))
        if joint.is_floating_point:
            raise NotImplementedError(f"bitwise_{name}: not implemented for {joint!r}; use logical_{name}()")
        result = _compare(f"bitwise_{name}", input, other)
        return result if out is None else write_out(f"bitwise_{name}", result, out)

    function.__name__ = f"bitwise_{name}"
    function.__doc__ = f"Return the bitwise {name} of integers, the logical one of bools."
    return function, in_place(function)


bitwise_and, bitwise_and_ = _bitwise("and")
bitwise_or, bitwise_or_ = _bitwise("or")
bitwise_xor, bitwise_xor_ = _bitwise("xor")


def bitwise_not(input):
    """Return the bitwise complement of integers, the logical one of bools."""
    require_tensor("bitwise_not", "input", input)
    if input.dtype.is_floating_point:
        raise NotImplementedError(f"bitwise_not: not implemented for {input.dtype!r}; use logical_not()")
    return _compare("bitwise_not", input)


bitwise_not_ = in_place(bitwise_not)


def _shift(name: str, doc: str):
    def function(input, other):
        joint = common_dtype((input, other))
        if joint.is_floating_point or joint is dtypes.bool:
            raise NotImplementedError(f"bitwise_{name}: not implemented for {joint!r}; use integers")
        return _compare(name, input, other)

    function.__name__, function.__doc__ = f"bitwise_{name}", doc
    return function, in_place(function)


bitwise_left_shift, bitwise_left_shift_ = _shift("left_shift", "Return input * 2 ** other of integers.")
bitwise_right_shift, bitwise_right_shift_ = _shift(
    "right_shift", "Return input / 2 ** other of integers, rounded down."
)


def equal(input, other) -> bool:
    """Return whether shape and all elements are equal."""
    return input.shape == other.shape and bool(eq(input, other).all())


def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Return where |input - other| <= atol + rtol * |other|."""
    _same_type("isclose", input, other)
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"isclose: rtol and atol must be at least zero, got {rtol}, {atol}")
    try:
        return input._wrap(input._kernels.isclose(input._array, other._array, rtol, atol, equal_nan))
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


def is_floating_point(input) -> bool:
    """Return whether the element type is a float."""
    require_tensor("is_floating_point", "input", input)
    return input.dtype.is_floating_point


def is_complex(input) -> bool:
    """Return False: complex numbers are not supported."""
    require_tensor("is_complex", "input", input)
    return False


def is_nonzero(input) -> bool:
    """Return whether a tensor's only element is not 0."""
    require_tensor("is_nonzero", "input", input)
    return bool(input)


def numel(input) -> int:
    """Return the number of elements."""
    require_tensor("numel", "input", input)
    return input.numel()
