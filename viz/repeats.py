"""Find what repeats in a row, with the same wiring from one repetition to the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LONGEST_PERIOD = 12
"""A repetition of more parts is not looked for."""


@dataclass(frozen=True)
class Part:
    """One of several parts in the order of computation.

    signature: equal for parts that are built alike. sources: for each operand, in order, either the index of
    the part it comes from, or a tuple that says what it is: two operands from elsewhere are the same if these
    are equal. least: so many repetitions are worth folding, as far as this part is concerned.
    """

    signature: Any
    sources: tuple[Any, ...]
    least: int


@dataclass(frozen=True)
class Repeat:
    """`count` groups of `period` parts each, from part `start` on; `chained` if each feeds the next."""

    start: int
    period: int
    count: int
    chained: bool


def find_repeats(parts: Sequence[Part]) -> list[Repeat]:
    """Return the repetitions among `parts`, none within another: at each place the one that saves most.

    Groups repeat if their parts are built alike, and every operand is of the same part of its own group, or
    of the same part of the group before (of the first group: from anywhere in front), or the same for all.
    """
    found: list[Repeat] = []
    start = 0
    while start < len(parts):
        best: Repeat | None = None
        for period in range(1, min(LONGEST_PERIOD, (len(parts) - start) // 2) + 1):
            repeat = _count(parts, start, period)
            least = min(part.least for part in parts[start : start + period])
            if repeat.count < least:
                continue
            if best is None or (repeat.count - 1) * period > (best.count - 1) * best.period:
                best = repeat
        if best is None:
            start += 1
        else:
            found.append(best)
            start += best.count * best.period
    return found


def _count(parts: Sequence[Part], start: int, period: int) -> Repeat:
    count, wiring = 1, None
    while start + (count + 1) * period <= len(parts):
        following = _wire(parts, start, period, count)
        if following is None or not _is_like(parts, start, period, following):
            break
        if wiring is not None and following != wiring:
            break
        wiring = following
        count += 1
    chained = wiring is not None and any(source[0] == "before" for sources in wiring for source in sources)
    return Repeat(start, period, count, chained)


def _wire(parts: Sequence[Part], start: int, period: int, group: int) -> list[list[tuple]] | None:
    """Return where the operands of a later group come from; None if from a place that no repetition has."""
    first = start + group * period
    wiring = []
    for offset in range(period):
        if parts[first + offset].signature != parts[start + offset].signature:
            return None
        sources: list[tuple] = []
        for source in parts[first + offset].sources:
            if not isinstance(source, int) or source < start:
                sources.append(("same", source))
            elif first <= source < first + period:
                sources.append(("own", source - first))
            elif first - period <= source < first:
                sources.append(("before", source - first + period))
            else:
                return None
        wiring.append(sources)
    return wiring


def _is_like(parts: Sequence[Part], start: int, period: int, wiring: list[list[tuple]]) -> bool:
    """Return whether the first group is wired as a later one is."""
    for offset, sources in enumerate(wiring):
        own = parts[start + offset].sources
        if len(own) != len(sources):
            return False
        for source, (where, what) in zip(own, sources, strict=True):
            within = isinstance(source, int) and source >= start
            if where == "own" and source != start + what:
                return False
            if where == "same" and source != what:
                return False
            if where == "before" and within:
                return False
    return True
