"""Recurrent networks: RNN, LSTM and GRU over sequences, and their cells for one step."""

import math
import numbers
import warnings

from tensor import creation, join, recurrent
from tensor.dropout import dropout as drop
from tensor.nn import init
from tensor.nn.module import Module
from tensor.nn.parameter import Parameter
from tensor.nn.utils.rnn import PackedSequence

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


def _check_options(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size) -> None:
    if not isinstance(dropout, numbers.Number) or isinstance(dropout, bool) or not 0 <= dropout <= 1:  # type: ignore[operator]
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an element being "
            f"zeroed, got {dropout!r}"
        )
    if dropout > 0 and num_layers == 1:  # type: ignore[operator]
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
            f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
            stacklevel=4,
        )
    for name, value in (("bias", bias), ("batch_first", batch_first)):
        if not isinstance(value, bool):
            raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")
    for name, value in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(value, int):
            raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
        if value <= 0:
            raise ValueError(f"{name} must be greater than zero, got {value}")
    if num_layers <= 0:
        raise ValueError(f"num_layers must be greater than zero, got {num_layers}")
    if proj_size < 0:
        raise ValueError(
            f"proj_size should be a positive integer or zero to disable projections, got {proj_size}"
        )
    if proj_size >= hidden_size:
        raise ValueError(f"proj_size has to be smaller than hidden_size, got {proj_size}")


class RNNBase(Module):
    """What RNN, LSTM and GRU share: layers in two directions, and the parameters of each.

    Of layer n: weight_ih_l{n} (gates * hidden_size, inputs), weight_hh_l{n} (gates * hidden_size,
    hidden_size), bias_ih_l{n}, bias_hh_l{n}, and the same with `_reverse`. All start uniform in [-k, k],
    k = 1 / sqrt(hidden_size).
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
    ):
        super().__init__()
        _check_options(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        self.mode = mode
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        rows, state = _GATES[mode] * hidden_size, proj_size or hidden_size
        self._all_weights = []
        for layer in range(num_layers):
            inputs = state * (2 if bidirectional else 1) if layer else input_size
            sizes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, state)}
            if bias:
                sizes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if proj_size:
                sizes["weight_hr"] = (proj_size, hidden_size)
            for suffix in ("", "_reverse") if bidirectional else ("",):
                names = {f"{name}_l{layer}{suffix}": size for name, size in sizes.items()}
                for name, size in names.items():
                    setattr(self, name, Parameter(creation.empty(size, device=device, dtype=dtype)))
                self._all_weights.append(list(names))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, in order."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: the weights need not lie side by side here; accepted as in PyTorch."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[self._parameter(name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [weight for weights in self.all_weights for weight in weights]

    # --- the arguments of forward -----------------------------------------------------------------------

    def _check_input(self, input, dims: int) -> None:
        weight = self._parameter("weight_ih_l0")
        if input.dtype is not weight.dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype!r}) does not match weight dtype ({weight.dtype!r}). Convert "
                f"input: input.to({weight.dtype!r}), or convert model: model.to({input.dtype!r})"
            )
        if input.ndim != dims:
            raise RuntimeError(f"input must have {dims} dimensions, got {input.ndim}")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got "
                f"{input.shape[-1]}"
            )

    def _check_dims(self, states: tuple, batched: bool) -> None:
        dims, kind = (3, "batched 3-D") if batched else (2, "unbatched 2-D")
        if any(s.ndim != dims for s in states):
            got = ", ".join(f"{s.ndim}-D" for s in states)
            names, got = ("hx", got) if len(states) == 1 else ("hx and cx", f"({got})")
            raise RuntimeError(f"For {kind} input, {names} should also be {dims}-D but got {got} tensors")

    def _make_states(self, hx, batch: int, like) -> tuple:
        """Return the states to begin with, (layers * directions, batch, size) each: `hx`, or zeros."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [self.proj_size or self.hidden_size, self.hidden_size][: 2 if self.mode == "LSTM" else 1]
        if hx is None:
            return tuple(like.new_zeros((count, batch, size)) for size in sizes)
        for n, (state, size) in enumerate(zip(hx, sizes, strict=True)):
            expected = (count, batch, size)
            if tuple(state.shape) != expected:
                which = f"hidden[{n}]" if len(hx) == 2 else "hidden"
                raise RuntimeError(f"Expected {which} size {expected}, got {list(state.shape)}")
        return tuple(hx)

    # --- running --------------------------------------------------------------------------------------

    def _run(self, rows, states: tuple, sizes: tuple[int, ...], dense: bool):
        """Run all layers on packed rows; returns their outputs and the last states of each."""
        ends: list[tuple] = []
        plain = self.mode != "LSTM" or rows.dtype.itemsize != 4
        for layer in range(self.num_layers):
            if layer and self.dropout:
                rows = drop(rows, self.dropout, self.training)
            outputs = []
            for direction in range(2 if self.bidirectional else 1):
                number = len(ends)
                state = tuple(s[number] for s in states)
                out, end = recurrent.run_layer(
                    rows.reshape(-1, rows.shape[-1]),
                    state,
                    self.all_weights[number],
                    self.mode,
                    sizes,
                    backwards=direction == 1,
                    shape=(len(sizes), sizes[0], -1) if dense else None,
                    name="Cat" if not dense else "Stack" if plain else "MkldnnRnnLayer",
                )
                outputs.append(out)
                ends.append(end)
            rows = outputs[0] if len(outputs) == 1 else join.cat(outputs, -1)
        return rows, tuple(join.stack(list(parts)) for parts in zip(*ends, strict=True))

    def _forward(self, input, hx):
        """Run on a padded batch, one sequence, or a PackedSequence; hx: None or a tuple of states."""
        if isinstance(input, PackedSequence):
            data, batch_sizes, order, places = input
            self._check_input(data, 2)
            sizes = tuple(batch_sizes.tolist())
            states = self._make_states(hx, sizes[0], data)
            if hx is not None and order is not None:
                states = tuple(s.index_select(1, order) for s in states)
            out, ends = self._run(data, states, sizes, dense=False)
            if places is not None:
                ends = tuple(e.index_select(1, places) for e in ends)
            return PackedSequence(out, batch_sizes, order, places), ends
        if input.ndim not in (2, 3):
            kind = self.mode.partition("_")[0]
            raise ValueError(f"{kind}: Expected input to be 2D or 3D, got {input.ndim}D instead")
        batched, batch_dim = input.ndim == 3, 0 if self.batch_first else 1
        if hx is not None:
            self._check_dims(hx, batched)
        if not batched:
            input = input.unsqueeze(batch_dim)
            hx = None if hx is None else tuple(s.unsqueeze(1) for s in hx)
        self._check_input(input, 3)
        if self.batch_first:
            input = input.transpose(0, 1)
        steps, batch = input.shape[:2]
        states = self._make_states(hx, batch, input)
        if not steps:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        out, ends = self._run(input, states, (batch,) * steps, dense=True)
        if self.batch_first:
            out = out.transpose(0, 1) if self.mode == "LSTM" else out.transpose_(0, 1)  # grad_fn's digit
        if not batched:
            return out.squeeze(batch_dim), tuple(e.squeeze(1) for e in ends)
        return out, ends

    def forward(self, input, hx=None):
        """Return (outputs of the last layer, last states (layers * directions, batch, hidden_size)).

        input: (steps, batch, input_size), with batch_first (batch, steps, input_size), for one sequence
        (steps, input_size), or a PackedSequence. hx: the states to begin with; zeros by default.
        """
        out, ends = self._forward(input, None if hx is None else (hx,))
        return out, ends[0]

    def extra_repr(self) -> str:
        """Return the sizes, and the options that are not the defaults."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0}
        for name, default in {**defaults, "bidirectional": False}.items():
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


class RNN(RNNBase):
    """h' = tanh(x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh), step by step (Elman 1990).

    nonlinearity: "tanh" or "relu". See RNNBase for the parameters, its forward for the shapes.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device=None,
        dtype=None,
    ):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), with a forget gate (Gers et al. 2000).

    The gates stand in the order input, forget, cell, output. proj_size: the size that outputs and states are
    brought to by a matrix weight_hr (Sak et al. 2014); 0 for none.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
    ):
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def forward(self, input, hx=None):
        """Return (outputs of the last layer, (last states, last cells)); hx: the pair to begin with."""
        return self._forward(input, None if hx is None else (hx[0], hx[1]))


class GRU(RNNBase):
    """Gated recurrent unit (Cho et al. 2014); the gates stand in the order reset, update, new.

    As in PyTorch the reset gate multiplies h @ weight_hh.T + bias_hh, not h.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device=None,
        dtype=None,
    ):
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )


class RNNCellBase(Module):
    """What the cells share: weight_ih, weight_hh, bias_ih and bias_hh of one step."""

    mode = ""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device=None, dtype=None
    ):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(creation.empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(creation.empty((rows, hidden_size), device=device, dtype=dtype))
        if bias:
            self.bias_ih = Parameter(creation.empty(rows, device=device, dtype=dtype))
            self.bias_hh = Parameter(creation.empty(rows, device=device, dtype=dtype))
        else:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, in order, uniform in [-k, k], k = 1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _step(self, input, states: tuple | None, names: tuple) -> tuple:
        """Return the states after one step."""
        kind = type(self).__name__
        if input.ndim not in (1, 2):
            raise ValueError(f"{kind}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        for n, s in enumerate(states or ()):
            if s.ndim not in (1, 2):
                which = f"hx[{n}]" if self.mode == "LSTM" else "hidden"
                raise ValueError(f"{kind}: Expected {which} to be 1D or 2D, got {s.ndim}D instead")
        batched = input.ndim == 2
        rows = input if batched else input.unsqueeze(0)
        if states is None:
            zeros = rows.new_zeros((rows.shape[0], self.hidden_size))
            states = (zeros, zeros) if self.mode == "LSTM" else (zeros,)
        elif not batched:
            states = tuple(s.unsqueeze(0) for s in states)
        weights = [self._parameter("weight_ih"), self._parameter("weight_hh")]
        if self.bias:
            weights += [self._parameter("bias_ih"), self._parameter("bias_hh")]
        self._check_sizes(rows, states, weights[0].dtype)
        _, ends = recurrent.run_layer(rows, states, weights, self.mode, (len(rows),), end_names=names)
        return ends if batched else tuple(e.squeeze(0) for e in ends)

    def _check_sizes(self, rows, states, dtype) -> None:
        if rows.shape[1] != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {rows.shape[1]} expected {self.input_size}"
            )
        for s in states:
            if s.shape[0] != rows.shape[0]:
                raise RuntimeError(
                    f"Input batch size {rows.shape[0]} doesn't match hidden batch size {s.shape[0]}"
                )
            if s.shape[1] != self.hidden_size:
                raise RuntimeError(
                    f"hidden has inconsistent hidden_size: got {s.shape[1]}, expected {self.hidden_size}"
                )
        for t in (rows, *states):
            if t.dtype is not dtype:
                raise RuntimeError(
                    f"{type(self).__name__}: expected input and hidden of {dtype!r}, got {t.dtype!r}; use "
                    f".to({dtype!r})"
                )

    def extra_repr(self) -> str:
        """Return the sizes, and the options that are not the defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return text if nonlinearity == "tanh" else f"{text}, nonlinearity={nonlinearity}"


class RNNCell(RNNCellBase):
    """One step of an RNN. input: (batch, input_size) or (input_size,); hx likewise, zeros by default."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device=None,
        dtype=None,
    ):
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None):
        """Return the new state, (batch, hidden_size) or (hidden_size,)."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        self.mode = f"RNN_{self.nonlinearity.upper()}"
        return self._step(input, None if hx is None else (hx,), (self.nonlinearity.capitalize(),))[0]


class LSTMCell(RNNCellBase):
    """One step of an LSTM. input: (batch, input_size) or (input_size,); hx: (state, cell), or zeros."""

    mode = "LSTM"

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input, hx=None):
        """Return the new (state, cell), each (batch, hidden_size) or (hidden_size,)."""
        return self._step(input, hx, ("Mul", "Add"))


class GRUCell(RNNCellBase):
    """One step of a GRU. input: (batch, input_size) or (input_size,); hx likewise, zeros by default."""

    mode = "GRU"

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input, hx=None):
        """Return the new state, (batch, hidden_size) or (hidden_size,)."""
        return self._step(input, None if hx is None else (hx,), ("Add",))[0]
