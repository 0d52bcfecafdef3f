"""kernels/cuda/random.py: words, the order they are laid out in, and what is made of them."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cuda as k
from kernels.cuda import driver

pytestmark = pytest.mark.usefixtures("device")


def words(call, thread, seed: int) -> list[np.ndarray]:
    """Return the four words of Philox 4x32-10, by its definition."""
    mask, high = np.uint64(0xFFFFFFFF), np.uint64(32)
    call, thread = np.uint64(call), np.asarray(thread, np.uint64)
    a, b, c, d = call & mask, call >> high, thread & mask, thread >> high
    low, up = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p, q = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (q >> high) ^ b ^ np.uint64(low), q & mask, (p >> high) ^ d ^ np.uint64(up), p & mask
        low, up = (low + 0x9E3779B9) & 0xFFFFFFFF, (up + 0xBB67AE85) & 0xFFFFFFFF
    return [a, b, c, d]


def place(e, lanes: int, each: int):
    """Return (call, thread, number) of element e."""
    turn, thread = np.divmod(e, lanes)
    return turn // each, thread, turn % each


def test_the_words_are_philox() -> None:
    # The known answers of the algorithm's authors, for the counter and key of zeros.
    assert [int(w) for w in words(0, 0, 0)] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


@pytest.mark.parametrize("seed", [0, 2**64 - 1])
@pytest.mark.parametrize("size", [1, 300, 2049])
def test_where_words_go(monkeypatch, seed: int, size: int) -> None:
    monkeypatch.setattr(driver, "resident_threads", lambda: 512)  # so that threads come round
    lanes = min(512, -(-size // 256) * 256)
    e, calls = np.arange(size), -(-size // (4 * lanes))
    found, used = k.draw_integers((size,), 0, 2**32, False, seed, 5)
    assert used == calls
    call, thread, number = place(e, lanes, 4)
    expected = np.choose(number, words(call + 5, thread, seed)).astype(np.int64)
    np.testing.assert_array_equal(found.to_host(), expected)
    single, used = k.draw_uniform((size,), 0.0, 1.0, np.float32, seed, 5)
    assert used == calls
    np.testing.assert_allclose(single.to_host(), expected * 2.0**-32 + 2.0**-33, 1e-6)
    call, thread, number = place(e, lanes, 2)
    a, b, c, d = words(call + 5, thread, seed)
    high = np.uint64(32)
    wide = np.where(number == 0, a << high | b, c << high | d).view(np.int64)
    found, used = k.draw_integers((size,), -(2**63), 2**64, True, seed, 5)
    assert used == -(-size // (2 * lanes))
    np.testing.assert_array_equal(found.to_host(), wide ^ np.int64(-(2**63)))


def test_numbers_of_pytorch() -> None:
    """What PyTorch prints on a GPU, to four places."""
    for seed, uniform, normal in [
        (0, [0.3990, 0.5167, 0.0249, 0.9401], [-0.9247, -0.4253, -2.6438, 0.1452]),
        (42, [0.6130, 0.0101, 0.3984, 0.0403], [0.1940, 2.1614, -0.1721, 0.8491]),
    ]:
        found = k.draw_uniform((4,), 0.0, 1.0, np.float32, seed, 0)[0].to_host()
        np.testing.assert_allclose(found, uniform, atol=6e-5)
        found = k.draw_normal((4,), 0.0, 1.0, np.float32, seed, 0)[0].to_host()
        np.testing.assert_allclose(found, normal, atol=6e-5)


def test_a_large_array_of_pytorchs() -> None:
    """randn(1, 64, 2048), seed 42, on a GPU of 43008 threads (github.com/pytorch/pytorch/issues/158398)."""
    row = 2048
    e = np.array([row, 2 * row, 61 * row, 61 * row + 1, 62 * row, 63 * row, 63 * row + 1, 64 * row - 2])
    call, thread, number = place(e, 43008, 4)
    a, b, c, d = (w * 2.0**-32 + 2.0**-33 for w in words(call, thread, 42))
    first, second = np.sqrt(-2 * np.log(a)), np.sqrt(-2 * np.log(c))
    made = [f(2 * np.pi * turn) * r for r, turn in ((first, b), (second, d)) for f in (np.sin, np.cos)]
    printed = [-0.4574, 1.1346, -0.4861, 0.3358, 0.7881, -1.2356, -0.4083, 1.2850]
    np.testing.assert_allclose(np.choose(number, made), printed, atol=6e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_numbers(monkeypatch, dtype: str) -> None:
    monkeypatch.setattr(driver, "resident_threads", lambda: 256)
    each = 4 if dtype == "float32" else 2
    found = k.draw_normal((1000,), 2.0, 3.0, dtype, 7, 0)[0].to_host()
    call, thread, number = place(np.arange(1000), 256, each)
    w = words(call, thread, 7)
    if dtype == "float32":
        a, b, c, d = (x * 2.0**-32 + 2.0**-33 for x in w)
    else:
        a, c = ((x ^ y << np.uint64(21)) * 2.0**-53 + 2.0**-54 for x, y in (w[:2], w[2:]))
        a, b, c, d = a, c, a, c
    pairs = [(a, b), (c, d)][: each // 2]
    made = [f(2 * np.pi * t) * np.sqrt(-2 * np.log(u)) for u, t in pairs for f in (np.sin, np.cos)]
    rtol = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(found, 2.0 + 3.0 * np.choose(number, made), rtol, 10 * rtol)
    assert abs(found.mean() - 2) < 0.3
    assert abs(found.std() - 3) < 0.3


def test_limits_and_nothing() -> None:
    x = k.draw_uniform((400,), -2.0, -1.5, np.float32, 3, 0)[0].to_host()
    assert -2 <= x.min() < x.max() < -1.5
    for made in (
        k.draw_uniform((0, 3), 0.0, 1.0, np.float32, 0, 0), k.draw_integers((0, 3), 0, 5, False, 0, 0),
    ):  # fmt: skip
        assert made[0].shape == (0, 3)
        assert made[1] == 0
    x = k.draw_integers((300,), -3, 7, False, 0, 0)[0].to_host()
    assert set(x.tolist()) == set(range(-3, 4))


@pytest.mark.parametrize("n", [0, 1, 2, 40])
def test_permutations(n: int) -> None:
    first, second = (k.draw_permutation(n, seed, 0)[0].to_host() for seed in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(n))
    if n > 10:
        assert first.tolist() != second.tolist() != list(range(n))


@pytest.mark.parametrize("rate", [0.3, 6.0, 12.0, 400.0])
def test_poisson_numbers(rate: float) -> None:
    rates = k.full((400,), rate, np.dtype(np.float32))
    found = k.draw_poisson(rates, 2, 7)[0].to_host()
    assert found.dtype == np.float32
    assert (found == found.astype(int)).all()
    assert abs(found.mean() - rate) < 5 * np.sqrt(rate / 400)
    assert 0.6 < found.var() / rate < 1.5
    edges = k.draw_poisson(k.from_host(np.array([0.0, np.nan, np.inf])), 2, 7)[0].to_host()
    np.testing.assert_array_equal(edges, [0.0, np.nan, np.inf])


@pytest.mark.parametrize("p", [0.0, 0.25, 1 / 3, 1.0])
def test_masks_are_where_uniform_numbers_are_below(p: float) -> None:
    drawn, calls = k.draw_uniform((3, 701), 0.0, 1.0, np.float32, 7, 2)
    mask, used = k.draw_mask((3, 701), p, 7, 2)
    assert used == calls
    np.testing.assert_array_equal(mask.to_host(), drawn.to_host() < np.float32(p))
