"""Sums of a tensor and a product of two others: addmm and its like."""

from tensor.autograd import Operation
from tensor.products import check_operands, require_tensors, same_type


class AddProduct(Operation):
    """beta * input + alpha * a product of two others; with beta 0 the input is not read."""

    gradients_in_words = ("beta * grad", "alpha * grad @ {2}.T", "alpha * {1}.T @ grad")
    broadcasts = True

    def forward(self, k, x, a, b, beta, alpha):
        self.saved, self.beta, self.alpha = (a, b), beta, alpha
        self.input_shape = x.shape
        out = self.product(k, a, b)
        if alpha != 1:
            out = k.forward("mul", out, k.full((), alpha, out.dtype))
        if beta == 0:
            return out
        return k.forward("add", out, x if beta == 1 else k.forward("mul", x, k.full((), beta, x.dtype)))

    def backward(self, k, grad):
        a, b = self.saved
        grad_x = None
        if self.needs[0]:
            grad_x = k.sum_to(grad, self.input_shape)
            if self.beta != 1:
                grad_x = k.forward("mul", grad_x, k.full((), self.beta, grad.dtype))
        if not (self.needs[1] or self.needs[2]):
            return grad_x, None, None
        if self.alpha != 1:
            grad = k.forward("mul", grad, k.full((), self.alpha, grad.dtype))
        return grad_x, *self.product_dx(k, grad, a, b)


class Addmm(AddProduct):
    """With a product of matrices."""

    def product(self, k, a, b):
        return k.matmul(a, b)

    def product_dx(self, k, grad, a, b):
        return (
            k.matmul(grad, k.transpose(b)) if self.needs[1] else None,
            k.matmul(k.transpose(a), grad) if self.needs[2] else None,
        )


class Baddbmm(Addmm):
    """With products of batches of matrices."""


class Addmv(AddProduct):
    """With a matrix times a vector."""

    gradients_in_words = ("beta * grad", "alpha * outer(grad, {2})", "alpha * {1}.T @ grad")

    def product(self, k, a, b):
        return k.matmul(a, b.reshape(len(b), 1)).reshape(len(a))

    def product_dx(self, k, grad, a, b):
        column = grad.reshape(len(grad), 1)
        return (
            k.matmul(column, b.reshape(1, len(b))) if self.needs[1] else None,
            k.matmul(k.transpose(a), column).reshape(a.shape[1]) if self.needs[2] else None,
        )


class Addr(AddProduct):
    """With the outer product of two vectors."""

    gradients_in_words = ("beta * grad", "alpha * grad @ {2}", "alpha * grad.T @ {1}")

    def product(self, k, a, b):
        return k.forward("mul", a.reshape(len(a), 1), b)

    def product_dx(self, k, grad, a, b):
        return (
            k.matmul(grad, b.reshape(len(b), 1)).reshape(len(a)) if self.needs[1] else None,
            k.matmul(a.reshape(1, len(a)), grad).reshape(len(b)) if self.needs[2] else None,
        )


class Addbmm(AddProduct):
    """With the sum of the products of batches of matrices."""

    def product(self, k, a, b):
        return k.sum(k.matmul(a, b), (0,))

    def product_dx(self, k, grad, a, b):
        return (
            k.matmul(grad, k.transpose(b)) if self.needs[1] else None,
            k.matmul(k.transpose(a), grad) if self.needs[2] else None,
        )


_SUMS: dict[str, tuple[type[AddProduct], int, int]] = {
    "addmm": (Addmm, 2, 2),
    "addmv": (Addmv, 2, 1),
    "addr": (Addr, 1, 1),
    "baddbmm": (Baddbmm, 3, 3),
    "addbmm": (Addbmm, 3, 3),
}


def _sum(name: str, doc: str):
    kind, dims_a, dims_b = _SUMS[name]

    def check(operation, input, a, b, beta, alpha):
        require_tensors(operation, input, a, b)
        if kind is Addr:
            if a.ndim != 1 or b.ndim != 1:
                raise RuntimeError(f"{operation}: Expected 1-D arguments, got {a.ndim}D and {b.ndim}D")
            shape: tuple[int, ...] = (a.shape[0], b.shape[0])
            same_type(operation, a, b)
        else:
            check_operands(operation, a, b, dims_a, dims_b)
            shape = (*a.shape[:-1], *b.shape[-1:]) if dims_b > 1 else tuple(a.shape[:-1])
            shape = shape[1:] if kind is Addbmm else shape
        same_type(operation, a, input)
        lead = len(shape) - input.ndim
        if lead < 0 or any(n not in (1, m) for n, m in zip(input.shape, shape[lead:], strict=True)):
            raise RuntimeError(
                f"{operation}: input of shape {tuple(input.shape)} does not broadcast to the product's, "
                f"{shape}"
            )
        return shape

    def function(input, first, second, *, beta=1, alpha=1):
        check(name, input, first, second, beta, alpha)
        return kind.apply(input, first, second, beta=beta, alpha=alpha)

    def in_place(input, first, second, *, beta=1, alpha=1):
        shape = check(name + "_", input, first, second, beta, alpha)
        if tuple(input.shape) != shape:
            raise RuntimeError(
                f"{name}_: input of shape {tuple(input.shape)} is not of the product's, {shape}"
            )
        return kind.apply_in_place(input, first, second, beta=beta, alpha=alpha)

    function.__name__, in_place.__name__ = name, name + "_"
    function.__doc__ = f"Return beta * input + alpha * {doc}; with beta 0 the input is not read."
    in_place.__doc__ = f"Change `input` to beta * input + alpha * {doc}, in place."
    return function, in_place


def _named(function, first: str, second: str):
    """Let the operands of a product be given under PyTorch's names for them."""

    def named(input, *operands, beta=1, alpha=1, **others):
        operands += tuple(others.pop(name) for name in (first, second)[len(operands) :] if name in others)
        if len(operands) == 4 and not others:  # the old order: addmm(beta, input, alpha, a, b)
            raise TypeError(f"{function.__name__}: beta and alpha are keyword arguments")
        if len(operands) != 2 or others:
            raise TypeError(
                f"{function.__name__}() takes input, {first}, {second}, beta=, alpha=; got "
                f"{1 + len(operands)} tensors" + (f" and {', '.join(others)}" if others else "")
            )
        return function(input, *operands, beta=beta, alpha=alpha)

    named.__name__, named.__doc__ = function.__name__, function.__doc__
    return named


addmm, addmm_ = (_named(f, "mat1", "mat2") for f in _sum("addmm", "mat1 @ mat2"))
addmv, addmv_ = (_named(f, "mat", "vec") for f in _sum("addmv", "mat @ vec"))
addr, addr_ = (_named(f, "vec1", "vec2") for f in _sum("addr", "outer(vec1, vec2)"))
baddbmm, baddbmm_ = (_named(f, "batch1", "batch2") for f in _sum("baddbmm", "batch1 @ batch2"))
addbmm, addbmm_ = (_named(f, "batch1", "batch2") for f in _sum("addbmm", "(batch1 @ batch2).sum(0)"))
