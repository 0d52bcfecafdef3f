"""tensor/recorded: gradients of gradients beside finite differences, and where a branch is not taken."""

import numpy as np
import pytest

import tensor
from tensor.autograd import gradcheck, gradgradcheck
from tensor.nn import functional as F


def leaf(*shape, low=-2.0, high=2.0, seed=0):
    values = np.random.default_rng(seed).uniform(low, high, shape)
    return tensor.tensor(values, requires_grad=True)


TARGET = tensor.tensor([0, 2, 1])
PROGRAMS = {
    "tanh": (lambda x: x.tanh(), [leaf(3, 2)]),
    "pow": (lambda x, y: x**y, [leaf(3, 2, low=0.3), leaf(2, low=0.3)]),
    "where": (lambda x, y: tensor.where(x > 0, x * y, y**3), [leaf(3, 2), leaf(3, 2)]),
    "gelu": (lambda x: F.gelu(x), [leaf(3, 2)]),
    "elu": (lambda x: F.elu(x), [leaf(3, 2)]),
    "var": (lambda x: x.var(1), [leaf(3, 3)]),
    "prod with a zero": (lambda x: (x * tensor.tensor([0.0, 1.0, 1.0])).prod(1), [leaf(2, 3)]),
    "cumprod": (lambda x: x.cumprod(1), [leaf(2, 3)]),
    "norm": (lambda x: x.norm(2, 1), [leaf(3, 2)]),
    "amax": (lambda x: (x * x).amax(1), [leaf(3, 2)]),
    "matmul": (lambda x, y: x @ y, [leaf(2, 2, 3), leaf(3, 2)]),
    "conv2d": (
        lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1),
        [leaf(1, 2, 3, 3), leaf(2, 2, 2, 2), leaf(2)],
    ),
    "conv_transpose2d": (
        lambda x, w: F.conv_transpose2d(x, w, stride=2),
        [leaf(1, 2, 2, 2), leaf(2, 1, 2, 2)],
    ),
    "max_pool2d": (lambda x: F.max_pool2d(x * x, 2), [leaf(1, 1, 4, 4)]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x**3, 2), [leaf(1, 1, 4, 4)]),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), [leaf(4, 2), leaf(2), leaf(2)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (3,), w, b), [leaf(2, 3), leaf(3), leaf(3)]),
    "group_norm": (lambda x, w: F.group_norm(x, 2, w), [leaf(2, 4, 2), leaf(4)]),
    "softmax": (lambda x: x.softmax(1), [leaf(2, 3)]),
    "cross_entropy": (lambda x: F.cross_entropy(x, TARGET), [leaf(3, 4)]),
    "cross_entropy, each": (lambda x: F.cross_entropy(x, TARGET, reduction="none"), [leaf(3, 4)]),
    "embedding": (lambda w: F.embedding(TARGET, w) ** 3, [leaf(3, 2)]),
    "index": (lambda x: x[TARGET, TARGET] ** 3, [leaf(3, 3)]),
    "views": (lambda x: x.permute(1, 0)[1:].reshape(-1) ** 3, [leaf(3, 3)]),
    "inverse": (lambda x: tensor.linalg.inv(x + 3 * tensor.eye(2)), [leaf(2, 2)]),
    "determinant": (lambda x: tensor.linalg.det(x), [leaf(3, 3)]),
}


def in_place(x, y):
    z = x * y
    z.mul_(x)
    z[0] = y[1] ** 2
    z[:, 1].exp_()
    return z**2


PROGRAMS["in place"] = (in_place, [leaf(2, 2), leaf(2, 2, seed=1)])


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_of_gradients_are_what_differences_say(name) -> None:
    function, leaves = PROGRAMS[name]
    assert gradgradcheck(function, leaves, atol=1e-4)


def test_third_derivatives() -> None:
    x = tensor.tensor(0.7, dtype=tensor.float64, requires_grad=True)
    y = x.sin() * x.exp()
    for _ in range(3):
        (y,) = tensor.autograd.grad(y, x, create_graph=True)
    # (e^x sin x)''' = 2 e^x (cos x - sin x)
    assert y.item() == pytest.approx(2 * np.exp(0.7) * (np.cos(0.7) - np.sin(0.7)))


def test_nan_of_the_branch_not_taken_stays_there() -> None:
    x = tensor.tensor([0.0, 2.0], requires_grad=True)
    (g,) = tensor.autograd.grad((x**2.0).sum() + x.norm() * 0 + (x * x).sum(), x, create_graph=True)
    (h,) = tensor.autograd.grad(g.sum(), x)
    assert h.isfinite().all()
    zero = tensor.zeros(3, requires_grad=True)
    (g,) = tensor.autograd.grad(zero.norm(), zero, create_graph=True)
    assert g.tolist() == [0.0, 0.0, 0.0]


def test_a_detached_factor_is_a_constant() -> None:
    x = tensor.tensor([3.0], requires_grad=True)
    (g,) = tensor.autograd.grad((x * x.detach() * x).sum(), x, create_graph=True)
    assert tensor.autograd.grad(g.sum(), x)[0].item() == 6.0


def test_a_gradient_penalty_reaches_the_weights() -> None:
    tensor.manual_seed(0)
    nn = tensor.nn
    model = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    x = tensor.randn(5, 4, requires_grad=True)
    out = model(x)
    (g,) = tensor.autograd.grad(out, x, tensor.ones_like(out), create_graph=True, only_inputs=True)
    ((g.norm(2, dim=1) - 1) ** 2).mean().backward()
    grads = [p.grad for p in model.parameters()]
    assert grads[0].abs().sum() > 0
    assert grads[1].abs().sum() == 0  # zeros, not None, as in PyTorch
    assert grads[3] is None


def test_what_cannot_be_recorded_says_so() -> None:
    class Opaque(tensor.autograd.Operation):
        def forward(self, k, x):
            self.square = k.forward("mul", x, x)
            return self.square

        def backward(self, k, grad):
            return (k.forward("mul", grad, self.square),)

    class Unknown(tensor.autograd.Operation):
        def forward(self, k, x):
            return k.copy(x)

        def backward(self, k, grad):
            return (k.no_such_kernel(grad),)

    x = tensor.ones(2, requires_grad=True)
    for kind in (Opaque, Unknown):
        with pytest.raises(NotImplementedError, match=f"create_graph.*{kind.__name__}"):
            tensor.autograd.grad(kind.apply(x).sum(), x, create_graph=True)


def test_gradcheck_finds_a_wrong_derivative() -> None:
    class Wrong(tensor.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x**2

        @staticmethod
        def backward(ctx, grad):
            return grad

    x = leaf(3)
    for fast in (False, True):
        with pytest.raises(tensor.autograd.GradcheckError, match="Jacobian mismatch for output 0"):
            gradcheck(Wrong.apply, (x,), fast_mode=fast)
    assert gradcheck(Wrong.apply, (x,), raise_exception=False) is False
    assert gradcheck(lambda x: x**2, (x,), fast_mode=True)
    with pytest.raises(ValueError, match="at least one input tensor"):
        gradcheck(lambda x: x**2, (x.detach(),))
    with pytest.warns(UserWarning, match="not a double precision"):
        gradcheck(lambda x: x * 2, (x.detach().float().requires_grad_(),), raise_exception=False)
