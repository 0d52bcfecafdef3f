"""A training step that is captured as a CUDA graph: after the first batches each is one replay."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tensor import nn
from tensor.creation import tensor as make_tensor
from tensor.cuda.graphs import CUDAGraph, graph
from tensor.devices import device as Device
from tensor.dtypes import float64
from tensor.engine import Tensor
from tensor.feeding import Batches
from tensor.optim import Optimizer


class CapturedStep:
    """Learns a batch: the first one as ever, which compiles kernels; whole ones by replays of the second.

    learn(x, y): what is done with a batch. Batches of fewer rows than `batches` has at once, such as the last
    one of an epoch, are learned as ever. What a batch lies in is that of the captured one, which `batches`
    fills anew.
    """

    def __init__(self, learn: Callable[[Tensor, Tensor], Any], model: nn.Module, batches: Batches):
        self._learn, self._batches, self._graph = learn, batches, CUDAGraph()
        self._parameters = list(model.parameters())
        self._grads: list[Tensor | None] = []
        self._is_warm = False

    def __call__(self, x: Tensor, y: Tensor) -> None:
        """Learn a batch."""
        if len(y) < self._batches.size or not self._is_warm:
            self._learn(x, y)
            self._is_warm = self._is_warm or len(y) == self._batches.size
            return
        if self._batches.into is None:
            self._batches.into = x, y
            with graph(self._graph):
                self._learn(x, y)
            self._grads = [p.grad for p in self._parameters]
        for kept, new in zip(self._batches.into, (x, y), strict=True):
            if new is not kept:
                kept.copy_(new)
        for p, grad in zip(self._parameters, self._grads, strict=True):
            p.grad = grad  # a smaller batch has put its own there
        self._graph.replay()


@contextmanager
def steps_on_gpu(optimizer: Optimizer, device: Device) -> Iterator[None]:
    """Let an optimiser count its steps, and keep its learning rate, where a CUDA graph finds them."""
    before = [(group, group.get("capturable")) for group in optimizer.param_groups]
    for group, capturable in before:
        if capturable is not None:
            group["capturable"] = True
        group["lr"] = make_tensor(float(group["lr"]), dtype=float64, device=device)
    try:
        yield
    finally:
        for group, capturable in before:
            if capturable is not None:
                group["capturable"] = capturable
            group["lr"] = float(group["lr"])
