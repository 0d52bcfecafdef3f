"""Recurrent layers: every step of one direction of one layer is one recorded operation.

A layer works on packed rows (`kernels.cpu.recurrent`): those of the first step, of the second, and so on.
"""

import itertools

from tensor.autograd import Operation, enable_grad
from tensor.autograd import grad as grad_of
from tensor.join import cat, stack
from tensor.products import linear


class Recurrence(Operation):
    """One direction of a layer: the states after each step, and below them those after the last."""

    gradients_in_words = ("grad, through time, from the last step to the first",)

    def forward(self, k, x, h0, *rest, kind, sizes, backwards):
        c0, weights = (rest[0], rest[1:]) if kind == "LSTM" else (None, rest)
        weight_ih, weight_hh, bias_ih, bias_hh = weights if len(weights) == 4 else (*weights, None, None)
        self.options = {"sizes": sizes, "backwards": backwards, "kind": kind}
        self.result, self.kept = k.recurrent(
            x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, **self.options
        )
        self.saved = (x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh)
        return self.result

    def backward(self, k, grad):
        x, h0, c0, weight_ih, weight_hh = self.saved[:5]
        gates_grad, sums_grad, h0_grad, c0_grad, before = k.recurrent_dx(
            h0, c0, weight_hh, self.result, self.kept, grad, **self.options
        )
        states = (h0_grad,) if c0 is None else (h0_grad, c0_grad)
        needs = self.needs[1 + len(states) :]
        weight_grads = (
            k.matmul(k.transpose(gates_grad), x) if needs[0] else None,
            k.matmul(k.transpose(sums_grad), before) if needs[1] else None,
        )
        biases = tuple(k.sum(g, (0,)) for g in (gates_grad, sums_grad)) if len(needs) == 4 else ()
        x_grad = k.matmul(gates_grad, weight_ih) if self.needs[0] else None
        return (x_grad, *states, *weight_grads, *biases)

    def backward_recorded(self, k, grad):
        # The kernel keeps the gates, of which the gradient would miss a part: they are computed anew, of
        # operations; from copies, since one tensor may be several of the inputs.
        saved = self.on_tensors(grad._wrap).saved
        with enable_grad():
            inputs = [t.clone() for t in saved if t is not None]
            states = 2 if self.options["kind"] == "LSTM" else 1
            out, ends = _by_steps(
                inputs[0], tuple(inputs[1 : 1 + states]), inputs[1 + states :], **self.options
            )
            wanted = [t for t, need in zip(inputs, self.needs, strict=True) if need]
            found = iter(grad_of(cat([out, *ends]), wanted, grad, create_graph=True, allow_unused=True))
        return tuple(next(found) if need else None for need in self.needs)

    def release(self) -> None:
        super().release()
        self.kept = None


class _Rows(Operation):
    """Some rows of the states, copied: what a user writes into them leaves the saved states alone."""

    written = "rows({0})"
    gradients_in_words = ("grad at the rows it shows, else 0",)

    def forward(self, k, states, first, last, shape, name):
        self.name, self.first, self.shape_before = name, first, states.shape
        self.last = last
        return k.copy(states[first:last]).reshape(shape)

    def backward(self, k, grad):
        rows, hidden = self.shape_before
        parts = [k.zeros((self.first, hidden), grad.dtype), grad.reshape(self.last - self.first, hidden)]
        parts.append(k.zeros((rows - self.last, hidden), grad.dtype))
        return (k.cat([p for p in parts if len(p)], 0),)


def _by_steps(x, state, weights, kind, sizes, backwards, dense=False):
    """Run one direction of a layer step by step, of ordinary operations; takes and returns as `run_layer`.

    dense: the steps are as long as each other, and the outputs have a dim for them.
    """
    projects = len(weights) % 2 == 1
    weight_ih, weight_hh, *biases = weights[:-1] if projects else weights
    bias_ih, bias_hh = biases or (None, None)
    gates = linear(x, weight_ih, bias_ih)
    starts = [0, *itertools.accumulate(sizes)]
    outputs = {}
    for t in reversed(range(len(sizes))) if backwards else range(len(sizes)):
        size = sizes[t]
        sums = linear(state[0][:size], weight_hh, bias_hh)
        new = _STEPS[kind](gates[starts[t] : starts[t + 1]], sums, *[s[:size] for s in state])
        if projects:
            new = (linear(new[0], weights[-1]), *new[1:])
        outputs[t] = new[0]
        if size < state[0].shape[0]:  # some sequences do not have this step
            new = tuple(cat([n, s[size:]]) for n, s in zip(new, state, strict=True))
        state = new
    ordered = [outputs[t] for t in range(len(sizes))]
    return (stack(ordered) if dense else cat(ordered)), state


def _lstm_step(gates, sums, h, c):
    i, f, g, o = (gates + sums).chunk(4, 1)
    new_c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * new_c.tanh(), new_c


def _gru_step(gates, sums, h):
    (r, z, new), (by_r, by_z, by_new) = gates.chunk(3, 1), sums.chunk(3, 1)
    new = (new + (r + by_r).sigmoid() * by_new).tanh()
    return (new + (z + by_z).sigmoid() * (h - new),)


_STEPS = {
    "LSTM": _lstm_step,
    "GRU": _gru_step,
    "RNN_TANH": lambda gates, sums, h: ((gates + sums).tanh(),),
    "RNN_RELU": lambda gates, sums, h: ((gates + sums).relu(),),
}


def run_layer(
    x, state, weights, kind, sizes, backwards=False, shape=None, name="Stack", end_names=("Slice", "Slice")
):
    """Run one direction of a layer; returns (outputs, last state), a pair of states for an LSTM.

    x: (rows, inputs), packed by `sizes`; state: (h0,) or (h0, c0), each (batch, hidden); weights: (weight_ih,
    weight_hh), then bias_ih and bias_hh if there are any, then weight_hr if an LSTM projects its states;
    shape: of the outputs, by default (rows, hidden); name, end_names: of the
    grad_fn of the outputs and of the last states.
    """
    if len(weights) % 2:
        return _by_steps(x, state, weights, kind, sizes, backwards, shape is not None)
    states = Recurrence.apply(x, *state, *weights, kind=kind, sizes=sizes, backwards=backwards)
    rows, (batch, hidden) = x.shape[0], state[0].shape
    out = _Rows.apply(states, first=0, last=rows, shape=shape or (rows, hidden), name=name)
    ends = tuple(
        _Rows.apply(states, first=at, last=at + batch, shape=(batch, hidden), name=end)
        for end, at in zip(end_names, range(rows, states.shape[0], batch), strict=False)
    )
    return out, ends
