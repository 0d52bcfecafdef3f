"""The kernel table of gradients that are to be differentiated again: the kernels' names, on tensors.

With `create_graph=True` an operation's `backward` is given this table in place of `kernels.cpu`, and tensors
in place of arrays. Each function here has the name and the arguments of a kernel that some backward calls,
takes tensors (arrays stand for constants), and records what it computes: it is an operation of its own, a
linear kernel beside its adjoint, or a composition of tensor functions.
"""

from tensor.recorded.attention import attention_dx
from tensor.recorded.basis import MissingKernelError, above
from tensor.recorded.elementwise import (
    compare,
    derivative,
    divide_rounded,
    forward,
    keep_scaled,
    remainder,
    round,
    where,
)
from tensor.recorded.linalg import (
    cofactors,
    distances,
    inverse,
    matrix_exp,
    pseudo_inverse,
    solve,
    solve_triangular,
)
from tensor.recorded.memory import (
    along,
    cast,
    cat,
    copy,
    copy_in_order,
    embedding_dx,
    expand,
    flip,
    fold,
    from_host,
    full,
    pad_constant,
    pad_constant_dx,
    pad_from,
    pad_from_dx,
    permute,
    put,
    roll,
    scatter_add,
    take,
    transpose,
    unfold,
    unravel,
    write,
    zeros,
)
from tensor.recorded.norm import batch_norm_dx, group_norm_dx, layer_norm_dx
from tensor.recorded.pool import average_pool, average_pool_dx, max_pool_dx
from tensor.recorded.products import (
    conv2d,
    conv2d_dparameters,
    conv2d_dweight,
    conv2d_dx,
    linear,
    matmul,
)
from tensor.recorded.reduce import (
    cumprod_dx,
    cumsum,
    logcumsumexp,
    prod_dx,
    scatter_reduce,
    sum,
    sum_channels,
    sum_to,
)
from tensor.recorded.resize import resize, resize_dx
from tensor.recorded.softmax import cross_entropy_dx, log_softmax, log_softmax_dx, nll_dx, softmax, softmax_dx


def run(node, k, grad):
    """Run the backward of a node on tensors; NotImplementedError, naming it, if that cannot be recorded."""
    try:
        with above(node._kernels):
            return node.backward_recorded(k, grad)
    except MissingKernelError as error:
        raise NotImplementedError(
            f"create_graph: the gradient of the gradient of {node.op} is not implemented ({error}); compute "
            "the function from other operations"
        ) from None


def __getattr__(name: str):
    if name.startswith("__"):
        raise AttributeError(name)
    raise MissingKernelError(f"kernel {name}")
