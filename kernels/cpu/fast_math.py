"""The functions of `math` that formulas call, for float32: without branches, so that LLVM vectorises them.

`lift` lets a formula's `math` mean this module when it compiles for float32; the formula stays as it is.
Each function takes and gives float32, raises nothing, and follows IEEE 754 for subnormal numbers, infinities
and nan. The error stays below 2 units in the last place over the whole range; that of gelu below 12, where
the result is above 1e-36. What is not replaced is Python's own `math`. `elementwise.OVERRIDES` has the
measurements.

Polynomials were fitted at Chebyshev points. Where a fused multiply-add is an instruction it is asked for by
name: the numbers left over at the end of an array get the same bits as those in vectors.
"""

import math
from collections.abc import Callable
from math import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    copysign,
    cos,
    cosh,
    erf,
    erfc,
    fabs,
    hypot,
    inf,
    log2,
    log10,
    nan,
    sin,
    sinh,
    sqrt,
    tan,
)

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from kernels.cpu.compile import jit, with_constants_of

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "copysign",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp_of",
    "expm1",
    "fabs",
    "gelu",
    "gelu_dx",
    "hypot",
    "inf",
    "log",
    "log1p",
    "log2",
    "log10",
    "nan",
    "pow",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
]

_FEATURES = llvmlite.binding.get_host_cpu_features()
# Elsewhere llvm.fma would be a call into the C library for every number.
_FUSES = bool(_FEATURES.get("fma") or _FEATURES.get("neon"))


@intrinsic
def fma(_context, x, y, z):
    """Return x * y + z, in the type of `x`, rounded once where the machine has the instruction."""

    def emit(_context, builder, _signature, arguments):
        if not _FUSES:
            return builder.fadd(builder.fmul(*arguments[:2]), arguments[2])
        kind = arguments[0].type
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fma.f{x.bitwidth}"
        )
        return builder.call(function, arguments)

    return x(x, x, x), emit


@intrinsic
def bits(_context, x):
    """Return the integer whose bits are those of a float: int32 of float32, int64 of float64."""

    def emit(_context, builder, _signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(x.bitwidth))

    return (types.int32 if x == types.float32 else types.int64)(x), emit


@intrinsic
def from_bits(_context, i):
    """Return the float32 whose bits are the lower 32 of an integer."""

    def emit(_context, builder, _signature, arguments):
        number = arguments[0]
        if i.bitwidth > 32:
            number = builder.trunc(number, ir.IntType(32))  # LLVM then does all that led here in 32 bits
        return builder.bitcast(number, ir.FloatType())

    return types.float32(i), emit


@intrinsic
def _double_of_bits(_context, i):
    """Return the float64 whose bits are those of an int64."""

    def emit(_context, builder, _signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), emit


def _single(function: Callable) -> Callable:
    """Compile for float32, with float constants of that type, into every caller."""
    return jit(with_constants_of(function, np.dtype("float32")), forceinline=True)


_MAGIC = np.float32(12582912.0)  # 1.5 * 2**23: adding it rounds to an integer, which its low bits then show
_MAGIC_BITS = 0x4B400000
_INF, _NAN = np.float32(math.inf), np.float32(math.nan)
_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693145751953125), np.float32(1.428606765330187e-06)  # n * high is exact


@_single
def _exp_series(r):
    """Return (exp(r) - 1 - r) / (r * r) for abs(r) <= ln(2) / 2."""
    p = fma(0.0013926250394433737, r, 0.00836323294788599)
    p = fma(p, r, 0.04166655242443085)
    p = fma(p, r, 0.16666576266288757)
    return fma(p, r, 0.5)


@_single
def _exp_of(r, i):
    """Return exp(r) * 2**i for abs(r) <= ln(2) / 2 and i, an int32, in [-252, 128]."""
    # In two factors: 2**i alone is out of range where the result is subnormal, or about to overflow.
    half = i >> 1
    e = fma(fma(_exp_series(r), r, 1.0), r, 1.0)
    return e * from_bits((half + 127) << 23) * from_bits((i - half + 127) << 23)


@_single
def exp(x):
    x = -104.0 if x < -104.0 else (89.0 if x > 89.0 else x)  # 0 and inf there; nan stays
    t = fma(x, _LOG2_E, _MAGIC)
    n = t - _MAGIC
    return _exp_of(fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, x)), np.int32(bits(t) - _MAGIC_BITS))


def exp_of(x):
    """Return exp(x) in a kernel of either type: this module's in float32, the C library's in float64."""
    raise NotImplementedError("exp_of is for compiled code")


@overload(exp_of, inline="never")
def _exp_of_type(x):
    if x == types.float32:
        return lambda x: exp(x)
    return lambda x: math.exp(x)


@_single
def expm1(x):
    limited = -20.0 if x < -20.0 else (89.0 if x > 89.0 else x)
    t = fma(limited, _LOG2_E, _MAGIC)
    n = t - _MAGIC
    r = fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, limited))
    half = from_bits((bits(t) - _MAGIC_BITS + 126) << 23)  # 2**(n - 1), in range where 2**n is not
    result = 2.0 * fma(half, fma(_exp_series(r) * r, r, r), half - 0.5)
    return x if fabs(x) < 1e-30 else result  # half of a subnormal number would lose a bit, -0.0 its sign


@_single
def log(x):
    tiny = x < 1.1754943508222875e-38
    scaled = x * 8388608.0 if tiny else x
    # x = m * 2**n, m in [sqrt(1/2), sqrt(2)): near 1 nothing is lost to cancellation.
    n = np.int32(np.int32(bits(scaled) - 0x3F3504F3) >> 23)
    f = from_bits(bits(scaled) - (n << 23)) - 1.0
    e = np.float32(n) - (23.0 if tiny else 0.0)
    p = fma(0.06971561827611923, f, -0.11479733884334564)
    p = fma(p, f, 0.11685419827699661)
    p = fma(p, f, -0.12425687164068222)
    p = fma(p, f, 0.14249058067798615)
    p = fma(p, f, -0.1666780263185501)
    p = fma(p, f, 0.20000715553760529)
    p = fma(p, f, -0.2499999701976776)
    p = fma(p, f, 0.3333333134651184)
    square = f * f
    tail = fma(p * f, square, fma(e, _LN2_LOW, -0.5 * square))
    result = fma(e, _LN2_HIGH, f + tail)
    # Zero, negative numbers, inf and nan have no exponent to speak of.
    result = result if x < _INF else x
    return (-_INF if x == 0.0 else _NAN) if x <= 0.0 else result


@_single
def log1p(x):
    u = 1.0 + x
    lost = (x - (u - 1.0)) / u  # what rounding took from u, as log sees it
    return log(u) + (lost if fabs(lost) < 1.0 else 0.0) if u != 1.0 else x


_SPLIT = np.float32(8388608.0)  # 2**23: from here on there are integers only
_MAGIC_64 = 6755399441055744.0  # 1.5 * 2**52, as _MAGIC
_MAGIC_64_BITS = 0x4338000000000000


@jit(forceinline=True)
def pow(x, y):
    # 2 ** (y * log2(abs(x))) in float64, where an error of 1e-10 in the logarithm is nothing; then the signs.
    a = fabs(x)
    tiny = a < np.float32(1.1754943508222875e-38)
    scaled = a * _SPLIT if tiny else a
    n = np.int32(np.int32(bits(scaled) - 0x3F3504F3) >> 23)
    m = np.float64(from_bits(bits(scaled) - (n << 23)))
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = fma(z, 0.22195308321368667, 0.26230818925253885)
    p = fma(p, z, 0.3205988979753252)
    p = fma(p, z, 0.41219858311113244)
    p = fma(p, z, 0.5770780163555854)
    p = fma(p, z, 0.9617966939259756)
    p = fma(p, z, 2.8853900817779268)
    log2 = fma(s, p, np.float64(n) - (23.0 if tiny else 0.0))
    log2 = -math.inf if a == np.float32(0.0) else log2
    log2 = log2 if a < _INF else np.float64(a)  # not a test for inf or nan: LLVM has no vectors for that
    t = np.float64(y) * log2
    t = -160.0 if t < -160.0 else (140.0 if t > 140.0 else t)
    shifted = t + _MAGIC_64
    r = t - (shifted - _MAGIC_64)
    q = fma(r, 1.5252733804059841e-05, 0.00015403530393381608)
    q = fma(q, r, 0.0013333558146428443)
    q = fma(q, r, 0.009618129107628477)
    q = fma(q, r, 0.05550410866482158)
    q = fma(q, r, 0.2402265069591007)
    q = fma(q, r, 0.6931471805599453)
    power = fma(q, r, 1.0)
    result = np.float32(power * _double_of_bits((bits(shifted) - _MAGIC_64_BITS + 1023) << 52))
    # Not `and` and `or`: they are branches.
    result = np.float32(1.0) if (y == np.float32(0.0)) | ((a == np.float32(1.0)) & (y == y)) else result
    b = fabs(y)
    half = b * np.float32(0.5)
    whole = (b >= _SPLIT) | ((b + _SPLIT) - _SPLIT == b)
    odd = whole & (b < np.float32(16777216.0)) & (half < _SPLIT) & ((half + _SPLIT) - _SPLIT != half)
    result = math.copysign(result, x) if odd else result
    result = _NAN if (x < np.float32(0.0)) & (log2 < math.inf) & (y == y) & (not whole) else result
    return np.float32(1.0) if x == np.float32(1.0) else result


@_single
def tanh(x):
    a = fabs(x)
    z = x * x
    p = fma(0.0022149027790874243, z, -0.00827245693653822)
    p = fma(p, z, 0.021746186539530754)
    p = fma(p, z, -0.053956348448991776)
    p = fma(p, z, 0.13333290815353394)
    p = fma(p, z, -0.3333333432674408)
    small = fma(p * z, a, a)
    large = 1.0 - 2.0 / (exp(2.0 * a) + 1.0)
    return math.copysign(small if a < 0.65 else large, x)


@_single
def _normal_density(a):
    """Return exp(-a * a / 2) for a >= 0, or nan; 0 from 13.2 on, where it is about to be subnormal."""
    h = -0.5 * a
    t = fma(h * a, _LOG2_E, _MAGIC)
    n = t - _MAGIC
    r = fma(h, a, -(n * _LN2_HIGH))  # h * a is not rounded here: it is what the result depends on most
    r = fma(n, -_LN2_LOW, r)
    e = fma(fma(_exp_series(r), r, 1.0), r, 1.0) * from_bits((bits(t) - _MAGIC_BITS + 127) << 23)
    return 0.0 if a > 13.2 else e


@_single
def _normal_tail(a, density):
    """Return the share of the normal distribution below -a, for a >= 0."""
    # Divided by density / (4 + a) it is a smooth function of q in [-0.57, 1], after M. M. Shepherd and
    # J. G. Laframboise, Mathematics of Computation 36 (1981). Even and odd powers apart: half as long a wait.
    s = 1.0 / (4.0 + a)
    q = fma(8.0, s, -1.0)
    z = q * q
    even = fma(0.0001948018471011892, z, -0.0035235739778727293)
    odd = fma(0.00012298315414227545, z, -0.001569313695654273)
    even = fma(even, z, 0.06040646880865097)
    odd = fma(odd, z, 0.007527213077992201)
    even = fma(even, z, 0.38713666796684265)
    odd = fma(odd, z, 0.18652300536632538)
    even = fma(even, z, 0.7552851438522339)
    odd = fma(odd, z, 0.607896625995636)
    return density * (s * fma(odd, q, even))


@_single
def gelu(x):
    a = fabs(x)
    tail = _normal_tail(a, _normal_density(a))
    return x * (tail if x < 0.0 else 1.0 - tail)


@_single
def gelu_dx(x, out, grad):
    a = fabs(x)
    density = _normal_density(a)
    tail = _normal_tail(a, density)
    return grad * ((tail if x < 0.0 else 1.0 - tail) + x * (0.3989422804014327 * density))
