"""The drawings of micrograd's notebook `trace_graph`, and what it cannot show: both edges of `a + a`.

python examples/trace_graph.py
"""

import random

import viz
from micro import Value, nn


def draw(root: Value, name: str) -> None:
    root.backward()
    print(f"wrote {viz.save(root, name, legend=True)}")


x = Value(1.0, label="x")
y = (x * 2 + 1).relu()
y.label = "y"
draw(y, "expression.svg")

random.seed(1337)
neuron = nn.Neuron(2)
out = neuron([Value(1.0, label="x0"), Value(-2.0, label="x1")])
draw(out, "neuron.svg")

a = Value(3.0, label="a")
b = a + a
draw(b, "twice.svg")
print(f"d (a + a) / d a = {a.grad}: one for each edge")

# Where each number comes from: derivatives on the edges, their product along the way in colour and width.
viz.save(y, "flow.svg", derivatives=True, flow=True)
print("wrote flow.svg")
