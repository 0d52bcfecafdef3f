"""The arrays of parameters and their state as one compiled call wants them."""

from itertools import pairwise

import numpy as np
from numpy.lib.array_utils import byte_bounds

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
            if grad.shape != array.shape or grad.dtype != array.dtype:
                raise _does_not_fit(array, grad)
            grads.append(grad if grad.flags.c_contiguous else self.kernels.copy(grad))
        for array, copy in self.copies:
            self.kernels.write(copy, array)
        return grads

    def count(self) -> np.ndarray:
        """Add one to the steps of each parameter, and return them: (parameters,) float64."""
        counts = np.empty(len(self.params))
        for i, state in enumerate(self.states):
            step = state["step"]._array
            counts[i] = step[...] = step.item() + 1
        return counts

    def written(self) -> None:
        """Note that parameters and state have changed."""
        self.fresh[:] = False
        for array, copy in self.copies:
            self.kernels.write(array, copy)
        for p in self.params:
            p._version.count += 1


def _does_not_fit(array, other) -> RuntimeError:
    return RuntimeError(
        f"step: a parameter of shape {array.shape} and type {array.dtype} has a gradient or state of "
        f"shape {other.shape} and type {other.dtype}; after changing parameters make a new optimizer"
    )


def check_fit(array, other) -> None:
    if other.shape != array.shape or other.dtype != array.dtype:
        raise _does_not_fit(array, other)


def share_memory(params: list[Tensor]) -> bool:
    spans = sorted(byte_bounds(p._array) for p in params)
    return any(start < end for (_, end), (start, _) in pairwise(spans))
