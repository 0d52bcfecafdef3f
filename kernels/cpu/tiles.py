"""Register tiles: the innermost loops of products and convolutions, as vector instructions.

Left to itself, LLVM keeps a row of results in memory and goes to and fro. Here a tile of results stays in
registers for the whole inner sum. An `@intrinsic` writes the LLVM code of the tile; Numba compiles it into
the loops of `kernels.cpu.matmul` and `kernels.cpu.conv`. Strides and tables of offsets are arguments, so that
no operand need be copied for its layout's sake.
"""

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_FEATURES = llvmlite.binding.get_host_cpu_features()


def _vector_bytes() -> int:
    if _FEATURES.get("avx512f"):
        return 64
    return 32 if _FEATURES.get("avx") else 16  # 16: SSE, NEON; other targets split what is too wide


VECTOR_BYTES = _vector_bytes()
"""Bytes of one vector register of this machine."""
_MANY = VECTOR_BYTES == 64 or bool(_FEATURES.get("neon"))  # 32 vector registers instead of 16
TILE_ROWS, TILE_VECTORS = (8, 2) if _MANY else (6, 2) if VECTOR_BYTES == 32 else (4, 2)
"""Rows and vectors of results that stay in registers, leaving some for what is loaded."""
SHORT_ROWS = 4
"""Rows of the tile for what is left below: fewer, but enough to keep the multipliers busy."""
FILTER_ROWS, FILTER_VECTORS = (8, 3) if _MANY else (4, 3) if VECTOR_BYTES == 32 else (4, 2)
"""Filters and runs of positions of a tile of a convolution."""
CHAIN = 144
"""Products of a convolution that are added up in one go, at most: a shorter chain keeps more digits."""
THIN_VECTORS = 2 * FILTER_VECTORS
"""Runs of positions of a tile of one filter."""
CORRELATION_ROWS, CORRELATION_TAPS = (8, 3) if _MANY else (4, 3)
"""Rows of the gradient and taps of a tile of a convolution's weight gradient."""
DOT_ROWS, DOT_COLUMNS = (4, 4) if _MANY else (4, 2)

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()


class Emitter:
    """What the tiles are written with: addresses, vectors with and without masks, sums."""

    def __init__(self, context, builder, array_type):
        self.context, self.builder = context, builder
        self.scalar = context.get_data_type(array_type.dtype)
        self.itemsize = context.get_abi_sizeof(self.scalar)
        self.lanes = VECTOR_BYTES // self.itemsize
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        self._name = f"v{self.lanes}f{8 * self.itemsize}"

    def unpack(self, array_type, value):
        """Return (address, shape, strides in bytes) of an array argument."""
        array = cgutils.create_struct_proxy(array_type)(self.context, self.builder, value)
        address = self.builder.bitcast(array.data, _BYTES)
        return (
            address,
            cgutils.unpack_tuple(self.builder, array.shape),
            cgutils.unpack_tuple(self.builder, array.strides),
        )

    def index(self, n: int):
        return ir.Constant(_I64, n)

    def step(self, address, count, stride):
        """Return the address `count` strides on."""
        b = self.builder
        count = self.index(count) if isinstance(count, int) else count
        stride = self.index(stride) if isinstance(stride, int) else stride
        return b.gep(address, [b.mul(count, stride)])

    def pointer(self, address):
        return self.builder.inttoptr(address, _BYTES)

    def offset(self, table, position):
        """Return number `position` of a table of int64."""
        return self.builder.load(self.builder.bitcast(self.step(table, position, 8), _I64.as_pointer()))

    def smaller(self, x, y):
        return self.builder.select(self.builder.icmp_signed("<", x, y), x, y)

    def shuffle(self, x, y, lanes):
        """Return the lanes of x (counted from 0) and y (counted on from there) that are named."""
        order = ir.Constant(ir.VectorType(_I32, self.lanes), lanes)
        return self.builder.shuffle_vector(x, y, order)

    def mask(self, first, limit):
        """Return the lanes for which first + lane < limit."""
        b, kind = self.builder, ir.VectorType(_I64, self.lanes)
        left = self._spread(b.sub(limit, first), kind)
        return b.icmp_signed("<", ir.Constant(kind, list(range(self.lanes))), left)

    def _spread(self, scalar, kind):
        b, undefined = self.builder, ir.Constant(kind, ir.Undefined)
        one = b.insert_element(undefined, scalar, ir.Constant(_I32, 0))
        all_first = ir.Constant(ir.VectorType(_I32, self.lanes), [0] * self.lanes)
        return b.shuffle_vector(one, undefined, all_first)

    def _llvm(self, name: str, result, arguments):
        kind = ir.FunctionType(result, arguments)
        return cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}")

    def load(self, address, mask=None):
        """Load a vector; lanes outside the mask are not touched and give 0."""
        pointer = self.builder.bitcast(address, self.vector.as_pointer())
        if mask is None:
            loaded = self.builder.load(pointer)
            loaded.align = self.itemsize
            return loaded
        arguments = [pointer.type, _I32, mask.type, self.vector]
        function = self._llvm(f"masked.load.{self._name}.p0", self.vector, arguments)
        return self.builder.call(function, [pointer, ir.Constant(_I32, self.itemsize), mask, self.zero])

    def store(self, value, address, mask=None):
        """Store a vector; memory outside the mask is not touched."""
        pointer = self.builder.bitcast(address, self.vector.as_pointer())
        if mask is None:
            self.builder.store(value, pointer).align = self.itemsize
            return
        arguments = [self.vector, pointer.type, _I32, mask.type]
        function = self._llvm(f"masked.store.{self._name}.p0", ir.VoidType(), arguments)
        self.builder.call(function, [value, pointer, ir.Constant(_I32, self.itemsize), mask])

    def broadcast(self, address):
        """Load one number into every lane."""
        scalar = self.builder.load(self.builder.bitcast(address, self.scalar.as_pointer()))
        return self._spread(scalar, self.vector)

    def multiply_add(self, x, y, total):
        """Return x * y + total, fused where the machine can."""
        # Not llvm.fma: without the instruction that is a library call for every number.
        return self.builder.fadd(self.builder.fmul(x, y, flags=("contract",)), total, flags=("contract",))

    def sum_lanes(self, value):
        """Return the sum of a vector's lanes."""
        arguments = [self.scalar, self.vector]
        function = self._llvm(f"vector.reduce.fadd.{self._name}", self.scalar, arguments)
        return self.builder.call(function, [ir.Constant(self.scalar, 0.0), value], fastmath=("reassoc",))

    def accumulators(self, rows: int, columns: int):
        """Return a grid of vector variables set to zero; the compiler keeps them in registers."""
        grid = []
        for _ in range(rows):
            grid.append([cgutils.alloca_once(self.builder, self.vector) for _ in range(columns)])
            for variable in grid[-1]:
                self.builder.store(self.zero, variable)
        return grid


def make_tile(rows: int, vectors: int, masked: bool):
    """Return a tile of c = a @ b, or of c += a @ b where `add`.

    It fills c[i:i+rows, j:j+vectors*lanes]. For k < depth, a is read at address a_at + r * a_row +
    k * a_column, and b in vectors from address b_at + k * b_row on (all in bytes; addresses, so that one tile
    serves arrays and packed blocks). Rows beyond the last of c are the last row computed again, which changes
    nothing. A masked tile stops at the last column of c; b has whole vectors all the same.
    """

    @intrinsic
    def tile(typing, c, i, j, a_at, a_row, a_column, b_at, b_row, depth, add):
        def generate(context, builder, signature, args):
            e = Emitter(context, builder, signature.args[0])
            c_at, (c_rows, c_columns), (c_row, _) = e.unpack(signature.args[0], args[0])
            i, j, a_at, a_row, a_column, b_at, b_row, depth, add = args[1:]
            a_at, b_at = e.pointer(a_at), e.pointer(b_at)
            left = [builder.add(j, e.index(v * e.lanes)) for v in range(vectors)]
            masks = [e.mask(start, c_columns) if masked else None for start in left]
            last = builder.sub(builder.sub(c_rows, i), e.index(1))
            row = [e.smaller(e.index(r), last) for r in range(rows)]
            a_rows = [e.step(a_at, row[r], a_row) for r in range(rows)]
            c_rows_at = [e.step(c_at, builder.add(i, row[r]), c_row) for r in range(rows)]
            places = [[e.step(at, start, e.itemsize) for start in left] for at in c_rows_at]
            totals = e.accumulators(rows, vectors)
            with builder.if_then(builder.icmp_signed("!=", add, e.index(0))):
                for r in range(rows):
                    for v in range(vectors):
                        builder.store(e.load(places[r][v], masks[v]), totals[r][v])
            with cgutils.for_range(builder, depth, intp=_I64) as loop:
                line = e.step(b_at, loop.index, b_row)
                values = [e.load(e.step(line, v * e.lanes, e.itemsize)) for v in range(vectors)]
                for r in range(rows):
                    factor = e.broadcast(e.step(a_rows[r], loop.index, a_column))
                    for v in range(vectors):
                        total = builder.load(totals[r][v])
                        builder.store(e.multiply_add(factor, values[v], total), totals[r][v])
            for r in range(rows):
                for v in range(vectors):
                    e.store(builder.load(totals[r][v]), places[r][v], masks[v])
            return context.get_dummy_value()

        return types.void(c, *[types.intp] * 9), generate

    return tile


def make_copy(vectors: int):
    """Return copy(like, source_at, target_at): move some vectors of the type of `like` between addresses."""

    @intrinsic
    def copy(typing, like, source_at, target_at):
        def generate(context, builder, signature, args):
            e = Emitter(context, builder, signature.args[0])
            source_at, target_at = e.pointer(args[1]), e.pointer(args[2])
            for v in range(vectors):
                e.store(e.load(e.step(source_at, v, VECTOR_BYTES)), e.step(target_at, v, VECTOR_BYTES))
            return context.get_dummy_value()

        return types.void(like, types.intp, types.intp), generate

    return copy


def make_filter_tile(rows: int, vectors: int):
    """Return a tile of a convolution, on numbers of the type of `like`.

    It applies `rows` filters at `vectors` runs of neighbouring positions. For k < depth, the weights are read
    at panel_at + (k * rows + r) * itemsize, and multiply the vector at x_at + starts[v] + taps[k]. Addresses
    and offsets are in bytes, the tables of int64; filters beyond number `last` are that one computed again.

    A long sum is cut into several calls: the first adds its products to the numbers bias[r], at begin_at,
    the others to what lies at kept_at; the last writes to out_at + r * out_row + places[v], the others to
    kept_at.
    """

    @intrinsic
    def tile(
        typing, like, out_at, out_row, last, x_at, starts_at, places_at, panel_at, taps_at, depth, begin_at,
        kept_at, is_first, is_last,
    ):  # fmt: skip
        def generate(context, builder, signature, args):
            e = Emitter(context, builder, signature.args[0])
            out_at, out_row, last, x_at, starts_at, places_at, panel_at, taps_at, depth, begin_at = args[1:11]
            kept_at, is_first, is_last = args[11:]
            out_at, x_at, panel_at, begin_at = (e.pointer(a) for a in (out_at, x_at, panel_at, begin_at))
            starts, places, taps, kept_at = (e.pointer(a) for a in (starts_at, places_at, taps_at, kept_at))
            runs = [builder.gep(x_at, [e.offset(starts, v)]) for v in range(vectors)]
            row = [e.smaller(e.index(r), last) for r in range(rows)]
            grid = [(r, v) for r in range(rows) for v in range(vectors)]
            kept = {(r, v): e.step(kept_at, r * vectors + v, VECTOR_BYTES) for r, v in grid}
            totals = e.accumulators(rows, vectors)
            with cgutils.for_range(builder, depth, intp=_I64) as loop:
                shift = e.offset(taps, loop.index)
                values = [e.load(builder.gep(run, [shift])) for run in runs]
                panel = e.step(panel_at, loop.index, rows * e.itemsize)
                for r in range(rows):
                    factor = e.broadcast(e.step(panel, r, e.itemsize))
                    for v in range(vectors):
                        total = builder.load(totals[r][v])
                        builder.store(e.multiply_add(factor, values[v], total), totals[r][v])
            with builder.if_else(builder.icmp_signed("!=", is_first, e.index(0))) as (begins, goes_on):
                with begins:
                    for r, v in grid:
                        before = e.broadcast(e.step(begin_at, row[r], e.itemsize))
                        builder.store(builder.fadd(before, builder.load(totals[r][v])), totals[r][v])
                with goes_on:
                    for r, v in grid:
                        before = e.load(kept[r, v])
                        builder.store(builder.fadd(before, builder.load(totals[r][v])), totals[r][v])
            with builder.if_else(builder.icmp_signed("!=", is_last, e.index(0))) as (ends, waits):
                with ends:
                    for v in range(vectors):
                        place = builder.gep(out_at, [e.offset(places, v)])
                        for r in range(rows):
                            e.store(builder.load(totals[r][v]), e.step(place, row[r], out_row))
                with waits:
                    for r, v in grid:
                        e.store(builder.load(totals[r][v]), kept[r, v])
            return context.get_dummy_value()

        return types.void(like, *[types.intp] * 13), generate

    return tile


def make_correlation_tile(rows: int, taps: int):
    """Return a tile of a convolution's weight gradient, on numbers of the type of `like`.

    It adds to sums[r, t] the inner products of gradient row r with x shifted by taps[t]: over `images`, each
    `run` vectors long, g from g_at + r * g_row, x from x_at + taps[t]. Addresses and offsets are in
    bytes; rows beyond number `last` and taps beyond `last_tap` are those computed again.
    """

    @intrinsic
    def tile(
        typing,
        like,
        sums_at,
        sums_row,
        last,
        last_tap,
        g_at,
        g_row,
        g_image,
        x_at,
        x_image,
        taps_at,
        images,
        run,
    ):
        def generate(context, builder, signature, args):
            e = Emitter(context, builder, signature.args[0])
            sums_at, sums_row, last, last_tap, g_at, g_row, g_image, x_at, x_image, taps_at, images, run = (
                args[1:]
            )
            sums_at, g_at, x_at, taps_at = (e.pointer(a) for a in (sums_at, g_at, x_at, taps_at))
            row = [e.smaller(e.index(r), last) for r in range(rows)]
            tap = [e.smaller(e.index(t), last_tap) for t in range(taps)]
            shifts = [e.offset(taps_at, t) for t in tap]
            totals = e.accumulators(rows, taps)
            with cgutils.for_range(builder, images, intp=_I64) as image:
                g_first = e.step(g_at, image.index, g_image)
                x_first = e.step(x_at, image.index, x_image)
                g_rows = [e.step(g_first, row[r], g_row) for r in range(rows)]
                runs = [builder.gep(x_first, [shift]) for shift in shifts]
                with cgutils.for_range(builder, run, intp=_I64) as loop:
                    values = [e.load(e.step(at, loop.index, VECTOR_BYTES)) for at in runs]
                    for r in range(rows):
                        factor = e.load(e.step(g_rows[r], loop.index, VECTOR_BYTES))
                        for t in range(taps):
                            total = builder.load(totals[r][t])
                            builder.store(e.multiply_add(factor, values[t], total), totals[r][t])
            # All sums are read before one is written: rows and taps computed twice must not add up twice.
            places, results = [], []
            for r in range(rows):
                for t in range(taps):
                    at = e.step(e.step(sums_at, row[r], sums_row), tap[t], e.itemsize)
                    places.append(builder.bitcast(at, e.scalar.as_pointer()))
                    results.append(
                        builder.fadd(builder.load(places[-1]), e.sum_lanes(builder.load(totals[r][t])))
                    )
            for result, place in zip(results, places, strict=True):
                builder.store(result, place)
            return context.get_dummy_value()

        return types.void(like, *[types.intp] * 12), generate

    return tile


@intrinsic
def copy_plane(
    typing, like, source_at, source_row, source_step, target_at, target_row, target_step, rows, count
):
    """Copy `rows` lines of `count` numbers of the type of `like` from one address to another.

    A line begins some bytes after the one before, and a number some bytes after its neighbour.
    """

    def generate(context, builder, signature, args):
        e = Emitter(context, builder, signature.args[0])
        source_at, source_row, source_step, target_at, target_row, target_step, rows, count = args[1:]
        source_at, target_at = e.pointer(source_at), e.pointer(target_at)
        size, lanes = e.index(e.itemsize), e.index(e.lanes)
        dense = builder.icmp_signed(">=", count, lanes)
        for step in (source_step, target_step):
            dense = builder.and_(dense, builder.icmp_signed("==", step, size))
        last = builder.sub(count, lanes)
        vectors = builder.sdiv(builder.add(last, e.index(e.lanes - 1)), lanes)
        kind = e.scalar.as_pointer()
        with builder.if_else(dense) as (by_vector, by_number):
            with by_vector, cgutils.for_range(builder, rows, intp=_I64) as line:
                source, target = (
                    e.step(source_at, line.index, source_row),
                    e.step(target_at, line.index, target_row),
                )
                with cgutils.for_range(builder, vectors, intp=_I64) as loop:
                    first = builder.mul(loop.index, lanes)
                    e.store(e.load(e.step(source, first, size)), e.step(target, first, size))
                e.store(e.load(e.step(source, last, size)), e.step(target, last, size))
            with by_number, cgutils.for_range(builder, rows, intp=_I64) as line:
                source, target = (
                    e.step(source_at, line.index, source_row),
                    e.step(target_at, line.index, target_row),
                )
                with cgutils.for_range(builder, count, intp=_I64) as loop:
                    number = builder.load(builder.bitcast(e.step(source, loop.index, source_step), kind))
                    builder.store(number, builder.bitcast(e.step(target, loop.index, target_step), kind))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 8), generate


@intrinsic
def transpose_square(typing, like, source_at, source_row, target_at, target_row):
    """Copy a square of lanes x lanes elements of the type of `like`, transposed.

    Both squares begin at an address and have contiguous rows, some bytes apart.
    """

    def generate(context, builder, signature, args):
        e = Emitter(context, builder, signature.args[0])
        source_at, source_row, target_at, target_row = args[1:]
        source_at, target_at = e.pointer(source_at), e.pointer(target_at)
        lines = [e.load(e.step(source_at, r, source_row)) for r in range(e.lanes)]
        distance = 1
        while distance < e.lanes:  # exchange the off-diagonal quarters of ever larger squares
            low = [n if not n & distance else e.lanes + n - distance for n in range(e.lanes)]
            high = [n + distance if not n & distance else e.lanes + n for n in range(e.lanes)]
            for r in range(e.lanes):
                if not r & distance:
                    pair = lines[r], lines[r + distance]
                    lines[r], lines[r + distance] = e.shuffle(*pair, low), e.shuffle(*pair, high)
            distance *= 2
        for r in range(e.lanes):
            e.store(lines[r], e.step(target_at, r, target_row))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 4), generate


def make_dot_tile(rows: int, columns: int):
    """Return tile(a, b, c, i, j): c[i:i+rows, j:j+columns] = a[i:i+rows] @ b[j:j+columns].T.

    a: (m, inner) and b: (n, inner), both with contiguous rows; c: (m, n).
    """

    @intrinsic
    def tile(typing, a, b, c, i, j):
        def generate(context, builder, signature, args):
            e = Emitter(context, builder, signature.args[0])
            a_at, (_, inner), (a_row, _) = e.unpack(signature.args[0], args[0])
            b_at, _, (b_row, _) = e.unpack(signature.args[1], args[1])
            c_at, _, (c_row, c_column) = e.unpack(signature.args[2], args[2])
            i, j = args[3], args[4]
            a_rows = [e.step(a_at, builder.add(i, e.index(r)), a_row) for r in range(rows)]
            b_rows = [e.step(b_at, builder.add(j, e.index(s)), b_row) for s in range(columns)]
            totals = e.accumulators(rows, columns)

            def add_products(start, mask):
                values = [e.load(e.step(at, start, e.itemsize), mask) for at in b_rows]
                for r in range(rows):
                    factor = e.load(e.step(a_rows[r], start, e.itemsize), mask)
                    for s in range(columns):
                        total = builder.load(totals[r][s])
                        builder.store(e.multiply_add(factor, values[s], total), totals[r][s])

            whole = builder.sdiv(inner, e.index(e.lanes))
            with cgutils.for_range(builder, whole, intp=_I64) as loop:
                add_products(builder.mul(loop.index, e.index(e.lanes)), None)
            rest = builder.mul(whole, e.index(e.lanes))
            with builder.if_then(builder.icmp_signed("<", rest, inner)):
                add_products(rest, e.mask(rest, inner))
            for r in range(rows):
                c_line = e.step(c_at, builder.add(i, e.index(r)), c_row)
                for s in range(columns):
                    at = e.step(c_line, builder.add(j, e.index(s)), c_column)
                    total = e.sum_lanes(builder.load(totals[r][s]))
                    builder.store(total, builder.bitcast(at, e.scalar.as_pointer()))
            return context.get_dummy_value()

        return types.void(a, b, c, types.intp, types.intp), generate

    return tile
