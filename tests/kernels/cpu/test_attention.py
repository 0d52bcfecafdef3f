"""Attention in blocks against the matrix of all weights, in float64; any strides, masks and shared heads."""

import numpy as np
import pytest

from kernels import cpu

SHAPES = [  # batch, heads, kv heads, queries, keys, size, size of values
    (2, 3, 3, 4, 5, 8, 3),
    (1, 4, 2, 130, 70, 16, 20),
    (2, 4, 1, 65, 300, 33, 64),
    (1, 1, 1, 1, 1, 1, 1),
    (1, 2, 2, 7, 1200, 10, 5),
]


def _reference(q, k, v, mask, causal, scale, kept, factor, grad):
    groups = q.shape[1] // k.shape[1]
    q, k, v, grad = (x.astype(np.float64) for x in (q, k, v, grad))
    k, v = np.repeat(k, groups, 1), np.repeat(v, groups, 1)
    scores = q @ k.swapaxes(-1, -2) * scale + (0 if mask is None else mask)
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = weights.sum(-1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total != 0)
    used = weights if kept is None else weights * kept * factor
    by_used = grad @ v.swapaxes(-1, -2)
    by_weights = by_used if kept is None else by_used * kept * factor
    by_scores = weights * (by_weights - (by_weights * weights).sum(-1, keepdims=True)) * scale
    dk, dv = by_scores.swapaxes(-1, -2) @ q, used.swapaxes(-1, -2) @ grad
    shared = (q.shape[0], -1, groups)
    dk, dv = (x.reshape(*shared, *x.shape[2:]).sum(2) for x in (dk, dv))
    return used @ v, by_scores @ k, dk, dv


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", ["plain", "causal", "mask", "dropout", "all"])
def test_against_the_matrix_of_weights(dtype, shape, case):
    batch, heads, shared, queries, keys, size, size_v = shape
    draw = np.random.default_rng(0)

    def heads_of_rows(count, length, width):  # as a view cut out of (batch, length, heads * size)
        return draw.standard_normal((batch, length, count, width)).astype(dtype).transpose(0, 2, 1, 3)

    q, k = heads_of_rows(heads, queries, size), heads_of_rows(shared, keys, size)
    v, grad = heads_of_rows(shared, keys, size_v), heads_of_rows(heads, queries, size_v)
    mask = kept = None
    if case in ("mask", "all"):
        mask = draw.standard_normal((queries, keys)).astype(dtype)
        mask[draw.random((queries, keys)) < 0.3] = -np.inf
        mask[queries // 2] = -np.inf  # one sees nothing
    if case in ("dropout", "all"):
        kept = draw.random((batch, heads, queries, keys)) < 0.7
    options = mask, case in ("causal", "all"), size**-0.5, kept, 1 / 0.7
    out, stats = cpu.attention(q, k, v, *options)
    found = out, *cpu.attention_dx(q, k, v, *options, stats, grad)
    limit = 2e-5 if dtype == "float32" else 1e-12
    for ours, exact in zip(found, _reference(q, k, v, *options, grad), strict=True):
        assert (ours.dtype, ours.shape) == (dtype, exact.shape)
        assert np.abs(ours - exact).max() < limit


def test_the_number_of_threads_changes_no_bit():
    draw = np.random.default_rng(0)
    q, k, v, grad = (draw.standard_normal((2, 4, 100, 16), np.float32) for _ in range(4))
    found, before = [], cpu.get_num_threads()
    try:
        for threads in (1, 2):
            cpu.set_num_threads(threads)
            out, stats = cpu.attention(q, k, v, None, True, 0.25, None, 1.0)
            found.append([out, *cpu.attention_dx(q, k, v, None, True, 0.25, None, 1.0, stats, grad)])
    finally:
        cpu.set_num_threads(before)
    for a, b in zip(*found, strict=True):
        assert np.array_equal(a, b)
