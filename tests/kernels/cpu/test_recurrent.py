"""Recurrent kernels against the formulas, written out in NumPy step by step."""

import numpy as np
import pytest

from kernels import cpu
from kernels.cpu.recurrent import states_before

SIZES = (5, 5, 3, 1)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def step(kind, gates_x, gates_h, h, c):
    n = h.shape[1]
    if kind == "LSTM":
        sums = gates_x + gates_h
        i, f, g, o = (sums[:, n * m : n * (m + 1)] for m in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    if kind == "GRU":
        r = sigmoid(gates_x[:, :n] + gates_h[:, :n])
        z = sigmoid(gates_x[:, n : 2 * n] + gates_h[:, n : 2 * n])
        new = np.tanh(gates_x[:, 2 * n :] + r * gates_h[:, 2 * n :])
        return (1 - z) * new + z * h, c
    sums = gates_x + gates_h
    return (np.tanh(sums) if kind == "RNN_TANH" else np.maximum(sums, 0)), c


def reference(x, h0, c0, w_ih, w_hh, b_ih, b_hh, sizes, backwards, kind):
    starts = [0, *np.cumsum(sizes)]
    h, c = h0.copy(), None if c0 is None else c0.copy()
    out = np.empty((len(x), h0.shape[1]), x.dtype)
    for t in reversed(range(len(sizes))) if backwards else range(len(sizes)):
        rows, size = slice(starts[t], starts[t + 1]), sizes[t]
        before = None if c is None else c[:size]
        new, cell = step(kind, x[rows] @ w_ih.T + b_ih, h[:size] @ w_hh.T + b_hh, h[:size], before)
        h[:size] = out[rows] = new
        if c is not None:
            c[:size] = cell
    return np.concatenate([out, h] + ([] if c is None else [c]))


def make(kind, dtype, hidden=9, inputs=4):
    rng = np.random.default_rng(3)
    gates = {"LSTM": 4, "GRU": 3}.get(kind, 1) * hidden

    def draw(*shape):
        return rng.uniform(-0.7, 0.7, shape).astype(dtype)

    c0 = draw(SIZES[0], hidden) if kind == "LSTM" else None
    weights = draw(gates, inputs), draw(gates, hidden), draw(gates), draw(gates)
    return draw(sum(SIZES), inputs), draw(SIZES[0], hidden), c0, *weights


@pytest.mark.parametrize("kind", ["RNN_TANH", "RNN_RELU", "LSTM", "GRU"])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_states_follow_the_formulas(kind, backwards, dtype):
    arguments = make(kind, dtype)
    states, _ = cpu.recurrent(*arguments, sizes=SIZES, backwards=backwards, kind=kind)
    expected = reference(
        *[None if a is None else a.astype("float64") for a in arguments], SIZES, backwards, kind
    )
    assert states.dtype == dtype
    np.testing.assert_allclose(states, expected, rtol=1e-5, atol=1e-6 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("kind", ["RNN_TANH", "RNN_RELU", "LSTM", "GRU"])
@pytest.mark.parametrize("backwards", [False, True])
def test_gradients_are_the_differences(kind, backwards):
    x, h0, c0, w_ih, w_hh, b_ih, b_hh = make(kind, "float64")
    options = {"sizes": SIZES, "backwards": backwards, "kind": kind}
    states, kept = cpu.recurrent(x, h0, c0, w_ih, w_hh, b_ih, b_hh, **options)
    flow = np.cos(np.arange(states.size)).reshape(states.shape)
    gates, sums, h_grad, c_grad, before = cpu.recurrent_dx(h0, c0, w_hh, states, kept, flow, **options)

    def loss():
        return (reference(x, h0, c0, w_ih, w_hh, b_ih, b_hh, SIZES, backwards, kind) * flow).sum()

    pairs = [(x, gates @ w_ih), (w_ih, gates.T @ x), (w_hh, sums.T @ before), (b_ih, gates.sum(0))]
    pairs += [(b_hh, sums.sum(0)), (h0, h_grad)] + ([] if c0 is None else [(c0, c_grad)])
    for array, grad in pairs:
        for place in list(np.ndindex(array.shape))[:: max(1, array.size // 6)]:
            middle = array[place]
            array[place] = middle + 1e-6
            high = loss()
            array[place] = middle - 1e-6
            low = loss()
            array[place] = middle
            assert grad[place] == pytest.approx((high - low) / 2e-6, rel=1e-5, abs=1e-7)


def test_threads_do_not_change_a_bit():
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(12 * 40, 30)).astype("float32"), []
    weights = [rng.uniform(-0.2, 0.2, s).astype("float32") for s in ((256, 30), (256, 64), (256,), (256,))]
    h0 = c0 = np.zeros((40, 64), "float32")
    found = []
    before = cpu.get_num_threads()
    for threads in (1, 2):
        cpu.set_num_threads(threads)
        states, _ = cpu.recurrent(x, h0, c0, *weights, sizes=(40,) * 12, backwards=False, kind="LSTM")
        found.append(states)
    cpu.set_num_threads(before)
    assert np.array_equal(*found)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sizes", [(3, 3), (3, 2, 2, 1)])
def test_states_before_are_those_after_moved_by_a_step(sizes, backwards):
    rows, batch = sum(sizes), sizes[0]
    first, states = -np.arange(1.0, batch + 1)[:, None], np.arange(rows, dtype=float)[:, None]
    starts = np.cumsum([0, *sizes])
    expected = []
    for t, size in enumerate(sizes):
        for i in range(size):
            other = t + 1 if backwards else t - 1
            inside = 0 <= other < len(sizes) and i < sizes[other]
            expected.append(states[starts[other] + i, 0] if inside else first[i, 0])
    assert states_before(states, first, sizes, backwards)[:, 0].tolist() == expected
