"""The table of a tensor's methods: each is a function of the file of its family, under PyTorch's name."""

from __future__ import annotations

import builtins
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from tensor import (
    activations,
    combine,
    compare,
    contraction,
    counting,
    diagonals,
    elementwise,
    extrema,
    indexing,
    interop,
    join,
    limits,
    making,
    masking,
    memory,
    product_sums,
    products,
    random_draws,
    rearrange,
    reduction,
    rounding,
    scan,
    scattering,
    slices,
    sorting,
    special,
    statistics,
    trigonometry,
    vector_norm,
)
from tensor import shape as shapes
from tensor import storage as storages
from tensor.linalg import decompositions, determinants, equations, least_squares, powers
from tensor.operands import as_tensor_like, type_of
from tensor.softmax import log_softmax, softmax

if TYPE_CHECKING:
    from tensor.engine import Tensor


_OPERANDS = (int, float, np.number, np.bool_, np.ndarray)


def _operator(function):
    """Return a method for an operator: NotImplemented, so that Python asks the other side, for strangers."""

    def operator(self: Any, other):
        return function(self, other) if _is_operand(other) else NotImplemented

    return operator


def _swapped(function):
    return lambda x, y: function(y, x)


def _operand_of_matmul(like, x):
    """Return an ndarray as a tensor of its own type; anything else as it is."""
    return as_tensor_like(like, x, type_of(x), "matmul") if isinstance(x, np.ndarray) else x


def _is_operand(x) -> bool:
    return hasattr(x, "_array") or isinstance(x, _OPERANDS)


class Methods:
    """What a tensor can be asked for, operators included; `Tensor` adds what it is and how it changes."""

    # --- arithmetic --------------------------------------------------------------------------------

    add, add_ = elementwise.add, elementwise.add_
    sub, sub_ = elementwise.sub, elementwise.sub_
    mul, mul_ = elementwise.mul, elementwise.mul_
    div, div_ = elementwise.div, elementwise.div_
    pow, pow_ = elementwise.pow, elementwise.pow_
    subtract, multiply, divide, true_divide = sub, mul, div, elementwise.true_divide
    subtract_, multiply_, divide_, true_divide_ = sub_, mul_, div_, elementwise.true_divide_
    neg, neg_ = elementwise.neg, elementwise.neg_
    abs, abs_ = elementwise.abs, elementwise.abs_
    negative, absolute, negative_, absolute_ = neg, abs, neg_, abs_
    positive = elementwise.positive
    exponential_, cauchy_, log_normal_ = (
        random_draws.exponential_,
        random_draws.cauchy_,
        random_draws.log_normal_,
    )
    geometric_, bernoulli_ = random_draws.geometric_, random_draws.bernoulli_
    random_ = random_draws.random_
    bernoulli, multinomial = random_draws.bernoulli, random_draws.multinomial

    square, square_ = elementwise.square, elementwise.square_
    reciprocal, reciprocal_ = elementwise.reciprocal, elementwise.reciprocal_
    sqrt, sqrt_ = elementwise.sqrt, elementwise.sqrt_
    rsqrt, rsqrt_ = elementwise.rsqrt, elementwise.rsqrt_
    exp, exp_ = elementwise.exp, elementwise.exp_
    exp2, exp2_ = elementwise.exp2, elementwise.exp2_
    expm1, expm1_ = elementwise.expm1, elementwise.expm1_
    log, log_ = elementwise.log, elementwise.log_
    log2, log2_ = elementwise.log2, elementwise.log2_
    log10, log10_ = elementwise.log10, elementwise.log10_
    log1p, log1p_ = elementwise.log1p, elementwise.log1p_
    float_power, float_power_ = elementwise.float_power, elementwise.float_power_
    ldexp, ldexp_ = elementwise.ldexp, elementwise.ldexp_
    hypot, hypot_, logaddexp = elementwise.hypot, elementwise.hypot_, elementwise.logaddexp
    maximum, minimum = elementwise.maximum, elementwise.minimum
    fmax, fmin = elementwise.fmax, elementwise.fmin
    lerp, lerp_ = combine.lerp, combine.lerp_
    addcmul, addcmul_ = combine.addcmul, combine.addcmul_
    addcdiv, addcdiv_ = combine.addcdiv, combine.addcdiv_

    sin, sin_ = trigonometry.sin, trigonometry.sin_
    cos, cos_ = trigonometry.cos, trigonometry.cos_
    tan, tan_ = trigonometry.tan, trigonometry.tan_
    asin, asin_ = trigonometry.asin, trigonometry.asin_
    acos, acos_ = trigonometry.acos, trigonometry.acos_
    atan, atan_ = trigonometry.atan, trigonometry.atan_
    atan2, atan2_ = trigonometry.atan2, trigonometry.atan2_
    sinh, sinh_ = trigonometry.sinh, trigonometry.sinh_
    cosh, cosh_ = trigonometry.cosh, trigonometry.cosh_
    tanh, tanh_ = trigonometry.tanh, trigonometry.tanh_
    asinh, asinh_ = trigonometry.asinh, trigonometry.asinh_
    acosh, acosh_ = trigonometry.acosh, trigonometry.acosh_
    atanh, atanh_ = trigonometry.atanh, trigonometry.atanh_
    arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
    arcsin_, arccos_, arctan_, arctan2_ = asin_, acos_, atan_, atan2_
    arcsinh, arccosh, arctanh = asinh, acosh, atanh
    arcsinh_, arccosh_, arctanh_ = asinh_, acosh_, atanh_
    sinc, sinc_ = trigonometry.sinc, trigonometry.sinc_
    deg2rad, deg2rad_ = trigonometry.deg2rad, trigonometry.deg2rad_
    rad2deg, rad2deg_ = trigonometry.rad2deg, trigonometry.rad2deg_

    erf, erf_, erfc, erfc_ = special.erf, special.erf_, special.erfc, special.erfc_
    erfinv, erfinv_ = special.erfinv, special.erfinv_
    logit, logit_ = special.logit, special.logit_
    xlogy, xlogy_ = special.xlogy, special.xlogy_
    sigmoid, sigmoid_ = activations.sigmoid, activations.sigmoid_
    relu, relu_ = activations.relu, activations.relu_
    prelu, hardshrink = activations.prelu, activations.hardshrink

    floor, floor_ = rounding.floor, rounding.floor_
    ceil, ceil_ = rounding.ceil, rounding.ceil_
    trunc, trunc_ = rounding.trunc, rounding.trunc_
    fix, fix_ = trunc, trunc_
    round, round_ = rounding.round, rounding.round_
    frac, frac_ = rounding.frac, rounding.frac_
    sign, sign_, sgn, sgn_ = rounding.sign, rounding.sign_, rounding.sgn, rounding.sgn_
    signbit, heaviside = rounding.signbit, rounding.heaviside
    copysign, copysign_ = rounding.copysign, rounding.copysign_
    floor_divide, floor_divide_ = rounding.floor_divide, rounding.floor_divide_
    remainder, remainder_ = rounding.remainder, rounding.remainder_
    fmod, fmod_ = rounding.fmod, rounding.fmod_

    clamp, clamp_, clip, clip_ = limits.clamp, limits.clamp_, limits.clamp, limits.clamp_
    clamp_min, clamp_min_ = limits.clamp_min, limits.clamp_min_
    clamp_max, clamp_max_ = limits.clamp_max, limits.clamp_max_
    nan_to_num, nan_to_num_ = limits.nan_to_num, limits.nan_to_num_

    uniform_, normal_ = random_draws.uniform_, random_draws.normal_
    new_tensor, new_full, new_zeros = making.new_tensor, making.new_full, making.new_zeros
    new_ones, new_empty, new = making.new_ones, making.new_empty, making.new

    __add__ = __radd__ = _operator(elementwise.add)
    __mul__ = __rmul__ = _operator(elementwise.mul)
    __sub__, __rsub__ = _operator(elementwise.sub), _operator(elementwise.rsub)
    __truediv__, __rtruediv__ = _operator(elementwise.div), _operator(elementwise.divide_into)
    __floordiv__ = _operator(rounding.floor_divide)
    __rfloordiv__ = _operator(_swapped(rounding.floor_divide))
    __mod__, __rmod__ = _operator(rounding.remainder), _operator(_swapped(rounding.remainder))
    __pow__, __rpow__ = _operator(elementwise.pow), _operator(_swapped(elementwise.pow))
    __neg__, __abs__ = elementwise.neg, elementwise.abs

    __pos__ = elementwise.positive
    __iadd__, __isub__ = elementwise.add_, elementwise.sub_
    __imul__, __itruediv__, __ipow__ = elementwise.mul_, elementwise.div_, elementwise.pow_
    __ifloordiv__, __imod__ = rounding.floor_divide_, rounding.remainder_

    matmul, mm, mv, bmm, dot = products.matmul, products.mm, products.mv, products.bmm, products.dot
    outer, ger, vdot, kron = products.outer, products.ger, products.vdot, products.kron
    inner = contraction.inner
    addmm, addmm_, addmv, addmv_ = (
        product_sums.addmm,
        product_sums.addmm_,
        product_sums.addmv,
        product_sums.addmv_,
    )
    addr, addr_, addbmm, addbmm_ = (
        product_sums.addr,
        product_sums.addr_,
        product_sums.addbmm,
        product_sums.addbmm_,
    )
    baddbmm, baddbmm_ = product_sums.baddbmm, product_sums.baddbmm_
    cross, matrix_power, matrix_exp = powers.old_cross, powers.matrix_power, powers.matrix_exp
    inverse, pinverse, triangular_solve = equations.inv, least_squares.pinv, equations.triangular_solve
    det, logdet, slogdet = determinants.det, determinants.logdet, determinants.old_slogdet
    cholesky_solve, cholesky_inverse = equations.cholesky_solve, equations.cholesky_inverse
    cholesky, qr, svd = decompositions.old_cholesky, decompositions.old_qr, decompositions.old_svd

    def __matmul__(self: Any, other):
        return products.matmul(self, _operand_of_matmul(self, other))

    def __rmatmul__(self: Any, other):
        return products.matmul(_operand_of_matmul(self, other), self)

    # --- comparison and logic ------------------------------------------------------------------------

    eq, eq_, ne, ne_ = compare.eq, compare.eq_, compare.ne, compare.ne_
    lt, lt_, le, le_ = compare.lt, compare.lt_, compare.le, compare.le_
    gt, gt_, ge, ge_ = compare.gt, compare.gt_, compare.ge, compare.ge_
    not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
    not_equal_, less_, less_equal_, greater_, greater_equal_ = ne_, lt_, le_, gt_, ge_
    logical_not, logical_not_ = compare.logical_not, compare.logical_not_
    logical_and, logical_and_ = compare.logical_and, compare.logical_and_
    logical_or, logical_or_ = compare.logical_or, compare.logical_or_
    logical_xor, logical_xor_ = compare.logical_xor, compare.logical_xor_
    bitwise_not, bitwise_not_ = compare.bitwise_not, compare.bitwise_not_
    bitwise_and, bitwise_and_ = compare.bitwise_and, compare.bitwise_and_
    bitwise_or, bitwise_or_ = compare.bitwise_or, compare.bitwise_or_
    bitwise_xor, bitwise_xor_ = compare.bitwise_xor, compare.bitwise_xor_
    bitwise_left_shift, bitwise_left_shift_ = compare.bitwise_left_shift, compare.bitwise_left_shift_
    bitwise_right_shift, bitwise_right_shift_ = compare.bitwise_right_shift, compare.bitwise_right_shift_
    isnan, isinf, isfinite = compare.isnan, compare.isinf, compare.isfinite
    isposinf, isneginf, isreal = compare.isposinf, compare.isneginf, compare.isreal
    equal, allclose, isclose = compare.equal, compare.allclose, compare.isclose

    __eq__, __ne__ = _operator(compare.eq), _operator(compare.ne)
    __lt__, __le__ = _operator(compare.lt), _operator(compare.le)
    __gt__, __ge__ = _operator(compare.gt), _operator(compare.ge)
    __and__ = __rand__ = _operator(compare.bitwise_and)
    __or__ = __ror__ = _operator(compare.bitwise_or)
    __xor__ = __rxor__ = _operator(compare.bitwise_xor)
    __lshift__, __rlshift__ = (
        _operator(compare.bitwise_left_shift),
        _operator(_swapped(compare.bitwise_left_shift)),
    )
    __rshift__, __rrshift__ = (
        _operator(compare.bitwise_right_shift),
        _operator(_swapped(compare.bitwise_right_shift)),
    )
    __iand__, __ior__, __ixor__ = compare.bitwise_and_, compare.bitwise_or_, compare.bitwise_xor_
    __ilshift__, __irshift__ = compare.bitwise_left_shift_, compare.bitwise_right_shift_

    def __invert__(self: Any):
        if self.dtype.is_floating_point:
            raise TypeError(
                "~ (operator.invert) is only implemented on integer and Boolean-type tensors, got "
                f"{self.dtype!r}"
            )
        return compare.bitwise_not(self)

    def __hash__(
        self: Any,
    ) -> builtins.int:  # by identity, although == compares elements: tensors are keys of dicts
        return id(self)

    # --- reductions, shape, indexing -----------------------------------------------------------------

    sum, mean, prod, var, std = (
        reduction.sum,
        reduction.mean,
        reduction.prod,
        reduction.var,
        reduction.std,
    )
    max, min, amax, amin = extrema.max, extrema.min, extrema.amax, extrema.amin
    argmax, argmin, any, all = extrema.argmax, extrema.argmin, reduction.any, reduction.all
    logsumexp, count_nonzero, aminmax = reduction.logsumexp, reduction.count_nonzero, extrema.aminmax
    nansum, nanmean = reduction.nansum, reduction.nanmean
    cumsum, cumsum_ = scan.cumsum, scan.cumsum_
    cumprod, cumprod_ = scan.cumprod, scan.cumprod_
    cummax, cummin, logcumsumexp, diff = scan.cummax, scan.cummin, scan.logcumsumexp, scan.diff
    sort, argsort, msort, topk = sorting.sort, sorting.argsort, sorting.msort, sorting.topk
    kthvalue, median, nanmedian = sorting.kthvalue, sorting.median, sorting.nanmedian
    mode, quantile, nanquantile = sorting.mode, sorting.quantile, sorting.nanquantile
    unique, unique_consecutive = counting.unique, counting.unique_consecutive
    bincount, histc, histogram = counting.bincount, counting.histc, counting.histogram
    norm, dist = vector_norm.norm, vector_norm.dist
    renorm, renorm_ = vector_norm.renorm, vector_norm.renorm_
    softmax, log_softmax = softmax, log_softmax

    view, reshape, flatten, unflatten = shapes.view, shapes.reshape, shapes.flatten, shapes.unflatten
    transpose, t, permute, movedim = shapes.transpose, shapes.t, shapes.permute, shapes.movedim
    swapaxes, swapdims, moveaxis = shapes.swapaxes, shapes.swapdims, shapes.moveaxis
    transpose_, t_, swapaxes_, swapdims_ = (
        shapes.transpose_,
        shapes.t_,
        shapes.swapaxes_,
        shapes.swapdims_,
    )
    expand, squeeze, unsqueeze, ravel = shapes.expand, shapes.squeeze, shapes.unsqueeze, shapes.ravel
    squeeze_, unsqueeze_, adjoint = shapes.squeeze_, shapes.unsqueeze_, shapes.adjoint
    broadcast_to, narrow, select = shapes.broadcast_to, shapes.narrow, shapes.select
    unfold, as_strided, storage_offset = memory.unfold, memory.as_strided, memory.storage_offset
    diagonal, diag, diag_embed = memory.diagonal, diagonals.diag, diagonals.diag_embed
    diagflat, trace, fill_diagonal_ = diagonals.diagflat, diagonals.trace, diagonals.fill_diagonal_
    tril, tril_, triu, triu_ = diagonals.tril, diagonals.tril_, diagonals.triu, diagonals.triu_
    split, split_with_sizes, chunk, unbind = join.split, join.split_with_sizes, join.chunk, join.unbind
    tensor_split, hsplit, vsplit, dsplit = join.tensor_split, join.hsplit, join.vsplit, join.dsplit
    unsafe_split, unsafe_chunk = join.split, join.chunk
    is_contiguous, contiguous = storages.is_contiguous, storages.contiguous
    untyped_storage, storage = storages.untyped_storage, storages.storage
    resize_, resize_as_, is_same_size = storages.resize_, storages.resize_as_, storages.is_same_size
    is_shared, share_memory_ = storages.is_shared, storages.share_memory_
    is_pinned, pin_memory = storages.is_pinned, storages.pin_memory
    flip, fliplr, flipud, rot90 = rearrange.flip, rearrange.fliplr, rearrange.flipud, rearrange.rot90
    roll, repeat, tile = rearrange.roll, rearrange.repeat, rearrange.tile
    repeat_interleave = rearrange.repeat_interleave

    def view_as(self: Any, other: Tensor) -> Tensor:
        """Return a view in the shape of `other`."""
        return self.view(other.shape)

    def reshape_as(self: Any, other: Tensor) -> Tensor:
        """Return the elements in the shape of `other`."""
        return self.reshape(other.shape)

    def sum_to_size(self: Any, *size) -> Tensor:
        """Return the sum over the dims along which `size` would broadcast to this shape."""
        sizes = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], builtins.int) else size
        lead = self.ndim - len(sizes)
        dims = [d for d in range(self.ndim) if d < lead or (sizes[d - lead] == 1 and self.shape[d] != 1)]
        if lead < 0 or any(n not in (1, self.shape[lead + d]) for d, n in enumerate(sizes)):
            raise RuntimeError(f"sum_to_size: size {sizes} is not expandable to size {tuple(self.shape)}")
        return self.sum(dims, keepdim=True).reshape(sizes) if dims else self

    def expand_as(self: Any, other: Tensor) -> Tensor:
        """Return a view broadcast to the shape of `other`."""
        return self.expand(other.shape)

    @property
    def T(self: Any) -> Tensor:
        """The dims in reverse order; a view. As PyTorch it warns unless there are two of them."""
        if self.ndim != 2:
            warnings.warn(
                "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated; "
                "use `x.mT` for batches of matrices or `x.permute(*range(x.ndim - 1, -1, -1))`.",
                UserWarning,
                stacklevel=2,
            )
        return shapes.permute(self, *range(self.ndim - 1, -1, -1))

    @property
    def mT(self: Any) -> Tensor:
        """The last two dims exchanged; a view."""
        if self.ndim < 2:
            raise RuntimeError(
                f"tensor.mT is only supported on matrices or batches of matrices, got {self.ndim}-D"
            )
        return shapes.transpose(self, -2, -1)

    @property
    def H(self: Any) -> Tensor:
        """A matrix transposed: numbers here are real; a view."""
        if self.ndim != 2:
            raise RuntimeError(
                f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor. For "
                "batches of matrices, consider using tensor.mH"
            )
        return shapes.transpose(self, 0, 1)

    @property
    def mH(self: Any) -> Tensor:
        """The last two dims exchanged, as `mT`: numbers here are real; a view."""
        if self.ndim < 2:
            raise RuntimeError(
                f"tensor.mH is only supported on matrices or batches of matrices, got {self.ndim}-D"
            )
        return shapes.transpose(self, -2, -1)

    gather, take_along_dim = scattering.gather, scattering.take_along_dim
    scatter, scatter_ = scattering.scatter, scattering.scatter_
    scatter_add, scatter_add_ = scattering.scatter_add, scattering.scatter_add_
    scatter_reduce, scatter_reduce_ = scattering.scatter_reduce, scattering.scatter_reduce_
    index_select = slices.index_select
    index_add, index_add_ = slices.index_add, slices.index_add_
    index_copy, index_copy_ = slices.index_copy, slices.index_copy_
    index_fill, index_fill_ = slices.index_fill, slices.index_fill_
    select_scatter, slice_scatter = slices.select_scatter, slices.slice_scatter
    index_reduce, index_reduce_ = slices.index_reduce, slices.index_reduce_
    diagonal_scatter = slices.diagonal_scatter
    cov, corrcoef = statistics.cov, statistics.corrcoef
    index_put, index_put_ = indexing.index_put, indexing.index_put_
    take, put, put_ = indexing.take, indexing.put, indexing.put_
    nonzero, argwhere = indexing.nonzero, indexing.argwhere
    masked_select = masking.masked_select
    masked_fill, masked_fill_ = masking.masked_fill, masking.masked_fill_
    masked_scatter, masked_scatter_ = masking.masked_scatter, masking.masked_scatter_
    __getitem__, __setitem__ = indexing.getitem, indexing.setitem

    __array__, __array_ufunc__, __array_wrap__ = interop.to_array, interop.array_ufunc, interop.array_wrap
    __array_priority__ = 1000  # ndarray * Tensor is a Tensor
    __dlpack__, __dlpack_device__ = interop.dlpack, interop.dlpack_device
    __cuda_array_interface__ = property(interop.cuda_array_interface)
    __deepcopy__, __reduce__ = interop.deepcopy, interop.reduce

    def __len__(self: Any) -> builtins.int:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self._array.shape[0]

    def __iter__(self: Any):
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self: Any, element) -> builtins.bool:
        if not _is_operand(element):
            raise RuntimeError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
            )
        return bool((self == element).any())

    def where(self: Any, condition: Tensor, other) -> Tensor:
        """Return this tensor where `condition` holds, else `other`."""
        return elementwise.where(condition, self, other)
