"""Indices of tensors on the GPU: read and written as on the CPU, and the same errors."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

import tensor

pytestmark = pytest.mark.usefixtures("device")
VALUES = np.random.default_rng(0).normal(size=(3, 4, 2))
INDICES = {
    "positions": lambda T, d: T.tensor([0, 2, -1, 0], device=d),
    "a list": lambda T, d: [2, 0],
    "beside an int": lambda T, d: (T.tensor([0, 1], device=d), 1),
    "apart": lambda T, d: (T.tensor([[0], [2]], device=d), slice(1, 3), T.tensor([1, 0], device=d)),
    "a mask": lambda T, d: T.tensor(VALUES > 0, device=d),
    "a mask of rows": lambda T, d: (..., T.tensor([True, False], device=d)),
    "a mask and positions": lambda T, d: (T.tensor([True, False, True], device=d), T.tensor(3, device=d)),
    "None": lambda T, d: (None, T.tensor([1, 1], device=d), None),
    "on the CPU": lambda T, d: T.tensor([1, 2, 1]),
}


@pytest.mark.parametrize("name", INDICES)
def test_reading_and_writing(name: str) -> None:
    results = []
    for d in ("cpu", "cuda"):
        x = tensor.tensor(VALUES, device=d, requires_grad=True)
        index = INDICES[name](tensor, d)
        out = x[index]
        (out * out).sum().backward()
        y = x * 2
        y[index] = tensor.tensor(7.0, device=d, dtype=tensor.float64)
        y.sum().backward()
        z = x.detach().clone()
        z[index] += 1.0
        results.append([t.cpu().detach().numpy() for t in (out, y, z, x.grad)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, i: x[i([3])],
        lambda x, i: x[:, i([-5])],
        lambda x, i: x.gather(0, i([[[3]]])),
        lambda x, i: x.index_select(1, i([4])),
        lambda x, i: x.take(i([24])),
        lambda x, i: tensor.nn.functional.embedding(i([3]), x[:, :, 0]),
        lambda x, i: x.scatter_add(0, i([[[-1]]]), x),
        lambda x, i: x[i([0, 1]), i([0, 1, 2])],
    ],
)
def test_positions_out_of_range_raise_as_on_the_cpu(wrong) -> None:
    errors = []
    for d in ("cpu", "cuda"):
        x = tensor.tensor(VALUES, device=d)
        with pytest.raises((IndexError, RuntimeError)) as raised:
            wrong(x, lambda positions, d=d: tensor.tensor(positions, device=d))
        errors.append(raised.value)
    assert type(errors[0]) is type(errors[1])
    if "broadcast" not in str(errors[0]):
        assert str(errors[0]) == str(errors[1])


def test_accumulating_and_finding() -> None:
    x = tensor.zeros(3, 2, device="cuda")
    x.index_put_(
        (tensor.tensor([0, 2, 0], device="cuda"),), tensor.ones(3, 2, device="cuda"), accumulate=True
    )
    assert x.tolist() == [[2.0, 2.0], [0.0, 0.0], [1.0, 1.0]]
    assert x.nonzero().tolist() == [[0, 0], [0, 1], [2, 0], [2, 1]]
    assert [t.tolist() for t in tensor.where(x > 1)] == [[0, 0], [0, 1]]
    assert x[x > 1].tolist() == [2.0, 2.0]
    assert tensor.masked_select(x, x == 1).tolist() == [1.0, 1.0]
    assert tensor.repeat_interleave(x[:, 0], tensor.tensor([1, 0, 2], device="cuda")).tolist() == [
        2.0,
        1.0,
        1.0,
    ]
