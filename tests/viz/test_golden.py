"""The DOT text of drawings, compared byte for byte with files.

After a change that is meant, write them anew and look at every difference:

    LIFTGRAD_WRITE_GOLDEN=1 pytest tests/viz/test_golden.py && git diff tests/viz/golden
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import viz
from micro import Value, nn

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"


def scalars():
    """Return z = relu(x**2) + 2*x*y + y + y after its backward pass."""
    x, y = Value(2.0, label="x"), Value(3.0, label="y")
    z = (x**2).relu() + 2 * x * y + y + y
    z.label = "z"
    z.backward()
    return z


def squared():
    """Return a * a + a: the two edges of one operation, and the edge of another."""
    a = Value(3.0, label="a")
    return a * a + a


def without_order():
    """Return sums of the same Values, which micrograd's sets would put in the order of their addresses."""
    values = [Value(float(n), label=f"v{n}") for n in range(8)]
    return sum(values[1:], values[0]) * sum(values[1:], values[0])


def odd_numbers():
    zero, big = Value(0.0, label="zero"), Value(1e300, label="big")
    return big * big - zero.log() + zero / zero + Value(1 / 3) * 1e-9


def odd_labels():
    labels = [
        "<script>alert(1)</script>",
        "<b>",
        "{a|b}",
        'say "hi"',
        "back\\slash \\n",
        "two\nlines",
        "&amp;",
    ]
    labels += ["größe 重み 🙂", "a:b -> c;", "\\N \\G", "nul\0", "<port> p", "x" * 100]
    total = Value(1.0, label=labels[0])
    for label in labels[1:]:
        total = total + Value(1.0, label=label)
    return total


def arrays():
    """Return nodes as a tensor engine makes them: small and large arrays, what was not kept, a GPU's."""
    import tensor

    w = tensor.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    w.label = "w"
    x = tensor.ones(64, 2, requires_grad=True)
    loss = (x @ w).tanh().mean()
    loss.backward()
    return loss


def transformer(**options):
    import tensor
    from tensor import nn

    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.Embedding(11, 8), nn.TransformerEncoder(layer, 12), nn.Linear(8, 11))
    return viz.draw_model(model, tensor.zeros(2, 5, dtype=tensor.int64), **options)


def odd_names():
    """Return a model whose parts have names that DOT would read otherwise."""
    import tensor
    from tensor import nn

    names = ["<b>x</b>", "{a|b}", 'say "hi"', "back\\slash \\n", "größe 重み", "a:b -> c;", "x" * 100]
    model = nn.Sequential()
    for name in names:
        model.add_module(name, nn.Sequential(nn.Linear(2, 2), nn.Tanh()))
    return viz.draw_model(model, tensor.zeros(1, 2), fold=False, parameters=True)


def scalar_network():
    inputs = [Value(1.0, label="x0"), Value(-1.0, label="x1")]
    return viz.draw_model(nn.MLP(2, [3, 1]), inputs, expand=["layers.1.neurons.0"])


DRAWINGS = {
    "scalars": lambda: viz.draw(scalars()),
    "scalars-down": lambda: viz.draw(scalars(), rankdir="TB", legend=True, splines="line"),
    "squared": lambda: viz.draw(squared()),
    "leaf": lambda: viz.draw(Value(1.5, label="x"), legend=True),
    "without-order": lambda: viz.draw(without_order()),
    "odd-numbers": lambda: viz.draw(odd_numbers()),
    "odd-labels": lambda: viz.draw(odd_labels(), rankdir="BT"),
    "arrays": lambda: viz.draw(arrays()),
    "derivatives": lambda: viz.draw(scalars(), derivatives=True, flow=True, legend=True),
    "collapsed": lambda: viz.draw(without_order(), collapse=True),
    "model": transformer,
    "model-closed": lambda: transformer(depth=2, parameters=True, rankdir="LR"),
    "model-names": odd_names,
    "model-scalar": scalar_network,
    "nearest": lambda: viz.draw(without_order(), most=6, legend=True),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_text_is_that_of_the_file(name):
    source = DRAWINGS[name]().source
    path = GOLDEN / f"{name}.dot"
    if os.environ.get("LIFTGRAD_WRITE_GOLDEN"):
        path.write_text(source, encoding="utf-8", newline="\n")
    assert path.read_bytes().decode() == source


def test_every_file_has_its_drawing():
    assert {path.stem for path in GOLDEN.iterdir()} == set(DRAWINGS)


@pytest.mark.parametrize("seed", ["0", "12345"])
def test_the_text_is_the_same_in_every_process(seed):
    loader = (
        "import importlib.util as u, sys; "
        f"spec = u.spec_from_file_location('golden', {str(Path(__file__))!r}); "
        "golden = u.module_from_spec(spec); spec.loader.exec_module(golden); "
        "names = sorted(golden.DRAWINGS); junk = [object() for _ in range(1000)]; "
        "sys.stdout.reconfigure(encoding='utf-8', newline='\\n'); "
        "[print(name, golden.DRAWINGS[name]().source, sep='\\n') for name in names]"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", loader], env=environment, capture_output=True, check=True)
    expected = [f"{name}\n{(GOLDEN / f'{name}.dot').read_bytes().decode()}\n" for name in sorted(DRAWINGS)]
    assert run.stdout.decode() == "".join(expected)
