"""Recurrent layers over all steps of a batch of sequences, and their gradients through time.

Sequences lie packed, as `PackedSequence` has them: the rows of the first step, then those of the second, and
so on; step t has sizes[t] rows, never more than the step before, and row i of every step belongs to sequence
i. A batch of equally long sequences (steps, batch, features) is the same memory.

The products with the inputs of all steps are one matrix product, made before; each step is one product with
the states and one kernel for the arithmetic of the gates.
"""

from collections.abc import Iterator

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import FLOATS, cuda, formula_for, kernel
from kernels.cuda.elementwise import forward
from kernels.cuda.matmul import linear
from kernels.cuda.memory import contiguous, copy, write
from kernels.cuda.tiles import contract
from micro.formulas import relu, sigmoid, tanh


def _formulas(kind) -> dict:
    return {f.__name__: formula_for(f, kind["T"]) for f in (relu, sigmoid, tanh)}


@kernel("int64, int64, out T*, out T*, out T*, out T*, out T*", FLOATS, _formulas)
def _lstm(size, hidden, gates, state, cell, out, cells):
    """Turn the sums of a step's gates into their values, and go on to the next state and cell."""
    for n in range(cuda.grid(1), size, cuda.gridsize(1)):
        at = n + n // hidden * 3 * hidden
        i, f = sigmoid(gates[at]), sigmoid(gates[at + hidden])
        g, o = tanh(gates[at + 2 * hidden]), sigmoid(gates[at + 3 * hidden])
        gates[at], gates[at + hidden], gates[at + 2 * hidden], gates[at + 3 * hidden] = i, f, g, o
        new_cell = f * cell[n] + i * g
        new_state = o * tanh(new_cell)
        cells[n] = cell[n] = new_cell
        out[n] = state[n] = new_state


@kernel("int64, int64, out T*, T*, out T*, out T*", FLOATS, _formulas)
def _gru(size, hidden, gates, sums, state, out):
    """The same; `sums` are the states' part of the gates."""
    for n in range(cuda.grid(1), size, cuda.gridsize(1)):
        at = n + n // hidden * 2 * hidden
        r, z = sigmoid(gates[at] + sums[at]), sigmoid(gates[at + hidden] + sums[at + hidden])
        new = tanh(gates[at + 2 * hidden] + r * sums[at + 2 * hidden])
        gates[at], gates[at + hidden], gates[at + 2 * hidden] = r, z, new
        out[n] = state[n] = (state[n] - new) * z + new


@kernel("int64, bool, out T*, out T*, out T*", FLOATS, _formulas)
def _rnn(size, rectified, gates, state, out):
    """The same for a layer of one gate, which is the state."""
    for n in range(cuda.grid(1), size, cuda.gridsize(1)):
        value = relu(gates[n]) if rectified else tanh(gates[n])
        gates[n] = state[n] = out[n] = value


@kernel("int64, int64, T*, T*, T*, T*, T*, out T*, out T*", FLOATS, _formulas)
def _lstm_dx(size, hidden, gates, cells, before, grad, state_grad, cell_grad, gates_grad):
    """Bring the gradient of a step's state and cell to the sums of its gates, and to the cell before."""
    for n in range(cuda.grid(1), size, cuda.gridsize(1)):
        at = n + n // hidden * 3 * hidden
        one, d = T(1), state_grad[n] + grad[n]  # noqa: F821
        i, f, g, o = gates[at], gates[at + hidden], gates[at + 2 * hidden], gates[at + 3 * hidden]
        t = tanh(cells[n])
        dc = cell_grad[n] + d * o * (one - t * t)
        gates_grad[at] = dc * g * (i * (one - i))
        gates_grad[at + hidden] = dc * before[n] * (f * (one - f))
        gates_grad[at + 2 * hidden] = dc * i * (one - g * g)
        gates_grad[at + 3 * hidden] = d * t * (o * (one - o))
        cell_grad[n] = dc * f


@kernel("int64, int64, T*, T*, T*, T*, out T*, out T*, out T*", FLOATS)
def _gru_dx(size, hidden, gates, sums, before, grad, state_grad, gates_grad, sums_grad):
    """The same; what goes straight to the state before is left in `state_grad`."""
    for n in range(cuda.grid(1), size, cuda.gridsize(1)):
        at = n + n // hidden * 2 * hidden
        one, d = T(1), state_grad[n] + grad[n]  # noqa: F821
        r, z, new = gates[at], gates[at + hidden], gates[at + 2 * hidden]
        dn = d * (one - z) * (one - new * new)
        dr = dn * sums[at + 2 * hidden] * (r * (one - r))
        dz = d * (before[n] - new) * (z * (one - z))
        gates_grad[at], gates_grad[at + hidden], gates_grad[at + 2 * hidden] = dr, dz, dn
        sums_grad[at], sums_grad[at + hidden], sums_grad[at + 2 * hidden] = dr, dz, dn * r
        state_grad[n] = d * z


@kernel("int64, bool, T*, T*, T*, out T*", FLOATS)
def _rnn_dx(size, rectified, gates, grad, state_grad, gates_grad):
    """The same for a layer of one gate."""
    for n in range(cuda.grid(1), size, cuda.gridsize(1)):
        d, value = state_grad[n] + grad[n], gates[n]
        if rectified:
            gates_grad[n] = d if value > 0 else T(0)  # noqa: F821
        else:
            gates_grad[n] = d * (T(1) - value * value)  # noqa: F821


def _steps(sizes: tuple, from_the_end: bool) -> Iterator[tuple[int, slice]]:
    """Yield the size of each step and its rows."""
    start = sum(sizes) if from_the_end else 0
    for size in reversed(sizes) if from_the_end else sizes:
        first = start - size if from_the_end else start
        yield size, slice(first, first + size)
        start = first if from_the_end else first + size


def recurrent(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, sizes: tuple, backwards: bool, kind: str):
    """Run one direction of a recurrent layer over packed sequences.

    x: (rows, inputs), rows = sum(sizes); h0: (batch, hidden); c0 the same for an LSTM, else None; weights:
    (gates * hidden, inputs) and (gates * hidden, hidden); biases: (gates * hidden,) or None; kind:
    "RNN_TANH", "RNN_RELU", "LSTM" or "GRU". backwards: go from each sequence's last step to its first.

    Returns (states, kept): the states after each step, (rows, hidden), and below them those after the last
    step, (batch, hidden), for an LSTM also the cells; and what `recurrent_dx` needs.
    """
    rows, (batch, hidden) = len(x), h0.shape
    lstm, gru = kind == "LSTM", kind == "GRU"
    states = empty((rows + batch * (1 + lstm), hidden), x.dtype)
    out, state, cell = states[:rows], states[rows : rows + batch], states[rows + batch :]
    write(state, h0)
    cells = empty((rows if lstm else 0, hidden), x.dtype)
    if lstm:
        write(cell, c0)
    bias = bias_ih
    if bias_ih is not None and not gru:
        bias = forward("add", bias_ih, bias_hh)
    gates = linear(x, weight_ih, bias)
    sums = empty(gates.shape, x.dtype) if gru else gates
    for size, part in _steps(sizes, backwards):
        contract(state[:size], weight_hh.T, sums[part], 0, 1, bias_hh if gru else sums[part])
        count = size * hidden
        if lstm:
            _lstm.over(count, count, hidden, gates[part], state, cell, out[part], cells[part])
        elif gru:
            _gru.over(count, count, hidden, gates[part], sums[part], state, out[part])
        else:
            _rnn.over(count, count, kind == "RNN_RELU", gates[part], state, out[part])
    return states, (gates, sums, cells)


def states_before(states, first, sizes: tuple, backwards: bool) -> DeviceArray:
    """Return the state each step began with. states: (rows, hidden) after each; first: (batch, hidden)."""
    before = empty(states.shape, states.dtype)
    rows, batch = len(states), len(first)
    if len(sizes) and sizes[-1] == batch:  # equally long: the rows of all but one step, moved by a step
        if backwards:
            write(before[: rows - batch], states[batch:])
            write(before[rows - batch :], first)
        else:
            write(before[batch:], states[: rows - batch])
            write(before[:batch], first)
        return before
    start = 0
    for t, size in enumerate(sizes):
        part = before[start : start + size]
        if backwards:
            following = sizes[t + 1] if t + 1 < len(sizes) else 0
            write(part[:following], states[start + size : start + size + following])
            write(part[following:], first[following:size])
        elif t:
            write(part, states[start - sizes[t - 1] : start - sizes[t - 1] + size])
        else:
            write(part, first)
        start += size
    return before


def recurrent_dx(h0, c0, weight_hh, states, kept, grad, sizes: tuple, backwards: bool, kind: str):
    """Return the gradients of `recurrent` in (gates, sums, h0, c0), and the state that each step began with.

    gates: (rows, gates * hidden), what x @ weight_ih.T + bias_ih went into; sums: what state @ weight_hh.T +
    bias_hh went into, the same array unless `kind` is GRU. grad: of the shape of `states`.
    """
    gates, sums, cells = kept
    rows, (batch, hidden) = len(gates), h0.shape
    lstm, gru = kind == "LSTM", kind == "GRU"
    before = states_before(states[:rows], h0, sizes, backwards)
    cells_before = states_before(cells, c0, sizes, backwards) if lstm else before
    grad = contiguous(grad)
    state_grad, cell_grad = copy(grad[rows : rows + batch]), copy(grad[rows + batch :])
    gates_grad = empty(gates.shape, gates.dtype)
    sums_grad = empty(gates.shape, gates.dtype) if gru else gates_grad
    for size, part in _steps(sizes, not backwards):
        count = size * hidden
        if lstm:
            _lstm_dx.over(
                count, count, hidden, gates[part], cells[part], cells_before[part], grad[part], state_grad,
                cell_grad, gates_grad[part],
            )  # fmt: skip
        elif gru:
            _gru_dx.over(
                count, count, hidden, gates[part], sums[part], before[part], grad[part], state_grad,
                gates_grad[part], sums_grad[part],
            )  # fmt: skip
        else:
            _rnn_dx.over(
                count, count, kind == "RNN_RELU", gates[part], grad[part], state_grad, gates_grad[part]
            )
        # What a GRU hands straight on to the state before is in there already.
        goes_on = state_grad[:size]
        contract(sums_grad[part], weight_hh, goes_on, 0, 1, goes_on if gru else None)
    return gates_grad, sums_grad, state_grad, cell_grad if lstm else None, before
