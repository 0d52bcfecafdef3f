"""A training run as a user meets it: which data, which plan, going on from a file, and a log of it.

What is printed goes to a `Screen`, which the command line brings. What the user asked for and cannot have
raises `Refused`, with the one line to show.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kernels import cpu
from tensor import models, nn, serialization, training
from tensor.autograd import no_grad
from tensor.clock import Clock
from tensor.creation import from_numpy
from tensor.data import digits, idx, mnist, patterns
from tensor.data.split import Split
from tensor.devices import CPU, cuda_kernels, missing_for_cuda
from tensor.devices import device as Device
from tensor.files import check_writable
from tensor.history import History
from tensor.random import manual_seed
from tensor.runlog import Log, LogError, read_runs
from tensor.serialization import SavedModel
from tensor.softmax import softmax
from tensor.training import Epoch, Plan, Position, Score


class Refused(ValueError):
    """What the user asked for cannot be done; the text is the one line that is shown."""


class Screen(Protocol):
    """Where a run is shown; `viz.terminal.Screen` answers to it."""

    def line(self, text: str, style: str = "") -> None: ...
    def note(self, label: str, text: str) -> None: ...
    def last(self, accuracy: float) -> None: ...
    def waiting(self, what: str) -> AbstractContextManager[None]: ...
    def counting(self, what: str, unit: str) -> AbstractContextManager[Callable[[int, int], None]]: ...
    def bar(self, epochs: int, batches: int) -> AbstractContextManager[Any]: ...


class Session:
    """One training run: what it trains, with what, and where it stands.

    name: of `models.MODELS`. wanted: the fields of `Plan` that the user has chosen; None for the others.
    data: a name of `models.DATA`, by default what the file or the model says. resume: a file to go on from,
    whatever device it was trained on. version: of this program, for the log. device: where to compute, of
    `find_device`. captured: whether to replay the training step as a CUDA graph, for a device that is a GPU.
    """

    def __init__(
        self,
        name: str,
        wanted: dict[str, Any],
        data: str | None,
        data_dir: Path | None,
        threads: int | None,
        resume: Path | None,
        screen: Screen,
        version: str = "",
        device: Device = CPU,
        captured: bool = False,
    ) -> None:
        if captured and device.type != "cuda":
            raise Refused("--capture: replays the training step as a CUDA graph, which needs --device cuda")
        self.device, self.captured = device, captured
        self.name, self.recipe, self.screen = name, models.MODELS[name], screen
        self.saved = _read_to_resume(resume, name, wanted, data) if resume else None
        self.plan, self.position = _plan(name, wanted, self.saved)
        set_threads(threads)
        self.data = data or (self.saved.data if self.saved else self.recipe.inputs.data[0])
        self.split = load_data(self.data, data_dir, name, screen)
        _describe_data(self.split, screen)
        self.learned_from = self.split.fingerprint()
        if self.saved is not None and self.saved.learned_from not in (None, self.learned_from):
            raise Refused(f"{resume}: was trained on other images; --resume goes on with the same ones")
        self.images = _normalize(self.split.train_images, name)
        self.test_images = _normalize(self.split.test_images, name)
        self.batches = math.ceil(len(self.images) / self.plan.batch_size)
        done, seen = self.position.batch, self.position.seen
        if done and (done > self.batches or seen != min(done * self.plan.batch_size, len(self.images))):
            raise Refused(f"{resume}: stopped within an epoch of other data; use the data it was trained on")
        self._prepare(version)

    def _prepare(self, version: str) -> None:
        plan, split, recipe = self.plan, self.split, self.recipe
        with self.screen.waiting("preparing the kernels"):
            training.warm_up(
                recipe.make, plan, self.images.shape[1:], len(self.images), len(self.test_images),
                recipe.test_batch, self.device, self.captured,
            )  # fmt: skip
        manual_seed(plan.seed)
        self.model = models.build(self.name).to(self.device)
        self.optimizer = training.make_optimizer(self.model, plan.optimizer, plan.lr)
        if self.saved is not None:
            self.saved.restore(self.model, self.optimizer)
        self.history = History(self.model, self.batches)
        if self.saved is not None:
            self.history.restore(self.saved)
        count = models.count_parameters(self.model)
        self.screen.note("model", f"{self.name}, {recipe.title}: {count:,} parameters")
        rate = f"{plan.optimizer}, learning rate {plan.lr:g} (x {plan.lr_decay:g} an epoch)"
        self.screen.note("training", f"{rate}, batches of {plan.batch_size}, seed {plan.seed}")
        _describe_engine(self.screen, self.device, self.captured)
        self.facts = {
            "liftgrad": version, "model": self.name, "parameters": count, "data": split.name,
            "train_images": len(self.images), "test_images": len(self.test_images), **vars(plan),
            "device": str(self.device), "captured": self.captured, "threads": cpu.get_num_threads(),
            "threading_layer": cpu.threading_layer, "compile_seconds": round(cpu.compile_seconds(), 3),
        }  # fmt: skip

    def epochs_before(self, log: Path | None) -> list[dict[str, Any]]:
        """Return the figures of the epochs that went before: of the file that is resumed, else of its log."""
        if self.saved is None:
            return []
        if self.saved.history is not None or log is None:
            return self.history.epochs.as_dicts()
        try:
            last = read_runs(log)[-1]
        except LogError:  # a new log, or an odd one: no reason not to train
            return []
        return [entry for entry in last.in_order() if entry["epoch"] <= self.position.epoch]

    def train(self, save: Path | None, log: Log, check: Callable[[], None]) -> None:
        """Train to the end of the plan.

        save: where the model is kept after each epoch. check: called after each batch and each epoch, when
        everything is in a state to be kept; what it raises ends the training there, and `keep` keeps it.
        """
        plan, position = self.plan, self.position
        if position.epoch or position.batch:
            self.screen.note("resumed", f"after {self._where()}")
        log.add("resume" if self.saved else "start", **self.facts)
        score: Score | None = None
        clock = Clock()

        def on_batch(position: Position) -> None:
            clock.images += min(plan.batch_size, len(self.images) - (position.batch - 1) * plan.batch_size)
            self.history.add_step(position.epoch * self.batches + position.batch - 1)
            bar.update(position, clock)
            check()

        def on_epoch(done: Epoch) -> None:
            nonlocal score
            with clock.paused():
                score = training.evaluate(
                    self.model, self.test_images, self.split.test_labels, self.recipe.test_batch
                )
                self.history.add_epoch(done.epoch, done.loss, done.accuracy, score.loss, score.accuracy)
                self._save(save)
                log.add(
                    "epoch", epoch=done.epoch, loss=done.loss, accuracy=done.accuracy, test_loss=score.loss,
                    test_accuracy=score.accuracy, lr=done.lr, seconds=round(clock.lap(), 3),
                    images_per_second=round(clock.rate),
                )  # fmt: skip
            bar.finish_epoch(done, score, clock)
            check()

        with self.screen.bar(plan.epochs, self.batches) as bar:
            training.fit(
                self.model, self.optimizer, self.images, self.split.train_labels, plan, position,
                on_batch, on_epoch, self.captured,
            )  # fmt: skip
        if save is not None:
            self.screen.note("saved", str(save))
        if score is not None:
            self.screen.last(score.accuracy)

    def keep(self, save: Path | None, log: Log) -> str:
        """Keep what was learned before `check` ended the training; return the sentence that says so."""
        self._save(save)
        log.add("stop", epoch=self.position.epoch, batch=self.position.batch)
        kept = f"saved to {save}, and --resume {save} goes on" if save else "not saved (no --save)"
        return f"stopped after {self._where()}; {kept}"

    def _where(self) -> str:
        """Say where the training stands."""
        batches = f"{self.position.batch} of {self.batches} batches"
        if not self.position.batch:
            return _epochs(self.position.epoch)
        return f"{_epochs(self.position.epoch)} and {batches}" if self.position.epoch else batches

    def _save(self, path: Path | None) -> None:
        if path is not None:
            with _naming(path):
                serialization.save_model(
                    path, self.model, self.name, self.data, self.plan, self.position, self.optimizer,
                    self.learned_from, self.history.as_dict(),
                )  # fmt: skip


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' * (count != 1)}"


def _read_to_resume(path: Path, name: str, wanted: dict[str, Any], data: str | None) -> SavedModel:
    """Read the file, and refuse options that contradict it: to go on as before is to change nothing."""
    if not path.exists():
        raise Refused(f"{path}: no such file; `liftgrad train {name} --save {path}` would make one")
    saved = serialization.read_model(path)
    if saved.name != name:
        raise Refused(
            f"{path}: expected a model {name}, got {saved.name}; liftgrad train {saved.name} goes on"
        )
    before = {**vars(saved.training()[0]), "data": saved.data}
    for key, value in {**wanted, "data": data}.items():
        if key != "epochs" and value is not None and value != before[key]:
            option = "--" + key.replace("_", "-")
            raise Refused(
                f"{path}: was trained with {option} {before[key]}, and --resume goes on so: leave it out"
            )
    return saved


def _plan(name: str, wanted: dict[str, Any], saved: SavedModel | None) -> tuple[Plan, Position]:
    given = {key: value for key, value in wanted.items() if value is not None}
    if saved is None:
        recipe = models.MODELS[name]
        optimizer = given.get("optimizer", recipe.optimizer)
        own = recipe.lr if optimizer == recipe.optimizer else None
        defaults = {
            "epochs": recipe.epochs, "batch_size": recipe.batch_size, "optimizer": optimizer,
            "lr": own or training.OPTIMIZERS[optimizer][1], "lr_decay": recipe.lr_decay,
        }  # fmt: skip
        return Plan(**{**defaults, **given}), Position()
    plan, position = saved.training()
    plan.epochs = given.get("epochs", plan.epochs)
    if position.epoch >= plan.epochs:
        raise Refused(
            f"{saved.path}: has been through {_epochs(position.epoch)} already; "
            f"--epochs {position.epoch + 1} or more goes on"
        )
    return plan, position


# --- a saved model ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    """A saved model on a device, and the data to test it on; `images` is what it is shown of those."""

    model: nn.Module
    saved: SavedModel
    recipe: models.Recipe
    split: Split
    images: NDArray[np.float32]


def open_saved(
    file: Path,
    data: str | None,
    data_dir: Path | None,
    screen: Screen,
    device: Device = CPU,
) -> Opened:
    """Return a saved model with the test images of `data`, by default those of what it was trained on."""
    model, saved = serialization.load_model(file)
    recipe = models.MODELS[saved.name]
    split = load_data(data or saved.data or recipe.inputs.data[0], data_dir, saved.name, screen)
    screen.note("model", f"{file}: {saved.name}, trained on {saved.data or 'unknown data'}")
    _describe_data(split, screen, testing=True)
    return Opened(model.to(device), saved, recipe, split, _normalize(split.test_images, saved.name))


def measure(
    file: Path,
    data: str | None,
    data_dir: Path | None,
    threads: int | None,
    screen: Screen,
    device: Device = CPU,
) -> None:
    """Show how a saved model does on the test images of `data`, by default those it was trained on."""
    set_threads(threads)
    opened = open_saved(file, data, data_dir, screen, device)
    recipe = opened.recipe
    score = training.evaluate(opened.model, opened.images, opened.split.test_labels, recipe.test_batch)
    _describe_engine(screen, device)
    width = max(len(label) for label in recipe.inputs.labels)
    for label, (right, everything) in zip(recipe.inputs.labels, score.by_label, strict=False):
        if everything:
            screen.line(f"  {label:{width}}  {right / everything:7.2%}  {right:,} of {everything:,}")
    screen.note("loss", f"{score.loss:.4f}")
    screen.last(score.accuracy)


def load_digit_model(file: Path) -> tuple[nn.Module, SavedModel]:
    """Return a saved model that looks at pictures of digits, in evaluation mode, and what its file says."""
    model, saved = serialization.load_model(file)
    inputs = models.MODELS[saved.name].inputs
    if inputs is not models.DIGITS:
        raise Refused(f"{file}: {saved.name} looks at {inputs.data[0]}, not at pictures of digits")
    return model.eval(), saved


def classify(file: Path, image: Path) -> list[float]:
    """Return the probabilities, label by label, that a saved model gives to a picture of a digit."""
    from tensor.data.picture import read_digit  # brings Pillow, which training can do without

    model, saved = load_digit_model(file)
    digit = read_digit(image)
    with no_grad():
        logits = model(from_numpy(_normalize(digit[None], saved.name)))
        return softmax(logits, dim=1)[0].tolist()


# --- data, threads, files ----------------------------------------------------------------------------------


def load_data(name: str, data_dir: Path | None, model: str, screen: Screen) -> Split:
    """Return the data of that name, drawn or fetched if need be, for a model that must be able to use it."""
    known = models.MODELS[model].inputs.data
    if name not in models.DATA:
        raise Refused(f"the model file names the data {name!r}; known are {', '.join(models.DATA)}")
    if name not in known:
        raise Refused(f"--data {name}: {model} learns from {', '.join(known)}")
    if name in models.BUILT_IN and data_dir is not None:
        raise Refused(f"--data-dir: the {name} are built in; it goes with --data mnist or --data idx")
    if name == "patterns":
        return patterns.load()
    if name == "digits":
        with screen.counting("drawing the built-in digits, once", "digits") as progress:
            return digits.load(progress)
    if name == "mnist":
        with screen.counting("fetching MNIST, once", "bytes") as progress:
            return mnist.load(data_dir, progress)
    if data_dir is None:
        raise Refused("--data idx: name the folder of the files with --data-dir")
    return idx.load_directory(data_dir)


def _normalize(images: NDArray[Any], model: str) -> NDArray[np.float32]:
    try:
        return models.normalize(images, models.MODELS[model].inputs)
    except ValueError as error:
        raise Refused(str(error)) from None


def _describe_data(split: Split, screen: Screen, testing: bool = False) -> None:
    names = {
        "digits": "built-in digits", "mnist": "MNIST", "idx": "IDX files", "patterns": "built-in patterns",
    }  # fmt: skip
    learned = "" if testing else f"{len(split.train_images):,} to train on, "
    screen.note(
        "data", f"{names.get(split.name, split.name)}: {learned}{len(split.test_images):,} to test on"
    )


def find_device(name: str | None) -> Device:
    """Return the device of that name, the CPU by default; Refused, with what is missing, without it."""
    try:
        found = Device(name or "cpu")
    except (RuntimeError, TypeError):
        raise Refused(f"--device {name}: known are cpu and cuda") from None
    missing = missing_for_cuda() if found.type == "cuda" else None
    if missing is not None:
        raise Refused(f"--device {name}: {missing}")
    try:
        found.require()
    except (AssertionError, NotImplementedError):
        raise Refused(f"--device {name}: nothing is computed there; known are cpu and cuda") from None
    except RuntimeError:
        raise Refused(
            f"--device {name}: there is cuda:0, the one GPU that CUDA_VISIBLE_DEVICES chooses"
        ) from None
    return found


def _describe_engine(screen: Screen, device: Device, captured: bool = False) -> None:
    if device.type == "cuda":
        gpu = cuda_kernels().driver
        capability = ".".join(map(str, gpu.capability()))
        steps = ", steps replayed as a CUDA graph" if captured else ""
        screen.note("engine", f"{gpu.name()}, compute capability {capability}{steps}")
        return
    threads = cpu.get_num_threads()
    compiled = (
        f"kernels compiled in {cpu.compile_seconds():.1f} s" if cpu.compile_seconds() else "kernels cached"
    )
    screen.note("engine", f"{threads} thread{'s' * (threads > 1)} ({cpu.threading_layer}), {compiled}")


def set_threads(threads: int | None) -> None:
    """Compute with so many threads; None leaves them as they are."""
    if threads is not None:
        if threads > cpu.available_threads():
            raise Refused(f"--threads {threads}: this process has {cpu.available_threads()}")
        cpu.set_num_threads(threads)


def check_outputs(**paths: Path | None) -> None:
    """Refuse now what could not be written later, before anything is done; named by their options."""
    given = {name: path for name, path in paths.items() if path is not None}
    for path in given.values():
        check_writable(path)
    for (one, path), (other, same) in combinations(given.items(), 2):
        if os.path.realpath(path) == os.path.realpath(same):
            raise Refused(f"--{one} and --{other} name the same file; give each its own")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an error of the disk say which file it was about."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, error.filename or str(path)) from None
