"""What is drawn of a model, read from the DOT text; each model is one that people draw."""

import html
import re
import shutil
import subprocess

import pytest

import tensor as torch
import viz
from micro import Value
from micro import nn as scalar_nn
from tensor import nn


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


class Twice(nn.Module):
    """Calls one module two times."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(self.fc(x).relu())


class Attention(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(size, size) for _ in range(3))
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        weights = (self.q(x) @ self.k(x).transpose(-2, -1) * self.scale).softmax(-1)
        return weights @ self.v(x)


class Block(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(size), Attention(size)
        self.mlp = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))

    def forward(self, x):
        x = x + self.attention(self.norm(x))
        return x + self.mlp(x)


class Transformer(nn.Module):
    def __init__(self, count=12, size=8):
        super().__init__()
        self.embedding = nn.Embedding(11, size)
        self.blocks = nn.ModuleList([Block(size) for _ in range(count)])
        self.head = nn.Linear(size, 11)

    def forward(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


TOKENS = torch.zeros(2, 5, dtype=torch.int64)


class Picture:
    """The DOT text of a model, taken apart: labels by id, edges as pairs of labels, frames by title."""

    def __init__(self, *args, **options):
        self.source = viz.draw_model(*args, **options).source
        line = re.compile(r'^\t+(\w+) \[label="((?:[^"\\]|\\.)*)" id="([^"]*)" class="([^"]*)"', re.M)
        self.label = {
            name: text.removeprefix("{ ").removesuffix(" }").replace("\\n", " ")
            for name, text, _, _ in line.findall(self.source)
        }
        self.kind = {name: kind for name, _, _, kind in line.findall(self.source)}
        self.edges = [
            (self.label[a].split(" | ")[0], self.label[b].split(" | ")[0])
            for a, b in re.findall(r"^\t(\w+) -> (\w+) \[id=", self.source, re.M)  # others are invisible
        ]
        self.frames = [
            (label or title).replace("\\l", "|").strip("|")
            for label, title in re.findall(
                r'subgraph cluster_\w+ \{\n\t+label="([^"]*)".*(?:\n\t+title_\w+ \[label="([^"]*)")?',
                self.source,
            )
        ]
        self.title = re.search(r'^\tlabel="([^"]*)"', self.source, re.M).group(1)

    def of(self, kind):
        """Return the labels of all nodes of a kind."""
        return [self.label[name] for name, found in self.kind.items() if kind in found.split()]


def test_a_sequential_is_a_row_of_boxes():
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    picture = Picture(model, torch.zeros(64, 784))
    assert picture.title == "Sequential, 101,770 parameters"
    assert picture.of("module") == [
        "0: Linear | 100,480 parameters | float32 (64, 128)",
        "1: ReLU | float32 (64, 128)",
        "2: Linear | 1,290 parameters | float32 (64, 10)",
    ]
    assert picture.edges == [
        ("input", "0: Linear"),
        ("0: Linear", "1: ReLU"),
        ("1: ReLU", "2: Linear"),
        ("2: Linear", "output"),
    ]
    assert picture.of("output") == ["output | float32 (64, 10)"]
    assert picture.of("parameter") == []


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(11, 8), nn.Linear(8, 11)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 3)

    def forward(self, tokens):
        return self.head(self.encoder(self.embedding(tokens)))


@pytest.mark.parametrize("options", [{}, {"expand": {"Linear", "MultiheadAttention"}}])
def test_no_edge_runs_through_the_title_of_a_frame_from_top_to_bottom(options):
    svg = html.unescape(viz.svg(viz.draw_model(Reader(), TOKENS, rankdir="TB", **options)))
    titles = re.findall(r'<g id="title-\w+" class="node title">(.*?)</g>', svg, re.DOTALL)
    lines = [
        (float(x), float(x) + 4.5 * len(text), float(y))
        for title in titles
        for x, y, text in re.findall(r'<text [^>]*x="([-\d.]+)" y="([-\d.]+)"[^>]*>([^<]+)<', title)
    ]
    assert len(lines) >= 4
    for path in re.findall(r'<g id="edge-[^>]*>.*?<path [^>]* d="([^"]*)"', svg, re.DOTALL):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        for k in range(0, len(points) - 1, 3):
            for t in (step / 20 for step in range(21)):
                weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
                x, y = (
                    sum(w * p[axis] for w, p in zip(weights, points[k : k + 4], strict=True))
                    for axis in (0, 1)
                )
                assert not any(left < x < right and base - 9 < y < base for left, right, base in lines)


def test_a_model_that_is_drawn_goes_on_as_if_it_had_not_been():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(0)
    points = torch.randn(5, 3)
    following = torch.get_rng_state()
    picture = Picture(model, points)
    assert [label.split(" |")[0] for label in picture.of("module")] == [
        "0: Linear",
        "1: BatchNorm1d",
        "2: Dropout",
    ]
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), following)
    model(points)
    assert int(model[1].num_batches_tracked) == 1
    assert not torch.equal(torch.get_rng_state(), following)


def test_a_class_is_no_module():
    with pytest.raises(TypeError, match="expected a module, got the class Linear: make one of it first"):
        viz.draw_model(nn.Linear, torch.zeros(1, 3))


def test_frozen_parameters_are_counted_apart():
    model = nn.Linear(3, 2)
    model.weight.requires_grad_(False)
    assert Picture(model, torch.zeros(1, 3)).title == "Linear, 8 parameters, 2 of them trainable"


def test_parameters_are_listed_on_request():
    picture = Picture(nn.Sequential(nn.Linear(3, 2)), torch.zeros(1, 3), parameters=True)
    assert picture.of("module") == ["0: Linear | 8 parameters | float32 (1, 2) | weight (2, 3) bias (2,)"]
    model = nn.Sequential(nn.Sequential(*(nn.Linear(2, 2) for _ in range(20))))
    assert "… and 33 more" in Picture(model, torch.zeros(1, 2), parameters=True, depth=1).of("module")[0]


def test_a_leaf_module_as_the_model_shows_its_operation_and_parameters():
    picture = Picture(nn.Linear(3, 2), torch.zeros(1, 3))
    assert set(picture.edges) == {
        ("input", "Linear float32 (1, 2)"),
        ("weight", "Linear float32 (1, 2)"),
        ("bias", "Linear float32 (1, 2)"),
        ("Linear float32 (1, 2)", "output"),
    }
    assert picture.of("parameter") == ["weight | float32 (2, 3)", "bias | float32 (2,)"]


def test_a_residual_connection_crosses_the_frame():
    picture = Picture(Residual(nn.Sequential(nn.Linear(4, 4), nn.Tanh())), torch.zeros(2, 4))
    assert picture.frames == ["inner: Sequential|20 parameters · float32 (2, 4)"]
    assert set(picture.edges) == {
        ("x", "0: Linear"),
        ("0: Linear", "1: Tanh"),
        ("1: Tanh", "Add float32 (2, 4)"),
        ("x", "Add float32 (2, 4)"),
        ("Add float32 (2, 4)", "output"),
    }


def test_a_module_that_is_called_twice_has_two_boxes():
    picture = Picture(Twice(), torch.zeros(2, 4))
    assert picture.of("module") == [
        "fc: Linear | 20 parameters | float32 (2, 4)",
        "fc (call 2): Linear | 20 parameters, shared | float32 (2, 4)",
    ]
    assert picture.title == "Twice, 20 parameters"
    # a module that holds others, too: each frame holds its own call
    shared = Residual(nn.Sequential(nn.Linear(4, 4), nn.Tanh()))
    picture = Picture(nn.Sequential(shared, nn.ReLU(), shared), torch.zeros(2, 4))
    assert [frame.split("|")[0] for frame in picture.frames] == [
        "0: Residual",
        "inner: Sequential",
        "0 (call 2): Residual",
        "inner (call 2): Sequential",
    ]


def test_twelve_blocks_are_one():
    picture = Picture(Transformer(), TOKENS)
    assert picture.frames[0].startswith("blocks.0 … blocks.11: Block ×12|")
    assert len(picture.frames) == 3
    assert picture.title == f"Transformer, {sum(p.numel() for p in Transformer().parameters()):,} parameters"
    assert ("embedding: Embedding", "norm: LayerNorm") in picture.edges
    assert ("Add float32 (2, 5, 8)", "head: Linear") in picture.edges
    assert len(picture.edges) == len(set(picture.edges)) < 25
    # the scale that the attention's own product takes
    assert picture.of("parameter") == ["scale | float32 (1,)"]


def test_the_number_of_blocks_is_all_that_differs():
    few, many = (viz.draw_model(Transformer(count), TOKENS).source for count in (2, 30))
    assert "×2" in few
    assert "×30" in many
    assert few.count("\n") == many.count("\n")


def test_blocks_of_another_shape_or_class_are_not_folded():
    sizes = nn.Sequential(*(nn.Sequential(nn.Linear(n, n + 1), nn.Tanh()) for n in range(2, 6)))
    assert "×" not in viz.draw_model(sizes, torch.zeros(1, 2)).source
    classes = nn.Sequential(*(nn.Sequential(nn.Linear(2, 2), f) for f in (nn.Tanh(), nn.ReLU(), nn.GELU())))
    assert "×" not in viz.draw_model(classes, torch.zeros(1, 2)).source


def test_layers_that_take_turns_are_folded_as_a_group():
    layers = [layer for _ in range(5) for layer in (nn.Linear(4, 4), nn.ReLU())]
    picture = Picture(nn.Sequential(*layers, nn.Linear(4, 2)), torch.zeros(1, 4))
    assert picture.frames == ["×5"]
    assert picture.edges == [
        ("input", "0: Linear"),
        ("0: Linear", "1: ReLU"),
        ("1: ReLU", "10: Linear"),
        ("10: Linear", "output"),
    ]
    assert Picture(nn.Sequential(*layers), torch.zeros(1, 4), fold=False).frames == []


def test_a_residual_loop_in_the_model_itself_is_folded():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(6)])

        def forward(self, x):
            for layer in self.layers:
                x = x + layer(x)
            return x

    picture = Picture(Net(), torch.zeros(1, 4))
    assert picture.frames == ["×6"]
    assert set(picture.edges) == {
        ("x", "layers.0: Linear"),
        ("x", "Add float32 (1, 4)"),
        ("layers.0: Linear", "Add float32 (1, 4)"),
        ("Add float32 (1, 4)", "output"),
    }


def test_what_skips_blocks_keeps_them_apart():
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(4)])

        def forward(self, x):
            a = self.layers[0](x)
            b = self.layers[1](a)
            c = self.layers[2](b)
            return self.layers[3](a + c)

    picture = Picture(Skips(), torch.zeros(1, 4))
    assert ("1: Tanh", "Add float32 (1, 4)") in picture.edges


@pytest.mark.parametrize(
    ("depth", "modules", "frames"), [(0, 1, 0), (1, 3, 0), (2, 5, 1), (None, 9, 3), (99, 9, 3)]
)
def test_depth_says_which_modules_are_boxes(depth, modules, frames):
    picture = Picture(Transformer(), TOKENS, depth=depth)
    assert (len(picture.of("module")), len(picture.frames)) == (modules, frames)


def test_modules_are_opened_and_closed_by_path_or_class():
    assert Picture(Transformer(), TOKENS, collapse=["Attention"]).frames[-1].startswith("mlp: Sequential")
    opened = Picture(Transformer(), TOKENS, depth=1, expand=["blocks.0.norm"])
    assert [frame.split("|")[0].split(":")[0] for frame in opened.frames][:2] == [
        "blocks.0 … blocks.11",
        "norm",
    ]
    assert "LayerNorm" in " ".join(opened.frames)
    one = Picture(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3)), torch.zeros(1, 2), expand="1")
    assert one.frames == ["1: Linear|9 parameters · float32 (1, 3)"]
    assert one.of("parameter") == ["weight | float32 (3, 2)", "bias | float32 (3,)"]


def test_an_unknown_name_is_said():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(
        ValueError, match=r"expand: no module or class is named 'Linaer'; did you mean 'Linear'"
    ):
        viz.draw_model(model, torch.zeros(1, 2), expand=["Linaer"])
    with pytest.raises(ValueError, match=r"collapse: no module .* '7'; name them by path"):
        viz.draw_model(model, torch.zeros(1, 2), collapse="7")
    with pytest.raises(ValueError, match="depth is a number of levels, at least 0, or None, got -1"):
        viz.draw_model(model, torch.zeros(1, 2), depth=-1)
    with pytest.raises(ValueError, match="draw_model: rankdir is"):
        viz.draw_model(model, torch.zeros(1, 2), rankdir="up")
    with pytest.raises(TypeError, match=r"expected a module .* got Value; viz\.draw\(\) draws"):
        viz.draw_model(Value(1.0))


def test_a_convolutional_network():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 3),
    )
    picture = Picture(model, torch.zeros(2, 1, 8, 8))
    assert [label.split(" | ")[0] for label in picture.of("module")] == [
        "0: Conv2d",
        "1: BatchNorm2d",
        "2: ReLU",
        "3: MaxPool2d",
        "4: Flatten",
        "5: Linear",
    ]
    assert len(picture.edges) == 7


def test_recurrent_networks():
    for model in (nn.GRU(4, 8, num_layers=2), nn.LSTM(4, 8), nn.RNN(4, 8)):
        picture = Picture(model, torch.zeros(5, 2, 4))
        assert len(picture.of("parameter")) == len(list(model.parameters()))
        assert picture.label["output"].startswith("output | float32 (5, 2, 8)")
    boxed = Picture(nn.GRU(4, 8), torch.zeros(5, 2, 4), depth=0)
    assert boxed.edges == [("input", "GRU"), ("GRU", "output")]


def test_a_scalar_network():
    x = [Value(1.0), Value(-1.0)]
    picture = Picture(scalar_nn.MLP(2, [16, 16, 1]), x)
    assert picture.title == "MLP, 337 parameters"
    assert [frame.split("|")[0] for frame in picture.frames] == [
        "layers.0: Layer",
        "layers.1: Layer",
        "layers.2: Layer",
    ]
    assert picture.of("module")[:2] == [
        "neurons.0 … neurons.15: Neuron ×16 in parallel | 3 parameters each | a value",
        "neurons.0 … neurons.15: Neuron ×16 in parallel | 17 parameters each | a value",
    ]
    assert len(picture.of("input")) == 2
    neuron = Picture(scalar_nn.Neuron(2), x)
    assert len(neuron.of("parameter")) == 3
    many = Picture(scalar_nn.Neuron(100), [Value(float(n)) for n in range(100)])
    assert many.of("input") == ["input | 100 values"]


def test_what_was_computed_before_the_call_is_not_the_models():
    x = (torch.ones(2, 3, requires_grad=True) * 2).relu()
    picture = Picture(nn.Sequential(nn.Linear(3, 1)), x)
    assert picture.edges == [("input", "0: Linear"), ("0: Linear", "output")]


def test_a_model_that_computes_nothing():
    assert Picture(nn.Identity(), torch.zeros(1, 2)).edges == [("input", "output")]

    class Nothing(nn.Module):
        def forward(self, x):
            return None

    with pytest.raises(ValueError, match="Nothing returned nothing that it computed"):
        viz.draw_model(Nothing(), torch.zeros(1))


def test_drawing_changes_nothing_of_the_model():
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).eval()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    viz.draw_model(model, torch.zeros(1, 3))
    assert all(torch.equal(before[name], p) for name, p in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


NAMES = {"<b>x</b>": "<b>x</b>", "{a|b}": r"{a|b}", 'say "hi"': r"say \"hi\"", "back\\slash": r"back\\slash"}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_modules_are_escaped(name):
    model = nn.Module()
    inner = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    model.add_module(name, inner)
    type(model).forward, before = (lambda self, x: self._modules[name](x)), type(model).forward
    try:
        source = viz.draw_model(model, torch.zeros(1, 2)).source
    finally:
        type(model).forward = before
    assert f'label="{NAMES[name]}: Sequential\\l' in source


def test_a_deep_nest_of_modules():
    model = nn.Linear(2, 2)
    for _ in range(60):
        model = nn.Sequential(model)
    picture = Picture(model, torch.zeros(1, 2))
    assert len(picture.frames) == 59
    assert len(picture.edges) == 2


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's program `dot` is not installed")
@pytest.mark.parametrize(
    "draw",
    [
        lambda: viz.draw_model(Transformer(), TOKENS, parameters=True),
        lambda: viz.draw_model(Transformer(3), TOKENS, fold=False, rankdir="LR"),
        lambda: viz.draw_model(scalar_nn.MLP(2, [4, 1]), [Value(1.0), Value(2.0)], expand=["Neuron"]),
    ],
)
def test_graphviz_takes_the_text_without_a_word(draw):
    run = subprocess.run(["dot", "-Tsvg"], input=draw().source.encode(), capture_output=True, check=True)
    assert run.stderr == b""
    assert run.stdout.count(b'class="node') > 5
