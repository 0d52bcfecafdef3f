"""The GPU's kernel table: the names of `kernels.cpu`, on device arrays.

A name that has no kernel here yet raises NotImplementedError when it is called: nothing is computed on the
CPU instead. Importing this package needs numba-cuda (`pip install 'liftgrad[cuda]'`), and no GPU.
"""

from kernels.cuda import driver
from kernels.cuda.array import DeviceArray, from_host, on_device, take_over, to_host
from kernels.cuda.attention import attention, attention_dx
from kernels.cuda.batch_norm import batch_norm, batch_norm_dx
from kernels.cuda.channels import sum_channels
from kernels.cuda.compare import compare, isclose
from kernels.cuda.conv import conv2d, conv2d_dweight, conv2d_dx
from kernels.cuda.counting import (
    bincount,
    even_edges,
    histogram,
    isin,
    searchsorted,
    unique,
    unique_consecutive,
    unique_only,
)
from kernels.cuda.deviations import square_deviation
from kernels.cuda.dropout import keep_scaled
from kernels.cuda.elementwise import derivative, forward
from kernels.cuda.exchange import from_capsule, from_interface, is_of_device, to_capsule
from kernels.cuda.fold import fold, unfold
from kernels.cuda.indexing import (
    along,
    embedding_dx,
    limit_norms,
    nonzero,
    put,
    repeat,
    scatter_add,
    scatter_reduce,
    take,
    unravel,
)
from kernels.cuda.jacobi import eigh, svd
from kernels.cuda.layer_norm import group_norm, group_norm_dx, layer_norm, layer_norm_dx
from kernels.cuda.linalg import (
    cholesky,
    cofactors,
    determinant,
    distances,
    inverse,
    log_determinant,
    lu,
    matrix_exp,
    pseudo_inverse,
    row_order,
    singular_limit,
    singular_values,
    solve,
    solve_triangular,
)
from kernels.cuda.matmul import linear, matmul
from kernels.cuda.memory import (
    cast,
    cat,
    copy,
    copy_in_order,
    expand,
    flip,
    full,
    permute,
    roll,
    transpose,
    where,
    write,
    zeros,
    zeros_like,
)
from kernels.cuda.missing import kernel_that_is_missing
from kernels.cuda.optim import Arrays, adagrad, adam, rmsprop, sgd
from kernels.cuda.optim_adaptive import adadelta, adamax, nadam, radam
from kernels.cuda.orthogonal import qr
from kernels.cuda.pad import pad_constant, pad_constant_dx, pad_from, pad_from_dx
from kernels.cuda.pool import (
    adaptive_windows,
    average_pool,
    average_pool_dx,
    max_pool,
    max_pool_dx,
    max_pool_indices,
    sliding_windows,
)
from kernels.cuda.random import draw_integers, draw_normal, draw_permutation, draw_poisson, draw_uniform
from kernels.cuda.recurrent import recurrent, recurrent_dx
from kernels.cuda.reduce import (
    all,
    any,
    bounds,
    extreme,
    extreme_value,
    prod,
    prod_dx,
    sum,
    sum_to,
)
from kernels.cuda.resize import resize, resize_dx, resize_table
from kernels.cuda.rounding import divide_rounded, remainder, round
from kernels.cuda.scan import cumextreme, cumprod, cumprod_dx, cumsum, logcumsumexp
from kernels.cuda.softmax import (
    cross_entropy,
    cross_entropy_dx,
    log_softmax,
    log_softmax_dx,
    nll,
    nll_dx,
    softmax,
    softmax_dx,
)
from kernels.cuda.sorting import kth, median, mode, sort, topk

__all__ = [
    "Arrays",
    "DeviceArray",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adaptive_windows",
    "all",
    "along",
    "any",
    "attention",
    "attention_dx",
    "average_pool",
    "average_pool_dx",
    "batch_norm",
    "batch_norm_dx",
    "bincount",
    "bounds",
    "cast",
    "cat",
    "cholesky",
    "cofactors",
    "compare",
    "conv2d",
    "conv2d_dweight",
    "conv2d_dx",
    "copy",
    "copy_in_order",
    "cross_entropy",
    "cross_entropy_dx",
    "cumextreme",
    "cumprod",
    "cumprod_dx",
    "cumsum",
    "derivative",
    "determinant",
    "distances",
    "divide_rounded",
    "draw_integers",
    "draw_normal",
    "draw_permutation",
    "draw_poisson",
    "draw_uniform",
    "driver",
    "eigh",
    "embedding_dx",
    "even_edges",
    "expand",
    "extreme",
    "extreme_value",
    "flip",
    "fold",
    "forward",
    "from_capsule",
    "from_host",
    "from_interface",
    "full",
    "group_norm",
    "group_norm_dx",
    "histogram",
    "inverse",
    "is_of_device",
    "isclose",
    "isin",
    "keep_scaled",
    "kth",
    "layer_norm",
    "layer_norm_dx",
    "limit_norms",
    "linear",
    "log_determinant",
    "log_softmax",
    "log_softmax_dx",
    "logcumsumexp",
    "lu",
    "matmul",
    "matrix_exp",
    "max_pool",
    "max_pool_dx",
    "max_pool_indices",
    "median",
    "mode",
    "nadam",
    "nll",
    "nll_dx",
    "nonzero",
    "on_device",
    "pad_constant",
    "pad_constant_dx",
    "pad_from",
    "pad_from_dx",
    "permute",
    "prod",
    "prod_dx",
    "pseudo_inverse",
    "put",
    "qr",
    "radam",
    "recurrent",
    "recurrent_dx",
    "remainder",
    "repeat",
    "resize",
    "resize_dx",
    "resize_table",
    "rmsprop",
    "roll",
    "round",
    "row_order",
    "scatter_add",
    "scatter_reduce",
    "searchsorted",
    "sgd",
    "singular_limit",
    "singular_values",
    "sliding_windows",
    "softmax",
    "softmax_dx",
    "solve",
    "solve_triangular",
    "sort",
    "square_deviation",
    "sum",
    "sum_channels",
    "sum_to",
    "svd",
    "take",
    "take_over",
    "to_capsule",
    "to_host",
    "topk",
    "transpose",
    "unfold",
    "unique",
    "unique_consecutive",
    "unique_only",
    "unravel",
    "where",
    "write",
    "zeros",
    "zeros_like",
]


def __getattr__(name: str):
    return kernel_that_is_missing(name)
