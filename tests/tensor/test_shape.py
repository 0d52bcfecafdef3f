"""tensor/shape.py: views and joins, their gradients, and whose memory the results show."""

import numpy as np
import pytest

import tensor

VIEWS = {
    "view": ((2, 3, 4), lambda T, x: x.view(6, 4)),
    "view of a sequence": ((2, 3, 4), lambda T, x: x.view([4, -1])),
    "view of a size": ((2, 3), lambda T, x: x.view(x.shape)),
    "view_as": ((2, 3), lambda T, x: x.view_as(T.zeros(3, 2))),
    "reshape": ((2, 3, 4), lambda T, x: T.reshape(x, (-1, 2))),
    "reshape to a number": ((1, 1), lambda T, x: x.reshape(())),
    "reshape of nothing": ((0, 3), lambda T, x: x.reshape(3, 0)),
    "reshape with -1 of nothing": ((0, 3), lambda T, x: x.reshape(-1, 3)),
    "reshape_as": ((2, 3), lambda T, x: x.reshape_as(T.zeros(6))),
    "flatten": ((2, 3, 4), lambda T, x: T.flatten(x)),
    "flatten from 1": ((2, 3, 4), lambda T, x: x.flatten(1)),
    "flatten 0 to 1": ((2, 3, 4), lambda T, x: x.flatten(start_dim=0, end_dim=1)),
    "flatten a number": ((), lambda T, x: x.flatten()),
    "flatten one dim": ((3,), lambda T, x: x.flatten()),
    "unflatten": ((2, 6), lambda T, x: x.unflatten(1, (2, -1))),
    "unflatten by T": ((6, 2), lambda T, x: T.unflatten(x, 0, (3, 2))),
    "transpose": ((2, 3, 4), lambda T, x: x.transpose(0, 2)),
    "transpose negative": ((2, 3, 4), lambda T, x: T.transpose(x, -1, 1)),
    "transpose a number": ((), lambda T, x: x.transpose(0, -1)),
    "swapaxes": ((2, 3), lambda T, x: x.swapaxes(0, 1)),
    "t": ((2, 3), lambda T, x: x.t()),
    "t of a vector": ((3,), lambda T, x: T.t(x)),
    "T": ((2, 3), lambda T, x: x.T),
    "mT": ((2, 3, 4), lambda T, x: x.mT),
    "permute": ((2, 3, 4), lambda T, x: x.permute(2, 0, 1)),
    "permute by a sequence": ((2, 3, 4), lambda T, x: T.permute(x, (-1, 0, 1))),
    "permute a number": ((), lambda T, x: x.permute(())),
    "movedim": ((2, 3, 4), lambda T, x: x.movedim(0, -1)),
    "movedim several": ((2, 3, 4), lambda T, x: T.movedim(x, (0, 1), (2, 0))),
    "expand": ((1, 3), lambda T, x: x.expand(4, 3)),
    "expand keeping": ((2, 1), lambda T, x: x.expand(-1, 5)),
    "expand in front": ((3,), lambda T, x: x.expand(2, 4, 3)),
    "expand a number": ((), lambda T, x: x.expand(2, 3)),
    "expand to nothing": ((1, 3), lambda T, x: x.expand(0, 3)),
    "expand by a sequence": ((1,), lambda T, x: x.expand((3,))),
    "expand_as": ((1, 3), lambda T, x: x.expand_as(T.zeros(2, 3))),
    "broadcast_to": ((3, 1), lambda T, x: T.broadcast_to(x, (2, 3, 4))),
    "squeeze": ((1, 2, 1, 3), lambda T, x: x.squeeze()),
    "squeeze one": ((1, 2, 1), lambda T, x: T.squeeze(x, 0)),
    "squeeze another": ((1, 2, 1), lambda T, x: x.squeeze(1)),
    "squeeze several": ((1, 2, 1), lambda T, x: x.squeeze((0, -1))),
    "squeeze a number": ((), lambda T, x: x.squeeze(0)),
    "unsqueeze": ((2, 3), lambda T, x: x.unsqueeze(1)),
    "unsqueeze at the end": ((2, 3), lambda T, x: T.unsqueeze(x, -1)),
    "unsqueeze a number": ((), lambda T, x: x.unsqueeze(0)),
    "narrow": ((4, 3), lambda T, x: x.narrow(0, 1, 2)),
    "narrow from the end": ((4, 3), lambda T, x: T.narrow(x, 1, -2, 1)),
    "split": ((5, 2), lambda T, x: x.split(2)),
    "split by sizes": ((5, 2), lambda T, x: T.split(x, [1, 0, 4])),
    "split along 1": ((2, 5), lambda T, x: x.split(3, dim=1)),
    "split of nothing": ((0, 2), lambda T, x: x.split(2)),
    "chunk": ((5, 2), lambda T, x: x.chunk(3)),
    "chunk along -1": ((2, 7), lambda T, x: T.chunk(x, 4, dim=-1)),
    "chunk of nothing": ((0, 2), lambda T, x: x.chunk(3)),
    "unbind": ((3, 2), lambda T, x: x.unbind()),
    "unbind along 1": ((3, 2), lambda T, x: T.unbind(x, 1)),
}

COPIES = {
    "reshape of a transpose": ((2, 3), lambda T, x: x.T.reshape(6)),
    "flatten of a permutation": ((2, 3, 4), lambda T, x: x.permute(2, 1, 0).flatten(1)),
    "reshape of an expansion": ((1, 3), lambda T, x: x.expand(2, 3).reshape(-1)),
    "contiguous": ((2, 3), lambda T, x: x.T.contiguous()),
    "cat": ((2, 3), lambda T, x: T.cat([x, x * 2], 0)),
    "cat along 1": ((2, 3), lambda T, x: T.cat((x, x[:, :1]), dim=1)),
    "cat along -1": ((2, 3), lambda T, x: T.cat([x, x.T.reshape(2, 3)], dim=-1)),
    "cat of one": ((2, 3), lambda T, x: T.cat([x])),
    "cat with nothing": ((2, 3), lambda T, x: T.cat([T.zeros(0, dtype=x.dtype), x, x[:0]])),
    "stack": ((2, 3), lambda T, x: T.stack([x, x + 1])),
    "stack along 1": ((2, 3), lambda T, x: T.stack((x, x), dim=1)),
    "stack along -1": ((2, 3), lambda T, x: T.stack([x, x], dim=-1)),
    "stack of numbers": ((), lambda T, x: T.stack([x, x * 2])),
    "flip": ((2, 3), lambda T, x: x.flip(0)),
    "flip both": ((2, 3), lambda T, x: T.flip(x, (0, -1))),
    "roll": ((2, 3), lambda T, x: x.roll(1, 1)),
    "roll all": ((2, 3), lambda T, x: T.roll(x, 2)),
    "repeat": ((2, 3), lambda T, x: x.repeat(2, 1)),
    "repeat in front": ((2, 3), lambda T, x: x.repeat(2, 1, 2)),
    "tile": ((3,), lambda T, x: T.tile(x, (2, 2))),
    "repeat_interleave": ((2, 3), lambda T, x: x.repeat_interleave(2, dim=1)),
    "tril": ((3, 4), lambda T, x: T.tril(x)),
    "triu above": ((3, 4), lambda T, x: x.triu(1)),
    "hstack": ((2, 3), lambda T, x: T.hstack([x, x])),
    "vstack": ((3,), lambda T, x: T.vstack([x, x])),
}


def as_tuple(found):
    return tuple(found) if isinstance(found, list | tuple) else found


@pytest.mark.parametrize("name", [*VIEWS, *COPIES])
def test_values_and_gradients(check, name: str) -> None:
    shape, run = {**VIEWS, **COPIES}[name]
    check.op(name, lambda T, x: as_tuple(run(T, x)), [check.numbers(*shape)], all_layouts="view" not in name)


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_memory(name: str) -> None:
    shape, run = VIEWS[name]
    x = tensor.zeros(*shape)
    found = run(tensor, x)
    for view in found if isinstance(found, tuple) else (found,):
        assert view.numel() == 0 or np.shares_memory(view.numpy(), x.numpy())
        assert view._version is x._version


@pytest.mark.parametrize("name", COPIES)
def test_copies_do_not(name: str) -> None:
    shape, run = COPIES[name]
    x = tensor.ones(*shape)
    assert not np.shares_memory(run(tensor, x).numpy(), x.numpy())


@pytest.mark.parametrize("layout", ["transposed", "steps", "gaps"])
def test_views_of_what_is_not_contiguous(check, torch, layout: str) -> None:
    array = check.layouts(check.numbers(4, 6))[layout]
    for shape in [(24,), (4, 2, 3), (2, 2, 6), (8, 3), (4, 6), (4, 1, 6), (2, 12), (3, 8)]:
        ours, theirs = tensor.from_numpy(array), torch.from_numpy(array)
        try:
            expected = theirs.view(shape)
        except RuntimeError:
            with pytest.raises(RuntimeError, match="view size is not compatible"):
                ours.view(shape)
        else:
            check.same(ours.view(shape), expected)
            assert np.shares_memory(ours.view(shape).numpy(), array)
        check.same(ours.reshape(shape), theirs.reshape(shape))


def test_strides_and_contiguity(engines) -> None:
    for T in engines:
        x = T.zeros(2, 3, 4)
        assert x.stride() == (12, 4, 1)
        assert x.stride(-1) == 1
        assert x.permute(2, 0, 1).stride() == (1, 12, 4)
        assert x[:, ::2].stride() == (12, 8, 1)
        assert not x.transpose(0, 1).is_contiguous()
        assert x.transpose(0, 1).contiguous().is_contiguous()
        assert x.contiguous() is x
        assert x[:1].is_contiguous()
        assert T.zeros(1, 3).expand(2, 3).stride() == (0, 1)


def test_cat_promotes_types(check, torch) -> None:
    for a, b in [("int64", "float32"), ("uint8", "int32"), ("bool", "uint8"), ("float32", "float64")]:
        check.same(
            *[
                T.cat([T.ones(2, dtype=getattr(T, a)), T.zeros(3, dtype=getattr(T, b))])
                for T in (tensor, torch)
            ]
        )
        check.same(
            *[
                T.stack([T.ones(2, dtype=getattr(T, a)), T.zeros(2, dtype=getattr(T, b))])
                for T in (tensor, torch)
            ]
        )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda T: T.zeros(2, 3).view(4),
        lambda T: T.zeros(2, 3).view(-1, -1),
        lambda T: T.zeros(2, 3).view(-2, 3),
        lambda T: T.zeros(2, 3).T.view(6),
        lambda T: T.zeros(0, 3).reshape(-1, 0),
        lambda T: T.zeros(2, 3).reshape(5, -1),
        lambda T: T.zeros(2, 3).transpose(0, 2),
        lambda T: T.zeros(2, 3, 4).t(),
        lambda T: T.zeros(2, 3).permute(0),
        lambda T: T.zeros(2, 3).permute(0, 0),
        lambda T: T.zeros(2, 3).permute(0, 2),
        lambda T: T.zeros(2, 3).expand(2),
        lambda T: T.zeros(2, 3).expand(4, 3),
        lambda T: T.zeros(2, 3).expand(-1, 2, 3),
        lambda T: T.zeros(2, 3).squeeze(2),
        lambda T: T.zeros(2, 3).unsqueeze(4),
        lambda T: T.zeros(2, 3).flatten(1, 0),
        lambda T: T.zeros(2, 3).flatten(2),
        lambda T: T.zeros(2, 3).unflatten(1, (2, 2)),
        lambda T: T.cat([]),
        lambda T: T.cat([T.zeros(2), 3]),
        lambda T: T.cat([T.zeros(2, 3), T.zeros(2, 4)]),
        lambda T: T.cat([T.zeros(2, 3), T.zeros(2)]),
        lambda T: T.cat([T.zeros(()), T.zeros(())]),
        lambda T: T.cat([T.zeros(2), T.zeros(2)], 1),
        lambda T: T.stack([]),
        lambda T: T.stack([T.zeros(2), T.zeros(3)]),
        lambda T: T.zeros(4).split(0),
        lambda T: T.zeros(4).split([1, 2]),
        lambda T: T.zeros(4).split([-1, 5]),
        lambda T: T.zeros(4).chunk(0),
        lambda T: T.zeros(()).unbind(),
        lambda T: T.zeros(4).narrow(0, 3, 2),
        lambda T: T.zeros(4).narrow(0, 0, -1),
        lambda T: T.zeros(4).narrow(1, 0, 1),
        lambda T: T.zeros(3).mT,
    ],
)  # fmt: skip
def test_errors_are_of_pytorch_s_kind(check, wrong) -> None:
    check.raises_alike(wrong)


def test_permute_takes_every_dim(check) -> None:
    check.raises_alike(lambda T: T.ones(2, 3).permute(0, 1, 2))
    with pytest.raises(RuntimeError, match="permute"):
        tensor.ones(2, 3).permute(0, 1, 2)


def test_axis_stands_for_dim(check) -> None:
    x = check.numbers(2, 3)
    check.op("cat", lambda T, x: T.cat([x, x], axis=1), [x], lambda x: np.concatenate([x, x], 1))
    check.op("stack", lambda T, x: T.stack([x, x], axis=1), [x], lambda x: np.stack([x, x], 1))


def test_a_view_of_wider_elements_begins_at_a_multiple_of_their_size() -> None:
    x = tensor.zeros(3, 6, dtype=tensor.uint8)
    with pytest.raises(RuntimeError, match=r"storage_offset\(\) must be divisible by 4 .* but got 2"):
        x[0, 2:].view(tensor.float32)
    with pytest.raises(RuntimeError, match=r"stride\(0\) must be divisible by 4 .* but got 6"):
        x[:, :4].view(tensor.float32)
    assert x[0, 2:].clone().view(tensor.float32).shape == (1,)
    assert x[2, 0:4].view(tensor.float32).shape == (1,)
    assert x[:, 1].view(tensor.bool).shape == (3,)
