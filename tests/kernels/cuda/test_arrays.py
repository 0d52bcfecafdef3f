"""kernels/cuda: device arrays, memory, and what all families stand on, beside the CPU's kernels."""

import itertools
import os
import pickle
import weakref
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cpu
from kernels import cuda as k
from kernels.cuda.allocator import Allocator, OutOfMemoryError
from kernels.cuda.array import DeviceArray
from kernels.cuda.lift import run
from kernels.cuda.memory import _cast
from kernels.cuda.walking import plan_for

pytestmark = pytest.mark.usefixtures("device")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4)).astype(np.float32)
Y = RNG.normal(size=(4,)).astype(np.float32)


def same(found: DeviceArray, expected, rtol: float = 1e-6) -> None:
    expected = np.asarray(expected)
    host = found.to_host()
    assert host.dtype == expected.dtype
    assert host.shape == expected.shape
    np.testing.assert_allclose(host, expected, rtol, 1e-6)


def test_views_are_views() -> None:
    x = k.from_host(X)
    for view, expected in [
        (x.T, X.T), (x[1:, ::2], X[1:, ::2]), (x[1], X[1]), (x[1, 2], X[1, 2]), (x[:, None], X[:, None]),
        (x.reshape(2, 6), X.reshape(2, 6)), (x.swapaxes(0, 1), X.T), (x.broadcast_to((2, 3, 4)), [X, X]),
    ]:  # fmt: skip
        same(view, expected)
        assert view.may_share_memory(x)
        assert view.whole().address == x.address
    with pytest.raises(ValueError, match="copy"):
        x.T.reshape(-1, copy=False)
    same(x.T.reshape(-1), X.T.reshape(-1))
    assert not x.T.reshape(-1).may_share_memory(x)
    with pytest.raises(ValueError, match="into shape"):
        x.T.reshape(5)
    for index in ([0, 1], True, (0, False), 1.0):
        with pytest.raises(TypeError, match="integers and slices"):
            x[index]


def test_elements_are_not_read_by_the_way() -> None:
    x = k.from_host(X)
    for read in (np.asarray, np.sum, list, bool):
        with pytest.raises(TypeError):
            read(x)
    with pytest.raises(TypeError):
        x + X


def test_arrays_of_one_layout_share_it() -> None:
    x, y = k.from_host(X), k.from_host(X)
    assert x.layout is y.layout
    assert x.layout is k.from_host(X.T).T.layout
    assert x[1:].layout is y[:2].layout
    assert x[1:].address == x.address + 16
    assert x.T.layout is not x.layout
    assert x.strided((3, 4), (16, 4)).layout is x.layout
    assert x.broadcast_to([2, 3, 4]).layout is x.broadcast_to((2, 3, 4)).layout


def test_whether_memory_may_be_shared() -> None:
    x = k.from_host(X)
    assert x[:2].may_share_memory(x[1:])
    assert x[:, :2].may_share_memory(x[:, 2:])  # by their first and last elements
    assert not x[:1].may_share_memory(x[1:])
    assert not x[1:].may_share_memory(x[:1])
    assert not x[1:1].may_share_memory(x)
    assert x[::-1].may_share_memory(x[:1])
    assert not x[:2][::-1].may_share_memory(x[2:])


def test_strides_survive_copies_and_pickles() -> None:
    x = k.from_host(X.T)
    assert x.strides == X.T.strides
    assert x.to_host().strides == X.T.strides
    same(pickle.loads(pickle.dumps(x)), X.T)


@pytest.mark.parametrize("dims", range(9))
def test_any_number_of_dims(dims: int) -> None:
    values = RNG.normal(size=(2,) * dims)
    order = [*range(0, dims, 2), *range(1, dims, 2)]
    x = k.from_host(values)
    same(k.forward("add", x.transpose(order), x), values.transpose(order) + values)
    half = tuple(range(0, dims, 2))
    same(k.sum(x.transpose(order), half), values.transpose(order).sum(half))


def test_overlapping_results() -> None:
    line = k.from_host(np.arange(6.0))
    k.forward("add", line[:5], line[1:], out=line[1:])
    same(line, [0.0, 1.0, 3.0, 5.0, 7.0, 9.0])
    k.write(line[1:], line[:5])
    same(line, [0.0, 0.0, 1.0, 3.0, 5.0, 7.0])


def test_a_result_of_another_type_in_the_place_of_an_operand() -> None:
    x = k.from_host(np.array([3, 0, 1, 0, 2], np.uint8))
    out = run(_cast, [x], out=x.view(np.bool_))
    same(out, np.array([True, False, True, False, True]))
    assert x.to_host().tolist() == [1, 0, 1, 0, 1]


def test_plans_are_of_layouts_not_of_arrays() -> None:
    """The same kernel on arrays at other addresses, between vectors, repeated, and turned round."""
    x = RNG.normal(size=(6, 8)).astype(np.float32)
    there = [k.from_host(x) for _ in range(3)]
    for part in (np.s_[:, :], np.s_[1:], np.s_[:, 1:5], np.s_[:, 4:], np.s_[::2, ::3]):
        for a in there:
            same(k.forward("add", a[part], a[part]), x[part] * 2)
            same(k.forward("mul", a[part], a[part][:1]), x[part] * x[part][:1])
    for a in there:
        k.forward("add", a, a.T.reshape(6, 8), out=a)
        same(a, x + x.T.reshape(6, 8))
    with pytest.raises(ValueError, match="do not fit a result"):
        k.forward("add", there[0], there[1], out=there[2][:1])
    with pytest.raises(ValueError, match="broadcast"):
        k.forward("add", there[0], there[1][:, :3])


@pytest.mark.parametrize("source", ["float32", "float64", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("target", ["float32", "float64", "int64", "int32", "uint8", "bool"])
def test_casts(source: str, target: str) -> None:
    values = np.array([0.0, 1.5, 2.0, 100.9]).astype(source)
    same(k.cast(k.from_host(values), np.dtype(target)), cpu.cast(values, np.dtype(target)))


@pytest.mark.parametrize("name", ["add", "mul", "maximum", "fmod", "pow"])
def test_integers(name: str) -> None:
    i, j = RNG.integers(-9, 9, (7,)), RNG.integers(-3, 4, (7,))
    j = np.where(j == 0, 1, j)
    same(k.forward(name, k.from_host(i), k.from_host(j)), cpu.forward(name, i, j))


def test_ieee() -> None:
    x = np.array([-1.0, 0.0, 1000.0, np.inf, np.nan], np.float32)
    for name in ("log", "exp", "sqrt", "reciprocal", "tanh", "expm1"):
        same(k.forward(name, k.from_host(x)), cpu.forward(name, x))


def test_sums_of_parts() -> None:
    x = RNG.normal(size=5000).astype(np.float32)
    plan = plan_for(k.from_host(x), (0,))
    assert plan is not None
    assert plan.parts > 1
    once = k.sum(k.from_host(x), (0,)).item()
    assert once == k.sum(k.from_host(x), (0,)).item()
    assert once == pytest.approx(x.sum(dtype=np.float64), rel=1e-5)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
def test_nothing(shape: tuple[int, ...]) -> None:
    x = np.zeros(shape, np.float32)
    same(k.forward("exp", k.from_host(x)), x)
    for d in range(x.ndim):
        same(k.sum(k.from_host(x), (d,)), x.sum(d))
        same(k.all(k.from_host(x), (d,)), x.all(d))
        same(k.any(k.from_host(x), (d,)), x.any(d))


def test_memory_comes_back() -> None:
    before = k.driver.allocator.allocated
    x = k.from_host(X)
    part = x[1:]
    del x
    assert k.driver.allocator.allocated == before + 512
    same(part, X[1:])
    del part
    assert k.driver.allocator.allocated == before


class Memory:
    """What the driver hands out in this test."""

    def __init__(self, nbytes: int):
        self.nbytes = nbytes


def test_out_of_memory_names_sizes_and_is_survived() -> None:
    room = 4 << 20
    held: list = []

    def reserve(nbytes: int):
        owner = Memory(nbytes)
        alive = sum(o.nbytes for o in (ref() for ref in held) if o is not None)
        if alive + nbytes > room:
            raise MemoryError
        held.append(weakref.ref(owner))
        return 0x1000, owner

    allocator = Allocator(reserve, lambda: (room - allocator.reserved, room))
    first = allocator.allocate(3 << 20)
    with pytest.raises(OutOfMemoryError, match=r"Tried to allocate 2\.50 MiB; of the GPU's 4\.00 MiB"):
        allocator.allocate(5 << 19)
    del first  # it waits for reuse, and is given back when something else needs the room
    assert allocator.reserved == 4 << 20
    small = allocator.allocate(1 << 21)
    assert allocator.reserved == small.nbytes == 2 << 20
    assert (allocator.allocated, allocator.most_allocated) == (2 << 20, 4 << 20)


def test_a_block_that_another_stream_uses_waits() -> None:
    done: set[str] = set()
    addresses = itertools.count(1)
    allocator = Allocator(lambda nbytes: (next(addresses), None), lambda: (1 << 30, 1 << 30))
    allocator.mark, allocator.happened = str.upper, done.__contains__
    block = allocator.allocate(10)
    block.keep_for("side")
    del block
    assert allocator.allocated == 0
    other = allocator.allocate(10)
    assert other.address == 2, "not memory that the other stream may still read"
    done.add("SIDE")
    assert allocator.allocate(10).address == 1


@pytest.mark.parametrize("first", [(0, 2), (2, 0), (0, 0)], ids=str)
def test_nothing_is_read_where_more_dims_than_a_kernel_takes_hold_no_element(first) -> None:
    dims = 1, 0, 7, 2, 6, 5, 4, 3
    x = k.from_host(np.ones((*first, 1, 2, 2, 2, 2, 2), np.float32)).transpose(dims)
    y = k.from_host(np.ones(x.shape, np.float32))
    expected = np.ones(x.shape, np.float32)
    same(k.copy(x), expected)
    k.write(y, x)
    same(k.cast(x, np.dtype(np.int64)), expected.astype(np.int64))
    same(k.sum(x, (0, 1)), expected.sum((0, 1)))
