"""multinomial: PyTorch's draws for the same seed, and what it refuses."""

import numpy as np
import pytest

import tensor
from tensor.random_draws import multinomial

ROWS = [[0.1, 0.9, 0.4, 0.0, 3.0, 0.6], [1.0, 1.0, 2.0, 0.5, 0.0, 7.0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("count", "replacement"), [(1, True), (1, False), (4, False), (3, True), (50, True)])
def test_the_draws_are_pytorchs(torch, dtype, count, replacement):
    tensor.manual_seed(5)
    torch.manual_seed(5)
    for weights in (ROWS, ROWS[0], ROWS[1]):
        ours = multinomial(tensor.tensor(weights, dtype=getattr(tensor, dtype)), count, replacement)
        theirs = torch.multinomial(torch.tensor(weights, dtype=getattr(torch, dtype)), count, replacement)
        assert ours.tolist() == theirs.tolist()
        assert tensor.rand(1).item() == torch.rand(1).item(), "another number of draws"


def test_draws_on_record():
    generator = tensor.Generator().manual_seed(0)
    weights = tensor.tensor(ROWS[0])
    assert multinomial(weights, 5, True, generator=generator).tolist() == [5, 4, 4, 5, 4]
    assert multinomial(weights, 5, generator=generator).tolist() == [4, 1, 5, 2, 0]


def test_exponential_numbers_are_pytorchs(torch):
    generator = tensor.Generator().manual_seed(3)
    torch.manual_seed(3)
    for dtype in ("float32", "float64"):
        expected = torch.empty(40, dtype=getattr(torch, dtype)).exponential_(1.5)
        np.testing.assert_allclose(
            generator.exponential((40,), 1.5, dtype), expected, rtol=1e-15 if dtype == "float64" else 1e-7
        )
    with pytest.raises(RuntimeError, match="lambda > 0"):
        generator.exponential((1,), 0.0)


@pytest.mark.parametrize(
    ("weights", "count", "message"),
    [
        ([1.0, -1.0], 1, "element < 0"),
        ([1.0, float("nan")], 1, "nan"),
        ([0.0, 0.0], 2, "sum of probabilities"),
        ([1, 2], 1, "floating-point"),
        ([1.0, 2.0], 3, "without replacement"),
        ([1.0, 2.0], 0, "n_sample <= 0"),
        ([[[1.0]]], 1, "1 or 2 dim"),
        (1.0, 1, "1 or 2 dim"),
    ],
)
def test_errors(weights, count, message):
    with pytest.raises(RuntimeError, match=message):
        multinomial(tensor.tensor(weights), count)
