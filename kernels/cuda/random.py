"""Random numbers of a counter: Philox 4x32-10 (J. Salmon et al. 2011), as PyTorch lays them out on a GPU.

Four words belong to each (seed, call, thread). A grid of `lanes` threads fills an array: thread t makes
elements t, t + lanes, t + 2 lanes, ..., as many with one call as four words give. What is drawn next begins
with a later call, so a generator's whole state is its seed and the number of calls.

What a CUDA graph draws is counted from an origin, (seed, call) in the GPU's memory, which is written anew
before each replay: `Draws`. Outside of graphs the origin is (0, 0).
"""

import math
from collections.abc import Callable

import numpy as np

from kernels.cuda import driver
from kernels.cuda.array import DeviceArray, empty, from_host
from kernels.cuda.compile import FLOATS, Kernel, cuda, device, kernel, register, specialised
from kernels.cuda.driver import keep_tables
from kernels.cuda.memory import cast, contiguous
from kernels.cuda.radix import sort_keys

_MASK, _32, _21, _ONE = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(21), np.uint64(1)
_FACTOR_A, _FACTOR_B = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_A, _WEYL_B = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_BLOCK = 256


@device
def _words(call, thread, seed):
    """Return four words, as uint64: ten rounds over the counter (call, thread) with the key `seed`."""
    a, b, c, d = call & _MASK, call >> _32, thread & _MASK, thread >> _32
    low, high = seed & _MASK, seed >> _32
    for _ in range(10):
        p, q = a * _FACTOR_A, c * _FACTOR_B
        a, b, c, d = (q >> _32) ^ b ^ low, q & _MASK, (p >> _32) ^ d ^ high, p & _MASK
        low, high = (low + _WEYL_A) & _MASK, (high + _WEYL_B) & _MASK
    return a, b, c, d


def _fill(size, lanes, seed, call, origin, first, second, out):
    key, begin = np.uint64(seed) + np.uint64(origin[0]), np.uint64(call) + np.uint64(origin[1])
    thread = cuda.grid(1)
    while thread < lanes:
        at, call_now = thread, begin
        while at < size:
            a, b, c, d = words(call_now, np.uint64(thread), key)  # noqa: F821
            if EACH == 4:  # noqa: F821
                w, x, y, z = four(a, b, c, d)  # noqa: F821
                out[at] = finished(w, first, second)  # noqa: F821
                at += lanes
                if at < size:
                    out[at] = finished(x, first, second)  # noqa: F821
                at += lanes
                if at < size:
                    out[at] = finished(y, first, second)  # noqa: F821
                at += lanes
                if at < size:
                    out[at] = finished(z, first, second)  # noqa: F821
            else:
                w, x = two(a, b, c, d)  # noqa: F821
                out[at] = finished(w, first, second)  # noqa: F821
                at += lanes
                if at < size:
                    out[at] = finished(x, first, second)  # noqa: F821
            at += lanes
            call_now += _ONE
        thread += cuda.gridsize(1)


# --- words to numbers ------------------------------------------------------------------------------
# In (0, 1]; 2**-32 and 2**-53 times a whole number and a half.


def _uniform_of_one(a):
    return T(a) * 2.3283064365386963e-10 + 1.1641532182693481e-10  # noqa: F821


def _uniform_of_two(a, b):
    return T(a ^ (b << _21)) * 1.1102230246251565e-16 + 5.551115123125783e-17  # noqa: F821


def _sin_cos(turns):
    """Return sine and cosine of 2 pi turns, 0 <= turns <= 1: Taylor's series around the nearest quarter."""
    # The library's own take local memory, for angles of any size.
    quarters = turns * 4.0
    n = np.int64(quarters + 0.5)
    x = (quarters - T(n)) * 1.5707963267948966  # noqa: F821
    z = x * x
    sin = z * (2.7557319223985893e-06 + z * (-2.505210838544172e-08 + z * (1.6059043836821613e-10 + z * (
        -7.647163731819816e-13 + z * 2.8114572543455206e-15))))  # fmt: skip
    sin = x + x * z * (-0.16666666666666666 + z * (0.008333333333333333 + z * (-0.0001984126984126984 + sin)))
    cos = z * (-2.7557319223985888e-07 + z * (2.08767569878681e-09 + z * (-1.1470745597729725e-11 + z * (
        4.779477332387385e-14 + z * -1.5619206968586225e-16))))  # fmt: skip
    cos = z * (-0.001388888888888889 + z * (2.48015873015873e-05 + cos))
    cos = 1.0 + z * (-0.5 + z * (0.041666666666666664 + cos))
    n = n & 3
    if n == 1:
        return cos, -sin
    if n == 2:
        return -sin, -cos
    return (-cos, sin) if n == 3 else (sin, cos)


def _normal_pair(u, turns):
    """Return two normal numbers of two uniform ones (G. Box and M. Muller 1958)."""
    radius = math.sqrt(-2.0 * math.log(u))
    sin, cos = sin_cos(turns)  # noqa: F821
    return radius * sin, radius * cos


def _four_uniform(a, b, c, d):
    return one(a), one(b), one(c), one(d)  # noqa: F821


def _two_uniform(a, b, c, d):
    return both(a, b), both(c, d)  # noqa: F821


def _four_normal(a, b, c, d):
    x, y = pair(one(a), one(b))  # noqa: F821
    z, w = pair(one(c), one(d))  # noqa: F821
    return x, y, z, w


def _two_normal(a, b, c, d):
    return pair(both(a, b), both(c, d))  # noqa: F821


def _between(x, low, high):
    value = x * (high - low) + low
    return low if value == high else value  # `high` is excluded


def _below(x, p, _):
    return p > 0.0 and (x < p or x == 1.0)  # where x is 1 `draw_uniform` gives 0


def _scaled(x, mean, std):
    return x * std + mean


@device
def _four_integers(a, b, c, d):
    return a, b, c, d


@device
def _two_integers(a, b, c, d):
    return (a << _32) | b, (c << _32) | d


@device
def _modulo(word, span, low):
    rest = word if span == 0 else word % np.uint64(span)  # 0: of 2**64
    return np.int64(rest + np.uint64(low))


def _floats(name: str, four, two, finished) -> Kernel:
    def scope(kind):
        def made(function, **names):
            return device(specialised(function, kind, names))

        pair = made(_normal_pair, sin_cos=made(_sin_cos))
        names = {"one": made(_uniform_of_one), "both": made(_uniform_of_two), "pair": pair}
        return {
            "words": _words, "EACH": 4 if kind["T"] == np.float32 else 2, "finished": made(finished),
            "four": made(four, **names), "two": made(two, **names),
        }  # fmt: skip

    return register(Kernel(_fill, f"{_COUNTS}, T, T, out T*", FLOATS, scope, name))


def _integers(name: str, each: int) -> Kernel:
    scope = {
        "words": _words, "EACH": each, "finished": _modulo, "four": _four_integers, "two": _two_integers,
    }  # fmt: skip
    return register(Kernel(_fill, f"{_COUNTS}, uint64, uint64, out T*", ["int64"], scope, name))


def _masks() -> Kernel:
    single = {"T": np.dtype(np.float32)}
    names = {"one": device(specialised(_uniform_of_one, single))}
    scope = {
        "words": _words, "EACH": 4, "finished": device(specialised(_below, single)),
        "four": device(specialised(_four_uniform, single, names)), "two": _two_integers,
    }  # fmt: skip
    return register(Kernel(_fill, f"{_COUNTS}, float32, float32, out B*", ["bool"], scope, "masks"))


_COUNTS = "int64, int64, uint64, uint64, int64*"
_uniform = _floats("uniform", _four_uniform, _two_uniform, _between)
_normal = _floats("normal", _four_normal, _two_normal, _scaled)
_below_p = _masks()
_of_words = _integers("integers", 4)
_of_pairs = _integers("wide_integers", 2)


@keep_tables(1)
def _nowhere() -> DeviceArray:
    return _zeros()


def _zeros() -> DeviceArray:
    return from_host(np.zeros(2, np.int64))


@kernel("int64, int64, out T*", ["int64"])
def _begin(seed, call, origin):
    if cuda.grid(1) == 0:
        origin[0] = seed
        origin[1] = call


class Draws:
    """What a graph draws of one generator. To be made while it is captured.

    take(calls): returns the generator's seed and the number of its next call, and goes on by so many.
    """

    def __init__(self, take: Callable[[int], tuple[int, int]]):
        self._take, self.calls = take, 0
        self.origin: DeviceArray = driver.streams.capture.constant(_zeros)

    def begin_replay(self) -> None:
        """Write down where the next replay begins."""
        seed, call = self._take(self.calls)
        _begin.launch(1, 1, seed - (seed >> 63 << 64), call, self.origin)


def _run(made: Kernel, shape, dtype, each: int, seed: int, call: int, first, second, origin):
    """Return an array filled by a kernel, and how many calls it took."""
    out = empty(shape, dtype)
    if not out.size:
        return out, 0
    lanes = min(driver.resident_threads() // _BLOCK, -(-out.size // _BLOCK)) * _BLOCK
    calls = -(-out.size // (lanes * each))
    start = _nowhere() if origin is None else origin
    made.over(min(lanes, out.size), out.size, lanes, seed, call, start, first, second, out)
    return out, calls


def draw_uniform(shape, low: float, high: float, dtype, seed: int, call: int, origin=None):
    """Return numbers in [low, high), float32 or float64, and how many calls were used up.

    origin: of `Draws`: what `seed` and `call` are counted from, as in the other functions.
    """
    dtype = np.dtype(dtype)
    return _run(_uniform, shape, dtype, 4 if dtype == np.float32 else 2, seed, call, low, high, origin)


def draw_mask(shape, p: float, seed: int, call: int, origin=None) -> tuple[DeviceArray, int]:
    """Return bools, where `draw_uniform` gives float32 numbers in [0, 1) below p, and the calls used up."""
    return _run(_below_p, shape, np.bool_, 4, seed, call, p, 0.0, origin)


def draw_normal(shape, mean: float, std: float, dtype, seed: int, call: int, origin=None):
    """Return normal numbers, float32 or float64, and how many calls were used up."""
    dtype = np.dtype(dtype)
    return _run(_normal, shape, dtype, 4 if dtype == np.float32 else 2, seed, call, mean, std, origin)


def draw_integers(shape, low: int, span: int, wide: bool, seed: int, call: int, origin=None):
    """Return int64 in [low, low + span), the rest of words of 32 bits (wide: 64), and the calls used up."""
    made, each = (_of_pairs, 2) if wide else (_of_words, 4)
    return _run(made, shape, np.int64, each, seed, call, span % 2**64, low % 2**64, origin)


def draw_permutation(n: int, seed: int, call: int, origin=None) -> tuple[DeviceArray, int]:
    """Return 0 ... n - 1 in random order, int64, and the calls used up: the order of n random keys."""
    # Keys so long that of n none are equal, but for one time in 2**16.
    bits = min(2 * max(n - 1, 1).bit_length() + 16, 63)
    keys, calls = draw_integers((n,), 0, 1 << bits, True, seed, call, origin)
    return sort_keys(keys, 1 << bits)[1], calls


# --- Poisson ---------------------------------------------------------------------------------------

_POISSON_CALLS = 1 << 16
"""Calls set apart for an array: of each a number takes two draws, and few numbers take ten."""


def _uniform_double(call, thread, seed, n):
    """Return draw n of a thread, in (0, 1]."""
    a, b, c, d = words(call + np.uint64(n >> 1), thread, seed)  # noqa: F821
    return one(a, b) if n & 1 == 0 else one(c, d)  # noqa: F821


def _poisson_number(rate, call, thread, seed):
    if rate == 0.0 or not rate < math.inf:
        return rate
    n = 0
    if rate < 10.0:  # as many uniform numbers as their product stays above exp(-rate) (Knuth)
        bound, count, product = math.exp(-rate), 0.0, draw(call, thread, seed, 0)  # noqa: F821
        while product > bound:
            n += 1
            count += 1.0
            product *= draw(call, thread, seed, n)  # noqa: F821
        return count
    # The transformed rejection PTRS of W. Hoermann (1993).
    log_rate, b = math.log(rate), 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha, squeeze = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, v = draw(call, thread, seed, n) - 0.5, draw(call, thread, seed, n + 1)  # noqa: F821
        n += 2
        us = 0.5 - abs(u)
        if us == 0.0:
            continue
        at = (2.0 * a / us + b) * u + rate + 0.43
        if at < 0.0:
            continue
        k = T(np.int64(at)) if at < 4503599627370496.0 else at  # noqa: F821
        if us >= 0.07 and v <= squeeze:
            return k
        if us < 0.013 and v > us:
            continue
        bound = -rate + k * log_rate - math.lgamma(k + 1.0)
        if math.log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b) <= bound:
            return k


def _poisson_scope(kind):
    one = device(specialised(_uniform_of_two, kind))
    draw = device(specialised(_uniform_double, kind, {"words": _words, "one": one}))
    return {"number": device(specialised(_poisson_number, kind, {"draw": draw}))}


@kernel("int64, uint64, uint64, int64*, T*, out T*", ["float64"], _poisson_scope)
def _poisson(size, seed, call, origin, rates, out):
    key, begin = np.uint64(seed) + np.uint64(origin[0]), np.uint64(call) + np.uint64(origin[1])
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        out[i] = number(rates[i], begin, np.uint64(i), key)  # noqa: F821


def draw_poisson(rates: DeviceArray, seed: int, call: int, origin=None) -> tuple[DeviceArray, int]:
    """Return draws of the Poisson distribution, one for each rate, of the rates' type; and the calls used."""
    out = empty(rates.shape, np.float64)
    given = rates if rates.dtype == np.float64 else cast(rates, np.dtype(np.float64))
    start = _nowhere() if origin is None else origin
    _poisson.over(out.size, out.size, seed, call, start, contiguous(given), out)
    return out if rates.dtype == np.float64 else cast(out, rates.dtype), _POISSON_CALLS
