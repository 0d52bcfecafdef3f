"""One direction of a recurrent layer; tests/tensor/surface/nn_recurrent.txt compares layers with PyTorch."""

import pytest

import tensor
from tensor.recurrent import run_layer


def layer(kind="LSTM", **options):
    tensor.manual_seed(0)
    gates = {"LSTM": 4, "GRU": 3}.get(kind, 1) * 3
    weights = [tensor.randn(*s, requires_grad=True) for s in ((gates, 2), (gates, 3), (gates,), (gates,))]
    state = tuple(tensor.zeros(2, 3) for _ in range(1 + (kind == "LSTM")))
    x = tensor.randn(8, 2)
    return weights, run_layer(x, state, weights, kind, (2,) * 4, **options)


def test_outputs_take_the_shape_and_name_asked_for():
    _, (out, (h, c)) = layer(shape=(4, 2, 3), name="Stack")
    assert out.shape == (4, 2, 3)
    assert h.shape == c.shape == (2, 3)
    assert out.grad_fn.op == "Stack"
    assert tensor.equal(out[-1], h)


def test_writing_into_the_outputs_leaves_what_the_gradient_needs():
    weights, (out, ends) = layer(kind="GRU")
    out.detach().zero_()
    ends[0].sum().backward()
    expected, (_, again) = layer(kind="GRU")
    again[0].sum().backward()
    assert tensor.equal(weights[1].grad, expected[1].grad)


def test_the_graph_is_freed_by_backward():
    _, (out, _) = layer()
    out.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        out.sum().backward()
