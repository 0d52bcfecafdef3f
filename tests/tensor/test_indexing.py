"""tensor/indexing.py: reading and writing with every kind of index, and the gradients of both."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tensor

quick = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def indices(draw, shape: tuple[int, ...]):
    """Draw an index of an array of `shape`: a tuple of ints, slices, None, Ellipsis, masks, arrays, lists."""
    items: list = []
    dim, dots = 0, False
    together = draw(st.sampled_from([(), (1,), (3,), (2, 1), (1, 3), (0,)]))  # index arrays must broadcast
    while dim < len(shape):
        size = shape[dim]
        kind = draw(
            st.sampled_from(
                ["int", "slice", "none", "dots", "array", "mask", "list", "zero-dim", "stop", "slice"]
            )
        )
        if kind == "stop":
            break
        if kind == "none":
            if len(items) < 6:
                items.append(None)
            continue
        if kind == "dots":
            if not dots:
                items.append(Ellipsis)
                dots = True
                dim += draw(st.integers(0, len(shape) - dim))
            continue
        if kind == "slice" or size == 0:
            bound = st.none() | st.integers(-size - 1, size + 1)
            items.append(slice(draw(bound), draw(bound), draw(st.none() | st.integers(1, 3))))
        elif kind == "int":
            items.append(draw(st.integers(-size, size - 1)))
        elif kind == "zero-dim":
            items.append(np.array(draw(st.integers(-size, size - 1))))
        elif kind == "list":
            count = int(np.prod(together)) if len(together) == 1 else 1
            items.append(
                [draw(st.integers(-size, size - 1)) for _ in range(max(count, 1))]
                if together == (3,)
                else slice(None)
            )
        elif kind == "array":
            flat = [draw(st.integers(-size, size - 1)) for _ in range(int(np.prod(together)))]
            items.append(np.array(flat, np.int64).reshape(together))
        elif kind == "mask":
            width = draw(st.integers(1, min(2, len(shape) - dim)))
            masked = shape[dim : dim + width]
            flat = [draw(st.booleans()) for _ in range(int(np.prod(masked)))]
            items.append(np.array(flat, bool).reshape(masked))
            dim += width - 1
        dim += 1
    if len(items) == 1 and draw(st.booleans()):
        return items[0]
    return tuple(items)


def as_index(module, index):
    """Return the index with its arrays as tensors of `module`."""
    if isinstance(index, tuple):
        return tuple(as_index(module, item) for item in index)
    return module.tensor(index) if isinstance(index, np.ndarray) else index


SHAPES = st.sampled_from([(5,), (3, 4), (2, 3, 4), (2, 1, 3, 2), (0, 3), (3, 0), (4, 4)])


@quick
@given(st.data())
def test_reading(check, torch, data) -> None:
    shape = data.draw(SHAPES)
    index = data.draw(indices(shape))
    values = check.numbers(*shape)
    a, b = tensor.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    try:
        expected = b[as_index(torch, index)]
    except IndexError:
        with pytest.raises(IndexError):
            a[as_index(tensor, index)]
        return
    found = a[as_index(tensor, index)]
    check.same(found, expected, f"{shape}[{index}]")
    weights = check.numbers(*expected.shape, seed=3)
    found.backward(tensor.tensor(weights))
    expected.backward(torch.tensor(weights))
    check.same(a.grad, b.grad, f"gradient of {shape}[{index}]")


@quick
@given(st.data())
def test_reading_like_numpy(check, data) -> None:
    """Without PyTorch: positions counted by NumPy, where the two agree (no int beside an index array)."""
    shape = data.draw(SHAPES)
    index = data.draw(indices(shape))
    items = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, np.ndarray | list) for i in items) and any(
        isinstance(i, int) or i is None or np.shape(i) == ()
        for i in items
        if not isinstance(i, slice) and i is not Ellipsis
    ):
        return
    values = check.numbers(*shape)
    a = tensor.tensor(values, requires_grad=True)
    try:
        expected = values[index]
    except IndexError:
        with pytest.raises(IndexError):
            a[as_index(tensor, index)]
        return
    found = a[as_index(tensor, index)]
    check.same(found, np.asarray(expected), f"{shape}[{index}]")
    found.sum().backward()
    counts = np.zeros(shape)
    np.add.at(counts, index, 1.0)
    check.same(a.grad, counts, f"gradient of {shape}[{index}]")


@quick
@given(st.data())
def test_writing(check, torch, data) -> None:
    shape = data.draw(SHAPES)
    index = data.draw(indices(shape))
    values = check.numbers(*shape)
    try:
        read = torch.tensor(values)[as_index(torch, index)]
    except (IndexError, RuntimeError):
        with pytest.raises((IndexError, RuntimeError)):
            tensor.tensor(values)[as_index(tensor, index)] = 1.0
        return
    repeated = _repeats(torch, shape, index)
    written = list(read.shape)
    for d in range(len(written)):
        if data.draw(st.integers(0, 3)) == 0 and written[d] != 0:
            written[d] = 1
    written = written[data.draw(st.integers(0, len(written))) :] if data.draw(st.booleans()) else written
    value = (
        check.numbers(*written, seed=1) if not repeated else np.array(0.7)
    )  # which of several stays is open
    results = []
    for T in (tensor, torch):
        x = T.tensor(values, requires_grad=True)
        v = T.tensor(value, requires_grad=True)
        y = x * 1.5
        y[as_index(T, index)] = v
        y.backward(T.tensor(check.numbers(*shape, seed=2)))
        results.append((y, x.grad, v.grad))
    if repeated:  # nor is the gradient of one that does not stay
        results = [r[:2] for r in results]
    check.same(*results, f"{shape}[{index}] = {value.shape}")


def _repeats(torch, shape, index) -> bool:
    positions = torch.arange(int(np.prod(shape))).reshape(shape)[as_index(torch, index)].reshape(-1)
    return len(positions.unique()) != len(positions)


def test_repeated_positions_add_up(check) -> None:
    x = check.numbers(4, 3)
    index = np.array([1, 1, 3, 1, -1])
    check.op("x[i]", lambda T, x, i: x[i], [x, index], lambda x, i: x[i])
    check.op("x[:, i]", lambda T, x, i: x[:, i], [x, index % 3], lambda x, i: x[:, i])
    check.op("x[i, j]", lambda T, x, i: x[i, i % 3], [x, index], lambda x, i: x[i, i % 3])
    check.op("x[i][i]", lambda T, x, i: x[i][i.remainder(4)], [x, index])


def test_every_layout(check) -> None:
    x = check.numbers(4, 3, 5)
    mask = check.numbers(4, 3, seed=5) > 0
    rows = np.array([[0, -1], [2, 2]])
    check.op("mask", lambda T, x, m: x[m], [x, mask], lambda x, m: x[m])
    check.op("rows", lambda T, x, r: x[r], [x, rows], lambda x, r: x[r])
    check.op(
        "mixed", lambda T, x, r: x[1:, r % 3, ..., None], [x, rows], lambda x, r: x[1:, r % 3, ..., None]
    )
    check.op("apart", lambda T, x, r: x[r, :, r], [x, rows], lambda x, r: x[r, :, r])
    check.op("list", lambda T, x: x[[0, 2], :, [1, 3]], [x], lambda x: x[[0, 2], :, [1, 3]])
    check.op("steps", lambda T, x: x[::2, -1, 1:4:2], [x], lambda x: x[::2, -1, 1:4:2])


INDICES = [
    True,
    False,
    (True, 0),
    (None, True),
    (0, True),
    (False, slice(None)),
    (),
    (Ellipsis,),
    None,
    (None, None),
    [0, 1],
    [True, False, True],
    ([0, 1], [1, 1]),
    [],
    (slice(None), []),
    range(2),
    (Ellipsis, 0),
    (0, Ellipsis),
    (0, Ellipsis, 0),
    (Ellipsis, None, 0),
    np.int64(1),
    (slice(0, 0), 1),
    (slice(5, 1),),
    (-1, slice(-2, None)),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_odd_indices(check, torch, index) -> None:
    if isinstance(index, range):
        expected_index: object = list(index)
    else:
        expected_index = index
    x = check.numbers(3, 4)
    a, b = tensor.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    found, expected = a[index], b[expected_index]
    check.same(found, expected)
    found.sum().backward()
    expected.sum().backward()
    check.same(a.grad, b.grad)
    y, z = tensor.tensor(x), torch.tensor(x)
    y[index] = 7.0
    z[expected_index] = 7.0
    check.same(y, z)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool"])
def test_index_types(check, torch, dtype) -> None:
    x = check.numbers(3, 4)
    index = np.array([1, 0, 1]).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn that uint8 masks are old
        expected = torch.tensor(x)[torch.tensor(index)]
        found = tensor.tensor(x)[tensor.tensor(index)]
    check.same(found, expected)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda T: T.ones(2, 3)[2],
        lambda T: T.ones(2, 3)[-3],
        lambda T: T.ones(2, 3)[0, 0, 0],
        lambda T: T.ones(2, 3)[T.tensor([2])],
        lambda T: T.ones(2, 3)[T.tensor([0.5])],
        lambda T: T.ones(2, 3)[0.5],
        lambda T: T.ones(2, 3)[T.tensor([True, False, True])],
        lambda T: T.ones(2, 3)[T.tensor([0, 1]), T.tensor([0, 1, 2])],
        lambda T: T.ones(2, 3)[::-1],
        lambda T: T.ones(2, 3)[::0],
        lambda T: T.ones(2, 3).__setitem__(0, T.ones(2)),
        lambda T: T.ones(2, 3).__setitem__(T.tensor([0, 1]), T.ones(5)),
        lambda T: T.ones(2, 3).__setitem__((0, 0, 0), 1.0),
        lambda T: T.ones(())[0],
        lambda T: T.ones(2, 3).gather(0, T.tensor([0])),
        lambda T: T.ones(2, 3).gather(0, T.tensor([[5]])),
        lambda T: T.ones(2, 3).gather(0, T.tensor([[0.0]])),
        lambda T: T.ones(2, 3).index_select(0, T.tensor([[0]])),
        lambda T: T.ones(2, 3).index_select(0, T.tensor([2])),
        lambda T: T.ones(2, 3).index_select(3, T.tensor([0])),
        lambda T: T.ones(2, 3).masked_select(T.ones(2) > 0),
        lambda T: T.ones(2, 3).masked_select(T.ones(2, 3)),
    ],
)
def test_errors_are_of_pytorch_s_kind(check, wrong) -> None:
    check.raises_alike(wrong)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)], ids=str)
def test_gather(check, shape) -> None:
    x = check.numbers(*shape)
    rng = np.random.default_rng(0)
    for dim in range(-len(shape), len(shape)):
        size = list(shape)
        size[dim] = 5
        index = rng.integers(0, shape[dim], size)
        check.op(
            "gather",
            lambda T, x, i, d=dim: T.gather(x, d, i),
            [x, index],
            lambda x, i, d=dim: np.take_along_axis(x, i, d),
        )
        small = index[tuple(slice(max(1, n - 1)) for n in index.shape)]
        check.op("gather", lambda T, x, i, d=dim: x.gather(d, i), [x, small])
        source = check.numbers(*size, seed=2)
        check.op("scatter_add", lambda T, x, s, i, d=dim: T.scatter_add(x, d, i, s), [x, source, index])
        check.op(
            "scatter_add",
            lambda T, x, s, i, d=dim: (x * 2).scatter_add_(d, i, s),
            [x, source[tuple(slice(n) for n in small.shape)], small],
        )


def test_index_select_and_masked_select(check) -> None:
    x = check.numbers(3, 4)
    for dim in (0, 1, -1):
        check.op("index_select", lambda T, x, i, d=dim: T.index_select(x, d, i), [x, np.array([2, 0, 2])])
    check.op("masked_select", lambda T, x, m: T.masked_select(x, m), [x, x > 0.5])
    check.op("masked_select", lambda T, x, m: x.masked_select(m), [x, np.array([True, False, True, True])])
    check.op(
        "masked_select", lambda T, x, m: x.masked_select(m), [np.array(2.0), np.array([True, False, True])]
    )


def test_nonzero(check, torch) -> None:
    for x in (
        np.array([[0.0, 1.0], [2.0, 0.0]]),
        np.array([0, 3]),
        np.array(0.0),
        np.array(5),
        np.zeros((0, 2)),
        np.array([True, False]),
    ):
        check.same(tensor.tensor(x).nonzero(), torch.tensor(x).nonzero())
        check.same(
            tensor.nonzero(tensor.tensor(x), as_tuple=True), torch.nonzero(torch.tensor(x), as_tuple=True)
        )


def test_basic_indexing_shares_memory_and_a_mask_copies() -> None:
    x = tensor.zeros(3, 4)
    x[1][2] = 5.0
    x[:, 1:][0, 0] = 6.0
    x[None, ..., 0][0, 2] = 7.0
    x[0, 0].add_(1.0)
    assert x.tolist() == [[1.0, 6.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0], [7.0, 0.0, 0.0, 0.0]]
    x[x > 5] += 1
    x[tensor.tensor([0, 2])].zero_()
    assert x.sum().item() == 21.0


def test_changing_an_index_before_backward_is_noticed(check) -> None:
    def change_positions(T) -> None:
        x, i = T.ones(3, requires_grad=True), T.tensor([0, 1])
        y = x[i].sum()
        i.add_(1)
        y.backward()

    def change_mask(T) -> None:
        x, m = T.ones(3, requires_grad=True), T.tensor([True, False, True])
        y = x[m].sum()
        m.zero_()
        y.backward()

    def change_condition(T) -> None:
        x, c = T.ones(3, requires_grad=True), T.tensor([True, False, True])
        y = T.where(c, x, 0.0).sum()
        c.zero_()
        y.backward()

    def change_gathered(T) -> None:
        x, i = T.ones(3, requires_grad=True), T.tensor([0, 1])
        y = x.gather(0, i).sum()
        i.zero_()
        y.backward()

    def change_indices_of_max(T) -> None:
        values, i = T.ones(3, 2, requires_grad=True).max(1)
        i.zero_()
        values.sum().backward()

    def change_put(T) -> None:
        x, i = T.ones(3, requires_grad=True), T.tensor([0, 1])
        y = x * 1
        y[i] = 2.0
        i.add_(1)
        y.sum().backward()

    for wrong in (
        change_positions,
        change_mask,
        change_condition,
        change_gathered,
        change_indices_of_max,
        change_put,
    ):
        check.raises_alike(wrong)


def test_assignment_converts(check, torch) -> None:
    for dtype in ("int64", "float64", "uint8", "bool"):
        results = []
        for T in (tensor, torch):
            x = T.zeros(2, 3, dtype=getattr(T, dtype))
            x[0] = 1.0
            x[1, 1] = T.tensor(2.0)
            x[:, T.tensor([2])] = T.tensor([[3], [1]], dtype=x.dtype)
            x[x > 2] = 0
            results.append(x)
        check.same(*results)


def test_iteration_and_length() -> None:
    x = tensor.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    total = tensor.tensor(0.0)
    for row in x:
        for number in row:
            total = total + number * number
    total.backward()
    assert x.grad.tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert len(x) == 2
    assert 3.0 in x
    assert 9.0 not in x
    with pytest.raises(TypeError):
        len(tensor.tensor(1.0))
    with pytest.raises(TypeError):
        iter(tensor.tensor(1.0))
