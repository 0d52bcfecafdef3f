"""Data sets and samplers: what they give, and that the same seed gives PyTorch's order."""

import numpy as np
import pytest

from tensor import from_numpy, tensor
from tensor.data import (
    BatchSampler,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    random_split,
)
from tensor.random import Generator, default_generator, manual_seed


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="the comparison needs PyTorch")


@pytest.fixture(autouse=True)
def _default_generator_as_it_was():
    before = default_generator.get_state()
    yield
    default_generator.set_state(before)


# --- data sets ---------------------------------------------------------------------------------------


def test_a_tensor_dataset_gives_rows():
    x, y = from_numpy(np.arange(12.0).reshape(4, 3)), tensor([3, 2, 1, 0])
    dataset = TensorDataset(x, y)
    assert len(dataset) == 4
    row, label = dataset[1]
    assert (row.tolist(), label.item()) == ([3.0, 4.0, 5.0], 2)
    assert [t.tolist() for t in dataset[1:3]] == [x[1:3].tolist(), [2, 1]]
    assert dataset.tensors == (x, y)


def test_a_tensor_dataset_refuses_what_does_not_fit():
    with pytest.raises(AssertionError, match=r"Size mismatch between tensors: \[4, 3\]"):
        TensorDataset(tensor([1, 2, 3, 4]), tensor([1, 2, 3]))
    with pytest.raises(TypeError, match=r"got ndarray at position 1; wrap an array: from_numpy"):
        TensorDataset(tensor([1]), np.ones(1))


def test_an_unfinished_dataset_says_so():
    with pytest.raises(NotImplementedError, match="should implement __getitem__"):
        Dataset()[0]
    with pytest.raises(NotImplementedError, match="should implement __iter__"):
        iter(IterableDataset())
    with pytest.raises(NotImplementedError):
        iter(Sampler())
    with pytest.raises(TypeError):
        len(Dataset())
    assert Dataset[int] is not None  # programs annotate with it


class Squares(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return index * index


def test_a_subset():
    subset = Subset(Squares(), [3, 1, 4])
    assert len(subset) == 3
    assert [subset[i] for i in range(3)] == [9, 1, 16] == subset.__getitems__([0, 1, 2])
    assert Subset(subset, [2])[0] == 16
    assert Subset(list("abc"), [2, 0])[1] == "a"
    assert Subset(np.arange(5), [4, 3, 2])[[0, 2]].tolist() == [4, 2]


def test_a_subset_fetches_at_once_where_it_can():
    class Fetching(Squares):
        def __getitems__(self, indices):
            return [-i for i in indices]

    assert Subset(Fetching(), [3, 1, 4]).__getitems__([0, 2]) == [-3, -4]


def test_half_an_override_is_refused():
    class Half(Subset):
        def __getitem__(self, index):
            return 0

    class Whole(Half):
        def __getitems__(self, indices):
            return [self[i] for i in indices]

    with pytest.raises(NotImplementedError, match="Half overrides __getitem__ but not __getitems__"):
        Half(Squares(), [1])
    assert Whole(Squares(), [1])[0] == 0


# --- random_split ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [[3, 7], [10, 0], [0.3, 0.3, 0.4], [0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]])
@pytest.mark.parametrize("own_generator", [False, True])
def test_random_split_as_in_pytorch(torch, lengths, own_generator):
    ours = manual_seed(7) if not own_generator else Generator().manual_seed(8)
    theirs = torch.manual_seed(7) if not own_generator else torch.Generator().manual_seed(8)
    keywords = [{"generator": g} if own_generator else {} for g in (ours, theirs)]
    parts = random_split(Squares(), lengths, **keywords[0])
    expected = torch.utils.data.random_split(range(10), lengths, **keywords[1])
    assert [p.indices for p in parts] == [p.indices for p in expected]


def test_random_split_on_record():
    parts = random_split(range(10), [3, 7], Generator().manual_seed(42))
    assert [p.indices for p in parts] == [[2, 6, 1], [8, 4, 5, 0, 9, 3, 7]]
    assert [len(p) for p in random_split(range(10), [0.25, 0.25, 0.5], None)] == [3, 2, 5]


def test_random_split_refuses_what_does_not_add_up():
    with pytest.raises(ValueError, match="does not equal the length of the input dataset: 9 and 10"):
        random_split(range(10), [3, 6])
    with pytest.raises(ValueError, match="does not equal"):
        random_split(range(10), [0.3, 0.3])
    with pytest.raises(ValueError, match="Fraction at index 0 is not between 0 and 1"):
        random_split(range(10), [-0.5, 1.5])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split(range(2), [0.9, 0.1])[1]


# --- samplers ----------------------------------------------------------------------------------------


def test_sequential():
    sampler = SequentialSampler(range(4))
    assert list(sampler) == list(sampler) == [0, 1, 2, 3]
    assert len(sampler) == 4


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_samples": 4},
        {"num_samples": 10},
        {"num_samples": 25},
        {"replacement": True},
        {"replacement": True, "num_samples": 64},
        {"replacement": True, "num_samples": 70},
    ],
)
@pytest.mark.parametrize("own_generator", [False, True])
def test_a_random_sampler_as_in_pytorch(torch, options, own_generator):
    if own_generator:
        generators = Generator().manual_seed(3), torch.Generator().manual_seed(3)
        ours, theirs = ({**options, "generator": g} for g in generators)
    else:
        generators = manual_seed(3), torch.manual_seed(3)
        ours = theirs = options
    sampler = RandomSampler(range(10), **ours)
    expected = torch.utils.data.RandomSampler(range(10), **theirs)
    for _ in range(3):
        found = list(sampler)
        assert found == list(expected)
        assert len(found) == len(sampler) == len(expected)
    # and so does whatever draws next
    assert generators[0].random_int64() == torch.empty((), dtype=torch.int64).random_(generator=generators[1])


def test_a_random_sampler_on_record():
    manual_seed(0)
    sampler = RandomSampler(range(6))
    assert list(sampler) == [0, 1, 2, 3, 5, 4]
    assert list(sampler) == [0, 4, 3, 5, 2, 1]


def test_a_random_sampler_follows_its_source():
    source = [0, 1, 2]
    sampler = RandomSampler(source)
    source.append(3)
    assert sorted(sampler) == source
    source.clear()
    with pytest.raises(ValueError, match="has become empty"):
        list(RandomSampler(source, num_samples=1))


@pytest.mark.parametrize("num_samples", [0, -1, 2.0])
def test_num_samples_must_be_a_positive_int(num_samples):
    with pytest.raises(ValueError, match="num_samples should be a positive integer value"):
        RandomSampler(range(3), num_samples=num_samples)


def test_a_random_sampler_refuses():
    with pytest.raises(ValueError, match="but got num_samples=0"):
        RandomSampler([])
    with pytest.raises(TypeError, match="replacement should be a boolean value"):
        RandomSampler(range(3), replacement=1)


def test_a_subset_random_sampler_as_in_pytorch(torch):
    manual_seed(3)
    torch.manual_seed(3)
    sampler = SubsetRandomSampler([5, 8, 2, 9])
    assert list(sampler) == list(torch.utils.data.SubsetRandomSampler([5, 8, 2, 9]))
    assert len(sampler) == 4


@pytest.mark.parametrize(
    ("drop_last", "expected"), [(False, [[0, 1], [2, 3], [4]]), (True, [[0, 1], [2, 3]])]
)
def test_batches_of_indices(drop_last, expected):
    sampler = BatchSampler(range(5), 2, drop_last)
    assert list(sampler) == list(sampler) == expected
    assert len(sampler) == len(expected)


def test_a_batch_sampler_refuses():
    for batch_size in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="batch_size should be a positive integer value"):
            BatchSampler(range(3), batch_size, False)
    with pytest.raises(ValueError, match="drop_last should be a boolean value"):
        BatchSampler(range(3), 1, None)
    with pytest.raises(TypeError):
        len(BatchSampler(iter(range(3)), 1, False))
