"""Training steps of networks, through the ordinary API."""

import importlib
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .case import Case

CHECKED = 20
"""Steps of training whose losses are compared: rounding differs, and training lets it grow."""


def after_training(
    step: Callable[[], float], parameters: Callable[[], Sequence[Any]], steps: int = CHECKED
) -> list[Any]:
    """Return the losses of the first steps, and each parameter's sum of squares after them.

    parameters: returns arrays. Their sums of squares are one array, measured against its largest: Adam turns
    the rounding of a small gradient into a step of full size, so a bias alone differs more between engines.
    """
    losses = np.array([step() for _ in range(steps)])
    return [losses, np.array([np.square(p, dtype=np.float64).sum() for p in parameters()])]


class Network(NamedTuple):
    """A network for both eager engines and for JAX, and what it is shown; weights as nn draws them."""

    layers: Callable[[Any], list]  # of `nn`
    weights: list[tuple[int, ...]]  # each with its bias after it
    image: tuple[int, ...]
    batch: int
    classes: int
    forward: Callable[[Any, Any, list], Any]  # of JAX, the images and the parameters


def starting_weights(network: Network) -> list[Any]:
    draw = np.random.default_rng(1)
    found = []
    for shape in network.weights:
        bound = int(np.prod(shape[1:])) ** -0.5
        found += [draw.uniform(-bound, bound, s).astype(np.float32) for s in (shape, shape[:1])]
    return found


def batches(network: Network, count: int = 16) -> list[tuple[Any, Any]]:
    draw = np.random.default_rng(0)
    shape = (network.batch, *network.image)
    return [
        (draw.standard_normal(shape, np.float32), draw.integers(0, network.classes, network.batch))
        for _ in range(count)
    ]


def stepping(
    torch: Any, network: Network, device: Any, **options: Any
) -> tuple[Any, Callable[[Any, Any], Any]]:
    """Return the model, as every engine begins with it, and a step of Adam: step(x, y) returns the loss."""
    nn = torch.nn
    model = nn.Sequential(*network.layers(nn))
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), starting_weights(network), strict=True):
            parameter.copy_(torch.from_numpy(weight))
    model.to(device)
    loss_of, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=1e-3, **options)

    def step(x: Any, y: Any) -> Any:
        loss = loss_of(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return model, step


def training(network: Network) -> Callable[[Any], Case]:
    """A training step with Adam through the ordinary API."""

    def make(torch: Any) -> Case:
        model, step = stepping(torch, network, "cpu")
        data = itertools.cycle([(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches(network)])

        def call() -> float:
            return step(*next(data)).item()

        return Case(
            call, lambda: after_training(call, lambda: [p.detach().numpy() for p in model.parameters()])
        )

    return make


def jax_stepping(jax: Any, network: Network) -> tuple[Callable[[], list], Callable[[Any, Any], Any]]:
    """The same as one compiled function: return what gives the parameters, and the step."""
    jnp = jax.numpy

    def loss_of(parameters: list, x: Any, y: Any) -> Any:
        scores = jax.nn.log_softmax(network.forward(jax, x, parameters))
        return -jnp.take_along_axis(scores, y[:, None], axis=1).mean()

    @partial(jax.jit, donate_argnums=(0, 1, 2, 3))
    def update(parameters: list, means: list, squares: list, t: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
        t = t + 1.0
        means = [0.9 * m + 0.1 * g for m, g in zip(means, gradients, strict=True)]
        squares = [0.999 * v + 0.001 * g * g for v, g in zip(squares, gradients, strict=True)]
        rate, scale = 1e-3 / (1.0 - 0.9**t), jnp.sqrt(1.0 - 0.999**t)
        moved = zip(parameters, means, squares, strict=True)
        parameters = [p - rate * m / (jnp.sqrt(v) / scale + 1e-8) for p, m, v in moved]
        return parameters, means, squares, t, loss

    parameters = [jnp.array(w) for w in starting_weights(network)]
    means, squares = ([jnp.zeros_like(p) for p in parameters] for _ in range(2))
    state = [parameters, means, squares, jnp.zeros(())]  # the steps are counted there, not sent each time

    def step(x: Any, y: Any) -> Any:
        *state[:], loss = update(*state, x, y)
        return loss

    return lambda: state[0], step


def jax_training(network: Network) -> Callable[[str], Case]:
    """The same training step in JAX."""

    def make(engine: str) -> Case:
        jax = importlib.import_module(engine)
        parameters, step = jax_stepping(jax, network)
        data = itertools.cycle([(jax.numpy.asarray(x), jax.numpy.asarray(y)) for x, y in batches(network)])

        def call() -> float:
            return float(step(*next(data)))

        return Case(call, lambda: after_training(call, lambda: [np.asarray(p) for p in parameters()]))

    return make


def jax_mlp(jax: Any, x: Any, p: list) -> Any:
    hidden = jax.nn.relu(x.reshape(len(x), -1) @ p[0].T + p[1])
    return hidden @ p[2].T + p[3]


def jax_cnn(padding: int, convolutions: int) -> Callable[[Any, Any, list], Any]:
    def forward(jax: Any, x: Any, p: list) -> Any:
        window, pads = (1, 1, 2, 2), ((padding, padding), (padding, padding))
        for i in range(convolutions):
            layout = ("NCHW", "OIHW", "NCHW")
            x = jax.lax.conv_general_dilated(x, p[2 * i], (1, 1), pads, dimension_numbers=layout)
            x = jax.nn.relu(x + p[2 * i + 1][:, None, None])
            x = jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, window, "VALID")
        return x.reshape(len(x), -1) @ p[-2].T + p[-1]

    return forward


MLP = Network(
    lambda nn: [nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)],
    [(128, 784), (10, 128)], (1, 28, 28), 64, 10, jax_mlp,
)  # fmt: skip
CNN = Network(
    lambda nn: [
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1568, 10),
    ],
    [(32, 1, 3, 3), (32, 32, 3, 3), (10, 1568)], (1, 28, 28), 64, 10, jax_cnn(1, 2),
)  # fmt: skip
TINYCNN = Network(
    lambda nn: [nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 3)],
    [(3, 1, 3, 3), (3, 27)], (1, 8, 8), 32, 3, jax_cnn(0, 1),
)  # fmt: skip
