"""The GPU's generator: its own stream of numbers, counted and not stepped (Philox), made where they are used.

Its numbers are other ones than the CPU's for the same seed, as in PyTorch. `rand`, `randn` and `randint` draw
PyTorch's on a GPU: uniform numbers and integers bit for bit; normal ones but for the last bits, since PyTorch
takes the hardware's sine. As in PyTorch, arrays of more numbers than the GPU has threads at once depend on
its model. Masks of dropout, permutations and draws by weights are other ones than PyTorch's.
"""

import math
import secrets
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tensor.devices import CUDA, cuda_kernels, is_capturing, missing_for_cuda
from tensor.random import (
    Generator,
    any_integer_span,
    check_integers,
    check_normal,
    check_seed,
    check_uniform,
    to_float_dtype,
    to_shape,
)

_OFFSETS_OF_A_CALL = 4  # PyTorch counts numbers, of which a call gives four
_DEFAULT_SEED = 67280421310721


class DeviceGenerator(Generator):
    """Draws arrays on the GPU; its state is a seed and an offset. May be used by several threads."""

    device = CUDA

    def __init__(self, device: Any = CUDA):
        self._lock = threading.Lock()
        self._initial_seed, self._call = _DEFAULT_SEED, 0

    # --- seeds and states --------------------------------------------------------------------------

    def manual_seed(self, seed: int) -> "DeviceGenerator":
        """Start anew from `seed` and return self; an int in [-2**63, 2**64)."""
        number = check_seed(seed)
        _check_not_captured("manual_seed")
        with self._lock:
            self._initial_seed, self._call = number, 0
        return self

    def seed(self) -> int:
        """Start anew from a seed that the operating system draws, and return it."""
        seed = secrets.randbits(64)
        self.manual_seed(seed)
        return seed

    def state_array(self) -> np.ndarray:
        """Return what `get_state` does as an array: the bytes of the seed and of the offset, as PyTorch's."""
        _check_not_captured("get_state")
        with self._lock:
            numbers = [self._initial_seed, self._call * _OFFSETS_OF_A_CALL]
        return np.array(numbers, "<u8").view(np.uint8)

    def set_state(self, new_state: Any) -> None:
        """Continue from a state that `get_state` returned; (16,) uint8 on the CPU, array or tensor."""
        _check_not_captured("set_state")
        array = np.asarray(getattr(new_state, "_array", new_state))
        if array.dtype != np.uint8:
            raise TypeError(
                f"set_state: expected a state of uint8, as get_state() returns, got {array.dtype}"
            )
        if array.size != 16:
            raise RuntimeError(
                f"set_state: RNG state is wrong size: expected the 16 bytes of a GPU's generator, "
                f"got {array.size}"
            )
        seed, offset = np.ascontiguousarray(array).reshape(-1).view("<u8").tolist()
        if offset % _OFFSETS_OF_A_CALL:
            raise RuntimeError(f"set_state: offset must be a multiple of 4, got {offset}")
        with self._lock:
            self._initial_seed, self._call = seed, offset // _OFFSETS_OF_A_CALL

    def get_offset(self) -> int:
        """Return how many numbers of each thread have been used up, a multiple of 4."""
        _check_not_captured("get_offset")
        return self._call * _OFFSETS_OF_A_CALL

    def set_offset(self, offset: int) -> None:
        """Continue from an offset, a multiple of 4."""
        _check_not_captured("set_offset")
        if offset < 0 or offset % _OFFSETS_OF_A_CALL:
            raise RuntimeError(f"set_offset: offset must be a multiple of 4, got {offset}")
        with self._lock:
            self._call = offset // _OFFSETS_OF_A_CALL

    def clone_state(self) -> "DeviceGenerator":
        """Return another generator that will draw the same numbers."""
        return _restore(self.state_array())

    def __reduce__(self):
        return _restore, (self.state_array(),)

    # --- numbers -----------------------------------------------------------------------------------

    def _take(self, calls: int) -> tuple[int, int]:
        """Return the seed and the number of the next call, and go on by so many."""
        with self._lock:
            seed, call = self._initial_seed, self._call
            self._call += calls
        return seed, call

    def _draw(self, kernel, *arguments):
        streams = cuda_kernels().driver.streams
        capture = streams.capture
        if capture is not None and capture.takes(streams.handle):
            draws = capture.draws.get(self)
            if draws is None:
                draws = capture.draws[self] = cuda_kernels().graphs.Draws(self._take)
            array, calls = kernel(*arguments, 0, draws.calls, draws.origin)
            draws.calls += calls
            return array
        with self._lock:
            array, calls = kernel(*arguments, self._initial_seed, self._call)
            self._call += calls
        return array

    def uniform(
        self, shape: Iterable[int], low: float = 0.0, high: float = 1.0, dtype: DTypeLike = np.float32
    ) -> Any:
        """Draw numbers in [low, high); float32 (32 random bits each) or float64 (53)."""
        sizes, found = to_shape(shape), to_float_dtype(dtype, "uniform")
        check_uniform(low, high, found)
        return self._draw(cuda_kernels().draw_uniform, sizes, float(low), float(high), found)

    def normal(
        self,
        shape: Iterable[int],
        mean: float = 0.0,
        std: float = 1.0,
        dtype: DTypeLike = np.float32,
        *,
        contiguous: bool = True,
    ) -> Any:
        """Draw normal numbers; float32 or float64."""
        sizes, found = to_shape(shape), to_float_dtype(dtype, "normal")
        check_normal(std)
        return self._draw(cuda_kernels().draw_normal, sizes, float(mean), float(std), found)

    def integers(self, low: int, high: int, shape: Iterable[int], dtype: DTypeLike = np.int64) -> Any:
        """Draw integers in [low, high), as `randint` does."""
        sizes = to_shape(shape)
        check_integers(low, high)
        span = high - low
        return self._cast(
            self._draw(cuda_kernels().draw_integers, sizes, low, span, span >= 2**28), np.dtype(dtype)
        )

    def any_integers(self, shape: Iterable[int], dtype: DTypeLike) -> Any:
        """Draw integers over all that a type holds exactly and are not negative, as `random_()` does."""
        found = np.dtype(dtype)
        drawn = self._draw(
            cuda_kernels().draw_integers, to_shape(shape), 0, any_integer_span(found), found.itemsize == 8
        )
        return self._cast(drawn, found)

    def _cast(self, array, dtype: np.dtype):
        return array if array.dtype == dtype else cuda_kernels().cast(array, dtype)

    def permutation(self, n: int) -> Any:
        """Return 0 ... n - 1 in random order: (n,) int64."""
        if n < 0:
            raise RuntimeError(f"randperm: n must be non-negative, got {n}")
        return self._draw(cuda_kernels().draw_permutation, n)

    def random_int64(self) -> int:
        """Draw an int in [0, 2**63)."""
        return self.any_integers((), np.int64).item()

    def bernoulli(self, p: Any, shape: Iterable[int] | None = None, dtype: DTypeLike | None = None) -> Any:
        """Draw ones with probability p, a number or an array on the GPU, else zeros."""
        k = cuda_kernels()
        if isinstance(p, int | float):
            if shape is None:
                raise TypeError("bernoulli: shape is needed where p is a number")
            if not 0.0 <= p <= 1.0:
                raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
            found = np.dtype(dtype or np.float32)
            if found == np.float64:
                ones = k.compare("lt", self.uniform(shape, dtype=found), k.full((), p, found))
            else:
                ones = self._draw(k.draw_mask, to_shape(shape), float(p))
            return self._cast(ones, found)
        to_float_dtype(p.dtype, "bernoulli")
        told = "bernoulli: Expected p_in >= 0 && p_in <= 1 to be true, for every p"
        k.check_between(p, 0.0, 1.0, RuntimeError, told)
        ones = k.compare("lt", self.uniform(p.shape if shape is None else shape, dtype=p.dtype), p)
        return self._cast(ones, np.dtype(dtype or p.dtype))

    def exponential(self, shape: Iterable[int], rate: float = 1.0, dtype: DTypeLike = np.float32) -> Any:
        """Draw exponentially distributed numbers of mean 1 / rate; float32 or float64."""
        if not rate > 0.0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={rate}")
        found = to_float_dtype(dtype, "exponential")
        k = cuda_kernels()
        # Of numbers in (0, 1), so that no logarithm is 0: the races of `multinomial` divide by them.
        logs = k.forward("log", self._above_zero(shape, found))
        return k.forward("mul", logs, k.full((), -1.0 / rate, found))

    def _above_zero(self, shape: Iterable[int], dtype: np.dtype):
        """Draw numbers in (0, 1)."""
        k = cuda_kernels()
        drawn = self.uniform(shape, dtype=dtype)
        half = float(np.finfo(dtype).eps) / 2
        return k.forward("clamp", drawn, half / 2**32, 1.0 - half)

    def cauchy(
        self, shape: Iterable[int], median: float = 0.0, sigma: float = 1.0, dtype: DTypeLike = np.float32
    ) -> Any:
        """Draw Cauchy numbers: the quotients of two normal ones."""
        k, found = cuda_kernels(), np.dtype(dtype)
        quotient = k.forward("div", self.normal(shape, dtype=found), self.normal(shape, dtype=found))
        scaled = k.forward("mul", quotient, k.full((), sigma, found))
        return k.forward("add", scaled, k.full((), median, found))

    def geometric(self, shape: Iterable[int], p: float, dtype: DTypeLike = np.float32) -> Any:
        """Draw how many trials of probability p it took until one succeeded."""
        k, real = cuda_kernels(), np.dtype(np.float64)
        logs = k.forward("log", self._above_zero(shape, real))
        trials = k.round(k.forward("div", logs, k.full((), math.log1p(-p), real)), "ceil")
        return self._cast(trials, np.dtype(dtype))

    def log_normal(
        self, shape: Iterable[int], mean: float = 1.0, std: float = 2.0, dtype: DTypeLike = np.float32
    ) -> Any:
        """Draw exp(x) of normal x."""
        return cuda_kernels().forward("exp", self.normal(shape, mean, std, dtype))

    def multinomial(self, weights: Any, count: int, replacement: bool) -> Any:
        """Draw `count` indices of each row of `weights` (rows, n), as often as the weights say: int64."""
        k, dtype = cuda_kernels(), weights.dtype
        if not replacement or count == 1:
            races = k.forward("div", weights, self.exponential(weights.shape, dtype=dtype))
            return k.topk(races, count, 1, True)[1]
        sums = k.cumsum(weights, 1)
        drawn = self.uniform((weights.shape[0], count), dtype=dtype)
        found = k.searchsorted(sums, k.forward("mul", drawn, sums[:, -1:]), True)
        # rounding may lead beyond the last one
        return k.forward("minimum", found, k.full((), weights.shape[1] - 1, np.dtype(np.int64)))

    def poisson(self, rates: Any) -> Any:
        """Draw from the Poisson distribution, one number for each rate, of the rates' shape and dtype."""
        return self._draw(cuda_kernels().draw_poisson, rates)

    def words(self, count: int) -> Any:
        """Return random words of 32 bits: int64."""
        return self.integers(0, 2**32, (count,))


def _check_not_captured(name: str) -> None:
    if is_capturing():
        raise RuntimeError(
            f"{name}: the state of the GPU's generator is set and read outside of a CUDA graph's capture: "
            "each replay draws from where the generator then stands; checkpoint() needs preserve_rng_state="
            "False here"
        )


def _restore(state: np.ndarray) -> DeviceGenerator:
    generator = DeviceGenerator()
    generator.set_state(state)
    return generator


def require_device() -> None:
    """Raise RuntimeError where there is no GPU."""
    missing = missing_for_cuda()
    if missing is not None:
        raise RuntimeError(f"Generator: device cuda is not supported here: {missing}")


default_generator = DeviceGenerator()
"""What draws on the GPU when no generator is given; its first seed comes from the operating system."""
default_generator.seed()
