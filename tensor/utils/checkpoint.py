"""Saving memory: what a part of a model saves for backward is computed once more in the backward pass."""

import warnings
import weakref
from collections.abc import Callable

from tensor import random
from tensor.autograd import Function, Operation, backward, enable_grad, is_grad_enabled
from tensor.autograd.grad_mode import is_run_for_inputs
from tensor.autograd.operation import next_sequence

_KEPT = frozenset(
    ["edges", "needs", "sequence", "shape", "dtype", "_kernels", "hooks", "retained", "around", "traceback"]
) | {"notes", "label", "backward", "backward_recorded", "source", "number", "outputs", "inner"}
"""What a node keeps while it has forgotten the rest: its place in the graph."""


def checkpoint(
    function,
    *args,
    use_reentrant: bool | None = None,
    context_fn=None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs,
):
    """Return function(*args, **kwargs); what it saves for backward is forgotten, and computed anew there.

    use_reentrant: False recomputes when the first of its operations is run backward, and goes with
    everything else; True, which None stands for with a warning, runs a backward pass within the backward
    pass, only adds up into `.grad`, and takes tensors in args only. preserve_rng_state: the second run draws
    the same random numbers. early_stop: here the second run is a whole one in any case.
    """
    if context_fn is not None or debug:
        raise NotImplementedError("checkpoint: context_fn and debug are not supported; leave them out")
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of ['default', 'none'], but got {determinism_check}"
        )
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly; it is True "
            "without it. use_reentrant=False is recommended.",
            UserWarning,
            stacklevel=2,
        )
        use_reentrant = True
    if use_reentrant:
        if not any(hasattr(a, "_array") and a.requires_grad for a in args):
            warnings.warn(
                "None of the inputs have requires_grad=True. Gradients will be None",
                UserWarning,
                stacklevel=2,
            )
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        return CheckpointFunction.apply(function, preserve_rng_state, *args)
    return _checkpoint(function, args, kwargs, preserve_rng_state)


def checkpoint_sequential(functions, segments, input, use_reentrant=None, preserve_rng_state=True):
    """Run modules one after the other, in `segments` parts of which all but the last are checkpointed."""
    functions = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(functions) // segments

    def part(start, end):
        def run(x):
            for function in functions[start:end]:
                x = function(x)
            return x

        return run

    end = 0
    for start in range(0, size * (segments - 1), size):
        end = start + size
        input = checkpoint(
            part(start, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state
        )
    return part(end, len(functions))(input)


class _Again:
    """A second run, with the random numbers of the first."""

    def __init__(self, function: Callable, preserve_rng_state: bool):
        self.function = function
        self.state = random.states() if preserve_rng_state else None

    def __call__(self, *args, **kwargs):
        with enable_grad():
            if self.state is None:
                return self.function(*args, **kwargs)
            now = random.states()
            random.set_states(self.state)
            try:
                return self.function(*args, **kwargs)
            finally:
                random.set_states(now)


def _detached(value):
    return value.detach().requires_grad_(value.requires_grad) if hasattr(value, "_array") else value


class CheckpointFunction(Function):
    @staticmethod
    def forward(ctx, function, preserve_rng_state, *args):
        ctx.again = _Again(function, preserve_rng_state)
        ctx.others = [None if hasattr(a, "_array") else a for a in args]
        ctx.save_for_backward(*[a if hasattr(a, "_array") else None for a in args])
        return function(*args)

    @staticmethod
    def backward(ctx, *grads):
        if is_run_for_inputs():
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an "
                "`inputs` parameter to .backward(). To resolve this error, you can either set "
                "use_reentrant=False, or call .backward() without passing the `inputs` argument."
            )
        pairs = zip(ctx.saved_tensors, ctx.others, strict=True)
        args = [other if t is None else _detached(t) for t, other in pairs]
        outputs = ctx.again(*args)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        roots = [
            (out, g)
            for out, g in zip(outputs, grads, strict=True)
            if hasattr(out, "_array") and out.requires_grad
        ]
        if not roots:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        backward([out for out, _ in roots], [g for _, g in roots])
        return None, None, *[a.grad if hasattr(a, "_array") else None for a in args]


# --- without a backward pass within the backward pass -------------------------------------------------


def _checkpoint(function, args, kwargs, preserve_rng_state):
    if not is_grad_enabled():
        return function(*args, **kwargs)
    again = _Again(function, preserve_rng_state)
    start = next_sequence()
    output = function(*args, **kwargs)
    nodes = _nodes_since(start, output)
    if nodes:
        _Region(nodes, again, args, kwargs)
    return output


def _tensors(tree) -> list:
    if hasattr(tree, "_array"):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, tuple | list) else ()
    return [t for part in parts for t in _tensors(part)]


def _nodes_since(start: int, output) -> list:
    """Return the nodes behind the output that were recorded since `start`, in that order."""
    found: dict[int, Operation] = {}
    waiting = [t.grad_fn for t in _tensors(output) if t.grad_fn is not None]
    while waiting:
        node = waiting.pop()
        if id(node) not in found and node.sequence >= start:
            found[id(node)] = node
            waiting.extend(edge for edge in node.recorded_parents if isinstance(edge, Operation))
    return sorted(found.values(), key=lambda node: node.sequence)


class _Region:
    """The nodes of one checkpoint: they forget what they saved, until one of them is to run backward."""

    def __init__(self, nodes: list, again: _Again, args: tuple, kwargs: dict):
        self.again, self.args, self.kwargs = again, args, kwargs
        self.nodes = [weakref.ref(node) for node in nodes]
        self.kinds = [type(node) for node in nodes]
        for node in nodes:
            _forget(node)
            node.__dict__["check_saved"] = self.remember

    def remember(self) -> None:
        """Run the function again, and give every node what its twin has saved."""
        start = next_sequence()
        args = [_detached(a) for a in self.args]
        kwargs = {name: _detached(value) for name, value in self.kwargs.items()}
        twins = _nodes_since(start, self.again(*args, **kwargs))
        if [type(twin) for twin in twins] != self.kinds:
            raise RuntimeError(
                "checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation: {len(self.kinds)} operations were recorded, then {len(twins)}; the function "
                "must do the same both times"
            )
        for twin in twins:
            if "check_saved" in twin.__dict__:  # of a checkpoint within this one
                twin.check_saved()
        for reference, twin in zip(self.nodes, twins, strict=True):
            node = reference()
            if node is not None:
                node.__dict__.pop("check_saved", None)
                _restore(node, twin)


def _forget(node: Operation) -> None:
    kept = {name: value for name, value in node.__dict__.items() if name in _KEPT}
    node.__dict__.clear()
    node.__dict__.update(kept)
    if "inner" in kept:
        _forget(kept["inner"])


def _restore(node: Operation, twin: Operation) -> None:
    node.__dict__.update({name: value for name, value in twin.__dict__.items() if name not in _KEPT})
    if "ctx" in twin.__dict__:
        node.__dict__["ctx"]._node = weakref.ref(node)
    if "inner" in twin.__dict__:
        _restore(node.__dict__["inner"], twin.__dict__["inner"])
