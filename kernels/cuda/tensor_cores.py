"""Products by tensor cores: what `kernels.cuda.fragments` is for float32, in TF32, of 10 bits of mantissa.

A warp multiplies 16 rows of 8 places by 8 places of 8 columns at a time, by PTX's `mma.m16n8k8` for `.tf32`.
Operands and results are spread over the 32 threads as the PTX ISA says under "Matrix Fragments for
mma.m16n8k8": with `group = lane // 4` and `member = lane % 4`,

    a0..a3: (group, member), (group + 8, member), (group, member + 4), (group + 8, member + 4)  (row, place)
    b0, b1: (member, group), (member + 4, group)  (place, column)
    c0..c3: (group, 2 * member), (group, 2 * member + 1), and both in row group + 8

Numbers are rounded to TF32 (to nearest, halves away from zero) on their way to shared memory. GPUs of compute
capability 8.0 and later have these instructions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from kernels.cuda.compile import SIMULATED, cuda, intrinsic, types

_FRAGMENT_ROWS, _FRAGMENT_COLUMNS, _FRAGMENT_PLACES = 16, 8, 8
_WARP = 32
_SPREAD = 8
"""What rows of shared memory are longer by: four of them begin at places that are 8 banks apart."""


@dataclass(frozen=True)
class TensorTile:
    """The shape of a tile, and of the block of warps that computes it.

    down, across: warps. fragments_down, fragments_across: how many products of 16 x 8 elements a warp has;
    neighbouring ones belong to other warps. depth, blocks: as of `fragments.Tile`.
    """

    down: int
    across: int
    fragments_down: int
    fragments_across: int
    depth: int
    blocks: int = 1

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return _WARP * self.down * self.across

    @property
    def rows(self) -> int:
        """Rows of a tile of the result."""
        return _FRAGMENT_ROWS * self.down * self.fragments_down

    @property
    def columns(self) -> int:
        """Columns of a tile of the result."""
        return _FRAGMENT_COLUMNS * self.across * self.fragments_across

    @property
    def a_width(self) -> int:
        """From one place along the sum to the next in shared memory."""
        return self.rows + _SPREAD

    @property
    def b_width(self) -> int:
        """The same of the second operand."""
        return self.columns + _SPREAD

    @property
    def stage_rows(self) -> int:
        """Rows of the part of the result that goes through shared memory at a time."""
        return _FRAGMENT_ROWS * self.down

    @property
    def stage_width(self) -> int:
        """From one row of that part to the next."""
        return self.columns + 4

    def names(self) -> dict[str, int]:
        """Return the numbers that the kernel is made with."""
        buffer = self.depth * (self.a_width + self.b_width)
        a_registers, b_registers = (n * self.depth // self.threads for n in (self.rows, self.columns))
        return {
            "THREADS": self.threads, "ROWS": self.rows, "COLUMNS": self.columns, "DEPTH": self.depth,
            "A_WIDTH": self.a_width, "B_WIDTH": self.b_width, "B_FIRST": self.depth * self.a_width,
            "BUFFER": buffer, "SHARED": max(2 * buffer, self.stage_rows * self.stage_width),
            "WARP": _WARP, "WARPS_ACROSS": self.across,
            "A_REGISTERS": a_registers, "B_REGISTERS": b_registers,
            "A_PIECES": a_registers // 4, "B_PIECES": b_registers // 4,
            "PASSES": self.fragments_down, "PASSES_ACROSS": 1,
            "STAGE_ROWS": self.stage_rows, "STAGE_COLUMNS": self.columns, "STAGE_WIDTH": self.stage_width,
        }  # fmt: skip

    def functions(self) -> dict[str, Callable]:
        """Return what the kernel calls: `no_sums`, `add_products`, `put` and `rounded`."""
        made = _simulated(self) if SIMULATED else _compiled(self)
        return dict(zip(("no_sums", "add_products", "put", "rounded"), made, strict=True))

    @staticmethod
    def own_places(t):
        """Return where thread `t` begins to read both operands in shared memory, and to write the result."""
        warp, lane = t // WARP, t % WARP  # noqa: F821
        group, member = lane // 4, lane % 4
        row, column = warp // WARPS_ACROSS * 16, warp % WARPS_ACROSS * 8  # noqa: F821
        a, b = member * A_WIDTH + row + group, B_FIRST + member * B_WIDTH + column + group  # noqa: F821
        put = (row + group) * STAGE_WIDTH + column + 2 * member  # noqa: F821
        return COUNT(a), COUNT(b), COUNT(put)  # noqa: F821

    def a_offsets(self, place: int, m: int) -> list[int]:
        """Return where a0 to a3 of fragment `m` lie, from where the thread begins, at a place of the step."""
        first = place * self.a_width + m * self.stage_rows
        return [first, first + 8, first + 4 * self.a_width, first + 4 * self.a_width + 8]

    def b_offsets(self, place: int, n: int) -> list[int]:
        """Return where b0 and b1 of fragment `n` lie."""
        first = place * self.b_width + n * self.across * _FRAGMENT_COLUMNS
        return [first, first + 4 * self.b_width]

    def put_offsets(self, n: int) -> list[int]:
        """Return where the pairs c0, c1 and c2, c3 of fragment `n` of a row of fragments go."""
        first = n * self.across * _FRAGMENT_COLUMNS
        return [first, first + 8 * self.stage_width]


# --- on the GPU ------------------------------------------------------------------------------------

_FLOAT, _WORD = ir.FloatType(), ir.IntType(32)
_MULTIPLY = (
    "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
    "{$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, {$10, $11, $12, $13};"
)


def _compiled(shape: TensorTile) -> tuple[Callable, ...]:
    down, across = shape.fragments_down, shape.fragments_across
    four = ir.LiteralStructType([_FLOAT] * 4)
    multiply = ir.InlineAsm(
        ir.FunctionType(four, [_WORD] * 6 + [_FLOAT] * 4), _MULTIPLY, "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f", True
    )
    to_tf32 = ir.InlineAsm(ir.FunctionType(_WORD, [_FLOAT]), "cvt.rna.tf32.f32 $0, $1;", "=r,f")

    @intrinsic
    def no_sums(typingctx, zero):
        """Return the sums of a thread before anything is added."""

        def generate(context, builder, signature, arguments):
            return context.make_tuple(builder, signature.return_type, [arguments[0]] * (4 * down * across))

        return types.UniTuple(zero, 4 * down * across)(zero), generate

    @intrinsic
    def add_products(typingctx, sums, tile, a_first, b_first):
        """Return the sums and all products of what lies in shared memory: `depth` of them for each."""

        def generate(context, builder, signature, arguments):
            given, memory, a, b = arguments
            data = context.make_array(tile)(context, builder, memory).data

            def read(index, offsets):
                places = [builder.gep(data, [builder.add(index, index.type(n))]) for n in offsets]
                return [builder.bitcast(builder.load(place), _WORD) for place in places]

            totals = [builder.extract_value(given, n) for n in range(4 * down * across)]
            for place in range(0, shape.depth, _FRAGMENT_PLACES):
                rows = [read(a, shape.a_offsets(place, m)) for m in range(down)]
                columns = [read(b, shape.b_offsets(place, n)) for n in range(across)]
                for m in range(down):
                    for n in range(across):
                        first = 4 * (m * across + n)
                        operands = [*rows[m], *columns[n], *totals[first : first + 4]]
                        found = builder.call(multiply, operands)
                        totals[first : first + 4] = [builder.extract_value(found, i) for i in range(4)]
            return context.make_tuple(builder, signature.return_type, totals)

        return sums(sums, tile, a_first, b_first), generate

    @intrinsic
    def put(typingctx, sums, number, tile, first):
        """Write row `number` of the thread's fragments to shared memory, the first element at `first`."""

        def generate(context, builder, signature, arguments):
            given, chosen, memory, index = arguments
            data = context.make_array(tile)(context, builder, memory).data
            for m in range(down):
                with builder.if_then(builder.icmp_signed("==", chosen, chosen.type(m))):
                    for n in range(across):
                        for half, offset in enumerate(shape.put_offsets(n)):
                            for i in range(2):
                                place = builder.gep(data, [builder.add(index, index.type(offset + i))])
                                value = builder.extract_value(given, 4 * (m * across + n) + 2 * half + i)
                                builder.store(value, place)
            return context.get_dummy_value()

        return types.void(sums, number, tile, first), generate

    @intrinsic
    def rounded(typingctx, value):
        """Return a float32 rounded to TF32."""

        def generate(context, builder, signature, arguments):
            return builder.bitcast(builder.call(to_tf32, arguments), _FLOAT)

        return value(value), generate

    return no_sums, add_products, put, rounded


# --- in the simulator ------------------------------------------------------------------------------


def _round_to_tf32(value) -> np.float32:
    if not np.isfinite(value):
        return np.float32(value)
    bits = (int(np.float32(value).view(np.uint32)) + 0x1000) & 0xFFFFE000
    return np.uint32(bits).view(np.float32)


def _simulated(shape: TensorTile) -> tuple[Callable, ...]:
    down, across = shape.fragments_down, shape.fragments_across

    def multiply(a: list, b: list, c: np.ndarray) -> np.ndarray:
        """Do what the instruction does: the threads of a warp give and take what the layout says."""
        held = cuda.shared.array((shape.threads, 6), types.float32)
        t = cuda.threadIdx.x
        held[t] = (np.array([*a, *b], np.float32).view(np.uint32) & 0xFFFFE000).view(np.float32)
        cuda.syncthreads()
        lane, warp = t % _WARP, held[t - t % _WARP : t - t % _WARP + _WARP]
        found = c.copy()
        for i in range(4):
            row, column = lane // 4 + 8 * (i // 2), lane % 4 * 2 + i % 2
            for k in range(_FRAGMENT_PLACES):
                factor = warp[row % 8 * 4 + k % 4, row // 8 + 2 * (k // 4)]
                found[i] += factor * warp[column * 4 + k % 4, 4 + k // 4]
        cuda.syncthreads()
        return found

    def no_sums(zero):
        return np.full((down, across, 4), zero, np.float32)

    def add_products(sums, tile, a_first, b_first):
        sums = sums.copy()
        for place in range(0, shape.depth, _FRAGMENT_PLACES):
            for m in range(down):
                for n in range(across):
                    a = [tile[a_first + offset] for offset in shape.a_offsets(place, m)]
                    b = [tile[b_first + offset] for offset in shape.b_offsets(place, n)]
                    sums[m, n] = multiply(a, b, sums[m, n])
        return sums

    def put(sums, number, tile, first):
        for n in range(across):
            for half, offset in enumerate(shape.put_offsets(n)):
                tile[first + offset : first + offset + 2] = sums[number, n, 2 * half : 2 * half + 2]

    return no_sums, add_products, put, _round_to_tf32
