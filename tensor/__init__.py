"""The ndarray engine: Tensors that record what is computed from them, after PyTorch's names.

`import tensor as torch` is meant literally. What is where:

- The engine: `engine` has the Tensor, `methods` the table of its methods, `autograd` the recording and the
  backward pass, `recorded` the kernel table of gradients that are differentiated again.
- Operations, a family a file, forward beside backward, on the arrays of the kernels: formulas (`formula`,
  and the functions in `elementwise`, `trigonometry`, `activations`, `special`, `rounding`, `limits`,
  `combine`), `compare`; `shape`, `join`, `pieces`, `rearrange`, `diagonals`, `memory`; `indexing`,
  `masking`, `scattering`, `slices`; `reduction`, `extrema`, `scan`, `sorting`, `counting`, `statistics`,
  `vector_norm`; `products`, `product_sums`, `contraction`, `distances`, `linalg`; `conv`, `pool`, `unpool`,
  `resize`, `fold`, `pad`, `channels`, `norm`, `softmax`, `losses`, `margin_losses`, `embedding`, `dropout`,
  `recurrent`, `attention`.
- Making tensors: `creation`, `ranges`, `sampling`, `random` (the generator), `random_draws`, `typed`,
  `interop`.
- What operations share: `operands` (numbers and types brought together), `dtypes`, `making`, `results`
  (`out=`), `return_types`, `printing`.
- Training: `nn`, `optim`, `data` (under PyTorch's name in `utils.data`), `distributions`, `saving`
  (`torch.save`), `func`, `amp`.
- The command line's part: `training`, `session`, `models`, `serialization`, `bench`.
- What programs ask of a machine: `cuda`, `backends`, `devices`, `switches`, `config`; `missing` says what
  is nearest to a name that is not here.
"""

from math import e, inf, nan, pi

from kernels.cpu import get_num_threads, set_num_threads
from tensor import (
    accelerator,
    amp,
    autograd,
    backends,
    compiler,
    cuda,
    data,
    distributions,
    func,
    linalg,
    missing,
    mps,
    nn,
    optim,
    return_types,
    special,
    testing,
    types,
    utils,
    version,
    xpu,
)
from tensor.activations import (
    celu,
    celu_,
    hardshrink,
    prelu,
    relu,
    relu_,
    selu,
    selu_,
    sigmoid,
    sigmoid_,
    threshold,
    threshold_,
)
from tensor.amp import autocast, is_autocast_available, is_autocast_enabled
from tensor.autograd import (
    enable_grad,
    inference_mode,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    is_keeping_values,
    keep_values,
    no_grad,
    set_grad_enabled,
    set_keep_values,
)
from tensor.channels import channel_shuffle, pixel_shuffle, pixel_unshuffle
from tensor.combine import (
    addcdiv,
    addcmul,
    lerp,
)
from tensor.compare import (
    allclose,
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    eq,
    equal,
    ge,
    greater,
    greater_equal,
    gt,
    is_complex,
    is_floating_point,
    is_nonzero,
    is_tensor,
    isclose,
    isfinite,
    isinf,
    isnan,
    isneginf,
    isposinf,
    isreal,
    le,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
    not_equal,
    numel,
)
from tensor.compiler import compile
from tensor.config import show_config, warn_of_serial_kernels
from tensor.contraction import einsum, inner, tensordot
from tensor.conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from tensor.counting import (
    bincount,
    bucketize,
    histc,
    histogram,
    isin,
    searchsorted,
    unique,
    unique_consecutive,
)
from tensor.creation import (
    as_tensor,
    asarray,
    empty,
    empty_like,
    eye,
    from_numpy,
    frombuffer,
    full,
    full_like,
    ones,
    ones_like,
    scalar_tensor,
    tensor,
    zeros,
    zeros_like,
)
from tensor.devices import device, get_default_device, set_default_device
from tensor.diagonals import diag, diag_embed, diagflat, trace, tril, triu
from tensor.distances import cdist
from tensor.dtypes import (
    bfloat16,
    bool,
    can_cast,
    double,
    dtype,
    finfo,
    float,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    iinfo,
    int,
    int8,
    int16,
    int32,
    int64,
    long,
    promote_types,
    set_default_dtype,
    short,
    uint8,
)
from tensor.elementwise import (
    abs,
    abs_,
    absolute,
    add,
    div,
    divide,
    exp,
    exp2,
    exp_,
    expm1,
    float_power,
    fmax,
    fmin,
    hypot,
    ldexp,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    maximum,
    minimum,
    mul,
    multiply,
    neg,
    neg_,
    negative,
    positive,
    pow,
    reciprocal,
    rsqrt,
    rsub,
    sqrt,
    sqrt_,
    square,
    sub,
    subtract,
    true_divide,
    where,
)
from tensor.engine import Tensor
from tensor.extrema import amax, amin, aminmax, argmax, argmin, max, min
from tensor.indexing import argwhere, index_put, index_put_, nonzero, put, take
from tensor.interop import from_dlpack, to_dlpack
from tensor.join import (
    block_diag,
    cartesian_prod,
    cat,
    chunk,
    column_stack,
    combinations,
    concat,
    concatenate,
    dsplit,
    dstack,
    hsplit,
    hstack,
    row_stack,
    split,
    split_with_sizes,
    stack,
    tensor_split,
    unbind,
    vsplit,
    vstack,
)
from tensor.layouts import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    strided,
)
from tensor.limits import (
    clamp,
    clamp_,
    clamp_max,
    clamp_min,
    clip,
    nan_to_num,
)
from tensor.linalg.decompositions import old_cholesky as cholesky
from tensor.linalg.decompositions import old_qr as qr
from tensor.linalg.decompositions import old_svd as svd
from tensor.linalg.determinants import det, logdet
from tensor.linalg.determinants import old_slogdet as slogdet
from tensor.linalg.equations import cholesky_inverse, cholesky_solve, triangular_solve
from tensor.linalg.equations import inv as inverse
from tensor.linalg.least_squares import pinv as pinverse
from tensor.linalg.powers import chain_matmul, matrix_exp, matrix_power
from tensor.linalg.powers import old_cross as cross
from tensor.masking import masked_fill, masked_scatter, masked_select
from tensor.memory import as_strided, clone, detach, diagonal
from tensor.operands import result_type
from tensor.pool import (
    adaptive_avg_pool1d,
    avg_pool1d,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
)
from tensor.pool import adaptive_max_pool1d_with_indices as adaptive_max_pool1d
from tensor.printing import set_printoptions
from tensor.product_sums import addbmm, addmm, addmv, addr, baddbmm
from tensor.products import bmm, dot, ger, kron, matmul, mm, mv, outer, vdot
from tensor.random import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from tensor.random_draws import bernoulli, multinomial, normal, poisson
from tensor.ranges import (
    arange,
    linspace,
    logspace,
    meshgrid,
    range,
    tril_indices,
    triu_indices,
)
from tensor.rearrange import flip, fliplr, flipud, repeat_interleave, roll, rot90, tile
from tensor.reduction import (
    all,
    any,
    count_nonzero,
    logsumexp,
    mean,
    nanmean,
    nansum,
    prod,
    std,
    std_mean,
    sum,
    var,
    var_mean,
)
from tensor.results import accept_out
from tensor.rounding import (
    ceil,
    copysign,
    fix,
    floor,
    floor_divide,
    fmod,
    frac,
    heaviside,
    remainder,
    round,
    sgn,
    sign,
    signbit,
    trunc,
)
from tensor.sampling import (
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
)
from tensor.saving import load, save
from tensor.scan import (
    cummax,
    cummin,
    cumprod,
    cumsum,
    cumulative_trapezoid,
    diff,
    gradient,
    logcumsumexp,
    trapezoid,
    trapz,
)
from tensor.scattering import gather, scatter, scatter_add, scatter_reduce, take_along_dim
from tensor.shape import (
    adjoint,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_shapes,
    broadcast_tensors,
    broadcast_to,
    flatten,
    moveaxis,
    movedim,
    narrow,
    permute,
    ravel,
    reshape,
    select,
    squeeze,
    swapaxes,
    swapdims,
    t,
    transpose,
    unflatten,
    unsqueeze,
)
from tensor.sizes import Size
from tensor.slices import (
    diagonal_scatter,
    index_add,
    index_copy,
    index_fill,
    index_reduce,
    index_select,
    select_scatter,
    slice_scatter,
)
from tensor.softmax import log_softmax, softmax
from tensor.sorting import (
    argsort,
    kthvalue,
    median,
    mode,
    msort,
    nanmedian,
    nanquantile,
    quantile,
    sort,
    topk,
)
from tensor.special import (
    erf,
    erfc,
    erfinv,
    logit,
    xlogy,
)
from tensor.statistics import corrcoef, cov
from tensor.switches import (
    are_deterministic_algorithms_enabled,
    get_deterministic_debug_mode,
    get_float32_matmul_precision,
    get_num_interop_threads,
    is_deterministic_algorithms_warn_only_enabled,
    is_warn_always_enabled,
    set_deterministic_debug_mode,
    set_float32_matmul_precision,
    set_flush_denormal,
    set_num_interop_threads,
    set_warn_always,
    use_deterministic_algorithms,
)
from tensor.trigonometry import (
    acos,
    acosh,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    deg2rad,
    rad2deg,
    sin,
    sinc,
    sinh,
    tan,
    tanh,
    tanh_,
)
from tensor.typed import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
    set_default_tensor_type,
    typename,
)
from tensor.vector_norm import dist, norm, renorm
from tensor.version import __version__
from tensor.volumes import conv3d

newaxis = None
vmap = func.vmap

# What exists in place as a function of its own, too: the methods.
_IN_PLACE = """
    acos_ acosh_ addmv_ arccos_ arccosh_ arcsin_ arcsinh_ arctan_ arctanh_ asin_ asinh_ atan_ atanh_
    ceil_ clamp_max_ clamp_min_ clip_ cos_ cosh_ deg2rad_ detach_ erf_ erfc_ exp2_ expm1_ fill_ fix_
    floor_ frac_ ldexp_ log10_ log1p_ log2_ log_ logit_ nan_to_num_ negative_ rad2deg_ reciprocal_
    resize_as_ round_ rsqrt_ sin_ sinc_ sinh_ square_ tan_ trunc_ xlogy_ zero_
"""
globals().update({name: getattr(Tensor, name) for name in _IN_PLACE.split()})
accept_out(globals())
missing.watch(
    "tensor",
    "tensor.accelerator",
    "tensor.autograd",
    "tensor.backends",
    "tensor.cuda",
    "tensor.distributions",
    "tensor.linalg",
    "tensor.mps",
    "tensor.nn",
    "tensor.nn.functional",
    "tensor.nn.init",
    "tensor.nn.utils",
    "tensor.optim",
    "tensor.optim.lr_scheduler",
    "tensor.special",
    "tensor.testing",
    "tensor.utils",
    "tensor.utils.data",
    "tensor.xpu",
)
warn_of_serial_kernels()
