"""Updates of many arrays in one launch: the element of an optimiser's rule, done to all parameters.

A launch is given a table of where the arrays lie, and a list of pieces, of `PIECE` elements at most; a block
of threads takes a piece. The table is on the GPU; it is made once for the same arrays, and the gradients of a
training loop lie at the same addresses step after step.

The rule's numbers, such as the learning rate, are arguments of the launch. A CUDA graph would repeat them as
they were: where they change from step to step they are a table, too, which a kernel of `rules.py` writes.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

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
        {pointers}{read}
        for i in range(start + cuda.threadIdx.x, min(start + PIECE, size), cuda.blockDim.x):
            element(i, {given})
"""
_SCOPE = {"np": np, "cuda": cuda, "pointer": pointer, "PIECE": PIECE, "__name__": __name__}


class Update(NamedTuple):
    """A rule of updates: a kernel that is given its numbers, and perhaps one that reads them.

    They are read from a table (parameters, numbers) of the parameters' element type.
    """

    kernel: Kernel
    by_table: Kernel | None


def update(numbers: str, *arrays: str, by_table: bool = False) -> Callable[[Callable], Update]:
    """Make kernels of the decorated function, which updates element i: f(i, numbers ..., *arrays, p).

    numbers: the types of its numbers, "T, T, int64". arrays: the names of its arrays before the parameter:
    the gradient, then what else is kept of it. by_table: whether there is a kernel that reads the numbers.
    """
    types = numbers.split(", ")
    named = [f"n{n}" for n in range(len(types))]
    columns = ["p", *arrays]
    pointers = [f"{x} = pointer(table[row + {n}], size, like)" for n, x in enumerate(columns, 1)]

    def make(function: Callable, name: str, given: str, read: str, signature: list[str]) -> Kernel:
        source = _SOURCE.format(
            name=name, columns=len(columns) + 1, numbers=given, pointers="; ".join(pointers), read=read,
            given=", ".join([*named, *arrays, "p"]),
        )  # fmt: skip
        scope: dict = {}
        exec(compile(source, f"<{name}>", "exec"), _SCOPE, scope)

        def names(kind: dict[str, np.dtype]) -> dict:
            return {"element": device(specialised(function, kind))}

        family = function.__module__.rpartition(".")[2]
        whole = ", ".join(["int64", "int64*", *signature, "out T*"])
        return register(Kernel(scope[name], whole, FLOATS, names, family=family))

    def make_both(function: Callable) -> Update:
        name = function.__name__.strip("_")
        values = [f"rule[at + {n}]" for n in range(len(types))]
        values = [x if t == "T" else f"np.int64({x})" for x, t in zip(values, types, strict=True)]
        read = f"; at = {len(types)} * table[2 * piece]; {', '.join(named)} = {', '.join(values)}"
        return Update(
            make(function, name, "".join(f"{n}, " for n in named), "", types),
            make(function, f"{name}_by_table", "rule, ", read, ["T*"]) if by_table else None,
        )

    return make_both


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
        rule: Update,
        grads: Sequence[DeviceArray],
        state: Sequence[Sequence[DeviceArray] | None],
        numbers: Sequence[tuple] | DeviceArray,
    ) -> None:
        """Launch a rule for all parameters; once, where all are given the same numbers, or a table.

        grads: contiguous, one for each parameter. state: the rule's further arrays, each a list with one
        for each parameter; None for what it does not read. numbers: for each parameter, or the table of
        them.
        """
        if isinstance(numbers, DeviceArray):
            assert rule.by_table is not None
            self._launch(rule.by_table, grads, state, range(len(grads)), (numbers,))
            return
        rows_of: dict[tuple, list[int]] = {}
        for row, found in enumerate(numbers):
            rows_of.setdefault(found, []).append(row)
        for found, rows in rows_of.items():
            self._launch(rule.kernel, grads, state, rows, found)

    def _launch(self, kernel: Kernel, grads, state, rows: Sequence[int], numbers: tuple) -> None:
        # What is not read is given as the parameter's own memory.
        columns = [self.parameters, grads, *[self.parameters if s is None else s for s in state]]
        places = tuple([tuple([column[row].address for column in columns]) for row in rows])
        pieces, table = _table_of(tuple([self.parameters[row].size for row in rows]), places)
        if pieces:
            kernel.launch(min(pieces, _MOST_BLOCKS), _THREADS, pieces, table, *numbers, self.parameters[0])
