"""kernels/cuda/attention.py beside the CPU's: shared heads, masks, dropout, and queries in parts."""

import os
import sys
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cpu
from kernels import cuda as k

pytestmark = pytest.mark.usefixtures("device")

SHAPES = [  # batch, heads, kv heads, queries, keys, size, size of values
    (2, 2, 2, 3, 2, 2, 3),
    (2, 4, 2, 5, 4, 3, 2),
    (1, 2, 1, 2, 13, 1, 2),
    (1, 1, 1, 1, 1, 1, 1),
]


def _rows(draw, batch, count, length, width):
    # A view cut out of (batch, length, heads * size).
    return draw.standard_normal((batch, length, count, width)).transpose(0, 2, 1, 3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", ["plain", "causal", "mask", "dropout", "all"])
def test_as_on_the_cpu(shape, case) -> None:
    batch, heads, shared, queries, keys, size, size_v = shape
    draw = np.random.default_rng(0)
    q, key = _rows(draw, batch, heads, queries, size), _rows(draw, batch, shared, keys, size)
    v, grad = _rows(draw, batch, shared, keys, size_v), _rows(draw, batch, heads, queries, size_v)
    mask = kept = None
    if case in ("mask", "all"):
        mask = draw.standard_normal((heads, 1, keys))
        mask[0, 0] = -np.inf  # a head that sees nothing
    if case in ("dropout", "all"):
        kept = draw.random((batch, heads, queries, keys)) < 0.7
    options = mask, case in ("causal", "all"), size**-0.5, kept, 1 / 0.7
    out, stats = cpu.attention(q, key, v, *options)
    expected = out, stats, *cpu.attention_dx(q, key, v, *options, stats, grad)
    there = [k.from_host(x) for x in (q, key, v)]
    options = None if mask is None else k.from_host(mask), *options[1:]
    found_out, found_stats = k.attention(*there, *options)
    found = found_out, found_stats, *k.attention_dx(*there, *options, found_stats, k.from_host(grad))
    for name, a, b in zip(("out", "stats", "dq", "dk", "dv"), found, expected, strict=True):
        np.testing.assert_allclose(a.to_host(), b, 1e-11, 1e-12, err_msg=name)
        assert a.strides == b.strides or a.size < 2, name


def test_one_part_and_many_agree(monkeypatch) -> None:
    draw = np.random.default_rng(0)
    there = [k.from_host(_rows(draw, 2, 2, 5, 3)) for _ in range(4)]
    options = None, True, 0.5, None, 1.0
    results = []
    for most in (1, 12, 1000):
        monkeypatch.setattr(sys.modules["kernels.cuda.attention"], "_MOST_SCORES", most)
        out, stats = k.attention(*there[:3], *options)
        results.append([x.to_host() for x in (out, *k.attention_dx(*there[:3], *options, stats, there[3]))])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(a, b, 1e-12, 1e-14)


def test_dropping_everything() -> None:
    x = k.from_host(np.ones((1, 1, 2, 2)))
    none = np.zeros((1, 1, 2, 2), bool)
    out, stats = k.attention(x, x, x, None, False, 1.0, none, 0.0)
    grads = k.attention_dx(x, x, x, None, False, 1.0, none, 0.0, stats, x)
    for found in (out, *grads):
        np.testing.assert_array_equal(found.to_host(), np.zeros((1, 1, 2, 2)))


def test_no_keys_and_no_queries() -> None:
    def ones(*shape):
        return k.from_host(np.ones(shape))

    for queries, keys in ((2, 0), (0, 3)):
        q, key, v = ones(1, 2, queries, 3), ones(1, 2, keys, 3), ones(1, 2, keys, 4)
        out, stats = k.attention(q, key, v, None, False, 1.0, None, 1.0)
        assert out.shape == (1, 2, queries, 4)
        assert not out.to_host().any()
        for x, dx in zip(
            (q, key, v), k.attention_dx(q, key, v, None, False, 1.0, None, 1.0, stats, out), strict=True
        ):
            assert dx.shape == x.shape
            assert not dx.to_host().any()
