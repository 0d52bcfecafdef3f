"""What is measured: one row a piece of work, with the same work for each peer.

This file is read by the process of every engine, also by those that must hold no other engine: it imports
the standard library and NumPy alone, and an engine only where that engine's own work is made. `torch` names
either engine below: this one is called by the very lines that call PyTorch.

Rows of a forward alone keep nothing for a backward, in any engine; rows of a backward alone are given what a
forward before them has kept; rows of both keep it, and return the output as well as the gradient.
"""

import importlib
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

OURS = "ours"
PEERS = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "micrograd": "micrograd"}
"""The engines that may be installed, by the name they are imported under."""


class Case(NamedTuple):
    """Work that is ready: `call` is measured; `answer` returns arrays that all engines must agree on."""

    call: Callable[[], Any]
    answer: Callable[[], Sequence[Any]]


class Work(NamedTuple):
    """A row: `makers[engine](engine)` returns the case of that engine; the first engine is ours."""

    suite: str
    name: str
    makers: dict[str, Callable[[str], Case]]
    tolerance: float = 1e-5
    """How far answers may differ, as a part of the largest number in them."""


def _eager(engine: str) -> Any:
    return importlib.import_module("tensor" if engine == OURS else engine)


def _both(make: Callable[[Any], Case], jax: Callable[[str], Case] | None = None) -> dict:
    """Return the makers of work that this engine and PyTorch do by the same lines."""
    makers = {OURS: lambda engine: make(_eager(engine)), "torch": lambda engine: make(_eager(engine))}
    return makers if jax is None else {**makers, "jax": jax}


def _draw(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


# --- scalar ------------------------------------------------------------------------------------------------


def _moons(engine: str) -> Case:
    step = importlib.import_module("micro.bench").demo_step("micro" if engine == OURS else engine)

    def answer() -> list[Any]:
        loss, gradients = step()
        return [np.array([loss]), np.array(gradients)]

    return Case(step, answer)


# --- matmul ------------------------------------------------------------------------------------------------

PRODUCTS = {
    "64x784 @ 784x128": lambda: (_draw(0, 64, 784), _draw(1, 784, 128)),
    "x.T @ g, 784x64 @ 64x128": lambda: (_draw(0, 64, 784).T, _draw(2, 64, 128)),
    "g @ W.T, 64x128 @ 128x784": lambda: (_draw(2, 64, 128), _draw(1, 784, 128).T),
    "64x128 @ 128x10": lambda: (_draw(0, 64, 128), _draw(1, 128, 10)),
    "256 cubed": lambda: (_draw(0, 256, 256), _draw(1, 256, 256)),
    "1024 cubed": lambda: (_draw(0, 1024, 1024), _draw(1, 1024, 1024)),
    "2048 cubed": lambda: (_draw(0, 2048, 2048), _draw(1, 2048, 2048)),
}


def _array_product(operands: Callable[[], tuple]) -> Callable[[str], Case]:
    """The product of arrays: our kernel beside NumPy's `@`, which calls its BLAS."""

    def make(engine: str) -> Case:
        x, y = operands()
        multiply = importlib.import_module("kernels.cpu").matmul if engine == OURS else np.matmul
        return Case(lambda: multiply(x, y), lambda: [multiply(x, y)])

    return make


def _tensor_product(operands: Callable[[], tuple]) -> Callable[[Any], Case]:
    """The product of tensors, `x @ y` on both sides."""

    def make(torch: Any) -> Case:
        # a transposed array becomes a transposed tensor
        x, y = (torch.from_numpy(a) if a.flags.c_contiguous else torch.from_numpy(a.T).T for a in operands())
        return Case(lambda: x @ y, lambda: [(x @ y).numpy()])

    return make


# --- convolution and pooling -------------------------------------------------------------------------------

CONVOLUTIONS = {
    "(64,32,14,14) * (32,32,3,3)": ((64, 32, 14, 14), (32, 32, 3, 3)),
    "(64,1,28,28) * (32,1,3,3)": ((64, 1, 28, 28), (32, 1, 3, 3)),
    "(16,64,56,56) * (64,64,3,3)": ((16, 64, 56, 56), (64, 64, 3, 3)),
}  # fmt: skip


def _convolution(x_shape: tuple, w_shape: tuple) -> tuple[Any, Any, Any]:
    """Return images, weights, and a gradient of the output's shape (padding 1 keeps the size)."""
    return _draw(0, *x_shape), _draw(1, *w_shape), _draw(2, x_shape[0], w_shape[0], *x_shape[2:])


def _conv_forward(*shapes: tuple) -> Callable[[Any], Case]:
    def make(torch: Any) -> Case:
        x, w, _ = map(torch.from_numpy, _convolution(*shapes))

        def call() -> Any:
            return torch.nn.functional.conv2d(x, w, padding=1)

        return Case(call, lambda: [call().numpy()])

    return make


def _conv_gradient(which: int, *shapes: tuple) -> Callable[[Any], Case]:
    """The gradient in the images (which = 0) or the weights (1) alone: the other needs none."""

    def make(torch: Any) -> Case:
        *operands, g = map(torch.from_numpy, _convolution(*shapes))
        operands[which].requires_grad_()
        out = torch.nn.functional.conv2d(*operands, padding=1)

        def call() -> Any:
            return torch.autograd.grad(out, operands[which], g, retain_graph=True)[0]

        return Case(call, lambda: [call().numpy()])

    return make


def _jax_conv(which: int | None, *shapes: tuple) -> Callable[[str], Case]:
    def make(engine: str) -> Case:
        jax = importlib.import_module(engine)
        x, w, g = map(jax.numpy.asarray, _convolution(*shapes))

        def conv(x: Any, w: Any) -> Any:
            layout = ("NCHW", "OIHW", "NCHW")
            return jax.lax.conv_general_dilated(x, w, (1, 1), ((1, 1), (1, 1)), dimension_numbers=layout)

        compute = jax.jit(conv if which is None else lambda x, w, g: jax.vjp(conv, x, w)[1](g)[which])
        arguments = (x, w) if which is None else (x, w, g)

        def call() -> Any:
            return compute(*arguments).block_until_ready()

        return Case(call, lambda: [np.asarray(call())])

    return make


def _pool(part: str) -> Callable[[Any], Case]:
    """Max-pooling 2x2: "forward", keeping nothing, "backward" of one before, or "forward and backward"."""

    def make(torch: Any) -> Case:
        x = torch.from_numpy(_draw(0, 64, 32, 28, 28)).requires_grad_(part != "forward")
        g = torch.from_numpy(_draw(1, 64, 32, 14, 14))
        pool = torch.nn.functional.max_pool2d
        out = pool(x, 2)

        def forward() -> tuple:
            return (pool(x, 2),)

        def backward() -> tuple:
            return torch.autograd.grad(out, x, g, retain_graph=True)

        def both() -> tuple:
            out = pool(x, 2)
            return out, *torch.autograd.grad(out, x, g)

        call = {"forward": forward, "backward": backward, "forward and backward": both}[part]
        return Case(call, lambda: [result.detach().numpy() for result in call()])

    return make


def _jax_pool(part: str) -> Callable[[str], Case]:
    def make(engine: str) -> Case:
        jax = importlib.import_module(engine)
        x, g = jax.numpy.asarray(_draw(0, 64, 32, 28, 28)), jax.numpy.asarray(_draw(1, 64, 32, 14, 14))

        def pool(x: Any) -> Any:
            window = (1, 1, 2, 2)
            return jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, window, "VALID")

        def both(x: Any, g: Any) -> tuple:
            out, back = jax.vjp(pool, x)
            return out, *back(g)

        arguments: tuple[Any, ...]
        if part == "forward":
            compute, arguments = jax.jit(lambda x: (pool(x),)), (x,)
        elif part == "backward":
            # `back` carries what the forward has kept, and goes into the compiled function as arrays do
            _, back = jax.jit(lambda x: jax.vjp(pool, x))(x)
            compute, arguments = jax.jit(lambda back, g: back(g)), (back, g)
        else:
            compute, arguments = jax.jit(both), (x, g)

        def call() -> Any:
            return jax.block_until_ready(compute(*arguments))

        return Case(call, lambda: [np.asarray(result) for result in call()])

    return make


# --- elementwise -------------------------------------------------------------------------------------------

FUNCTIONS = ("tanh", "gelu", "sigmoid", "exp", "relu")
ELEMENTS = 1_000_000


def _lifted(name: str) -> Callable[[Any], Case]:
    def make(torch: Any) -> Case:
        function = torch.nn.functional.gelu if name == "gelu" else getattr(torch, name)
        x = torch.from_numpy(_draw(0, ELEMENTS)).requires_grad_()
        g = torch.from_numpy(_draw(1, ELEMENTS))

        def call() -> Any:
            return torch.autograd.grad(function(x), x, g)[0]

        return Case(call, lambda: [function(x).detach().numpy(), call().numpy()])

    return make


def _jax_lifted(name: str) -> Callable[[str], Case]:
    def make(engine: str) -> Case:
        jax = importlib.import_module(engine)
        function = {
            "tanh": jax.numpy.tanh, "exp": jax.numpy.exp, "sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu,
            "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        }[name]  # fmt: skip

        @jax.jit
        def both(x: Any, g: Any) -> Any:
            out, back = jax.vjp(function, x)
            return out, back(g)[0]

        x, g = jax.numpy.asarray(_draw(0, ELEMENTS)), jax.numpy.asarray(_draw(1, ELEMENTS))

        def call() -> Any:
            return jax.block_until_ready(both(x, g))

        return Case(call, lambda: [np.asarray(a) for a in call()])

    return make


# --- training steps ----------------------------------------------------------------------------------------

CHECKED = 20
"""Steps of training whose losses are compared: rounding differs, and training lets it grow."""


def _after_training(step: Callable[[], float], parameters: Callable[[], Sequence[Any]]) -> list[Any]:
    """Return the losses of the first steps, and each parameter's sum of squares after them.

    parameters: returns arrays. Their sums of squares are one array, measured against its largest: Adam turns
    the rounding of a small gradient into a step of full size, so a bias alone differs more between engines.
    """
    losses = np.array([step() for _ in range(CHECKED)])
    return [losses, np.array([np.square(p, dtype=np.float64).sum() for p in parameters()])]


class Network(NamedTuple):
    """A network for both eager engines and for JAX, and what it is shown; weights as nn draws them."""

    layers: Callable[[Any], list]  # of `nn`
    weights: list[tuple[int, ...]]  # each with its bias after it
    image: tuple[int, ...]
    batch: int
    classes: int
    forward: Callable[[Any, Any, list], Any]  # of JAX, the images and the parameters


def _starting_weights(network: Network) -> list[Any]:
    draw = np.random.default_rng(1)
    found = []
    for shape in network.weights:
        bound = int(np.prod(shape[1:])) ** -0.5
        found += [draw.uniform(-bound, bound, s).astype(np.float32) for s in (shape, shape[:1])]
    return found


def _batches(network: Network, count: int = 16) -> list[tuple[Any, Any]]:
    draw = np.random.default_rng(0)
    shape = (network.batch, *network.image)
    return [
        (draw.standard_normal(shape, np.float32), draw.integers(0, network.classes, network.batch))
        for _ in range(count)
    ]


def _training(network: Network) -> Callable[[Any], Case]:
    """A training step with Adam through the ordinary API."""

    def make(torch: Any) -> Case:
        nn = torch.nn
        model = nn.Sequential(*network.layers(nn))
        with torch.no_grad():
            for parameter, weight in zip(model.parameters(), _starting_weights(network), strict=True):
                parameter.copy_(torch.from_numpy(weight))
        loss_of, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=1e-3)
        data = itertools.cycle([(torch.from_numpy(x), torch.from_numpy(y)) for x, y in _batches(network)])

        def step() -> float:
            x, y = next(data)
            loss = loss_of(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.item()

        return Case(
            step, lambda: _after_training(step, lambda: [p.detach().numpy() for p in model.parameters()])
        )

    return make


def _jax_training(network: Network) -> Callable[[str], Case]:
    """The same as one compiled function: forward, backward and Adam."""

    def make(engine: str) -> Case:
        jax = importlib.import_module(engine)
        jnp = jax.numpy

        def loss_of(parameters: list, x: Any, y: Any) -> Any:
            scores = jax.nn.log_softmax(network.forward(jax, x, parameters))
            return -jnp.take_along_axis(scores, y[:, None], axis=1).mean()

        @partial(jax.jit, donate_argnums=(0, 1, 2))
        def update(parameters: list, means: list, squares: list, t: Any, x: Any, y: Any) -> Any:
            loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
            means = [0.9 * m + 0.1 * g for m, g in zip(means, gradients, strict=True)]
            squares = [0.999 * v + 0.001 * g * g for v, g in zip(squares, gradients, strict=True)]
            rate, scale = 1e-3 / (1.0 - 0.9**t), jnp.sqrt(1.0 - 0.999**t)
            moved = zip(parameters, means, squares, strict=True)
            parameters = [p - rate * m / (jnp.sqrt(v) / scale + 1e-8) for p, m, v in moved]
            return parameters, means, squares, loss

        parameters = [jnp.array(w) for w in _starting_weights(network)]
        state = [parameters, [jnp.zeros_like(p) for p in parameters], [jnp.zeros_like(p) for p in parameters]]
        data = itertools.cycle([(jnp.asarray(x), jnp.asarray(y)) for x, y in _batches(network)])
        turns = itertools.count(1)

        def step() -> float:
            x, y = next(data)
            state[0], state[1], state[2], loss = update(*state, np.float32(next(turns)), x, y)
            return float(loss)

        return Case(step, lambda: _after_training(step, lambda: [np.asarray(p) for p in state[0]]))

    return make


def _jax_mlp(jax: Any, x: Any, p: list) -> Any:
    hidden = jax.nn.relu(x.reshape(len(x), -1) @ p[0].T + p[1])
    return hidden @ p[2].T + p[3]


def _jax_cnn(padding: int, convolutions: int) -> Callable[[Any, Any, list], Any]:
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
    [(128, 784), (10, 128)], (1, 28, 28), 64, 10, _jax_mlp,
)  # fmt: skip
CNN = Network(
    lambda nn: [
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1568, 10),
    ],
    [(32, 1, 3, 3), (32, 32, 3, 3), (10, 1568)], (1, 28, 28), 64, 10, _jax_cnn(1, 2),
)  # fmt: skip
TINYCNN = Network(
    lambda nn: [nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 3)],
    [(3, 1, 3, 3), (3, 27)], (1, 8, 8), 32, 3, _jax_cnn(0, 1),
)  # fmt: skip


# --- a language model --------------------------------------------------------------------------------------


class Language(NamedTuple):
    """A GPT: decoder blocks of causal attention and a network, tied embeddings; and what it is shown."""

    layers: int
    heads: int
    width: int
    block: int
    batch: int
    fused: bool  # attention as one function, or written out with the matrix of all weights
    vocabulary: int = 65


def _gpt(torch: Any, of: Language) -> Any:
    nn, F = torch.nn, torch.nn.functional

    class Attention(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(of.width, 3 * of.width, bias=False)
            self.out = nn.Linear(of.width, of.width, bias=False)
            self.register_buffer("seen", torch.tril(torch.ones(of.block, of.block)).view(1, 1, of.block, -1))

        def forward(self, x: Any) -> Any:
            batch, length, _ = x.shape
            heads = (batch, length, of.heads, of.width // of.heads)
            q, k, v = (part.view(heads).transpose(1, 2) for part in self.qkv(x).split(of.width, dim=2))
            if of.fused:
                y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            else:
                scores = (q @ k.transpose(-2, -1)) * (of.width // of.heads) ** -0.5
                scores = scores.masked_fill(self.seen[:, :, :length, :length] == 0, float("-inf"))
                y = F.softmax(scores, dim=-1) @ v
            return self.out(y.transpose(1, 2).contiguous().view(batch, length, of.width))

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.attention = nn.LayerNorm(of.width), Attention()
            self.norm2 = nn.LayerNorm(of.width)
            wide = 4 * of.width
            self.net = nn.Sequential(
                nn.Linear(of.width, wide, bias=False), nn.GELU(), nn.Linear(wide, of.width, bias=False)
            )

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.net(self.norm2(x))

    class Model(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(of.vocabulary, of.width)
            self.places = nn.Embedding(of.block, of.width)
            self.blocks = nn.Sequential(*[Block() for _ in range(of.layers)])
            self.norm = nn.LayerNorm(of.width)
            self.head = nn.Linear(of.width, of.vocabulary, bias=False)
            self.head.weight = self.tokens.weight

        def forward(self, tokens: Any, targets: Any) -> Any:
            x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
            scores = self.head(self.norm(self.blocks(x)))
            return F.cross_entropy(scores.view(-1, of.vocabulary), targets.view(-1))

    return Model()


def _language(of: Language) -> Callable[[Any], Case]:
    """A training step of a GPT: AdamW that decays the matrices alone, gradients clipped to norm 1."""

    def make(torch: Any) -> Case:
        model, draw = _gpt(torch, of), np.random.default_rng(2)
        with torch.no_grad():
            for p in model.parameters():
                if p.dim() >= 2:
                    p.copy_(torch.from_numpy(draw.standard_normal(tuple(p.shape), np.float32) * 0.02))
        groups = [
            {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
            {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))
        text = draw.integers(0, of.vocabulary, (4, of.batch, of.block + 1))
        data = itertools.cycle([torch.from_numpy(chunk) for chunk in text])

        def step() -> float:
            chunk = next(data)
            loss = model(chunk[:, :-1], chunk[:, 1:].contiguous())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            return loss.item()

        return Case(
            step, lambda: _after_training(step, lambda: [p.detach().numpy() for p in model.parameters()])
        )

    return make


GPTS = {
    "GPT (10.8 million), 8 x 256, AdamW": (6, 6, 384, 256, 8),
    "GPT (0.1 million), 8 x 32, AdamW": (2, 4, 64, 32, 8),
}


# --- start-up: programs of their own -----------------------------------------------------------------------

_STEP = """
import numpy
draw = numpy.random.default_rng(0)
x, y = draw.standard_normal((64, 784), numpy.float32), numpy.arange(64) % 10
weights = [draw.uniform(-0.03, 0.03, s).astype(numpy.float32) for s in ((128, 784), (128,), (10, 128), (10,))]
"""
_EAGER_START = """
model = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
with torch.no_grad():
    for parameter, weight in zip(model.parameters(), weights):
        parameter.copy_(torch.from_numpy(weight))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for _ in range(2):
    loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
    if not _:
        loss.backward()
        optimizer.step()
        print("stepped", flush=True)
print(loss.item(), flush=True)
"""
_JAX_START = """
def loss_of(p, x, y):
    scores = jax.nn.log_softmax(jax.nn.relu(x @ p[0].T + p[1]) @ p[2].T + p[3])
    return -jax.numpy.take_along_axis(scores, y[:, None], axis=1).mean()

@jax.jit
def update(p, x, y):
    loss, g = jax.value_and_grad(loss_of)(p, x, y)
    m, v = [0.1 * a for a in g], [0.001 * a * a for a in g]
    return [a - 1e-3 * (b / 0.1) / (jax.numpy.sqrt(c / 0.001) + 1e-8) for a, b, c in zip(p, m, v)]

weights = jax.block_until_ready(update(weights, x, y))
print("stepped", flush=True)
print(float(loss_of(weights, x, y)), flush=True)
"""
STARTS = {
    OURS: f"import tensor as torch\nprint('imported', flush=True){_STEP}{_EAGER_START}",
    "torch": f"import torch\nprint('imported', flush=True){_STEP}{_EAGER_START}",
    "jax": f"import jax\nprint('imported', flush=True){_STEP}{_JAX_START}",
}
"""Programs that say "imported", "stepped" after the first step of Adam, and the loss after it."""


# --- the table ---------------------------------------------------------------------------------------------

WORKS: tuple[Work, ...] = (
    Work("scalar", "moons step, 2-16-16-1, 100 points", {OURS: _moons, "micrograd": _moons}, 1e-9),
    *(
        Work("matmul", f"matmul {name}", {OURS: _array_product(operands), "numpy": _array_product(operands)})
        for name, operands in PRODUCTS.items()
    ),
    *(
        Work("matmul", f"tensors: matmul {name}", _both(_tensor_product(operands)))
        for name, operands in PRODUCTS.items()
    ),
    *(
        Work("conv", f"{name} {what}", _both(make(*shapes), _jax_conv(which, *shapes)))
        for name, shapes in CONVOLUTIONS.items()
        for what, which, make in (
            ("forward", None, _conv_forward),
            ("dx", 0, lambda *shapes: _conv_gradient(0, *shapes)),
            ("dw", 1, lambda *shapes: _conv_gradient(1, *shapes)),
        )
    ),
    *(
        Work("pool", f"max-pool 2x2 of (64,32,28,28) {part}", _both(_pool(part), _jax_pool(part)), 0.0)
        for part in ("forward", "backward", "forward and backward")
    ),
    *(
        Work("elementwise", f"{name} of 1,000,000, both ways", _both(_lifted(name), _jax_lifted(name)))
        for name in FUNCTIONS
    ),
    Work("mlp", "step of 784-128-10, batch 64, Adam", _both(_training(MLP), _jax_training(MLP)), 1e-5),
    Work("cnn", "step of the CNN (25,258), batch 64, Adam", _both(_training(CNN), _jax_training(CNN)), 3e-5),
    Work(
        "tinycnn", "step of the TinyCNN (114), batch 32, Adam",
        _both(_training(TINYCNN), _jax_training(TINYCNN)), 1e-5,
    ),
    *(
        Work("gpt", f"step of a {name}{how}", _both(_language(Language(*sizes, fused))), 1e-4)
        for name, sizes in GPTS.items()
        for how, fused in (("", True), (", attention written out", False))
    ),
)  # fmt: skip
