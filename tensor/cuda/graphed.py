"""Functions and modules whose forward and backward passes are CUDA graphs: `make_graphed_callables`."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from tensor import nn
from tensor.autograd import grad
from tensor.autograd.function import Function, once_differentiable
from tensor.creation import empty_like
from tensor.cuda.devices import driver
from tensor.cuda.graphs import CUDAGraph, graph, graph_pool_handle
from tensor.cuda.streams import Stream, stream
from tensor.engine import Tensor
from tensor.trees import flatten, like

_NAME = "make_graphed_callables"


class _Graphed:
    """One callable: what its graphs read and write, at places that do not change.

    inputs: the sample arguments, flat, then the parameters.
    """

    def __init__(self, function: Callable, arguments: tuple):
        _check(function, arguments)
        self.function, self.arguments = function, arguments
        self.given = flatten(arguments)
        parameters = list(function.parameters()) if isinstance(function, nn.Module) else []
        self.parameters, self.inputs = parameters, [*self.given, *parameters]
        self.wanted = [t for t in self.inputs if t.requires_grad]
        self.forward, self.backward = CUDAGraph(), CUDAGraph()
        self.result: Any = None
        self.outputs: list[Tensor] = []
        self.grads_out: list[Tensor | None] = []
        self.grads_in: list[Tensor | None] = []

    def warm_up(self, allow_unused: bool) -> None:
        """Run both passes, as they are."""
        differentiated = [t for t in flatten(self.function(*self.arguments)) if t.requires_grad]
        if differentiated and self.wanted:
            self._differentiate(differentiated, [empty_like(t) for t in differentiated], allow_unused)

    def _differentiate(self, outputs: list[Tensor], grads: list[Tensor], allow_unused: bool) -> tuple:
        return grad(outputs, self.wanted, grads, allow_unused=allow_unused)

    def capture_forward(self, pool: Any) -> None:
        """Capture the forward pass; keep what it returns."""
        with graph(self.forward, pool=pool):
            self.result = self.function(*self.arguments)
        self.outputs = flatten(self.result)
        if not self.outputs:
            raise RuntimeError(f"{_NAME}: expected a callable that returns tensors, got {self.result!r:.60}")

    def capture_backward(self, pool: Any, allow_unused: bool) -> None:
        """Capture the backward pass, from gradients of the outputs to those of the inputs."""
        self.grads_out = [empty_like(t) if t.requires_grad else None for t in self.outputs]
        differentiated = [t for t in self.outputs if t.requires_grad]
        found: dict[int, Tensor | None] = {}
        if differentiated and self.wanted:
            given = [g for g in self.grads_out if g is not None]
            with graph(self.backward, pool=pool):
                grads = self._differentiate(differentiated, given, allow_unused)
            found = {id(t): g for t, g in zip(self.wanted, grads, strict=True)}
        self.grads_in = [found.get(id(t)) for t in self.inputs]
        self.outputs = [t.detach() for t in self.outputs]  # the graph of the capture is used up
        self.result = like(self.result, self.outputs)

    def __call__(self, *arguments: Any) -> Any:
        """Copy new arguments to where the graph reads them, and replay it; return new tensors."""
        given = flatten(arguments)
        self._check_arguments(given)
        outputs = _Replay.apply(self, *given, *self.parameters)
        return like(self.result, outputs)

    def _check_arguments(self, given: list[Tensor]) -> None:
        repair = "call with such arguments, or make a graph for these, too"
        if len(given) != len(self.given):
            raise TypeError(
                f"{_NAME}: captured with {len(self.given)} tensors, called with {len(given)}; {repair}"
            )
        for n, (new, kept) in enumerate(zip(given, self.given, strict=True)):
            if _describe(new) != _describe(kept):
                raise RuntimeError(
                    f"{_NAME}: argument {n} was captured as {_describe(kept)}, and is called as "
                    f"{_describe(new)}; {repair}"
                )
            if new.requires_grad and not kept.requires_grad:
                raise RuntimeError(
                    f"{_NAME}: argument {n} was captured without requires_grad, so it gets no gradient; "
                    "capture with sample_args that require it, or detach() the argument"
                )


def _describe(t: Tensor) -> str:
    return f"{tuple(t.shape)} {t.dtype} on {t.device}"


class _Replay(Function):
    """The passes of a callable as one operation."""

    @staticmethod
    def forward(ctx: Any, graphed: _Graphed, *inputs: Tensor) -> tuple:
        ctx.graphed = graphed
        for kept, new in zip(graphed.given, inputs, strict=False):
            if new.data_ptr() != kept.data_ptr():
                kept.copy_(new)
        graphed.forward.replay()
        outputs = tuple(t.detach() for t in graphed.outputs)
        pairs = zip(outputs, graphed.grads_out, strict=True)
        ctx.mark_non_differentiable(*[t for t, g in pairs if g is None])
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        graphed = ctx.graphed
        for kept, new in zip(graphed.grads_out, grads, strict=True):
            if kept is not None and new.data_ptr() != kept.data_ptr():
                kept.copy_(new)
        graphed.backward.replay()
        return (None, *[None if g is None else g.detach() for g in graphed.grads_in])


def _check(function: Callable, arguments: tuple) -> None:
    """Raise for a callable or for sample arguments that no graph can be made of."""
    if isinstance(function, nn.Module):
        if function._backward_hooks or function._forward_hooks or function._forward_pre_hooks:
            raise RuntimeError(
                f"{_NAME}: Modules must not have hooks registered at the time they are passed; registering "
                "hooks afterwards is allowed"
            )
        if any(buffer.requires_grad for buffer in function.buffers()):
            raise RuntimeError(
                f"{_NAME}: only parameters may be trainable, but a buffer has requires_grad=True"
            )
    if not isinstance(arguments, tuple):
        raise TypeError(f"{_NAME}: expected sample_args, a tuple of tensors, got {type(arguments).__name__}")
    for t in [*_others(arguments), *flatten(arguments)]:
        if not isinstance(t, Tensor) or not t.is_cuda:
            what = f"a tensor on {t.device}" if isinstance(t, Tensor) else repr(t)
            raise TypeError(f"{_NAME}: sample_args must contain only Tensors of the GPU, got {what:.60}")


def _others(tree: Any) -> list:
    """Return what is no tensor in a tree."""
    if isinstance(tree, dict):
        return [x for part in tree.values() for x in _others(part)]
    if isinstance(tree, tuple | list):
        return [x for part in tree for x in _others(part)]
    return [] if isinstance(tree, Tensor) else [tree]


def make_graphed_callables(
    callables: Any,
    sample_args: Any,
    num_warmup_iters: int = 3,
    allow_unused_input: bool = False,
    pool: Any = None,
) -> Any:
    """Return callables whose forward and backward passes are replays of CUDA graphs.

    callables: a function or a module, or a tuple of them, in the order they will be called in. sample_args: a
    tuple of tensors for it, or a tuple of such tuples: real arguments must have the same shapes, dtypes and
    device, and require gradients where those do. They are copied into the samples, and what is returned is
    overwritten by the next call. A module is returned itself: its `forward` replays while it is in the mode,
    training or not, in which it was captured. num_warmup_iters: how often each runs before.
    allow_unused_input: let inputs have no gradient that the outputs do not depend on. pool: memory to share
    with other graphs. Returned callables cannot be differentiated twice.
    """
    driver(_NAME).synchronize()
    several = isinstance(callables, tuple)
    functions, samples = (callables, sample_args) if several else ((callables,), (sample_args,))
    if len(functions) != len(samples):
        raise ValueError(
            f"{_NAME}: expected sample_args for each of {len(functions)} callables, got {len(samples)}"
        )
    made = [_Graphed(function, arguments) for function, arguments in zip(functions, samples, strict=True)]
    _warm_up(made, num_warmup_iters, allow_unused_input)
    memory = graph_pool_handle() if pool is None else pool
    # In the order of the replays, so that what one pass leaves for another stays until then.
    for graphed in made:
        graphed.capture_forward(memory)
    for graphed in reversed(made):
        graphed.capture_backward(memory, allow_unused_input)
    returned = [_put_into(graphed) for graphed in made]
    return tuple(returned) if several else returned[0]


def _warm_up(made: Sequence[_Graphed], times: int, allow_unused: bool) -> None:
    here = Stream()
    with stream(here):
        for graphed in made:
            for _ in range(times):
                graphed.warm_up(allow_unused)
    here.synchronize()


def _put_into(graphed: _Graphed) -> Any:
    """Return what replays: the module with another `forward`, or the graphed function."""
    module = graphed.function
    if not isinstance(module, nn.Module):
        return graphed
    module.forward = _Forward(graphed)
    return module


class _Forward:
    """What replays instead of a module's forward; copies of the module, which have other weights, do not."""

    def __init__(self, graphed: _Graphed):
        module: Any = graphed.function
        self._graphed, self._module = graphed, module
        self._was_training, self._plain = module.training, module.forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._module.training != self._was_training:
            return self._plain(*args, **kwargs)
        if kwargs:
            named = ", ".join(kwargs)
            raise TypeError(f"{_NAME}: give arguments in the order of sample_args, not by name: {named}")
        return self._graphed(*args)

    def __deepcopy__(self, memo: dict) -> Any:
        return deepcopy(self._plain, memo)

    def __reduce__(self) -> Any:
        raise TypeError(f"{_NAME}: a CUDA graph cannot be saved; save the module's state_dict()")
