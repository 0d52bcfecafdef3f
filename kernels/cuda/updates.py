"""Updates of many arrays in one launch: the element of an optimiser's rule, done to all parameters.

A launch is given a table of where the arrays lie, and a list of pieces, of `PIECE` elements at most; a block
of threads takes a piece. The table is on the GPU; it is made once for the same arrays, and the gradients of a
training loop lie at the same addresses step after step.
"""

from collections.abc import Callable, Sequence

import numpy as np

from kernels.cuda.array import DeviceArray, from_host
from kernels.cuda.compile import (
    FLOATS,
    SIMULATED,
    Kernel,
    cuda,
    device,
    pointer,
    register,
    specialised,
    threads,
)
from kernels.cuda.driver import keep_tables

PIECE = 8 if SIMULATED else 2048
"""Elements; 2048 are 8 for each thread."""
_THREADS = threads(256)
_MOST_BLOCKS = 1 << 16

# A table: (row, first element) of each piece, then a row for each parameter: size, addresses of its arrays.
_SOURCE = """
def {name}(pieces, table, {numbers}like):
    for piece in range(cuda.blockIdx.x, pieces, cuda.gridDim.x):
        row = 2 * pieces + {columns} * table[2 * piece]
        start, size = table[2 * piece + 1], table[row]
        {pointers}
        for i in range(start + cuda.threadIdx.x, min(start + PIECE, size), cuda.blockDim.x):
            element(i, {given})
"""
_SCOPE = {"cuda": cuda, "pointer": pointer, "PIECE": PIECE, "__name__": __name__}


def update(numbers: str, *arrays: str) -> Callable[[Callable], Kernel]:
    """Make a kernel of the decorated function, which updates element i: f(i, numbers ..., *arrays, p).

    numbers: the types of its numbers, "T, T, int64". arrays: the names of its arrays before the parameter:
    the gradient, then what else is kept of it.
    """

    def make(function: Callable) -> Kernel:
        name = function.__name__.strip("_")
        types = numbers.split(", ")
        named = [f"n{n}" for n in range(len(types))]
        columns = ["p", *arrays]
        pointers = [f"{x} = pointer(table[row + {n}], size, like)" for n, x in enumerate(columns, 1)]
        source = _SOURCE.format(
            name=name, columns=len(columns) + 1, numbers="".join(f"{n}, " for n in named),
            pointers="; ".join(pointers), given=", ".join([*named, *arrays, "p"]),
        )  # fmt: skip
        scope: dict = {}
        exec(compile(source, f"<{name}>", "exec"), _SCOPE, scope)

        def names(kind: dict[str, np.dtype]) -> dict:
            return {"element": device(specialised(function, kind))}

        signature = ", ".join(["int64", "int64*", *types, "out T*"])
        family = function.__module__.rpartition(".")[2]
        return register(Kernel(scope[name], signature, FLOATS, names, family=family))

    return make


@keep_tables(32)  # gradients may lie elsewhere at every step
def _table_of(sizes: tuple[int, ...], places: tuple[tuple[int, ...], ...]) -> tuple[int, DeviceArray]:
    """Return how many pieces there are, and the table; places: the addresses of each row's arrays."""
    pieces = [(row, start) for row, size in enumerate(sizes) for start in range(0, size, PIECE)]
    table = [(size, *addresses) for size, addresses in zip(sizes, places, strict=True)]
    whole = np.concatenate([np.array(part, np.int64).ravel() for part in (pieces, table)])
    return len(pieces), from_host(whole)


class Arrays:
    """The arrays of a step: what `sgd`, `adam` and the others change.

    parameters: contiguous arrays of one dtype, none in another's memory; state: further lists, of an array
    of the same size and dtype for each parameter.
    """

    def __init__(self, parameters: Sequence[DeviceArray], *state: Sequence[DeviceArray]):
        self.parameters, self.state = parameters, state
        self.total = sum([a.size for a in parameters])

    def update(
        self,
        kernel: Kernel,
        grads: Sequence[DeviceArray],
        state: Sequence[Sequence[DeviceArray] | None],
        numbers: Sequence[tuple],
    ) -> None:
        """Launch a kernel of `update` for all parameters; once, where all are given the same numbers.

        grads: contiguous, one for each parameter. state: the kernel's further arrays, each a list with one
        for each parameter; None for what the kernel does not read. numbers: for each parameter.
        """
        rows_of: dict[tuple, list[int]] = {}
        for row, found in enumerate(numbers):
            rows_of.setdefault(found, []).append(row)
        # What is not read is given as the parameter's own memory.
        columns = [self.parameters, grads, *[self.parameters if s is None else s for s in state]]
        for found, rows in rows_of.items():
            places = tuple([tuple([column[row].address for column in columns]) for row in rows])
            pieces, table = _table_of(tuple([self.parameters[row].size for row in rows]), places)
            if pieces:
                kernel.launch(min(pieces, _MOST_BLOCKS), _THREADS, pieces, table, *found, self.parameters[0])
