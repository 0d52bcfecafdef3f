"""The ndarray engine: Tensors that record what is computed from them, after PyTorch's names.

`import tensor as torch` is meant literally. The Tensor is in `engine`, the recording and the backward pass in
`autograd`; each family of operations has a file, forward beside backward, that calls the kernels.
"""

from kernels.cpu import get_num_threads, set_num_threads
from tensor import autograd, nn, optim
from tensor.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from tensor.creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from tensor.devices import device
from tensor.dtypes import (
    bool,
    double,
    dtype,
    float,
    float32,
    float64,
    get_default_dtype,
    int,
    int32,
    int64,
    long,
    promote_types,
    set_default_dtype,
    uint8,
)
from tensor.elementwise import (
    abs,
    add,
    clamp,
    cos,
    div,
    exp,
    log,
    log1p,
    maximum,
    minimum,
    mul,
    neg,
    pow,
    relu,
    sigmoid,
    sin,
    sqrt,
    sub,
    tanh,
    where,
)
from tensor.engine import Size, Tensor
from tensor.indexing import gather, index_select, masked_select
from tensor.linalg import bmm, dot, matmul, mm, mv, outer
from tensor.printing import set_printoptions
from tensor.random import Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from tensor.reduction import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    std,
    sum,
    var,
)
from tensor.shape import (
    broadcast_to,
    cat,
    chunk,
    flatten,
    movedim,
    narrow,
    permute,
    reshape,
    split,
    squeeze,
    stack,
    t,
    transpose,
    unbind,
    unflatten,
    unsqueeze,
)
from tensor.softmax import log_softmax, softmax
