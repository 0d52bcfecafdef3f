"""Data sets side by side and one after the other, weighted samplers, and PyTorch's import paths."""

import pytest

import tensor
from tensor.data import DataLoader


def data(T):
    return T.utils.data


class Numbers:
    """Makes data sets of either engine that count: n samples from `start`."""

    @staticmethod
    def of(T, n, start=0):
        class Counting(T.utils.data.Dataset):
            def __getitem__(self, index):
                if not 0 <= index < n:
                    raise IndexError(index)
                return start + index

            def __len__(self):
                return n

        return Counting()

    @staticmethod
    def stream(T, n, start=0):
        class Stream(T.utils.data.IterableDataset):
            def __iter__(self):
                return iter(range(start, start + n))

            def __len__(self):
                return n

        return Stream()


def combined(T):
    one, two = Numbers.of(T, 3), Numbers.of(T, 4, 10)
    joined = data(T).ConcatDataset([one, two, Numbers.of(T, 0), Numbers.of(T, 1, 20)])
    found = [[joined[i] for i in range(-8, 8)], len(joined), joined.cumulative_sizes]
    found += [[added[i] for i in range(len(added))] for added in (one + two, one + two + one)]
    chained = data(T).ChainDataset([Numbers.stream(T, 2), Numbers.stream(T, 3, 7)])
    found += [list(chained), len(chained), list(Numbers.stream(T, 2) + Numbers.stream(T, 1))]
    for stacked in (
        data(T).StackDataset(two, Numbers.of(T, 4)),
        data(T).StackDataset(a=two, b=data(T).TensorDataset(T.arange(4))),
        data(T).StackDataset(data(T).Subset(two, [3, 2]), data(T).Subset(two, [0, 1])),
    ):
        found += [len(stacked), str(stacked[1]), str(stacked.__getitems__([1, 0]))]
        for batch in data(T).DataLoader(stacked, batch_size=3, shuffle=True):
            found.append(str(batch))
    loader = data(T).DataLoader(chained, batch_size=2)
    return [*found, [batch.tolist() for batch in loader], len(loader)]


def test_combined_data_sets(engines):
    found = []
    for T in engines:
        T.manual_seed(3)
        found.append([*combined(T), T.rand(2).tolist()])
    assert found[0][0] == [0, 1, 2, 10, 11, 12, 13, 20] * 2
    assert found[0][5] == [0, 1, 7, 8, 9]
    assert all(one == found[0] for one in found)


ERRORS = {
    "nothing joined": lambda T: data(T).ConcatDataset([]),
    "a stream joined": lambda T: data(T).ConcatDataset([Numbers.stream(T, 1)]),
    "before the first": lambda T: data(T).ConcatDataset([Numbers.of(T, 2)])[-3],
    "beyond the last": lambda T: data(T).ConcatDataset([Numbers.of(T, 2)])[2],
    "no stream chained": lambda T: list(data(T).ChainDataset([Numbers.of(T, 2)])),
    "length of no streams": lambda T: len(data(T).ChainDataset([Numbers.of(T, 2)])),
    "nothing stacked": lambda T: data(T).StackDataset(),
    "both kinds": lambda T: data(T).StackDataset(Numbers.of(T, 1), a=Numbers.of(T, 1)),
    "lengths": lambda T: data(T).StackDataset(Numbers.of(T, 1), Numbers.of(T, 2)),
    "names, lengths": lambda T: data(T).StackDataset(a=Numbers.of(T, 1), b=Numbers.of(T, 2)),
    "num_samples": lambda T: data(T).WeightedRandomSampler([1.0], 0),
    "num_samples, bool": lambda T: data(T).WeightedRandomSampler([1.0], True),
    "replacement": lambda T: data(T).WeightedRandomSampler([1.0], 1, 1),
    "weights": lambda T: data(T).WeightedRandomSampler([[1.0]], 1),
    "too many": lambda T: list(data(T).WeightedRandomSampler([1.0], 2, False)),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(engines, case):
    for T in engines:
        with pytest.raises((AssertionError, ValueError, IndexError, RuntimeError)):
            ERRORS[case](T)


@pytest.mark.parametrize("replacement", [True, False])
def test_weighted_samplers(engines, replacement):
    found = []
    for T in engines:
        T.manual_seed(1)
        sampler = data(T).WeightedRandomSampler([0.1, 0.9, 0.4, 0.7, 3.0, 0.6], 5, replacement)
        loader = data(T).DataLoader(Numbers.of(T, 6), batch_size=2, sampler=sampler)
        drawn = [[batch.tolist() for batch in loader] for _ in range(3)]
        own = T.Generator().manual_seed(7)
        other = list(data(T).WeightedRandomSampler(T.ones(9), 4, replacement, generator=own))
        found.append((drawn, other, len(sampler), T.rand(3).tolist()))
    assert all(one == found[0] for one in found)


SAMPLERS = {
    "random": lambda d, n, g: d.RandomSampler(n, generator=g),
    "more": lambda d, n, g: d.RandomSampler(n, num_samples=25, generator=g),
    "fewer": lambda d, n, g: d.RandomSampler(n, num_samples=3, generator=g),
    "replacement": lambda d, n, g: d.RandomSampler(n, True, 70, generator=g),
    "subset": lambda d, n, g: d.SubsetRandomSampler([5, 3, 8], generator=g),
    "weighted": lambda d, n, g: d.WeightedRandomSampler([1.0] * 10, 40, generator=g),
    "batches": lambda d, n, g: d.BatchSampler(d.RandomSampler(n, generator=g), 4, True),
}


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_and_what_is_drawn_after_them(engines, name, own):
    found = []
    for T in engines:
        T.manual_seed(9)
        generator = T.Generator().manual_seed(4) if own else None
        sampler = SAMPLERS[name](data(T), range(10), generator)
        drawn = [list(sampler) for _ in range(2)]
        found.append((drawn, len(sampler), T.rand(3).tolist(), T.rand(2, generator=generator).tolist()))
    assert all(one == found[0] for one in found)


SPLITS = [[7, 3], [0.5, 0.25, 0.25], [0.33, 0.33, 0.34], [0.7, 0.3]]


@pytest.mark.parametrize("lengths", SPLITS)
def test_splits_and_what_is_drawn_after_them(engines, lengths):
    found = []
    for T in engines:
        T.manual_seed(9)
        parts = data(T).random_split(range(10), lengths)
        more = data(T).random_split(range(10), lengths, T.Generator().manual_seed(1))
        found.append(([list(p.indices) for p in [*parts, *more]], T.rand(3).tolist()))
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}])
def test_loaders_and_what_is_drawn_after_them(engines, options):
    found = []
    for T in engines:
        T.manual_seed(9)
        more = options if T is tensor else {}  # PyTorch's order does not depend on its workers
        loader = data(T).DataLoader(range(10), batch_size=3, shuffle=True, **more)
        drawn = [[batch.tolist() for batch in loader] for _ in range(2)]
        if "persistent_workers" not in options:
            drawn.append(T.rand(3).tolist())
        found.append(drawn[:1] if "persistent_workers" in options else drawn)
    assert all(one == found[0] for one in found)


def test_import_paths():
    from tensor.utils.data import DataLoader as ByPath
    from tensor.utils.data.dataloader import default_collate
    from tensor.utils.data.dataset import ConcatDataset, random_split
    from tensor.utils.data.sampler import SubsetRandomSampler, WeightedRandomSampler

    assert ByPath is DataLoader
    assert default_collate([1, 2]).tolist() == [1, 2]
    assert len(ConcatDataset(random_split([1, 2, 3], [1, 2]))) == 3
    assert len(SubsetRandomSampler([1])) == len(WeightedRandomSampler([1.0], 1))


def test_tensorboard_says_what_to_use():
    with pytest.raises(ImportError, match="tensorboardX"):
        from tensor.utils.tensorboard import SummaryWriter  # noqa: F401
    with pytest.raises(ImportError, match="tensorboardX"):
        _ = tensor.utils.tensorboard.SummaryWriter
    assert not hasattr(tensor.utils.tensorboard, "__path__")
