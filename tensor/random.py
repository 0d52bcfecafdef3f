"""Random numbers: PyTorch's CPU generator, so that the same seed gives the same numbers, bit for bit."""

import contextlib
import math
import operator
import secrets
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from kernels import cpu
from tensor.devices import device as Device

_DEFAULT_SEED = 67280421310721

# The bytes of PyTorch's own generator state, so that states may be exchanged with it.
_STATE = np.dtype(
    [
        ("seed", "<u8"), ("left", "<i4"), ("seeded", "<i4"), ("next", "<u8"), ("words", "<u8", 624),
        ("normal_x", "<f8"), ("spare", "<f8"), ("normal_rho", "<f8"), ("has_spare", "<i4"), ("_1", "<i4"),
        ("float_spare", "<f4"), ("has_float_spare", "?"), ("_2", "V3"),
    ]
)  # fmt: skip


class Generator:
    """A Mersenne Twister (MT19937) and the numbers made from it.

    Draws the values that `torch.Generator` on the CPU draws from the same seed: `uniform`, `integers`,
    `permutation`, `bernoulli` and `normal` are equal bit for bit (compared with PyTorch 2.13 on x86-64 with
    AVX2; PyTorch's `normal` on other processors may differ in the last bit). May be used by several threads.

    A new one starts from a fixed seed, as PyTorch's does.
    """

    def __new__(cls, device: Any = "cpu"):
        """Return a generator of a device: for a GPU, one of `tensor.device_random`."""
        kind = Device(device).type
        if kind == "cuda" and cls is Generator:
            from tensor.device_random import DeviceGenerator, require_device  # which needs this file

            require_device()
            return object.__new__(DeviceGenerator)
        if kind not in ("cpu", "cuda"):
            raise RuntimeError(
                f"Generator: device {device} is not supported; random numbers are made on 'cpu' and 'cuda'"
            )
        return object.__new__(cls)

    def __init__(self, device: Any = "cpu"):
        self._lock = threading.Lock()
        self._seed(_DEFAULT_SEED)

    def _seed(self, seed: int) -> None:
        twister = np.random.MT19937()
        twister._legacy_seeding(seed & 0xFFFFFFFF)
        self._twister = twister
        self._words = np.random.Generator(twister)
        self._initial_seed = seed
        self._spare: float | None = None  # the second of a pair of normal numbers

    # --- seeds and states ---------------------------------------------------------------------------

    device = Device("cpu")

    def manual_seed(self, seed: int) -> "Generator":
        """Start anew from `seed` and return self.

        seed: an int in [-2**63, 2**64), negative ones counted back from 2**64. The twister itself takes the
        lower 32 bits. Raises ValueError outside that range, RuntimeError for something other than an int.
        """
        number = check_seed(seed)
        with self._lock:
            self._seed(number)
        return self

    def seed(self) -> int:
        """Start anew from a seed that the operating system draws, and return it."""
        seed = secrets.randbits(64)
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """Return the seed that this generator was started from."""
        return self._initial_seed

    def get_state(self) -> Any:
        """Return the whole state, a tensor (5056,) uint8 with the bytes that PyTorch's generator gives."""
        from tensor.engine import Tensor  # which draws from here: not when this is imported

        return Tensor._wrap(self.state_array())

    def state_array(self) -> np.ndarray:
        """Return what `get_state` does as an array."""
        state = np.zeros((), _STATE)
        with self._lock:
            twister = self._twister.state["state"]
            state["seed"], state["seeded"] = self._initial_seed, 1
            state["words"], state["left"] = twister["key"], 625 - twister["pos"]
            state["next"] = twister["pos"] % 624
            if self._spare is not None:
                state["spare"], state["has_spare"] = self._spare, 1
        return np.frombuffer(state.tobytes(), np.uint8).copy()

    def set_state(self, new_state: Any) -> None:
        """Continue from a state that `get_state` returned; (5056,) uint8, array or tensor.

        Raises TypeError for another element type and RuntimeError for another size.
        """
        array = np.asarray(getattr(new_state, "_array", new_state))
        if array.dtype != np.uint8:
            raise TypeError(
                f"set_state: expected a state of uint8, as get_state() returns, got {array.dtype}"
            )
        if array.size != _STATE.itemsize:
            raise RuntimeError(
                f"set_state: expected a state of {_STATE.itemsize} bytes, as get_state() returns, "
                f"got {array.size}"
            )
        state = np.frombuffer(array.tobytes(), _STATE)[0]
        left = int(state["left"])
        if not 1 <= left <= 624 or not state["seeded"]:
            raise RuntimeError("set_state: these bytes are not the state of a generator")
        with self._lock:
            self._twister.state = {
                "bit_generator": "MT19937",
                "state": {"key": state["words"].astype(np.uint32), "pos": 625 - left},
            }
            self._initial_seed = int(state["seed"])
            self._spare = float(state["spare"]) if state["has_spare"] else None

    def clone_state(self) -> "Generator":
        """Return another generator that will draw the same numbers."""
        return _restore(self.state_array())

    def __reduce__(self):
        return _restore, (self.state_array(),)

    # --- numbers ------------------------------------------------------------------------------------

    def _bits(self, count: int) -> np.ndarray:
        """Draw `count` words; the caller holds the lock if it draws more than once."""
        return self._words.integers(0, 2**32, count, np.uint32)

    def _words64(self, count: int) -> np.ndarray:
        bits = self._bits(2 * count).astype(np.uint64)
        return bits[0::2] << np.uint64(32) | bits[1::2]

    def uniform(
        self, shape: Iterable[int], low: float = 0.0, high: float = 1.0, dtype: DTypeLike = np.float32
    ) -> np.ndarray:
        """Draw numbers in [low, high); float32 (24 random bits each) or float64 (53).

        Raises RuntimeError if low > high.
        """
        shape, dtype = to_shape(shape), to_float_dtype(dtype, "uniform")
        check_uniform(low, high, dtype)
        bits = self._bits(math.prod(shape) * (dtype.itemsize // 4))
        return cpu.uniform_from_bits(bits, low, high, dtype).reshape(shape)

    def normal(
        self,
        shape: Iterable[int],
        mean: float = 0.0,
        std: float = 1.0,
        dtype: DTypeLike = np.float32,
        *,
        contiguous: bool = True,
    ) -> np.ndarray:
        """Draw normal numbers; float32 or float64.

        From 16 numbers on they are made in blocks; fewer are made in pairs in float64, and the second of a
        pair is kept for the next call. contiguous: False for numbers that are to fill a tensor whose memory
        is not contiguous: PyTorch then makes pairs whatever their number. Raises RuntimeError if std < 0.
        """
        shape, dtype = to_shape(shape), to_float_dtype(dtype, "normal")
        check_normal(std)
        size = math.prod(shape)
        if size >= 16 and contiguous:
            bits = self._bits(cpu.normal_words(size, dtype))
            return cpu.normal_from_bits(bits, size, mean, std, dtype).reshape(shape)
        if size == 0:
            return np.empty(shape, dtype)
        with self._lock:
            missing = size - (self._spare is not None)
            bits = self._bits(4 * (missing - missing // 2))
            out, self._spare = cpu.normal_pairs_from_bits(bits, size, self._spare, mean, std)
        return out.astype(dtype, copy=False).reshape(shape)

    def integers(self, low: int, high: int, shape: Iterable[int], dtype: DTypeLike = np.int64) -> np.ndarray:
        """Draw integers in [low, high), as `randint` does. Raises RuntimeError if low >= high."""
        shape = to_shape(shape)
        check_integers(low, high)
        span, size = high - low, math.prod(shape)
        # Short ranges take one word. The remainder favours small numbers a little: that is PyTorch's choice.
        if span < 2**28:
            values = (self._bits(size) % np.uint32(span)).astype(np.int64)
        else:
            values = (self._words64(size) % np.uint64(span)).view(np.int64)
        values += low  # wraps, as it should, where span >= 2**63
        return values.astype(dtype, copy=False).reshape(shape)

    def any_integers(self, shape: Iterable[int], dtype: DTypeLike) -> np.ndarray:
        """Draw integers over all that a type holds exactly and are not negative, as `random_()` does."""
        shape, found = to_shape(shape), np.dtype(dtype)
        size = math.prod(shape)
        span = any_integer_span(found)
        if found.itemsize == 8:
            values: np.ndarray = self._words64(size) % np.uint64(span)
        else:
            values = self._bits(size) % np.uint32(span)
        return values.astype(found).reshape(shape)

    def poisson(self, rates: np.ndarray) -> np.ndarray:
        """Draw from the Poisson distribution, one number for each rate, of the rates' shape and dtype."""
        found = [self._poisson(rate) for rate in rates.astype(np.float64).ravel().tolist()]
        return np.array(found, rates.dtype).reshape(rates.shape)

    def _poisson(self, rate: float) -> float:
        if rate == 0.0:
            return 0.0
        if rate < 10.0:  # as many uniform numbers as their product stays above exp(-rate) (Knuth)
            bound, count, product = math.exp(-rate), 0, 1.0
            while True:
                product *= self._double()
                if product <= bound:
                    return float(count)
                count += 1
        # The transformed rejection PTRS of W. Hoermann (1993).
        slam, log_rate = math.sqrt(rate), math.log(rate)
        b = 0.931 + 2.53 * slam
        a = -0.059 + 0.02483 * b
        inverse_alpha, squeeze = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2.0)
        while True:
            u, v = self._double() - 0.5, self._double()
            us = 0.5 - abs(u)
            k = math.floor((2.0 * a / us + b) * u + rate + 0.43)
            if us >= 0.07 and v <= squeeze:
                return float(k)
            if k < 0 or (us < 0.013 and v > us):
                continue
            bound = -rate + k * log_rate - math.lgamma(k + 1.0)
            if math.log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b) <= bound:
                return float(k)

    def _double(self) -> float:
        return float(self.uniform((), dtype=np.float64)[()])

    def permutation(self, n: int) -> np.ndarray:
        """Return 0 ... n - 1 in random order: (n,) int64, as `randperm` does."""
        if n < 0:
            raise RuntimeError(f"randperm: n must be non-negative, got {n}")
        return cpu.permutation_from_bits(self._bits(n - 1)) if n > 1 else np.arange(n, dtype=np.int64)

    def random_int64(self) -> int:
        """Draw an int in [0, 2**63), as `torch.empty((), dtype=torch.int64).random_()` does."""
        high, low = self._bits(2).tolist()
        return (high << 32 | low) & (2**63 - 1)

    def exponential(
        self, shape: Iterable[int], rate: float = 1.0, dtype: DTypeLike = np.float32
    ) -> np.ndarray:
        """Draw exponentially distributed numbers of mean 1 / rate; float32 or float64.

        Both are made of the same float64 draws. Raises RuntimeError unless rate > 0.
        """
        if not rate > 0.0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={rate}")
        shape, dtype = to_shape(shape), to_float_dtype(dtype, "exponential")
        numbers = self.uniform(shape, dtype=np.float64)
        return (-1.0 / rate * np.log1p(-numbers)).astype(dtype, copy=False)

    def multinomial(self, weights: np.ndarray, count: int, replacement: bool) -> np.ndarray:
        """Draw `count` indices of each row of `weights` (rows, n), as often as the weights say: int64.

        As PyTorch: with replacement (and for more than one draw), by where float64 draws fall among the
        cumulated weights; else the indices of the largest weights over exponential numbers.
        """
        if not replacement or count == 1:
            races = weights / self.exponential(weights.shape, dtype=weights.dtype)
            order = np.argsort(-races, axis=1, kind="stable")
            return order[:, :count].astype(np.int64, copy=False)
        found = np.empty((len(weights), count), np.int64)
        for row, drawn in zip(weights, found, strict=True):
            sums = np.cumsum(row, dtype=row.dtype)
            sums /= sums[-1]
            sums[-1] = 1.0
            drawn[:] = np.searchsorted(sums, self.uniform((count,), dtype=np.float64))
        return found

    def bernoulli(
        self, p: "float | np.ndarray", shape: Iterable[int] | None = None, dtype: DTypeLike | None = None
    ) -> np.ndarray:
        """Draw ones with probability p, else zeros.

        p: a number (compared with float64 draws, as dropout and `bernoulli_(p)` do) or a float32 or float64
        array of the result's shape or broadcastable to it (compared with draws of its own precision, as
        `torch.bernoulli(p)` does). shape: needed if p is a number. dtype: of the result; by default that of
        an array p, else float32. Raises RuntimeError where p is not in [0, 1].
        """
        if not isinstance(p, np.ndarray):
            if shape is None:
                raise TypeError("bernoulli: shape is needed where p is a number")
            if not 0.0 <= p <= 1.0:
                raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
            shape = to_shape(shape)
            ones = cpu.bernoulli_from_bits(self._bits(2 * math.prod(shape)), p).reshape(shape)
            return ones.astype(dtype or np.float32, copy=False)
        to_float_dtype(p.dtype, "bernoulli")
        if not np.all((p >= 0.0) & (p <= 1.0)):
            raise RuntimeError("bernoulli: Expected p_in >= 0 && p_in <= 1 to be true, for every p")
        shape = p.shape if shape is None else to_shape(shape)
        return (self.uniform(shape, dtype=p.dtype) < p).astype(dtype or p.dtype, copy=False)

    def words(self, count: int) -> np.ndarray:
        """Return the next `count` words of 32 bits: uint32."""
        return self._bits(count)

    def cauchy(
        self, shape: Iterable[int], median: float = 0.0, sigma: float = 1.0, dtype: DTypeLike = np.float32
    ) -> np.ndarray:
        """Draw Cauchy numbers, as `cauchy_` does."""
        numbers = self.uniform(shape, dtype=np.float64)
        return (median + sigma * np.tan(np.pi * (numbers - 0.5))).astype(dtype)

    def geometric(self, shape: Iterable[int], p: float, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Draw how many trials of probability p it took until one succeeded, as `geometric_` does."""
        numbers = self.uniform(shape, dtype=np.float64)
        with np.errstate(divide="ignore"):
            return np.ceil(np.log(numbers) / math.log1p(-p)).astype(dtype)

    def log_normal(
        self, shape: Iterable[int], mean: float = 1.0, std: float = 2.0, dtype: DTypeLike = np.float32
    ) -> np.ndarray:
        """Draw exp(x) of normal x, made in pairs, as `log_normal_` does."""
        return np.exp(self.normal(shape, mean, std, np.float64, contiguous=False)).astype(dtype)


def _restore(state: np.ndarray) -> Generator:
    generator = Generator()
    generator.set_state(state)
    return generator


# --- what is asked of every generator --------------------------------------------------------------


def check_seed(seed: Any) -> int:
    """Return a seed in [0, 2**64), negative ones counted back; see `Generator.manual_seed` for errors."""
    if isinstance(seed, bool | np.bool_) or not hasattr(seed, "__index__"):
        raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
    number = operator.index(seed)
    if not -(2**63) <= number < 2**64:
        raise ValueError(
            f"manual_seed: Overflow when unpacking long long: {number} is not in [-2**63, 2**64 - 1]"
        )
    return number % 2**64


def check_uniform(low: float, high: float, dtype: np.dtype) -> None:
    """Raise RuntimeError unless numbers of `dtype` can be drawn from [low, high)."""
    if not low <= high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
    if not high - low <= float(np.finfo(dtype).max):
        raise RuntimeError(f"uniform_: the range from={low} to={high} does not fit in {dtype}")


def check_normal(std: float) -> None:
    """Raise RuntimeError for a standard deviation below 0."""
    if not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")


def check_integers(low: int, high: int) -> None:
    """Raise RuntimeError unless there are integers in [low, high), and all fit int64."""
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    if low < -(2**63) or high > 2**63:
        raise RuntimeError(f"integers: [{low}, {high}) does not fit in int64")


def any_integer_span(dtype: np.dtype) -> int:
    """Return how many of 0, 1, 2, ... a type holds exactly, from the first on."""
    if dtype.kind == "f":
        return 2 ** (24 if dtype.itemsize == 4 else 53) + 1
    return 2 if dtype == np.bool_ else int(np.iinfo(dtype).max) + 1


def to_shape(shape: Iterable[int]) -> tuple[int, ...]:
    sizes = tuple(map(operator.index, shape))
    if any(n < 0 for n in sizes):
        raise RuntimeError(f"random: Trying to create tensor with negative dimension: {list(sizes)}")
    return sizes


def to_float_dtype(dtype: DTypeLike, operation: str) -> np.dtype:
    found = np.dtype(dtype)
    if found not in (np.float32, np.float64):
        raise NotImplementedError(f"{operation}: expected float32 or float64, got {found}")
    return found


default_generator = Generator()
"""What draws when no generator is given; its first seed comes from the operating system."""
default_generator.seed()

_here = threading.local()


def draw_by_default_from(generator: Generator) -> None:
    """Let this thread draw from `generator` wherever none is given.

    For a loader's workers: threads that took turns at one generator would give other numbers each run.
    """
    _here.generator = generator


def find_generator(given: Generator | None = None, device: Any = None) -> Generator:
    """Return the generator given or, where there is none, the default one of this thread, or of a GPU.

    device: where the numbers are to be, the CPU by default. Raises RuntimeError for a generator of another.
    """
    kind = "cpu" if device is None else Device(device).type
    if given is not None:
        if given.device.type != kind:
            raise RuntimeError(
                f"Expected a '{kind}' device type for generator but found '{given.device.type}'; make it by "
                f"torch.Generator('{kind}')"
            )
        return given
    if kind == "cuda":
        return default_generator_of_gpu()
    return getattr(_here, "generator", default_generator)


def default_generator_of_gpu() -> Generator:
    """Return what draws on the GPU where no generator is given."""
    from tensor import device_random  # which needs this file

    return device_random.default_generator


def manual_seed(seed: int) -> Generator:
    """Start the default generators, also the GPU's, anew from `seed`; return the CPU's."""
    default_generator_of_gpu().manual_seed(int(seed))
    return find_generator().manual_seed(int(seed))


def seed() -> int:
    """Start the default generators anew from a seed that the operating system draws, and return it."""
    drawn = find_generator().seed()
    default_generator_of_gpu().manual_seed(drawn)
    return drawn


def initial_seed() -> int:
    """Return the seed that the default generator was started from."""
    return find_generator().initial_seed()


def get_rng_state() -> Any:
    """Return the state of the default generator: a tensor (5056,) uint8."""
    return find_generator().get_state()


def set_rng_state(new_state: Any) -> None:
    """Let the default generator continue from a state that `get_rng_state` returned."""
    find_generator().set_state(new_state)


def states() -> tuple[bytes, bytes]:
    """Return where the default generators stand, the CPU's and the GPU's, for `set_states`."""
    return find_generator().state_array().tobytes(), default_generator_of_gpu().state_array().tobytes()


def set_states(found: tuple[bytes, bytes]) -> None:
    """Let the default generators continue from where `states` found them."""
    for generator, state in zip((find_generator(), default_generator_of_gpu()), found, strict=True):
        generator.set_state(np.frombuffer(state, np.uint8))


@contextlib.contextmanager
def fork_rng(enabled: bool = True) -> Iterator[None]:
    """Draw within the block as usual, and give the default generators their states back afterwards."""
    found = states() if enabled else None
    try:
        yield
    finally:
        if found is not None:
            set_states(found)
