"""Draw one neuron, tanh(w0 * x0 + w1 * x1 + b), with its numbers and its gradients.

python examples/draw_neuron.py neuron.svg        # or .png, .pdf, .dot
"""

import sys
from pathlib import Path

import viz
from micro import Value

x0, x1 = Value(2.0, label="x0"), Value(0.0, label="x1")
w0, w1 = Value(-3.0, label="w0"), Value(1.0, label="w1")
b = Value(6.8813735870195432, label="b")

out = (w0 * x0 + w1 * x1 + b).tanh()
out.label = "out"
out.backward()

path = Path(sys.argv[1] if len(sys.argv) > 1 else "neuron.svg")
try:
    print(f"wrote {viz.save(out, path)}")
except RuntimeError as error:  # .png and .pdf need the program `dot`
    print(error)
    print(f"wrote {viz.save(out, path.with_suffix('.svg'))}")
