"""Recurrent layers: every step of one direction of one layer is one recorded operation.

A layer works on packed rows (`kernels.cpu.recurrent`): those of the first step, of the second, and so on.
"""

from tensor.autograd import Operation


class Recurrence(Operation):
    """One direction of a layer: the states after each step, and below them those after the last."""

    def forward(self, k, x, h0, *rest, kind, sizes, backwards):
        c0, weights = (rest[0], rest[1:]) if kind == "LSTM" else (None, rest)
        weight_ih, weight_hh, bias_ih, bias_hh = weights if len(weights) == 4 else (*weights, None, None)
        self.options = {"sizes": sizes, "backwards": backwards, "kind": kind}
        self.result, self.kept = k.recurrent(
            x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, **self.options
        )
        self.saved = (x, h0, c0, weight_ih, weight_hh)
        return self.result

    def backward(self, k, grad):
        x, h0, c0, weight_ih, weight_hh = self.saved
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


def run_layer(x, state, weights, kind, sizes, backwards=False, shape=None, name="Stack"):
    """Run one direction of a layer; returns (outputs, last state), a pair of states for an LSTM.

    x: (rows, inputs), packed by `sizes`; state: (h0,) or (h0, c0), each (batch, hidden); weights: (weight_ih,
    weight_hh) or with (bias_ih, bias_hh); shape: of the outputs, by default (rows, hidden).
    """
    states = Recurrence.apply(x, *state, *weights, kind=kind, sizes=sizes, backwards=backwards)
    rows, (batch, hidden) = x.shape[0], state[0].shape
    out = _Rows.apply(states, first=0, last=rows, shape=shape or (rows, hidden), name=name)
    ends = tuple(
        _Rows.apply(states, first=at, last=at + batch, shape=(batch, hidden), name="Slice")
        for at in range(rows, states.shape[0], batch)
    )
    return out, ends
