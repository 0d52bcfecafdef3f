"""tensor/dropout.py: the masks PyTorch draws, their gradients, and what is no dropout at all."""

import numpy as np
import pytest

import tensor

# Memory in order, transposed, in steps, expanded: PyTorch fills its mask in the order of memory.
LAYOUTS = {
    "in order": lambda T: T.ones(4, 3, 5),
    "transposed": lambda T: T.ones(3, 5, 4).permute(2, 0, 1),
    "columns": lambda T: T.ones(5, 3).t(),
    "steps": lambda T: T.ones(4, 6, 5)[:, ::2],
    "expanded": lambda T: T.ones(1, 3).expand(4, 3),
    "no dims": lambda T: T.ones(()),
    "large": lambda T: T.ones(3, 50000),
}
FUNCTIONS = {
    "dropout": (lambda T, x, p, **o: T.nn.functional.dropout(x, p, **o), (3, 50)),
    "dropout1d": (lambda T, x, p, **o: T.nn.functional.dropout1d(x, p, **o), (4, 6, 5)),
    "dropout1d, alone": (lambda T, x, p, **o: T.nn.functional.dropout1d(x, p, **o), (6, 5)),
    "dropout2d": (lambda T, x, p, **o: T.nn.functional.dropout2d(x, p, **o), (4, 6, 2, 3)),
    "dropout2d, large": (lambda T, x, p, **o: T.nn.functional.dropout2d(x, p, **o), (8, 4, 64, 64)),
    "dropout3d": (lambda T, x, p, **o: T.nn.functional.dropout3d(x, p, **o), (2, 6, 2, 2, 2)),
    "dropout3d, alone": (lambda T, x, p, **o: T.nn.functional.dropout3d(x, p, **o), (6, 2, 2, 2)),
    "alpha": (lambda T, x, p, **o: T.nn.functional.alpha_dropout(x, p, True, **o), (3, 50)),
    "feature alpha": (lambda T, x, p, **o: T.nn.functional.feature_alpha_dropout(x, p, True, **o), (4, 6, 5)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_mask_follows_memory(torch, layout: str) -> None:
    found = []
    for T in (tensor, torch):
        T.manual_seed(3)
        out = T.nn.functional.dropout(LAYOUTS[layout](T), 0.4)
        found.append((out.numpy(), out.stride(), T.rand(2).tolist()))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    if layout in ("transposed", "columns"):
        assert found[0][1] == found[1][1]
    assert found[0][2] == found[1][2]  # neither has drawn more than the other


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_beside_pytorch(check, torch, kind: str, p: float, inplace: bool) -> None:
    function, shape = FUNCTIONS[kind]
    for dtype in ("float32", "float64"):
        values, flow = check.numbers(*shape).astype(dtype), check.numbers(*shape, seed=1).astype(dtype)
        found = []
        for T in (tensor, torch):
            T.manual_seed(7)
            x = T.tensor(values, requires_grad=True)
            given = x * 1
            out = function(T, given, p, inplace=inplace)
            assert (out is given) == inplace or p == 0.0
            out.backward(T.tensor(flow))
            found.append((out, x.grad))
        check.same(found[0], found[1], kind)


CHANNELS = {
    "dropout1d": [(6, 5), (4, 6, 5)],
    "dropout2d": [(6, 5), (4, 6, 5), (4, 6, 2, 3), (4, 6, 2, 3, 2)],
    "dropout3d": [(6,), (6, 5), (4, 6, 5), (4, 6, 2, 3), (4, 6, 2, 3, 2), (4, 6, 2, 2, 2, 2)],
    "feature_alpha_dropout": [(6, 5), (4, 6, 5), (4, 6, 2, 3)],
}


@pytest.mark.filterwarnings("ignore:dropout[23]d:UserWarning")
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(("name", "shape"), [(name, shape) for name in CHANNELS for shape in CHANNELS[name]])
def test_channels_of_any_rank_and_layout(check, torch, name: str, shape: tuple[int, ...], inplace) -> None:
    for turned in (False, True):
        found = []
        for T in (tensor, torch):
            T.manual_seed(5)
            x = T.ones(shape[::-1]).permute(*range(len(shape))[::-1]) if turned else T.ones(shape)
            out = getattr(T.nn.functional, name)(x, 0.5, True, inplace)
            assert (out is x) == inplace
            found.append((out, T.rand(2)))  # neither has drawn more than the other
        check.same(found[0], found[1], f"{name}, turned: {turned}")


def test_what_is_dropped_stays_nan(engines) -> None:
    for T in engines:
        T.manual_seed(0)
        x = T.full((1000,), float("nan"))
        assert T.nn.functional.dropout(x, 0.5).isnan().all()
        assert T.nn.functional.dropout(x, 1.0).isnan().all()


def test_in_place_through_any_layout(engines) -> None:
    for T in engines:
        table = T.ones(40, 6)
        view = table[:, ::2].t()
        out = T.nn.functional.dropout(view, 0.5, inplace=True)
        assert out is view
        assert table[:, 1::2].eq(1.0).all()
        assert set(table[:, ::2].flatten().tolist()) == {0.0, 2.0}


def test_a_dims_warning(engines) -> None:
    for T in engines:
        with pytest.warns(UserWarning, match="Received a 3D input to dropout2d"):
            T.nn.functional.dropout2d(T.ones(2, 3, 4))
        with pytest.warns(UserWarning, match="Received a 2-D input to dropout2d"):
            T.nn.functional.dropout2d(T.ones(2, 3))
        with pytest.warns(UserWarning, match="Received a 3-D input to dropout3d"):
            T.nn.functional.dropout3d(T.ones(2, 3, 4))


WRONG = {
    "p": lambda T: T.nn.functional.dropout(T.ones(3), 1.5),
    "p of channels": lambda T: T.nn.functional.dropout1d(T.ones(3, 2), -0.1),
    "integers": lambda T: T.nn.functional.dropout(T.ones(3).long()),
    "dims 1d": lambda T: T.nn.functional.dropout1d(T.ones(3)),
    "dims 1d, four": lambda T: T.nn.functional.dropout1d(T.ones(3, 2, 2, 2)),
    "alpha p": lambda T: T.nn.functional.alpha_dropout(T.ones(3), 1.5),
    "alpha dims": lambda T: T.nn.functional.feature_alpha_dropout(T.ones(3), 0.5, True),
    "a list": lambda T: T.nn.functional.dropout([1.0]),
    "a leaf in place": lambda T: T.nn.functional.dropout(T.ones(3, requires_grad=True), inplace=True),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors(check, case: str) -> None:
    check.raises_alike(WRONG[case])
