"""Scaled dot-product attention, forward and backward, a block of queries at a time.

The scores of a block of queries stay in the core's cache from the product with the keys to the product with
the values: the matrix of all scores, queries times keys for every head, is never written. The backward pass
computes them again, from what the forward pass keeps of each row: its largest score and 1 over the sum of its
exponentials (the recomputation of Dao et al. 2022, "FlashAttention"). With a causal mask the scores that are
masked are not computed either, but for those of the block on the diagonal.

Operands may have any strides: heads cut out of one (batch, length, heads * size) array are read as they lie.
"""

import math

import numpy as np

from kernels.cpu.compile import jit
from kernels.cpu.launch import share_of, shared_kernel, workers_for
from kernels.cpu.matmul import fill_strip, pack_b
from kernels.cpu.scratch import scratch
from kernels.cpu.softmax import LANES, exponentials, inner, largest, scale_row
from kernels.cpu.tiles import TILE_VECTORS, VECTOR_BYTES

_SERIAL_BELOW = 1 << 14  # scores
_ROOM_OF_SCORES = 1 << 15  # numbers of a block of scores: they stay in the second cache
_ROWS = 64  # of a block of queries at most


@jit
def _strip_width(like):
    return TILE_VECTORS * (VECTOR_BYTES // like.itemsize)


@jit
def _multiply(a, b_at, depth, packed_depth, columns, c, add):
    """c[:, :columns] = a[:, :depth] @ b, or += where `add`; b packed in strips of `packed_depth` rows."""
    size = c.itemsize
    width = _strip_width(c)
    a_row, a_column = a.strides
    for j in range(0, columns, width):
        strip = b_at + j * packed_depth * size
        fill_strip(
            c, 0, j, a.shape[0], a.ctypes.data, a_row, a_column, a_row, strip, width * size, depth, add
        )


@jit(fastmath={"contract"})
def _scale_and_add(row, scale, mask):
    for i in range(row.size):
        row[i] = row[i] * scale + mask[i]


@jit
def _keep(row, kept, factor):
    for i in range(row.size):
        row[i] = row[i] * (factor if kept[i] else row.dtype.type(0))


@jit
def _scores(q, packed_keys, columns, first, causal, scale, mask, scores):
    """Fill scores[:, :columns] with q @ keys.T * scale + mask."""
    _multiply(q, packed_keys, q.shape[1], q.shape[1], columns, scores, 0)
    for r in range(q.shape[0]):
        seen = min(columns, first + r + 1) if causal else columns
        if mask.shape[1]:
            _scale_and_add(scores[r, :seen], scale, mask[(first + r) % mask.shape[0], :seen])
        else:
            scale_row(scores[r, :seen], scale)
        for j in range(seen, columns):
            scores[r, j] = -math.inf


@jit
def _pack(b, room):
    """Write b into strips, and return where they begin."""
    pack_b(b, 0, b.shape[0], 0, b.shape[1], _strip_width(b), room)
    return room.ctypes.data


@jit
def _columns_for(first, rows, count, causal):
    """Return how many keys the queries first to first + rows see, at most."""
    return min(count, first + rows) if causal else count


@jit
def _attend(q, k, v, mask, causal, scale, kept, factor, out, stats, rows, room):
    """Fill out, (queries, size), and stats, (queries, 2), of one head."""
    keys = k.shape[0]
    wide = (keys + 63) // 64 * 64
    scores = room[: rows * wide].reshape(rows, wide)
    room = room[rows * wide :]
    most = _packed_size(k, v)
    tops = np.empty(LANES, q.dtype)
    packed_k, packed_v = _pack(k.T, room[:most]), _pack(v, room[most:])
    for first in range(0, q.shape[0], rows):
        last = min(q.shape[0], first + rows)
        columns = _columns_for(first, last - first, keys, causal)
        block = scores[: last - first]
        _scores(q[first:last], packed_k, columns, first, causal, scale, mask, block)
        for r in range(last - first):
            row = block[r, :columns]
            top = largest(row, tops)
            # A row that sees nothing is no attention at all, as in PyTorch: exp(-inf - -inf) would be nan.
            top = top if top > -math.inf or top != top else row.dtype.type(0)
            total = exponentials(row, top, row)
            inverse = row.dtype.type(1 / total) if total != 0 else row.dtype.type(0)
            stats[first + r, 0], stats[first + r, 1] = top, inverse
            scale_row(row, inverse)
            if kept.shape[1]:
                _keep(row, kept[first + r, :columns], factor)
        _multiply(block, packed_v, columns, keys, v.shape[1], out[first:last], 0)


@jit
def _packed_size(k, v):
    """Return room enough for the keys or the values in strips, either way round."""
    keys = (k.shape[0] + 63) // 64 * 64
    return keys * ((max(k.shape[1], v.shape[1]) + 63) // 64 * 64)


@shared_kernel(
    "T[:,:,:,:], T[:,:,:,:], T[:,:,:,:], T[:,:,:,::1], boolean, float64, uint8[:,:,:,::1], float64, "
    "out T[:,:,:,:], out T[:,:,:,::1], int64, out T[::1], int64"
)
def _attention(worker, workers, q, k, v, mask, causal, scale, kept, factor, out, stats, rows, room, share):
    number = q.dtype.type
    heads, groups = q.shape[1], q.shape[1] // k.shape[1]
    begin, end = share_of(q.shape[0] * heads, workers, worker)
    for task in range(begin, end):
        n, h = task // heads, task % heads
        part = room[worker * share : worker * share + share]
        _attend(
            q[n, h], k[n, h // groups], v[n, h // groups], mask[n % mask.shape[0], h % mask.shape[1]],
            causal, number(scale), kept[n % kept.shape[0], h % kept.shape[1]], number(factor),
            out[n, h], stats[n, h], rows, part,
        )  # fmt: skip


@jit(fastmath={"contract"})
def _scores_dx(p, dp, total, scale):
    """Replace dp, the gradient of the weights p, by that of the products of queries and keys."""
    for i in range(p.size):
        dp[i] = p[i] * (dp[i] - total) * scale


@jit
def _attend_dx(q, k, v, mask, causal, scale, kept, factor, stats, grad, dq, dk, dv, rows, room, adds):
    """Fill dq of one head; fill dk and dv, or add to them where `adds`."""
    keys, size, size_v = k.shape[0], k.shape[1], v.shape[1]
    wide = (keys + 63) // 64 * 64
    scores = room[: rows * wide].reshape(rows, wide)
    dscores = room[rows * wide : 2 * rows * wide].reshape(rows, wide)
    room = room[2 * rows * wide :]
    most = _packed_size(k, v)
    packed_k, packed_kt = _pack(k, room[:most]), _pack(k.T, room[most : 2 * most])
    packed_vt, small = _pack(v.T, room[2 * most : 3 * most]), room[3 * most :]
    # The last block sees the most keys: it comes first, and writes what the others add to.
    blocks = (q.shape[0] + rows - 1) // rows
    if causal and q.shape[0] < keys and not adds:
        dk[q.shape[0] :] = 0
        dv[q.shape[0] :] = 0
    for block in range(blocks - 1, -1, -1):
        first = block * rows
        last = min(q.shape[0], first + rows)
        count = last - first
        columns = _columns_for(first, count, keys, causal)
        p, dp = scores[:count], dscores[:count]
        _scores(q[first:last], packed_kt, columns, first, causal, scale, mask, p)
        _multiply(grad[first:last], packed_vt, size_v, size_v, columns, dp, 0)
        for r in range(count):
            weights, d = p[r, :columns], dp[r, :columns]
            exponentials(weights, stats[first + r, 0], weights)
            scale_row(weights, stats[first + r, 1])
            if kept.shape[1]:
                _keep(d, kept[first + r, :columns], factor)
            _scores_dx(weights, d, inner(weights, d), scale)
            if kept.shape[1]:
                _keep(weights, kept[first + r, :columns], factor)
        add = 1 if adds or block < blocks - 1 else 0
        _multiply(dp, packed_k, columns, keys, size, dq[first:last], 0)
        at = _pack(q[first:last], small)
        _multiply(dp.T[:columns], at, count, count, size, dk[:columns], add)
        at = _pack(grad[first:last], small)
        _multiply(p.T[:columns], at, count, count, size_v, dv[:columns], add)


@shared_kernel(
    "T[:,:,:,:], T[:,:,:,:], T[:,:,:,:], T[:,:,:,::1], boolean, float64, uint8[:,:,:,::1], float64, "
    "T[:,:,:,::1], T[:,:,:,:], out T[:,:,:,:], out T[:,:,:,:], out T[:,:,:,:], int64, "
    "out T[::1], int64"
)
def _attention_dx(
    worker, workers, q, k, v, mask, causal, scale, kept, factor, stats, grad, dq, dk, dv, rows, room,
    share,
):  # fmt: skip
    number = q.dtype.type
    heads = k.shape[1]
    groups = q.shape[1] // heads
    begin, end = share_of(q.shape[0] * heads, workers, worker)
    for task in range(begin, end):
        n, shared = task // heads, task % heads
        part = room[worker * share : worker * share + share]
        for h in range(shared * groups, shared * groups + groups):
            _attend_dx(
                q[n, h], k[n, shared], v[n, shared], mask[n % mask.shape[0], h % mask.shape[1]],
                causal, number(scale), kept[n % kept.shape[0], h % kept.shape[1]], number(factor),
                stats[n, h], grad[n, h], dq[n, h], dk[n, shared], dv[n, shared], rows, part, h % groups > 0,
            )  # fmt: skip


def _rows_of_block(keys: int) -> int:
    return max(16, min(_ROWS, _ROOM_OF_SCORES // max(keys, 1) // 4 * 4))


def _empty_by_rows(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return (batch, heads, length, size) that lies in memory as (batch, length, heads, size)."""
    batch, heads, length, size = shape
    return np.empty((batch, length, heads, size), dtype).transpose(0, 2, 1, 3)


def _operands(mask, kept, dtype):
    """Return the mask, in as many dims as it may need, and what dropout keeps; without columns for None."""
    if mask is None:
        mask = np.empty((1, 1, 1, 0), dtype)
    else:
        mask = np.ascontiguousarray(mask.reshape((1,) * (4 - mask.ndim) + mask.shape))
    return mask, np.empty((1, 1, 1, 0), np.uint8) if kept is None else kept.view(np.uint8)


def _share_of_room(q, k, v, rows: int, blocks_of_scores: int, packs: int) -> int:
    keys, size = (k.shape[2] + 63) // 64 * 64, (max(k.shape[3], v.shape[3]) + 63) // 64 * 64
    return blocks_of_scores * rows * keys + packs * keys * size + (rows + 64) * size


def attention(
    q, k, v, mask, causal: bool, scale: float, kept, factor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return softmax(q @ k.T * scale + mask) @ v, and of each row its largest score and 1 / sum.

    q: (batch, heads, queries, size), k: (batch, kv heads, keys, size), v: (batch, kv heads, keys, size of v),
    of one float type and any strides; the kv heads divide the heads, neighbours share one. mask: None, or
    numbers of that type added to the scores, (..., 1 or queries, keys), broadcast to (batch, heads, queries,
    keys). causal: query i sees keys 0 to i only. kept: None, or bools (batch, heads, queries, keys), in
    order: weights are multiplied by `factor` where they hold, else by 0. A row that sees no key gives 0.
    """
    batch, heads, queries, _ = q.shape
    keys = k.shape[2]
    out = _empty_by_rows((batch, heads, queries, v.shape[3]), q.dtype)
    stats = np.zeros((batch, heads, queries, 2), q.dtype)
    if not keys:
        out[...] = 0
    elif out.size:
        rows = _rows_of_block(keys)
        workers = workers_for(batch * heads * queries * keys, _SERIAL_BELOW, batch * heads)
        share = _share_of_room(q, k, v, rows, 1, 2)
        mask, kept = _operands(mask, kept, q.dtype)
        room = scratch(workers * share, q.dtype)
        _attention(workers, q, k, v, mask, causal, scale, kept, factor, out, stats, rows, room, share)
    return out, stats


def attention_dx(q, k, v, mask, causal: bool, scale: float, kept, factor: float, stats, grad):
    """Return the gradients of `attention` in q, k and v."""
    batch, heads, queries, _ = q.shape
    keys = k.shape[2]
    dq, dk, dv = (_empty_by_rows(a.shape, a.dtype) for a in (q, k, v))
    if not keys or not grad.size:
        dq[...], dk[...], dv[...] = 0, 0, 0
        return dq, dk, dv
    rows = _rows_of_block(2 * keys)
    workers = workers_for(batch * heads * queries * keys, _SERIAL_BELOW, batch * k.shape[1])
    share = _share_of_room(q, k, v, rows, 2, 3)
    mask, kept = _operands(mask, kept, q.dtype)
    room = scratch(workers * share, q.dtype)
    _attention_dx(
        workers, q, k, v, mask, causal, scale, kept, factor, stats, grad, dq, dk, dv, rows, room, share
    )
    return dq, dk, dv
