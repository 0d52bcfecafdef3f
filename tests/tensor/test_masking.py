"""tensor/masking.py: elements chosen by a mask, in every memory layout, with gradients."""

import numpy as np
import pytest

import tensor

MASK = np.array([[True, False, True, True], [False, False, True, False], [True, True, False, False]])


def mask(T, x, chosen=MASK):
    return T.tensor(chosen, device=x.device)


OPERATIONS = {
    "masked_fill": lambda T, x, y: x.masked_fill(mask(T, x), -1.5) * y,
    "masked_fill, a tensor": lambda T, x, y: T.masked_fill(x, mask(T, x, MASK[0]), y[0, 0]),
    "masked_fill in place": lambda T, x, y: x.clone().masked_fill_(mask(T, x), 2.0) * y,
    "masked_select": lambda T, x, y: T.masked_select(x, mask(T, x)) * y.masked_select(mask(T, x)),
    "masked_select, broadcast": lambda T, x, y: x[0].masked_select(mask(T, x)) + y.sum(),
    "masked_scatter": lambda T, x, y: x.masked_scatter(mask(T, x), y),
    "masked_scatter in place": lambda T, x, y: x.clone().masked_scatter_(mask(T, x, MASK[:, :1]), y),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_values_and_gradients(check, name) -> None:
    check.op(name, OPERATIONS[name], [check.numbers(3, 4), check.numbers(3, 4, seed=1)])


def test_a_mask_of_numbers_is_refused_with_a_hint() -> None:
    with pytest.raises(RuntimeError, match=r"masked_fill: expected BoolTensor for mask.*use mask != 0"):
        tensor.zeros(3).masked_fill(tensor.ones(3), 1.0)
