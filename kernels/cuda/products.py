"""The kernel behind `kernels.cuda.tiles`: a tile of a matrix product by a block of threads.

The block goes along the sum in steps of `Tile.depth`. While it multiplies what lies in one half of its shared
memory, the elements of the next step are on their way from global memory to registers, from where they go to
the other half: one barrier a step. At the end the sums go through shared memory once more, so that
neighbouring threads write neighbours, and the addend and the formula stand here once.

Where the elements of an operand lie is told by exchangeable pieces, a scope's `keep_a`, `begin_a` and
`go_on_a` and the same for `b`: `keep` is called by all threads before a barrier, and may write down something
for each line of the tile, in shared memory; `begin` brings the first step, which may be short, and `go_on`
each of the others, to registers: `PIECES` times four elements a thread, along the sum (`along`) or of four
lines. There are `_begin_by_steps` for rows, columns and a sum of one step each, and `_begin_by_tables` for
several dims. Other operands, such as the windows of an image with zeros around it, take functions of the same
arguments.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from kernels.cuda.compile import (
    FLOATS,
    INTEGERS,
    SIMULATED,
    Kernel,
    cuda,
    device,
    element_type,
    formula_for,
    register,
    specialised,
)
from kernels.cuda.fragments import Tile, as_it_is
from kernels.cuda.geometry import place
from kernels.cuda.tensor_cores import TensorTile
from kernels.cuda.vectors import load, store
from micro.formulas import FORMULAS

if SIMULATED:
    TILES: dict[str, Tile | TensorTile] = {
        "large": Tile(2, 2, 2, 4), "square": Tile(2, 2, 1, 4), "small": Tile(2, 1, 1, 8),
        "thin": Tile(4, 1, 1, 4), "flat": Tile(2, 4, 1, 4), "tensor": TensorTile(1, 1, 1, 2, 8),
    }  # fmt: skip
else:
    TILES = {
        "large": Tile(16, 16, 2, 8, 2), "square": Tile(16, 16, 1, 16, 2), "small": Tile(8, 8, 1, 32, 4),
        "thin": Tile(16, 4, 1, 16, 6), "flat": Tile(8, 16, 1, 16), "tensor": TensorTile(2, 4, 4, 4, 16, 2),
    }  # fmt: skip
"""By name: 128 x 128 elements, 64 x 64, 32 x 32, 64 x 16 and 32 x 64; by tensor cores 128 x 128."""

TILES_BY_STEPS = ("large", "square", "small", "thin", "tensor")
TILES_BY_TABLES = ("large", "square", "thin")
"""Those that there are kernels of for operands of one step each, and for those of several dims."""

DEEPEST = max(tile.depth for tile in TILES.values())
"""Of all: how long a part of a sum is, is a multiple of it."""


# --- pieces of the kernel --------------------------------------------------------------------------
# The names in capitals are numbers of the tile; T is the element type, and `at` says where elements lie.


def _line_and_place(n, lines, along):
    """Return of which line of an operand, and from which place along the sum, piece `n` is."""
    if along:
        return n // (DEPTH // 4), n % (DEPTH // 4) * 4  # noqa: F821
    return n % (lines // 4) * 4, n // (lines // 4)


def _keep_nothing(lines, height, top, size, tables, first):
    pass


def _begin_by_steps(
    x, base, lines, height, pieces, top, size, start, end, along, wide, line_step, step, tables, first,
    places, counts, values,
):  # fmt: skip
    """Bring the thread's pieces of an operand to registers: lines from `top`, places of the sum from `start`.

    along: whether the four elements of a piece lie along the sum, else they are of four lines; wide: whether
    they are neighbours, in one load. Beyond the last line, and from place `end` on, there are zeros.
    Afterwards `places` holds where each piece of the next step lies, and `counts` how many of it there are.
    """
    beside = step if along else line_step
    for piece in range(pieces):
        line, k = line_and_place(cuda.threadIdx.x + piece * THREADS, height, along)  # noqa: F821
        line, k = line + top, k + start
        count = 0
        if line < size:
            count = 4 if along else min(4, size - line)
        # What takes the place of a line beyond the last is never stored: the first will do.
        here = base + (line if line < size else 0) * line_step + k * step
        places[piece], counts[piece] = here + (end - start) * step, count
        count = min(count, end - k) if along else count if k < end else 0
        pick(x, wide, here, beside, 2 * beside, 3 * beside, count, values, 4 * piece)  # noqa: F821


def _go_on_by_steps(
    x, base, lines, height, pieces, start, moved, along, wide, beside, tables, first, places, counts, values
):  # fmt: skip
    """As `_begin_by_steps` for the next step, which is whole; it moves `places` on to the one after it."""
    for piece in range(pieces):
        here = places[piece]
        places[piece] += moved
        if wide:
            bring(x, here, values, 4 * piece)  # noqa: F821
        else:
            pick(x, False, here, beside, 2 * beside, 3 * beside, counts[piece], values, 4 * piece)  # noqa: F821


def _bring(x, here, values, v):
    values[v], values[v + 1], values[v + 2], values[v + 3] = load(x, here, 4)


def _pick(x, wide, here, second, third, fourth, count, values, v):
    """Bring `count` elements to registers, the others at these offsets from the first; zeros for the rest."""
    values[v] = values[v + 1] = values[v + 2] = values[v + 3] = T(0)  # noqa: F821
    if wide:
        if count > 0:
            bring(x, here, values, v)  # noqa: F821
        return
    if count > 0:
        values[v] = x[here]
    if count > 1:
        values[v + 1] = x[here + second]
    if count > 2:
        values[v + 2] = x[here + third]
    if count > 3:
        values[v + 3] = x[here + fourth]


def keep_places(lines, height, top, size, tables, first):
    """Write down where the lines of a tile begin; beyond the last, that of the first."""
    for line in range(cuda.threadIdx.x, height, THREADS):  # noqa: F821
        lines[line] = tables[first + (top + line if top + line < size else 0)]


def _begin_by_tables(
    x, base, lines, height, pieces, top, size, start, end, along, wide, line_step, step, tables, first,
    places, counts, values,
):  # fmt: skip
    """As `_begin_by_steps`, where a table tells at which offset places of the sum lie, from `first` on.

    `lines` tells that of the lines.
    """
    for piece in range(pieces):
        line, k = line_and_place(cuda.threadIdx.x + piece * THREADS, height, along)  # noqa: F821
        left = end - start - k
        pick_by_tables(  # noqa: F821
            x, base, lines, line, first + start + k, along, wide, tables,
            min(left, 4) if along else 4 if left > 0 else 0, values, 4 * piece,
        )  # fmt: skip


def _go_on_by_tables(
    x, base, lines, height, pieces, start, moved, along, wide, beside, tables, first, places, counts, values
):
    """As `_go_on_by_steps`, by tables."""
    for piece in range(pieces):
        line, k = line_and_place(cuda.threadIdx.x + piece * THREADS, height, along)  # noqa: F821
        pick_by_tables(x, base, lines, line, first + start + k, along, wide, tables, 4, values, 4 * piece)  # noqa: F821


def _pick_by_tables(x, base, lines, line, k, along, wide, tables, count, values, v):
    values[v] = values[v + 1] = values[v + 2] = values[v + 3] = T(0)  # noqa: F821
    if count <= 0:
        return
    here = base + lines[line] + tables[k]
    if wide:
        bring(x, here, values, v)  # noqa: F821
        return
    values[v] = x[here]
    if along:
        here = base + lines[line]
        if count > 1:
            values[v + 1] = x[here + tables[k + 1]]
        if count > 2:
            values[v + 2] = x[here + tables[k + 2]]
        if count > 3:
            values[v + 3] = x[here + tables[k + 3]]
    else:
        here = base + tables[k]
        values[v + 1], values[v + 2] = x[here + lines[line + 1]], x[here + lines[line + 2]]
        values[v + 3] = x[here + lines[line + 3]]


def _find_cells(height, width, first, pieces, along, cells):
    """Find out where in shared memory the thread's pieces go: lines lie side by side there."""
    for piece in range(pieces):
        line, k = line_and_place(cuda.threadIdx.x + piece * THREADS, height, along)  # noqa: F821
        cells[piece] = first + k * width + line


def _stash(tile, turn, width, pieces, along, cells, values):
    """Write the thread's pieces to shared memory, `turn` elements further than before: to the other half."""
    for piece in range(pieces):
        cells[piece] += turn
        here, v = cells[piece], 4 * piece
        first, second = rounded(values[v]), rounded(values[v + 1])  # noqa: F821
        third, fourth = rounded(values[v + 2]), rounded(values[v + 3])  # noqa: F821
        # One element, too, goes by `store`: an array's index is first asked whether it is negative.
        if along:
            store(tile, here, (first,))
            store(tile, here + width, (second,))
            store(tile, here + 2 * width, (third,))
            store(tile, here + 3 * width, (fourth,))
        else:
            store(tile, here, (first, second, third, fourth))


@device
def _by_step(i, step, tables, first):
    return i * step


@device
def _by_table(i, step, tables, first):
    return tables[first + i]


def _finish(total, adds, addend, place):
    """Return what is stored of a sum."""
    if adds:
        total += addend[place]
    return activate(total)  # noqa: F821


# --- the kernel ------------------------------------------------------------------------------------


def _product(
    rows, columns, inner, batches, parts, chunk, a_row, a_inner, b_inner, b_column, out_row, out_column,
    a_along, b_along, a_first, b_first, count, shape, a_batch, b_batch, out_batch, part_step,
    added, added_batch, added_row, added_column, a_wide, b_wide, out_wide, a, b, addend, tables, out,
):  # fmt: skip
    """out[batch, row, column] = formula(sum of a[batch, row, :] * b[batch, :, column] + addend).

    Of a sum in parts each is written, `part_step` further. a_along: whether a thread reads along the sum,
    else along the rows; a_wide: in vectors; so for b. added: whether the addend comes on top.
    """
    tile = cuda.shared.array(SHARED, T, alignment=16)  # noqa: F821
    a_lines = cuda.shared.array(ROWS, INDEX)  # noqa: F821
    b_lines = cuda.shared.array(COLUMNS, INDEX, alignment=16)  # noqa: F821
    kept = cuda.shared.array(4, INDEX)  # noqa: F821
    a_next = cuda.local.array(A_REGISTERS, T)  # noqa: F821
    b_next = cuda.local.array(B_REGISTERS, T)  # noqa: F821
    a_places, a_counts = cuda.local.array(A_PIECES, INDEX), cuda.local.array(A_PIECES, COUNT)  # noqa: F821
    b_places, b_counts = cuda.local.array(B_PIECES, INDEX), cuda.local.array(B_PIECES, COUNT)  # noqa: F821
    a_cells, b_cells = cuda.local.array(A_PIECES, COUNT), cuda.local.array(B_PIECES, COUNT)  # noqa: F821
    a_beside, b_beside = a_inner if a_along else a_row, b_inner if b_along else b_column
    a_step, b_step = a_inner * DEPTH, b_inner * DEPTH  # noqa: F821
    t = cuda.threadIdx.x
    a_own, b_own, put_own = own_places(t)  # noqa: F821
    tiles_down = (rows + ROWS - 1) // ROWS  # noqa: F821
    tiles_across = (columns + COLUMNS - 1) // COLUMNS  # noqa: F821
    out_rows, b_outers, out_columns = rows, 2 * rows, 2 * rows + columns
    a_inners = 2 * (rows + columns)
    b_inners = a_inners + inner
    block = cuda.blockIdx.x
    rest = block // tiles_across
    left = (block - rest * tiles_across) * COLUMNS  # noqa: F821
    batch_part = rest // tiles_down
    top = (rest - batch_part * tiles_down) * ROWS  # noqa: F821
    batch = batch_part // parts
    part = batch_part - batch * parts
    if t == 0:
        kept[0], kept[1], kept[2], kept[3] = top, left, batch, part
    keep_a(a_lines, ROWS, top, rows, tables, 0)  # noqa: F821
    keep_b(b_lines, COLUMNS, left, columns, tables, b_outers)  # noqa: F821
    a_base = a_first + place(batch, count, shape, a_batch)
    b_base = b_first + place(batch, count, shape, b_batch)
    sums = no_sums(T(0))  # noqa: F821
    begin, end = part * chunk, min(inner, (part + 1) * chunk)
    # The first step is the one that may be short: those in the loop are whole.
    start = begin + (end - begin - 1) % DEPTH + 1  # noqa: F821
    cuda.syncthreads()
    begin_a(  # noqa: F821
        a, a_base, a_lines, ROWS, A_PIECES, top, rows, begin, start, a_along, a_wide,  # noqa: F821
        a_row, a_inner, tables, a_inners, a_places, a_counts, a_next,
    )  # fmt: skip
    begin_b(  # noqa: F821
        b, b_base, b_lines, COLUMNS, B_PIECES, left, columns, begin, start, b_along, b_wide,  # noqa: F821
        b_column, b_inner, tables, b_inners, b_places, b_counts, b_next,
    )  # fmt: skip
    find_cells(ROWS, A_WIDTH, 0, A_PIECES, a_along, a_cells)  # noqa: F821
    find_cells(COLUMNS, B_WIDTH, B_FIRST, B_PIECES, b_along, b_cells)  # noqa: F821
    stash(tile, 0, A_WIDTH, A_PIECES, a_along, a_cells, a_next)  # noqa: F821
    stash(tile, 0, B_WIDTH, B_PIECES, b_along, b_cells, b_next)  # noqa: F821
    cuda.syncthreads()
    steps = COUNT((end - start) // DEPTH)  # noqa: F821
    a_from, b_from, turn = COUNT(a_own), COUNT(b_own), COUNT(BUFFER)  # noqa: F821
    while steps >= 0:
        if steps > 0:
            following = end - steps * DEPTH  # noqa: F821
            go_on_a(  # noqa: F821
                a, a_base, a_lines, ROWS, A_PIECES, following, a_step, a_along, a_wide,  # noqa: F821
                a_beside, tables, a_inners, a_places, a_counts, a_next,
            )  # fmt: skip
            go_on_b(  # noqa: F821
                b, b_base, b_lines, COLUMNS, B_PIECES, following, b_step, b_along, b_wide,  # noqa: F821
                b_beside, tables, b_inners, b_places, b_counts, b_next,
            )  # fmt: skip
        sums = add_products(sums, tile, a_from, b_from)  # noqa: F821
        a_from, b_from = COUNT(a_from + turn), COUNT(b_from + turn)  # noqa: F821
        stash(tile, turn, A_WIDTH, A_PIECES, a_along, a_cells, a_next)  # noqa: F821
        stash(tile, turn, B_WIDTH, B_PIECES, b_along, b_cells, b_next)  # noqa: F821
        cuda.syncthreads()
        steps, turn = COUNT(steps - 1), COUNT(-turn)  # noqa: F821
    # Out of shared memory, so that they take no registers in the loop.
    top, left, batch, part = kept[0], kept[1], kept[2], kept[3]
    adds = added and part == 0
    out_base = part * part_step + place(batch, count, shape, out_batch)
    for n in range(PASSES):  # noqa: F821
        put(sums, n, tile, put_own)  # noqa: F821
        cuda.syncthreads()
        stage_top = top + n // PASSES_ACROSS * STAGE_ROWS  # noqa: F821
        stage_left = left + n % PASSES_ACROSS * STAGE_COLUMNS  # noqa: F821
        for i in range(t, STAGE_ROWS * STAGE_COLUMNS // 4, THREADS):  # noqa: F821
            r, c = i // (STAGE_COLUMNS // 4), i % (STAGE_COLUMNS // 4) * 4  # noqa: F821
            row, column = stage_top + r, stage_left + c
            if row < rows and column < columns:
                row_base = out_base + place_of(row, out_row, tables, out_rows)  # noqa: F821
                added_base = batch * added_batch + row * added_row
                if out_wide:
                    totals = load(tile, r * STAGE_WIDTH + c, 4)  # noqa: F821
                    here, step = added_base + column * added_column, added_column
                    first = finish(totals[0], adds, addend, here)  # noqa: F821
                    second = finish(totals[1], adds, addend, here + step)  # noqa: F821
                    third = finish(totals[2], adds, addend, here + 2 * step)  # noqa: F821
                    fourth = finish(totals[3], adds, addend, here + 3 * step)  # noqa: F821
                    to = row_base + place_of(column, out_column, tables, out_columns)  # noqa: F821
                    store(out, to, (first, second, third, fourth))
                else:
                    for other in range(column, min(column + 4, columns)):
                        total = tile[r * STAGE_WIDTH + c + other - column]  # noqa: F821
                        out[row_base + place_of(other, out_column, tables, out_columns)] = finish(  # noqa: F821
                            total, adds, addend, added_base + other * added_column
                        )
        cuda.syncthreads()


_SIGNATURE = (
    "int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, "
    "bool, bool, int64, int64, int64, dims, dims, dims, dims, int64, "
    "bool, int64, int64, int64, bool, bool, bool, T*, T*, T*, {tables}, out T*"
)


class Pieces(NamedTuple):
    """How the second operand is brought to registers, and what that calls: for one that is no array.

    title: in the kernel's name.
    """

    title: str
    keep: Callable
    begin: Callable
    go_on: Callable
    calls: Callable


@cache
def product(name: str, in_dims: bool, formula: str, pieces: Pieces | None = None) -> Kernel:
    """Return the kernel of a tile of `TILES`, for operands of several dims or of one, with a formula."""
    tile = TILES[name]
    if in_dims:
        keep, begin, go_on, place_of = keep_places, _begin_by_tables, _go_on_by_tables, _by_table
    else:
        keep, begin, go_on, place_of = _keep_nothing, _begin_by_steps, _go_on_by_steps, _by_step
    of_what = f"_of_{pieces.title}" if pieces else "_of_dims" if in_dims else ""
    whole = f"{name}_product{of_what}{f'_with_{formula}' if formula else ''}"
    signature = _SIGNATURE.format(tables="int64*" if in_dims else "T*")

    def scope(kind: dict[str, np.dtype]) -> dict:
        def made(function: Callable, **names) -> Callable:
            return device(specialised(function, kind, {**found, **names}), inlined=True)

        found = {
            **tile.names(), **tile.functions(), "place_of": place_of,
            "INDEX": element_type(np.dtype(np.int64)), "COUNT": element_type(np.dtype(np.int32)),
        }  # fmt: skip
        found["bring"] = made(_bring)
        found["pick"], found["pick_by_tables"] = made(_pick), made(_pick_by_tables)
        found["own_places"] = made(tile.own_places)
        found["line_and_place"] = made(_line_and_place)
        found["stash"], found["find_cells"] = made(_stash), made(_find_cells)
        found["keep_a"] = found["keep_b"] = made(keep)
        found["begin_a"] = found["begin_b"] = made(begin)
        found["go_on_a"] = found["go_on_b"] = made(go_on)
        if pieces:
            found[pieces.calls.__name__.strip("_")] = made(pieces.calls)
            found["keep_b"], found["begin_b"] = made(pieces.keep), made(pieces.begin)
            found["go_on_b"] = made(pieces.go_on)
        activate = formula_for(FORMULAS[formula].forward, kind["T"]) if formula else as_it_is
        found["finish"] = made(_finish, activate=activate)
        return found

    kinds: Sequence[str] = FLOATS if formula or in_dims else (*FLOATS, *INTEGERS)
    if name in ("large", "tensor"):
        kinds = ["float32"]  # the sums of wider elements would leave no registers; TF32 is for float32
    bounds = tile.threads, 1 if in_dims else tile.blocks
    return register(Kernel(_product, signature, kinds, scope, whole, launch_bounds=bounds))


@cache
def sum_of_parts(formula: str) -> Kernel:
    """Return the kernel that adds the parts of sums, with a formula at the end."""

    def scope(kind: dict[str, np.dtype]) -> dict:
        return {"activate": formula_for(FORMULAS[formula].forward, kind["T"]) if formula else as_it_is}

    name = f"add_parts{f'_with_{formula}' if formula else ''}"
    return register(
        Kernel(
            _add_parts, "int64, int64, T*, out T*", FLOATS if formula else (*FLOATS, *INTEGERS), scope, name
        )
    )


def _add_parts(size, parts, x, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        total = x[i]
        for part in range(1, parts):
            total += x[part * size + i]
        out[i] = activate(total)  # noqa: F821


for _name in TILES_BY_STEPS:
    product(_name, False, "")
for _name in TILES_BY_TABLES:
    product(_name, True, "")
sum_of_parts("")
