"""tensor/norm.py: every normalisation beside PyTorch: values, gradients, running statistics, errors."""

import functools

import numpy as np
import pytest

import tensor

SHAPES = [(4, 3), (3, 4, 5), (2, 6, 3, 4), (5, 1, 2, 2), (2, 4, 1, 1), (1, 2, 3), (70, 5), (2, 3, 2, 2, 2)]
AFFINE = [(True, True), (True, False), (False, True), (False, False)]


def reference(x: np.ndarray, axes: tuple[int, ...], eps: float) -> np.ndarray:
    """Return x normalised over `axes`, computed in extended precision."""
    wide = x.astype(np.longdouble)
    mean = wide.mean(axes, keepdims=True)
    return (wide - mean) / np.sqrt(((wide - mean) ** 2).mean(axes, keepdims=True) + eps)


def affine(check, shape, which: tuple[bool, bool]) -> list:
    """Return the arrays of a weight and a bias, without those that `which` leaves out."""
    return [check.numbers(*shape, seed=2 + i) for i, wanted in enumerate(which) if wanted]


def spread(which: tuple[bool, bool], given) -> tuple:
    """Return weight and bias, None where there is none."""
    rest = iter(given)
    return tuple(next(rest) if wanted else None for wanted in which)


@pytest.mark.parametrize("which", AFFINE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm(check, shape, which) -> None:
    x = check.numbers(*shape)
    channels = shape[1]
    running = np.linspace(-1, 1, channels), np.linspace(0.5, 2, channels)
    axes = (0, *range(2, len(shape)))
    for training in (True, False):
        if training and x.size == channels:
            continue

        def normalise(T, x, *given, training=training, moved=False):
            mean, var = map(x.new_tensor, running)
            out = T.nn.functional.batch_norm(x, mean, var, *spread(which, given), training, 0.3, 1e-3)
            return (mean, var) if moved else out

        def expected(x, *given, training=training):
            weight, bias = (
                np.reshape(default if p is None else p, (-1, *[1] * (len(shape) - 2)))
                for p, default in zip(
                    spread(which, given), (np.ones(channels), np.zeros(channels)), strict=True
                )
            )
            mean, var = (r.reshape(-1, *[1] * (len(shape) - 2)) for r in running)
            out = reference(x, axes, 1e-3) if training else (x - mean) / np.sqrt(var + 1e-3)
            return out * weight + bias

        def expected_to_move(x, *given, training=training):
            if not training:
                return running
            return 0.7 * running[0] + 0.3 * x.mean(axes), 0.7 * running[1] + 0.3 * x.var(axes, ddof=1)

        arrays, name = [x, *affine(check, (channels,), which)], f"batch_norm, training={training}"
        check.op(name, normalise, arrays, expected, rtol=1e-5, atol=1e-5, differences=x.size < 100)
        moved = functools.partial(normalise, moved=True)
        check.op(name, moved, arrays, expected_to_move, gradient=False, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("which", AFFINE, ids=str)
@pytest.mark.parametrize(
    ("shape", "dims"),
    [((4, 3), 1), ((2, 3, 4), 2), ((2, 3, 4), 3), ((7,), 1), ((75, 3), 1), ((3, 1), 1)],
    ids=str,
)
def test_layer_norm(check, shape, dims, which) -> None:
    last = shape[-dims:]

    def normalise(T, x, *given):
        return T.nn.functional.layer_norm(x, last, *spread(which, given), 1e-3)

    def expected(x, *given):
        weight, bias = spread(which, given)
        out = reference(x, tuple(range(len(shape) - dims, len(shape))), 1e-3)
        return out * (1 if weight is None else weight) + (0 if bias is None else bias)

    check.op(
        "layer_norm", normalise, [check.numbers(*shape), *affine(check, last, which)], expected,
        rtol=1e-5, atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(("shape", "dims"), [((4, 3), 1), ((2, 3, 4), 2), ((7,), 1), ((75, 3), 1)], ids=str)
def test_rms_norm(check, shape, dims, weighted) -> None:
    last = shape[-dims:]
    for eps in (None, 0.1):

        def normalise(T, x, *weight, eps=eps):
            return T.nn.functional.rms_norm(x, last, *weight or (None,), eps)

        def expected(x, weight=1.0, eps=eps):
            axes = tuple(range(len(shape) - dims, len(shape)))
            return x / np.sqrt((x * x).mean(axes, keepdims=True) + (eps or 1e-7)) * weight

        arrays = [check.numbers(*shape), *affine(check, last, (weighted, False))]
        check.op(f"rms_norm, eps={eps}", normalise, arrays, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("which", AFFINE, ids=str)
@pytest.mark.parametrize(
    ("shape", "groups"),
    [((2, 6), 3), ((2, 6, 4), 2), ((3, 4, 2, 3), 4), ((2, 4, 3, 3), 1), ((2, 4, 1), 2)],
    ids=str,
)
def test_group_norm(check, shape, groups, which) -> None:
    channels = shape[1]

    def normalise(T, x, *given):
        return T.nn.functional.group_norm(x, groups, *spread(which, given), 1e-3)

    def expected(x, *given):
        weight, bias = (
            None if p is None else p.reshape(-1, *[1] * (len(shape) - 2)) for p in spread(which, given)
        )
        out = reference(x.reshape(shape[0], groups, -1), (2,), 1e-3).reshape(shape)
        return out * (1 if weight is None else weight) + (0 if bias is None else bias)

    def theirs(T, x, *given):  # PyTorch has no gradient of a bias without a weight
        if which != (False, True):
            return normalise(T, x, *given)
        return T.nn.functional.group_norm(x, groups, eps=1e-3) + given[0].reshape(ones)

    ones = (-1, *[1] * (len(shape) - 2))
    check.op(
        "group_norm", normalise, [check.numbers(*shape), *affine(check, (channels,), which)], expected,
        theirs=theirs, rtol=1e-5, atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 2, 2, 3), (1, 2, 5)], ids=str)
def test_instance_norm(check, shape, own) -> None:
    channels = shape[1]

    def normalise(T, x, weight, bias, moved=False):
        mean, var = x.new_zeros(channels), x.new_ones(channels) * 2
        out = T.nn.functional.instance_norm(x, mean, var, weight, bias, own, 0.2, 1e-3)
        return (mean, var) if moved else (out, T.nn.functional.instance_norm(x, weight=weight))

    arrays = [check.numbers(*shape), *affine(check, (channels,), (True, True))]
    check.op("instance_norm", normalise, arrays, rtol=1e-5, atol=1e-5)
    moved = functools.partial(normalise, moved=True)
    check.op("instance_norm", moved, arrays, gradient=False, rtol=1e-5, atol=1e-5)


OPERATIONS = {
    "batch": ((0, 2), lambda T, x: T.nn.functional.batch_norm(x, None, None, training=True)),
    "features": (
        (0,),
        lambda T, x: T.nn.functional.batch_norm(x.reshape(x.shape[0], -1), None, None, None, None, True),
    ),
    "layer": ((1, 2), lambda T, x: T.nn.functional.layer_norm(x, tuple(x.shape[1:]))),
    "group": ((2,), lambda T, x: T.nn.functional.group_norm(x, x.shape[1])),
}


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("mean", [0.0, 1e3, 1e5])
def test_numbers_far_from_zero(torch, kind: str, mean: float) -> None:
    """Errors against extended precision are no larger than PyTorch's; the mean costs float64 no digits."""
    axes, operation = OPERATIONS[kind]
    rng = np.random.default_rng(0)
    for dtype, own_error in (("float32", 2e-6), ("float64", 1e-9)):
        x = (rng.standard_normal((64, 8, 49)) + mean).astype(dtype)
        x[0, 0, 0] += 30  # what the sums are taken relative to may lie far out
        exact = reference(x, axes, 1e-5)
        ours = operation(tensor, tensor.from_numpy(x)).numpy().reshape(x.shape)
        theirs = operation(torch, torch.from_numpy(x)).numpy().reshape(x.shape)
        error, their_error = (float(np.abs(out - exact).max()) for out in (ours, theirs))
        assert error <= max(their_error, own_error), f"{kind}, {dtype}: {error} against {their_error}"


@pytest.mark.parametrize("kind", OPERATIONS)
def test_nan_and_inf_stay_where_they_belong(engines, kind: str) -> None:
    x = np.random.default_rng(0).standard_normal((4, 3, 5)).astype(np.float32)
    x[1, 1, 2], x[3, 2, 0], x[0, 0, 0] = np.nan, np.inf, -np.inf
    found = [OPERATIONS[kind][1](T, T.from_numpy(x.copy())).numpy() for T in engines]
    assert np.isnan(found[0]).any()
    for out in found[1:]:
        np.testing.assert_array_equal(np.isnan(found[0]), np.isnan(out))


@pytest.mark.parametrize("kind", OPERATIONS)
def test_the_number_of_threads_changes_no_bit(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((150, 12, 40)).astype(np.float32)
    flow = rng.standard_normal(x.shape).astype(np.float32)
    found = []
    before = tensor.get_num_threads()
    try:
        for threads in (1, before):
            tensor.set_num_threads(threads)
            t = tensor.from_numpy(x).requires_grad_()
            out = OPERATIONS[kind][1](tensor, t)
            out.backward(tensor.from_numpy(flow.reshape(out.shape)))
            found.append((out.detach().numpy().copy(), t.grad.numpy().copy()))
    finally:
        tensor.set_num_threads(before)
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_of_weights_over_many_rows(threads: int) -> None:
    """More rows than one partial sum takes, on the pool: against float64 sums."""
    rng = np.random.default_rng(1)
    x, flow = (rng.standard_normal((3001, 33)).astype(np.float32) for _ in range(2))
    weight, bias = tensor.ones(33, requires_grad=True), tensor.zeros(33, requires_grad=True)
    before = tensor.get_num_threads()
    try:
        tensor.set_num_threads(threads)
        for function, exact in (
            (lambda t: tensor.nn.functional.layer_norm(t, (33,), weight, bias), reference(x, (1,), 1e-5)),
            (
                lambda t: tensor.nn.functional.batch_norm(t, None, None, weight, bias, training=True),
                reference(x, (0,), 1e-5),
            ),
        ):
            weight.grad = bias.grad = None
            function(tensor.from_numpy(x)).backward(tensor.from_numpy(flow))
            np.testing.assert_allclose(weight.grad.numpy(), (flow * exact).sum(0), 1e-4, 1e-4)
            np.testing.assert_allclose(bias.grad.numpy(), flow.astype(np.float64).sum(0), 1e-4, 1e-4)
    finally:
        tensor.set_num_threads(before)


def test_only_what_asks_gets_a_gradient(engines) -> None:
    for T in engines:
        F = T.nn.functional
        for normalise in (
            lambda x, w, b, F=F: F.batch_norm(x, None, None, w, b, True),
            lambda x, w, b, F=F: F.layer_norm(x, (4,), w, b),
            lambda x, w, b, F=F: F.group_norm(x, 2, w, b),
        ):
            for wanted in range(1, 8):
                asks = [bool(wanted & bit) for bit in (1, 2, 4)]
                made = [T.randn(3, 4), T.randn(4), T.randn(4)]
                for t, ask in zip(made, asks, strict=True):
                    t.requires_grad_(ask)
                normalise(*made).sum().backward()
                assert [t.grad is not None for t in made] == asks


def test_the_graph(engines) -> None:
    for T in engines:
        x, weight = T.randn(3, 4, requires_grad=True), T.ones(4, requires_grad=True)
        out = T.nn.functional.layer_norm(x, (4,), weight)
        assert repr(out.grad_fn).startswith("<NativeLayerNormBackward0")
        with T.no_grad():
            weight.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.sum().backward()


def test_running_statistics_are_written_through_any_layout(check, engines) -> None:
    found = []
    for T in engines:
        table = T.zeros(3, 2)
        mean, var = table[:, 0], table[:, 1]
        T.nn.functional.batch_norm(
            T.from_numpy(check.numbers(4, 3)), mean.double(), var.double(), training=True
        )
        assert not table.any()
        x = T.from_numpy(check.numbers(4, 3).astype(np.float32))
        T.nn.functional.batch_norm(x, mean, var, training=True)
        found.append(table.numpy())
    for values in found[1:]:
        np.testing.assert_allclose(found[0], values, 1e-5, 1e-6)
    assert found[0].all()


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4), (2, 3, 0), (2, 0)], ids=str)
def test_nothing(engines, shape) -> None:
    for T in engines:
        x = T.zeros(*shape, requires_grad=True)
        F = T.nn.functional
        F.layer_norm(x, (shape[-1],)).sum().backward()
        assert tuple(x.grad.shape) == shape
        if shape[1]:
            weight = T.ones(3, requires_grad=True)
            out = F.batch_norm(x, T.zeros(3), T.ones(3), weight)
            out.sum().backward()
            assert tuple(out.shape) == shape
            assert weight.grad.tolist() == [0.0] * 3


X = (2, 4, 3)
WRONG = {
    "one value a channel": lambda T: T.nn.functional.batch_norm(T.ones(1, 3), None, None, training=True),
    "one value a channel, 4-D": lambda T: T.nn.functional.batch_norm(
        T.ones(1, 3, 1, 1), T.zeros(3), T.ones(3), training=True
    ),
    "one value an instance": lambda T: T.nn.functional.instance_norm(T.ones(2, 3, 1)),
    "no running statistics": lambda T: T.nn.functional.batch_norm(T.ones(*X), None, None),
    "no running mean": lambda T: T.nn.functional.batch_norm(T.ones(*X), None, T.ones(4)),
    "instance, no running statistics": lambda T: T.nn.functional.instance_norm(
        T.ones(*X), use_input_stats=False
    ),
    "running mean too long": lambda T: T.nn.functional.batch_norm(T.ones(*X), T.zeros(5), T.ones(4)),
    "weight too short": lambda T: T.nn.functional.batch_norm(T.ones(*X), T.zeros(4), T.ones(4), T.ones(3)),
    "bias too short": lambda T: T.nn.functional.batch_norm(
        T.ones(*X), T.zeros(4), T.ones(4), T.ones(4), T.ones(3)
    ),
    "eps": lambda T: T.nn.functional.batch_norm(T.ones(*X), None, None, training=True, eps=0.0),
    "eps in evaluation": lambda T: T.nn.functional.batch_norm(T.ones(*X), T.zeros(4), T.ones(4), eps=-1.0),
    "integers": lambda T: T.nn.functional.batch_norm(T.ones(*X).long(), None, None, training=True),
    "batch of another dtype": lambda T: T.nn.functional.batch_norm(
        T.ones(*X), None, None, T.ones(4).double(), training=True
    ),
    "no dims": lambda T: T.nn.functional.batch_norm(T.ones(()), None, None, training=True),
    "not a tensor": lambda T: T.nn.functional.batch_norm([1.0], T.zeros(1), T.ones(1)),
    "layer shape": lambda T: T.nn.functional.layer_norm(T.ones(*X), (4,)),
    "layer shape too long": lambda T: T.nn.functional.layer_norm(T.ones(3), (2, 3)),
    "layer of nothing": lambda T: T.nn.functional.layer_norm(T.ones(*X), ()),
    "layer weight": lambda T: T.nn.functional.layer_norm(T.ones(*X), (3,), T.ones(4)),
    "layer bias": lambda T: T.nn.functional.layer_norm(T.ones(*X), (3,), None, T.ones(4)),
    "layer of integers": lambda T: T.nn.functional.layer_norm(T.ones(*X).long(), (3,)),
    "layer of another dtype": lambda T: T.nn.functional.layer_norm(T.ones(*X), (3,), T.ones(3).double()),
    "rms shape": lambda T: T.nn.functional.rms_norm(T.ones(*X), (4,)),
    "groups": lambda T: T.nn.functional.group_norm(T.ones(*X), 3),
    "no groups": lambda T: T.nn.functional.group_norm(T.ones(*X), 0),
    "group of one": lambda T: T.nn.functional.group_norm(T.ones(1, 3), 3),
    "group weight": lambda T: T.nn.functional.group_norm(T.ones(*X), 2, T.ones(3)),
    "group of one dim": lambda T: T.nn.functional.group_norm(T.ones(4), 2),
}


for _name in ("batch_norm", "instance_norm"):
    for _value in (None, "a"):
        WRONG[f"{_name}, momentum {_value}"] = lambda T, name=_name, value=_value: getattr(
            T.nn.functional, name
        )(T.ones(*X), T.zeros(4), T.ones(4), momentum=value)
        WRONG[f"{_name}, eps {_value}"] = lambda T, name=_name, value=_value: getattr(T.nn.functional, name)(
            T.ones(*X), T.zeros(4), T.ones(4), eps=value
        )
WRONG["layer, eps None"] = lambda T: T.nn.functional.layer_norm(T.ones(*X), (3,), eps=None)


@pytest.mark.parametrize("case", WRONG)
def test_errors(check, case: str) -> None:
    check.raises_alike(WRONG[case])


def test_what_an_option_must_be() -> None:
    for function in (tensor.nn.functional.batch_norm, tensor.nn.functional.instance_norm):
        with pytest.raises(TypeError, match=r"_norm\(\): argument 'momentum' must be float, not NoneType"):
            function(tensor.ones(*X), tensor.zeros(4), tensor.ones(4), momentum=None)


@pytest.mark.parametrize("from_batch", [False, True])
@pytest.mark.parametrize("which", ["running_mean", "running_var"])
@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_running_statistics_get_no_gradient(check, engines, name: str, which: str, from_batch: bool) -> None:
    def normalise(T):
        running = {"running_mean": T.zeros(4), "running_var": T.ones(4)}
        running[which].requires_grad_()
        option = {"training" if name == "batch_norm" else "use_input_stats": from_batch}
        return getattr(T.nn.functional, name)(T.ones(*X, requires_grad=True), **running, **option)

    check.raises_alike(normalise)
    with pytest.raises(RuntimeError, match=f"^{name}: not differentiable with respect to argument '{which}'"):
        normalise(tensor)
    for T in engines:
        with T.no_grad():
            assert not normalise(T).requires_grad
