"""The arrays of parameters and their state as one compiled call wants them."""

from itertools import pairwise

import numpy as np

from tensor.devices import device_of, is_capturing
from tensor.dtypes import float32
from tensor.engine import Tensor


class Batch:
    """Parameters of one element type that one kernel call changes: their arrays, and where these lie.

    It is good for as long as these very arrays are the parameters' and their state's (`is_current`): most
    steps find everything where the one before left it.
    """

    def __init__(self, names: tuple[str, ...], params, states, fresh):
        self.names, self.params, self.states = names, params, states
        self.fresh = np.array(fresh)  # (parameters,) bool: whose state was made for the coming step
        self.kernels = params[0]._kernels
        rows = [[p, *map(state.get, names)] for p, state in zip(params, states, strict=True)]
        # What was found, flat: these lists are compared at every step.
        self.found = [(tensor, tensor._array) for row in rows for tensor in row]
        self.entries: list[tuple[Tensor, dict, list]] = []
        if names:
            for row, state in zip(rows, states, strict=True):
                self.entries.append((row[0], state, list(zip(names, row[1:], strict=True))))
        self.copies: list[tuple] = []  # (array, copy) of what is not contiguous: worked on, then written back
        columns = [[self._in_order(tensor._array) for tensor in column] for column in zip(*rows, strict=True)]
        self.table = self.kernels.Arrays(*columns)

    def _in_order(self, array):
        if array.flags.c_contiguous:
            return array
        self.copies.append((array, self.kernels.copy(array)))
        return self.copies[-1][1]

    def is_current(self, names: tuple[str, ...], state: dict) -> bool:
        """Return whether no tensor and no array was replaced by another; `state` is the optimiser's."""
        if names != self.names:
            return False
        for tensor, array in self.found:
            if tensor._array is not array:
                return False
        for p, entries, tensors in self.entries:
            if state.get(p) is not entries:
                return False
            for name, tensor in tensors:
                if entries.get(name) is not tensor:
                    return False
        return True

    def read(self) -> list:
        """Return the gradients as contiguous arrays, checked; bring the copies up to date."""
        grads = []
        for p in self.params:
            array, grad = p._array, p._grad._array
            check_fit(array, grad)
            grads.append(grad if grad.flags.c_contiguous else self.kernels.copy(grad))
        for array, copy in self.copies:
            self.kernels.write(copy, array)
        return grads

    def count(self, capturable: bool = False):
        """Add one to the steps of each parameter, and return them: (parameters,) float64.

        They are counted on the host whatever the parameter's device: nothing waits for a GPU. capturable:
        there, by whoever takes the list of arrays that is returned, where the parameters are on a GPU.
        """
        if capturable and self.params[0].is_cuda:
            return [self._count_on_gpu(state) for state in self.states]
        counts = np.empty(len(self.params))
        for i, state in enumerate(self.states):
            if state["step"].is_cuda:  # put there by the user
                state["step"] = state["step"].cpu()
            step = state["step"]._array
            counts[i] = step[...] = step.item() + 1
        return counts

    def _count_on_gpu(self, state: dict):
        step = state["step"]
        if not step.is_cuda or step._array.dtype != np.float32:
            with self.kernels.graphs.at_once():
                state["step"] = step = step.to(self.params[0].device, float32)
        return step._array

    def rate(self, group: dict, capturable: bool = True):
        """Return a group's learning rate: a number, or an array of one float64 where it is on the GPU.

        capturable: whether the latter will do.
        """
        lr = group["lr"]
        if not isinstance(lr, Tensor) or not self.params[0].is_cuda or not capturable:
            return float(lr)
        if not lr.is_cuda:
            if is_capturing():
                raise RuntimeError(
                    "step: lr is a tensor of the CPU, which a CUDA graph cannot read at each replay; move "
                    "it: lr.cuda(), or give a number"
                )
            return float(lr)
        return self.kernels.cast(lr._array.reshape(-1), np.dtype(np.float64))

    def written(self) -> None:
        """Note that parameters and state have changed."""
        self.fresh[:] = False
        for array, copy in self.copies:
            self.kernels.write(array, copy)
        for p in self.params:
            p._version.count += 1


def check_fit(array, other) -> None:
    """Raise RuntimeError unless a gradient or state has its parameter's shape, element type and device."""
    if other.shape != array.shape or other.dtype != array.dtype:
        raise RuntimeError(
            f"step: a parameter of shape {array.shape} and type {array.dtype} has a gradient or state of "
            f"shape {other.shape} and type {other.dtype}; after changing parameters make a new optimizer"
        )
    if device_of(other) is not device_of(array):
        raise RuntimeError(
            "step: Expected all tensors to be on the same device, but found at least two devices: a "
            f"parameter on {device_of(array)} has a gradient or state on {device_of(other)}; move the model "
            "before the optimizer is made, or load the state again: optimizer.load_state_dict("
            "optimizer.state_dict())"
        )


def share_memory(params: list[Tensor]) -> bool:
    """Return whether an element of one parameter may be one of another's, too."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for p in params:
        array = p._array
        steps = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
        first = array.ctypes.data + sum(s for s in steps if s < 0)
        end = array.ctypes.data + sum(s for s in steps if s > 0) + array.itemsize
        if array.size:
            spans.setdefault(p.device.type, []).append((first, end))
    return any(start < end for found in spans.values() for (_, end), (start, _) in pairwise(sorted(found)))
