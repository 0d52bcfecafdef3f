"""What the functions of torch.linalg ask of their matrices, and the error they raise."""

from contextlib import contextmanager

import numpy as np

from tensor.operands import require_tensor


class LinAlgError(RuntimeError):
    """A matrix has no inverse, no Cholesky factor or no solution."""


LinAlgError.__module__ = "torch._C"


@contextmanager
def named_error(operation: str, reason: str):
    """Turn the kernels' error into a LinAlgError that names the operation."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{operation}: {reason} ({error})") from None


def float_matrices(operation: str, x) -> None:
    """Raise unless `x` is a float tensor of at least two dims."""
    require_tensor(operation, "A", x)
    if x.ndim < 2:
        raise RuntimeError(
            f"{operation}: The input tensor A must have at least 2 dimensions, got shape {tuple(x.shape)}"
        )
    check_float(operation, x)


def check_float(operation: str, x) -> None:
    """Raise unless `x` is of float32 or float64."""
    if x.dtype.name not in ("float32", "float64"):
        raise RuntimeError(
            f"{operation}: Expected a floating point tensor of float32 or float64 as input, got {x.dtype!r}; "
            "use x.float()"
        )


def check_square(operation: str, x) -> None:
    """Raise unless `x` is a float tensor of square matrices."""
    float_matrices(operation, x)
    if x.shape[-1] != x.shape[-2]:
        raise RuntimeError(
            f"{operation}: A must be batches of square matrices, but they are {x.shape[-2]} by "
            f"{x.shape[-1]} matrices"
        )


def is_vector(A, B) -> bool:
    """Return whether B is one right-hand side for each matrix, as PyTorch tells it from several."""
    return B.ndim == 1 or (A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1]))


def check_batches(operation: str, A, B) -> None:
    """Raise RuntimeError if what is left of the last two dims does not broadcast."""
    try:
        np.broadcast_shapes(tuple(A.shape[:-2]), tuple(B.shape[:-2]))
    except ValueError:
        raise RuntimeError(
            f"{operation}: batch dimensions do not broadcast, {tuple(A.shape)} and {tuple(B.shape)}"
        ) from None
