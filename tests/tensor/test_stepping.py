"""Steps of tensors: what flows is what `backward()` adds up, to the last bit."""

import gc
import re
import weakref

import numpy as np
import pytest

import micro
import tensor
import tensor.nn.functional as F
from tensor import nn


def flows_of(stepper, node):
    """Return the flows that reach a node, in order."""
    return [flow for step in stepper for flow in step.flows if flow.parent.name == node]


def same_bits(a, b):
    return a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(3, 4)

    def forward(self, x):
        h = F.relu(self.norm(self.conv(x)))
        h = F.max_pool2d(h + h, 2)
        a, b = h.chunk(2, dim=2)
        h = tensor.cat([a * 2.0, b.tanh()], dim=2)
        h[:, 0] = h[:, 1] * 3.0
        return self.head(h.mean((2, 3)))


@pytest.mark.parametrize("kept", [True, False])
def test_gradients_are_those_of_backward_bit_for_bit(kept):
    tensor.manual_seed(0)
    model, x = Residual(), tensor.randn(5, 1, 8, 8, requires_grad=True)
    target = tensor.tensor([0, 1, 2, 3, 0])
    with tensor.keep_values(kept):
        loss = F.cross_entropy(model(x), target) + 0.01 * model.head.weight.pow(2).sum()
    leaves = [x, *model.parameters()]
    stepper = micro.step(loss)
    stepper.run()
    stepped = [stepper.grad(leaf) for leaf in leaves]
    assert all(leaf.grad is None for leaf in leaves)
    loss.backward()
    assert all(same_bits(a, leaf.grad) for a, leaf in zip(stepped, leaves, strict=True))
    for step in stepper:
        for flow in step.flows:
            if flow.before is not None:
                assert same_bits(flow.before + flow.contribution, flow.after)


def test_the_users_gradients_and_the_graph_stay():
    x = tensor.tensor([1.0, 2.0], requires_grad=True)
    x.grad = tensor.tensor([5.0, 5.0])
    h = x.exp()
    h.retain_grad()
    loss = h.sum()
    before = x.grad
    micro.step(loss)
    micro.step(loss)
    assert x.grad is before
    assert h.grad is None
    loss.backward()
    np.testing.assert_allclose(x.grad.tolist(), [5.0 + np.e, 5.0 + np.e**2], rtol=1e-6)


def test_kept_gradients_stay_what_they_were():
    with tensor.keep_values():
        x = tensor.tensor([1.0], requires_grad=True)
        loss = (x * 2.0).sum()
    micro.step(loss)
    assert loss.grad_fn.grad is None
    loss.backward(retain_graph=True)
    grad = loss.grad_fn.grad
    micro.step(loss)
    assert loss.grad_fn.grad is grad


def test_a_step_in_words():
    x, w = tensor.tensor([[1.0, 2.0]]), tensor.tensor([[3.0], [4.0]], requires_grad=True)
    x.label, w.label = "x", "w"

    def compute():
        h = x @ w
        h.label = "h"
        return (h * h).sum() * 2.0

    stepper = micro.step(compute)
    assert [step.formula for step in stepper] == [
        "", "", "x @ w", "h * h", "sum(v3)", "", "v4 * 2", "d v6 / d v6",
        "v4 * 2", "sum(v3)", "h * h", "x @ w",
    ]  # fmt: skip
    assert [node.kind for node in stepper.nodes] == [
        "input",
        "input",
        *["operation"] * 3,
        "constant",
        "operation",
    ]
    assert stepper[2].numbers == "(1, 2) @ (2, 1)"
    assert stepper[2].result.tolist() == [[11.0]]
    first, second = flows_of(stepper, "h")
    assert (first.before, first.contribution.item(), first.after.item()) == (None, 22.0, 22.0)
    assert (second.before.item(), second.contribution.item(), second.after.item()) == (22.0, 22.0, 44.0)
    assert first.derivative == "h"
    (to_x, to_w) = stepper[-1].flows
    assert (to_x.contribution, to_x.derivative, to_x.note) == (None, "", "needs no gradient")
    assert (to_w.contribution.tolist(), to_w.derivative) == ([[44.0], [88.0]], "x.T @ grad")
    assert str(stepper[-1]) == (
        "step 12 of 12 · backward\n"
        "  h = x @ w\n"
        "    its gradient is float32 (1, 1)  norm 44.0  min 44.0  mean 44.0  max 44.0\n"
        "    [44.0]\n"
        "    to x: needs no gradient\n"
        "    to w: x.T @ grad\n"
        "      contribution float32 (2, 1)  norm 98.387  min 44.0  mean 66.0  max 88.0\n"
        "      [44.0]\n"
        "      [88.0]"
    )


def test_what_is_known_at_a_position():
    x = tensor.tensor([1.0, 2.0], requires_grad=True)
    stepper = micro.step(lambda: (x * x).sum())
    assert stepper.value(x) is None
    stepper.goto(2)
    assert stepper.value(x).tolist() == [1.0, 2.0]
    assert stepper.value("v1").tolist() == [1.0, 4.0]
    assert stepper.grad(x) is None
    stepper.run()
    assert stepper.grad(x).tolist() == [2.0, 4.0]
    assert stepper.grad("v1").tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("shape", "note"),
    [
        ((3, 1), "summed over dims 0 and 2: (4, 3, 5) -> (3, 1)"),
        ((5,), "summed over dims 0 and 1: (4, 3, 5) -> (5,)"),
        ((4, 1, 5), "summed over dim 1: (4, 3, 5) -> (4, 1, 5)"),
        ((), "summed over dims 0, 1 and 2: (4, 3, 5) -> ()"),
        ((4, 3, 5), ""),
    ],
)
def test_broadcast_gradients_say_over_which_dims_they_were_summed(shape, note):
    x = tensor.randn(4, 3, 5)
    w = tensor.randn(shape, requires_grad=True)
    stepper = micro.step(lambda: (x * w).sum())
    (flow,) = [flow for flow in stepper[-1].flows if flow.contribution is not None]
    assert flow.note == note
    assert tuple(flow.contribution.shape) == shape


def test_values_that_were_not_kept_are_dots_or_what_was_saved():
    x, y = tensor.tensor([2.0], requires_grad=True), tensor.tensor([3.0])
    loss = ((x * y).exp() + 1.0).sum()
    stepper = micro.step(loss)
    stepper.run("forward")
    assert stepper.value(x).tolist() == [2.0]
    assert stepper.value(loss.grad_fn.parents[0]) is None  # the sum's operand: nobody saved it
    exp = loss.grad_fn.parents[0].parents[0]
    assert stepper.value(exp).item() == (x * y).exp().item()
    assert "keep_values" in stepper.recorded.note
    assert "·" in str(stepper)
    assert not micro.step(lambda: (x * y).sum()).recorded.note


def test_saved_values_that_were_changed_are_not_shown():
    x = tensor.tensor([2.0], requires_grad=True)
    h = x + 1.0
    loss = (h * x).sum()
    micro.step(loss)
    h.detach().add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        micro.step(loss)


def test_recorded_values_do_not_follow_later_changes():
    x = tensor.tensor([2.0], requires_grad=True)
    loss = (x * x).sum()
    stepper = micro.step(loss)
    with tensor.no_grad():
        x.fill_(7.0)
    assert stepper[0].result.item() == 2.0


OPERATIONS = [
    ("linear", lambda x: F.linear(x, tensor.ones(3, 4) * 0.5, tensor.ones(3)), (2, 4)),
    ("matmul", lambda x: x @ x.transpose(1, 2), (2, 3, 3)),
    ("conv2d", lambda x: F.conv2d(x, tensor.ones(2, 2, 3, 3) * 0.1, padding=1), (1, 2, 5, 5)),
    ("max_pool", lambda x: F.max_pool2d(x, 2), (1, 1, 4, 4)),
    ("avg_pool", lambda x: F.avg_pool2d(x, 2), (1, 1, 4, 4)),
    ("softmax", lambda x: x.softmax(1), (2, 3)),
    ("log_softmax", lambda x: x.log_softmax(1), (2, 3)),
    ("cross_entropy", lambda x: F.cross_entropy(x, tensor.tensor([0, 2])), (2, 3)),
    ("mse", lambda x: F.mse_loss(x, tensor.ones(2, 3)), (2, 3)),
    ("layer_norm", lambda x: F.layer_norm(x, (3,), tensor.full((3,), 2.0)), (2, 3)),
    ("batch_norm", lambda x: nn.BatchNorm1d(3)(x), (4, 3)),
    ("dropout", lambda x: F.dropout(x, 0.5), (4, 3)),
    ("var", lambda x: x.var(0), (4, 3)),
    ("prod", lambda x: x.prod(1), (4, 3)),
    ("logsumexp", lambda x: x.logsumexp(1), (4, 3)),
    ("cumsum", lambda x: x.cumsum(0), (4, 3)),
    ("max", lambda x: x.max(1).values, (4, 3)),
    ("cat", lambda x: tensor.cat([x, x * 2.0], 1), (2, 3)),
    ("stack", lambda x: tensor.stack([x, x]), (2, 3)),
    ("index", lambda x: x[tensor.tensor([0, 0, 1])], (2, 3)),
    ("slice", lambda x: x[:, 1:], (2, 3)),
    ("permute", lambda x: x.permute(2, 0, 1).reshape(2, 6), (2, 3, 2)),
    ("expand", lambda x: x.expand(4, 3), (1, 3)),
    ("where", lambda x: tensor.where(x > 0.1, x, x * 3.0), (2, 3)),
    ("powers", lambda x: x.abs().pow(1.5) + x.abs() ** x, (2, 3)),
    ("masked_fill", lambda x: x.masked_fill(x > 0, 1.0), (2, 3)),
    ("in place", lambda x: x.clone().mul_(x).add_(1.0), (2, 3)),
    ("embedding", lambda x: F.embedding(tensor.tensor([1, 1, 0]), x), (2, 3)),
    ("attention", lambda x: F.scaled_dot_product_attention(x, x, x), (1, 2, 3, 4)),
    ("pad", lambda x: F.pad(x, (1, 1)), (2, 3)),
    ("gather", lambda x: x.gather(1, tensor.tensor([[0, 0], [1, 2]])), (2, 3)),
    ("sort", lambda x: x.sort(1).values, (2, 3)),
    ("norm", lambda x: x.norm(dim=1), (2, 3)),
    ("split", lambda x: x.split(1)[1] * x.unbind(0)[0], (2, 3)),
    ("inverse", lambda x: tensor.linalg.inv(x + 3.0 * tensor.eye(3)), (3, 3)),
]


@pytest.mark.parametrize(
    ("function", "shape"), [row[1:] for row in OPERATIONS], ids=[row[0] for row in OPERATIONS]
)
def test_checks_agree_with_the_backward(function, shape):
    """Each operation's backward, along one direction, against differences in float64."""
    tensor.manual_seed(3)
    x = tensor.randn(shape, requires_grad=True)
    weights = tensor.randn(function(x.detach()).shape)
    state = tensor.get_rng_state()
    stepper = micro.step(lambda: (function(x) * weights).sum(), check=True)
    tensor.set_rng_state(state)
    (function(x) * weights).sum().backward()
    after = tensor.get_rng_state()
    checked = 0
    for step in stepper:
        for flow in step.flows:
            assert flow.derivative or flow.contribution is None
            if flow.check is not None:
                checked += 1
                direction = np.random.default_rng(0).uniform(-1.0, 1.0, tuple(flow.contribution.shape))
                direction = direction if flow.contribution.ndim else 1.0
                told = float((flow.contribution.numpy().astype(np.float64) * direction).sum())
                assert flow.check == pytest.approx(told, rel=2e-4, abs=2e-5), (str(step), flow)
    assert checked >= 2
    stepper.run()
    assert same_bits(stepper.grad(x), x.grad)
    assert tensor.equal(tensor.get_rng_state(), after)  # a check draws nothing


def test_a_wrong_backward_is_found_out():
    class Wrong(tensor.autograd.Operation):
        def forward(self, k, x):
            return k.forward("mul", x, x)

        def backward(self, k, grad):
            return (grad,)

    x = tensor.tensor([3.0, -1.0], requires_grad=True)
    stepper = micro.step(lambda: Wrong.apply(x).sum(), check=True)
    (flow,) = stepper[-1].flows
    direction = np.random.default_rng(0).uniform(-1.0, 1.0, 2)
    assert flow.check == pytest.approx((direction * [6.0, -2.0]).sum(), rel=1e-6)
    assert flow.check != pytest.approx(direction.sum(), rel=0.1)
    assert "differences" in flow.note


class Scaled(tensor.autograd.Function):
    calls = 0

    @staticmethod
    def forward(ctx, x, factor, y):
        Scaled.calls += 1
        ctx.factor = factor
        return x * factor, y.sum()

    @staticmethod
    def backward(ctx, grad, grad_sum):
        return grad * ctx.factor, None, grad_sum.expand(2)


@pytest.mark.parametrize("kept", [True, False])
def test_functions_of_ones_own_with_several_results(kept):
    x, y = tensor.ones(3, requires_grad=True), tensor.ones(2, requires_grad=True)
    with tensor.keep_values(kept):
        a, b = Scaled.apply(x, 3.0, y)
        loss = a.sum() * b
    calls = Scaled.calls
    stepper = micro.step(loss, check=True)
    assert Scaled.calls == calls
    stepper.run()
    assert stepper.grad(x).tolist() == [6.0] * 3
    assert stepper.grad(y).tolist() == [9.0] * 2
    loss.backward()
    assert x.grad.tolist() == [6.0] * 3


def test_hooks_change_what_flows():
    x = tensor.tensor([1.0, 2.0], requires_grad=True)
    h = x * 2.0
    h.register_hook(lambda g: g * 10.0)
    x.register_hook(lambda g: g + 1.0)
    loss = h.sum()
    stepper = micro.step(loss)
    stepper.run()
    assert stepper.grad(h).tolist() == [10.0, 10.0]
    assert stepper.grad(x).tolist() == [21.0, 21.0]
    notes = [flow.note for step in stepper for flow in step.flows]
    assert notes == ["then changed by a hook"] * 2
    loss.backward()
    assert stepper.grad(x).tolist() == x.grad.tolist()


def test_without_gradients_only_the_forward_pass_is_there():
    with tensor.no_grad():
        stepper = micro.step(lambda: (tensor.ones(2) * 3.0).sum())
    assert [step.phase for step in stepper] == ["forward"] * 4 + ["loss"]
    assert stepper[3].result.item() == 6.0
    assert "requires gradients" in stepper.recorded.note


def test_a_leaf_is_a_pass_of_its_own():
    x = tensor.tensor(2.0, requires_grad=True)
    stepper = micro.step(x)
    assert [step.phase for step in stepper] == ["forward", "loss"]
    assert stepper[1].result.item() == 1.0


def test_errors():
    x = tensor.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="step: gradients start from one number"):
        micro.step(x * 2.0)
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="pass step a function"):
        micro.step(loss)
    with pytest.raises(TypeError, match="expected a Value or a Tensor"):
        micro.step(lambda: 3.0)


def test_names_of_parameters_come_from_a_trace():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    with tensor.keep_values():
        loss = model.trace(tensor.ones(1, 2)).output.sum()
    stepper = micro.step(loss)
    names = [node.name for node in stepper.nodes if node.kind == "parameter"]
    assert names == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert stepper[3].formula == "linear(input, 0.weight, 0.bias)"
    assert all(p.label is None for p in model.parameters())


def test_checkpoints_are_recomputed():
    from tensor.utils.checkpoint import checkpoint

    x = tensor.tensor([1.0, 2.0], requires_grad=True)
    loss = checkpoint(lambda t: (t * t).exp().sum(), x, use_reentrant=False)
    stepper = micro.step(loss)
    stepper.run()
    loss.backward()
    assert same_bits(stepper.grad(x), x.grad)


def test_a_chain_of_100_000_operations():
    x = tensor.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 0.0
    stepper = micro.step(y)
    assert len(stepper) == 200_002
    assert stepper.run().flows[0].contribution.item() == 1.0
    assert stepper.grad(x).item() == 1.0


def test_a_stepper_that_is_dropped_frees_the_graph():
    x = tensor.ones(2, requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        with tensor.keep_values():
            loss = (x * x).sum()
        node = weakref.ref(loss.grad_fn)
        stepper = micro.step(loss)
        str(stepper)
        del loss
        assert node() is not None
        del stepper
        assert node() is None
    finally:
        gc.enable()


def written(compute):
    """Return each operation of a computation as its step writes it, and what flows to each operand."""
    steps = [step for step in micro.step(compute) if step.phase == "backward"][::-1]
    return [(step.formula, [flow.derivative for flow in step.flows]) for step in steps]


@pytest.mark.parametrize(
    ("compute", "formula"),
    [
        (lambda x, i: x[i, 1:], "v1[v2]"),
        (lambda x, i: x[:, i], "x[:, v1]"),
        (lambda x, i: x[x > 0], "x[v1]"),
        (lambda x, i: x.sum(0, keepdim=True), "sum(x, dim=0, keepdim=True)"),
        (lambda x, i: x.mean((0, 1)), "mean(x)"),
        (lambda x, i: x.amax(1), "amax(x, dim=1)"),
        (lambda x, i: x.min(), "min(x)"),
        (lambda x, i: x.max(1).values, "max(x, indices=v1, dim=1)"),
        (lambda x, i: x.cumsum(0), "cumsum(x, dim=0)"),
        (lambda x, i: x.logsumexp(1), "logsumexp(x, dim=1)"),
        (lambda x, i: tensor.where(x > 0, x, 0.0), "where(v2, x, 0)"),
        (lambda x, i: x.masked_fill(x > 0, 0.0), "masked_fill(x, v2, 0)"),
        (lambda x, i: x.std(), "std(x)"),
        (
            lambda x, i: F.conv2d(x[None, None], tensor.ones(1, 1, 3, 3), padding=1, stride=(1, 2)),
            "convolution(v1, v2, stride=(1, 2), padding=1)",
        ),
        (lambda x, i: x.t(), "x.T"),
        (lambda x, i: x.transpose(0, 1), "transpose(x, dim0=0, dim1=1)"),
        (lambda x, i: F.interpolate(x[None, None], size=(3, 6)), "upsample_nearest2d(v2, dim=3)"),
    ],
)
def test_operations_are_written_as_in_the_program(compute, formula):
    x, i = tensor.arange(9.0).reshape(3, 3).requires_grad_(), tensor.tensor([0, 2])
    x.label = "x"
    assert formula in [formula for formula, _ in written(lambda: compute(x, i).sum())]


def test_what_is_overwritten_in_place_is_said():
    x = tensor.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x.label = "x"

    def compute():
        y = x * 1.0
        y[0] = 5.0
        y[1] *= 4.0
        y[tensor.tensor([2])] = x[:1]
        y.view(-1)[:1].zero_()
        return y.sum()

    assert written(compute)[1:-1] == [
        ("v2, with v2[0] = 5", ["grad, 0 at v2[0]", ""]),
        ("v4, with v4[1] = v4[1] * 4", ["grad, and at v4[1] grad * 4", ""]),
        ("v6[1]", ["grad at the elements selected, else 0"]),
        ("v6, with v6[1] = v7", ["grad, 0 at v6[1]", "grad at v6[1]"]),
        ("x[:1]", ["grad at the elements selected, else 0"]),
        ("v8, with v8[v10] = v9", ["grad, 0 where it was overwritten", "grad at the positions written", ""]),
        ("v11, with reshape(v11)[:1] = 0", ["grad, 0 at reshape(v11)[:1]", ""]),
    ]
    stepper = micro.step(compute)
    assert stepper.recorded.note == ""  # every value is there, also of a view that autograd recorded anew
    assert next(step.result.item() for step in stepper if step.formula == "v6[1]") == 8.0


def test_a_step_says_what_out_is_and_that_an_operand_of_this_name_is_another():
    x = tensor.tensor([1.0, 2.0], requires_grad=True)
    assert "  v1 = out = exp(v0)\n" in str(micro.step(lambda: x.exp().sum())[-1])
    x.label = "out"
    assert "  v1 = exp(out)\n" in str(micro.step(lambda: x.exp().sum())[-1])
    assert written(lambda: x.softmax(0)[0])[0] == ("softmax(out, dim=0)", ["v1 * (grad - sum(grad * v1))"])


def test_what_needs_no_gradient_takes_one_line():
    x = tensor.tensor([1.0, 2.0], requires_grad=True)
    assert str(micro.step(lambda: (x * 2.0).sum())[-1]).endswith("to constant 2: needs no gradient")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda x: x * 2.0, RuntimeError, "got shape (2,): reduce it, by .sum() or .mean()"),
        (lambda x: (x, x), TypeError, "the function returned tuple"),
        (lambda x: None, TypeError, "the function returned NoneType"),
    ],
)
def test_what_is_no_loss_is_refused(make, error, words):
    x = tensor.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(error, match=re.escape(words)):
        micro.step(lambda: make(x))


def test_layers_of_a_recurrent_network_are_written_without_their_plumbing():
    layer, x = nn.GRU(2, 3), tensor.ones(4, 1, 2)
    formulas = dict(written(lambda: layer(x)[0].sum()))
    assert any(re.fullmatch(r"rows\(v\d+\)", formula) for formula in formulas)
    words = [derivative for derivatives in formulas.values() for derivative in derivatives]
    assert not any("the backward of" in derivative for derivative in words)


def test_a_kink_says_why_differences_are_others():
    x = tensor.tensor([[0.0, 0.0], [0.0, 0.0]], requires_grad=True)  # all four are the largest
    stepper = micro.step(lambda: F.max_pool2d(x[None, None], 2).sum(), check=True)
    notes = [flow.note for step in stepper for flow in step.flows if step.formula.startswith("max_pool")]
    assert len(notes) == 1
    assert "(a kink: " in notes[0]
    stepper = micro.step(
        lambda: F.max_pool2d(tensor.arange(4.0).reshape(1, 1, 2, 2) * x, 2).sum(), check=True
    )
    smooth = [flow.note for step in stepper for flow in step.flows if " * v" in step.formula]
    assert smooth
    assert not any("kink" in note for note in smooth)
