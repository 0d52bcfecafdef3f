"""The command line: `liftgrad train mlp`, `eval`, `predict`, `bench`.

Parses, asks the floors below, and prints. What a command needs is imported within it, so that `--help` and a
mistyped option answer at once. Bad input is one line on stderr and exit code 2; Ctrl-C is exit code 130.
"""

import errno
import json
import math
import os
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tensor.data.split import Split
    from tensor.serialization import SavedModel
    from tensor.training import Epoch, Plan, Position, Score

SCALAR_MODELS = ("perceptron", "moons")
BAD_INPUT = 2

app = typer.Typer(
    name="liftgrad", add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]},
    help="A scalar autograd engine and the tensor engine it grows into.",
)  # fmt: skip


class Refused(ValueError):
    """What the user asked for cannot be done; the text is the one line that is shown."""


class Stopped(BaseException):
    """Ctrl-C. Not a KeyboardInterrupt, of which typer makes an exit code before it reaches `main`."""


DATA = ("digits", "mnist", "idx")
PATHS = ("--data-dir", "--save", "--resume", "--log")
OPTIMIZERS = ("adam", "adamw", "sgd")
LARGEST_COUNT = 2**31 - 1  # as tensor.training's, which is not imported before it is needed

ModelFile = Annotated[Path, typer.Argument(metavar="FILE", help="A model that `train --save` wrote.")]
DataOption = Annotated[
    str | None,
    typer.Option(
        metavar="digits|mnist|idx",
        help="Built-in digits, MNIST (found or fetched), or files of its form.",
        show_default="digits",
    ),
]
DataDir = Annotated[
    Path | None, typer.Option(metavar="DIR", help="The folder of the IDX files, gzipped or not (mnist, idx).")
]
Threads = Annotated[
    int | None, typer.Option(metavar="N", help="Threads to compute with.", show_default="all cores")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the last line only.")]


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(f"liftgrad {_version()}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("liftgrad")
    except PackageNotFoundError:
        return "(not installed)"


# --- train ---------------------------------------------------------------------------------------------


@app.command()
def train(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="mlp, mlp-deep; on scalars: perceptron, moons.")
    ],
    data: DataOption = None,
    data_dir: DataDir = None,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", help="How often to go through the data.", show_default="by model"),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", help="Images a step.", show_default="64")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(metavar="RATE", help="Learning rate.", show_default="by optimizer")
    ] = None,
    lr_decay: Annotated[
        float | None,
        typer.Option(
            metavar="PART", help="Each epoch's learning rate as a part of the last one's.", show_default="0.6"
        ),
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(metavar="adam|adamw|sgd", help="How to step.", show_default="adam")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="The same seed gives the same bits.", show_default="0"),
    ] = None,
    threads: Threads = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the model here, after each epoch and on Ctrl-C.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="[FILE]",
            help="Go on from this file (alone: from the file of --save) as if never interrupted.",
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a JSON line an epoch; appended to with --resume."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a model. The last line printed is its test accuracy."""
    given = {
        "--data": data, "--data-dir": data_dir, "--batch-size": batch_size, "--lr-decay": lr_decay,
        "--optimizer": optimizer, "--threads": threads, "--save": save, "--resume": resume,
    }  # fmt: skip
    _check_choice("--data", data, DATA)
    _check_choice("--optimizer", optimizer, OPTIMIZERS)
    for name, count in (("--epochs", epochs), ("--batch-size", batch_size), ("--threads", threads)):
        _check_number(name, count, 1, LARGEST_COUNT)
    _check_number("--seed", seed, 0, 2**64 - 1)
    _check_number("--lr", lr, 0.0)
    _check_number("--lr-decay", lr_decay, 0.0, 1.0)
    if model in SCALAR_MODELS:
        allowed = {"--batch-size"} if model == "moons" else set()
        for name, value in given.items():
            if value is not None and name not in allowed:
                raise Refused(f"{model} trains on scalars, on points of its own: leave out {name}")
        _check_outputs(log=log)
        _train_on_scalars(model, epochs, batch_size, lr, seed or 0, Log(log, False), Screen(quiet))
        return

    from tensor.models import MODELS, unknown_model

    if model not in MODELS:
        raise Refused(unknown_model(model, [*MODELS, *SCALAR_MODELS]))
    if resume == Path(_SAME_AS_SAVE):
        if save is None:
            raise Refused("--resume without a file goes on from the file of --save: name one of them")
        resume = save
    _check_outputs(save=save, log=log)
    wanted = {
        "epochs": epochs, "batch_size": batch_size, "lr": lr, "lr_decay": lr_decay, "seed": seed,
        "optimizer": optimizer,
    }  # fmt: skip
    session = Session(model, wanted, data, data_dir, threads, resume, Screen(quiet))
    session.train(save, Log(log, resume is not None))


class Session:
    """One training run from the command line: what it trains, with what, and where it stands."""

    def __init__(
        self,
        name: str,
        wanted: dict[str, Any],
        data: str | None,
        data_dir: Path | None,
        threads: int | None,
        resume: Path | None,
        screen: "Screen",
    ) -> None:
        self.name, self.screen = name, screen
        self.saved = _read_to_resume(resume, name, wanted, data) if resume else None
        self.plan, self.position = _plan(name, wanted, self.saved)
        _set_threads(threads)
        self.data = data or (self.saved.data if self.saved else "digits")
        self.split = _load_data(self.data, data_dir, screen)
        _describe_data(self.split, screen)
        self.learned_from = self.split.fingerprint()
        if self.saved is not None and self.saved.learned_from not in (None, self.learned_from):
            raise Refused(f"{resume}: was trained on other images; --resume goes on with the same ones")
        batches = math.ceil(len(self.split.train_images) / self.plan.batch_size)
        done, seen = self.position.batch, self.position.seen
        if done and (
            done > batches or seen != min(done * self.plan.batch_size, len(self.split.train_images))
        ):
            raise Refused(f"{resume}: stopped within an epoch of other data; use the data it was trained on")
        self._prepare()

    def _prepare(self) -> None:
        import tensor
        from kernels import cpu
        from tensor import models, training

        plan, split = self.plan, self.split
        self.images, self.test_images = _normalize(split.train_images), _normalize(split.test_images)
        self.batches = math.ceil(len(self.images) / plan.batch_size)
        with self.screen.waiting("preparing the kernels"):
            training.warm_up(
                lambda: models.build(self.name),
                plan,
                self.images.shape[1:],
                len(self.images),
                len(self.test_images),
            )
        tensor.manual_seed(plan.seed)
        self.model = models.build(self.name)
        self.optimizer = training.make_optimizer(self.model, plan.optimizer, plan.lr)
        if self.saved is not None:
            self.saved.restore(self.model, self.optimizer)
        title, count = models.MODELS[self.name].title, models.count_parameters(self.model)
        self.screen.note("model", f"{self.name}, {title}: {count:,} parameters")
        rate = f"{plan.optimizer}, learning rate {plan.lr:g} (x {plan.lr_decay:g} an epoch)"
        self.screen.note("training", f"{rate}, batches of {plan.batch_size}, seed {plan.seed}")
        _describe_engine(self.screen)
        self.facts = {
            "liftgrad": _version(), "model": self.name, "parameters": count, "data": split.name,
            "train_images": len(self.images), "test_images": len(self.test_images), **vars(plan),
            "threads": cpu.get_num_threads(), "threading_layer": cpu.threading_layer,
            "compile_seconds": round(cpu.compile_seconds(), 3),
        }  # fmt: skip

    def train(self, save: Path | None, log: "Log") -> None:
        """Train to the end of the plan; on Ctrl-C keep what was learned, and raise Stopped."""
        from tensor import training

        plan, position = self.plan, self.position
        if position.epoch or position.batch:
            self.screen.note("resumed", f"after {self._where()}")
        log.add("resume" if self.saved else "start", **self.facts)
        score: Score | None = None
        clock = Clock()

        def on_batch(position: "Position") -> None:
            clock.images += min(plan.batch_size, len(self.images) - (position.batch - 1) * plan.batch_size)
            bar.update(position, clock)
            interruption.check()

        def on_epoch(done: "Epoch") -> None:
            nonlocal score
            with clock.paused():
                score = training.evaluate(self.model, self.test_images, self.split.test_labels)
                self._save(save)
                log.add(
                    "epoch", epoch=done.epoch, loss=done.loss, accuracy=done.accuracy, test_loss=score.loss,
                    test_accuracy=score.accuracy, lr=done.lr, seconds=round(clock.lap(), 3),
                    images_per_second=round(clock.rate),
                )  # fmt: skip
            bar.finish_epoch(done, score, clock)
            interruption.check()

        try:
            with interruption.held_back(), self.screen.bar(plan.epochs, self.batches) as bar:
                training.fit(
                    self.model, self.optimizer, self.images, self.split.train_labels, plan, position,
                    on_batch, on_epoch,
                )  # fmt: skip
        except Stopped:
            interruption.end()
            self._save(save)
            log.add("stop", epoch=position.epoch, batch=position.batch)
            kept = f"; saved to {save}, and --resume {save} goes on" if save else "; not saved (no --save)"
            raise Stopped(f"stopped after {self._where()}{kept}") from None
        if save is not None:
            self.screen.note("saved", str(save))
        if score is not None:
            self.screen.last(score.accuracy)

    def _where(self) -> str:
        """Say where the training stands."""
        batches = f"{self.position.batch} of {self.batches} batches"
        if not self.position.batch:
            return _epochs(self.position.epoch)
        return f"{_epochs(self.position.epoch)} and {batches}" if self.position.epoch else batches

    def _save(self, path: Path | None) -> None:
        if path is not None:
            from tensor.serialization import save_model

            with naming(path):
                save_model(
                    path, self.model, self.name, self.data, self.plan, self.position, self.optimizer,
                    self.learned_from,
                )  # fmt: skip


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' * (count != 1)}"


def _read_to_resume(path: Path, name: str, wanted: dict[str, Any], data: str | None) -> "SavedModel":
    """Read the file, and refuse options that contradict it: to go on as before is to change nothing."""
    from tensor.serialization import read_model

    saved = read_model(path)
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


def _plan(name: str, wanted: dict[str, Any], saved: "SavedModel | None") -> "tuple[Plan, Position]":
    from tensor.models import MODELS
    from tensor.training import OPTIMIZERS, Plan, Position

    given = {key: value for key, value in wanted.items() if value is not None}
    if saved is None:
        recipe = MODELS[name]
        optimizer = given.get("optimizer", recipe.optimizer)
        defaults = {
            "epochs": recipe.epochs, "batch_size": recipe.batch_size, "optimizer": optimizer,
            "lr": OPTIMIZERS[optimizer][1], "lr_decay": recipe.lr_decay,
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


def _train_on_scalars(
    name: str,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    seed: int,
    log: "Log",
    screen: "Screen",
) -> None:
    from micro import train as scalars
    from tensor.data import points as generators

    # the same points whatever the seed, as with the digits: it is for the weights and the order
    points, labels = generators.moons(200) if name == "moons" else generators.separable(500)
    test_points, test_labels = points[-100:], labels[-100:]
    points, labels = points[:-100], labels[:-100]
    settings: dict[str, Any] = {"epochs": epochs, "lr": lr, "batch_size": batch_size}
    settings = {key: value for key, value in settings.items() if value is not None}
    screen.note("data", f"{name}: {len(points)} points to train on, {len(test_points)} to test on")
    screen.note("engine", "micro: scalars, one at a time, in Python")
    log.add("start", liftgrad=_version(), model=name, seed=seed, **settings)
    started = time.perf_counter()

    def on_epoch(epoch: int, loss: float, accuracy: float) -> None:
        seconds = time.perf_counter() - started
        log.add("epoch", epoch=epoch, loss=loss, accuracy=accuracy, seconds=round(seconds, 3))
        screen.line(f"epoch {epoch:<3d} loss {loss:.4f}  accuracy {accuracy:.1%}  {seconds:.1f} s")

    fit = scalars.train_moons if name == "moons" else scalars.train_perceptron
    model = fit(points, labels, seed=seed, on_epoch=on_epoch, **settings)
    accuracy = scalars.accuracy(model, test_points, test_labels)
    screen.note("model", f"{name}: {len(model.parameters()):,} parameters")
    screen.line(scalars.text_boundary(lambda x, y: scalars.predict(model, x, y), test_points, test_labels))
    screen.last(accuracy)


# --- eval, predict, bench ------------------------------------------------------------------------------


@app.command("eval")
def evaluate(
    file: ModelFile,
    data: DataOption = None,
    data_dir: DataDir = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Measure a saved model on test images; by default on those of the data it was trained on."""
    _check_choice("--data", data, DATA)
    _check_number("--threads", threads, 1)
    from tensor.serialization import load_model
    from tensor.training import evaluate as measure

    screen = Screen(quiet)
    model, saved = load_model(file)
    _set_threads(threads)
    split = _load_data(data or saved.data or "digits", data_dir, screen)
    screen.note("model", f"{file}: {saved.name}, trained on {saved.data or 'unknown data'}")
    _describe_data(split, screen, testing=True)
    score = measure(model, _normalize(split.test_images), split.test_labels)
    _describe_engine(screen)
    for label, (right, everything) in enumerate(score.by_label):
        if everything:
            screen.line(f"  {label}  {right / everything:7.2%}  {right:,} of {everything:,}")
    screen.note("loss", f"{score.loss:.4f}")
    screen.last(score.accuracy)


@app.command()
def predict(
    file: ModelFile,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture of one digit: PNG, JPEG, ...")],
) -> None:
    """Print the ten probabilities of what digit a picture shows. It is converted as MNIST's were."""
    import tensor
    from tensor.data.picture import read_digit
    from tensor.serialization import load_model

    model, _ = load_model(file)
    digit = read_digit(image)
    model.eval()
    with tensor.no_grad():
        logits = model(tensor.from_numpy(_normalize(digit[None])))
        probabilities = tensor.softmax(logits, dim=1)[0].tolist()
    screen = Screen(False)
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    for label, probability in enumerate(probabilities):
        bar = _bar(probability, 40)
        screen.line(f"{label}  {probability:7.2%}  {bar}".rstrip(), style="bold" if label == best else "")


def _bar(part: float, width: int) -> str:
    """Draw a bar of `part` of the width in eighths of a character, or in # where those cannot be printed."""
    try:
        "█▏".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#" * round(part * width)
    full, rest = divmod(round(part * width * 8), 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


@app.command()
def bench(
    only: Annotated[
        str | None, typer.Option(metavar="NAME", help="One suite: scalar or mlp.", show_default="all")
    ] = None,
    threads: Threads = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Measure this engine beside the peers that are installed, in turns, in one run."""
    from micro.bench import bench_moons
    from tensor import bench as suites

    names = ["scalar", *suites.SUITES]
    _check_choice("--only", only, names)
    _check_number("--threads", threads, 1)
    _set_threads(threads)
    screen = Screen(as_json)
    screen.note("machine", suites.describe_machine())
    results: list[suites.Result] = []
    for name in names if only is None else [only]:
        with screen.waiting(f"measuring: {name}"):
            if name == "scalar":
                moons = bench_moons()
                results += suites.scalar_result(moons.ours, moons.micrograd)
            else:
                results += suites.SUITES[name]()
    if as_json:
        print(json.dumps({"machine": suites.describe_machine(), "results": [r.as_dict() for r in results]}))
        return
    for line in suites.table(results):
        screen.line(line)


# --- what the commands share ---------------------------------------------------------------------------


def _check_choice(option: str, value: str | None, known: Iterable[str]) -> None:
    from difflib import get_close_matches

    known = list(known)
    if value is not None and value not in known:
        near = get_close_matches(value, known, 1, cutoff=0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise Refused(f"{option} {value}: {hint}known are {', '.join(known)}")


def _check_number(option: str, value: float | None, low: float, high: float = math.inf) -> None:
    """Refuse a number below `low` or above `high`; a float must be finite, and above `low`."""
    if value is None:
        return
    inside = (
        low < value <= high and math.isfinite(value) if isinstance(value, float) else low <= value <= high
    )
    if not inside:
        if isinstance(value, float) and not math.isfinite(value):
            raise Refused(f"{option} {value}: expected a finite number")
        least = f"above {low:g}" if isinstance(value, float) else f"at least {low}"
        most = "" if high == math.inf else f" and at most {high}"
        raise Refused(f"{option} {value}: expected a number {least}{most}")


def _check_outputs(**paths: Path | None) -> None:
    """Refuse now what could not be written later, before anything is learned."""
    from tensor.files import check_writable

    given = {name: path for name, path in paths.items() if path is not None}
    for path in given.values():
        check_writable(path)
    if len({os.path.realpath(path) for path in given.values()}) < len(given):
        raise Refused("--save and --log name the same file; give each its own")


def _set_threads(threads: int | None) -> None:
    from kernels import cpu

    if threads is not None:
        if threads > cpu.available_threads():
            raise Refused(f"--threads {threads}: this process has {cpu.available_threads()}")
        cpu.set_num_threads(threads)


def _load_data(name: str, data_dir: Path | None, screen: "Screen") -> "Split":
    from tensor.data import digits, idx, mnist

    if name == "digits":
        if data_dir is not None:
            raise Refused("--data-dir: the digits are built in; it goes with --data mnist or --data idx")
        with screen.counting("drawing the built-in digits, once", "digits") as progress:
            return digits.load(progress)
    if name == "mnist":
        with screen.counting("fetching MNIST, once", "bytes") as progress:
            return mnist.load(data_dir, progress)
    if name != "idx":
        raise Refused(f"the model file names the data {name!r}; known are {', '.join(DATA)}")
    if data_dir is None:
        raise Refused("--data idx: name the folder of the files with --data-dir")
    return idx.load_directory(data_dir)


def _normalize(images: Any) -> Any:
    from tensor.models import normalize

    try:
        return normalize(images)
    except ValueError as error:
        raise Refused(str(error)) from None


def _describe_data(split: "Split", screen: "Screen", testing: bool = False) -> None:
    names = {"digits": "built-in digits", "mnist": "MNIST", "idx": "IDX files"}
    training = "" if testing else f"{len(split.train_images):,} to train on, "
    screen.note(
        "data", f"{names.get(split.name, split.name)}: {training}{len(split.test_images):,} to test on"
    )


def _describe_engine(screen: "Screen") -> None:
    from kernels import cpu

    threads = cpu.get_num_threads()
    compiled = (
        f"kernels compiled in {cpu.compile_seconds():.1f} s" if cpu.compile_seconds() else "kernels cached"
    )
    screen.note("engine", f"{threads} thread{'s' * (threads > 1)} ({cpu.threading_layer}), {compiled}")


class Clock:
    """Time spent training, without the pauses to measure and to save."""

    WINDOW = 10.0

    def __init__(self) -> None:
        self.images = 0
        self._start = self._lap = time.perf_counter()
        self._recent: deque[tuple[float, int]] = deque([(0.0, 0)])

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / max(self.seconds, 1e-9)

    @property
    def recent_rate(self) -> float:
        """Images a second of late: since about WINDOW seconds before the last call."""
        now = (self.seconds, self.images)
        while len(self._recent) > 1 and self._recent[1][0] < now[0] - self.WINDOW:
            self._recent.popleft()
        self._recent.append(now)
        then = self._recent[0]
        return (now[1] - then[1]) / max(now[0] - then[0], 1e-9)

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        now = time.perf_counter()
        passed, self._lap = now - self._lap, now
        return passed

    @contextmanager
    def paused(self) -> Iterator[None]:
        before = time.perf_counter()
        yield
        self._start += time.perf_counter() - before


class Interruption:
    """Notes Ctrl-C (and the system's request to end), which otherwise may come at any instant and get lost.

    Lost: Numba's compiler, interrupted, fails with errors of its own. While `gentle`, it is noted only, so
    that no step of the training is left half done. until_exit: this is the process's last work, which
    those that come while it ends do not disturb.
    """

    signal = 0
    gentle = False

    def __init__(self, until_exit: bool = False) -> None:
        self._until_exit, self._ending = until_exit, False

    def __enter__(self) -> "Interruption":
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if not (self._until_exit and self._ending):
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        if self._ending:
            return
        self.signal = self.signal or number
        if not self.gentle:
            # Objects of the compiler that are only half made complain on their way out.
            sys.unraisablehook = lambda _: None
            raise Stopped

    def end(self) -> None:
        """Ignore those that come from now on: what is saved while ending must be saved whole."""
        self._ending = True
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Note it only, within the block; `check` raises it."""
        self.gentle = True
        try:
            yield
        finally:
            self.gentle = False

    def check(self) -> None:
        """Raise Stopped if one has been noted."""
        if self.signal:
            self.end()
            raise Stopped

    @property
    def code(self) -> int:
        """The exit code that a shell expects: 130 for Ctrl-C."""
        return 128 + (self.signal or signal.SIGINT)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the disk say which file it was about."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, error.filename or str(path)) from None


class Log:
    """A file of JSON lines, written anew as a whole with each line: a kill leaves whole lines."""

    def __init__(self, path: Path | None, go_on: bool) -> None:
        self._path = path
        self._text = ""
        if path is not None and go_on and path.is_file():
            self._text = path.read_text(encoding="utf-8")
            if self._text and not self._text.endswith("\n"):
                self._text += "\n"

    def add(self, event: str, **entries: Any) -> None:
        """Write a line about an event; numbers that JSON has not (nan, inf) become null."""
        if self._path is None:
            return
        from tensor.files import atomic_write

        entries = {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in entries.items()
        }
        line = json.dumps({"event": event, **entries}) + "\n"
        if self._path.exists() and not self._path.is_file():  # a pipe or a device takes the line alone
            self._text = ""
        self._text += line
        with naming(self._path), atomic_write(self._path, "w") as file:
            file.write(self._text)


class Screen:
    """Prints: with colours and moving bars on a terminal, plain lines elsewhere, only the end when quiet."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.console: Any = None
        if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            from rich.console import Console

            self.console = Console(highlight=False)

    def line(self, text: str, style: str = "") -> None:
        """Print a line, unless quiet."""
        if not self.quiet:
            self._print(text, style)

    def note(self, label: str, text: str) -> None:
        """Print what something is."""
        if self.console is not None and not self.quiet:
            from rich.text import Text

            self.console.print(Text.assemble((f"{label:9s} ", "cyan"), text))
        else:
            self.line(f"{label:9s} {text}")

    def last(self, accuracy: float) -> None:
        """Print the last line: the test accuracy."""
        self._print(f"test accuracy: {100.0 * accuracy:.2f}%", "bold green")

    def _print(self, text: str, style: str) -> None:
        if self.console is None:
            print(text, flush=True)
        else:
            self.console.print(text, style=style or None, markup=False, soft_wrap=True)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that something is being done."""
        if self.console is None or self.quiet:
            yield
        else:
            with self.console.status(what):
                yield

    @contextmanager
    def counting(self, what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        """Show progress(done, total), once it is called."""
        if self.quiet:
            yield lambda done, total: None
        elif self.console is None:
            told: list[str] = []

            def tell(done: int, total: int) -> None:
                if not told:
                    told.append(what)
                    self.line(f"{what}: {total:,} {unit} ...")

            yield tell
        else:
            from rich import progress as rich

            columns = [rich.TextColumn("{task.description}"), rich.BarColumn(), rich.TaskProgressColumn()]
            columns += [rich.DownloadColumn()] if unit == "bytes" else [rich.MofNCompleteColumn()]
            with rich.Progress(*columns, console=self.console, transient=True) as bars:
                tasks: list[rich.TaskID] = []

                def show(done: int, total: int) -> None:
                    if not tasks:
                        tasks.append(bars.add_task(what))
                    bars.update(tasks[0], completed=done, total=total)

                yield show

    @contextmanager
    def bar(self, epochs: int, batches: int) -> Iterator["Bar"]:
        """Show the training: a live bar on a terminal, a line an epoch in any case."""
        bar = Bar(self, epochs, batches)
        if self.console is not None and not self.quiet:
            from rich import progress as rich

            text = "{task.fields[text]}"
            columns = [rich.TextColumn("{task.description}"), rich.BarColumn(None), rich.TextColumn(text)]
            with rich.Progress(
                *columns, console=self.console, transient=True, expand=True, auto_refresh=False
            ) as live:
                bar.live, bar.task = live, live.add_task("epoch", total=epochs * batches, text="")
                yield bar
        else:
            yield bar


NARROW = 60
"""Columns of a terminal; with fewer, the moving line says less."""


class Bar:
    """The progress of a training run."""

    live: Any = None
    task: Any = None
    _shown = 0.0

    def __init__(self, screen: Screen, epochs: int, batches: int) -> None:
        self._screen, self._epochs, self._batches = screen, epochs, batches

    def update(self, position: "Position", clock: Clock) -> None:
        """Show where the training stands, ten times a second at most."""
        if self.live is None or (now := time.perf_counter()) - self._shown < 0.1:
            return
        self._shown = now
        done = position.epoch * self._batches + position.batch
        images = position.seen / max(position.batch, 1)
        rate = clock.recent_rate
        left = (self._epochs * self._batches - done) * images / max(rate, 1e-9)
        more = f"accuracy {position.accuracy:.1%}  {rate:,.0f} images/s  "
        if self._screen.console.width < NARROW:  # the bar and the time left are worth more
            more = ""
        self.live.update(
            self.task,
            completed=done,
            description=f"epoch {position.epoch + 1}/{self._epochs}",
            text=f"loss {position.loss:.4f}  {more}{int(left) // 60}:{int(left) % 60:02d} left",
            refresh=True,
        )

    def finish_epoch(self, done: "Epoch", score: "Score", clock: Clock) -> None:
        """Print the epoch's line."""
        width = len(str(self._epochs))
        self._screen.line(
            f"epoch {done.epoch:{width}d}/{self._epochs}  loss {done.loss:.4f}  "
            f"accuracy {done.accuracy:.2%}  test {score.accuracy:.2%}  "
            f"{clock.rate:,.0f} images/s  {clock.seconds:.1f} s"
        )


# --- the way in ----------------------------------------------------------------------------------------

_SAME_AS_SAVE = "-"
interruption = Interruption()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = _complete_resume(sys.argv[1:] if arguments is None else list(arguments))
    if empty := _find_empty_path(words):
        complain(f"{empty}: expected a path, got nothing")
        return BAD_INPUT
    warnings.showwarning = lambda message, *_: complain(f"note: {message}")  # type: ignore[assignment]
    usage_error = typer.BadParameter.__mro__[2]  # click's own, wherever this version of typer keeps it
    global interruption
    with Interruption(until_exit=arguments is None) as interruption:
        try:
            code = app(words, prog_name="liftgrad", standalone_mode=False)
            sys.stdout.flush()
            return code if isinstance(code, int) else 0
        except (Stopped, KeyboardInterrupt, typer.Abort) as error:
            interruption.end()
            complain(str(error) or "interrupted")
            return interruption.code
        except BrokenPipeError:  # the reader has gone, as `| head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except Exception as error:
            if interruption.signal:  # swallowed by what it interrupted, which then failed
                complain("interrupted")
                return interruption.code
            if isinstance(error, usage_error):
                complain(error.format_message())  # type: ignore[attr-defined]
            elif isinstance(error, OSError):
                # what names no file came from printing: files are written through `naming`, `atomic_write`
                printing = error.errno in (errno.ENOSPC, errno.EIO) and "standard output"
                place = error.filename or printing
                complain(f"{place}: {error.strerror}" if place else str(error.strerror or error))
            elif isinstance(error, MemoryError):
                complain("out of memory; smaller batches or fewer images need less")
            elif isinstance(error, _bad_input()):
                complain(str(error))
            else:
                raise
            return BAD_INPUT


def _bad_input() -> tuple[type[Exception], ...]:
    """Return the errors that speak to the user; their modules are loaded if they were raised."""
    names = {
        "tensor.data.idx": "DataError",
        "tensor.serialization": "ModelFileError",
        "tensor.training": "Diverged",
        "micro.train": "Diverged",
    }
    return (Refused, *(getattr(sys.modules[m], name) for m, name in names.items() if m in sys.modules))


def _complete_resume(words: list[str]) -> list[str]:
    """Let `--resume` stand alone: then it means the file of --save."""
    for i, word in enumerate(words):
        if word == "--resume" and (i + 1 == len(words) or words[i + 1].startswith("-")):
            return [*words[: i + 1], _SAME_AS_SAVE, *words[i + 1 :]]
    return words


def _find_empty_path(words: list[str]) -> str | None:
    """Return the first option whose path is empty, which would otherwise be read as the folder here."""
    for word, following in zip(words, [*words, "-"][1:], strict=True):
        option, equals, value = word.partition("=")
        if option in PATHS and (value if equals else following) == "":
            return option
    return None


def complain(text: str) -> None:
    """Print one line on stderr."""
    try:
        sys.stdout.flush()
    except OSError:  # a full disk; what is left would be tried again, and fail again, at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(f"liftgrad: {' '.join(text.split())}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
