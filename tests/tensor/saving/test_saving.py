"""Saving and loading: PyTorch's files read (recorded ones), written and read again, and what is refused."""

import io
import pickle
import warnings
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest

import tensor
from tensor import nn, optim
from tensor.saving import legacy
from tensor.saving.pickler import Pickler
from tensor.saving.storages import Storages

HERE = Path(__file__).parent


def network(T):
    return T.nn.Sequential(T.nn.Linear(3, 4, bias=False), T.nn.BatchNorm1d(4), T.nn.Linear(4, 2))


def again(value, **options):
    buffer = io.BytesIO()
    tensor.save(value, buffer, **options)
    buffer.seek(0)
    return tensor.load(buffer)


def trained(T, steps=3):
    T.manual_seed(0)
    model = network(T)
    optimizer = T.optim.Adam(model.parameters(), lr=0.01)
    go_on(T, model, optimizer, steps)
    return model, optimizer


def go_on(T, model, optimizer, steps):
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        (model(inputs(T)) ** 2).mean().backward()
        optimizer.step()


def inputs(T):
    return T.linspace(-1, 1, 15).reshape(5, 3)


# --- what PyTorch wrote --------------------------------------------------------------------------------


@pytest.mark.parametrize("mmap", [False, True])
def test_a_checkpoint_of_pytorch(mmap):
    found = tensor.load(HERE / "checkpoint.pt", map_location="cpu", mmap=mmap, weights_only=True)
    assert (found["epoch"], found["loss"], found["name"]) == (3, 0.25, "réseau")
    assert isinstance(found["model"], OrderedDict)
    assert found["model"]._metadata["1"] == {"version": 2}
    model = network(tensor)
    model.load_state_dict(found["model"])
    assert found["model"]["1.num_batches_tracked"].item() == 3
    with tensor.no_grad():
        outputs = model.eval()(inputs(tensor))
    np.testing.assert_allclose(outputs, found["outputs"], rtol=1e-5, atol=1e-6)
    optimizer = optim.Adam(model.parameters())
    optimizer.load_state_dict(found["optimizer"])
    assert optimizer.state[model[0].weight]["step"].item() == 3.0
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.001)
    go_on(tensor, model, optimizer, 1)  # what was mapped may be written to


@pytest.mark.parametrize("name", ["odds.pt", "odds_legacy.pt"])
def test_one_of_each_kind(name):
    found = tensor.load(HERE / name)
    check_odds(found)
    check_odds(again(found))
    check_odds(again(found, _use_new_zipfile_serialization=False))


def check_odds(found):
    x = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(found["x"], x)
    np.testing.assert_array_equal(found["transposed"], x.T)
    assert found["transposed"].stride() == (1, 4)
    np.testing.assert_array_equal(found["part"], x[1:, ::2])
    assert type(found["parameter"]) is nn.Parameter
    assert found["parameter"].requires_grad
    assert found["leaf"].requires_grad
    assert found["leaf"].dtype is tensor.float64
    assert (found["zero-dim"].item(), found["zero-dim"].shape) == (7, ())
    assert found["empty"].shape == (0, 3)
    assert [t.dtype for t in found["types"]] == [tensor.uint8, tensor.int32, tensor.bool]
    assert [t.tolist() for t in found["types"]] == [[0, 1], [0, 1], [False, True]]
    plain = [None, True, -1, 300, 2**40, -(2**100), 1.5, "text", b"bytes", (1, (2,)), {3}, 1 + 2j]
    assert found["plain"] == plain
    assert list(map(type, found["plain"])) == list(map(type, plain))
    assert type(found["size"]) is tensor.Size
    assert found["dtype"] is tensor.float64
    assert found["device"] == tensor.device("cpu")
    with tensor.no_grad():  # all show one memory
        found["x"][1, 0] = 100.0
        found["parameter"][1] = 50.0
        assert found["part"][0, 0].item() == found["transposed"][0, 1].item() == 100.0
        assert found["x"][0, 1].item() == 50.0
        found["x"][1, 0], found["x"][0, 1] = 4.0, 1.0


def test_element_types_without_a_dtype_are_widened_and_that_is_said():
    names = ["float16", "bfloat16"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = tensor.load(HERE / "half.pt")
    assert [t.tolist() for t in found] == [[1.5, -2.0]] * 2
    assert bool(caught) == bool(names)
    for name in names:
        assert f"{name} as float32" in str(caught[0].message)


def test_a_whole_module_is_refused():
    for weights_only in (True, False, None):
        with pytest.raises(
            pickle.UnpicklingError, match=r"refused torch.nn.modules.linear.Linear.*state_dict"
        ):
            tensor.load(HERE / "module.pt", weights_only=weights_only)


# --- what is written and read again ----------------------------------------------------------------------


def test_training_goes_on_to_the_last_bit():
    model, optimizer = trained(tensor)
    found = again({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    other = network(tensor)
    other.load_state_dict(found["model"])
    second = optim.Adam(other.parameters(), lr=1.0)
    second.load_state_dict(found["optimizer"])
    go_on(tensor, model, optimizer, 3)
    go_on(tensor, other, second, 3)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach(), q.detach())


def test_containers_keep_their_identity():
    shared, t = [1], tensor.ones(2)
    deep = {"a": shared, "b": shared, "t": (t, t)}
    deep["self"] = deep
    found = again(deep)
    assert found["a"] is found["b"]
    assert found["self"] is found
    assert found["t"][0] is found["t"][1]


@pytest.mark.parametrize(
    "value",
    [
        defaultdict(list, a=[1]),
        defaultdict(None, a=1),
        Counter("aab"),
        OrderedDict(b=1, a=2),
        frozenset([1, (2, "x")]),
        bytearray(b"abc"),
        b"",
        "\N{GRINNING FACE}",
        float("-inf"),
        list(range(3000)),
        {i: str(i) for i in range(3000)},
        2**3000,
        -128,
        65536,
        np.float64(0.1),
        np.bool_(True),
        np.dtype(">i2"),
        (),
        tensor.Size([2, 0]),
    ],
    ids=lambda v: type(v).__name__,
)
def test_plain_values(value):
    found = again(value)
    assert type(found) is type(value)
    assert found == value
    if isinstance(value, defaultdict):
        assert found.default_factory is value.default_factory


def test_arrays():
    for array in (np.arange(6).reshape(2, 3).T, np.array([[1.5]], ">f4"), np.array(2), np.zeros((0, 2))):
        found = again([array])[0]
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found, array)
        assert found.flags.writeable


def test_storages_begin_at_multiples_of_64(tmp_path):
    path = tmp_path / "a file.pt"
    tensor.save([tensor.ones(i) for i in range(9)], path)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[0] == "a file/data.pkl"
        for info in archive.infolist():
            start = info.header_offset + 30 + len(info.filename) + len(info.extra)
            name, extra = content[info.header_offset + 26], content[info.header_offset + 28]
            start = info.header_offset + 30 + name + extra
            assert start % 64 == 0, info.filename
            assert content[start : start + info.file_size] == archive.read(info)
    tensor.save([tensor.ones(i) for i in range(9)], path)
    assert path.read_bytes() == content, "the same object gives other bytes"


def test_safetensors(tmp_path):
    path = tmp_path / "model.safetensors"
    model = network(tensor)
    tensor.save(model.state_dict(), path)
    found = tensor.load(path)
    assert sorted(found) == sorted(model.state_dict())
    for name, value in model.state_dict().items():
        assert found[name].dtype is value.dtype
        assert found[name].shape == value.shape
        np.testing.assert_array_equal(found[name], value)
    for wrong in ([1], {"a": 1}, {1: tensor.ones(1)}):
        with pytest.raises(TypeError, match="flat dict of tensors"):
            tensor.save(wrong, path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match="damaged"):
        tensor.load(path)


def test_map_location():
    t = tensor.ones(2)
    buffer = io.BytesIO()
    tensor.save(t, buffer)
    seen = []

    def keep(storage, location):
        seen.append((len(storage), storage.nbytes(), location))
        return storage

    ways = [
        None,
        "cpu",
        tensor.device("cpu"),
        {"cuda:0": "cpu"},
        keep,
        lambda s, _: s.cpu(),
        lambda s, _: None,
    ]
    for to in ways:
        buffer.seek(0)
        assert tensor.load(buffer, map_location=to).tolist() == [1.0, 1.0]
    assert seen == [(2, 8, "cpu")]
    buffer.seek(0)
    with pytest.raises(KeyError, match="mine"):
        tensor.load(buffer, map_location=lambda storage, location: {}["mine"])
    for wrong in (3, lambda storage, location: 3):
        buffer.seek(0)
        with pytest.raises(TypeError, match="map_location"):
            tensor.load(buffer, map_location=wrong)


def test_tensors_of_a_gpu_that_is_not_there():
    class Elsewhere(tensor.Tensor):
        device = tensor.device("cuda:0")

    t = tensor.ones(2)
    t.__class__ = Elsewhere
    buffer = io.BytesIO()
    tensor.save(t, buffer)
    buffer.seek(0)
    assert tensor.load(buffer, map_location="cpu").tolist() == [1.0, 1.0]
    buffer.seek(0)
    assert tensor.load(buffer, map_location={"cuda:0": "cpu"}).tolist() == [1.0, 1.0]
    if not tensor.cuda.is_available():
        buffer.seek(0)
        with pytest.raises(RuntimeError, match="map_location='cpu'"):
            tensor.load(buffer)


# --- what is refused -----------------------------------------------------------------------------------


class Holder:
    pass


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (nn.Linear(1, 1), r"cannot write tensor.nn.linear.Linear \(the object itself\).*state_dict"),
        ({"a": [0, Holder()]}, r"Holder \(\['a'\]\[1\]\)"),
        ({"f": len}, "leave it out"),
        (optim.SGD([tensor.ones(1)]), "state_dict"),
        (np.array(["text"]), "ndarray"),
        (defaultdict(lambda: 1), "function"),
    ],
    ids=["module", "object within", "function", "optimizer", "array of text", "defaultdict"],
)
def test_what_is_more_than_data_is_not_written(value, message, tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(b"before")
    with pytest.raises(TypeError, match=message):
        tensor.save(value, path)
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_two_types_of_one_memory():
    array = np.zeros(4, np.float32)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        tensor.save([tensor.from_numpy(array), tensor.from_numpy(array.view(np.int32))], io.BytesIO())


def archive_of(pickled, **entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        for name, data in entries.items():
            archive.writestr("a/" + name.replace("_", "/"), data)
    buffer.seek(0)
    return buffer


class Evil:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_nothing_that_a_file_names_is_run(protocol):
    ran = []
    for call in ((eval, ("1/0",)), (print, ("x",)), (getattr, (Holder, "x")), (Holder, ())):
        with pytest.raises(pickle.UnpicklingError, match="refused"):
            tensor.load(archive_of(pickle.dumps([Evil(*call)], protocol)))
    assert not ran


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.",
        b"\x80\x02(ios\nsystem\n.",  # INST
        b"\x80\x02ctorch\nSize\n}X\x05\x00\x00\x00numelK\x01sb.",  # an attribute of a class
        b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\x00\x00\x00itemsK\x01sb.",  # a method replaced
        b"\x80\x02ccollections\nOrderedDict\n)\x81.",  # NEWOBJ
        b"\x80\x02]ctorch._utils\n_rebuild_tensor_v2\na.",  # a function as a value
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00O8\x89\x88\x87R.",
    ],
)
def test_opcodes_that_need_code_are_refused(pickled):
    with pytest.raises(pickle.UnpicklingError):
        tensor.load(archive_of(pickled))
    assert callable(tensor.Size.numel)


def rebuild(offset, size, stride, count=4):
    """Return a pickle of a tensor on a storage of `count` floats."""

    class Raw(Pickler):
        def _plain_tensor(self, value, requires_grad):
            self._global("torch._utils _rebuild_tensor_v2")
            self._out += b"(("
            self._str("storage")
            self._global("torch FloatStorage")
            self._str("0")
            self._str("cpu")
            self._int(count)
            self._out += b"tQ"
            for part in (offset, size, stride, False, {}):
                self._write(part)
            self._out += b"tR"

    return Raw(Storages()).dump(tensor.ones(1))


def test_a_tensor_stays_within_its_storage():
    good = tensor.load(archive_of(rebuild(1, (3,), (1,)), data_0=bytes(16)))
    assert good.shape == (3,)
    wrong = [(0, (5,), (1,)), (2, (3,), (1,)), (-1, (2,), (1,)), (0, (2,), (-1,)), (0, (2, 2), (1,))]
    wrong += [(0, (2**62, 2), (1, 1)), (0, (2,), (2**61,)), (0, (-2,), (1,)), (0, (1.0,), (1,))]
    for part in wrong:
        with pytest.raises(pickle.UnpicklingError, match="damaged"):
            tensor.load(archive_of(rebuild(*part), data_0=bytes(16)))
    for content in ({}, {"data_0": bytes(15)}, {"data_0": bytes(20)}):
        with pytest.raises(pickle.UnpicklingError, match="storage 0 should be 16 bytes"):
            tensor.load(archive_of(rebuild(0, (4,), (1,)), **content))


def test_keys_that_would_take_forever_to_hash():
    value: tuple = ()
    for _ in range(64):
        value = (value, value)
    pickled = pickle.dumps(value, 2)[:-1]
    with pytest.raises(pickle.UnpicklingError, match="damaged"):
        tensor.load(archive_of(b"\x80\x02}" + pickled[2:] + b"K\x01s."))


def test_compressed_and_foreign_archives():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps([0] * 1000, 2))
    buffer.seek(0)
    with pytest.raises(RuntimeError, match="compressed"):
        tensor.load(buffer)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../evil.txt", b"x")
    buffer.seek(0)
    with pytest.raises(RuntimeError, match=r"no data\.pkl"):
        tensor.load(buffer)
    with pytest.raises(RuntimeError, match="TorchScript"):
        tensor.load(archive_of(b"", **{"constants.pkl": b""}))


@pytest.mark.parametrize("name", ["odds.pt", "odds_legacy.pt"])
def test_damaged_files_give_one_clear_error(name):
    content = (HERE / name).read_bytes()
    expected = (RuntimeError, pickle.UnpicklingError, EOFError, TypeError)
    for length in range(0, len(content), 37):
        with pytest.raises(expected, match="load: "):
            tensor.load(io.BytesIO(content[:length]))
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for i in rng.integers(0, len(content), 3):
            damaged[i] = rng.integers(256)
        message = "load: nothing was noticed"
        try:
            tensor.load(io.BytesIO(bytes(damaged)))
        except expected as error:
            message = str(error)
        assert message.startswith("load: ")


def test_not_a_file_of_torch_save(tmp_path):
    path = tmp_path / "a.pt"
    with pytest.raises(FileNotFoundError):
        tensor.load(path)
    path.write_bytes(b"")
    with pytest.raises(EOFError, match="Ran out of input"):
        tensor.load(path)
    path.write_bytes(b"hello, world")
    with pytest.raises(pickle.UnpicklingError, match=r"not a file of torch\.save"):
        tensor.load(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(pickle.UnpicklingError, match=r"not a file of torch\.save"):
        tensor.load(path)
    with pytest.raises(IsADirectoryError):
        tensor.load(tmp_path)
    with pytest.raises(RuntimeError, match="Parent directory"):
        tensor.save(1, tmp_path / "no" / "a.pt")


def test_arguments():
    buffer = io.BytesIO()
    with pytest.raises(TypeError, match="pickle_module"):
        tensor.save(1, buffer, pickle_module=io)
    with pytest.raises(TypeError, match="pickle_module"):
        tensor.load(buffer, pickle_module=io)
    with pytest.raises(ValueError, match="pickle_protocol"):
        tensor.save(1, buffer, pickle_protocol=1)
    with pytest.raises(AttributeError, match="expected a path or a file"):
        tensor.save(1, 3)
    with pytest.raises(AttributeError, match="expected a path or a file"):
        tensor.load(3)
    with pytest.raises(ValueError, match="must be a file path"):
        tensor.load(buffer, mmap=True)
    with pytest.raises(TypeError, match="weights_only"):
        tensor.load(buffer, weights_only="yes")
    tensor.save(1, buffer, pickle, 4)
    buffer.seek(0)
    assert tensor.load(buffer, "cpu", pickle, weights_only=False) == 1


def test_a_legacy_file_of_another_protocol():
    parts = [Pickler(Storages()).dump(v) for v in (legacy.MAGIC, 1002, {}, 1, [])]
    with pytest.raises(pickle.UnpicklingError, match="protocol 1001"):
        tensor.load(io.BytesIO(b"".join(parts)))


# --- with PyTorch --------------------------------------------------------------------------------------


def alike(ours, theirs):
    if hasattr(theirs, "stride"):
        assert tuple(ours.shape) == tuple(theirs.shape)
        assert ours.stride() == theirs.stride()
        assert str(ours.dtype) == str(theirs.dtype)
        assert ours.requires_grad == theirs.requires_grad
        np.testing.assert_array_equal(ours.detach().numpy(), theirs.detach().numpy())
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            alike(ours[key], theirs[key])
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            alike(a, b)
    else:
        assert str(ours) == str(theirs)


@pytest.mark.parametrize("zipped", [True, False])
def test_pytorch_reads_what_is_written_here(torch, tmp_path, zipped):
    model, optimizer = trained(tensor)
    path = tmp_path / "model.pth"
    x = tensor.arange(12.0).reshape(3, 4)
    value = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "odds": [x, x.T, x[1:, ::2], nn.Parameter(x), tensor.empty(0), tensor.tensor(True), b"x", {1}],
        "plain": [tensor.float64, tensor.device("cpu"), x.shape, 2**70, -5, 1.5, None, "ü"],
    }
    tensor.save(value, path, _use_new_zipfile_serialization=zipped)
    found = torch.load(path, weights_only=True)
    alike(value, found)
    odds = found["odds"]
    assert odds[0].data_ptr() == odds[1].data_ptr() == odds[3].data_ptr()
    if zipped:
        alike(value, torch.load(path, mmap=True))
    theirs = network(torch)
    theirs.load_state_dict(found["model"])
    second = torch.optim.Adam(theirs.parameters(), lr=1.0)
    second.load_state_dict(found["optimizer"])
    go_on(tensor, model, optimizer, 3)
    go_on(torch, theirs, second, 3)
    np.testing.assert_allclose(
        model.eval()(inputs(tensor)).detach(), theirs.eval()(inputs(torch)).detach(), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("zipped", [True, False])
def test_what_pytorch_writes_is_read_here(torch, tmp_path, zipped):
    model, optimizer = trained(torch)
    path = tmp_path / "model.pth"
    named = torch.ones(2)
    named.note = "kept"
    value = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "note": named}
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    found = tensor.load(path)
    alike(found, value)
    assert found["note"].note == "kept"


def test_numpy_in_files_of_pytorch(torch, tmp_path):
    path = tmp_path / "a.pt"
    value = [np.arange(6.0).reshape(2, 3), np.float32(1.5), np.array([1], ">i8")]
    for protocol in (2, 4):
        torch.save(value, path, pickle_protocol=protocol)
        for a, b in zip(tensor.load(path), value, strict=True):
            np.testing.assert_array_equal(a, b)
    tensor.save(value, path)
    for a, b in zip(torch.load(path, weights_only=False), value, strict=True):
        np.testing.assert_array_equal(a, b)
