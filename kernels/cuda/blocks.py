"""What the threads of a block find out together, and how many threads a row gets."""

from kernels.cuda.compile import Kernel, cuda, device, threads

FEWEST, MOST = threads(32), threads(512)
"""Threads of a block that goes through a row; shared arrays are as long as the most."""

_EACH = 4  # numbers for each thread, before a block gets more threads
_MOST_BLOCKS = 1 << 16


@device
def sum_of_block(shared, t, width, value):
    """Return the sum of the values of all threads; width: how many there are, a power of two."""
    cuda.syncthreads()  # what is there may still be read
    shared[t] = value
    cuda.syncthreads()
    half = width // 2
    while half > 0:
        if t < half:
            shared[t] += shared[t + half]
        cuda.syncthreads()
        half //= 2
    return shared[0]


@device
def largest_of_block(shared, t, width, value):
    """Return the largest of the values of all threads; nan is larger than all numbers."""
    cuda.syncthreads()  # what is there may still be read
    shared[t] = value
    cuda.syncthreads()
    half = width // 2
    while half > 0:
        if t < half:
            x, y = shared[t], shared[t + half]
            shared[t] = x if x > y or x != x else y
        cuda.syncthreads()
        half //= 2
    return shared[0]


def over_rows(made: Kernel, rows: int, length: int, *arguments) -> None:
    """Launch a kernel that takes rows and their length, a block to a row, of as many threads as are busy."""
    if not rows or not length:
        return
    width = FEWEST
    while width < MOST and width * _EACH < length:
        width *= 2
    made.launch(min(rows, _MOST_BLOCKS), width, rows, length, *arguments)
