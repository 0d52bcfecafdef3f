"""Layers that pad: results and representations beside PyTorch's."""

import numpy as np
import pytest

import tensor
from tensor import nn

LAYERS = [
    ("ConstantPad1d", (2, 3.5)),
    ("ConstantPad2d", ((1, 2, 0, -1), 2)),
    ("ZeroPad1d", (2,)),
    ("ZeroPad2d", ((1, 2, 3, 0),)),
    ("ReflectionPad1d", ([1, 2],)),
    ("ReflectionPad2d", (1,)),
    ("ReplicationPad1d", (3,)),
    ("ReplicationPad2d", ((1, 0, 2, 1),)),
    ("CircularPad1d", ((0, 2),)),
    ("CircularPad2d", (2,)),
]
NUMPY = {"Constant": "constant", "Zero": "constant", "Reflection": "reflect", "Replication": "edge"}


@pytest.mark.parametrize(("name", "arguments"), LAYERS, ids=str)
def test_like_pytorchs(check, torch, name, arguments):
    ours, theirs = (getattr(module.nn, name)(*arguments) for module in (tensor, torch))
    assert repr(ours) == repr(theirs)
    x = check.numbers(2, 3, *(4, 5)[: ours.dims])
    check.same(ours(tensor.tensor(x)), theirs(torch.tensor(x)))
    check.same(ours(tensor.tensor(x[0])), theirs(torch.tensor(x[0])))


@pytest.mark.parametrize("kind", ["Constant", "Zero", "Reflection", "Replication", "Circular"])
def test_values(check, kind):
    x, options = check.numbers(1, 2, 4, 5), {"constant_values": 2.0} if kind == "Constant" else {}
    layer = getattr(nn, f"{kind}Pad2d")((1, 2, 3, 0), *options.values())
    expected = np.pad(x, [(0, 0), (0, 0), (3, 0), (1, 2)], mode=NUMPY.get(kind, "wrap"), **options)
    np.testing.assert_array_equal(layer(tensor.tensor(x)), expected)
    line = getattr(nn, f"{kind}Pad1d")(2, *options.values())
    assert line(tensor.ones(2, 5)).shape == (2, 9)
