"""Updates of many arrays in one launch: the element of an optimiser's rule, done to all parameters.

A launch is given a table of where the arrays lie, and a list of pieces, of `PIECE` elements at most; a block
of threads takes a piece, by vectors if all its arrays lie at multiples of 16 bytes. The table is on the GPU;
it is made once for the same arrays, and the gradients of a training loop lie at the same addresses step after
step.

The rule's numbers, such as the learning rate, are arguments of the launch. A CUDA graph would repeat them as
they were: where they change from step to step they are a table, too, which a kernel of `rules.py` writes.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from kernels.cuda import vectors
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
"""Elements; 2048 of float32 are two vectors for each thread."""
_THREADS = threads(256)
_MOST_BLOCKS = 1 << 16

# A table: (row, first element) of each piece, then a row for each parameter: size, addresses of its arrays.
# What a rule does not use is given as the parameter's own memory, and neither read nor written.
_KERNEL = """
def {name}(pieces, table, {given}like):
    piece = cuda.blockIdx.x
    while piece < pieces:
        row, start = 2 * pieces + {columns} * table[2 * piece], table[2 * piece + 1]
        size = min(PIECE, table[row] - start)
        {places}
        {pointers}
        {read}
        groups = size // WIDTH if ({any_place}) % 16 == 0 else 0
        i = cuda.threadIdx.x
        while i < groups:
            p_group, grad_group = load(p, i * WIDTH, WIDTH), load(grad, i * WIDTH, WIDTH)
            {loads}
            {new}p_new = each({numbers}grad_group, {groups}p_group)
            {stores}
            store(p, i * WIDTH, p_new)
            i += cuda.blockDim.x
        i = groups * WIDTH + cuda.threadIdx.x
        while i < size:
            {new}p_new = rule({numbers}grad[i], {elements}p[i])
            {writes}
            p[i] = p_new
            i += cuda.blockDim.x
        piece += cuda.gridDim.x
"""
_EACH = """
def each({numbers}grad, {state}p):
    {elements}
    return {results}
"""


def _define(text: str, **scope) -> Callable:
    """Return the function of a piece of Python."""
    name = text.split("(")[0].split()[1]
    exec(compile(text, f"<{name}>", "exec"), scope)
    return scope[name]


class Update(NamedTuple):
    """A rule of updates: a kernel that is given its numbers, and perhaps one that reads them.

    They are read from a table (parameters, numbers) of the parameters' element type.
    """

    kernel: Kernel
    by_table: Kernel | None


def update(numbers: str, *arrays: str, by_table: bool = False) -> Callable[[Callable], Update]:
    """Make kernels of the decorated function, the rule for one element: f(numbers ..., *arrays, p).

    It returns the new values of the arrays but the gradient, then of p. numbers: the types of its numbers,
    "T, T, int64". arrays: the names of its arrays before the parameter: "grad", then what else is kept of it.
    by_table: whether there is a kernel that reads the numbers.
    """
    types = numbers.split(", ")
    named = [f"n{n}" for n in range(len(types))]
    columns, state = ["p", *arrays], arrays[1:]

    def of_state(form: str, between: str = "") -> str:
        return between.join([form.format(x) for x in state])

    def make(function: Callable, name: str, given: str, read: str, signature: list[str]) -> Kernel:
        places = [f"{x}_place = table[row + {n}] + start * ITEMSIZE" for n, x in enumerate(columns, 1)]
        text = _KERNEL.format(
            name=name, given=given, read=read, columns=len(columns) + 1,
            numbers="".join([f"{n}, " for n in named]), places="; ".join(places),
            pointers="; ".join([f"{x} = pointer({x}_place, size, like)" for x in columns]),
            any_place=" | ".join([f"{x}_place" for x in columns]),
            groups=of_state("{0}_group, "), elements=of_state("{0}[i], "), new=of_state("{0}_new, "),
            loads=of_state("{0}_group = load({0}, i * WIDTH, WIDTH) if {0}_place != p_place else p_group; "),
            stores=of_state("if {0}_place != p_place: store({0}, i * WIDTH, {0}_new)", "\n" + " " * 12),
            writes=of_state("if {0}_place != p_place: {0}[i] = {0}_new", "\n" + " " * 12),
        )  # fmt: skip

        def names(kind: dict[str, np.dtype]) -> dict:
            itemsize = kind["T"].itemsize
            rule = device(specialised(function, kind))
            return {
                "rule": rule, "each": device(_define(each_of(vectors.BYTES // itemsize), rule=rule)),
                "WIDTH": vectors.BYTES // itemsize, "ITEMSIZE": itemsize,
            }  # fmt: skip

        made = _define(
            text, np=np, cuda=cuda, pointer=pointer, load=vectors.load, store=vectors.store, PIECE=PIECE,
            __name__=__name__,
        )  # fmt: skip
        family = function.__module__.rpartition(".")[2]
        whole = ", ".join(["int64", "int64*", *signature, "out T*"])
        return register(Kernel(made, whole, FLOATS, names, family=family))

    def each_of(width: int) -> str:
        """Return the Python that does a rule to groups of neighbours."""
        given = "".join([f"{n}, " for n in named])
        lanes = range(width)
        calls = [f"r{n} = rule({given}grad[{n}], {of_state('{0}[' + str(n) + '], ')}p[{n}])" for n in lanes]
        results = [f"({', '.join([f'r{n}[{column}]' for n in lanes])})" for column in range(len(columns) - 1)]
        return _EACH.format(
            numbers=given, state=of_state("{0}, "), elements="; ".join(calls), results=", ".join(results)
        )

    def make_both(function: Callable) -> Update:
        name = function.__name__.strip("_")
        values = [f"rule_numbers[at + {n}]" for n in range(len(types))]
        values = [x if t == "T" else f"np.int64({x})" for x, t in zip(values, types, strict=True)]
        read = f"at = {len(types)} * table[2 * piece]; {', '.join(named)} = {', '.join(values)}"
        return Update(
            make(function, name, "".join(f"{n}, " for n in named), "", types),
            make(function, f"{name}_by_table", "rule_numbers, ", read, ["T*"]) if by_table else None,
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
        columns = [self.parameters, grads, *[self.parameters if s is None else s for s in state]]
        places = tuple([tuple([column[row].address for column in columns]) for row in rows])
        pieces, table = _table_of(tuple([self.parameters[row].size for row in rows]), places)
        if pieces:
            kernel.launch(min(pieces, _MOST_BLOCKS), _THREADS, pieces, table, *numbers, self.parameters[0])
