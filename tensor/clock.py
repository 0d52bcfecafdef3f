"""How long a training takes, and how fast it goes."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Time spent training, without the pauses to measure and to save."""

    WINDOW = 10.0

    def __init__(self) -> None:
        self.images = 0
        self._start = self._lap = time.perf_counter()
        self._recent: deque[tuple[float, int]] = deque([(0.0, 0)])

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / max(self.seconds, 1e-9)

    @property
    def recent_rate(self) -> float:
        """Images a second of late: since about WINDOW seconds before the last call."""
        now = (self.seconds, self.images)
        while len(self._recent) > 1 and self._recent[1][0] < now[0] - self.WINDOW:
            self._recent.popleft()
        self._recent.append(now)
        then = self._recent[0]
        return (now[1] - then[1]) / max(now[0] - then[0], 1e-9)

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        now = time.perf_counter()
        passed, self._lap = now - self._lap, now
        return passed

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what is done within the block."""
        before = time.perf_counter()
        yield
        self._start += time.perf_counter() - before
