"""What a training loop does with its data: rows picked for a batch, and results added up until they are read.

Neither waits for the GPU, nor does the host look at the elements.
"""

from kernels.cuda import gather
from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.blocks import sum_of_block
from kernels.cuda.compile import FLOATS, cuda, kernel, threads, types
from kernels.cuda.memory import contiguous

_THREADS = threads(256)


def take_rows(x: DeviceArray, positions: DeviceArray, out: DeviceArray | None = None) -> DeviceArray:
    """Return x[positions], or `out`, filled: rows of a contiguous array, by a list that is known to be right.

    x: (count, ...); positions: (rows,) int64, contiguous, 0 <= position < count, which nothing checks.
    """
    found = gather.take_rows(x, positions, out)
    if found is None:  # there is nothing in a row
        found = empty((positions.size, *x.shape[1:]), x.dtype) if out is None else out
    return found


@kernel(
    "int64, int64, T*, T*, int64*, out float64*",
    FLOATS,
    {"sum_of_block": sum_of_block, "LONG": types.int64, "SUM": types.float64, "BLOCK": _THREADS},
)
def _tally(rows, classes, loss, scores, labels, totals):
    """Add to the totals, in one block."""
    shared = cuda.shared.array(BLOCK, LONG)  # noqa: F821
    t = cuda.threadIdx.x
    right = LONG(0)  # noqa: F821
    for row in range(t, rows, BLOCK):  # noqa: F821
        first, best = row * classes, LONG(0)  # noqa: F821
        for i in range(1, classes):
            top, value = scores[first + best], scores[first + i]
            if value > top or (value != value and top == top):
                best = LONG(i)  # noqa: F821
        if labels[row] == best:
            right += 1
    right = sum_of_block(shared, t, BLOCK, right)  # noqa: F821
    if t == 0:
        totals[0] += SUM(loss[0]) * SUM(rows)  # noqa: F821
        totals[1] += SUM(right)  # noqa: F821


def tally(totals: DeviceArray, loss: DeviceArray, scores: DeviceArray, labels: DeviceArray) -> None:
    """Add a batch to `totals`, (2,) float64: its loss times its rows, and how many rows are right.

    loss: (), the mean over the rows. scores: (rows, classes); a row is right if its first largest score (nan
    is the largest) is that of its label. labels: (rows,) int64.
    """
    rows, classes = scores.shape
    if rows and classes:
        _tally.launch(1, _THREADS, rows, classes, loss, contiguous(scores), contiguous(labels), totals)
