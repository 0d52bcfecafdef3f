"""tensor/statistics.py: covariance and correlation, in every memory layout, with gradients."""

import numpy as np


def test_values_and_gradients(check) -> None:
    x = check.numbers(3, 6)
    check.op("cov", lambda T, x: T.cov(x), [x], np.cov)
    check.op("corrcoef", lambda T, x: x.corrcoef(), [x], np.corrcoef, differences=False)
    weights = np.array([1, 2, 1, 1, 3, 1])
    check.op(
        "cov, weighted",
        lambda T, x: T.cov(x, correction=0, fweights=T.tensor(weights, device=x.device)),
        [x],
        lambda x: np.cov(x, ddof=0, fweights=weights),
    )
