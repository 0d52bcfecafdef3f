"""Training on a GPU beside the CPU's: the same steps to float32 rounding, and the command line.

On a GPU: the networks themselves, 200 steps, and MNIST where its files are. On the simulator: tiny ones.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

import tensor
from tensor import models, nn, optim, serialization
from tensor.data import digits, patterns
from tensor.data.idx import write_idx
from tensor.models import Inputs

DIGITS = Inputs(("digits", "mnist", "idx"), (4, 4), tuple("0123456789"), 0.1307, 0.3081)
NAMES = {
    "train-images-idx3-ubyte": 0, "train-labels-idx1-ubyte": 1,
    "t10k-images-idx3-ubyte": 2, "t10k-labels-idx1-ubyte": 3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _needs_a_gpu(device: str) -> None:
    if device == "cpu":
        pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda")


def simulated() -> bool:
    return "simulator" in tensor.cuda.get_device_name()


def _tiny_mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 10))


def _tiny_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 10)
    )


TINY = {"mlp": _tiny_mlp, "cnn": _tiny_cnn}


# --- step by step ----------------------------------------------------------------------------------


def steps(make, images, labels, batch: int, count: int, where: str, dtype, optimizer: str) -> tuple:
    """Return the losses of so many steps, and all parameters after them, as float64."""
    tensor.manual_seed(0)
    model = make().to(dtype).to(where)
    stepping = {
        "sgd": lambda: optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        "adam": lambda: optim.Adam(model.parameters(), lr=1e-3),
    }[optimizer]()
    loss_of, losses = nn.CrossEntropyLoss(), []
    for i in range(count):
        first = i * batch % (len(images) - batch + 1)
        x = tensor.from_numpy(images[first : first + batch]).to(where, dtype)
        loss = loss_of(model(x), tensor.from_numpy(labels[first : first + batch]).to(where))
        stepping.zero_grad()
        loss.backward()
        stepping.step()
        losses.append(loss.detach())
    parameters = [p.detach().cpu().double().numpy().reshape(-1) for p in model.parameters()]
    return np.array([loss.item() for loss in losses]), np.concatenate(parameters)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_the_steps_are_the_cpus_to_rounding(device, name, optimizer):
    """Rounding adds up over the steps: what float32 makes of them is measured against float64, on the CPU.

    The GPU adds up in another order, so it may be off by as much. PyTorch on the CPU is, after 200 steps: 0.5
    to 2.5 times as much.
    """
    if simulated():
        rng = np.random.default_rng(0)
        images, labels = rng.standard_normal((12, 1, 4, 4)).astype(np.float32), np.arange(12) % 10
        make, batch, count = TINY[name], 3, 20
    else:
        split = digits.load()
        images, labels = models.normalize(split.train_images), split.train_labels
        make, batch, count = models.MODELS[name].make, 64, 200
    runs = [
        steps(make, images, labels, batch, count, where, dtype, optimizer)
        for where, dtype in ((device, tensor.float32), ("cpu", tensor.float32), ("cpu", tensor.float64))
    ]
    for what, (there, here, exact) in zip(("losses", "parameters"), zip(*runs, strict=True), strict=True):
        off, usual = np.abs(there - exact), np.abs(here - exact)
        smallest = 1e-6 * np.abs(exact).max()
        assert np.isfinite(there).all()
        assert np.sqrt((off**2).mean()) <= 5 * np.sqrt((usual**2).mean()) + smallest, what
        assert off.max() <= 10 * usual.max() + smallest, what
    if not simulated():  # it learns
        assert runs[0][0][-10:].mean() < runs[0][0][0] / 2


# --- the command line ------------------------------------------------------------------------------


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Return run(*words): exit code, lines printed, errors; on the simulator the networks are tiny."""
    for needed in ("typer", "rich", "safetensors"):
        pytest.importorskip(needed, reason=f"{needed} is not installed; the command line needs it")
    import liftgrad

    if simulated():
        for name, make in TINY.items():
            small = replace(models.MODELS[name], make=make, inputs=DIGITS, test_batch=3)
            monkeypatch.setitem(models.MODELS, name, small)

    def run(*words):
        code = liftgrad.main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out.splitlines(), printed.err

    return run


@pytest.fixture
def few(tmp_path):
    """Return a folder of digits: class k is a bright row."""
    draw, size = np.random.default_rng(0), 4 if simulated() else 28
    arrays = []
    for count in (6, 4) if simulated() else (640, 100):
        labels = (np.arange(count) % min(size, 10)).astype(np.uint8)
        images = draw.integers(0, 60, (count, size, size)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 4 if size == 28 else label] = 250
        arrays += [images, labels]
    for name, which in NAMES.items():
        write_idx(tmp_path / name, arrays[which])
    return tmp_path


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_train_stop_go_on_and_measure(run, few, tmp_path, model):
    file, log = tmp_path / "model.safetensors", tmp_path / "log"
    data = ("--data", "idx", "--data-dir", few)
    train = ("train", model, *data, "--batch-size", 3 if simulated() else 64, "--save", file, "--log", log)
    code, lines, error = run(*train, "--epochs", 1, "--device", "cuda")
    assert (code, error) == (0, "")
    assert any(tensor.cuda.get_device_name() in line for line in lines)
    assert json.loads(log.read_text().splitlines()[0])["device"] == "cuda"
    code, lines, error = run(*train, "--epochs", 2, "--device", "cuda", "--resume")
    assert (code, error) == (0, "")
    accuracies = [lines[-1]]
    for where in ("cuda", "cpu"):
        code, lines, error = run("eval", file, *data, "--device", where)
        assert (code, error) == (0, "")
        accuracies.append(lines[-1])
    assert accuracies[0].startswith("test accuracy")
    assert len(set(accuracies)) == 1
    code, lines, error = run(*train, "--epochs", 3, "--resume")  # on the CPU
    assert (code, error) == (0, "")


def test_captured_training_is_the_same(run, few, tmp_path):
    data = ("--data", "idx", "--data-dir", few)
    files = [tmp_path / name for name in ("launched", "captured", "half")]
    train = ("train", "mlp", *data, "--batch-size", 2 if simulated() else 64, "--device", "cuda")
    code, launched, error = run(*train, "--epochs", 2, "--save", files[0])
    assert (code, error) == (0, "")
    code, captured, error = run(*train, "--epochs", 2, "--save", files[1], "--capture")
    assert (code, error) == (0, "")
    assert any("steps replayed as a CUDA graph" in line for line in captured)
    for extra in ((), ("--resume",)):
        epochs = 2 if extra else 1
        code, resumed, error = run(*train, "--epochs", epochs, "--save", files[2], "--capture", *extra)
        assert (code, error) == (0, "")
    assert launched[-1] == captured[-1] == resumed[-1]
    weights = []
    for file in files:
        model, _ = serialization.load_model(file)
        weights.append([t.numpy().tobytes() for t in model.state_dict().values()])
    assert weights[0] == weights[1] == weights[2]


def test_train_tinycnn(run, device, monkeypatch):
    if simulated():
        split = patterns.load()
        few = replace(
            split, train_images=split.train_images[:4], train_labels=split.train_labels[:4],
            test_images=split.test_images[:3], test_labels=split.test_labels[:3],
        )  # fmt: skip
        monkeypatch.setattr(patterns, "load", lambda: few)
        small = replace(models.MODELS["tinycnn"], batch_size=2, epochs=1)
        monkeypatch.setitem(models.MODELS, "tinycnn", small)
    code, lines, error = run("train", "tinycnn", "--device", "cuda")
    assert (code, error) == (0, "")
    if not simulated():
        assert float(lines[-1].split()[-1].rstrip("%")) >= 95.0


def test_another_gpu_is_refused(run):
    code, _, error = run("train", "mlp", "--device", "cuda:1")
    assert code == 2
    assert error == (
        "liftgrad: --device cuda:1: there is cuda:0, the one GPU that CUDA_VISIBLE_DEVICES chooses\n"
    )


@pytest.mark.parametrize(("model", "least"), [("mlp", 97.7), ("cnn", 98.6)])
def test_mnist_is_learned_as_well_as_on_the_cpu(run, request, device, model, least):
    if simulated():
        pytest.skip("MNIST is too large for the simulator")
    folder = request.getfixturevalue("mnist_folder")
    code, lines, error = run("train", model, "--data", "mnist", "--data-dir", folder, "--device", "cuda")
    assert (code, error) == (0, "")
    assert float(lines[-1].split()[-1].rstrip("%")) >= least
