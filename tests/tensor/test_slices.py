"""tensor/slices.py: whole slices by index, in every memory layout, with gradients."""

import pytest

import tensor


def at(T, x, *positions):
    return T.tensor(positions, device=x.device)


OPERATIONS = {
    "index_select": lambda T, x, y: x.index_select(1, at(T, x, 3, 0, 0)) * y[:, :3],
    "index_add": lambda T, x, y: T.index_add(x, 0, at(T, x, 1, 1, 0), y, alpha=2),
    "index_add, 1": lambda T, x, y: x.index_add(-1, at(T, x, 3, 3), y[:, :2]),
    "index_add in place": lambda T, x, y: x.clone().index_add_(0, at(T, x, 2, 2), y[:2]),
    "index_copy": lambda T, x, y: T.index_copy(x, 0, at(T, x, 2, 0), y[:2]),
    "index_copy in place": lambda T, x, y: x.clone().index_copy_(1, at(T, x, 1), y[:, :1]),
    "index_fill": lambda T, x, y: x.index_fill(1, at(T, x, 0, 2), y[0, 0]),
    "index_fill in place": lambda T, x, y: x.clone().index_fill_(0, at(T, x, 1), 3.0) * y,
    "select_scatter": lambda T, x, y: T.select_scatter(x, y[0], 0, -1),
    "slice_scatter": lambda T, x, y: T.slice_scatter(x, y[:, :2], 1, 0, 4, 2),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_values_and_gradients(check, name) -> None:
    check.op(name, OPERATIONS[name], [check.numbers(3, 4), check.numbers(3, 4, seed=1)])


def test_errors_say_what_to_do() -> None:
    x = tensor.zeros(3, 4)
    with pytest.raises(RuntimeError, match=r"index_add: .*expected \(2, 4\), got \(3, 4\)"):
        x.index_add(0, tensor.tensor([0, 1]), tensor.zeros(3, 4))
    with pytest.raises(IndexError, match="index_select: index 3 is out of bounds for dimension 0"):
        x.index_select(0, tensor.tensor([3]))
