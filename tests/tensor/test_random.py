"""tensor/random.py: PyTorch's numbers; compared with PyTorch where it is installed, else with a record."""

import copy
import pickle
import sys
import threading

import numpy as np
import pytest

from tensor import random
from tensor.random import Generator

SIZES = [0, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 100, 1000, 4099]
SEEDS = [0, 42, -1, 2**32 + 7, 2**64 - 1]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="the comparison needs PyTorch")


@pytest.fixture(params=SEEDS)
def pair(request, torch):
    """Return our generator and PyTorch's, of one seed."""
    return Generator().manual_seed(request.param), torch.Generator().manual_seed(request.param)


def assert_same(ours: np.ndarray, theirs) -> None:
    import torch

    theirs = theirs.numpy()
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    if sys.platform == "linux" and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"):
        assert ours.tobytes() == theirs.tobytes()
    else:  # PyTorch's own arithmetic, or the system's log, sin and cos, is another there
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["float32", "float64"])
class TestFloatsAsInPyTorch:
    def test_uniform(self, pair, torch, name):
        for low, high in [(0.0, 1.0), (-0.1, 0.1), (0.3, 0.77), (-1 / 28, 1 / 28), (2.0, 2.0)]:
            for size in SIZES:
                theirs = torch.empty(size, dtype=getattr(torch, name))
                assert_same(
                    pair[0].uniform((size,), low, high, name), theirs.uniform_(low, high, generator=pair[1])
                )

    def test_normal(self, pair, torch, name):
        for mean, std in [(0.0, 1.0), (0.3, 1.7), (-2.0, 0.0)]:
            for size in SIZES:
                theirs = torch.empty(size, dtype=getattr(torch, name))
                assert_same(
                    pair[0].normal((size,), mean, std, name), theirs.normal_(mean, std, generator=pair[1])
                )

    def test_normal_where_memory_is_not_contiguous(self, pair, torch, name):
        for size in SIZES[1:]:
            theirs = torch.empty(3, 2 * size, dtype=getattr(torch, name))[:, ::2]
            ours = pair[0].normal((3, size), 1.0, 2.0, name, contiguous=size == 1)
            assert_same(ours, theirs.normal_(1.0, 2.0, generator=pair[1]).contiguous())

    def test_bernoulli(self, pair, torch, name):
        for size in SIZES:
            for p in (0.0, 0.3, 0.5, 1.0):
                theirs = torch.empty(size, dtype=getattr(torch, name)).bernoulli_(p, generator=pair[1])
                assert_same(pair[0].bernoulli(p, (size,), name), theirs)
            p = np.linspace(0.0, 1.0, size, dtype=name)
            assert_same(pair[0].bernoulli(p), torch.bernoulli(torch.from_numpy(p), generator=pair[1]))
        ours = pair[0].bernoulli(np.array(0.5, name), (3, 5))
        theirs = torch.full((3, 5), 0.5, dtype=getattr(torch, name))
        assert_same(ours, torch.bernoulli(theirs, generator=pair[1]))


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0, 10),
        (-5, 1),
        (3, 4),
        (0, 2**28 - 1),
        (0, 2**28),
        (-5, 2**32),
        (-(2**63), 2**63 - 1),
        (2**62, 2**63 - 1),
    ],
)
def test_integers_as_in_pytorch(pair, torch, low, high):
    for size in SIZES:
        assert_same(
            pair[0].integers(low, high, (size,)), torch.randint(low, high, (size,), generator=pair[1])
        )


def test_permutation_as_in_pytorch(pair, torch):
    for size in SIZES:
        assert_same(pair[0].permutation(size), torch.randperm(size, generator=pair[1]))


def test_random_int64_as_in_pytorch(pair, torch):
    for _ in range(20):
        theirs = torch.empty((), dtype=torch.int64).random_(generator=pair[1]).item()
        assert pair[0].random_int64() == theirs


def test_states_are_pytorchs(pair, torch):
    ours, theirs = pair
    for draws in (0, 1, 3, 700):
        ours.uniform((draws,))
        torch.rand(draws, generator=theirs)
        ours.normal((3,))
        torch.randn(3, generator=theirs)
        assert ours.state_array().tobytes() == theirs.get_state().numpy().tobytes()
    other = torch.Generator()
    other.set_state(torch.from_numpy(ours.state_array()))
    assert_same(ours.normal((5,)), torch.randn(5, generator=other))
    fresh = Generator()
    fresh.set_state(theirs.get_state().numpy())
    assert fresh.initial_seed() == theirs.initial_seed()
    assert_same(fresh.normal((5,)), torch.randn(5, generator=theirs))


def test_the_numbers_on_record():
    """PyTorch 2.13, manual_seed(0), in this order."""
    g = Generator().manual_seed(0)
    assert g.uniform((3,)).tolist() == [0.49625658988952637, 0.7682217955589294, 0.08847743272781372]
    assert g.normal((3,)).tolist() == pytest.approx(
        [0.3643381893634796, 0.13439632952213287, 0.16421625018119812], rel=1e-6
    )
    # the first of these is the second of a pair that the call before began
    doubles = [0.3057610206599811, 0.20998091995432266, 0.9056261299825517]
    assert g.normal((3,), dtype=np.float64).tolist() == pytest.approx(doubles, rel=1e-14)
    assert g.normal((17,))[[0, 1, 8, 15, 16]].tolist() == [
        0.8503773808479309, -0.6135830879211426, 0.441156268119812, -1.4688938856124878, -1.586688756942749,
    ]  # fmt: skip
    assert g.integers(0, 100, (5,)).tolist() == [82, 71, 40, 69, 73]
    assert g.integers(-(2**40), 2**40, (2,)).tolist() == [-300885355905, -959831352801]
    assert g.permutation(8).tolist() == [2, 3, 7, 0, 6, 5, 4, 1]
    assert g.bernoulli(0.5, (8,)).tolist() == [1, 1, 1, 0, 0, 1, 0, 1]
    assert g.bernoulli(np.array([0.1, 0.9, 0.5, 0.5, 0.5], np.float32)).tolist() == [1, 0, 0, 1, 0]
    assert g.random_int64() == 1831399236666322857
    assert g.uniform((2,), -0.1, 0.1, np.float64).tolist() == [-0.06620543796856773, 0.026157252372538922]
    assert g.uniform((2,), -0.1, 0.1).tolist() == [0.050570812076330185, 0.07158716022968292]
    assert g.normal((16,), dtype=np.float64)[[0, 15]].tolist() == pytest.approx(
        [-0.9440528157489724, -1.3840929722348692], rel=1e-14
    )


def test_shapes_and_types():
    g = Generator()
    assert g.uniform((2, 3)).shape == (2, 3)
    assert g.uniform(()).shape == ()
    assert g.normal((4, 8), dtype="float64").dtype == np.float64
    assert g.normal(()).shape == ()
    assert g.normal((2, 0, 3)).shape == (2, 0, 3)
    assert g.integers(0, 2, (3,), np.int32).dtype == np.int32
    assert g.bernoulli(0.5, (3,)).dtype == np.float32
    assert g.bernoulli(0.5, (3,), np.bool_).dtype == np.bool_
    assert g.permutation(3).dtype == np.int64


def test_the_upper_end_is_excluded():
    # float32 holds few numbers this far out: rounding reaches `high` often
    values = Generator().uniform((10_000,), 2.0**24, 2.0**24 + 4)
    assert values.max() < 2.0**24 + 4


def test_a_state_brings_the_numbers_back():
    g = Generator().manual_seed(3)
    g.normal((3,))  # leaves the second of a pair behind
    state = g.get_state()
    expected = [*g.normal((3,)), *g.uniform((3,))]
    others = [Generator(), copy.deepcopy(g), g.clone_state(), pickle.loads(pickle.dumps(g))]
    assert all(other.initial_seed() == 3 for other in others[1:])
    for other in [g, *others]:
        other.set_state(state)
        assert [*other.normal((3,)), *other.uniform((3,))] == expected


def test_copies_draw_apart():
    g = Generator().manual_seed(3)
    for copied in (copy.deepcopy(g), g.clone_state()):
        expected = g.get_state()
        copied.uniform((5,))
        assert np.array_equal(g.get_state(), expected)


def test_manual_seed_forgets_the_pair():
    g = Generator().manual_seed(1)
    first = g.normal((1,))
    assert g.manual_seed(1).normal((1,)) == first


@pytest.mark.parametrize(
    ("seed", "found"),
    [(0, 0), (-1, 2**64 - 1), (-(2**63), 2**63), (2**64 - 1, 2**64 - 1), (np.int32(5), 5)],
)
def test_initial_seed(seed, found):
    assert Generator().manual_seed(seed).initial_seed() == found


def test_a_new_generator_has_pytorchs_seed():
    assert Generator().initial_seed() == 67280421310721


def test_seed_draws_a_new_one():
    g = Generator()
    assert g.seed() == g.initial_seed() != Generator().initial_seed()


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_a_seed_out_of_range(seed):
    with pytest.raises(ValueError, match="Overflow when unpacking long"):
        Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", [1.5, "3", None, True])
def test_a_seed_that_is_no_int(seed):
    with pytest.raises(RuntimeError, match="manual_seed expected a long, but got"):
        Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda g: g.integers(5, 5, (2,)), RuntimeError, "expects 'from' to be less than 'to'"),
        (lambda g: g.integers(0, 2**63 + 1, (2,)), RuntimeError, "does not fit in int64"),
        (lambda g: g.uniform((2,), 2.0, 1.0), RuntimeError, "found from=2.0 > to=1.0"),
        (lambda g: g.uniform((2,), -3e38, 3e38), RuntimeError, "does not fit"),
        (lambda g: g.normal((2,), 0.0, -1.0), RuntimeError, "expects std >= 0.0"),
        (lambda g: g.uniform((2,), dtype=np.int64), NotImplementedError, "expected float32 or float64"),
        (lambda g: g.permutation(-1), RuntimeError, "must be non-negative"),
        (lambda g: g.uniform((-1,)), RuntimeError, "negative dimension"),
        (lambda g: g.bernoulli(1.5, (2,)), RuntimeError, r"p to be in \[0, 1\]"),
        (lambda g: g.bernoulli(float("nan"), (2,)), RuntimeError, r"p to be in \[0, 1\]"),
        (lambda g: g.bernoulli(np.array([1.5])), RuntimeError, "for every p"),
        (lambda g: g.bernoulli(np.array([1])), NotImplementedError, "expected float32 or float64"),
        (lambda g: g.bernoulli(0.5), TypeError, "shape is needed"),
        (lambda g: g.set_state(np.zeros(3, np.uint8)), RuntimeError, "expected a state of 5056 bytes"),
        (lambda g: g.set_state(np.zeros(5056)), TypeError, "expected a state of uint8"),
        (lambda g: g.set_state(np.zeros(5056, np.uint8)), RuntimeError, "not the state of a generator"),
        (lambda g: Generator("cuda"), RuntimeError, "not supported"),
    ],
)
def test_errors(draw, error, message):
    g = Generator()
    before = g.get_state()
    with pytest.raises(error, match=message):
        draw(g)
    assert np.array_equal(g.get_state(), before)


def test_the_default_generator():
    before = random.get_rng_state()
    try:
        assert random.manual_seed(5) is random.default_generator
        assert random.initial_seed() == 5
        state = random.get_rng_state()
        expected = random.default_generator.uniform((3,)).tolist()
        random.set_rng_state(state)
        with random.fork_rng():
            assert random.default_generator.uniform((3,)).tolist() == expected
            random.seed()
        assert random.default_generator.uniform((3,)).tolist() == expected
        with random.fork_rng(enabled=False):
            random.manual_seed(6)
        assert random.initial_seed() == 6
    finally:
        random.set_rng_state(before)


def test_threads_share_out_the_numbers():
    g = Generator().manual_seed(0)
    found: list[float] = []
    threads = [
        threading.Thread(target=lambda: found.extend(float(g.normal(())) for _ in range(200)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    g.manual_seed(0)
    assert sorted(found) == sorted(float(g.normal(())) for _ in range(800))
