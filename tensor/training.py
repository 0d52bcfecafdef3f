"""Train a classifier, measure it, and know at every moment where the training stands."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tensor import nn, optim
from tensor.autograd import no_grad
from tensor.creation import from_numpy
from tensor.devices import CPU
from tensor.devices import device as Device
from tensor.engine import Tensor
from tensor.feeding import Batches, Totals
from tensor.random import default_generator, fork_rng

OPTIMIZERS: dict[str, tuple[Callable[..., optim.Optimizer], float]] = {
    "adam": (optim.Adam, 2e-3),
    "adamw": (optim.AdamW, 2e-3),
    "sgd": (lambda parameters, lr: optim.SGD(parameters, lr=lr, momentum=0.9), 0.05),
}
"""By name: how it is made, and its learning rate unless the user says otherwise."""

LARGEST_COUNT = 2**31 - 1
"""No more epochs, nor images a batch: counts stay integers of any array."""

LOWEST_RATE = 0.02
"""The decay of the learning rate stops at this part of what it was at first."""


class _Figure:
    """A figure that a GPU may still be adding up: reading it waits for that."""

    def __init__(self, first: float):
        self._first = first

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, position: "Position | None", owner: type) -> Any:
        if position is None:
            return self._first
        position.catch_up()
        return vars(position)[self._name]

    def __set__(self, position: "Position", value: float) -> None:
        position.catch_up()
        vars(position)[self._name] = value


@dataclass
class Position:
    """Where a training run stands: with the model and the optimiser, all that is needed to go on.

    Whoever keeps the three may stop after any batch and continue later with the same bits as if nothing had
    happened. On a GPU `loss_sum`, `correct` and what follows from them are added up there: reading them waits
    for it, so a loop reads them now and then.
    """

    epoch: int = 0  # epochs finished
    batch: int = 0  # batches done of the epoch under way
    loss_sum: float = _Figure(0.0)  # type: ignore[assignment]  # over the images of the epoch under way
    correct: int = _Figure(0)  # type: ignore[assignment]  # of the same
    seen: int = 0  # how many those were
    order: NDArray[np.uint8] | None = None  # the generator's state before it drew the epoch's order
    generator: NDArray[np.uint8] | None = None  # where the generator stands, to go on from

    _totals = None  # what adds up the two figures

    def follow(self, totals: Totals) -> None:
        """Take `loss_sum` and `correct` from there when they are next read."""
        self._totals = totals

    def catch_up(self) -> None:
        """Read what was added up elsewhere; waits for the GPU."""
        totals, self._totals = self._totals, None
        if totals is not None:
            self.loss_sum, self.correct = totals.read()

    def __getstate__(self) -> dict[str, Any]:  # of copies, which are of now
        self.catch_up()
        return vars(self)

    @property
    def loss(self) -> float:
        """Mean loss of the epoch's images so far, each measured when its batch was learned."""
        return self.loss_sum / self.seen if self.seen else math.nan

    @property
    def accuracy(self) -> float:
        """Fraction of the epoch's images so far that were classified rightly."""
        return self.correct / self.seen if self.seen else math.nan


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to: its number from 1, mean loss and accuracy on the way, its learning rate."""

    epoch: int
    loss: float
    accuracy: float
    lr: float


@dataclass
class Plan:
    """How to train. The learning rate of epoch e, from 0, is lr * max(lr_decay**e, LOWEST_RATE).

    It does not depend on `epochs`: two epochs and then two more are the same as four.
    """

    epochs: int
    batch_size: int = 64
    optimizer: str = "adam"
    lr: float = OPTIMIZERS["adam"][1]
    lr_decay: float = 0.6
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, right in (
            ("epochs", self.epochs, 1 <= self.epochs <= LARGEST_COUNT),
            ("batch_size", self.batch_size, 1 <= self.batch_size <= LARGEST_COUNT),
            ("optimizer", self.optimizer, self.optimizer in OPTIMIZERS),
            ("lr", self.lr, 0.0 < self.lr < math.inf),
            ("lr_decay", self.lr_decay, 0.0 < self.lr_decay <= 1.0),
            ("seed", self.seed, 0 <= self.seed < 2**64),
        ):
            if not right:
                raise ValueError(f"Plan: no training has {name} {value!r}")

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        return self.lr * max(self.lr_decay**epoch, LOWEST_RATE)


class Diverged(ValueError):
    """The loss is no longer a number: there is nothing to continue from."""


def make_optimizer(model: nn.Module, name: str, lr: float) -> optim.Optimizer:
    """Return the optimiser of that name over the model's parameters; ValueError for an unknown name."""
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}; optimizers: {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name][0](model.parameters(), lr=lr)


def fit(
    model: nn.Module,
    optimizer: optim.Optimizer,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    plan: Plan,
    position: Position | None = None,
    on_batch: Callable[[Position], Any] | None = None,
    on_epoch: Callable[[Epoch], Any] | None = None,
    captured: bool = False,
) -> Position:
    """Train on images (N, ...) and labels (N,) until `plan.epochs` epochs are done; return where it stands.

    The model's device is where it trains: the GPU holds all of the data if it fits well, else each batch is
    copied there; nothing waits for it between batches, unless `on_batch` reads the position's figures.
    Batches come in the order of a shuffling DataLoader that draws from the default generator: seed it before
    the model is built. position: where to continue, changed as the training goes; the start if omitted.
    on_batch, on_epoch: called after each, with everything in a state to be kept; what they raise ends the
    training there. captured: on a GPU, replay the step as a CUDA graph; the numbers are the same. Raises
    Diverged at the end of an epoch whose loss is not finite.
    """
    position = Position() if position is None else position
    device = device_of(model)
    if captured and device.type == "cpu":
        raise ValueError("fit: captured=True is for a model on a GPU: model.to('cuda'), or leave it out")
    batches = Batches(images, labels, plan.batch_size, device)
    totals = None if device.type == "cpu" else Totals(device)
    loss_of = nn.CrossEntropyLoss()
    if position.generator is not None:
        default_generator.set_state(position.generator)
    model.train()

    def learn(x: Tensor, y: Tensor) -> Any:
        logits = model(x)
        loss = loss_of(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if totals is not None:
            totals.add(loss, logits, y)
        return loss, logits

    step: Callable[[Tensor, Tensor], Any] = learn
    with ExitStack() as undone:
        if captured:
            from tensor.captured import CapturedStep, steps_on_gpu

            undone.enter_context(steps_on_gpu(optimizer, device))
            step = CapturedStep(learn, model, batches)
        _go_through(step, optimizer, batches, totals, plan, position, on_batch, on_epoch)
    return position


def _go_through(step, optimizer, batches, totals, plan, position, on_batch, on_epoch) -> None:
    """Learn all batches that are still to come; step(x, y) learns one."""
    while position.epoch < plan.epochs:
        rate = plan.rate(position.epoch)
        for group in optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)  # where a graph reads it
            else:
                group["lr"] = rate
        if totals is not None:
            totals.begin(position.loss_sum, position.correct)
        for x, y in batches.rest_of_epoch(position):
            learned = step(x, y)
            if totals is None:
                loss, logits = learned
                position.loss_sum += loss.item() * len(y)
                position.correct += _count_correct(logits, y)
            else:
                position.follow(totals)
            position.seen += len(y)
            position.batch += 1
            if on_batch is not None:
                on_batch(position)
        if not math.isfinite(position.loss):
            raise Diverged(
                f"the loss of epoch {position.epoch + 1} is {position.loss}; try a smaller learning rate"
            )
        done = Epoch(position.epoch + 1, position.loss, position.accuracy, rate)
        position.epoch, position.batch = position.epoch + 1, 0
        position.loss_sum, position.correct, position.seen = 0.0, 0, 0
        if on_epoch is not None:
            on_epoch(done)


def device_of(model: nn.Module) -> Device:
    """Return the device that a model's parameters are on."""
    return next(model.parameters()).device


def _count_correct(logits, labels) -> int:
    return int(np.count_nonzero(logits.detach().cpu().numpy().argmax(1) == labels.numpy()))


@dataclass(frozen=True)
class Score:
    """How well a model does: mean loss and accuracy over all images, and rightly classified by label."""

    loss: float
    accuracy: float
    count: int
    correct: int
    by_label: list[tuple[int, int]] = field(default_factory=list)  # (right, all) of each label


@no_grad()
def evaluate(
    model: nn.Module, images: NDArray[np.float32], labels: NDArray[np.int64], batch_size: int = 1000
) -> Score:
    """Return the model's score on images (N, ...) with labels (N,); the model keeps its training mode.

    Raises ValueError where there are no images.
    """
    if len(images) != len(labels) or not len(images):
        raise ValueError(f"evaluate: expected a label for each image, got {len(images)} and {len(labels)}")
    was_training = model.training
    model.eval()
    loss_of = nn.CrossEntropyLoss(reduction="sum")
    loss, guesses, device = 0.0, [], device_of(model)
    try:
        for first in range(0, len(images), batch_size):
            logits = model(from_numpy(images[first : first + batch_size]).to(device))
            loss += loss_of(logits, from_numpy(labels[first : first + batch_size]).to(device)).item()
            guesses.append(logits.cpu().numpy().argmax(1))
    finally:
        model.train(was_training)
    right = np.concatenate(guesses) == labels
    everything = np.bincount(labels)
    by_label = np.bincount(labels[right], minlength=len(everything))
    correct = int(np.count_nonzero(right))
    return Score(
        loss / len(labels),
        correct / len(labels),
        len(labels),
        correct,
        list(zip(by_label.tolist(), everything.tolist(), strict=True)),
    )


def warm_up(
    build: Callable[[], nn.Module],
    plan: Plan,
    shape: tuple[int, ...],
    count: int,
    tested: int,
    test_batch: int = 1000,
    device: Device = CPU,
    captured: bool = False,
) -> None:
    """Compile, or load, every kernel that a run will need, on a model of its own; no random number is used.

    shape: of one image; count: images to train on, tested: images to test on, test_batch of them at once (the
    last batches are smaller). The learning rate is an ordinary one: that of the plan may be too large, which
    is for the training to find out.
    """
    with fork_rng():
        model = build().to(device)
        lr = OPTIMIZERS[plan.optimizer][1]
        optimizer = make_optimizer(model, plan.optimizer, lr)
        sizes = {min(plan.batch_size, count), count % plan.batch_size} - {0}
        for size in sizes:
            images, labels = np.zeros((size, *shape), np.float32), np.zeros(size, np.int64)
            fit(
                model,
                optimizer,
                images,
                labels,
                Plan(1, batch_size=plan.batch_size, lr=lr),
                captured=captured,
            )
        for size in {min(test_batch, tested), tested % test_batch} - {0}:
            evaluate(model, np.zeros((size, *shape), np.float32), np.zeros(size, np.int64), test_batch)
