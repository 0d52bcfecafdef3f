"""Products of vectors, matrices and batches of them, and the linear layer."""

import math

import numpy as np

from tensor.autograd import Operation, Step
from tensor.formula import OPERATIONS
from tensor.operands import common_dtype, require_tensor
from tensor.shape import SqueezeDim


class Matmul(Operation):
    """a @ b for at least two dims each; batch dims broadcast."""

    name = "Mm"
    drawn_name = "Matmul"
    written = "{0} @ {1}"
    gradients_in_words = ("grad @ {1}.T", "{0}.T @ grad")
    broadcasts = True

    def forward(self, k, a, b):
        self.shapes = a.shape, b.shape
        self.saved = (a if self.needs[1] else None, b if self.needs[0] else None)
        return k.matmul(a, b)

    def backward(self, k, grad):
        a, b = self.saved
        grad_a = k.sum_to(k.matmul(grad, k.transpose(b)), self.shapes[0]) if self.needs[0] else None
        if not self.needs[1]:
            return grad_a, None
        if len(self.shapes[1]) == 2 and grad.ndim > 2:  # one product over all batch dims, not a sum of many
            a, grad = _as_rows(a), _as_rows(grad)
        return grad_a, k.sum_to(k.matmul(k.transpose(a), grad), self.shapes[1])


class Bmm(Matmul):
    """a @ b of batches of matrices."""

    name = "Bmm"


class BatchMatmul(Matmul):
    """a @ b with batch dims that broadcast."""

    name = "UnsafeView"


class FoldedMatmul(Matmul):
    """A matrix @ a batch: PyTorch's last step, of products it makes transposed, is a copy."""

    name = "Clone"


class Mv(Operation):
    """A matrix times a vector."""

    written = "{0} @ {1}"
    gradients_in_words = ("outer(grad, {1})", "{0}.T @ grad")

    def forward(self, k, a, vector):
        self.saved = (a if self.needs[1] else None, vector if self.needs[0] else None)
        return k.matmul(a, vector.reshape(len(vector), 1)).reshape(len(a))

    def backward(self, k, grad):
        a, vector = self.saved
        column = grad.reshape(len(grad), 1)
        grad_a = k.matmul(column, vector.reshape(1, len(vector))) if self.needs[0] else None
        if not self.needs[1]:
            return grad_a, None
        return grad_a, k.matmul(k.transpose(a), column).reshape(a.shape[1])


class Dot(Operation):
    """The inner product of two vectors."""

    gradients_in_words = ("grad * {1}", "grad * {0}")

    def forward(self, k, a, b):
        self.saved = (a if self.needs[1] else None, b if self.needs[0] else None)
        return k.matmul(a.reshape(1, len(a)), b.reshape(len(b), 1)).reshape(())

    def backward(self, k, grad):
        a, b = self.saved
        return (
            k.forward("mul", b, grad) if self.needs[0] else None,
            k.forward("mul", a, grad) if self.needs[1] else None,
        )


class FreshTranspose(Operation):
    """The last two dims exchanged of a result that nobody else has."""

    name = "Transpose"
    gradients_in_words = ("grad.T",)

    def forward(self, k, x):
        return k.transpose(x)

    def backward(self, k, grad):
        return (k.transpose(grad),)


class Vdot(Dot):
    """The inner product of two vectors, as `vdot` is named."""


class Squeezed(SqueezeDim):
    """A dim dropped of a result that nobody else has."""

    overload = 4


class FreshView(Operation):
    """A result that nobody else has in another shape."""

    name = "UnsafeView"
    gradients_in_words = ("grad in the shape of {0}",)

    def forward(self, k, x, shape):
        self.input_shape = x.shape
        return x.reshape(shape)

    def backward(self, k, grad):
        return (grad.reshape(self.input_shape),)


class Linear(Operation):
    """x @ weight.T + bias."""

    name = "Addmm"
    drawn_name = "Linear"
    gradients_in_words = ("grad @ {1}", "grad.T @ {0}", "grad, summed over the rows")

    @property
    def shown_edges(self):
        x, weight, *bias = self.edges
        flat = len(self.shape) == 2
        x = x if flat or x is None else Step("View", x)
        steps = (*bias, x, None if weight is None else Step("T", weight))
        return steps if flat else (Step("Addmm" if bias else "Mm", *steps),)

    def forward(self, k, x, weight, *bias, activation=None):
        if x.ndim != 2 or not bias:
            self.printed_name = "Mm" if x.ndim == 2 else "View" if bias else "UnsafeView"
        self.saved = (x if self.needs[1] else None, weight if self.needs[0] else None)
        return k.linear(x, weight, bias[0] if bias else None, activation)

    def backward(self, k, grad):
        x, weight = self.saved
        rows = _as_rows(grad)
        grad_x = grad_w = None
        if self.needs[0]:
            grad_x = k.matmul(rows, weight)
            if grad.ndim != 2:
                grad_x = grad_x.reshape(*grad.shape[:-1], weight.shape[1])
        if self.needs[1]:
            grad_w = k.matmul(k.transpose(rows), _as_rows(x))
        if len(self.needs) == 2:
            return grad_x, grad_w
        return grad_x, grad_w, k.sum(rows, (0,)) if self.needs[2] else None


def _as_rows(array):
    """Return (..., n) as (rows, n); n may be 0, of which -1 could not be inferred."""
    return array if array.ndim == 2 else array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def same_type(operation, *tensors):
    first = tensors[0]
    for t in tensors[1:]:
        if t is not None and t.dtype is not first.dtype:
            raise RuntimeError(
                f"{operation}: expected operands of one dtype, got {first.dtype!r} and {t.dtype!r}; "
                f"convert one: .to({common_dtype((first, t))!r})"
            )


def require_tensors(operation: str, *operands) -> None:
    for x in operands:
        if not hasattr(x, "_array"):
            raise TypeError(f"{operation}: expected Tensors, got {type(x).__name__}; wrap it: tensor(...)")


def matmul(input, other):
    """Return input @ other as PyTorch does.

    input: (inner,), (rows, inner) or (..., rows, inner); other: (inner,), (inner, columns) or
    (..., inner, columns). A 1-D operand is a row (first) or a column (second) that vanishes from the result.
    """
    if hasattr(input, "_array") and hasattr(other, "_array"):
        a, b = input._array, other._array
        if a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] and a.dtype == b.dtype and a.dtype.kind != "b":
            return Matmul.apply(input, other)  # what is asked most, without the questions below
    require_tensors("matmul", input, other)
    if not input.ndim or not other.ndim:
        raise RuntimeError(
            f"matmul: both arguments need to be at least 1D, but they are {input.ndim}D and {other.ndim}D; "
            "multiply by a number with *"
        )
    same_type("matmul", input, other)
    _inner_sizes_agree("matmul", input, other)
    if input._array.dtype.kind == "b":
        raise NotImplementedError("matmul: not implemented for 'Bool'; use x.float() @ y.float(), or x.int()")
    if input.ndim == other.ndim == 1:
        return Dot.apply(input, other)
    if other.ndim == 1 and input.ndim == 2:
        return Mv.apply(input, other)
    if input.ndim == 1 and other.ndim == 2:
        return Squeezed.apply(Matmul.apply(input.unsqueeze(0), other), shape=(other.shape[1],))
    a = input.unsqueeze(0) if input.ndim == 1 else input
    b = other.unsqueeze(1) if other.ndim == 1 else other
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise RuntimeError(
            f"matmul: batch dimensions do not broadcast, {tuple(input.shape)} @ {tuple(other.shape)}"
        ) from None
    kind = FoldedMatmul if input.ndim == 2 and other.ndim > 2 else BatchMatmul
    out = kind.apply(a, b)
    if input.ndim == 1:
        out = FreshView.apply(out, shape=(*out.shape[:-2], out.shape[-1]))
    return FreshView.apply(out, shape=tuple(out.shape[:-1])) if other.ndim == 1 else out


def _inner_sizes_agree(operation: str, input, other) -> None:
    inner = other.shape[-2] if other.ndim > 1 else other.shape[0]
    if input.shape[-1] == inner:
        return
    hint = ""
    if other.ndim > 1 and input.shape[-1] == other.shape[-1]:
        hint = "; did you mean b.T?"
    elif input.ndim > 1 and input.shape[-2] == inner:
        hint = "; did you mean a.T?"
    raise RuntimeError(
        f"{operation}: inner sizes differ, mat1 and mat2 shapes cannot be multiplied "
        f"({'x'.join(map(str, input.shape))} and {'x'.join(map(str, other.shape))}): "
        f"{tuple(input.shape)} @ {tuple(other.shape)}{hint}"
    )


def check_operands(operation: str, a, b, dims_a: int, dims_b: int) -> None:
    """Raise unless the operands of a product have these numbers of dims, sizes that fit and one dtype."""
    require_tensors(operation, a, b)
    if a.ndim != dims_a or b.ndim != dims_b:
        raise RuntimeError(
            f"{operation}: expected a {dims_a}D and a {dims_b}D tensor, got {a.ndim}D and {b.ndim}D "
            f"({tuple(a.shape)} and {tuple(b.shape)}); matmul takes any"
        )
    same_type(operation, a, b)
    if dims_a == 3 and a.shape[0] != b.shape[0]:
        raise RuntimeError(f"{operation}: batch sizes differ, {tuple(a.shape)} @ {tuple(b.shape)}")
    _inner_sizes_agree(operation, a, b)


def mm(input, mat2):
    """Return the product of two matrices."""
    check_operands("mm", input, mat2, 2, 2)
    return Matmul.apply(input, mat2)


def mv(input, vec):
    """Return matrix @ vector."""
    check_operands("mv", input, vec, 2, 1)
    return Mv.apply(input, vec)


def bmm(input, mat2):
    """Return the products of two batches of matrices, (batch, rows, inner) @ (batch, inner, columns)."""
    check_operands("bmm", input, mat2, 3, 3)
    return Bmm.apply(input, mat2)


def dot(input, tensor):
    """Return the inner product of two vectors."""
    check_operands("dot", input, tensor, 1, 1)
    return Dot.apply(input, tensor)


def vdot(input, other):
    """Return the inner product of two vectors, as `dot`: numbers here are real."""
    check_operands("vdot", input, other, 1, 1)
    return Vdot.apply(input, other)


def outer(input, vec2):
    """Return the (n, m) matrix of products of two vectors."""
    require_tensors("outer", input, vec2)
    if input.ndim != 1 or vec2.ndim != 1:
        raise RuntimeError(
            f"outer: expected two 1D tensors, got {tuple(input.shape)} and {tuple(vec2.shape)}"
        )
    return input.reshape(input.numel(), 1) * vec2


def ger(input, vec2):
    """Return the (n, m) matrix of products of two vectors, as `outer`."""
    return outer(input, vec2)


def kron(input, other):
    """Return the Kronecker product: blocks of `other`, each times an element of `input`."""
    require_tensors("kron", input, other)
    ndim = max(input.ndim, other.ndim)
    a, b = ((1,) * (ndim - x.ndim) + tuple(x.shape) for x in (input, other))
    spread = input.reshape(tuple(m for n in a for m in (n, 1))) * other.reshape(
        tuple(m for n in b for m in (1, n))
    )
    return FreshView.apply(spread, shape=tuple(n * m for n, m in zip(a, b, strict=True)))


def linear(input, weight, bias=None):
    """Return input @ weight.T + bias. input: (..., in), weight: (out, in), bias: (out,) or None."""
    return _linear(input, weight, bias)


def linear_and(activation: str, input, weight, bias=None):
    """Return a formula of linear(input, weight, bias), recorded as the two operations that it is.

    activation: a name of `kernels.activations`, whose derivative needs the result alone: so what lies between
    is never stored. The input is of floats.
    """
    between = _linear(input, weight, bias, activation=activation)  # it has the product's history
    return OPERATIONS[activation].apply(between, is_computed=True)


def _linear(input, weight, bias, **options):
    require_tensor("linear", "input", input)
    require_tensor("linear", "weight", weight)
    x, w = input._array, weight._array
    if not (w.ndim == 2 and x.ndim and x.shape[-1] == w.shape[1] and x.dtype == w.dtype):
        _explain_linear(input, weight, bias)
    if bias is None:
        return Linear.apply(input, weight, **options)
    if not (hasattr(bias, "_array") and bias._array.shape == w.shape[:1] and bias._array.dtype == w.dtype):
        _explain_linear(input, weight, bias)
    return Linear.apply(input, weight, bias, **options)


def _explain_linear(input, weight, bias):
    """Raise the error of operands that do not fit."""
    if bias is not None:
        require_tensor("linear", "bias", bias)
    if weight.ndim != 2:
        raise RuntimeError(f"linear: expected a weight of shape (out, in), got {tuple(weight.shape)}")
    for name, other in (("weight", weight), ("bias", bias)):
        if other is not None and other.dtype is not input.dtype:
            raise RuntimeError(
                f"linear: expected operands of one dtype, got input {input.dtype!r} and {name} "
                f"{other.dtype!r}; use "
                + (f"input.to({other.dtype!r})" if other is weight else f"bias.to({input.dtype!r})")
            )
    if not input.ndim or input.shape[-1] != weight.shape[1]:
        hint = ""
        if input.ndim > 2 and input._array.size and input.flatten(1).shape[1] == weight.shape[1]:
            hint = "; did you mean input.flatten(1)?"
        raise RuntimeError(
            f"linear: input of shape {tuple(input.shape)} does not fit a weight of shape "
            f"{tuple(weight.shape)}: expected (..., {weight.shape[1]}), mat1 and mat2 shapes cannot be "
            f"multiplied{hint}"
        )
    raise RuntimeError(f"linear: expected a bias of shape ({weight.shape[0]},), got {tuple(bias.shape)}")
