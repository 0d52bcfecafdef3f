"""tensor/softmax.py: softmax, its logarithm and the classification losses."""

import itertools

import numpy as np
import pytest

import tensor
from tensor.softmax import cross_entropy, nll_loss

SHAPES = [(), (3,), (2, 4), (2, 3, 4), (1, 1), (0, 3), (3, 0)]


def reference_softmax(x: np.ndarray, dim: int) -> np.ndarray:
    e = np.exp(x - x.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_softmax_and_log_softmax(check, shape) -> None:
    x = check.numbers(*shape)
    for dim in range(-max(1, len(shape)), max(1, len(shape))):
        usual = x.size and x.ndim
        softmax = (lambda x, d=dim: reference_softmax(x, d)) if usual else None
        log = (lambda x, d=dim: np.log(reference_softmax(x, d))) if usual else None
        check.op("softmax", lambda T, x, d=dim: T.softmax(x, d), [x], softmax, all_layouts=dim == 0)
        check.op("log_softmax", lambda T, x, d=dim: x.log_softmax(dim=d), [x], log, all_layouts=dim == 0)


def test_stability(check) -> None:
    for x in (
        [1000.0, 0.0, -1000.0],
        [-1e30, -1e30],
        [np.inf, 0.0],
        [-np.inf, 0.0],
        [np.nan, 0.0],
        [-np.inf, -np.inf],
    ):
        check.op(
            "softmax",
            lambda T, x: x.softmax(0),
            [np.array(x)],
            differences=False,
            gradient=np.isfinite(x).all(),
        )
        check.op(
            "log_softmax",
            lambda T, x: x.log_softmax(0),
            [np.array(x)],
            differences=False,
            gradient=np.isfinite(x).all(),
        )


def test_dtype(check) -> None:
    check.op("softmax", lambda T, x: x.softmax(-1, dtype=T.float64), [check.numbers(2, 3)])
    check.op("log_softmax", lambda T, x: T.log_softmax(x, 0, dtype=T.float64), [check.numbers(2, 3)])
    x = tensor.tensor([1, 2, 3])
    assert x.softmax(0, dtype=tensor.float32).dtype is tensor.float32


def reference_loss(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    log_probs = np.log(reference_softmax(x, 1))
    return -np.take_along_axis(log_probs, target[:, None], 1).mean()


def test_cross_entropy_against_numpy(check) -> None:
    x, target = check.numbers(5, 3), np.array([0, 2, 1, 1, 0])
    check.op("cross_entropy", lambda T, x, t: loss(T, "cross_entropy")(x, t), [x, target], reference_loss)


def loss(T, name: str):
    return (
        {"cross_entropy": cross_entropy, "nll_loss": nll_loss}[name]
        if T is tensor
        else getattr(T.nn.functional, name)
    )


# input shape, target shape
TARGETS = [((4,), ()), ((5, 4), (5,)), ((2, 4, 3), (2, 3)), ((2, 4, 3, 2), (2, 3, 2)), ((1, 1), (1,))]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shapes", TARGETS, ids=str)
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_losses(check, name, shapes, reduction, weighted) -> None:
    x = check.numbers(*shapes[0])
    classes = shapes[0][0] if len(shapes[0]) == 1 else shapes[0][1]
    rng = np.random.default_rng(1)
    target = np.asarray(rng.integers(0, classes, shapes[1]))
    weight = check.numbers(classes, low=0.1) if weighted else None
    for ignored in (-100, 0, classes + 3):
        labels = target.copy()
        if ignored == classes + 3 and labels.size > 1:
            labels.reshape(-1)[0] = ignored
        for smoothing in (0.0, 0.1, 1.0) if name == "cross_entropy" else (0.0,):
            options = {"ignore_index": ignored, "reduction": reduction}
            if name == "cross_entropy":
                options["label_smoothing"] = smoothing

            def run(T, x, t, options=options):
                w = None if weight is None else x.new_tensor(weight)
                return loss(T, name)(x, t, w, **options)

            check.op(name, run, [x, labels], differences=ignored == -100, all_layouts=smoothing == 0.1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 4, 3)], ids=str)
def test_targets_that_are_probabilities(check, shape, reduction, weighted) -> None:
    x = check.numbers(*shape)
    dim = 0 if len(shape) == 1 else 1
    target = reference_softmax(check.numbers(*shape, seed=1), dim)
    weight = check.numbers(shape[dim], low=0.1) if weighted else None
    for smoothing in (0.0, 0.2):

        def run(T, x, t, s=smoothing):
            w = None if weight is None else x.new_tensor(weight)
            return loss(T, "cross_entropy")(x, t, w, reduction=reduction, label_smoothing=s)

        check.op("cross_entropy", run, [x, target], all_layouts=smoothing == 0.2)


def test_large_logits_stay_finite(check) -> None:
    x = np.array([[1000.0, -1000.0], [-1e4, 1e4]])
    check.op(
        "cross_entropy",
        lambda T, x, t: loss(T, "cross_entropy")(x, t),
        [x, np.array([0, 0])],
        differences=False,
    )


def test_all_ignored_is_nan(check) -> None:
    x, target = check.numbers(2, 3), np.array([7, 7])
    for name, reduction in itertools.product(["cross_entropy", "nll_loss"], ["mean", "sum", "none"]):
        check.op(
            name,
            lambda T, x, t, n=name, r=reduction: loss(T, n)(x, t, ignore_index=7, reduction=r),
            [x, target],
            differences=False,
        )


def test_an_empty_batch(check) -> None:
    for reduction in ("sum", "none", "mean"):
        check.op(
            "cross_entropy",
            lambda T, x, t, r=reduction: loss(T, "cross_entropy")(x, t, reduction=r),
            [np.zeros((0, 3)), np.zeros(0, np.int64)],
            differences=False,
        )


@pytest.mark.parametrize("dtype", ["int64", "uint8"])
def test_target_types(check, torch, dtype) -> None:
    x, target = check.numbers(3, 4), np.array([0, 3, 1]).astype(dtype)
    check.same(
        cross_entropy(tensor.tensor(x), tensor.tensor(target)),
        torch.nn.functional.cross_entropy(torch.tensor(x), torch.tensor(target)),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda T: loss(T, "cross_entropy")(T.zeros(2, 3), T.tensor([0, 3])),
        lambda T: loss(T, "cross_entropy")(T.zeros(2, 3), T.tensor([0, -1])),
        lambda T: loss(T, "cross_entropy")(T.zeros(2, 3), T.tensor([0])),
        lambda T: loss(T, "cross_entropy")(T.zeros(2, 3), T.tensor([[0, 1]])),
        lambda T: loss(T, "cross_entropy")(T.zeros(2, 3), T.tensor([0.0, 1.0])),
        lambda T: loss(T, "cross_entropy")(T.zeros(2, 3), T.tensor([0, 1]), weight=T.ones(2)),
        lambda T: loss(T, "cross_entropy")(T.zeros(2, 3), T.tensor([0, 1]), reduction="avg"),
        lambda T: loss(T, "cross_entropy")(T.zeros(2, 3), T.tensor([0, 1]), label_smoothing=1.5),
        lambda T: loss(T, "cross_entropy")(T.zeros(2, 3).long(), T.tensor([0, 1])),
        lambda T: loss(T, "nll_loss")(T.zeros(2, 3), T.tensor([0, 4])),
        lambda T: T.zeros(2, 3).softmax(2),
        lambda T: T.zeros(2, 3).long().softmax(1),
        lambda T: T.zeros(2, 3).long().log_softmax(1),
    ],
)  # fmt: skip
def test_errors_are_of_pytorch_s_kind(check, wrong) -> None:
    check.raises_alike(wrong)


def test_a_changed_target_is_noticed(check) -> None:
    def change(T) -> None:
        x, t = T.zeros(2, 3, requires_grad=True), T.tensor([0, 1])
        value = loss(T, "nll_loss")(x, t)
        t.add_(1)
        value.backward()

    check.raises_alike(change)


@pytest.mark.parametrize(
    "call",
    [
        lambda T: T.nn.functional.cross_entropy(T.ones(1, 2), [0]),
        lambda T: T.nn.functional.cross_entropy(T.ones(1, 2), T.tensor([0]), T.ones(2).double()),
        lambda T: T.nn.functional.linear([1.0], T.ones(1, 1)),
        lambda T: T.softmax([1.0], 0),
        lambda T: T.allclose(T.ones(2), T.ones(3)),
    ],
)
def test_wrong_arguments(check, call) -> None:
    check.raises_alike(call)


def test_the_one_that_backward_begins_with_is_nobodys_to_change(device):
    """A GPU keeps it; whoever may see it is given another."""
    x, y = tensor.arange(6.0, device=device).reshape(2, 3), tensor.tensor([0, 2], device=device)
    grads = []
    for change in (
        lambda loss: None, lambda loss: loss.register_hook(lambda grad: grad.mul_(3)),
        lambda loss: loss.retain_grad(), lambda loss: loss.grad_fn.register_prehook(lambda grads: None),
    ):  # fmt: skip
        leaf = x.clone().requires_grad_()
        loss = tensor.nn.functional.cross_entropy(leaf, y)
        change(loss)
        loss.backward()
        if loss.retains_grad:
            loss.grad.zero_()
        grads.append(leaf.grad)
    assert tensor.allclose(grads[1], 3 * grads[0])
    leaf = x.clone().requires_grad_()
    loss = tensor.nn.functional.cross_entropy(leaf, y)
    (own,) = tensor.autograd.grad(loss, loss, retain_graph=True)
    own.zero_()
    loss.backward()
    for grad in (*grads[2:], leaf.grad):
        assert tensor.equal(grad, grads[0])
