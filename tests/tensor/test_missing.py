"""tensor/missing.py: names that are not here say what is nearest; asking whether they are still works."""

import copy
import pickle
from importlib import import_module

import pytest

import tensor


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda T: T.fft, "torch.fft is not in this version; instead: np.fft"),
        (lambda T: T.jit.script, "torch.jit is not in this version; instead: plain Python"),
        (lambda T: T.sofmax, "torch.softmax"),
        (lambda T: T.nn.Linera, "did you mean torch.nn.Linear?"),
        (lambda T: T.nn.functional.rellu, "did you mean torch.nn.functional.relu"),
        (lambda T: T.ones(2).vieww(1), "torch.Tensor.vieww is not in this version; did you mean"),
        (lambda T: T.optim.Adm, "did you mean torch.optim.Adam"),
        (lambda T: T.utils.data.DataLoadr, "did you mean torch.utils.data.DataLoader"),
        (lambda T: T.zebra_crossing, "docs/pytorch.md lists what is"),
    ],
)
def test_the_nearest_is_named(ask, says) -> None:
    with pytest.raises(AttributeError) as caught:
        ask(tensor)
    assert says in str(caught.value)


def test_asking_and_copying_still_work() -> None:
    assert not hasattr(tensor, "distributed")
    assert getattr(tensor, "fft", None) is None
    x = tensor.ones(2, requires_grad=True)
    assert not hasattr(x, "foo")
    for again in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert again.tolist() == [1.0, 1.0]


def test_a_module_that_is_not_there_cannot_be_imported() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"tensor\.distributed"):
        import_module("tensor.distributed")
    with pytest.raises(ImportError, match="fft"):
        from tensor import fft  # noqa: F401
