"""Recurrent layers over all steps of a batch of sequences, and their gradients through time.

Sequences lie packed, as `PackedSequence` has them: the rows of the first step, then those of the second, and
so on; step t has sizes[t] rows, never more than the step before, and row i of every step belongs to sequence
i. A batch of equally long sequences (steps, batch, features) is the same memory. The sequences do not depend
on each other, so threads share out the batch; one thread goes through all steps without waiting.

The products with the inputs of all steps are one matrix product, made before; in each step are left one
product with the weights, packed once for all steps, and the arithmetic of the gates.
"""

from collections.abc import Callable

import numpy as np
from numba import types
from numba.extending import overload

from kernels.cpu.compile import jit, kernel
from kernels.cpu.launch import share_of, shared_kernel
from kernels.cpu.lift import formula_for
from kernels.cpu.matmul import fill_product, fill_strip, pack_b, workers_of
from kernels.cpu.tiles import TILE_VECTORS, VECTOR_BYTES
from micro.formulas import relu, sigmoid, tanh

RNN_TANH, RNN_RELU, LSTM, GRU = range(4)
KINDS = {"RNN_TANH": RNN_TANH, "RNN_RELU": RNN_RELU, "LSTM": LSTM, "GRU": GRU}


def _by_type(formula: Callable):
    """Return a function for kernels: the formula, compiled for the type of number that it is given."""
    single, double = formula_for(formula, np.dtype("float32")), formula_for(formula, np.dtype("float64"))

    def apply(x):
        raise NotImplementedError("only kernels can call this")

    @overload(apply, inline="always")
    def choose(x):
        return (lambda x: single(x)) if x == types.float32 else (lambda x: double(x))

    return apply


_relu, _sigmoid, _tanh = _by_type(relu), _by_type(sigmoid), _by_type(tanh)


@kernel("T[:,:], out T[::1]")
def _pack(b, packed):
    """Write b into the strips that a tile reads."""
    width = TILE_VECTORS * (VECTOR_BYTES // b.itemsize)
    pack_b(b, 0, b.shape[0], 0, b.shape[1], width, packed)


def _packed(b: np.ndarray) -> np.ndarray:
    width = TILE_VECTORS * (VECTOR_BYTES // b.itemsize)
    packed = np.empty(b.shape[0] * -(-b.shape[1] // width) * width, b.dtype)
    if packed.size:
        _pack(b, packed)
    return packed


@jit
def _add_product(a, packed, c):
    """c += a @ b, where `packed` holds the strips of b."""
    size = c.itemsize
    width = TILE_VECTORS * (VECTOR_BYTES // size)
    depth, row = a.shape[1], a.strides[0]
    for j in range(0, c.shape[1], width):
        b_at = packed.ctypes.data + j * depth * size
        fill_strip(c, 0, j, c.shape[0], a.ctypes.data, row, size, row, b_at, width * size, depth, 1)


@jit
def _lstm_row(gates, state, cell, kept):
    n = state.size
    for j in range(2 * n):
        gates[j] = _sigmoid(gates[j])
    for j in range(2 * n, 3 * n):
        gates[j] = _tanh(gates[j])
    for j in range(3 * n, 4 * n):
        gates[j] = _sigmoid(gates[j])
    i, f, g, o = gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :]
    for j in range(n):
        kept[j] = f[j] * cell[j] + i[j] * g[j]
    for j in range(n):
        cell[j] = kept[j]
    for j in range(n):
        state[j] = o[j] * _tanh(cell[j])


@jit
def _gru_row(gates, sums, state):
    n = state.size
    for j in range(2 * n):
        gates[j] = _sigmoid(gates[j] + sums[j])
    r, z, new, hidden = gates[:n], gates[n : 2 * n], gates[2 * n :], sums[2 * n :]
    for j in range(n):
        new[j] = _tanh(new[j] + r[j] * hidden[j])
    for j in range(n):
        state[j] = (state[j] - new[j]) * z[j] + new[j]


@jit
def _rnn_row(gates, state, rectified):
    if rectified:
        for j in range(state.size):
            gates[j] = _relu(gates[j])
    else:
        for j in range(state.size):
            gates[j] = _tanh(gates[j])
    for j in range(state.size):
        state[j] = gates[j]


@shared_kernel(
    "out T[:,::1], out T[:,::1], T[::1], out T[:,::1], out T[:,::1], out T[:,::1], out T[:,::1], "
    "int64[::1], boolean, int64"
)
def _run(worker, workers, gates, sums, packed, state, cell, out, cells, sizes, backwards, kind):
    """Run all steps; `gates` holds the inputs' part of the gates before, and the gates after.

    sums: gates itself, or for a GRU an array of its own, where the states' part is added.
    """
    top, bottom = share_of(state.shape[0], workers, worker)
    start = gates.shape[0] if backwards else 0
    for n in range(sizes.size):
        size = sizes[sizes.size - 1 - n if backwards else n]
        if backwards:
            start -= size
        end = min(bottom, size)
        if top < end:
            _add_product(state[top:end], packed, sums[start + top : start + end])
            for i in range(top, end):
                row = start + i
                if kind == LSTM:
                    _lstm_row(gates[row], state[i], cell[i], cells[row])
                elif kind == GRU:
                    _gru_row(gates[row], sums[row], state[i])
                else:
                    _rnn_row(gates[row], state[i], kind == RNN_RELU)
                for j in range(state.shape[1]):
                    out[row, j] = state[i, j]
        if not backwards:
            start += size


@jit
def _lstm_row_dx(gates, cells, before, grad, cell_grad, gates_grad):
    n, one = grad.size, grad.dtype.type(1)
    i, f, g, o = gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :]
    for j in range(n):
        t = _tanh(cells[j])
        dc = cell_grad[j] + grad[j] * o[j] * (one - t * t)
        gates_grad[j] = dc * g[j] * (i[j] * (one - i[j]))
        gates_grad[n + j] = dc * before[j] * (f[j] * (one - f[j]))
        gates_grad[2 * n + j] = dc * i[j] * (one - g[j] * g[j])
        gates_grad[3 * n + j] = grad[j] * t * (o[j] * (one - o[j]))
        cell_grad[j] = dc * f[j]
        grad[j] = 0


@jit
def _gru_row_dx(gates, sums, before, grad, gates_grad, sums_grad):
    n, one = grad.size, grad.dtype.type(1)
    r, z, new, hidden = gates[:n], gates[n : 2 * n], gates[2 * n :], sums[2 * n :]
    for j in range(n):
        dn = grad[j] * (one - z[j]) * (one - new[j] * new[j])
        gates_grad[j] = dn * hidden[j] * (r[j] * (one - r[j]))
        gates_grad[n + j] = grad[j] * (before[j] - new[j]) * (z[j] * (one - z[j]))
        gates_grad[2 * n + j] = dn
        sums_grad[2 * n + j] = dn * r[j]
        grad[j] = grad[j] * z[j]
    for j in range(2 * n):
        sums_grad[j] = gates_grad[j]


@jit
def _rnn_row_dx(gates, grad, gates_grad, rectified):
    one = grad.dtype.type(1)
    if rectified:
        for j in range(grad.size):
            gates_grad[j] = grad[j] if gates[j] > 0 else 0
    else:
        for j in range(grad.size):
            gates_grad[j] = grad[j] * (one - gates[j] * gates[j])
    for j in range(grad.size):
        grad[j] = 0


@shared_kernel(
    "T[:,::1], T[:,::1], T[:,::1], T[:,::1], T[::1], T[:,::1], out T[:,::1], out T[:,::1], out T[:,::1], "
    "out T[:,::1], int64[::1], boolean, int64"
)
def _run_dx(
    worker, workers, gates, sums, cells, before, packed, grad, state_grad, cell_grad, gates_grad, sums_grad,
    sizes, backwards, kind,
):  # fmt: skip
    """Run all steps from the last to the first; `state_grad` and `cell_grad` go from the end to the start."""
    top, bottom = share_of(state_grad.shape[0], workers, worker)
    start = 0 if backwards else gates.shape[0]
    for n in range(sizes.size):
        size = sizes[n if backwards else sizes.size - 1 - n]
        if not backwards:
            start -= size
        end = min(bottom, size)
        if top < end:
            for i in range(top, end):
                row = start + i
                for j in range(state_grad.shape[1]):
                    state_grad[i, j] += grad[row, j]
                if kind == LSTM:
                    _lstm_row_dx(
                        gates[row], cells[row], before[row], state_grad[i], cell_grad[i], gates_grad[row]
                    )
                elif kind == GRU:
                    _gru_row_dx(
                        gates[row], sums[row], before[row], state_grad[i], gates_grad[row], sums_grad[row]
                    )
                else:
                    _rnn_row_dx(gates[row], state_grad[i], gates_grad[row], kind == RNN_RELU)
            _add_product(sums_grad[start + top : start + end], packed, state_grad[top:end])
        if backwards:
            start += size


def _product(x, weight, *biases):
    """Return x @ weight.T plus the biases."""
    out = np.empty((len(x), len(weight)), x.dtype)
    bias = biases[0] if len(biases) == 1 else np.add(*biases) if biases else None
    if out.size and x.shape[1]:
        fill_product(x, weight.T, bias, out)
    else:
        out[...] = 0 if bias is None else bias
    return out


def recurrent(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, sizes: tuple, backwards: bool, kind: str):
    """Run one direction of a recurrent layer over packed sequences.

    x: (rows, inputs), rows = sum(sizes); h0: (batch, hidden); c0 the same for an LSTM, else None; weights:
    (gates * hidden, inputs) and (gates * hidden, hidden); biases: (gates * hidden,) or None; kind: a key of
    KINDS. backwards: go from each sequence's last step to its first.

    Returns (states, kept): the states after each step, (rows, hidden), and below them those after the last
    step, (batch, hidden), for an LSTM also the cells; and what `recurrent_dx` needs.
    """
    rows, (batch, hidden) = len(x), h0.shape
    dtype, code = x.dtype, KINDS[kind]
    lstm = code == LSTM
    states = np.empty((rows + batch * (1 + lstm), hidden), dtype)
    out, state, cell = states[:rows], states[rows : rows + batch], states[rows + batch :]
    state[...] = h0
    cells = np.empty((rows if lstm else 0, hidden), dtype)
    if lstm:
        cell[...] = c0
    biases = () if bias_ih is None else (bias_ih, bias_hh)
    gates = _product(x, weight_ih, *(biases[:1] if code == GRU else biases))
    sums = gates
    if code == GRU:
        sums = np.empty_like(gates)
        sums[...] = 0 if bias_hh is None else bias_hh
    steps = np.array(sizes, np.int64)
    workers = min(workers_of(gates.size * hidden), batch)
    if gates.size:
        _run(workers, gates, sums, _packed(weight_hh.T), state, cell, out, cells, steps, backwards, code)
    return states, (gates, sums, cells)


def states_before(states, first, sizes: tuple, backwards: bool) -> np.ndarray:
    """Return the state each step began with. states: (rows, hidden) after each; first: (batch, hidden)."""
    before = np.empty_like(states)
    rows, batch = len(states), len(first)
    if len(sizes) and sizes[-1] == batch:  # equally long: the rows of all but one step, moved by a step
        if backwards:
            before[: rows - batch], before[rows - batch :] = states[batch:], first
        else:
            before[batch:], before[:batch] = states[: rows - batch], first
        return before
    start = 0
    for t, size in enumerate(sizes):
        if backwards:
            following = sizes[t + 1] if t + 1 < len(sizes) else 0
            before[start : start + following] = states[start + size : start + size + following]
            before[start + following : start + size] = first[following:size]
        elif t:
            before[start : start + size] = states[start - sizes[t - 1] : start - sizes[t - 1] + size]
        else:
            before[:size] = first
        start += size
    return before


def recurrent_dx(h0, c0, weight_hh, states, kept, grad, sizes: tuple, backwards: bool, kind: str):
    """Return the gradients of `recurrent` in (gates, sums, h0, c0), and the state that each step began with.

    gates: (rows, gates * hidden), what x @ weight_ih.T + bias_ih went into; sums: what state @ weight_hh.T +
    bias_hh went into, the same array unless `kind` is GRU. grad: of the shape of `states`.
    """
    gates, sums, cells = kept
    rows, (batch, hidden) = len(gates), h0.shape
    code = KINDS[kind]
    nothing = cells[:0]
    before = states_before(states[:rows], h0, sizes, backwards)
    needed = nothing
    if code == LSTM:
        needed = states_before(cells, c0, sizes, backwards)
    elif code == GRU:
        needed = before
    grad = np.ascontiguousarray(grad)
    state_grad, cell_grad = grad[rows : rows + batch].copy(), grad[rows + batch :].copy()
    gates_grad = np.empty_like(gates)
    sums_grad = np.empty_like(gates) if code == GRU else gates_grad
    if gates.size:
        _run_dx(
            min(workers_of(gates.size * hidden), batch),
            gates,
            sums,
            cells,
            needed,
            _packed(weight_hh),
            grad[:rows],
            state_grad,
            cell_grad,
            gates_grad,
            sums_grad,
            np.array(sizes, np.int64),
            backwards,
            code,
        )
    return gates_grad, sums_grad, state_grad, cell_grad if code == LSTM else None, before
