"""Recurrent layers: every step of one direction of one layer is one recorded operation.

A layer works on packed rows (`kernels.cpu.recurrent`): those of the first step, of the second, and so on.
"""

import itertools

from tensor.autograd import Operation
from tensor.autograd import grad as gradients_of
from tensor.join import cat, stack
from tensor.products import linear


class Recurrence(Operation):
    """One direction of a layer: the states after each step, and below them those after the last."""

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
        # The gradient of the same steps made of ordinary operations, from points of their own in the graph.
        saved = [None if t is None else t.view_as(t) for t in self.on_tensors(grad._wrap).saved]
        states = _step_by_step(*saved, **self.options)
        wanted = [t for t in saved if t is not None]
        found = iter(gradients_of(states, [t for t in wanted if t.requires_grad], grad, create_graph=True))
        return tuple([next(found) if t.requires_grad else None for t in wanted])

    def release(self) -> None:
        super().release()
        self.kept = None


class _Rows(Operation):
    """Some rows of the states, copied: what a user writes into them leaves the saved states alone."""

    def forward(self, k, states, first, last, shape, name):
        self.name, self.first, self.shape_before = name, first, states.shape
        self.last = last
        return k.copy(states[first:last]).reshape(shape)

    def backward(self, k, grad):
        rows, hidden = self.shape_before
        parts = [k.zeros((self.first, hidden), grad.dtype), grad.reshape(self.last - self.first, hidden)]
        parts.append(k.zeros((rows - self.last, hidden), grad.dtype))
        return (k.cat([p for p in parts if len(p)], 0),)


def _step_by_step(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh, sizes, backwards, kind):
    """Return what `Recurrence` does, computed by ordinary operations."""
    gates = linear(x, weight_ih, bias_ih)
    starts = [0, *itertools.accumulate(sizes)]
    outputs = {}
    for t in reversed(range(len(sizes))) if backwards else range(len(sizes)):
        size = sizes[t]
        sums, state = linear(h[:size], weight_hh, bias_hh), h[:size]
        given = gates[starts[t] : starts[t + 1]]
        if kind == "LSTM":
            i, f, g, o = (given + sums).chunk(4, 1)
            new_c = f.sigmoid() * c[:size] + i.sigmoid() * g.tanh()
            outputs[t] = o.sigmoid() * new_c.tanh()
            c = cat([new_c, c[size:]])
        elif kind == "GRU":
            (r, z, n), (by_r, by_z, by_n) = given.chunk(3, 1), sums.chunk(3, 1)
            z = (z + by_z).sigmoid()
            outputs[t] = (n + (r + by_r).sigmoid() * by_n).tanh() * (1.0 - z) + state * z
        else:
            total = given + sums
            outputs[t] = total.relu() if "RELU" in kind.upper() else total.tanh()
        h = cat([outputs[t], h[size:]])
    ends = [h] if c is None else [h, c]
    return cat([*[outputs[t] for t in range(len(sizes))], *ends])


def _project(x, state, weights, sizes, backwards, dense):
    """Run one direction of an LSTM with projected states, step by step, of ordinary operations."""
    weight_ih, weight_hh, *biases, weight_hr = weights
    bias_ih, bias_hh = biases or (None, None)
    gates = linear(x, weight_ih, bias_ih)
    starts = [0, *itertools.accumulate(sizes)]
    (h, c), outputs = state, {}
    for t in reversed(range(len(sizes))) if backwards else range(len(sizes)):
        size = sizes[t]
        sums = gates[starts[t] : starts[t + 1]] + linear(h[:size], weight_hh, bias_hh)
        i, f, g, o = sums.chunk(4, 1)
        new_c = f.sigmoid() * c[:size] + i.sigmoid() * g.tanh()
        outputs[t] = linear(o.sigmoid() * new_c.tanh(), weight_hr)
        rest = size < h.shape[0]  # sequences that do not have this step
        h = cat([outputs[t], h[size:]]) if rest else outputs[t]
        c = cat([new_c, c[size:]]) if rest else new_c
    ordered = [outputs[t] for t in range(len(sizes))]
    return (stack(ordered) if dense else cat(ordered)), (h, c)


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
        return _project(x, state, weights, sizes, backwards, shape is not None)
    states = Recurrence.apply(x, *state, *weights, kind=kind, sizes=sizes, backwards=backwards)
    rows, (batch, hidden) = x.shape[0], state[0].shape
    out = _Rows.apply(states, first=0, last=rows, shape=shape or (rows, hidden), name=name)
    ends = tuple(
        _Rows.apply(states, first=at, last=at + batch, shape=(batch, hidden), name=end)
        for end, at in zip(end_names, range(rows, states.shape[0], batch), strict=False)
    )
    return out, ends
