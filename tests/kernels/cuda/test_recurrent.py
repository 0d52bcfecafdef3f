"""kernels/cuda/recurrent.py beside the CPU's, forward and backward through time."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cpu
from kernels import cuda as k

pytestmark = pytest.mark.usefixtures("device")


def moved(x):
    return None if x is None else k.from_host(x)


@pytest.mark.parametrize("kind", ["RNN_TANH", "RNN_RELU", "LSTM", "GRU"])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("sizes", "biased"), [((3, 3, 2), True), ((2, 2), False), ((), True)])
def test_as_on_the_cpu(kind, backwards, sizes, biased) -> None:
    rng = np.random.default_rng(3)
    hidden, inputs, batch = 3, 2, max(sizes, default=2)
    gates = {"LSTM": 4, "GRU": 3}.get(kind, 1) * hidden
    draw = lambda *shape: rng.uniform(-0.9, 0.9, shape)  # noqa: E731
    x, h0, c0 = draw(sum(sizes), inputs), draw(batch, hidden), draw(batch, hidden) if kind == "LSTM" else None
    weights = draw(gates, inputs), draw(gates, hidden)
    biases = (draw(gates), draw(gates)) if biased else (None, None)
    options = sizes, backwards, kind
    states, kept = cpu.recurrent(x, h0, c0, *weights, *biases, *options)
    grad = draw(*states.shape)
    expected = cpu.recurrent_dx(h0, c0, weights[1], states, kept, grad, *options)
    there = [moved(a) for a in (x, h0, c0, *weights, *biases)]
    found_states, found_kept = k.recurrent(*there, *options)
    np.testing.assert_allclose(found_states.to_host(), states, 1e-11, 1e-12)
    found = k.recurrent_dx(there[1], there[2], there[4], found_states, found_kept, moved(grad.T).T, *options)
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            np.testing.assert_allclose(a.to_host(), b, 1e-11, 1e-12)
