"""tensor/nn/sparse.py: the table of embeddings beside PyTorch's."""

import inspect

import numpy as np
import pytest

import tensor
from tensor import nn

# From PyTorch 2.13: torch.manual_seed(0); torch.nn.Embedding(3, 2).weight
RECORDED = [[1.5409960746765137, -0.293428897857666], [-2.1787893772125244, 0.5684312582015991]]
OPTIONS = [
    {},
    {"padding_idx": 0},
    {"padding_idx": -1},
    {"max_norm": 0.5},
    {"max_norm": 0.5, "norm_type": 1.0},
    {"scale_grad_by_freq": True},
]


def test_the_recorded_start() -> None:
    tensor.manual_seed(0)
    assert nn.Embedding(3, 2).weight[:2].tolist() == RECORDED


@pytest.mark.parametrize("size", [(3, 2), (7, 5), (100, 16)], ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_layer(check, torch, size, options: dict) -> None:
    index = np.random.default_rng(0).integers(0, size[0], (2, 5))
    flow = check.numbers(2, 5, size[1]).astype(np.float32)
    found, shown = [], []
    for T in (tensor, torch):
        T.manual_seed(5)
        layer = T.nn.Embedding(*size, **options)
        shown.append((repr(layer), list(layer.state_dict()), layer.padding_idx))
        start = layer.weight.detach().numpy().copy()
        layer(T.from_numpy(index)).backward(T.from_numpy(flow))
        found.append((start, layer.weight, layer.weight.grad))
    assert shown[0] == shown[1]
    np.testing.assert_array_equal(found[0][0], found[1][0])
    check.same(found[0], found[1])
    if "padding_idx" in options:
        assert not found[0][0][options["padding_idx"]].any()
        assert not found[0][2].numpy()[options["padding_idx"]].any()


def test_from_pretrained(engines) -> None:
    for T in engines:
        table = T.arange(6.0).reshape(3, 2)
        layer = T.nn.Embedding.from_pretrained(table)
        assert not layer.weight.requires_grad
        assert layer(T.tensor([2, 0])).tolist() == [[4.0, 5.0], [0.0, 1.0]]
        table[2, 0] = 9.0  # it is shared
        assert layer(T.tensor(2)).tolist() == [9.0, 5.0]
        assert T.nn.Embedding.from_pretrained(table, freeze=False, padding_idx=1).weight.requires_grad
        assert layer.weight[1].any()  # a padding row given is left as it is


def test_arguments_are_pytorchs(torch) -> None:
    for name in ("__init__", "from_pretrained"):
        mine, theirs = (inspect.signature(getattr(m.Embedding, name)).parameters for m in (nn, torch.nn))
        assert [(p.name, p.default) for p in mine.values()] == [(p.name, p.default) for p in theirs.values()]


WRONG = {
    "padding": lambda T: T.nn.Embedding(3, 2, padding_idx=3),
    "padding from the end": lambda T: T.nn.Embedding(3, 2, padding_idx=-4),
    "shape of a weight": lambda T: T.nn.Embedding(3, 2, _weight=T.ones(2, 2)),
    "pretrained": lambda T: T.nn.Embedding.from_pretrained(T.ones(3)),
    "position": lambda T: T.nn.Embedding(3, 2)(T.tensor([3])),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors(check, case: str) -> None:
    if case in ("position",):
        check.raises_alike(WRONG[case])
        return
    with pytest.raises(AssertionError):
        WRONG[case](tensor)


def test_sparse_gradients_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="sparse=True is not supported"):
        nn.Embedding(3, 2, sparse=True)
