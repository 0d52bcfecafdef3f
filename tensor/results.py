"""`out=` for functions whose results are made anew: they are written over the tensor that is given."""

import functools
from collections.abc import Callable

from tensor.formula import write_out

WITH_OUT = [
    "addbmm", "addmm", "addmv", "addr", "all", "amax", "amin", "aminmax", "any", "arange", "argsort",
    "baddbmm", "bmm", "bucketize", "cat", "chain_matmul", "cholesky", "column_stack", "concat",
    "concatenate", "cross", "cummax", "cummin", "cumprod", "cumsum", "diag", "diff", "dot", "dstack",
    "empty", "eye", "full", "gather", "ger", "hstack", "index_select", "inner", "inverse", "kron",
    "kthvalue", "linspace", "logcumsumexp", "logspace", "logsumexp", "masked_select", "matmul",
    "matrix_power", "max", "mean", "median", "min", "mm", "mode", "msort", "mul", "multinomial", "mv",
    "nanmean", "nanmedian", "nanquantile", "nansum", "nonzero", "norm", "normal", "ones", "outer", "prod",
    "quantile", "rand", "randint", "randn", "randperm", "renorm", "row_stack", "scatter", "searchsorted",
    "sort", "stack", "std", "sum", "svd", "take", "take_along_dim", "tensordot", "topk", "trapezoid",
    "tril", "triu", "var", "vdot", "vstack", "zeros",
]  # fmt: skip
"""PyTorch's functions with `out=` that do not write to it themselves."""


def accept_out(functions: dict) -> None:
    """Let the functions of a table, by name, take `out=`: a tensor for each result.

    As in PyTorch the result is converted to the type of `out`, which takes its shape; nothing that requires
    gradients may be written to or from.
    """
    for name in WITH_OUT:
        if name in functions:
            functions[name] = _accept_out(name, functions[name])


def _accept_out(name: str, function: Callable) -> Callable:
    @functools.wraps(function)
    def with_out(*args, out=None, **kwargs):
        result = function(*args, **kwargs)
        if out is None:
            return result
        if isinstance(out, tuple | list):
            if not isinstance(result, tuple) or len(result) != len(out):
                count = len(result) if isinstance(result, tuple) else 1
                raise TypeError(f"{name}: expected out of {count} tensors, got {len(out)}")
            written = [write_out(name, r, o) for r, o in zip(result, out, strict=True)]
            return type(result)(written) if type(result) is tuple else type(result)(*written)
        if isinstance(result, tuple):
            raise TypeError(f"{name}: expected out of {len(result)} tensors, got {type(out).__name__}")
        return write_out(name, result, out)

    return with_out
