"""Sums, means and maxima of bags of embeddings."""

import itertools

from tensor import creation, dtypes
from tensor.embedding import embedding, padding_row, refuse_sparse
from tensor.join import cat
from tensor.operands import require_tensor


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """Return the sum, mean or max of the embeddings of each bag: (bags, embedding_dim).

    input: (bags, length) positions, or (count,) with `offsets`, where each bag begins. weight:
    (num_embeddings, embedding_dim). mode: "sum", "mean" or "max"; a bag of nothing is 0. per_sample_weights:
    of the input's shape, multiply the embeddings ("sum" only). include_last_offset: the last offset is the
    end. padding_idx: positions that do not count. max_norm, norm_type, scale_grad_by_freq: see `embedding`.
    """
    require_tensor("embedding_bag", "input", input)
    require_tensor("embedding_bag", "weight", weight)
    refuse_sparse("embedding_bag", sparse)
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(
                "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for "
                f"mode='sum' (got mode='{mode}')."
            )
        if per_sample_weights.shape != input.shape:
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then it "
                f"must have the same shape as the input ({input.shape})"
            )
        per_sample_weights = per_sample_weights.reshape(-1)
    if mode == "max" and scale_grad_by_freq:
        raise RuntimeError("embedding_bag: max mode is not supported if scale_grad_by_freq is True")
    starts, bags = _bags(input, offsets, include_last_offset)
    padding = padding_row(padding_idx, weight.shape[0])
    positions = input.reshape(-1)
    bag_of = [bag for bag, (a, b) in enumerate(itertools.pairwise(starts)) for _ in range(a, b)]
    kept = [n for n, p in enumerate(positions.tolist()) if p != padding]
    rows = creation.tensor(kept, dtype=dtypes.int64)
    found = embedding(positions[rows], weight, None, max_norm, norm_type, scale_grad_by_freq)
    if per_sample_weights is not None:
        found = found * per_sample_weights[rows].unsqueeze(1)
    owners = [bag_of[n] for n in kept]
    out = _largest(found, owners, bags) if mode == "max" else _total(found, owners, bags, mode == "mean")
    if out.grad_fn is not None:
        out.grad_fn.printed_name = "EmbeddingBag"
    return out


def _bags(input, offsets, include_last_offset: bool) -> tuple[list[int], int]:
    """Return where each bag begins and the last ends, and how many there are."""
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed "
                f"length sequences. However, found offsets of type {type(offsets)}"
            )
        bags, length = input.shape
        return [length * n for n in range(bags + 1)], bags
    if input.ndim != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}")
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets.ndim != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    starts = offsets.tolist()
    if starts and starts[0] != 0:
        raise RuntimeError(
            "embedding_bag: offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start "
            f"from position 0. However, got {starts[0]}"
        )
    count = input.shape[0]
    if starts and max(starts) > count:
        raise RuntimeError(
            f"embedding_bag: offsets[-1] can not be greater than input's length({count}) but got offsets[-1] "
            f"of {starts[-1]}"
        )
    if not include_last_offset:
        starts.append(count)
    return starts, max(len(starts) - 1, 0)


def _total(found, owners: list[int], bags: int, mean: bool):
    zeros = creation.zeros((bags, found.shape[1]), dtype=found.dtype)
    total = zeros.index_add(0, creation.tensor(owners, dtype=dtypes.int64), found)
    if not mean:
        return total
    counts = [0] * bags
    for bag in owners:
        counts[bag] += 1
    sizes = [[max(count, 1)] for count in counts]
    return total / creation.tensor(sizes, dtype=found.dtype)


def _largest(found, owners: list[int], bags: int):
    """Return the maximum of each bag; that of the first row wins a tie."""
    members: list[list[int]] = [[] for _ in range(bags)]
    for row, bag in enumerate(owners):
        members[bag].append(row)
    longest = max(map(len, members), default=0)
    outside = found.shape[0]  # the row of zeros below: of an empty bag; others repeat their first
    padded = [[*m, *[m[0] if m else outside] * (max(longest, 1) - len(m))] for m in members]
    rows = cat([found, creation.zeros((1, found.shape[1]), dtype=found.dtype)])
    return rows[creation.tensor(padded, dtype=dtypes.int64).reshape(bags, max(longest, 1))].max(1)[0]
