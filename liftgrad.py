"""The command line: `liftgrad train mlp`, `eval`, `predict`, `step`, `demo`, `play`, `bench`.

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
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

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


DATA = ("digits", "mnist", "idx", "patterns")  # as tensor.models', which is not imported before it is needed
PATHS = ("--data-dir", "--save", "--resume", "--log", "--plot", "--json", "--html", "-o", "--output")
# as tensor.bench's
SUITES = ("scalar", "matmul", "conv", "pool", "elementwise", "mlp", "cnn", "tinycnn", "gpt", "startup")
GPU_SUITES = ("copy", "elementwise", "reduction", "matmul", "conv", "mlp", "cnn", "epoch", "launch")
PICTURES = ("svg", "png", "pdf", "dot")  # as viz.render's
ALONE = ("--resume", "--json")  # may stand without a value
OF_A_MODEL = ("filters", "confusion", "mistakes", "flow", "activations")  # as viz.plotting's
WITH_EXPRESSION = ("step", "draw")  # their first argument may begin with a minus
OPTIMIZERS = ("adam", "adamw", "sgd")
MOST_EPOCHS = 100  # that a page has room for, as viz.demos.moons'
LARGEST_COUNT = 2**31 - 1  # as tensor.training's


def _option(metavar: str, help: str, default: str | bool = True, name: str | None = None) -> Any:
    return typer.Option(*filter(None, [name]), metavar=metavar, help=help, show_default=default)


ModelFile = Annotated[Path, typer.Argument(metavar="FILE", help="A model that `train --save` wrote.")]
DataOption = Annotated[
    str | None,
    _option("digits|mnist|idx|patterns", "Built-in digits, MNIST (found or fetched), files of its form, or "
            "built-in patterns.", "by model"),
]  # fmt: skip
DataDir = Annotated[Path | None, _option("DIR", "The folder of the IDX files, gzipped or not (mnist, idx).")]
Threads = Annotated[int | None, _option("N", "Threads to compute with.", "all cores")]
Expression = Annotated[
    str, typer.Argument(metavar="EXPRESSION", help='Such as "x*y + (x**2).relu()": names, numbers, formulas.')
]
Numbers = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME=NUMBER]...", help="The numbers of its names: x=2 y=3.")
]
DeviceOption = Annotated[str | None, _option("cpu|cuda", "Where to compute.", "cpu")]
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
        str,
        typer.Argument(metavar="MODEL", help="mlp, mlp-deep, cnn, tinycnn; on scalars: perceptron, moons."),
    ],
    data: DataOption = None,
    data_dir: DataDir = None,
    epochs: Annotated[int | None, _option("N", "How often to go through the data.", "by model")] = None,
    batch_size: Annotated[int | None, _option("N", "Images a step.", "by model")] = None,
    lr: Annotated[float | None, _option("RATE", "Learning rate.", "by model and optimizer")] = None,
    lr_decay: Annotated[
        float | None, _option("PART", "Each epoch's learning rate as a part of the last one's.", "by model")
    ] = None,
    optimizer: Annotated[str | None, _option("adam|adamw|sgd", "How to step.", "adam")] = None,
    seed: Annotated[int | None, _option("N", "The same seed gives the same bits.", "0")] = None,
    threads: Threads = None,
    device: DeviceOption = None,
    capture: Annotated[
        bool, typer.Option("--capture", help="Replay the training step as a CUDA graph, with --device cuda.")
    ] = False,
    save: Annotated[
        Path | None, _option("FILE", "Keep the model here, after each epoch and on Ctrl-C.")
    ] = None,
    resume: Annotated[
        Path | None,
        _option("[FILE]", "Go on from this file (alone: from the file of --save) as if never interrupted."),
    ] = None,
    log: Annotated[
        Path | None, _option("FILE", "Write a JSON line an epoch; appended to with --resume.")
    ] = None,
    plot: Annotated[
        Path | None, _option("FILE", "Draw loss and accuracy, .svg or .png, anew after each epoch.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a model. The last line printed is its test accuracy."""
    given = {
        "--data": data, "--data-dir": data_dir, "--batch-size": batch_size, "--lr-decay": lr_decay,
        "--optimizer": optimizer, "--threads": threads, "--device": device, "--save": save,
        "--resume": resume, "--capture": capture or None,
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

    if plot is not None:
        from viz.plots import check_output

        check_output(plot, "--plot")
    from tensor.models import MODELS, unknown_model
    from tensor.runlog import Log
    from tensor.session import Session, check_outputs, find_device
    from viz.plotting import drawn_too
    from viz.terminal import Screen

    if model not in MODELS and model not in SCALAR_MODELS:
        raise Refused(unknown_model(model, [*MODELS, *SCALAR_MODELS]))
    screen = Screen(quiet)
    check_outputs(save=save, log=log, plot=plot)
    if plot is not None:
        screen.note("plot", f"{plot}, drawn anew after each epoch")
    if model in SCALAR_MODELS:
        from micro.session import train_on_points
        from tensor.data import points

        settings = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed or 0}
        # the same points whatever the seed, as with the digits: it is for the weights and the order
        drawn = points.moons(200) if model == "moons" else points.separable(500)
        with drawn_too(Log(log, False), plot, model) as lines, interruption.ended_by_stop():
            train_on_points(model, *drawn, settings, screen, lines, _version())
        return
    if resume == Path(_STANDARD):
        if save is None:
            raise Refused("--resume without a file goes on from the file of --save: name one of them")
        resume = save
    wanted = {
        "epochs": epochs, "batch_size": batch_size, "lr": lr, "lr_decay": lr_decay, "seed": seed,
        "optimizer": optimizer,
    }  # fmt: skip
    where = find_device(device)
    written = Log(log, resume is not None)
    session = Session(model, wanted, data, data_dir, threads, resume, screen, _version(), where, capture)
    before = session.epochs_before(log) if plot is not None else []
    with drawn_too(written, plot, model, before) as lines:
        try:
            with interruption.held_back():
                session.train(save, lines, interruption.check)
        except Stopped:
            interruption.end()
            raise Stopped(session.keep(save, lines)) from None


# --- eval, predict, bench ------------------------------------------------------------------------------


@app.command("eval")
def evaluate(
    file: ModelFile,
    data: DataOption = None,
    data_dir: DataDir = None,
    threads: Threads = None,
    device: DeviceOption = None,
    quiet: Quiet = False,
) -> None:
    """Measure a saved model on test images; by default on those of the data it was trained on."""
    _check_choice("--data", data, DATA)
    _check_number("--threads", threads, 1)
    from tensor import session
    from viz.terminal import Screen

    session.measure(file, data, data_dir, threads, Screen(quiet), session.find_device(device))


@app.command()
def predict(
    file: ModelFile,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture of one digit: PNG, JPEG, ...")],
) -> None:
    """Print the ten probabilities of what digit a picture shows. It is converted as MNIST's were."""
    from tensor import session
    from viz.terminal import Screen, draw_bar

    probabilities = session.classify(file, image)
    screen = Screen(False)
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    for label, probability in enumerate(probabilities):
        bar = draw_bar(probability, 40)
        screen.line(f"{label}  {probability:7.2%}  {bar}".rstrip(), style="bold" if label == best else "")


@app.command()
def step(
    expression: Expression,
    numbers: Numbers = None,
    check: Annotated[
        bool, typer.Option("--check", help="Measure each local derivative by finite differences.")
    ] = False,
    html: Annotated[Path | None, _option("FILE", "Write a page that plays the steps; print nothing.")] = None,
) -> None:
    """Go through a forward and a backward pass one step at a time; as a table where there is no terminal."""
    import micro
    from micro.expression import parse, read_names

    stepper = micro.step(parse(expression, read_names(numbers or [])), check=check)
    if html is not None:
        from viz import page

        try:
            page(stepper, html, title=expression.strip())
        except ValueError as error:  # another ending, too many nodes
            raise Refused(str(error)) from None
        print(f"wrote {html}")
        return
    from viz.stepping import play

    play(stepper, expression.strip())


@app.command()
def bench(
    only: Annotated[
        str | None,
        _option("SUITE[,SUITE]", f"Some of {', '.join(SUITES)}; on a GPU of {', '.join(GPU_SUITES)}.", "all"),
    ] = None,
    threads: Threads = None,
    json_file: Annotated[
        Path | None,
        _option("[FILE]", "Write all figures as JSON; - or alone: print them, no table.", name="--json"),
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Measure this engine beside the peers that are installed, in turns, in one run."""
    on_gpu = device is not None and device.partition(":")[0] == "cuda"
    known = GPU_SUITES if on_gpu else SUITES
    suites = list(known)
    if only is not None:
        suites = list(dict.fromkeys(name for word in only.split(",") if (name := word.strip()))) or [""]
    for name in suites:
        _check_choice("--only", name, known)
    _check_number("--threads", threads, 1)
    from tensor.session import check_outputs, set_threads
    from viz.terminal import Screen

    measured: Any
    if on_gpu:
        from tensor.bench import gpu as measured

        if threads is not None:
            raise Refused("--threads: goes with a bench of the CPU; on a GPU the host needs one")
        made = measured.GpuRun(_has_gpu(device, suites == [measured.HOST]))
    else:
        from tensor import bench as measured
        from tensor.session import find_device

        find_device(device)
        made = measured.Run(threads)
    set_threads(threads)
    printed = json_file == Path(_STANDARD)
    check_outputs(json=None if printed else json_file)
    screen = Screen(printed)
    with made as run, screen.following("measuring") as tell:
        results = list(run.measure(suites, tell))
    if printed:
        print(json.dumps(measured.as_dict(run, results)))
    elif json_file is not None:
        measured.write_json(json_file, run, results)
    for line in [*measured.describe_run(run), "", *measured.table(results)]:
        screen.line(line)
    if any(result.failed for result in results):
        complain("bench: not everything could be compared; see above")
        raise typer.Exit(1)


def _has_gpu(device: str | None, host_alone: bool) -> bool:
    """Return whether there is a GPU; refuse to go on without one, unless the host alone is measured."""
    from importlib.util import find_spec

    from tensor.devices import missing_for_cuda
    from tensor.session import find_device

    missing = missing_for_cuda()
    if missing is not None and device in ("cuda", "cuda:0"):
        if not host_alone:
            hint = "`--only launch` measures what the host does, without a GPU"
            raise Refused(f"--device {device}: {missing}; {hint}")
        if find_spec("numba_cuda") is not None:
            return False
    find_device(device)
    return True


# --- plot ----------------------------------------------------------------------------------------------


@app.command()
def plot(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN.jsonl...|WHAT MODEL",
            help=f"Logs of `train --log`; or one of {', '.join(OF_A_MODEL)} and a file of `train --save`.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Draw into FILE, .svg or .png; runs.svg or WHAT.svg else."
        ),
    ] = None,
    data: DataOption = None,
    data_dir: DataDir = None,
    count: Annotated[int | None, _option("N", "How many mistakes.", "20")] = None,
    threads: Threads = None,
    dark: Annotated[bool, typer.Option("--dark", help="For a dark page.")] = False,
) -> None:
    """Draw training runs beside each other, or what a saved model has learned, by matplotlib.

    filters: the weights of its filters. confusion: which labels it takes for which. mistakes: the images it
    gets most wrong. flow: the gradient norms of its layers, over its training. activations: what its layers
    give for test images, their zeros and dead units.
    """
    from tensor.session import check_outputs
    from viz import plotting
    from viz.plots import check_output
    from viz.terminal import Screen

    kind, *files = what if what[0] in OF_A_MODEL else ["runs", *what]
    _check_plot(kind, files, {"--data": data, "--data-dir": data_dir, "--count": count, "--threads": threads})
    path = output or Path(f"{kind}.svg")
    check_output(path)
    if any(path.resolve() == Path(file).resolve() for file in files):
        raise Refused(f"-o {path}: that is what would be drawn; name another file")
    check_outputs(output=path)
    if kind == "runs":
        figure = plotting.draw_runs(files, dark)
    else:
        figure = plotting.draw_model(
            kind, Path(files[0]), Screen(False), data=data, data_dir=data_dir, count=count or 20,
            threads=threads, dark=dark,
        )  # fmt: skip
    plotting.write(figure, path)
    print(f"wrote {path}")


def _check_plot(kind: str, files: Sequence[str], options: dict[str, Any]) -> None:
    """Refuse what does not go together: an option this plot has no use for, two models."""
    if kind != "runs" and len(files) != 1:
        given = "none" if not files else f"{len(files)}: {' '.join(files)}"
        raise Refused(f"plot {kind}: expected one model that `train --save` wrote, got {given}")
    measured = kind in ("confusion", "mistakes", "activations")
    for option, value in options.items():
        if value is not None and not (measured and (option != "--count" or kind == "mistakes")):
            goes = "goes with mistakes" if option == "--count" else "is for what is measured on test images"
            raise Refused(f"plot {'of runs' if kind == 'runs' else kind}: {option} {goes}; leave it out")
    _check_choice("--data", options["--data"], DATA)
    _check_number("--threads", options["--threads"], 1)
    _check_number("--count", options["--count"], 1, 500)


# --- draw, repl ----------------------------------------------------------------------------------------


@app.command()
def draw(
    expression: Expression,
    numbers: Numbers = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Draw into FILE: .svg, .png, .pdf or .dot."),
    ] = None,
    format: Annotated[
        str | None,
        _option("svg|png|pdf|dot", "Print the picture in this form; by default a tree, in a pipe DOT text."),
    ] = None,
    rankdir: Annotated[str | None, _option("LR|RL|TB|BT", "Which way the computation runs.", "LR")] = None,
    derivatives: Annotated[bool, typer.Option("--derivatives", help="Local derivatives on edges.")] = False,
    flow: Annotated[bool, typer.Option("--flow", help="Edges by sign and size of their gradient.")] = False,
    legend: Annotated[bool, typer.Option("--legend", help="A box that says what the forms mean.")] = False,
    collapse: Annotated[bool, typer.Option("--collapse", help="Equal operations in a row as one.")] = False,
    before: Annotated[bool, typer.Option("--before", help="Before the backward pass: no gradients.")] = False,
) -> None:
    """Draw the graph of an expression with its numbers and gradients."""
    _check_choice("--format", format, PICTURES)
    _check_choice("--rankdir", rankdir, ("LR", "RL", "TB", "BT"))
    if before and (derivatives or flow):
        raise Refused("--before leaves out the backward pass, which --derivatives and --flow show: drop one")
    if output is not None and format not in (None, output.suffix.lower().removeprefix(".")):
        raise Refused(f"-o {output}: --format {format} is another form than the name's; drop one of the two")
    from micro.expression import parse, read_names

    root = parse(expression, read_names(numbers or []))
    if not before:
        root.backward()
    from viz import files

    given = {"derivatives": derivatives, "flow": flow, "legend": legend, "collapse": collapse}
    try:
        files.put(root, output, format, rankdir=rankdir or "LR", **given)
    except ValueError as error:  # another ending
        raise Refused(str(error)) from None


@app.command()
def demo(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Which one; all: every one. Without it: list them.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The page; of all, a folder.",
            show_default="NAME.html; of all, site",
        ),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    seed: Annotated[int | None, _option("N", "Of what is drawn at random, where something is.", "0")] = None,
    epochs: Annotated[int | None, _option("N", "How long a network is trained (moons).", "by demo")] = None,
) -> None:
    """Write a page that shows the engine at work, to play in a browser; it needs no network."""
    from viz import pages
    from viz.demos import DEMOS

    _check_number("--seed", seed, 0, 2**64 - 1)
    _check_number("--epochs", epochs, 1, MOST_EPOCHS)
    asked = {"seed": seed, "epochs": epochs}
    given = {option: value for option, value in asked.items() if value is not None}
    if name is None:
        if output is not None or open_it or given:
            raise Refused(f"demo: name one, or all; known are {', '.join(DEMOS)}")
        width = max(map(len, DEMOS), default=0)
        for known in DEMOS.values():
            print(f"{known.name:{width}}  {known.line}")
        return
    _check_choice("demo", name, [*DEMOS, "all"])
    for option in given:
        if not any(option in known.options for known in DEMOS.values() if name in (known.name, "all")):
            raise Refused(f"demo {name} has no --{option}: leave it out")
    page = pages.put_site(output, given) if name == "all" else pages.put_demo(name, output, given)
    if open_it:
        pages.open_in_browser(page)


@app.command()
def play(
    file: ModelFile,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="PAGE", help="The page.", show_default="FILE's name, .html"),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Write a page on which one draws a digit, and the model classifies it while one draws."""
    from viz import pages

    page = pages.put_play(file, output)
    if open_it:
        pages.open_in_browser(page)


@app.command("repl")
def start_repl(
    code: Annotated[str | None, typer.Option("-c", metavar="CODE", help="Run this Python, and end.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Python's own console, not IPython.")] = False,
) -> None:
    """Try things: an IPython, or plain Python, with Value, Tensor, nn, step and draw at hand."""
    from viz import repl

    raise typer.Exit(repl.run(_version(), code, plain))


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
    def ended_by_stop(self) -> Iterator[None]:
        """Let what is written after a Stopped within the block be written whole."""
        try:
            yield
        except Stopped:
            self.end()
            raise

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


# --- the way in ----------------------------------------------------------------------------------------

_STANDARD = "-"  # for an option that stands alone: the file of --save, or standard output
interruption = Interruption()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if sys.stdout is None:  # closed, as by `>&-`
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # a file's name may hold what the terminal's encoding has not: it becomes "?", and no error
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    words = _complete(sys.argv[1:] if arguments is None else list(arguments))
    if empty := _find_empty_path(words):
        complain(f"{empty}: expected a path, got nothing")
        return BAD_INPUT
    warnings.showwarning = lambda message, *_: complain(f"note: {message}")
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
        "kernels.errors": "OutOfMemoryError",
        "tensor.data.idx": "DataError",
        "tensor.measuring": "NotFinite",
        "tensor.runlog": "LogError",
        "tensor.serialization": "ModelFileError",
        "tensor.session": "Refused",
        "tensor.training": "Diverged",
        "micro.train": "Diverged",
        "micro.expression": "ExpressionError",
        "viz.layout": "LayoutError",
        "viz.plots.style": "PlotError",
    }
    return (Refused, *(getattr(sys.modules[m], name) for m, name in names.items() if m in sys.modules))


def _complete(words: list[str]) -> list[str]:
    """Give the options of `ALONE` that stand alone the value `-`; let an expression begin with a minus."""
    completed = []
    if words[:1] and words[0] in WITH_EXPRESSION:
        return [f" {word}" if _is_negative(word) else word for word in words]
    for word, following in zip(words, [*words, "--"][1:], strict=True):
        completed.append(word)
        if word in ALONE and following.startswith("-") and following != _STANDARD:
            completed.append(_STANDARD)
    return completed


def _is_negative(word: str) -> bool:
    """Whether a word is an expression such as -x and no option such as -o."""
    return len(word) > 1 and word[0] == "-" and word[1] != "-" and word not in ("-h", "-o")


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
