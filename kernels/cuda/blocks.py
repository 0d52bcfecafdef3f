"""What the threads of a block find out together, and how many threads a row gets."""

from collections.abc import Callable

from kernels.cuda.compile import Kernel, cuda, device, threads

FEWEST, MOST = threads(32), threads(512)
"""Threads of a block that goes through a row; shared arrays are as long as the most."""

_EACH = 4  # numbers for each thread, before a block gets more threads
_MOST_BLOCKS = 1 << 16


def together(combine: Callable) -> Callable:
    """Return the device function that combines the values of threads pair by pair, in one fixed order.

    combine: a device function of two values. What is returned takes (shared, t, lane, width, apart, value):
    an element of shared memory for each thread of the block; the thread's number; its number among the
    `width` (a power of two) that combine, whose numbers in the block are `apart`; and its value. All threads
    of the block call it, and each is given the result of those that it combines with.
    """

    def combined(shared, t, lane, width, apart, value):
        if width == 1:
            return value
        cuda.syncthreads()  # what is there may still be read
        shared[t] = value
        cuda.syncthreads()
        while width > 4:  # halves, and halves again: with half as many barriers
            width //= 4
            if lane < width:
                near, far = width * apart, 2 * width * apart
                x = combine(shared[t], shared[t + far])
                shared[t] = combine(x, combine(shared[t + near], shared[t + near + far]))
            cuda.syncthreads()
        first = t - lane * apart
        if width == 1:
            return shared[first]
        if width == 2:
            return combine(shared[first], shared[first + apart])
        x = combine(shared[first], shared[first + 2 * apart])
        return combine(x, combine(shared[first + apart], shared[first + 3 * apart]))

    return device(combined)


@device
def _plus(x, y):
    return x + y


@device
def _larger(x, y):
    return x if x > y or x != x else y  # nan is larger than all numbers


sum_of_group, largest_of_group = together(_plus), together(_larger)
"""The sum, and the largest value, of threads: see `together`."""


@device
def sum_of_block(shared, t, width, value):
    """Return the sum of the values of all threads; width: how many there are, a power of two."""
    return sum_of_group(shared, t, t, width, 1, value)


@device
def largest_of_block(shared, t, width, value):
    """Return the largest of the values of all threads; nan is larger than all numbers."""
    return largest_of_group(shared, t, t, width, 1, value)


def over_rows(made: Kernel, rows: int, length: int, *arguments) -> None:
    """Launch a kernel that takes rows and their length, a block to a row, of as many threads as are busy."""
    if not rows or not length:
        return
    width = FEWEST
    while width < MOST and width * _EACH < length:
        width *= 2
    made.launch(min(rows, _MOST_BLOCKS), width, rows, length, *arguments)
