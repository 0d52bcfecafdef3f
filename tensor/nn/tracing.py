"""Looking at a model while it computes: which module recorded which operation."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from micro.trace import Kind, Trace, Tracer, results_in, trace_call
from tensor.autograd.grad_mode import no_grad
from tensor.autograd.keeping import Leaf, is_keeping_values, node_of, watching
from tensor.engine import Tensor
from tensor.random import fork_rng


class TensorTracer(Tracer):
    """How modules of tensors are looked at; the engine tells of every operation as it happens."""

    node_type = Tensor

    def modules(self, model: Any) -> Iterator[tuple[str, Any]]:
        return model.named_modules()

    def parameters(self, model: Any) -> Iterator[tuple[str, Any]]:
        yield from model.named_parameters()
        yield from model.named_buffers()

    def count(self, module: Any) -> tuple[int, int]:
        sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
        return sum(size for size, _ in sizes), sum(size for size, trained in sizes if trained)

    def node_of(self, result: Any) -> Any:
        return node_of(result, is_keeping_values())

    def owner(self, node: Any) -> Any:
        return node.tensor if isinstance(node, Leaf) else node

    def tell_name(self, node: Any, name: str) -> None:
        if isinstance(node, Leaf):
            node.given_name = name
            if node.kind == "constant":  # a number that is given to the model is one of its inputs
                node.kind = "input"

    def describe(self, tree: Any) -> Iterator[Kind]:
        for _, t in results_in(tree, self):
            yield Kind(tuple(t.shape), t.dtype)

    def signature(self, model: Any) -> inspect.Signature:
        return inspect.signature(model.forward)

    def recording(self, claim: Callable[[Any], None]) -> AbstractContextManager[Any]:
        return watching(claim)


def trace(model: Any, args: tuple, kwargs: dict) -> Trace:
    """Call a module once and return what was computed, module by module.

    Its buffers, such as running means, and the state of the random numbers are what they were: one looks.
    """
    with fork_rng(), _keeping_buffers(model):
        return trace_call(model, args, kwargs, TensorTracer())


@contextmanager
def _keeping_buffers(model: Any) -> Iterator[None]:
    """Give the buffers of a module and of those below it back their values at the end."""
    before = [
        (module._buffers, name, buffer, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    try:
        yield
    finally:
        with no_grad():
            for buffers, name, buffer, values in before:
                buffers[name] = buffer.copy_(values)
