"""tensor/embedding.py: rows looked up, and what flows back into them."""

import numpy as np
import pytest

import tensor

POSITIONS = [[0, 2, 2, 5], [[1, 5], [5, 1], [5, 5]], 3, []]


@pytest.mark.parametrize("positions", POSITIONS, ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"padding_idx": 5}, {"padding_idx": -1}, {"scale_grad_by_freq": True}], ids=str
)
def test_embedding(check, positions, options: dict) -> None:
    index = np.array(positions, np.int64)

    def look_up(T, index, weight):
        return T.nn.functional.embedding(index, weight, **options)

    free = not options  # a padding row has no gradient, though a finite difference finds one
    check.op(
        "embedding", look_up, [index, check.numbers(6, 3)], lambda i, w: w[i],
        theirs=None if index.size else lambda T, i, w: T.nn.functional.embedding(i, w),
        differences=free, all_layouts=True,
    )  # fmt: skip


def test_int32_and_a_table_of_integers(engines) -> None:
    for T in engines:
        index = T.tensor([2, 0], dtype=T.int32)
        assert T.nn.functional.embedding(index, T.arange(6).reshape(3, 2)).tolist() == [[4, 5], [0, 1]]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("width", [7, 64, 100])
def test_many_positions(width: int, threads: int) -> None:
    """Sizes that go to the pool: exact, since the numbers are small integers; the same on any threads."""
    rng = np.random.default_rng(0)
    index = rng.integers(0, 50, (70, 90))
    table = rng.integers(-9, 9, (50, width)).astype(np.float32)
    flow = rng.integers(-9, 9, (70, 90, width)).astype(np.float32)
    before = tensor.get_num_threads()
    try:
        tensor.set_num_threads(threads)
        weight = tensor.from_numpy(table).requires_grad_()
        out = tensor.nn.functional.embedding(tensor.from_numpy(index), weight, padding_idx=3)
        out.backward(tensor.from_numpy(flow))
    finally:
        tensor.set_num_threads(before)
    np.testing.assert_array_equal(out.detach().numpy(), table[index])
    expected = np.zeros_like(table)
    np.add.at(expected, index, flow)
    expected[3] = 0
    np.testing.assert_array_equal(weight.grad.numpy(), expected)


@pytest.mark.parametrize("norm_type", [2.0, 1.0, float("inf"), 3.0])
def test_max_norm_changes_the_rows_used(check, torch, norm_type: float) -> None:
    found = []
    for T in (tensor, torch):
        weight = T.tensor(check.numbers(6, 3).astype(np.float32), requires_grad=True)
        out = T.nn.functional.embedding(T.tensor([1, 4, 4]), weight, max_norm=0.7, norm_type=norm_type)
        out.sum().backward()
        found.append((out, weight, weight.grad))
    check.same(found[0], found[1])
    rows = found[0][1].detach().numpy()
    assert (np.linalg.norm(rows[[1, 4]], norm_type, axis=1) <= 0.7).all()
    np.testing.assert_array_equal(rows[[0, 2, 3, 5]], check.numbers(6, 3).astype(np.float32)[[0, 2, 3, 5]])


def test_max_norm_counts_as_a_change(engines) -> None:
    for T in engines:
        weight = T.ones(4, 3, requires_grad=True)
        out = (weight * weight).sum()
        T.nn.functional.embedding(T.tensor([1]), weight, max_norm=0.5)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.backward()


def test_the_name_in_the_graph(engines) -> None:
    for T in engines:
        out = T.nn.functional.embedding(T.tensor([1]), T.ones(4, 3, requires_grad=True))
        assert repr(out.grad_fn).startswith("<EmbeddingBackward0")


WRONG = {
    "too large": lambda T: T.nn.functional.embedding(T.tensor([0, 4]), T.ones(4, 3)),
    "negative": lambda T: T.nn.functional.embedding(T.tensor([-1]), T.ones(4, 3)),
    "floats": lambda T: T.nn.functional.embedding(T.tensor([0.0]), T.ones(4, 3)),
    "bools": lambda T: T.nn.functional.embedding(T.tensor([True]), T.ones(4, 3)),
    "a vector": lambda T: T.nn.functional.embedding(T.tensor([0]), T.ones(4)),
    "three dims": lambda T: T.nn.functional.embedding(T.tensor([0]), T.ones(4, 3, 2)),
    "padding": lambda T: T.nn.functional.embedding(T.tensor([0]), T.ones(4, 3), padding_idx=4),
    "padding from the end": lambda T: T.nn.functional.embedding(T.tensor([0]), T.ones(4, 3), padding_idx=-5),
    "a list": lambda T: T.nn.functional.embedding([0], T.ones(4, 3)),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors(check, case: str) -> None:
    check.raises_alike(WRONG[case])


def test_sparse_gradients_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="sparse=True is not supported"):
        tensor.nn.functional.embedding(tensor.tensor([0]), tensor.ones(4, 3), sparse=True)
