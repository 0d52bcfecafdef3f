"""Turn the words of a Mersenne Twister into random numbers, with PyTorch's CPU arithmetic to the last bit.

Every function takes `bits`, uint32 words in the order they were drawn, and returns a flat array. Where
PyTorch's compiler fused a multiplication with an addition, `fma` stands here: the sum is rounded once, and
the plain expression would differ in every second value.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernels.cpu.compile import jit, kernel

MASK_24, SHIFT_32, MASK_53 = np.uint32((1 << 24) - 1), np.uint64(32), np.uint64((1 << 53) - 1)
TINY_32, TINY_64 = np.float32(2.0**-24), 2.0**-53


@intrinsic
def fma(_typing, a, b, c):
    """Return a * b + c, rounded once; all three of one type, float32 or float64."""
    if not (isinstance(a, types.Float) and a == b == c):
        return None
    return a(a, a, a), lambda _context, builder, _signature, args: builder.fma(*args)


@intrinsic
def _bits_of(_typing, x):
    if x != types.float32:
        return None
    return types.int32(x), lambda _c, builder, _s, args: builder.bitcast(args[0], ir.IntType(32))


@intrinsic
def _float_of(_typing, bits):
    if bits != types.int32:
        return None
    return types.float32(bits), lambda _c, builder, _s, args: builder.bitcast(args[0], ir.FloatType())


@jit
def _double(bits, i):
    """Return the i-th number in [0, 1) of 53 bits, made of two words; the first is the upper one."""
    return ((np.uint64(bits[2 * i]) << SHIFT_32 | np.uint64(bits[2 * i + 1])) & MASK_53) * TINY_64


# --- uniform ---------------------------------------------------------------------------------------


@kernel("out T[::1], uint32[::1], T, T")
def _uniform32(out, bits, low, high):
    span = high - low
    for i in range(out.size):
        # through int32: the conversion of unsigned words has no vector instruction before AVX-512
        value = fma(np.float32(np.int32(bits[i] & MASK_24)) * TINY_32, span, low)
        out[i] = low if value == high else value  # rounding may reach `high`, which is excluded


@kernel("out T[::1], uint32[::1], T, T")
def _uniform64(out, bits, low, high):
    span = high - low
    for i in range(out.size):
        value = fma(_double(bits, i), span, low)
        out[i] = low if value == high else value


def uniform_from_bits(bits: np.ndarray, low: float, high: float, dtype: np.dtype) -> np.ndarray:
    """Return numbers in [low, high): float32 of one word each (24 bits), float64 of two (53 bits)."""
    if dtype == np.float32:
        out = np.empty(bits.size, np.float32)
        _uniform32(out, bits, low, high)
    else:
        out = np.empty(bits.size // 2, np.float64)
        _uniform64(out, bits, low, high)
    return out


def bernoulli_from_bits(bits: np.ndarray, p: float) -> np.ndarray:
    """Return bools, each True with probability p: a number of 53 bits (two words) below p."""
    out = np.empty(bits.size // 2, np.uint8)
    _below(out, bits, p)
    return out.view(np.bool_)


@kernel("out T[::1], uint32[::1], float64")
def _below(out, bits, p):
    for i in range(out.size):
        out[i] = _double(bits, i) < p


# --- normal ----------------------------------------------------------------------------------------

# Logarithm, sine and cosine in float32 after Cephes (S. L. Moshier, 1992; `logf.c`, `sinf.c`), which PyTorch
# runs in vectors of eight. Module constants, since a literal would make the arithmetic float64.
_f = np.float32
SQRT_HALF, HALF, ONE, MINUS_TWO, TWO_PI = _f(math.sqrt(0.5)), _f(0.5), _f(1), _f(-2), _f(2 * math.pi)
L0, L1, L2 = _f(7.0376836292e-2), _f(-1.1514610310e-1), _f(1.1676998740e-1)
L3, L4, L5 = _f(-1.2420140846e-1), _f(1.4249322787e-1), _f(-1.6668057665e-1)
L6, L7, L8 = _f(2.0000714765e-1), _f(-2.4999993993e-1), _f(3.3333331174e-1)
LN2_LOW, LN2_HIGH = _f(-2.12194440e-4), _f(0.693359375)
FOUR_OVER_PI = _f(4 / math.pi)
PI_4_HIGH, PI_4_MIDDLE, PI_4_LOW = _f(-0.78515625), _f(-2.4187564849853515625e-4), _f(-3.77489497744594108e-8)
S0, S1, S2 = _f(-1.9515295891e-4), _f(8.3321608736e-3), _f(-1.6666654611e-1)
C0, C1, C2 = _f(2.443315711809948e-5), _f(-1.388731625493765e-3), _f(4.166664568298827e-2)
I0, I1, I2, I4, I23, I31 = (np.int32(i) for i in (0, 1, 2, 4, 23, 31))
CHUNK = 512
EXPONENT_BIAS, MANTISSA, HALF_BITS = np.int32(126), np.int32(0x007FFFFF), np.int32(0x3F000000)


@jit
def _log32(x):
    """Return log(x) of a normal, positive float32."""
    bits = _bits_of(x)
    exponent = np.float32(np.int32((bits >> I23) - EXPONENT_BIAS))
    x = _float_of(np.int32((bits & MANTISSA) | HALF_BITS))
    small = x < SQRT_HALF
    exponent = exponent - (ONE if small else np.float32(0))
    x = (x - ONE) + (x if small else np.float32(0))
    square = x * x
    y = fma(fma(fma(fma(L0, x, L1), x, L2), x, L3), x, L4)
    y = fma(fma(fma(fma(y, x, L5), x, L6), x, L7), x, L8)
    y = fma(y * x, square, exponent * LN2_LOW)
    y = fma(-HALF, square, y)
    return fma(exponent, LN2_HIGH, x + y)


@jit
def _sin_cos32(x):
    """Return (sin(x), cos(x)) of a float32, x >= 0."""
    octant = (np.int32(x * FOUR_OVER_PI) + I1) & np.int32(-2)
    turn = np.float32(octant)
    x = fma(turn, PI_4_LOW, fma(turn, PI_4_MIDDLE, fma(turn, PI_4_HIGH, x)))
    z = x * x
    cos = fma(fma(C0, z, C1), z, C2) * z
    cos = fma(cos, z, -(z * HALF)) + ONE
    sin = fma(fma(fma(S0, z, S1), z, S2) * z, x, x)
    # signs go in as bits, without a branch, so that the loop becomes vector instructions
    swap = (octant & I2) != I0
    sin_sign = (octant & I4) << np.int32(29)
    cos_sign = (~(octant - I2) & I4) << np.int32(29)
    sin, cos = (cos if swap else sin), (sin if swap else cos)
    return _float_of(np.int32(_bits_of(sin) ^ sin_sign)), _float_of(np.int32(_bits_of(cos) ^ cos_sign))


@kernel("out T[::1], uint32[::1], T, T")
def _normal32(out, bits, mean, std):
    # Not a loop over blocks of 8 pairs: so short a loop is unrolled, and never becomes vector instructions.
    first, second = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.float32)
    pairs = bits.size // 2
    for start in range(0, pairs, CHUNK):
        count = min(CHUNK, pairs - start)
        for i in range(0, count, 8):
            for j in range(8):
                word = 2 * (start + i) + j
                first[i + j] = np.float32(np.int32(bits[word] & MASK_24)) * TINY_32
                second[i + j] = np.float32(np.int32(bits[word + 8] & MASK_24)) * TINY_32
        for i in range(count):
            radius = np.sqrt(MINUS_TWO * _log32(ONE - first[i]))
            sin, cos = _sin_cos32(TWO_PI * second[i])
            first[i], second[i] = fma(radius * cos, std, mean), fma(radius * sin, std, mean)
        for i in range(0, count, 8):
            to = min(2 * (start + i), out.size - 16)
            for j in range(8):
                out[to + j], out[to + 8 + j] = first[i + j], second[i + j]


@kernel("out T[::1], uint32[::1], T, T")
def _normal64(out, bits, mean, std):
    for block in range(bits.size // 32):
        start = min(16 * block, out.size - 16)
        for i in range(8):
            radius = math.sqrt(-2.0 * math.log(1.0 - _double(bits, 16 * block + i)))
            angle = 2.0 * math.pi * _double(bits, 16 * block + 8 + i)
            out[start + i] = fma(radius * math.cos(angle), std, mean)
            out[start + 8 + i] = fma(radius * math.sin(angle), std, mean)


def normal_words(size: int, dtype: np.dtype) -> int:
    """Return how many words `normal_from_bits` needs for `size` (16 or more) numbers."""
    per_number = 1 if dtype == np.float32 else 2
    return per_number * (size if size % 16 == 0 else size + 16)


def normal_from_bits(bits: np.ndarray, size: int, mean: float, std: float, dtype: np.dtype) -> np.ndarray:
    """Return `size` (16 or more) normal numbers of float32 or float64: Box and Muller (1958) in blocks of 16.

    Where 16 does not divide `size`, the last 16 numbers are made once more, of 16 further draws; what was
    drawn for them before is dropped. bits: `normal_words(size, dtype)` words.
    """
    out = np.empty(size, dtype)
    block = 16 if dtype == np.float32 else 32
    tail = size % 16 * (block // 16)
    used = np.delete(bits, np.s_[bits.size - block - tail : bits.size - block]) if tail else bits
    (_normal32 if dtype == np.float32 else _normal64)(out, used, mean, std)
    return out


@kernel("out T[::1], uint32[::1], out T[::1], boolean, T, T")
def _normal_pairs(out, bits, spare, has_spare, mean, std):
    i = 0
    if has_spare:
        out[0] = fma(spare[0], std, mean)
        i = 1
    for pair in range(bits.size // 4):
        angle = 2.0 * math.pi * _double(bits, 2 * pair)
        radius = math.sqrt(-2.0 * math.log1p(-_double(bits, 2 * pair + 1)))
        out[i] = fma(radius * math.cos(angle), std, mean)
        if i + 1 < out.size:
            out[i + 1] = fma(radius * math.sin(angle), std, mean)
        else:
            spare[0] = radius * math.sin(angle)
        i += 2


def normal_pairs_from_bits(
    bits: np.ndarray, size: int, spare: float | None, mean: float, std: float
) -> tuple[np.ndarray, float | None]:
    """Return `size` float64 normal numbers made in pairs, and the standard normal number left over, if any.

    spare: what an earlier call left over; it comes first. bits: four words a pair.
    """
    out = np.empty(size, np.float64)
    kept = np.array([0.0 if spare is None else spare])
    _normal_pairs(out, bits, kept, spare is not None, mean, std)
    return out, float(kept[0]) if (size - (spare is not None)) % 2 else None


# --- permutation -----------------------------------------------------------------------------------


@kernel("out T[::1], uint32[::1]")
def _shuffle(out, bits):
    n = out.size
    for i in range(n):
        out[i] = i
    for i in range(n - 1):
        j = i + np.int64(bits[i] % np.uint32(n - i))
        out[i], out[j] = out[j], out[i]


def permutation_from_bits(bits: np.ndarray) -> np.ndarray:
    """Return 0 ... bits.size in random order, int64 (Fisher and Yates 1938, from the front)."""
    out = np.empty(bits.size + 1, np.int64)
    _shuffle(out, bits)
    return out
