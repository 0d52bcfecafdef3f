"""Random indices and numbers drawn by weights that are tensors."""

import numpy as np

from tensor.engine import Tensor
from tensor.random import Generator, find_generator


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Return random indices into each row of weights, drawn as often as the weights say; int64.

    input: (n,) or (rows, n) float weights, which need not sum to 1. Returns (num_samples,) or (rows,
    num_samples). replacement: an index may be drawn again. The draws are PyTorch's for the same seed. Raises
    RuntimeError for weights that are negative, not finite, or sum to 0, and for more draws than there are
    indices, without replacement.
    """
    if input.ndim not in (1, 2):
        raise RuntimeError(f"multinomial: prob_dist must be 1 or 2 dim, got {input.ndim}")
    if not input.is_floating_point():
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got {input.dtype}; use .float()"
        )
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: cannot sample n_sample <= 0 samples, got {num_samples}")
    if not replacement and num_samples > input.shape[-1]:
        raise RuntimeError(
            "multinomial: cannot sample n_sample > prob_dist.size(-1) samples without replacement: "
            f"{num_samples} of {input.shape[-1]}"
        )
    weights = np.atleast_2d(input.detach()._array)
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise RuntimeError("multinomial: probability tensor contains either `inf`, `nan` or element < 0")
    if not (weights.sum(axis=1) > 0).all():
        raise RuntimeError("multinomial: invalid multinomial distribution (sum of probabilities <= 0)")
    found = find_generator(generator).multinomial(weights, num_samples, replacement)
    return Tensor._wrap(found if input.ndim == 2 else found[0])
