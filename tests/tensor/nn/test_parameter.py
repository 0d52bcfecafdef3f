"""Parameters: tensors that a module registers."""

import tensor
from tensor.nn.parameter import Parameter


def test_a_parameter_shares_its_tensors_memory():
    data = tensor.ones(2)
    p = Parameter(data)
    data.fill_(3.0)
    assert p.tolist() == [3.0, 3.0]
    assert isinstance(p, tensor.Tensor)
    assert p.requires_grad
    assert p.is_leaf
    assert not Parameter(data, requires_grad=False).requires_grad
    assert type(p * 2) is tensor.Tensor
    assert repr(p) == "Parameter containing:\ntensor([3., 3.], requires_grad=True)"
    assert tensor.nn.Parameter is Parameter
