"""Copies that put another dim innermost: by tiles in shared memory, read and written along rows."""

from kernels.cuda.array import DeviceArray
from kernels.cuda.compile import ALL, SIMULATED, cuda, kernel, threads
from kernels.cuda.geometry import Launch, coordinates, offset

_SIDE = 4 if SIMULATED else 32
_BLOCK = threads(256)
_LINES = _BLOCK // _SIDE  # of a tile that a block moves at once: a quarter
_PADDED = _SIDE + 1  # so that a column lies in as many banks as a row
_TILE, _STEP = _SIDE * _PADDED, _LINES * _PADDED
_MOST_BLOCKS = (1 << 16) - 1
_WORTH = 8  # of shorter rows tiles would be mostly empty


@kernel("int32, int32, int32, int32, int64, int64, uint32, dims, dims, T*, dims, out T*, dims", ALL)
def _transpose(
    matrices, down, rows, columns, x_step, out_step, count, shape, inverses, x, x_steps, out, out_steps
):
    """Write matrices, whose columns lie in order in x, by their rows; `down` rows of tiles each."""
    tile = cuda.shared.array(_TILE, T)  # noqa: F821
    lane, line = cuda.threadIdx.x % _SIDE, cuda.threadIdx.x // _SIDE
    column, matrix = cuda.blockIdx.x * _SIDE, cuda.blockIdx.z
    while matrix < matrices:
        at = coordinates(matrix, count, shape, inverses)
        here, there, row_of_tiles = offset(at, x_steps), offset(at, out_steps), cuda.blockIdx.y
        while row_of_tiles < down:
            row = row_of_tiles * _SIDE
            first = here + row + lane + (column + line) * x_step
            left = columns - column - line if row + lane < rows else 0
            # Four reads are under way before the first of them is needed.
            a = x[first] if left > 0 else T(0)  # noqa: F821
            b = x[first + _LINES * x_step] if left > _LINES else T(0)  # noqa: F821
            c = x[first + 2 * _LINES * x_step] if left > 2 * _LINES else T(0)  # noqa: F821
            d = x[first + 3 * _LINES * x_step] if left > 3 * _LINES else T(0)  # noqa: F821
            place = line * _PADDED + lane
            tile[place], tile[place + _STEP], tile[place + 2 * _STEP], tile[place + 3 * _STEP] = a, b, c, d
            cuda.syncthreads()
            for turn in range(4):
                r = turn * _LINES + line
                if row + r < rows and column + lane < columns:
                    out[there + column + lane + (row + r) * out_step] = tile[lane * _PADDED + r]
            cuda.syncthreads()
            row_of_tiles += cuda.gridDim.y
        matrix += cuda.gridDim.z


def transpose_into(part: Launch, x: DeviceArray, out: DeviceArray) -> bool:
    """Copy x to `out`, from where a part of `walk` begins, if what are columns in one are rows in the other.

    Return whether it was done: other arrays may as well be copied in the order of `out`.
    """
    shape, (x_steps, out_steps) = part.shape, part.steps
    if out_steps[0] != 1 or x_steps[0] in (0, 1) or 1 not in x_steps:
        return False
    dim = x_steps.index(1)
    rows, columns = shape[dim], shape[0]
    if min(rows, columns) < _WORTH:
        return False

    def others(numbers: tuple[int, ...], fill: int) -> tuple[int, ...]:
        return (*numbers[1:dim], *numbers[dim + 1 :], fill, fill)

    matrices, down, across = part.size // (rows * columns), -(-rows // _SIDE), -(-columns // _SIDE)
    _transpose.launch(
        (across, min(down, _MOST_BLOCKS), min(matrices, _MOST_BLOCKS)), _BLOCK,
        matrices, down, rows, columns, x_steps[0], out_steps[dim], max(part.dims - 2, 1), others(shape, 1),
        others(part.inverses, 0), x, others(x_steps, 0), out, others(out_steps, 0),
    )  # fmt: skip
    return True
