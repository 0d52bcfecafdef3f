"""kernels/cuda/matmul.py and tiles.py: products of any strides and sizes, beside NumPy's."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from types import FunctionType

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cuda as k
from kernels.cuda import tiles
from kernels.cuda.array import empty
from kernels.cuda.fragments import Tile
from kernels.cuda.products import TILES_BY_STEPS, TILES_BY_TABLES
from kernels.precision import allow_tf32

pytestmark = pytest.mark.usefixtures("device")
RNG = np.random.default_rng(0)


def numbers(*shape: int, dtype="float64") -> np.ndarray:
    wide = RNG.uniform(-2, 2, shape)
    return wide.astype(dtype) if np.dtype(dtype).kind == "f" else (60 * wide).astype(dtype)


def agrees(a: np.ndarray, b: np.ndarray) -> None:
    found = k.matmul(k.from_host(a), k.from_host(b))
    expected = np.matmul(a, b)
    assert found.dtype == expected.dtype
    rtol = 1e-5 if a.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found.to_host(), expected, rtol, rtol)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64"])
def test_element_types(dtype) -> None:
    agrees(numbers(3, 5, dtype=dtype), numbers(5, 2, dtype=dtype))


def test_bools_have_no_product() -> None:
    with pytest.raises(NotImplementedError, match="bool"):
        agrees(np.ones((2, 2), bool), np.ones((2, 2), bool))


@pytest.mark.parametrize("sizes", [(17, 3, 5), (2, 3, 33), (33, 3, 2), (1, 9, 1), (70, 2, 3)], ids=str)
def test_more_than_a_tile(sizes) -> None:
    rows, inner, columns = sizes
    agrees(numbers(rows, inner), numbers(inner, columns))
    agrees(numbers(inner, rows).T, numbers(columns, inner).T)


@pytest.mark.parametrize(("rows", "columns"), [(3, 2), (1, 1), (9, 1)])
def test_long_sums_are_cut(rows, columns) -> None:
    inner = 5 * tiles._SHORTEST_PART + 7
    a, b = numbers(rows, inner, dtype="float32"), numbers(inner, columns, dtype="float32")
    parts, chunk = tiles.parts_of(rows, columns, 1, inner)
    assert parts > 3
    assert (parts - 1) * chunk < inner <= parts * chunk
    agrees(a, b)
    first, second = (k.matmul(k.from_host(a), k.from_host(b)).to_host() for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_long_sums_into_a_transposed_result_and_onto_it() -> None:
    inner = tiles._SHORTEST_SUM
    a, b, c = numbers(3, inner), numbers(inner, 4), numbers(3, 4)
    out = k.from_host(c.T).T
    tiles.contract(k.from_host(a), k.from_host(b), out, 0, 1, out)
    np.testing.assert_allclose(out.to_host(), a @ b + c, 1e-11)


def test_a_result_with_gaps() -> None:
    a, b = numbers(3, tiles._SHORTEST_SUM), numbers(tiles._SHORTEST_SUM, 2)
    whole = k.zeros((3, 5), np.dtype("float64"))
    tiles.contract(k.from_host(a), k.from_host(b), whole[:, 1:4:2], 0, 1)
    expected = np.zeros((3, 5))
    expected[:, 1:4:2] = a @ b
    np.testing.assert_allclose(whole.to_host(), expected, 1e-11)


def test_steps_that_go_back_or_stay() -> None:
    a, b = numbers(3, 4), numbers(4, 2)
    found = k.matmul(k.from_host(a)[::-1, ::-1], k.from_host(b)[:, ::-1])
    np.testing.assert_allclose(found.to_host(), a[::-1, ::-1] @ b[:, ::-1], 1e-12)
    found = k.matmul(k.from_host(a[:, :1]).broadcast_to((3, 4)), k.from_host(b))
    np.testing.assert_allclose(found.to_host(), np.broadcast_to(a[:, :1], (3, 4)) @ b, 1e-12)


@pytest.mark.parametrize(("down", "across"), [(16, 16), (8, 8), (16, 4), (8, 16)])
def test_half_a_warp_reads_each_bank_once(down: int, across: int) -> None:
    # 16 bytes a thread take a quarter of a warp at a time, and half a warp where neighbours read the same.
    tile = Tile(down, across, 1, 16)
    places_of = FunctionType(tile.own_places.__code__, {**tile.names(), "COUNT": int})
    places = [places_of(t) for t in range(tile.threads)]
    assert len(set(places)) == len({place[2] for place in places}) == tile.threads
    for operand in (0, 1):
        for half in range(0, tile.threads, 16):
            read = [place[operand] for place in places[half : half + 16]]
            assert any(all(read[t] == read[t ^ other] for t in range(16)) for other in (1, 2))
            banks = [(first + n) % 32 for first in set(read) for n in range(4)]
            assert len(banks) == len(set(banks))


def test_batches_of_more_dims_than_a_kernel_takes() -> None:
    a, b = numbers(2, 1, 2, 1, 2, 1, 2, 2, 2), numbers(1, 2, 1, 2, 1, 2, 1, 2, 1)
    agrees(a, b)


def test_nothing_to_sum_up() -> None:
    x, weight = k.from_host(numbers(2, 3, 0)), k.from_host(numbers(4, 0))
    bias = numbers(4)
    np.testing.assert_array_equal(
        k.linear(x, weight, k.from_host(bias)).to_host(), np.zeros((2, 3, 4)) + bias
    )
    np.testing.assert_array_equal(k.linear(x, weight, None).to_host(), np.zeros((2, 3, 4)))
    assert k.matmul(k.from_host(numbers(0, 3)), k.from_host(numbers(3, 2))).shape == (0, 2)


def test_infinities_stay_in_their_row() -> None:
    a, b = numbers(3, 3), numbers(3, 3)
    a[1, 1], b[2, 2] = np.inf, np.nan
    np.testing.assert_allclose(k.matmul(k.from_host(a), k.from_host(b)).to_host(), a @ b, 1e-12)


def test_sums_over_several_dims() -> None:
    a, b = numbers(2, 3, 4, 5), numbers(2, 5, 4, 3)
    out = empty((2, 3, 2, 3), np.float64)
    turned = k.from_host(b).transpose(2, 1, 0, 3)  # (4, 5, 2, 3)
    tiles.contract(k.from_host(a), turned, out, 0, 2)
    np.testing.assert_allclose(out.to_host(), np.einsum("abij,cjid->abcd", a, b), 1e-11)


def test_tables_of_places_are_kept_for_a_stream_and_let_go_with_the_cache() -> None:
    allocator, streams = k.driver.allocator, k.driver.streams
    a, b = k.from_host(numbers(4, 3, 2)), k.from_host(numbers(3, 2, 5))
    out = empty((4, 5), a.dtype)
    k.driver.empty_cache()
    before = allocator.allocated

    def contract() -> int:
        tiles.contract(a[:, ::2], b[::2], out, 0, 2)
        return allocator.allocated - before

    kept = contract()
    assert 0 < kept == contract()
    main, streams.current = streams.current, k.driver.new_stream()
    try:
        assert contract() == 2 * kept
    finally:
        streams.current = main
    k.driver.empty_cache()
    assert allocator.allocated == before
    np.testing.assert_allclose(
        out.to_host(), np.tensordot(a.to_host()[:, ::2], b.to_host()[::2], 2), rtol=1e-12
    )


@pytest.fixture(params=[(turned, name) for name in TILES_BY_STEPS for turned in (False, True)], ids=str)
def tile(request, monkeypatch) -> Iterator[str]:
    """Have products computed by tiles of each shape, and as the transposed product."""
    monkeypatch.setattr(tiles, "_choose_tile", lambda *_: request.param)
    tiles._plan.cache_clear()
    yield request.param[1]
    tiles._plan.cache_clear()


@pytest.mark.parametrize("sizes", [(18, 9, 17), (20, 12, 24), (3, 5, 2)], ids=str)
def test_every_shape_of_tiles(tile, sizes) -> None:
    rows, inner, columns = sizes
    a, b = numbers(rows, inner, dtype="float32"), numbers(inner, columns, dtype="float32")
    if tile == "tensor":
        a, b = in_tf32(a), in_tf32(b)
    agrees(a, b)
    agrees(a.T.copy().T, b.T.copy().T)
    if tile in TILES_BY_TABLES:
        pairs, turned = np.stack([a, a + 1], 2), np.stack([b, b - 1])
        out = empty((columns, rows), np.float32)
        tiles.contract(k.from_host(pairs), k.from_host(turned).transpose(1, 0, 2), out.T, 0, 2)
        np.testing.assert_allclose(out.to_host().T, a @ b + (a + 1) @ (b - 1), 1e-4, 1e-4)


@pytest.mark.parametrize("inner", [7, tiles._SHORTEST_SUM])
@pytest.mark.parametrize("activation", ["relu", "tanh", None])
def test_linear_with_an_activation(inner, activation) -> None:
    x, weight, bias = numbers(5, inner), numbers(3, inner), numbers(3)
    found = k.linear(*(k.from_host(given) for given in (x, weight, bias)), activation)
    formula = {"relu": lambda v: np.maximum(v, 0), "tanh": np.tanh, None: lambda v: v}[activation]
    np.testing.assert_allclose(found.to_host(), formula(x @ weight.T + bias), 1e-10)


def test_an_activation_that_needs_what_goes_into_it_is_refused() -> None:
    x = k.from_host(numbers(2, 2))
    with pytest.raises(ValueError, match=r"linear: expected an activation of .*, got 'gelu'"):
        k.linear(x, x, None, "gelu")


@pytest.fixture
def tf32(monkeypatch) -> Iterator[None]:
    """Allow products in TF32, and have all that may be computed so."""
    if not tiles.has_tf32():
        pytest.skip("the GPU has no TF32: it needs compute capability 8.0")
    choose = tiles._choose_tile

    def chosen(down, across, count, names):
        return choose(down, across, count, {"tensor"} & set(names) or names)

    monkeypatch.setattr(tiles, "_choose_tile", chosen)
    tiles._plan.cache_clear()
    allow_tf32(True)
    yield
    allow_tf32(False)
    tiles._plan.cache_clear()


def in_tf32(x: np.ndarray) -> np.ndarray:
    """Return numbers rounded to 10 bits of mantissa, halves away from zero."""
    return ((x.view(np.uint32) + 0x1000) & 0xFFFFE000).view(np.float32)


@pytest.mark.usefixtures("tf32")
@pytest.mark.parametrize("sizes", [(17, 20, 36), (33, 7, 18), (16, 8, 16)], ids=str)
@pytest.mark.parametrize("turned", [False, True])
def test_products_in_tf32_are_those_of_rounded_numbers(sizes, turned) -> None:
    rows, inner, columns = sizes
    a, b = numbers(rows, inner, dtype="float32"), numbers(columns, inner, dtype="float32")
    x, weight, bias = k.from_host(a), k.from_host(b), k.from_host(numbers(columns, dtype="float32"))
    if turned:
        x, weight = k.from_host(a.T.copy()).T, k.from_host(b.T.copy()).T
    rounded = np.maximum(in_tf32(a).astype(float) @ in_tf32(b).T.astype(float) + bias.to_host(), 0)
    exact = np.maximum(a.astype(float) @ b.T + bias.to_host(), 0)
    found = k.linear(x, weight, bias, "relu").to_host()
    np.testing.assert_allclose(found, rounded, 2e-6, 2e-5)
    assert np.abs(found - exact).max() > 10 * np.abs(found - rounded).max()
    allow_tf32(False)
    np.testing.assert_allclose(k.linear(x, weight, bias, "relu").to_host(), exact, 2e-6, 2e-5)


@pytest.mark.usefixtures("tf32")
def test_small_integers_are_exact_in_tf32_and_what_is_not_finite_stays() -> None:
    a, b = RNG.integers(-9, 9, (20, 40)).astype("float32"), RNG.integers(-9, 9, (40, 19)).astype("float32")
    np.testing.assert_array_equal(k.matmul(k.from_host(a), k.from_host(b)).to_host(), a @ b)
    a[1, 1], a[3, 3], b[7, 7] = np.inf, np.nan, np.finfo(np.float32).max
    found = k.matmul(k.from_host(a), k.from_host(b)).to_host()
    assert np.isnan(found[3]).all()
    assert not np.isfinite(found[1]).any()
    assert not np.isfinite(found[a[:, 7] != 0, 7]).any()  # rounded up to infinity
    others = np.delete(np.delete(found, [1, 3], 0), 7, 1)
    np.testing.assert_array_equal(others, np.delete(a, [1, 3], 0) @ np.delete(b, 7, 1))


@pytest.mark.usefixtures("tf32")
def test_float64_is_not_rounded() -> None:
    agrees(numbers(20, 9), numbers(9, 20))
