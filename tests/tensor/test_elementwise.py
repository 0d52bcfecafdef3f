"""tensor/elementwise.py: every formula, over shapes, types, layouts and edges."""

import functools
import itertools

import numpy as np
import pytest

import tensor
from micro.formulas import FORMULAS
from tensor import activations

POSITIVE = {"log", "log1p", "sqrt", "log2", "log10", "rsqrt"}
DOMAINS = {"logit": (0.05, 0.95), "acosh": (1.1, 3.0), "tan": (-1.4, 1.4)} | dict.fromkeys(
    ["erfinv", "asin", "acos", "atanh"], (-0.9, 0.9)
)
UNARY = [
    "neg",
    "exp",
    "log",
    "log1p",
    "sqrt",
    "tanh",
    "sigmoid",
    "relu",
    "sin",
    "cos",
    "abs",
    "square",
    "reciprocal",
    "rsqrt",
    *["exp2", "expm1", "log2", "log10", "erf", "erfc", "erfinv", "logit", "sinc", "frac"],
    *["tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "deg2rad", "rad2deg"],
]
REFERENCES = {
    "neg": np.negative,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "sin": np.sin,
    "cos": np.cos,
    "abs": np.abs,
    "square": np.square,
    "reciprocal": lambda x: 1 / x,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    **{name: getattr(np, name) for name in ("exp2", "expm1", "log2", "log10", "sinc", "tan", "sinh", "cosh")},
}
BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "fmax": np.fmax,
    "fmin": np.fmin,
    "fmod": np.fmod,
    "hypot": np.hypot,
    "atan2": np.arctan2,
    "copysign": np.copysign,
    "logaddexp": np.logaddexp,
    "xlogy": lambda x, y: x * np.log(y),
}
# name, how this engine calls it, how PyTorch does, options
ACTIVATIONS = [
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("elu", {}),
    ("elu", {"alpha": 0.7}),
    ("softplus", {}),
    ("softplus", {"beta": 2.0, "threshold": 1.5}),
    ("gelu", {}),
    ("gelu", {"approximate": "tanh"}),
    ("silu", {}),
    ("mish", {}),
    ("logsigmoid", {}),
    ("hardsigmoid", {}),
    ("hardswish", {}),
    ("hardtanh", {}),
    ("hardtanh", {"min_val": -0.5, "max_val": 1.5}),
    ("relu6", {}),
    ("selu", {}),
    ("celu", {}),
    ("celu", {"alpha": 0.7}),
    ("softsign", {}),
    ("tanhshrink", {}),
    ("softshrink", {}),
    ("softshrink", {"lambd": 0.2}),
    ("hardshrink", {}),
    ("hardshrink", {"lambd": 0.2}),
    ("threshold", {"threshold": 0.3, "value": -2.0}),
]
SHAPES = [(), (1,), (5,), (2, 3), (2, 1, 3), (0,), (3, 0, 2)]
PAIRS = [
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((2, 3), ()),
    ((), (2, 3)),
    ((2, 1), (1, 3)),
    ((4, 1, 3), (2, 1)),
    ((1,), (2, 2, 2)),
    ((), ()),
    ((0, 3), (3,)),
    ((2, 0), (1, 1)),
    ((1, 3), (0, 1)),
]
EDGES = [
    np.nan,
    np.inf,
    -np.inf,
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    3.0,
    -3.0,
    20.0,
    30.0,
    -30.0,
    1000.0,
    -1000.0,
]


def numbers_for(check, name: str, *shape: int) -> np.ndarray:
    low, high = DOMAINS.get(name, (0.1 if name in POSITIVE else -2.0, 2.0))
    return check.numbers(*shape, low=low, high=high)


def function_of(name: str):
    """Return this engine's function of a name that PyTorch has in `torch` or in `nn.functional`."""
    return getattr(tensor, name, None) or getattr(activations, name)


def test_the_tables_name_every_formula() -> None:
    tested = {*UNARY, *BINARY, "clamp", "gelu_tanh", "prelu", *(name for name, _ in ACTIVATIONS)}
    assert set(FORMULAS) <= tested


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_unary(check, name: str, shape: tuple[int, ...]) -> None:
    x = numbers_for(check, name, *shape)
    check.op(name, lambda T, x: getattr(T, name)(x), [x], REFERENCES.get(name))
    check.op(
        name,
        lambda T, x: getattr(x, name)(),
        [x],
        REFERENCES.get(name),
        all_layouts=False,
        dtypes=["float64"],
    )


@pytest.mark.parametrize("shape", [(), (2, 3), (0,)], ids=str)
@pytest.mark.parametrize(("name", "options"), ACTIVATIONS, ids=str)
def test_activations(check, name: str, options: dict, shape: tuple[int, ...]) -> None:
    x = check.numbers(*shape, seed=1)
    check.op(
        name,
        lambda T, x: function_of(name)(x, **options),
        [x],
        theirs=lambda T, x: getattr(T.nn.functional, name)(x, **options),
        differences=options.get("threshold") != 0.3,
        rtol=2e-6 if name in ("hardsigmoid", "celu") else None,  # PyTorch's 1 / 6, 1 / 0.7 are float32
    )


@pytest.mark.parametrize("shapes", PAIRS, ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_binary(check, name: str, shapes: tuple) -> None:
    x = check.numbers(*shapes[0], seed=1, low=0.2 if name == "pow" else -2.0)
    y = check.numbers(*shapes[1], seed=2, low=0.2 if name == "xlogy" else -2.0)
    check.op(name, lambda T, x, y: getattr(T, name)(x, y), [x, y], BINARY[name])
    check.op(
        name, lambda T, x, y: getattr(x, name)(y), [x, y], BINARY[name], all_layouts=False, dtypes=["float32"]
    )


@pytest.mark.parametrize("name", BINARY)
def test_binary_with_one_tensor_twice(check, name: str) -> None:
    x = check.numbers(2, 3, low=0.2)
    kinks = ("maximum", "minimum", "fmod")
    check.op(name, lambda T, x: getattr(T, name)(x, x), [x], differences=name not in kinks)


OPERATORS = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
}


@pytest.mark.parametrize("number", [2, -1, 0.5, True, np.float32(1.5), np.float64(2.5), np.int64(3), 0, 1])
@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_with_numbers(check, operator: str, number) -> None:
    calculate = OPERATORS[operator]
    x = check.numbers(2, 3, low=0.3)
    if (operator == "-" and number is True) or (operator == "**" and isinstance(number, bool)):
        pytest.skip("PyTorch refuses it")
    if operator == "**" and isinstance(number, np.generic):
        pytest.skip("PyTorch refuses it")
    if not isinstance(number, np.generic):  # which operand PyTorch's number is depends on its side
        check.op(operator, lambda T, x: calculate(number, x), [x])
    check.op(operator, lambda T, x: calculate(x, number), [x], differences=bool(number))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*UNARY, *(name for name, _ in ACTIVATIONS)])
def test_unary_edges(check, torch, name: str, dtype: str) -> None:
    # PyTorch's float32 gelu makes nan of inf, and on some machines 0.0 of -0.0.
    x = np.array([e for e in EDGES if not (name == "gelu" and e == np.inf)], dtype)
    function = getattr(torch, name, None) or getattr(torch.nn.functional, name)
    ours = function_of(name)
    if name == "threshold":
        ours, function = (functools.partial(f, threshold=0.3, value=-2.0) for f in (ours, function))
    a, b = tensor.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out, expected = ours(a), function(b)
    check.same(out, expected, name)
    # PyTorch's vectors give softshrink's zeros another sign than its remainders
    same_signs(out, expected, zeros=name not in ("gelu", "softshrink"))
    out.sum().backward()
    expected.sum().backward()
    exact = 1e-7 if name == "hardsigmoid" and dtype == "float64" else None  # PyTorch's 1 / 6 is a float32
    check.same(a.grad, b.grad, f"gradient of {name} at {EDGES}", exact)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BINARY)
def test_binary_edges(check, torch, name: str, dtype: str) -> None:
    x, y = (np.array(v, dtype) for v in zip(*itertools.product(EDGES, EDGES), strict=True))
    tensors = [tensor.tensor(v, requires_grad=True) for v in (x, y)]
    theirs = [torch.tensor(v, requires_grad=True) for v in (x, y)]
    out, expected = getattr(tensor, name)(*tensors), getattr(torch, name)(*theirs)
    check.same(out, expected, name)
    same_signs(out, expected, zeros=name not in ("maximum", "minimum"))  # max(0, -0) is either
    out.sum().backward()
    expected.sum().backward()
    for a, b, wrt in zip(tensors, theirs, "xy", strict=True):
        ours, right = a.grad.numpy(), b.grad.numpy()
        bad = ~np.isclose(ours, right, rtol=1e-5, equal_nan=True)
        cases = list(zip(x[bad], y[bad], ours[bad], right[bad], strict=True))
        assert not cases, f"{name}: gradient in {wrt} at (x, y, ours, PyTorch's): {cases[:20]}"


def same_signs(ours, theirs, zeros: bool = True) -> None:
    a, b = np.asarray(ours.detach()), theirs.detach().numpy()
    compared = ~np.isnan(b) & (zeros | (b != 0))
    np.testing.assert_array_equal(np.signbit(a)[compared], np.signbit(b)[compared])


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "maximum", "minimum"])
@pytest.mark.parametrize(
    "dtypes", list(itertools.product(["bool", "uint8", "int32", "int64", "float32"], repeat=2)), ids=str
)
def test_integers_and_bools(check, torch, name: str, dtypes: tuple[str, str]) -> None:
    x = np.array([0, 1, 2, 3, 7, 200]).astype(dtypes[0])
    y = np.array([1, 1, 0, 2, 3, 5]).astype(dtypes[1])
    both = [alike(torch, lambda T: getattr(T, name)(T.tensor(x), T.tensor(y)))]
    for ours, theirs in both:
        if theirs is not None:
            check.same(ours, theirs, f"{name} of {dtypes}")


def alike(torch, function):
    """Return function(tensor) and function(torch), which fail alike (then both are None)."""
    try:
        expected = function(torch)
    except Exception as error:
        kind = NotImplementedError if isinstance(error, NotImplementedError) else type(error)
        with pytest.raises((kind, RuntimeError, NotImplementedError)):
            function(tensor)
        return None, None
    return function(tensor), expected


NUMBERS = [0, 1, 2, 3, True, 2.5, -1.5, 300]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow"])
def test_integers_with_numbers(check, torch, name: str, dtype: str) -> None:
    x = np.array([0, 1, 2, 3, 7, 20]).astype(dtype)
    for number in NUMBERS:
        if name == "pow" and (number is True or number == 300):
            continue
        ours, theirs = alike(torch, lambda T, number=number: getattr(T, name)(T.tensor(x), number))
        if theirs is not None:
            check.same(ours, theirs, f"{name} of {dtype} and {number!r}")


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
@pytest.mark.parametrize("name", UNARY)
def test_unary_of_integers(check, torch, name: str, dtype: str) -> None:
    if (name, dtype) == ("square", "bool"):
        pytest.skip("PyTorch makes an int64 of it")
    x = np.array([1, 2, 3, 0, 1]).astype(dtype)
    ours, theirs = alike(torch, lambda T: getattr(T, name)(T.tensor(x)))
    if theirs is not None:
        check.same(ours, theirs, name)


LIMITS = [(-1.0, 1.0), (None, 0.5), (0.5, None), (1.0, -1.0), (-np.inf, 0.0)]


@pytest.mark.parametrize(("low", "high"), LIMITS)
def test_clamp(check, low, high) -> None:
    x = check.numbers(3, 4)
    check.op("clamp", lambda T, x: T.clamp(x, low, high), [x])
    check.op("clamp", lambda T, x: x.clip(min=low, max=high), [x])
    edges = np.array([-1.0, 1.0, 0.5, 0.0, np.nan, np.inf, -np.inf])
    check.op("clamp", lambda T, x: T.clamp(x, low, high), [edges], differences=False)


def test_clamp_between_tensors(check) -> None:
    x, low, high = check.numbers(3, 4), check.numbers(4, seed=1) - 1.0, check.numbers(3, 1, seed=2) + 1.0
    check.op("clamp", lambda T, x, low, high: T.clamp(x, low, high), [x, low, high])
    check.op("clamp", lambda T, x, low: T.clamp(x, min=low), [x, low])
    check.op("clamp", lambda T, x, high: x.clamp(max=high), [x, high])
    tied = np.array([0.0, 1.0, 2.0])
    check.op("clamp", lambda T, x, low: T.clamp(x, min=low), [tied, np.full(3, 1.0)], differences=False)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@pytest.mark.parametrize(("low", "high"), [(1, 3), (None, 2), (2, None), (0.5, 2.5), (1, 2.5)])
def test_clamp_of_integers(check, torch, dtype: str, low, high) -> None:
    x = np.arange(6).astype(dtype)
    check.same(tensor.tensor(x).clamp(low, high), torch.tensor(x).clamp(low, high))


def test_clamp_needs_a_limit() -> None:
    with pytest.raises(RuntimeError, match="At least one of"):
        tensor.zeros(2).clamp()


@pytest.mark.parametrize("name", ["floor", "trunc"])
@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", "uint8"])
def test_rounding_division(check, torch, name: str, dtype: str) -> None:
    x = np.array([7, 7, 8, 9, 0, 5]).astype(dtype)
    y = np.array([2, 3, 3, 4, 5, 5]).astype(dtype)
    for sx, sy in itertools.product([1, -1], repeat=2) if dtype != "uint8" else [(1, 1)]:
        a, b = x * np.array(sx, dtype), y * np.array(sy, dtype)
        check.same(
            tensor.div(tensor.tensor(a), tensor.tensor(b), rounding_mode=name),
            torch.div(torch.tensor(a), torch.tensor(b), rounding_mode=name),
        )
        check.same(tensor.tensor(a) // tensor.tensor(b), torch.tensor(a) // torch.tensor(b))
        check.same(tensor.tensor(a) % tensor.tensor(b), torch.tensor(a) % torch.tensor(b))
        check.same(tensor.tensor(a) // 3, torch.tensor(a) // 3)
        check.same(tensor.tensor(a) % 3, torch.tensor(a) % 3)


def test_remainder_has_a_gradient(check) -> None:
    check.op("remainder", lambda T, x, y: x % y, [check.numbers(2, 3), check.numbers(3, seed=5)])


def test_alpha(check) -> None:
    x, y = check.numbers(2, 3), check.numbers(3, seed=1)
    check.op("add", lambda T, x, y: T.add(x, y, alpha=2.5), [x, y])
    check.op("sub", lambda T, x, y: x.sub(y, alpha=-2), [x, y])
    check.op("add_", lambda T, x, y: x.clone().add_(y, alpha=0.5), [x, y])


IN_PLACE = ["add_", "sub_", "mul_", "div_"]


@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize(
    "shapes", [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 3), ()), ((), ()), ((0, 3), (3,))], ids=str
)
def test_in_place_binary(check, name: str, shapes: tuple) -> None:
    x, y = check.numbers(*shapes[0], seed=1), check.numbers(*shapes[1], seed=2)
    check.op(name, lambda T, x, y: getattr(x * 1.5, name)(y), [x, y])
    check.op(name, lambda T, x, y: getattr(x * 1.5, name)(2.0) * y, [x, y])
    check.op(name, lambda T, x, y: getattr(x + y, name)(y), [x, y])


def test_in_place_returns_the_tensor_itself() -> None:
    x = tensor.ones(2, 3)
    for name in [*IN_PLACE, "pow_"]:
        assert getattr(x, name)(2.0) is x
    for name in [
        "exp_",
        "log_",
        "neg_",
        "relu_",
        "tanh_",
        "sigmoid_",
        "sqrt_",
        "zero_",
        "abs_",
        "sin_",
        "cos_",
        "log1p_",
    ]:
        assert getattr(x, name)() is x
    before = x
    x += 1
    x *= 2
    x -= 1
    x /= 2
    x **= 2
    assert x is before


@pytest.mark.parametrize(
    "name", ["neg", "exp", "log", "log1p", "sqrt", "tanh", "sigmoid", "relu", "sin", "cos", "abs"]
)
def test_in_place_unary(check, name: str) -> None:
    x = check.numbers(2, 3, low=0.2)
    check.op(name + "_", lambda T, x: getattr(x * 1.0, name + "_")(), [x], REFERENCES.get(name))
    check.op(name + "_", lambda T, x: (getattr(x * 1.0, name + "_")() * x).exp(), [x])


def test_in_place_clamp_and_pow(check) -> None:
    x = check.numbers(2, 3, low=0.2)
    check.op("clamp_", lambda T, x: (x * 1.0).clamp_(0.5, 1.0), [x])
    check.op("pow_", lambda T, x: (x * 1.0).pow_(3), [x])
    check.op("pow_", lambda T, x, y: (x * 1.0).pow_(y), [x, check.numbers(3)])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool", "float32"])
@pytest.mark.parametrize("name", [*IN_PLACE, "pow_"])
def test_in_place_types(check, torch, name: str, dtype: str) -> None:
    for other in [2, 2.0, "int64", "float32", "float64", "bool"]:
        x = np.array([1, 2, 3]).astype(dtype)
        y = np.array([2, 1, 1]).astype(other) if isinstance(other, str) else other

        def run(T, x=x, y=y):
            return getattr(T.tensor(x), name)(T.tensor(y) if isinstance(y, np.ndarray) else y)

        ours, theirs = alike(torch, run)
        if theirs is not None:
            check.same(ours, theirs, f"{name} of {dtype} and {other!r}")


@pytest.mark.parametrize(
    "shapes",
    [((2, 3), (2, 3), (2, 3)), ((3,), (2, 1), (1, 3)), ((), (2,), ()), ((0, 2), (2,), (1, 1))],
    ids=str,
)
def test_where(check, shapes: tuple) -> None:
    condition = check.numbers(*shapes[0], seed=3) > 0
    x, y = check.numbers(*shapes[1], seed=1), check.numbers(*shapes[2], seed=2)
    check.op("where", lambda T, c, x, y: T.where(c, x, y), [condition, x, y], np.where)
    check.op("where", lambda T, c, x, y: T.where(c, x, 0.5) + y, [condition, x, y])
    check.op("where", lambda T, c, x, y: x.where(c, y), [condition, x, y])


def test_where_promotes(check, torch) -> None:
    for a, b in itertools.product([1, 1.5, "int32", "float64", "float32"], repeat=2):
        check.same(
            *[
                T.where(
                    T.tensor([True, False]),
                    *[v if not isinstance(v, str) else T.ones(2, dtype=getattr(T, v)) for v in (a, b)],
                )
                for T in (tensor, torch)
            ]
        )


def test_masked_fill(check) -> None:
    x = check.numbers(2, 3)
    mask = check.numbers(3, seed=3) > 0
    check.op("masked_fill", lambda T, x, m: x.masked_fill(m, -3.0), [x, mask])
    check.op("masked_fill_", lambda T, x, m: (x * 2).masked_fill_(m, 0), [x, mask])
    check.op("masked_fill", lambda T, x, m, v: x.masked_fill(m, v), [x, mask, np.array(2.0)])


def test_conversions_carry_gradients(check) -> None:
    x = check.numbers(2, 3)
    check.op("to", lambda T, x: x.to(T.float64) * 2, [x])
    check.op("to", lambda T, x: x.float().double() * x, [x], dtypes=["float32"])
    check.op("clone", lambda T, x: x.clone() + x, [x])


def test_shapes_that_do_not_fit_name_both() -> None:
    with pytest.raises(
        RuntimeError, match=r"add: The size of tensor a \(3\) must match the size of tensor b \(4\)"
    ):
        tensor.ones(2, 3) + tensor.ones(4)
    with pytest.raises(RuntimeError, match="add_: output with shape"):
        tensor.ones(3).add_(tensor.ones(2, 3))
    with pytest.raises(RuntimeError, match="must match"):
        tensor.lt(tensor.ones(2, 3), tensor.ones(4))
    with pytest.raises(RuntimeError):
        tensor.where(tensor.ones(2) > 0, tensor.ones(3), 0.0)


def test_types_that_do_not_fit() -> None:
    for wrong in ["a", None, [1.0], object()]:
        with pytest.raises(TypeError):
            tensor.ones(2) + wrong
        with pytest.raises(TypeError):
            tensor.add(tensor.ones(2), wrong)


@pytest.mark.parametrize("name", [n for n, f in FORMULAS.items() if len(f.variables) == 1])
def test_float32_is_within_pytorch_s_own_error(torch, name: str) -> None:
    x = np.random.default_rng(0).normal(size=4096).astype(np.float32) * 3
    if name in POSITIVE:
        x = np.abs(x)
    if name in DOMAINS:
        x = np.random.default_rng(0).uniform(*DOMAINS[name], 4096).astype(np.float32)
    torch_name, options = ("gelu", {"approximate": "tanh"}) if name == "gelu_tanh" else (name, {})
    if name == "clamp":
        options = {"min": -1.0, "max": 1.0}
    elif name == "threshold":
        options = {"threshold": 0.0, "value": 0.0}
    function = getattr(torch, torch_name, None) or getattr(torch.nn.functional, torch_name)
    ours = function_of(torch_name)(tensor.tensor(x), **options).numpy()
    theirs = function(torch.tensor(x), **options).numpy()
    limits = (-1.0, 1.0) if name == "clamp" else ()
    exact = np.array(
        [FORMULAS[name].forward(float(v), *limits) for v in x]
    )  # PyTorch's gelu has no left tail
    unit = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)

    def worst(values: np.ndarray) -> float:
        return float((np.abs(values - exact) / unit).max())

    assert worst(ours) <= max(worst(theirs), 3.5), f"{worst(ours):.1f} units, PyTorch {worst(theirs):.1f}"


def test_remainder_is_exact(check) -> None:
    x, y = np.array([1e9, 5.0, -5.0, 7.5, -7.5, -0.5]), np.array([7.0, np.inf, 3.0, -2.0, 2.0, 1.0])
    check.op("%", lambda T, x, y: x % y, [x, y], gradient=False)
    np.testing.assert_array_equal((tensor.tensor(x) % tensor.tensor(y)).numpy(), [6, 5, 1, -0.5, 0.5, 0.5])
    check.op("%", lambda T, x, y: T.remainder(x, y), [check.numbers(2, 3), check.numbers(3, seed=1)], np.mod)


@pytest.mark.parametrize("make", [lambda T: T.exp(1.0), lambda T: T.mul(1.0, 2.0), lambda T: T.maximum(1, 2)])
def test_operations_take_tensors(check, make) -> None:
    with pytest.raises(TypeError, match="argument 'input' must be Tensor"):
        make(tensor)


def test_numpy_numbers_keep_the_type(check) -> None:
    for module in filter(None, (tensor, check.torch)):
        assert (np.float64(2) * module.tensor(1.0)).dtype is module.float32
        assert (np.float64(2) - module.tensor([1, 2])).tolist() == [1.0, 0.0]
        assert module.arange(module.tensor(3)).dtype is module.int64
