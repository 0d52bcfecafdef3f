"""tensor/serialization.py: what goes into a file comes out, and nothing else is taken for it."""

import errno
import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tensor
from tensor import models, training
from tensor.serialization import ModelFileError, load_model, read_model, save_model


@pytest.fixture(scope="module")
def trained():
    """Return a model after some steps with all that belongs to it."""
    draw = np.random.default_rng(0)
    tensor.manual_seed(0)
    model = models.build("mlp")
    plan = training.Plan(2, batch_size=10)
    optimizer = training.make_optimizer(model, plan.optimizer, plan.lr)
    position = training.Position()
    images, labels = draw.standard_normal((50, 1, 28, 28)).astype(np.float32), draw.integers(0, 10, 50)

    def stop(position):
        if (position.epoch, position.batch) == (1, 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.fit(model, optimizer, images, labels, plan, position, stop)
    return model, plan, position, optimizer


def save(path, trained):
    model, plan, position, optimizer = trained
    save_model(path, model, "mlp", "digits", plan, position, optimizer)


def test_weights_come_back(tmp_path, trained):
    save_model(tmp_path / "m.safetensors", trained[0], "mlp", "digits")
    state = tensor.random.default_generator.state_array()
    model, saved = load_model(tmp_path / "m.safetensors")
    assert np.array_equal(tensor.random.default_generator.state_array(), state)
    assert (saved.name, saved.data) == ("mlp", "digits")
    assert (saved.info["mean"], saved.info["std"]) == (0.1307, 0.3081)
    for name, value in trained[0].state_dict().items():
        assert np.array_equal(model.state_dict()[name].numpy(), value.numpy())
    with pytest.raises(ModelFileError, match="where its training stands"):
        saved.training()


def test_others_read_the_weights_under_their_names(tmp_path, trained):
    save(tmp_path / "m.safetensors", trained)
    found = load_file(tmp_path / "m.safetensors")
    assert {name for name in found if not name.startswith("resume.")} == set(trained[0].state_dict())


def test_training_comes_back(tmp_path, trained):
    save(tmp_path / "m.safetensors", trained)
    saved = read_model(tmp_path / "m.safetensors")
    plan, position = saved.training()
    assert plan == trained[1]
    for key in ("epoch", "batch", "loss_sum", "correct", "seen"):
        assert getattr(position, key) == getattr(trained[2], key)
    assert np.array_equal(position.order, trained[2].order)
    assert np.array_equal(position.generator, tensor.random.default_generator.state_array())
    model = models.build("mlp")
    optimizer = training.make_optimizer(model, plan.optimizer, plan.lr)
    saved.restore(model, optimizer)
    expected, got = trained[3].state_dict()["state"], optimizer.state_dict()["state"]
    assert expected.keys() == got.keys()
    for index, entries in expected.items():
        for key, value in entries.items():
            assert np.array_equal(np.asarray(got[index][key]), np.asarray(value)), (index, key)


def test_the_same_training_gives_the_same_bytes(tmp_path, trained):
    for name in ("a", "b"):
        save(tmp_path / name, trained)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# --- files that are something else ------------------------------------------------------------------


def change(path, tensors=None, info=None, metadata=None):
    """Write the file again with other tensors, other information or other metadata."""
    saved = read_model(path)
    found = {**saved.tensors, **(tensors or {})}
    found = {name: array for name, array in found.items() if array is not None}
    text = {"liftgrad": json.dumps({**saved.info, **(info or {})})}
    save_file(found, path, text if metadata is None else metadata)


BROKEN = [
    (
        {"tensors": {"1.weight": np.zeros((64, 784), np.float32)}},
        r"1\.weight of shape \(128, 784\).*\(64, 784\)",
    ),
    ({"tensors": {"1.weight": None}}, r"expected a tensor 1\.weight, as mlp has it, got none"),
    ({"tensors": {"5.bias": np.zeros(3, np.float32)}}, r"got 5\.bias as well"),
    ({"tensors": {"1.bias": np.zeros(128, np.int64)}}, r"expected 1\.bias of .*float32, got I64"),
    ({"info": {"model": "mlp-deep"}}, r"as mlp-deep has it"),
    ({"info": {"model": "resnet"}}, r"expected one of the models mlp.*got 'resnet'"),
    ({"info": {"model": ["mlp"]}}, r"expected one of the models"),
    ({"tensors": {"1.bias": np.full(128, np.nan, np.float32)}}, r"weights are not finite numbers"),
    ({"info": {"version": 2}}, r"format 1, got 2"),
    ({"info": {"mean": 0.5}}, r"expected mean 0\.1307, got 0\.5"),
    ({"metadata": {}}, r"from elsewhere"),
    ({"metadata": {"liftgrad": "{"}}, r"readable metadata"),
    ({"metadata": {"liftgrad": "[1]"}}, r"readable metadata"),
    ({"metadata": {"liftgrad": "{}"}}, r"readable metadata, missing: 'version'"),
]


@pytest.mark.parametrize(("changes", "message"), BROKEN)
def test_a_file_of_another_kind(tmp_path, trained, changes, message):
    path = tmp_path / "m.safetensors"
    save(path, trained)
    change(path, **changes)
    with pytest.raises(ModelFileError, match=message) as caught:
        load_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


CONTENTS = [
    b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(8), b"\xff" * 64,
    (1 << 62).to_bytes(8, "little") + b"{}",
    b"\x42" + bytes(7) + b'{"a":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}}  ' + bytes(4),
]  # fmt: skip


@pytest.mark.parametrize("content", CONTENTS)
def test_no_safetensors(tmp_path, content):
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ModelFileError, match="expected a safetensors file"):
        read_model(tmp_path / "m")


def test_every_truncation_is_noticed(tmp_path, trained):
    path = tmp_path / "m.safetensors"
    save(path, trained)
    content = path.read_bytes()
    for size in (7, 8, 100, 3000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ModelFileError):
            read_model(path)


def test_no_file(tmp_path):
    with pytest.raises(ModelFileError, match="no such file"):
        read_model(tmp_path / "none")
    with pytest.raises(ModelFileError, match="a folder"):
        read_model(tmp_path)


RESUME = [
    ({"training": None}, "where its training stands"),
    ({"training": {"plan": {}}}, "missing: 'epochs'"),
    ({"position": {"epoch": "x"}}, "where its training stands"),
    ({"position": {"epoch": -1}}, "where its training stands"),
    ({"plan": {"batch_size": 0}}, "where its training stands"),
    ({"plan": {"batch_size": 10**23}}, "where its training stands"),
    ({"position": {"epoch": 10**23}}, "where its training stands"),
    ({"position": {"loss_sum": 10**400}}, "where its training stands"),
    ({"plan": {"lr": None}}, "where its training stands"),
]


@pytest.mark.parametrize(("changes", "message"), RESUME)
def test_broken_training_information(tmp_path, trained, changes, message):
    path = tmp_path / "m.safetensors"
    save(path, trained)
    info = read_model(path).info
    for key in ("plan", "position"):
        info["training"][key].update(changes.get(key, {}))
    change(path, info={"training": changes.get("training", info["training"])})
    with pytest.raises(ModelFileError, match=message):
        read_model(path).training()


@pytest.mark.parametrize(
    "changes",
    [
        {"resume.optimizer.0.exp_avg": np.zeros((2, 2), np.float32)},
        {"resume.optimizer.9.exp_avg": np.zeros((2, 2), np.float32)},
        {"resume.optimizer.x.exp_avg": np.zeros((2, 2), np.float32)},
        {"resume.optimizer.0": np.zeros((2, 2), np.float32)},
        {"resume.optimizer.0.exp_avg": None},
    ],
)
def test_broken_optimizer_state(tmp_path, trained, changes):
    path = tmp_path / "m.safetensors"
    save(path, trained)
    change(path, tensors=changes)
    saved = read_model(path)
    model = models.build("mlp")
    with pytest.raises(ModelFileError, match="state of its optimizer"):
        saved.restore(model, training.make_optimizer(model, "adam", 0.1))


def test_a_broken_generator_state(tmp_path, trained):
    path = tmp_path / "m.safetensors"
    save(path, trained)
    change(path, tensors={"resume.generator": np.zeros(7, np.uint8)})
    with pytest.raises(ModelFileError, match="where its training stands"):
        read_model(path).training()


# --- disks --------------------------------------------------------------------------------------------


def test_a_failed_save_leaves_the_old_file(tmp_path, trained, monkeypatch):
    path = tmp_path / "m.safetensors"
    save(path, trained)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        save_model(path, models.build("mlp"), "mlp")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
