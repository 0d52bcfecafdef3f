"""Running results along a dim: of all elements up to each; and differences and integrals of neighbours."""

import math

from tensor import compare, dtypes, return_types
from tensor.autograd import Operation
from tensor.join import cat
from tensor.operands import along_dims, normalize_dim, normalize_dims
from tensor.reduction import sum
from tensor.scattering import Picked
from tensor.shape import narrow


class CumSum(Operation):
    """Running sums along a dim."""

    name = "Cumsum"
    gradients_in_words = ("running sums of grad, from the end",)

    def forward(self, k, x, dim):
        self.dim = dim
        return k.cumsum(x, dim)

    def backward(self, k, grad):
        return (k.cumsum(grad, self.dim, from_end=True),)


class CumProd(Operation):
    """Running products along a dim."""

    name = "Cumprod"
    gradients_in_words = ("running sums from the end of grad * out / {0}",)

    def forward(self, k, x, dim):
        self.dim, self.saved = dim, (x,)
        return k.cumprod(x, dim)

    def overwrite(self, k, target, dim):
        k.write(target, self.forward(k, k.copy(target), dim))  # the gradient reads what was there before

    def backward(self, k, grad):
        return (k.cumprod_dx(self.saved[0], grad, self.dim),)


class Cummax(Picked):
    """Running maxima along a dim; the gradient goes to those elements."""


class Cummin(Picked):
    """Running minima along a dim; the gradient goes to those elements."""


class LogCumSumExp(Operation):
    """Running log-sum-exps along a dim."""

    name = "Logcumsumexp"
    gradients_in_words = ("running sums from the end of grad * exp({0} - out)",)

    def forward(self, k, x, dim):
        self.dim, self.saved = dim, (x,)
        self.result = out = k.logcumsumexp(x, dim)
        return out

    def backward(self, k, grad):
        # sum over later ones of grad * exp(x - out), in logarithms: exp(-out) alone could overflow
        x, out, zero = self.saved[0], self.result, k.zeros((), grad.dtype)
        parts = []
        for signed in (grad, k.forward("neg", grad)):
            size = k.forward("log", k.where(k.compare("gt", signed, zero), signed, zero))
            later = k.logcumsumexp(k.forward("sub", size, out), self.dim, from_end=True)
            parts.append(k.forward("exp", k.forward("add", later, x)))
        return (k.forward("sub", *parts),)

    def backward_recorded(self, k, grad):
        # exp(x[i] - out[j]) for every later j: a logarithm of grad would have no derivative where grad is 0
        twin = self.on_tensors(grad._wrap)
        if not self.shape:
            return (grad,)
        x, out, grad = (t.movedim(self.dim, -1) for t in (*twin.saved, twin.result, grad))
        count = self.shape[self.dim]
        before = x.new_ones((count, count)).tril(-1).bool()
        share = (x.unsqueeze(-1) - out.unsqueeze(-2)).masked_fill(before, -math.inf).exp()
        grad = grad.unsqueeze(-2)
        return ((share * grad).sum(-1).movedim(-1, self.dim),)


def _running(operation, input, dim, dtype):
    input = input if dtype is None else input.to(dtype)
    out = operation.apply(input, dim=normalize_dim(dim, input.ndim, operation.name.lower()))
    return out if dtype is None else out.to(dtype)


def _running_in_place(operation, input, dim, dtype):
    name = operation.name.lower() + "_"
    if dtype not in (None, input.dtype):
        raise RuntimeError(f"{name}: expected dtype to be that of the tensor, {input.dtype!r}, got {dtype!r}")
    return operation.apply_in_place(input, dim=normalize_dim(dim, input.ndim, name))


@along_dims
def cumsum(input, dim, *, dtype=None):
    """Return the running sums along `dim`. Integers and bools give int64."""
    return _running(CumSum, input, dim, dtype)


@along_dims
def cumprod(input, dim, *, dtype=None):
    """Return the running products along `dim`. Integers and bools give int64."""
    return _running(CumProd, input, dim, dtype)


@along_dims
def cumsum_(input, dim, *, dtype=None):
    """Replace `input` by its running sums along `dim`; returns it."""
    return _running_in_place(CumSum, input, dim, dtype)


@along_dims
def cumprod_(input, dim, *, dtype=None):
    """Replace `input` by its running products along `dim`; returns it."""
    return _running_in_place(CumProd, input, dim, dtype)


@along_dims
def logcumsumexp(input, dim):
    """Return log(cumsum(exp(input))) along `dim`, without overflow."""
    if not input.dtype.is_floating_point:
        raise NotImplementedError(
            f"logcumsumexp: expected a floating point tensor, got {input.dtype!r}; use x.float()"
        )
    return _running(LogCumSumExp, input, dim, None)


def _cumextreme(operation, kind, sign, input, dim):
    dim = normalize_dim(dim, input.ndim, kind.__name__)
    values, positions = input._kernels.cumextreme(input._array, dim, sign)
    indices = input._wrap(positions)
    return kind(operation.apply(input, indices, dim=dim, values=values), indices)


@along_dims
def cummax(input, dim):
    """Return (values, indices) of the running maxima along `dim`; of equals the last, and nan stays."""
    return _cumextreme(Cummax, return_types.cummax, 1, input, dim)


@along_dims
def cummin(input, dim):
    """Return (values, indices) of the running minima along `dim`; of equals the last, and nan stays."""
    return _cumextreme(Cummin, return_types.cummin, -1, input, dim)


@along_dims
def diff(input, n=1, dim=-1, prepend=None, append=None):
    """Return the differences of neighbours along `dim`, taken `n` times; of bools, whether they differ.

    prepend, append: tensors to join on along `dim` first.
    """
    if input.ndim == 0:
        raise RuntimeError("diff: expected input to be at least one-dimensional; use x.reshape(1)")
    d = normalize_dim(dim, input.ndim, "diff")
    if n < 0:
        raise RuntimeError(f"diff: order must be non-negative, got {n}")
    parts = [x for x in (prepend, input, append) if x is not None]
    for x in parts:
        if x.ndim != input.ndim:
            raise RuntimeError(
                f"diff: expected prepend and append of as many dims as input, {input.ndim}, got {x.ndim}"
            )
    out = cat(parts, d) if len(parts) > 1 else input
    if n == 0:
        return out.clone()
    for _ in range(n):
        count = max(out.shape[d] - 1, 0)
        after, before = narrow(out, d, out.shape[d] - count, count), narrow(out, d, 0, count)
        out = compare.logical_xor(after, before) if out.dtype is dtypes.bool else after - before
    return out


def _widths(name, y, x, dim):
    """Return the distances of the points `x` along `dim`, as a tensor that broadcasts with `y`."""
    if x.ndim == 1 and y.ndim > 1:
        if x.shape[0] != y.shape[dim]:
            raise RuntimeError(
                f"{name}: There must be one `x` value for each sample point, got {x.shape[0]} for "
                f"{y.shape[dim]}"
            )
        return diff(x).reshape(*[-1 if d == dim else 1 for d in range(y.ndim)])
    return diff(x, dim=dim - y.ndim)


def _integrate(name, add_up, y, x, dx, dim):
    if x is not None and dx is not None:
        raise TypeError(f"{name}: pass x, the points, or dx, their distance, not both")
    d = normalize_dim(dim, y.ndim, name)
    count = max(y.shape[d] - 1, 0)
    pairs = narrow(y, d, y.shape[d] - count, count) + narrow(y, d, 0, count)
    if x is None:
        return add_up(pairs * ((1.0 if dx is None else dx) / 2.0), d)
    return add_up(pairs * _widths(name, y, x, d), d) / 2.0


@along_dims
def trapezoid(y, x=None, *, dx=None, dim=-1):
    """Integrate `y` along `dim` by the trapezoidal rule, over the points `x` or `dx` (1) apart."""
    return _integrate("trapezoid", sum, y, x, dx, dim)


@along_dims
def cumulative_trapezoid(y, x=None, *, dx=None, dim=-1):
    """Return the running integrals of `y` along `dim` by the trapezoidal rule; one fewer than points."""
    return _integrate("cumulative_trapezoid", cumsum, y, x, dx, dim)


trapz = trapezoid


def _gradient_along(y, d, step, edge_order):
    """Return the slope of `y` along `d`: central differences, one-sided at the two ends."""

    def at(x, start, count):
        return narrow(x, d, start, count)

    n = y.shape[d]
    if not hasattr(step, "_array"):
        inner = (at(y, 2, n - 2) - at(y, 0, n - 2)) / (2.0 * step)
        widths = [step] * 4
    else:
        step = step.reshape(*[-1 if e == d else 1 for e in range(y.ndim)])
        before, after = at(step, 0, n - 2), at(step, 1, n - 2)
        a = -after / (before * (before + after))
        b = (after - before) / (before * after)
        c = before / (after * (before + after))
        inner = a * at(y, 0, n - 2) + b * at(y, 1, n - 2) + c * at(y, 2, n - 2)
        widths = [at(step, place, 1) for place in (0, min(1, n - 2), max(n - 3, 0), n - 2)]
    if edge_order == 1:
        first = (at(y, 1, 1) - at(y, 0, 1)) / widths[0]
        last = (at(y, n - 1, 1) - at(y, n - 2, 1)) / widths[3]
    else:
        first = _parabola_slope(at(y, 0, 1), at(y, 1, 1), at(y, 2, 1), widths[0], widths[1])
        last = -_parabola_slope(at(y, n - 1, 1), at(y, n - 2, 1), at(y, n - 3, 1), widths[3], widths[2])
    return cat([first, inner, last], d)


def _parabola_slope(y0, y1, y2, near, far):
    """Return the slope at the first of three points of the parabola through them."""
    total = near + far
    return -(near + total) / (near * total) * y0 + total / (near * far) * y1 - near / (far * total) * y2


@along_dims
def gradient(input, *, spacing=1, dim=None, edge_order=1):
    """Estimate the slopes of `input` along each dim (or `dim`, an int or several): a list of tensors.

    spacing: the distance of neighbours, one number or one for each dim; or the coordinates, a 1-D tensor for
    each dim. Differences of second order inside; at the edges of order `edge_order`, 1 or 2.
    """
    if edge_order not in (1, 2):
        raise RuntimeError(f"torch.gradient only supports edge_order=1 and edge_order=2, got {edge_order}")
    if not input.dtype.is_floating_point:
        input = input.to(dtypes.get_default_dtype())
    if dim is None:
        dims = tuple(range(input.ndim))
    else:
        given = dim if isinstance(dim, tuple | list) else (dim,)
        normalize_dims(dim, input.ndim, "gradient")  # each once
        dims = tuple(normalize_dim(d, input.ndim, "gradient") for d in given)
    steps = list(spacing) if isinstance(spacing, tuple | list) else [spacing] * len(dims)
    if len(steps) != len(dims):
        raise RuntimeError(
            f"torch.gradient expected spacing to be unspecified, a scalar or of one entry for each of "
            f"{len(dims)} dims, got {len(steps)}"
        )
    for d in dims:
        if input.shape[d] < edge_order + 1:
            raise RuntimeError(
                f"torch.gradient expected each dimension size to be at least edge_order+1, got "
                f"{input.shape[d]} along dim {d}"
            )
    steps = [diff(step) if hasattr(step, "_array") and step.ndim else step for step in steps]
    return tuple(_gradient_along(input, d, step, edge_order) for d, step in zip(dims, steps, strict=True))
