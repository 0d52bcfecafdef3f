"""The command line as its users meet it: on terminals and in pipes, with bad input, full disks and Ctrl-C.

Most runs call `main` in this process; what concerns signals and terminals is a process of its own.
"""

import errno
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import liftgrad
from tensor.data.idx import write_idx

ROOT = Path(__file__).parents[1]
NAMES = {
    "train-images-idx3-ubyte": 0, "train-labels-idx1-ubyte": 1,
    "t10k-images-idx3-ubyte": 2, "t10k-labels-idx1-ubyte": 3,
}  # fmt: skip


def write_digits(folder, train=320, test=100):
    """Write a small data set: class k is a bright bar at height 2k + 4, with noise."""
    draw = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    arrays = []
    for count in (train, test):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = draw.integers(0, 60, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 4 : 2 * label + 6, 4:24] = 250
        arrays += [images, labels]
    for name, which in NAMES.items():
        write_idx(folder / name, arrays[which])
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Return a cache for the processes of these tests, which compile their kernels once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(autouse=True)
def no_cache_of_the_user(cache, monkeypatch):
    monkeypatch.setenv("LIFTGRAD_CACHE", str(cache))


@pytest.fixture
def run(capsys, digits):
    """Return a function that runs a command line; it returns the exit code, the lines printed, and stderr."""

    def run(*words, data=True):
        if data:
            words = (*words, "--data", "idx", "--data-dir", digits)
        code = liftgrad.main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out.splitlines(), printed.err

    return run


@pytest.fixture
def refused(run):
    """Return a function that runs a command line which must end with one line on stderr and exit code 2."""

    def refused(*words, data=False):
        code, _, error = run(*words, data=data)
        assert code == 2
        assert error.startswith("liftgrad: ")
        assert error.count("\n") == 1
        assert error.endswith("\n")
        assert "Traceback" not in error
        return error

    return refused


@pytest.fixture(scope="session")
def trained(tmp_path_factory, digits):
    """Return a model file after one epoch."""
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    before = os.environ.get("LIFTGRAD_CACHE")
    assert liftgrad.main(f"train mlp -q --epochs 1 --data idx --data-dir {digits} --save {path}".split()) == 0
    assert os.environ.get("LIFTGRAD_CACHE") == before
    return path


def start(*words, digits=None, env=None, **options):
    """Start a command line in a process of its own."""
    if digits is not None:
        words = (*words, "--data", "idx", "--data-dir", digits)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100", **(env or {})}
    return subprocess.Popen(
        [sys.executable, "-m", "liftgrad", *map(str, words)], env=environment, text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )  # fmt: skip


def accuracy(line):
    """Return the number in the last line that was printed."""
    return float(re.fullmatch(r"test accuracy: (\d+\.\d\d)%", line)[1])


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- training -----------------------------------------------------------------------------------------


def test_train_says_what_it_does(run):
    code, lines, error = run("train", "mlp", "--epochs", "3", "--threads", "1")
    assert (code, error) == (0, "")
    text = "\n".join(lines)
    assert "320 to train on, 100 to test on" in text
    assert "784-128-10: 101,770 parameters" in text
    assert re.search(r"1 thread \(\w+\), kernels (compiled in \d+\.\d s|cached)", text)
    epochs = [line for line in lines if line.startswith("epoch")]
    assert len(epochs) == 3
    pattern = r"epoch 1/3  loss \d\.\d{4}  accuracy [\d.]+%  test [\d.]+%  [\d,]+ images/s  [\d.]+ s"
    assert re.fullmatch(pattern, epochs[0])
    assert accuracy(lines[-1]) > 95.0


def test_train_deep(run):
    code, lines, _ = run("train", "mlp-deep", "--epochs", "3", "--optimizer", "adamw", "--batch-size", "32")
    assert code == 0
    assert "784-128-64-10: 109,386 parameters" in "\n".join(lines)
    assert accuracy(lines[-1]) > 90.0


def test_cnn(run, digits, tmp_path):
    words = ("train", "cnn", "--epochs", "2", "--batch-size", "16", "--lr", "0.003", "--save", tmp_path / "m")
    code, lines, error = run(*words)
    assert (code, error) == (0, "")
    assert "two convolutions of 32 channels, 1568-10: 25,258 parameters" in "\n".join(lines)
    assert accuracy(lines[-1]) > 90.0
    assert run("eval", tmp_path / "m", "-q")[1] == [lines[-1]]


def test_tinycnn(run, refused, tmp_path):
    code, lines, error = run("train", "tinycnn", "--save", tmp_path / "m", data=False)
    assert (code, error) == (0, "")
    text = "\n".join(lines)
    assert "built-in patterns: 2,000 to train on, 1,000 to test on" in text
    assert "a convolution of 3 channels, 27-3: 114 parameters" in text
    assert "adam, learning rate 0.02 (x 0.9 an epoch), batches of 32, seed 0" in text
    assert accuracy(lines[-1]) >= 92.0
    code, found, _ = run("eval", tmp_path / "m", data=False)
    assert code == 0
    assert found[-1] == lines[-1]
    names = [line.split()[0] for line in found if re.search(r"% +\d+ of \d+$", line.replace(",", ""))]
    assert names == ["horizontal", "vertical", "diagonal"]
    Image.new("L", (28, 28)).save(tmp_path / "p.png")
    message = refused("predict", tmp_path / "m", tmp_path / "p.png")
    assert "tinycnn looks at patterns, not at pictures of digits" in message
    message = refused("eval", tmp_path / "m", "--data", "digits")
    assert "tinycnn learns from patterns" in message


def test_quiet_prints_the_last_line_alone(run):
    code, lines, error = run("train", "mlp", "--epochs", "1", "--quiet", "--optimizer", "sgd")
    assert (code, error, len(lines)) == (0, "", 1)
    accuracy(lines[0])


def test_batches_of_any_size(run):
    for size in (1000, 320, 7):
        code, lines, _ = run("train", "mlp", "--epochs", "1", "-q", "--batch-size", size)
        assert code == 0
        accuracy(lines[-1])


def test_the_same_seed_gives_the_same_file_on_one_thread_and_on_two(run, tmp_path):
    for i, threads in enumerate((1, 2, 2)):
        words = ("train", "mlp", "--epochs", "2", "--seed", "3", "--save", tmp_path / str(i))
        assert run(*words, "--threads", threads)[0] == 0
    assert digest(tmp_path / "0") == digest(tmp_path / "1") == digest(tmp_path / "2")
    assert run("train", "mlp", "--epochs", "2", "--seed", "4", "--save", tmp_path / "4")[0] == 0
    assert digest(tmp_path / "4") != digest(tmp_path / "0")


def test_perceptron(run):
    code, lines, error = run("train", "perceptron", "--seed", "5", data=False)
    assert (code, error) == (0, "")
    assert "perceptron: 3 parameters" in "\n".join(lines)
    assert sum(line.startswith("|") for line in lines) > 10
    assert lines[-1] == "test accuracy: 100.00%"


def test_moons(run, tmp_path):
    words = ("train", "moons", "--epochs", "4", "--log", tmp_path / "log", "--batch-size", "10")
    code, lines, error = run(*words, data=False)
    assert (code, error) == (0, "")
    assert "moons: 1,185 parameters" in "\n".join(lines)
    assert sum(line.startswith("|") for line in lines) > 10
    assert accuracy(lines[-1]) >= 90.0
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert events == ["start"] + ["epoch"] * 4


# --- going on -----------------------------------------------------------------------------------------


def test_two_epochs_and_two_more_are_four(run, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = ("train", "mlp", "--seed", "7", "--batch-size", "48")
    assert run(*words, "--epochs", "4", "--save", whole, "--log", tmp_path / "whole.jsonl")[0] == 0
    assert run(*words, "--epochs", "2", "--save", parts, "--log", tmp_path / "log.jsonl")[0] == 0
    again = ("train", "mlp", "--epochs", "4", "--save", parts, "--log", tmp_path / "log.jsonl", "--resume")
    code, lines, _ = run(*again)
    assert code == 0
    assert "resumed   after 2 epochs" in lines
    assert digest(whole) == digest(parts)

    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [entry["event"] for entry in log] == ["start", "epoch", "epoch", "resume", "epoch", "epoch"]
    expected = [json.loads(line) for line in (tmp_path / "whole.jsonl").read_text().splitlines()]
    keys = ("epoch", "loss", "accuracy", "test_loss", "test_accuracy", "lr")
    rows = [[entry[key] for key in keys] for entry in log if entry["event"] == "epoch"]
    assert rows == [[entry[key] for key in keys] for entry in expected[1:]]
    assert expected[0]["model"] == "mlp"
    assert expected[0]["threads"] >= 1


def test_resume_writes_only_where_save_says(run, trained, tmp_path):
    before = digest(trained)
    assert run("train", "mlp", "--epochs", "2", "--resume", trained)[0] == 0
    assert digest(trained) == before
    assert run("train", "mlp", "--epochs", "2", "--resume", trained, "--save", tmp_path / "m")[0] == 0
    assert digest(trained) == before
    assert (tmp_path / "m").exists()


def test_a_log_is_begun_anew_without_resume(run, tmp_path):
    for _ in range(2):
        assert run("train", "mlp", "--epochs", "1", "-q", "--log", tmp_path / "log")[0] == 0
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_what_contradicts_the_file_is_refused(refused, trained, digits):
    resume = ("train", "mlp", "--data", "idx", "--data-dir", digits, "--resume", trained)
    assert "1 epoch already; --epochs 2 or more" in refused(*resume)
    for option, value in [("--lr", 0.5), ("--batch-size", 5), ("--seed", 9), ("--optimizer", "sgd")]:
        assert f"was trained with {option}" in refused(*resume, "--epochs", 3, option, value)
    assert "was trained with --data idx" in refused("train", "mlp", "--data", "digits", "--resume", trained)
    deep = ("train", "mlp-deep", "--resume", trained)
    assert "expected a model mlp-deep, got mlp" in refused(*deep)
    assert "name one of them" in refused("train", "mlp", "--resume")


# --- eval, predict ------------------------------------------------------------------------------------


def test_other_images_are_refused(refused, trained, tmp_path):
    other = write_digits(tmp_path / "other", train=64)
    error = refused(
        *("train", "mlp", "--resume", trained, "--epochs", "3", "--data", "idx", "--data-dir", other)
    )
    assert "was trained on other images" in error


def test_a_model_file_of_unknown_data(refused, trained, tmp_path):
    with safe_open(trained, framework="numpy") as file:
        info = json.loads(file.metadata()["liftgrad"])
    save_file(load_file(trained), tmp_path / "m", {"liftgrad": json.dumps({**info, "data": "cats"})})
    assert "names the data 'cats'" in refused("eval", tmp_path / "m")


def test_eval(run, trained, digits):
    code, lines, error = run("eval", trained)
    assert (code, error) == (0, "")
    assert "100 to test on" in "\n".join(lines)
    assert sum(bool(re.match(r"  \d  +[\d.]+%  \d+ of 10$", line)) for line in lines) == 10
    first = accuracy(lines[-1])
    code, lines, _ = run(
        "eval", trained, "-q", "--data-dir", digits, data=False
    )  # the data it was trained on
    assert [accuracy(line) for line in lines] == [first]


def test_predict(run, trained, digits, tmp_path):
    from tensor.data.idx import read_idx

    image = read_idx(digits / "t10k-images-idx3-ubyte")[7]
    Image.fromarray(image).save(tmp_path / "seven.png")
    code, lines, error = run("predict", trained, tmp_path / "seven.png", data=False)
    assert (code, error) == (0, "")
    found = [re.fullmatch(r"(\d) +([\d.]+)%(  \S+)?", line) for line in lines]
    assert [match[1] for match in found] == [str(label) for label in range(10)]
    probabilities = [float(match[2]) for match in found]
    assert sum(probabilities) == pytest.approx(100.0, abs=0.1)
    assert max(range(10), key=probabilities.__getitem__) == 7
    assert found[7][3]


# --- bad input: one line, exit code 2 -----------------------------------------------------------------

WORDS = [
    ("train mpl", "unknown model 'mpl'; did you mean mlp?"),
    ("train percepton", "did you mean perceptron?"),
    ("train", "Missing argument 'MODEL'"),
    ("trian mlp", "No such command 'trian'"),
    ("train mlp --epoch 1", "No such option: --epoch"),
    ("train mlp extra", "extra"),
    ("train mlp --data mnits", "--data mnits: did you mean mnist?"),
    ("train mlp --optimizer adma", "--optimizer adma: did you mean adam?"),
    ("train mlp --epochs 0", "--epochs 0: expected a number at least 1"),
    ("train mlp --epochs x", "--epochs"),
    ("train mlp --batch-size 0", "--batch-size 0"),
    ("train mlp --threads 0", "--threads 0"),
    ("train mlp --threads 9999", "--threads 9999: this process has"),
    ("train mlp --lr -0.1", "--lr -0.1: expected a number above 0"),
    ("train mlp --lr 0", "--lr 0"),
    ("train mlp --lr nan", "--lr nan"),
    ("train mlp --lr inf", "--lr inf: expected a finite number"),
    ("train mlp --resume=", "--resume: expected a path"),
    ("train mlp --lr-decay 1.5", "--lr-decay 1.5"),
    ("train mlp --seed -1", "--seed -1"),
    ("train moons --lr 1e308", "try a smaller learning rate"),
    ("train perceptron --lr 1e308", "try a smaller learning rate"),
    ("train mlp --batch-size 99999999999999999999999", "at most 2147483647"),
    ("train moons --epochs 99999999999999999999999", "at most 2147483647"),
    ("train mlp --data idx", "name the folder of the files with --data-dir"),
    ("train mlp --data-dir here", "the digits are built in"),
    ("train mlp --save", "--save"),
    ("train moons --data mnist", "moons trains on scalars"),
    ("train perceptron --save m", "leave out --save"),
    ("train perceptron --batch-size 2", "leave out --batch-size"),
    (
        "train mlp --capture",
        "--capture: replays the training step as a CUDA graph, which needs --device cuda",
    ),
    ("train moons --capture", "leave out --capture"),
    ("train mlp --resume none", "none: no such file; `liftgrad train mlp --save none` would make one"),
    ("train cnn --resume none", "none: no such file; `liftgrad train cnn --save none` would make one"),
    ("eval none", "none: no such file"),
    ("eval", "Missing argument"),
    ("predict none none", "none: no such file"),
    ("bench --only mpl", "did you mean mlp?"),
    ("bench --only mlp,scaler", "--only scaler: did you mean scalar?"),
    ("bench --only=", "known are scalar, matmul"),
    ("bench --only ,", "known are scalar, matmul"),
    ("bench --threads 0", "--threads 0"),
    ("bench --device cuda --only scalar", "known are copy, elementwise"),
    ("bench --device mps", "known are cpu and cuda"),
    ("bench --threads 9999", "--threads 9999: this process has"),
    ("train mlp --data patterns", "--data patterns: mlp learns from digits, mnist, idx"),
    ("train tinycnn --data mnist", "--data mnist: tinycnn learns from patterns"),
    ("train tinycnn --data-dir here", "the patterns are built in"),
]


@pytest.mark.parametrize("option", ["--save", "--data-dir", "--resume", "--log"])
def test_an_empty_path(refused, option):
    assert f"{option}: expected a path" in refused("train", "mlp", option, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_standard_output():
    with open("/dev/full", "w") as full:
        process = start("train", "perceptron", stdout=full)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert error == "liftgrad: standard output: No space left on device\n"


@pytest.mark.parametrize(("words", "message"), WORDS, ids=[words for words, _ in WORDS])
def test_bad_words(refused, words, message):
    assert message in refused(*words.split())


def broken(folder, name, content):
    """Put other bytes in place of a file of the data set."""
    (folder / name).unlink()
    path = folder / (name + ".gz" if content[:2] == b"\x1f\x8b" else name)
    path.write_bytes(content)


def test_broken_data(refused, digits, tmp_path):
    images, labels, *_ = NAMES
    good_images, good_labels = (digits / images).read_bytes(), (digits / labels).read_bytes()
    packed = gzip.compress(good_images)
    wrong_sum = packed[:-8] + bytes(4) + packed[-4:]
    other_count = good_labels[:4] + (300).to_bytes(4, "big") + good_labels[8:308]
    small = good_images[:8] + (14).to_bytes(4, "big") * 2 + good_images[16 : 16 + 320 * 196]
    for name, content, message in [
        (images, b"\x89PNG" + good_images[4:], "expected an IDX file"),
        (images, packed[: len(packed) // 2], "gzip"),
        (images, wrong_sum, "CRC"),
        (images, good_images[:-1], "expected 250880 bytes"),
        (images, good_labels, "images of 3 dimensions"),
        (images, small, "one size"),
        (labels, other_count, "a label for each of 320 images, got 300"),
        (labels, good_labels[:-1] + b"\x0b", "labels from 0 to 9, got 11"),
    ]:
        folder = tmp_path / "broken"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(digits, folder)
        broken(folder, name, content)
        for data in ("idx", "mnist"):
            assert message in refused("train", "mlp", "--data", data, "--data-dir", folder)
    (tmp_path / "empty").mkdir()
    assert "found neither" in refused("train", "mlp", "--data", "idx", "--data-dir", tmp_path / "empty")
    assert "no such folder" in refused("train", "mlp", "--data", "mnist", "--data-dir", tmp_path / "none")
    assert "is not a folder" in refused("train", "mlp", "--data", "idx", "--data-dir", digits / images)


def test_images_of_another_size(refused, digits, tmp_path):
    shutil.copytree(digits, tmp_path / "small")
    for name in ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"):
        content = (digits / name).read_bytes()
        count = int.from_bytes(content[4:8], "big")
        small = content[:8] + (14).to_bytes(4, "big") * 2 + content[16 : 16 + count * 196]
        (tmp_path / "small" / name).write_bytes(small)
    message = refused("train", "mlp", "--data", "idx", "--data-dir", tmp_path / "small")
    assert "expected images of 28x28, got 14x14" in message


def test_broken_model_files(refused, trained, digits, tmp_path):
    text = tmp_path / "text.safetensors"
    text.write_text("not a model")
    half = tmp_path / "half.safetensors"
    half.write_bytes(trained.read_bytes()[:5000])
    picture = tmp_path / "p.png"
    Image.new("L", (28, 28)).save(picture)
    for path, message in [(text, "expected a safetensors file"), (half, "expected a safetensors file")]:
        assert message in refused("eval", path, "--data", "idx", "--data-dir", digits)
        assert message in refused("predict", path, picture)
        assert message in refused("train", "mlp", "--resume", path)
    assert "got a folder" in refused("eval", tmp_path)


def test_broken_pictures(refused, trained, tmp_path):
    (tmp_path / "text.png").write_text("hello")
    whole = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60)).astype(np.uint8)).save(whole)
    (tmp_path / "half.png").write_bytes(whole.read_bytes()[:400])
    Image.new("L", (50, 50), 255).save(tmp_path / "blank.png")
    for name, message in [
        ("none.png", "no such file"), ("text.png", "expected a picture"), ("half.png", "half.png"),
        ("blank.png", "nothing drawn"), (".", "directory"),
    ]:  # fmt: skip
        assert message in refused("predict", trained, tmp_path / name)


def test_what_cannot_be_written_is_refused_before_training(refused, tmp_path, digits):
    for option in ("--save", "--log"):
        assert "none/m: No such file" in refused("train", "mlp", option, tmp_path / "none" / "m")
        assert "Is a directory" in refused("train", "mlp", option, tmp_path)
        assert "Not a directory" in refused("train", "mlp", option, digits / next(iter(NAMES)) / "m")
    words = ("train", "mlp", "--save", tmp_path / "m", "--log", tmp_path / "m")
    assert "--save and --log name the same file" in refused(*words)
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o500)
        assert "Permission denied" in refused("train", "mlp", "--save", tmp_path / "closed" / "m")
    assert not (tmp_path / "m").exists()


def test_a_full_disk(refused, tmp_path, digits, monkeypatch):
    path = tmp_path / "m"
    words = ("train", "mlp", "--epochs", "1", "--save", path, "--data", "idx", "--data-dir", digits)
    if Path("/dev/full").exists():
        for option in ("--save", "--log"):
            assert "/dev/full: No space left" in refused(*words, option, "/dev/full")
        path.unlink(missing_ok=True)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tensor.files.os.fsync", full)
    assert f"{path}: No space left" in refused(*words)
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_no_number(refused, tmp_path, digits):
    words = ("train", "mlp", "--lr", "1e30", "--optimizer", "sgd", "--save", tmp_path / "m")
    assert "try a smaller learning rate" in refused(*words, "--data", "idx", "--data-dir", digits)
    assert not (tmp_path / "m").exists()


def test_a_loss_that_is_no_number_is_one_of_the_training(run):
    code, lines, error = run("train", "mlp", "--lr", "1e38")
    assert (code, error) == (2, "liftgrad: the loss of epoch 1 is nan; try a smaller learning rate\n")
    assert any(line.startswith("model ") for line in lines)


def test_a_log_of_other_bytes(refused, trained, tmp_path):
    (tmp_path / "log").write_bytes(b"\xff\xfe{}")
    message = refused("train", "mlp", "--resume", trained, "--log", tmp_path / "log")
    assert f"--log {tmp_path / 'log'}: expected a log to append to, text in UTF-8" in message
    assert (tmp_path / "log").read_bytes() == b"\xff\xfe{}"


# --- the program ----------------------------------------------------------------------------------------


def test_help_and_version(run):
    code, lines, _ = run("--help", data=False)
    assert code == 0
    assert {"train", "eval", "predict", "bench"} <= {line.split()[0] for line in lines if line.strip()}
    assert run(data=False)[1] == lines
    code, lines, _ = run("train", "--help", data=False)
    assert code == 0
    for option in ("--data", "--resume", "--threads", "--log"):
        assert option in "\n".join(lines)
    code, lines, _ = run("--version", data=False)
    assert (code, len(lines)) == (0, 1)


def test_help_imports_nothing_heavy():
    program = "import sys, liftgrad; liftgrad.main(['--help']); print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    for module in ("numpy", "numba", "tensor", "kernels", "micro", "PIL", "rich"):
        assert f"'{module}'" not in done.stdout


def test_a_reader_that_goes_away(digits):
    process = start("train", "mlp", "--epochs", "2", digits=digits)
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1
    assert error == ""


def wait_for(process, word):
    """Read the process's lines until one begins with `word`."""
    for line in process.stdout:
        if line.startswith(word):
            return
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize(
    ("number", "pause"),
    [(signal.SIGINT, None), (signal.SIGTERM, None), (signal.SIGINT, 0.0), (signal.SIGINT, 0.003)],
)
def test_ctrl_c_keeps_what_was_learned(digits, tmp_path, run, number, pause):
    words = ("train", "mlp", "--save", tmp_path / "m", "--seed", "2", "--batch-size", "8")
    process = start(*words, "--epochs", "100000", digits=digits)
    wait_for(process, "epoch")
    time.sleep(0.05)
    process.send_signal(number)
    if pause is not None:  # an impatient second and third one, which must not harm what is saved
        for _ in range(2):
            time.sleep(pause)
            process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert re.fullmatch(r"liftgrad: stopped after .*; saved to .*, and --resume .* goes on\n", error)
    epoch = int(re.search(r"after (\d+) epoch", error)[1])

    # whatever batch it was: to go on is as if it had never stopped
    target = ("--epochs", epoch + 2)
    assert run("train", "mlp", *target, "--save", tmp_path / "m", "--resume", tmp_path / "m")[0] == 0
    assert run(*words[:2], *words[4:], *target, "--save", tmp_path / "whole")[0] == 0
    assert digest(tmp_path / "m") == digest(tmp_path / "whole")


def test_ctrl_c_before_the_training(tmp_path, digits, monkeypatch):
    monkeypatch.setenv("LIFTGRAD_CACHE", str(tmp_path / "empty"))  # so that kernels are compiled for seconds
    process = start("train", "mlp", "--save", tmp_path / "m", digits=digits)
    wait_for(process, "data")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "liftgrad: interrupted\n")
    assert not (tmp_path / "m").exists()


def test_a_kill_never_leaves_half_a_file(tmp_path, digits, run):
    path, log = tmp_path / "m", tmp_path / "log"
    assert run("train", "mlp", "--epochs", "1", "--save", path, "--log", log)[0] == 0
    for delay in (0.0, 0.013, 0.031):
        process = start(
            "train", "mlp", "--epochs", "100000", "--save", path, "--log", log, "--resume", digits=digits
        )  # each short epoch saves
        wait_for(process, "epoch")
        time.sleep(delay)
        process.kill()
        process.communicate()
        assert "1.weight" in load_file(path)
        assert [json.loads(line) for line in log.read_text().splitlines()]
        assert run("eval", path, "-q")[0] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are a thing of Unix")
@pytest.mark.parametrize("terminal", ["wide", "narrow", "dumb"])
def test_a_terminal_shows_a_bar(digits, terminal):
    import pty

    ours, theirs = pty.openpty()
    process = start(
        "train", "mlp", "--epochs", "400", digits=digits, stdout=theirs, stderr=theirs, stdin=theirs,
        env={"wide": None, "narrow": {"COLUMNS": "50"}, "dumb": {"TERM": "dumb"}}[terminal],
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    if terminal == "dumb":
        assert shown.decode() == text
        assert " left" not in text
    else:
        more = r"accuracy [\d.]+%  [\d,]+ images/s  " if terminal == "wide" else ""
        assert re.search(rf"epoch \d+/400 .*loss \d\.\d{{4}}  {more}\d+:\d\d left", text)
        assert "━" in text
    assert accuracy(text.split("\r\n")[-2].strip())


@pytest.fixture
def quick(monkeypatch):
    """Let the bench measure next to nothing, and find no peers."""
    from tensor.bench import measure

    timing = measure.Timing(blocks=2, fewest=1, block=1e-4, limit=0.1, pause=0.0, starts=1, memory_steps=1)
    monkeypatch.setattr(measure, "TIMING", timing)
    monkeypatch.setattr(measure, "is_installed", lambda engine: False)
    return measure


def test_bench(run, quick, tmp_path):
    path = tmp_path / "found.json"
    code, lines, error = run("bench", "--only", "mlp,scalar", "--threads", "1", "--json", path, data=False)
    assert (code, error) == (0, "")
    text = "\n".join(lines)
    assert re.search(r"1 thread for each engine, ours by \w+", text)
    assert re.search(r"step of 784-128-10, batch 64, Adam +[\d.,]+ (us|ms) +- +- +\d+%", text)
    assert "PyTorch is not installed, so nothing is compared with it: pip install torch" in lines
    found = json.loads(path.read_text())
    assert found["threads"] == 1
    assert [result["suite"] for result in found["results"]] == ["mlp", "mlp", "scalar"]
    assert all(result["ours"]["median"] > 0.0 for result in found["results"])


@pytest.mark.parametrize("words", [("--json",), ("--json", "-"), ("--json", "--threads", "1")])
def test_bench_prints_json(run, quick, words):
    code, lines, error = run("bench", "--only", "scalar", *words, data=False)
    assert (code, error, len(lines)) == (0, "", 1)
    assert json.loads(lines[0])["results"][0]["work"].startswith("moons step")


def test_bench_with_engines_that_disagree(run, quick, monkeypatch):
    def measure_work(self, work):
        yield quick.Result(work.suite, work.name, "torch", [1.0], [2.0], same=False, note="they disagree")

    monkeypatch.setattr(quick.Run, "measure_work", measure_work)
    code, lines, error = run("bench", "--only", "mlp", data=False)
    assert code == 1
    assert error == "liftgrad: bench: not everything could be compared; see above\n"
    assert any(line.split()[-4:] == ["2.00", "s", "PyTorch", "-"] for line in lines)  # no ratio
    assert lines[-1].endswith(": they disagree")


def test_suites_may_be_named_with_spaces(run, quick, monkeypatch):
    asked = []
    monkeypatch.setattr(quick.Run, "measure", lambda self, suites, tell: asked.append(suites) or [])
    for only in ("mlp, cnn", "mlp,cnn,", " mlp,,cnn , mlp"):
        assert run("bench", "--only", only, data=False)[0] == 0
    assert asked == [["mlp", "cnn"]] * 3


def test_what_help_names_is_what_there_is(run):
    from tensor import bench, models
    from tensor.bench import gpu
    from viz import plotting

    assert liftgrad.OF_A_MODEL == plotting.OF_A_MODEL
    assert liftgrad.SUITES == bench.SUITES
    assert liftgrad.GPU_SUITES == gpu.SUITES
    assert liftgrad.DATA == models.DATA
    text = " ".join(" ".join(run("train", "--help", data=False)[1]).split())
    assert ", ".join(models.MODELS) + "; on scalars: " + ", ".join(liftgrad.SCALAR_MODELS) in text


@pytest.mark.parametrize("suites", ["mlp,cnn,startup", "startup"])
def test_ctrl_c_ends_the_bench(suites):
    process = start("bench", "--only", suites, start_new_session=True)
    time.sleep(2.0)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all processes of the group hear of it
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "liftgrad: interrupted\n")


def test_bench_on_a_gpu_that_is_not_there(refused, monkeypatch):
    from tensor import devices, session

    missing: list[str | None] = ["the NVIDIA driver finds no GPU"]
    for module in (devices, session):
        monkeypatch.setattr(module, "missing_for_cuda", lambda: missing[0])
    for words in ((), ("--only", "launch,mlp")):
        assert refused("bench", "--device", "cuda", *words) == (
            "liftgrad: --device cuda: the NVIDIA driver finds no GPU; `--only launch` measures what the host "
            "does, without a GPU\n"
        )
    for name in ("cuda:x", "cuda:"):
        said = f"liftgrad: --device {name}: known are cpu and cuda\n"
        assert refused("bench", "--device", name, "--only", "launch") == said
    missing[0] = None
    assert "goes with a bench of the CPU" in refused("bench", "--device", "cuda", "--threads", "2")


def test_bench_refuses_a_place_that_cannot_be_written(refused, tmp_path):
    assert "No such file" in refused("bench", "--json", tmp_path / "none" / "f")
