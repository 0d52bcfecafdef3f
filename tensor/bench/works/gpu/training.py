"""Training steps and an epoch: launched one by one, and captured as a graph."""

import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..case import OURS, Case, draw
from ..training import Network, after_training, batches, jax_stepping, starting_weights, stepping
from . import reference
from .case import SECONDS, Goal, GpuWork, on_both
from .engines import Engine
from .graphs import WARM_UPS, captured
from .sizes import IMAGES, SIZES

EAGER_GOAL = (Goal("1.5 x PyTorch eager's time", "torch", 1.0 / 1.5),)
CAPTURED_GOALS = (
    Goal("1.2 x PyTorch captured's time", "torch", 1.0 / 1.2),
    Goal("faster than PyTorch eager", "torch:eager", 1.0),
)


def _shown(engine: Engine, network: Network) -> list[tuple[Any, Any]]:
    """Return the batches on the GPU: how they come there is not measured."""
    return [(engine.put(x), engine.put(y)) for x, y in batches(network)]


def _answer(engine: Engine, call: Callable[[], Any], model: Any) -> Callable[[], list[Any]]:
    return lambda: after_training(
        lambda: engine.host(call()), lambda: [engine.host(p) for p in model.parameters()], SIZES.checked
    )


def _eager(network: Network, warm_ups: int = 0) -> Callable[[Engine], Case]:
    def make(engine: Engine) -> Case:
        model, step = stepping(engine.module, network, engine.place, **engine.adam)
        shown = _shown(engine, network)
        for _ in range(warm_ups):  # as many as a captured step begins with
            step(*shown[0])
        data = itertools.cycle(shown)

        def call() -> Any:
            return step(*next(data))

        return Case(call, _answer(engine, call, model))

    return make


def captured_step(network: Network) -> Callable[[Engine], Case]:
    def make(engine: Engine) -> Case:
        model, step = stepping(engine.module, network, engine.place, **engine.adam, capturable=True)
        shown = _shown(engine, network)
        x, y = (a.clone() for a in shown[0])
        replay, loss = captured(engine, lambda: step(x, y))
        data = itertools.cycle(shown)

        def call() -> Any:
            images, labels = next(data)
            x.copy_(images)
            y.copy_(labels)
            replay()
            return loss

        return Case(call, _answer(engine, call, model))

    return make


def _jax(network: Network, warm_ups: int) -> Callable[[Engine], Case]:
    def make(engine: Engine) -> Case:
        parameters, step = jax_stepping(engine.module, network)
        shown = _shown(engine, network)
        for _ in range(warm_ups):
            step(*shown[0])
        data = itertools.cycle(shown)

        def call() -> Any:
            return step(*next(data))

        return Case(
            call,
            lambda: after_training(
                lambda: engine.host(call()), lambda: [engine.host(p) for p in parameters()], SIZES.checked
            ),
        )

    return make


def _right(network: Network, warm_ups: int) -> Callable[[], Sequence[Any]]:
    def compute() -> Sequence[Any]:
        training, data = reference.Training(network), batches(network)
        for _ in range(warm_ups):
            training.step(*data[0])
        shown = itertools.cycle(data)
        return after_training(lambda: training.step(*next(shown)), lambda: training.parameters, SIZES.checked)

    return compute


def _title(network: Network) -> str:
    """Return the widths of an MLP, or how many parameters a CNN has."""
    if len(network.weights[0]) == 2:
        return "-".join(map(str, [network.weights[0][1], *(shape[0] for shape in network.weights)]))
    return f"the CNN ({sum(w.size for w in starting_weights(network)):,})"


def _steps(suite: str, network: Network, tolerance: float) -> list[GpuWork]:
    step = f"step of {_title(network)}, batch {network.batch}, Adam"
    eager, launched = _eager(network), captured_step(network)
    return [
        GpuWork(
            suite, step, on_both(eager, jax=_jax(network, 0)), _right(network, 0), tolerance,
            goals=EAGER_GOAL,
        ),
        GpuWork(
            suite, f"{step}, captured",
            {
                OURS: launched, "torch": launched, "torch:eager": _eager(network, WARM_UPS),
                "jax": _jax(network, WARM_UPS),
            },
            _right(network, WARM_UPS), tolerance, goals=CAPTURED_GOALS,
        ),
        GpuWork(
            suite, f"{step}: the host's time", on_both(eager), _right(network, 0), tolerance, timed="host",
            most_calls=20,
        ),
    ]  # fmt: skip


MLP_STEPS = tuple(_steps("mlp", SIZES.mlp, 5e-5))
CNN_STEPS = tuple(_steps("cnn", SIZES.cnn, 1e-4))

# --- an epoch ----------------------------------------------------------------------------------------------


def _images() -> dict[str, Any]:
    """Return what the bench has written: images as the networks take them, labels, and an order."""
    with np.load(os.environ[IMAGES]) as file:
        found = {name: file[name] for name in file.files}
    for name in ("train_images", "test_images"):
        found[name] = ((found[name].astype(np.float32) / 255.0 - 0.1307) / 0.3081)[:, None]
    found["order"] = np.random.default_rng(3).permutation(len(found["train_images"]))
    return found


def _epoch_answer(loss: float, found: dict[str, Any], scores: Any) -> list[Any]:
    """Return the mean loss of the epoch, and the part of the test images that is then classified rightly."""
    count = -(-len(found["order"]) // SIZES.mlp.batch)
    return [np.array([loss / count]), np.array([(scores.argmax(1) == found["test_labels"]).mean()])]


def _epoch(engine: Engine) -> Case:
    """All training images once: each batch is gathered on the GPU, and its step replayed.

    The images of the last batch, which may be fewer, are learned by a step of their own.
    """
    found, batch = _images(), SIZES.mlp.batch
    images, labels, order = (engine.put(found[name]) for name in ("train_images", "train_labels", "order"))
    full = len(found["order"]) // batch
    model, step = stepping(engine.module, SIZES.mlp, engine.place, **engine.adam, capturable=True)
    x, y = images[order[:batch]], labels[order[:batch]]
    total = engine.put(np.zeros((), np.float32))

    def add_step(x: Any, y: Any) -> None:
        total.add_(step(x, y).detach())

    replay, _ = captured(engine, lambda: add_step(x, y))

    def call() -> None:
        for i in range(full):
            chosen = order[i * batch : (i + 1) * batch]
            x.copy_(images[chosen])
            y.copy_(labels[chosen])
            replay()
        if full * batch < len(found["order"]):
            chosen = order[full * batch :]
            add_step(images[chosen], labels[chosen])

    def answer() -> list[Any]:
        total.zero_()
        call()
        with engine.module.no_grad():
            scores = engine.host(model(engine.put(found["test_images"])))
        return _epoch_answer(float(total), found, scores)

    return Case(call, answer)


def _jax_epoch(engine: Engine) -> Case:
    found, batch = _images(), SIZES.mlp.batch
    images, labels, order = (engine.put(found[name]) for name in ("train_images", "train_labels", "order"))
    jax, full = engine.module, len(found["order"]) // batch * batch
    parameters, step = jax_stepping(jax, SIZES.mlp)
    batches = order[:full].reshape(-1, batch)
    gather = jax.jit(lambda images, labels, chosen: (images[chosen], labels[chosen]))
    pick = jax.jit(lambda images, labels, batches, i: (images[batches[i]], labels[batches[i]]))
    add = jax.jit(lambda total, loss: total + loss)
    for _ in range(WARM_UPS):
        step(*gather(images, labels, order[:batch]))

    def call() -> Any:
        total = jax.numpy.zeros(())
        for i in range(len(batches)):
            total = add(total, step(*pick(images, labels, batches, i)))
        if full < len(order):
            total = add(total, step(*gather(images, labels, order[full:])))
        return total

    def answer() -> list[Any]:
        total = float(call())
        scores = SIZES.mlp.forward(engine.module, engine.put(found["test_images"]), parameters())
        return _epoch_answer(total, found, engine.host(scores))

    return Case(call, answer)


def _right_epoch() -> list[Any]:
    found, batch, training = _images(), SIZES.mlp.batch, reference.Training(SIZES.mlp)
    images, labels, order = (found[name] for name in ("train_images", "train_labels", "order"))
    for _ in range(WARM_UPS):
        training.step(images[order[:batch]], labels[order[:batch]])
    total = 0.0
    for first in range(0, len(order), batch):
        chosen = order[first : first + batch]
        total += training.step(images[chosen], labels[chosen])
    return _epoch_answer(total, found, training.scores(found["test_images"]))


EPOCHS = (
    GpuWork(
        "epoch", f"epoch of {_title(SIZES.mlp)}, batch {SIZES.mlp.batch}, captured",
        on_both(_epoch, jax=_jax_epoch),
        _right_epoch, 1e-2, goals=(Goal("under 0.5 s", SECONDS, 0.5),), timed="wall",
    ),
)  # fmt: skip


# --- launches ----------------------------------------------------------------------------------------------


def _small_sum(engine: Engine) -> Case:
    x, y = (engine.put(draw(seed, SIZES.small)) for seed in (0, 1))
    return Case(lambda: x + y, lambda: [engine.host(x + y)])


def _jax_small_sum(engine: Engine) -> Case:
    x, y = (engine.put(draw(seed, SIZES.small)) for seed in (0, 1))
    add = engine.module.jit(lambda x, y: x + y)
    return Case(lambda: add(x, y), lambda: [engine.host(add(x, y))])


LAUNCHES = (
    GpuWork(
        "launch", f"x + y of {SIZES.small} numbers: the host's time",
        on_both(_small_sum, cupy=_small_sum, jax=_jax_small_sum),
        lambda: [draw(0, SIZES.small).astype(np.float64) + draw(1, SIZES.small)], 1e-6, timed="host",
        most_calls=500,
    ),
)  # fmt: skip
