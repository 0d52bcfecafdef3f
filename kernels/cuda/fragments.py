"""What the threads of a block hold of a tile of a matrix product, and what they do with it between barriers.

Each thread of a block of `Tile.down` x `Tile.across` sums up squares of 4 x 4 elements in registers: one, or
two in each direction, half a tile apart, so that all vectors read from shared memory lie side by side. Both
operands lie there as rows of one place along the sum. The functions here are written out for a tile, without
loops: the sums are a tuple, which never leaves the registers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from kernels.cuda.compile import SIMULATED, device, intrinsic, types

_WARP = 32
_LANE = ir.IntType(32)
SQUARE = 4
"""Rows and columns of what a thread sums up at a time, and how many elements it brings at a time."""


@dataclass(frozen=True)
class Tile:
    """The shape of a tile, and of the block of threads that computes it.

    down, across: threads. squares: how many squares of a thread there are in each direction: 1 or 2. depth:
    how many products are summed up between two barriers. blocks: how many a multiprocessor is to run at once,
    for which the compiler limits the registers: it has 65,536.
    """

    down: int
    across: int
    squares: int
    depth: int
    blocks: int = 1

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.down * self.across

    @property
    def rows(self) -> int:
        """Rows of a tile of the result."""
        return self.down * SQUARE * self.squares

    @property
    def columns(self) -> int:
        """Columns of a tile of the result."""
        return self.across * SQUARE * self.squares

    @property
    def a_width(self) -> int:
        """From one place along the sum to the next in shared memory: more than `rows`, to spread banks."""
        return self.rows + SQUARE

    @property
    def b_width(self) -> int:
        """The same of the second operand."""
        return self.columns + SQUARE

    @property
    def stage_rows(self) -> int:
        """Rows of the part of the result that goes through shared memory at a time."""
        return self.rows // self.squares

    @property
    def stage_columns(self) -> int:
        """Columns of that part."""
        return self.columns // self.squares

    def names(self) -> dict[str, int]:
        """Return the numbers that the kernel is made with."""
        warp_across = min(8, self.across)
        buffer = self.depth * (self.a_width + self.b_width)
        stage_width = self.stage_columns + SQUARE
        return {
            "THREADS": self.threads, "ROWS": self.rows, "COLUMNS": self.columns, "DEPTH": self.depth,
            "A_WIDTH": self.a_width, "B_WIDTH": self.b_width, "B_FIRST": self.depth * self.a_width,
            "BUFFER": buffer, "SHARED": max(2 * buffer, self.stage_rows * stage_width),
            "WARP": _WARP, "WARP_ACROSS": warp_across, "WARP_DOWN": _WARP // warp_across,
            "WARPS_ACROSS": self.across // warp_across,
            "A_REGISTERS": self.rows * self.depth // self.threads,
            "B_REGISTERS": self.columns * self.depth // self.threads,
            "A_PIECES": self.rows * self.depth // self.threads // SQUARE,
            "B_PIECES": self.columns * self.depth // self.threads // SQUARE,
            "PASSES": self.squares**2, "PASSES_ACROSS": self.squares,
            "STAGE_ROWS": self.stage_rows, "STAGE_COLUMNS": self.stage_columns, "STAGE_WIDTH": stage_width,
        }  # fmt: skip

    def functions(self) -> dict[str, Callable]:
        """Return what the kernel calls: `no_sums`, `add_products`, `put` and `rounded`."""
        made = (*(_simulated(self) if SIMULATED else _compiled(self)), as_it_is)
        return dict(zip(("no_sums", "add_products", "put", "rounded"), made, strict=True))

    @staticmethod
    def own_places(t):
        """Return where thread `t` begins to read both operands in shared memory, and to write the result.

        Of a warp rows alternate from thread to thread. So each pair of threads, or of pairs, reads one vector
        of an operand: such halves of a warp are served at once, and 16 bytes a thread by two turns, not four.
        """
        warp, lane = t // WARP, t % WARP  # noqa: F821
        lane_down = lane // (2 * WARP_ACROSS) * 2 + lane % 2  # noqa: F821
        lane_across = lane // 2 % WARP_ACROSS  # noqa: F821
        down = COUNT(4 * (warp // WARPS_ACROSS * WARP_DOWN + lane_down))  # noqa: F821
        across = COUNT(4 * (warp % WARPS_ACROSS * WARP_ACROSS + lane_across))  # noqa: F821
        return down, COUNT(B_FIRST + across), COUNT(down * STAGE_WIDTH + across)  # noqa: F821


@device
def as_it_is(value):
    """Return what was given."""
    return value


# --- on the GPU ------------------------------------------------------------------------------------


def _vector_at(builder, data, index, offset: int, kind) -> ir.Instruction:
    place = builder.gep(data, [builder.add(index, ir.Constant(index.type, offset))])
    return builder.bitcast(place, ir.VectorType(kind, SQUARE).as_pointer(place.type.addrspace))


def _aligned(kind) -> int:
    return min(16, SQUARE * {"float": 4, "double": 8}.get(str(kind), getattr(kind, "width", 0) // 8))


def _read(builder, data, index, offset: int) -> list:
    """Return four numbers out of shared memory."""
    kind = data.type.pointee
    read = builder.load(_vector_at(builder, data, index, offset, kind), align=_aligned(kind))
    return [builder.extract_element(read, ir.Constant(_LANE, n)) for n in range(SQUARE)]


def _write(builder, data, index, offset: int, values: list) -> None:
    kind = data.type.pointee
    vector = ir.Constant(ir.VectorType(kind, SQUARE), ir.Undefined)
    for n, value in enumerate(values):
        vector = builder.insert_element(vector, value, ir.Constant(_LANE, n))
    builder.store(vector, _vector_at(builder, data, index, offset, kind), align=_aligned(kind))


def _multiplied(builder, factor, other, total):
    if isinstance(total.type, ir.IntType):
        return builder.add(builder.mul(factor, other), total)
    return builder.fma(factor, other, total)


def _compiled(shape: Tile) -> tuple[Callable, Callable, Callable]:
    side = SQUARE * shape.squares  # rows and columns of a thread
    halves = range(shape.squares)

    @intrinsic
    def no_sums(typingctx, zero):
        """Return the sums of a thread before anything is added."""

        def generate(context, builder, signature, arguments):
            return context.make_tuple(builder, signature.return_type, [arguments[0]] * side**2)

        return types.UniTuple(zero, side**2)(zero), generate

    @intrinsic
    def add_products(typingctx, sums, tile, a_first, b_first):
        """Return the sums and all products of what lies in shared memory: `depth` of them for each."""

        def generate(context, builder, signature, arguments):
            given, memory, a, b = arguments
            data = context.make_array(tile)(context, builder, memory).data
            totals = [builder.extract_value(given, n) for n in range(side**2)]
            for k in range(shape.depth):
                rows = [
                    value
                    for n in halves
                    for value in _read(builder, data, a, k * shape.a_width + n * shape.stage_rows)
                ]
                columns = [
                    value
                    for n in halves
                    for value in _read(builder, data, b, k * shape.b_width + n * shape.stage_columns)
                ]
                for r, factor in enumerate(rows):
                    for c, other in enumerate(columns):
                        totals[r * side + c] = _multiplied(builder, factor, other, totals[r * side + c])
            return context.make_tuple(builder, signature.return_type, totals)

        return sums(sums, tile, a_first, b_first), generate

    @intrinsic
    def put(typingctx, sums, number, tile, first):
        """Write square `number` of the thread to shared memory, its first element at `first`."""

        def generate(context, builder, signature, arguments):
            given, chosen, memory, index = arguments
            data = context.make_array(tile)(context, builder, memory).data
            width = shape.stage_columns + SQUARE
            for n in range(shape.squares**2):
                down, across = (SQUARE * i for i in divmod(n, shape.squares))
                with builder.if_then(builder.icmp_signed("==", chosen, ir.Constant(chosen.type, n))):
                    for r in range(SQUARE):
                        start = (down + r) * side + across
                        row = [builder.extract_value(given, start + c) for c in range(SQUARE)]
                        _write(builder, data, index, r * width, row)
            return context.get_dummy_value()

        return types.void(sums, number, tile, first), generate

    return no_sums, add_products, put


# --- in the simulator ------------------------------------------------------------------------------


def _simulated(shape: Tile) -> tuple[Callable, Callable, Callable]:
    side = SQUARE * shape.squares

    def no_sums(zero):
        return np.full((side, side), zero)

    def squares(tile, first, half):
        starts = [first + n * half for n in range(shape.squares)]
        return np.concatenate([tile[start : start + SQUARE] for start in starts])

    def add_products(sums, tile, a_first, b_first):
        sums = sums.copy()
        for k in range(shape.depth):
            rows = squares(tile, a_first + k * shape.a_width, shape.stage_rows)
            columns = squares(tile, b_first + k * shape.b_width, shape.stage_columns)
            sums += np.multiply.outer(rows, columns)
        return sums

    def put(sums, number, tile, first):
        down, across = (SQUARE * i for i in divmod(number, shape.squares))
        width = shape.stage_columns + SQUARE
        for r in range(SQUARE):
            row = sums[down + r, across : across + SQUARE]
            tile[first + r * width : first + r * width + SQUARE] = row

    return no_sums, add_products, put
