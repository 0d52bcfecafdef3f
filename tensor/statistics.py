"""Covariance and correlation of variables observed together."""

import warnings

from tensor import dtypes
from tensor.operands import require_tensor


def _weights(name, given, count, integer):
    if given is None:
        return None
    require_tensor("cov", name, given)
    if given.ndim > 1 or given.numel() != count:
        raise RuntimeError(
            f"cov(): expected {name} of one number for each of {count} observations, got {given.shape}"
        )
    if integer == given.dtype.is_floating_point:
        raise RuntimeError(
            f"cov(): expected {name} to be {'integers' if integer else 'floats'}, got {given.dtype!r}"
        )
    if given.numel() and given.min().item() < 0:
        raise RuntimeError(f"cov(): {name} cannot be negative")
    return given


def cov(input, *, correction=1, fweights=None, aweights=None):
    """Return the covariances of variables, the rows of `input`, observed together, its columns.

    A 1-D input is one variable, whose variance is returned. fweights: how often each observation was made
    (integers); aweights: how much it weighs (floats). Sums are divided by the count - correction.
    """
    require_tensor("cov", "input", input)
    if input.ndim > 2:
        raise RuntimeError(f"cov(): expected input to have two or fewer dimensions but got {input.ndim}")
    if input.dtype is dtypes.bool:
        raise RuntimeError("cov(): bool dtype is not supported for input; use x.float()")
    x = input if input.ndim == 2 else input.reshape(1, -1)
    x = x if x.dtype.is_floating_point else x.to(dtypes.get_default_dtype())
    count = x.shape[1]
    fweights = _weights("fweights", fweights, count, True)
    aweights = _weights("aweights", aweights, count, False)
    w = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    total = count if w is None else w.sum()
    mean = (x if w is None else x * w).sum(1) / total
    free = total - correction
    if w is not None and aweights is not None and correction != 0:
        free = total - correction * (w * aweights).sum() / total
    if free <= 0:
        warnings.warn(
            "cov(): degrees of freedom is <= 0; give more observations than correction", stacklevel=2
        )
        free = 0
    apart = x - mean.unsqueeze(1)
    return (apart @ (apart if w is None else apart * w).t() / free).squeeze()


def corrcoef(input):
    """Return the correlation coefficients of variables, the rows of `input`: covariances within [-1, 1]."""
    require_tensor("corrcoef", "input", input)
    if input.ndim > 2:
        raise RuntimeError(f"corrcoef(): expected input to have two or fewer dimensions but got {input.ndim}")
    c = cov(input)
    if not c.ndim:
        return c / c
    spread = c.diagonal().sqrt()
    return (c / spread.unsqueeze(1) / spread.unsqueeze(0)).clamp(-1, 1)
