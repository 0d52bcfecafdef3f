"""Scaled dot-product attention, forward and backward: products, and softmax over the rows between them.

The scores of so many queries are in memory at a time that they take `_MOST_SCORES` numbers at most; the
backward pass computes them again, from what the forward pass keeps of each row: its largest score and 1 over
the sum of its exponentials (the recomputation of Dao et al. 2022, "FlashAttention").
"""

import math
from collections.abc import Iterator

import numpy as np

from kernels.cuda.array import DeviceArray, empty, on_device
from kernels.cuda.blocks import largest_of_block, sum_of_block
from kernels.cuda.compile import FLOATS, SIMULATED, cuda, kernel, threads
from kernels.cuda.elementwise import forward
from kernels.cuda.memory import zeros
from kernels.cuda.tiles import contract

_BLOCK = threads(128)
_MOST_BLOCKS = 1 << 16
_MOST_SCORES = 64 if SIMULATED else 1 << 26  # so that tests go through several parts

_ROWS = (
    "int64, int64, int64, int64, int64, bool, T, bool, bool, T, "
    "int64, int64, int64, int64, T*, int64, int64, int64, bool*, int64, int64, int64"
)


@kernel(f"{_ROWS}, out T*, out T*", FLOATS)
def _weigh(
    rows, heads, queries, keys, first, causal, scale, masked, dropped, factor,
    mask_n, mask_h, mask_q, mask_k, mask, kept_n, kept_h, kept_q, kept, stats_n, stats_h, stats_q,
    stats, scores,
):  # fmt: skip
    """Replace each row of products by the softmax of the scores; fill in its largest, and 1 / the sum.

    factor: what dropout multiplies by where `kept` holds.
    """
    shared = cuda.shared.array(_BLOCK, T)  # noqa: F821
    t = cuda.threadIdx.x
    for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        i = row % queries
        n = row // queries
        h = n % heads
        n = n // heads
        seen = min(keys, first + i + 1) if causal else keys
        base = row * keys
        mask_at = n * mask_n + h * mask_h + i * mask_q
        top = T(-math.inf)  # noqa: F821
        for j in range(t, seen, _BLOCK):
            score = scores[base + j] * scale
            if masked:
                score += mask[mask_at + j * mask_k]
            scores[base + j] = score
            if score > top or score != score:
                top = score
        top = largest_of_block(shared, t, _BLOCK, top)
        if top == -math.inf:  # a row that sees nothing is no attention at all: not exp(-inf - -inf), a nan
            top = T(0)  # noqa: F821
        total = T(0)  # noqa: F821
        for j in range(t, seen, _BLOCK):
            weight = math.exp(scores[base + j] - top)
            scores[base + j] = weight
            total += weight
        total = sum_of_block(shared, t, _BLOCK, total)
        inverse = T(1) / total if total != 0 else T(0)  # noqa: F821
        kept_at = n * kept_n + h * kept_h + i * kept_q
        for j in range(t, keys, _BLOCK):
            weight = scores[base + j] * inverse if j < seen else T(0)  # noqa: F821
            if dropped:
                weight = weight * factor if kept[kept_at + j] else T(0)  # noqa: F821
            scores[base + j] = weight
        if t == 0:
            stats_at = n * stats_n + h * stats_h + i * stats_q
            stats[stats_at] = top
            stats[stats_at + 1] = inverse


@kernel(f"{_ROWS}, T*, out T*, out T*", FLOATS)
def _weigh_dx(
    rows, heads, queries, keys, first, causal, scale, masked, dropped, factor,
    mask_n, mask_h, mask_q, mask_k, mask, kept_n, kept_h, kept_q, kept, stats_n, stats_h, stats_q,
    stats, scores, grads,
):  # fmt: skip
    """Replace each row of products by the weights, and the weights' gradient by that of the products."""
    shared = cuda.shared.array(_BLOCK, T)  # noqa: F821
    t = cuda.threadIdx.x
    for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        i = row % queries
        n = row // queries
        h = n % heads
        n = n // heads
        seen = min(keys, first + i + 1) if causal else keys
        base = row * keys
        mask_at = n * mask_n + h * mask_h + i * mask_q
        kept_at = n * kept_n + h * kept_h + i * kept_q
        stats_at = n * stats_n + h * stats_h + i * stats_q
        top, inverse = stats[stats_at], stats[stats_at + 1]
        total = T(0)  # noqa: F821
        for j in range(t, seen, _BLOCK):
            score = scores[base + j] * scale
            if masked:
                score += mask[mask_at + j * mask_k]
            weight = math.exp(score - top) * inverse
            scores[base + j] = weight
            if dropped:
                grads[base + j] = grads[base + j] * factor if kept[kept_at + j] else T(0)  # noqa: F821
            total += weight * grads[base + j]
        total = sum_of_block(shared, t, _BLOCK, total)
        for j in range(t, keys, _BLOCK):
            if j < seen:
                weight = scores[base + j]
                grads[base + j] = weight * (grads[base + j] - total) * scale
                if dropped:
                    scores[base + j] = weight * factor if kept[kept_at + j] else T(0)  # noqa: F821
            else:
                scores[base + j] = T(0)  # noqa: F821
                grads[base + j] = T(0)  # noqa: F821


class _Scores:
    """The operands that scores are made of, and those of a part of the queries."""

    def __init__(self, q, k, v, mask, causal, scale, kept, factor):
        self.q, self.k, self.v = q, k, v
        self.heads, self.groups = q.shape[1], q.shape[1] // max(k.shape[1], 1)
        whole = (*q.shape[:3], k.shape[2])
        self.mask = None if mask is None else on_device(mask).broadcast_to(whole)
        self.kept = None if kept is None else on_device(kept)
        self.causal, self.scale, self.factor = causal, scale, factor

    def parts(self) -> Iterator[tuple[slice, slice]]:
        """Yield which of the batch and which queries are taken at a time."""
        batch, heads, queries, _ = self.q.shape
        of_query = heads * self.k.shape[2]
        rows = max(1, min(queries, _MOST_SCORES // of_query))
        of_batch = max(1, _MOST_SCORES // (of_query * queries))
        for n in range(0, batch, of_batch):
            for first in range(0, queries, rows):
                yield slice(n, min(batch, n + of_batch)), slice(first, min(queries, first + rows))

    def by_group(self, x: DeviceArray, n: slice, rows: slice) -> DeviceArray:
        """Return a part of (batch, heads, queries, size): a view (batch, kv heads, groups, queries, size)."""
        part = x[n, :, rows]
        return part.reshape(len(part), self.k.shape[1], self.groups, *part.shape[2:], copy=False)

    def products(self, left: DeviceArray, right: DeviceArray, n: slice, rows: slice) -> DeviceArray:
        """Return left @ right.T of a part: (batch, kv heads, groups, queries, keys)."""
        parted = self.by_group(left, n, rows)
        out = empty((*parted.shape[:4], right.shape[2]), left.dtype)
        contract(parted, right[n].swapaxes(2, 3), out, 2, 1)
        return out

    def weigh(self, made, n: slice, rows: slice, stats: DeviceArray, scores: DeviceArray, *more) -> None:
        """Launch one of the kernels over the rows of a part."""
        mask, mask_steps = scores, [0] * 4  # not read
        if self.mask is not None:
            mask = self.mask[n, :, rows]
            mask_steps = [s // mask.itemsize for s in mask.strides]
        kept, kept_steps = scores.strided((1,), (1,), dtype=np.bool_), [0] * 3  # not read
        if self.kept is not None:
            kept = self.kept[n, :, rows]
            kept_steps = list(kept.strides[:3])
        part = stats[n, :, rows]
        keys, queries = scores.shape[4], scores.shape[3]
        count = scores.size // keys
        made.launch(
            min(count, _MOST_BLOCKS), _BLOCK, count, self.heads, queries, keys, rows.start, self.causal,
            self.scale, self.mask is not None, self.kept is not None, self.factor,
            *mask_steps, mask, *kept_steps, kept, *[s // part.itemsize for s in part.strides[:3]],
            part, scores, *more,
        )  # fmt: skip


def _by_rows(make, shape: tuple[int, ...], dtype: np.dtype) -> DeviceArray:
    """Return (batch, heads, length, size) that lies in memory as (batch, length, heads, size)."""
    batch, heads, length, size = shape
    return make((batch, length, heads, size), dtype).transpose(0, 2, 1, 3)


def attention(
    q, k, v, mask, causal: bool, scale: float, kept, factor: float
) -> tuple[DeviceArray, DeviceArray]:
    """Return softmax(q @ k.T * scale + mask) @ v, and of each row its largest score and 1 / sum.

    q: (batch, heads, queries, size), k: (batch, kv heads, keys, size), v: (batch, kv heads, keys, size of v),
    of one float type and any strides; the kv heads divide the heads, neighbours share one. mask: None, or
    numbers of that type added to the scores, (..., 1 or queries, keys), broadcast to (batch, heads, queries,
    keys). causal: query i sees keys 0 to i only. kept: None, or bools (batch, heads, queries, keys), in
    order: weights are multiplied by `factor` where they hold, else by 0. A row that sees no key gives 0.
    """
    shape = (*q.shape[:3], v.shape[3])
    stats = zeros((*q.shape[:3], 2), q.dtype)
    if not k.shape[2] or not math.prod(shape):
        return _by_rows(zeros, shape, q.dtype), stats
    out = _by_rows(empty, shape, q.dtype)
    scores = _Scores(q, k, v, mask, causal, scale, kept, factor)
    for n, rows in scores.parts():
        weights = scores.products(q, k, n, rows)
        scores.weigh(_weigh, n, rows, stats, weights)
        contract(weights, v[n], scores.by_group(out, n, rows), 2, 1)
    return out, stats


def attention_dx(q, k, v, mask, causal: bool, scale: float, kept, factor: float, stats, grad):
    """Return the gradients of `attention` in q, k and v."""
    if not k.shape[2] or not grad.size:
        return tuple(_by_rows(zeros, a.shape, a.dtype) for a in (q, k, v))
    dq, dk, dv = (_by_rows(empty, a.shape, a.dtype) for a in (q, k, v))
    scores = _Scores(q, k, v, mask, causal, scale, kept, factor)
    for n, rows in scores.parts():
        weights = scores.products(q, k, n, rows)
        grads = scores.products(grad, v, n, rows)
        scores.weigh(_weigh_dx, n, rows, stats, weights, grads)
        contract(grads, k[n], scores.by_group(dq, n, rows), 2, 1)
        for out, wide, x in ((dk, grads, q), (dv, weights, grad)):
            part = out[n] if rows.start == 0 else empty(out[n].shape, out.dtype)
            contract(wide.transpose(0, 1, 4, 2, 3), scores.by_group(x, n, rows), part, 2, 2)
            if rows.start:
                forward("add", out[n], part, out=out[n])
    return dq, dk, dv
