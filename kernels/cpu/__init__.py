"""The CPU's kernel table: every kernel the tensor engine may call, on NumPy arrays.

`kernels.cuda` will answer to the same names. The tensor engine reaches kernels only through such a table.
"""

from kernels.cpu.attention import attention, attention_dx
from kernels.cpu.channels import sum_channels
from kernels.cpu.compare import compare
from kernels.cpu.compile import (
    available_threads,
    compile_seconds,
    get_num_threads,
    set_num_threads,
    threading_layer,
)
from kernels.cpu.conv import conv2d, conv2d_dweight, conv2d_dx
from kernels.cpu.dropout import keep_scaled
from kernels.cpu.elementwise import derivative, divide_rounded, forward, remainder, round
from kernels.cpu.fold import fold, unfold
from kernels.cpu.host import Host, describe
from kernels.cpu.indexing import along, embedding_dx, limit_norms, nonzero, put, scatter_add, take
from kernels.cpu.matmul import linear, matmul
from kernels.cpu.memory import (
    cast,
    cat,
    copy,
    copy_in_order,
    expand,
    flip,
    full,
    transpose,
    where,
    write,
    zeros,
)
from kernels.cpu.norm import (
    batch_norm,
    batch_norm_dx,
    group_norm,
    group_norm_dx,
    layer_norm,
    layer_norm_dx,
)
from kernels.cpu.optim import Arrays, adam, sgd
from kernels.cpu.pad import pad_constant, pad_constant_dx, pad_from, pad_from_dx
from kernels.cpu.pool import (
    adaptive_windows,
    average_pool,
    average_pool_dx,
    max_pool,
    max_pool_dx,
    max_pool_indices,
    sliding_windows,
)
from kernels.cpu.random import (
    bernoulli_from_bits,
    normal_from_bits,
    normal_pairs_from_bits,
    normal_words,
    permutation_from_bits,
    uniform_from_bits,
)
from kernels.cpu.recurrent import recurrent, recurrent_dx
from kernels.cpu.reduce import all, any, extreme, prod, prod_dx, square_deviation, sum, sum_to
from kernels.cpu.scan import cumextreme, cumprod, cumprod_dx, cumsum, logcumsumexp
from kernels.cpu.softmax import (
    cross_entropy,
    cross_entropy_dx,
    log_softmax,
    log_softmax_dx,
    nll,
    nll_dx,
    softmax,
    softmax_dx,
)

__all__ = [
    "Arrays",
    "Host",
    "adam",
    "adaptive_windows",
    "all",
    "along",
    "any",
    "attention",
    "attention_dx",
    "available_threads",
    "average_pool",
    "average_pool_dx",
    "batch_norm",
    "batch_norm_dx",
    "bernoulli_from_bits",
    "cast",
    "cat",
    "compare",
    "compile_seconds",
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
    "describe",
    "divide_rounded",
    "embedding_dx",
    "expand",
    "extreme",
    "flip",
    "fold",
    "forward",
    "full",
    "get_num_threads",
    "group_norm",
    "group_norm_dx",
    "keep_scaled",
    "layer_norm",
    "layer_norm_dx",
    "limit_norms",
    "linear",
    "log_softmax",
    "log_softmax_dx",
    "logcumsumexp",
    "matmul",
    "max_pool",
    "max_pool_dx",
    "max_pool_indices",
    "nll",
    "nll_dx",
    "nonzero",
    "normal_from_bits",
    "normal_pairs_from_bits",
    "normal_words",
    "pad_constant",
    "pad_constant_dx",
    "pad_from",
    "pad_from_dx",
    "permutation_from_bits",
    "prod",
    "prod_dx",
    "put",
    "recurrent",
    "recurrent_dx",
    "remainder",
    "round",
    "scatter_add",
    "set_num_threads",
    "sgd",
    "sliding_windows",
    "softmax",
    "softmax_dx",
    "square_deviation",
    "sum",
    "sum_channels",
    "sum_to",
    "take",
    "threading_layer",
    "transpose",
    "unfold",
    "uniform_from_bits",
    "where",
    "write",
    "zeros",
]  # fmt: skip
