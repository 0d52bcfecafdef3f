"""tensor/autograd: Function, hooks of nodes, anomaly and inference mode, checkpoint, func."""

import gc
import weakref

import pytest

import tensor
from tensor.autograd import Function
from tensor.autograd.function import once_differentiable
from tensor.utils.checkpoint import checkpoint, checkpoint_sequential


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        out = x.exp()
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0]


class Pair(Function):
    @staticmethod
    def forward(ctx, a, b, scale):
        ctx.shape, ctx.scale = a.shape, scale
        ctx.save_for_backward(a, b)
        return a * b, a + scale * b

    @staticmethod
    def backward(ctx, g, h):
        a, b = ctx.saved_tensors
        return g * b + h, g * a + ctx.scale * h, None


def leaf() -> tensor.Tensor:
    return tensor.tensor([1.0, 2.0], requires_grad=True)


def test_a_function_has_gradients_of_any_order() -> None:
    x = leaf()
    y = Exp.apply(x)
    assert type(y.grad_fn).__name__ == "ExpBackward"
    assert repr(y).endswith("grad_fn=<ExpBackward>)")
    assert repr(y.grad_fn).startswith("<torch.autograd.function.ExpBackward object at")
    (g,) = tensor.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = tensor.autograd.grad(g.sum(), x)
    assert h.equal(y.detach())


def test_several_results_and_what_is_no_tensor() -> None:
    a, b = leaf(), leaf()
    p, q = Pair.apply(a, b, 3.0)
    (p.sum() + 2 * q.sum()).backward()
    assert a.grad.tolist() == [3.0, 4.0]
    assert b.grad.tolist() == [7.0, 8.0]
    assert p.grad_fn.scale == 3.0  # ctx's attributes
    _, only = Pair.apply(a, b, 3.0)
    assert tensor.autograd.grad(only.sum(), (a, b))[1].tolist() == [3.0, 3.0]


def test_a_graph_with_functions_has_no_cycle() -> None:
    x = leaf()
    y = Exp.apply(x)
    p, q = Pair.apply(y, y, 1)
    nodes = [weakref.ref(t.grad_fn) for t in (y, p, q)]
    gc.disable()
    try:
        del y, p, q
        assert [n() for n in nodes] == [None] * 3
    finally:
        gc.enable()


def test_saved_tensors_are_watched_and_freed() -> None:
    x = leaf()
    y = x * 1
    out = Pair.apply(y, x, 1)[0].sum()
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()
    out = Exp.apply(x).sum()
    out.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        out.backward()


def test_once_differentiable() -> None:
    class Once(Exp):
        @staticmethod
        @once_differentiable
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0]

    x, u = leaf(), leaf()
    (g,) = tensor.autograd.grad(Once.apply(x), x, u, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


def test_hooks_of_nodes() -> None:
    x = leaf()
    y = x * 2
    y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] * 2, *inputs[1:]))
    y.grad_fn.register_prehook(lambda outputs: (outputs[0] * 5,))
    y.sum().backward()
    assert x.grad.tolist() == [20.0, 20.0]


def test_anomaly_mode_names_the_operation_and_the_line() -> None:
    x = tensor.zeros(1, requires_grad=True)
    with pytest.warns(UserWarning, match="Anomaly Detection"):
        mode = tensor.autograd.detect_anomaly()
    with mode:
        y = x.sqrt() * 0  # the line to be shown
        with (
            pytest.warns(UserWarning, match="the line to be shown"),
            pytest.raises(RuntimeError, match="'SqrtBackward0' returned nan values in its 0th output"),
        ):
            y.sum().backward()
    assert not tensor.is_anomaly_enabled()
    y = x.sqrt() * 0
    y.sum().backward()
    assert x.grad.isnan().all()


def test_inference_tensors() -> None:
    with tensor.inference_mode():
        x = tensor.ones(2)
        assert x.add_(1).is_inference()
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="requires_grad=True on inference tensor"):
        x.requires_grad_()
    assert x.view(-1).is_inference()
    assert not (x + 1).is_inference()
    assert not tensor.ones(2).is_inference()


def _model():
    tensor.manual_seed(0)
    nn = tensor.nn
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2))


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoints_change_no_gradient(use_reentrant) -> None:
    found = []
    for way in range(3):
        model, x = _model(), tensor.ones(5, 3, requires_grad=True)
        tensor.manual_seed(1)
        if way == 0:
            y = model(x)
        elif way == 1:
            y = checkpoint(model, x, use_reentrant=use_reentrant)
        else:
            y = checkpoint_sequential(model, 2, x, use_reentrant=use_reentrant)
        (y**2).sum().backward()
        found.append([*[p.grad for p in model.parameters()], x.grad])
    for other in found[1:]:
        assert all(a.equal(b) for a, b in zip(found[0], other, strict=True))


def test_a_checkpoint_keeps_nothing_and_has_gradients_of_gradients() -> None:
    calls = []

    def function(x):
        calls.append(1)
        return checkpoint(tensor.exp, x.sin(), use_reentrant=False) * x

    x = leaf().double().detach().requires_grad_()
    y = checkpoint(function, x, use_reentrant=False)
    assert y.grad_fn.saved == ()
    (g,) = tensor.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = tensor.autograd.grad(g.sum(), x)
    plain = x.sin().exp() * x
    (g2,) = tensor.autograd.grad(plain.sum(), x, create_graph=True)
    assert g.allclose(g2)
    assert h.allclose(tensor.autograd.grad(g2.sum(), x)[0])
    assert len(calls) == 2


def test_func_calls_nest_and_see_what_is_outside() -> None:
    w = tensor.tensor(3.0, requires_grad=True)
    g = tensor.func.grad(lambda t: w * t**3)(tensor.tensor(2.0))
    assert g.item() == 36.0
    assert tensor.autograd.grad(g, w)[0].item() == 12.0
    third = tensor.func.grad(tensor.func.grad(tensor.func.grad(lambda t: t**4)))
    assert third(tensor.tensor(2.0)).item() == 48.0
    assert not third(tensor.tensor(2.0)).requires_grad


def test_functional_call_leaves_the_module_alone() -> None:
    layer = tensor.nn.Linear(2, 1)
    before = layer.weight
    out = tensor.func.functional_call(layer, {"weight": tensor.ones(1, 2)}, tensor.ones(2))
    assert out.item() == pytest.approx(2.0 + layer.bias.item())
    assert layer.weight is before


def test_what_was_saved_of_a_result_that_was_dropped_has_its_history() -> None:
    class Sinh(tensor.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            up, down = x.exp(), (-x).exp()
            ctx.save_for_backward(up, down)
            return (up - down) / 2, up, down

        @staticmethod
        def backward(ctx, grad, grad_up, grad_down):
            up, down = ctx.saved_tensors
            return grad * (up + down) / 2 + grad_up * up - grad_down * down

    x = leaf().double().detach().requires_grad_()
    assert tensor.autograd.gradgradcheck(lambda t: Sinh.apply(t)[0], x)
    assert tensor.autograd.gradgradcheck(Sinh.apply, x)
