"""DataLoader: PyTorch's order and checks; batches gathered as a whole equal those joined sample by sample."""

import pickle

import numpy as np
import pytest

import tensor as lg
from tensor.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    TensorDataset,
    default_collate,
)
from tensor.random import Generator, default_generator, manual_seed
from tensor.utils import data as utils_data


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="the comparison needs PyTorch")


@pytest.fixture(autouse=True)
def _default_generator_as_it_was():
    before = default_generator.get_state()
    yield
    default_generator.set_state(before)


class Numbers(Dataset):
    """0, 1, 2, ...; not made of tensors, so fetched one by one."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(f"no sample {index}")
        return index


class Stream(IterableDataset):
    def __init__(self, count, length=None):
        self.count, self.length = count, length

    def __iter__(self):
        return iter(range(self.count))

    def __len__(self):
        if self.length is None:
            raise TypeError("no length")
        return self.length


def batches(loader) -> list[list]:
    return [batch.tolist() for batch in loader]


# --- order -------------------------------------------------------------------------------------------

OPTIONS = [
    {},
    {"batch_size": 3},
    {"batch_size": 3, "drop_last": True},
    {"batch_size": 3, "shuffle": True},
    {"batch_size": 3, "shuffle": True, "drop_last": True},
    {"batch_size": 20, "shuffle": True},
    {"batch_size": 5, "shuffle": True},
    {"batch_size": 4, "sampler": [3, 1, 4, 1, 5]},
    {"batch_sampler": [[0, 1], [9], [5, 2, 7]]},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("own_generator", [False, True])
def test_the_order_is_pytorchs(torch, options, own_generator):
    if own_generator:
        generators = Generator().manual_seed(5), torch.Generator().manual_seed(5)
        ours, theirs = ({**options, "generator": g} for g in generators)
    else:
        generators = manual_seed(5), torch.manual_seed(5)
        ours = theirs = options
    loaders = [
        DataLoader(Numbers(10), **ours),
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.arange(10)), **theirs),
    ]
    assert len(loaders[0]) == len(loaders[1])
    for _ in range(3):
        assert batches(loaders[0]) == [batch.tolist() for (batch,) in loaders[1]]
        # what is drawn between the epochs is the same too
        assert generators[0].random_int64() == torch.empty((), dtype=torch.int64).random_(
            generator=generators[1]
        )


def test_an_iterator_draws_when_it_is_made(torch):
    manual_seed(5)
    torch.manual_seed(5)
    iter(DataLoader(Numbers(10), shuffle=True))
    iter(torch.utils.data.DataLoader(range(10), shuffle=True))
    assert default_generator.random_int64() == torch.empty((), dtype=torch.int64).random_().item()


def test_the_order_on_record():
    manual_seed(0)
    loader = DataLoader(Numbers(8), batch_size=3, shuffle=True)
    assert batches(loader) == [[2, 0, 5], [3, 1, 4], [7, 6]]
    assert batches(loader) == [[0, 3, 7], [1, 6, 2], [5, 4]]


def test_an_epoch_can_be_left():
    loader = DataLoader(Numbers(6), batch_size=2)
    for batch in loader:
        assert batch.tolist() == [0, 1]
        break
    assert batches(loader) == [[0, 1], [2, 3], [4, 5]]
    first, second = iter(loader), iter(loader)
    assert [next(first).tolist(), next(second).tolist(), next(first).tolist()] == [[0, 1], [0, 1], [2, 3]]
    assert len(first) == 3


# --- gathered as a whole -----------------------------------------------------------------------------


def slowly(batch):
    return default_collate(batch)


class Rows(TensorDataset):
    def __getitem__(self, index):
        return tuple(t * 2 for t in super().__getitem__(index))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Subset(d, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0])])
def test_batches_of_tensors(options, wrap):
    random = np.random.RandomState(0)
    tensors = [
        lg.from_numpy(random.standard_normal((10, 3, 2)).astype(np.float32)),
        lg.from_numpy(np.arange(10)),
        lg.from_numpy(random.standard_normal((2, 10)).T),
        lg.from_numpy(random.standard_normal((10, 2)) > 0),
        lg.from_numpy(np.zeros((10, 0), np.uint8)),
    ]
    dataset = wrap(TensorDataset(*tensors))
    manual_seed(1)
    fast = list(DataLoader(dataset, **options))
    manual_seed(1)
    slow = list(DataLoader(dataset, collate_fn=slowly, **options))
    assert len(fast) == len(slow)
    for ours, expected in zip(fast, slow, strict=True):
        assert type(ours) is type(expected) is list
        for a, b in zip(ours, expected, strict=True):
            assert (a.dtype, a.shape, a.requires_grad) == (b.dtype, b.shape, b.requires_grad)
            assert a.is_contiguous()
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_batches_do_not_share_memory_with_the_data():
    x = lg.zeros(4, 2)
    for (batch,) in DataLoader(TensorDataset(x), batch_size=4):
        batch += 1
    assert not x.any()


def test_an_override_is_respected():
    x = lg.tensor([1.0, 2.0])
    assert [b.tolist() for (b,) in DataLoader(Rows(x), batch_size=2)] == [[2.0, 4.0]]
    assert [b.tolist() for (b,) in DataLoader(Subset(Rows(x), [1, 0]), batch_size=2)] == [[4.0, 2.0]]


def test_gradients_flow_through_batches():
    x = lg.tensor([[1.0], [2.0], [3.0]], requires_grad=True)
    (batch,) = next(iter(DataLoader(TensorDataset(x), batch_size=2)))
    batch.sum().backward()
    assert x.grad.tolist() == [[1.0], [1.0], [0.0]]


def test_unusual_indices():
    x = lg.arange(10)
    for indices in ([-1, 2], (1, 2), np.array([3, 4]), [np.int64(5)], lg.tensor([6, 7]), [lg.tensor(8)]):
        found = list(DataLoader(TensorDataset(x), batch_sampler=[indices]))
        expected = [i.item() if isinstance(i, lg.Tensor) else int(i) % 10 for i in indices]
        assert [b.tolist() for (b,) in found] == [expected]


def test_a_missing_sample():
    with pytest.raises(IndexError):
        list(DataLoader(TensorDataset(lg.arange(3)), batch_sampler=[[0, 3]]))
    with pytest.raises(IndexError, match="no sample 3"):
        list(DataLoader(Numbers(3), sampler=[3]))
    with pytest.raises(IndexError, match="the batch has no samples"):
        list(DataLoader(TensorDataset(lg.arange(3)), batch_sampler=[[]]))


def test_a_dataset_that_fetches_many():
    class Fetching(Numbers):
        def __getitems__(self, indices):
            return [-i for i in indices]

    assert batches(DataLoader(Fetching(3), batch_size=2)) == [[0, -1], [-2]]


def test_single_samples():
    assert list(DataLoader(Numbers(3), batch_size=None)) == [0, 1, 2]
    assert list(DataLoader(Numbers(3), batch_size=None, collate_fn=str)) == ["0", "1", "2"]
    assert len(DataLoader(Numbers(3), batch_size=None)) == 3
    arrays = list(DataLoader(np.arange(2.0), batch_size=None))
    assert [(type(a), a.item()) for a in arrays] == [(lg.Tensor, 0.0), (lg.Tensor, 1.0)]


# --- streams -----------------------------------------------------------------------------------------


def test_streams():
    assert batches(DataLoader(Stream(5), batch_size=2)) == [[0, 1], [2, 3], [4]]
    assert batches(DataLoader(Stream(5), batch_size=2, drop_last=True)) == [[0, 1], [2, 3]]
    assert batches(DataLoader(Stream(0), batch_size=2)) == []
    assert list(DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]
    assert batches(DataLoader(Stream(2), shuffle=False)) == [[0], [1]]


def test_the_length_of_streams():
    assert len(DataLoader(Stream(5, 5), batch_size=2)) == 3
    assert len(DataLoader(Stream(5, 5), batch_size=2, drop_last=True)) == 2
    assert len(DataLoader(Stream(5, 5), batch_size=None)) == 5
    with pytest.raises(TypeError):
        len(DataLoader(Stream(5)))


def test_a_stream_longer_than_it_said():
    loader = DataLoader(Stream(3, 2), batch_size=None)
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="was reported to be 2.*but 3 samples have been fetched"):
        assert list(loader) == [0, 1, 2]


# --- arguments ---------------------------------------------------------------------------------------

REFUSED = [
    ({"batch_size": 0}, ValueError, "batch_size should be a positive integer value, but got batch_size=0"),
    ({"batch_size": 2.0}, ValueError, "batch_size should be a positive integer value"),
    ({"sampler": [0], "shuffle": True}, ValueError, "sampler option is mutually exclusive with shuffle"),
    ({"batch_sampler": [[0]], "batch_size": 2}, ValueError, "batch_sampler option is mutually exclusive"),
    ({"batch_sampler": [[0]], "shuffle": True}, ValueError, "batch_sampler option is mutually exclusive"),
    ({"batch_sampler": [[0]], "sampler": [0]}, ValueError, "batch_sampler option is mutually exclusive"),
    ({"batch_sampler": [[0]], "drop_last": True}, ValueError, "batch_sampler option is mutually exclusive"),
    ({"batch_size": None, "drop_last": True}, ValueError, "batch_size=None option disables auto-batching"),
    ({"num_workers": -1}, ValueError, "num_workers option should be non-negative"),
    ({"timeout": -1}, ValueError, "timeout option should be non-negative"),
    ({"prefetch_factor": 2}, ValueError, "prefetch_factor option could only be specified in multiprocessing"),
    ({"persistent_workers": True}, ValueError, "persistent_workers option needs num_workers > 0"),
    ({"multiprocessing_context": "spawn"}, ValueError, "multiprocessing_context can only be used with"),
    ({"num_workers": 1, "prefetch_factor": -1}, ValueError, "prefetch_factor option should be non-negative"),
    ({"num_workers": 1, "multiprocessing_context": "x"}, ValueError, "should specify a valid start method"),
    ({"num_workers": 1, "multiprocessing_context": 3}, TypeError, "should be a valid context object"),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_refused(options, error, message):
    with pytest.raises(error, match=message):
        DataLoader(Numbers(3), **options)


@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_refused_by_pytorch_too(torch, options, error, message):
    with pytest.raises(error, match=message):
        torch.utils.data.DataLoader(range(3), **options)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}])
def test_refused_for_streams(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"with IterableDataset: expected unspecified {name} option"):
        DataLoader(Stream(3), **options)


def test_an_empty_dataset():
    assert list(DataLoader([])) == []
    with pytest.raises(ValueError, match="num_samples should be a positive integer value"):
        DataLoader([], shuffle=True)


def test_attributes():
    loader = DataLoader(Numbers(5), 2, True, pin_memory=True, drop_last=True)
    assert (loader.batch_size, loader.drop_last, loader.pin_memory, loader.num_workers) == (2, True, True, 0)
    assert isinstance(loader.sampler, RandomSampler)
    assert loader.collate_fn is default_collate
    for name in ("batch_size", "sampler", "dataset", "drop_last"):
        with pytest.raises(ValueError, match=f"{name} attribute should not be set after DataLoader"):
            setattr(loader, name, None)
    assert DataLoader(Numbers(5), batch_sampler=[[1]]).batch_size is None
    copied = pickle.loads(pickle.dumps(DataLoader(range(4), batch_size=3)))
    assert batches(copied) == [[0, 1, 2], [3]]


def test_under_pytorchs_name():
    assert utils_data.DataLoader is DataLoader
    assert {"DataLoader", "Dataset", "TensorDataset", "random_split"} <= set(utils_data.__all__)
