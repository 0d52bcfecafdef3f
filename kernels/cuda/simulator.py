"""Two repairs of numba-cuda's simulator, made when it is in use.

Its shared arrays are found by a look-up and an assignment that two threads may do at once: then each has one
of its own, and a sum comes out wrong once in some thousand runs. And a block polls its threads, each of
which waits for the interpreter meanwhile: a barrier takes milliseconds.
"""

import sys
import threading
from types import ModuleType

import numpy as np


class _Barrier:
    """Where the threads of a block wait for each other; those that have ended are not waited for."""

    def __init__(self, threads: int):
        self._turned = threading.Condition()
        self._live, self._waiting, self._turn, self._failed = threads, 0, 0, False

    def wait(self) -> None:
        with self._turned:
            turn = self._turn
            self._waiting += 1
            self._turn_if_complete()
            while self._turn == turn and not self._failed:
                self._turned.wait()
            if self._failed:
                raise RuntimeError("another thread of the block has failed")

    def leave(self, failed: bool) -> None:
        with self._turned:
            self._live -= 1
            self._failed = self._failed or failed
            self._turn_if_complete()
            self._turned.notify_all()

    def _turn_if_complete(self) -> None:
        if self._live and self._waiting == self._live:
            self._turn, self._waiting = self._turn + 1, 0
            self._turned.notify_all()


def repair(kernel: ModuleType, kernelapi: ModuleType) -> None:
    """Repair the simulator, whose modules of these names are given."""
    lock = threading.Lock()

    def array(self, shape, dtype, alignment=None):
        frame = sys._getframe(1)
        place = id(frame.f_code), frame.f_lasti
        with lock:
            if place not in self._allocations:
                made = kernelapi.numpy_support.as_dtype(dtype) if hasattr(dtype, "bitwidth") else dtype
                self._allocations[place] = np.empty(shape, made)
            return self._allocations[place]

    def run(self, grid_point, *args):
        points = list(np.ndindex(*self._block_dim))
        barrier = _Barrier(len(points))
        failures: list[BaseException] = []

        def target():
            try:
                self._f(*args)
            except BaseException as error:
                failures.append(error)
                barrier.leave(True)
            else:
                barrier.leave(False)

        threads = [kernel.BlockThread(target, self, grid_point, point, self._debug) for point in points]
        for thread in threads:
            thread.syncthreads = barrier.wait
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    kernelapi.FakeCUDAShared.array = array
    kernel.BlockManager.run = run
