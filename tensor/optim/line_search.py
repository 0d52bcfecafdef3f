"""A line search by the strong Wolfe conditions (Nocedal and Wright 2006, section 3.5)."""

import math
from collections.abc import Callable
from typing import NamedTuple

from tensor.engine import Tensor

_LOWER, _FLATTER = 1e-4, 0.9  # how much lower, and how much flatter, a point must be: c1 and c2


class Point(NamedTuple):
    """A point on the line: how far along, the loss, the gradient there, and the slope along the line."""

    at: float
    loss: float
    grad: Tensor
    slope: float


def _minimum_of_cubic(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Return where the cubic through two points and slopes is lowest, within the bounds (or between them)."""
    low, high = bounds or (min(a.at, b.at), max(a.at, b.at))
    if a.at > b.at:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.at - b.at)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    bottom = b.slope - a.slope + 2 * d2
    found = b.at - (b.at - a.at) * ((b.slope + d2 - d1) / bottom) if bottom else math.nan
    return min(max(found, low), high)


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, first: float, reach: float, most: int, least: float
) -> tuple[Point, int]:
    """Return a point lower and flatter than `start`, and how often the loss was computed.

    evaluate: computes the point at a distance. first: the distance to try first. reach: the largest element
    of the direction. most: how many points to try; least: the smallest change of an element that matters.
    """

    def is_too_high(point: Point) -> bool:
        return point.loss > start.loss + _LOWER * point.at * start.slope

    point, before, count, tried = evaluate(first), start, 1, 0
    bracket: list[Point] = []
    done = False
    while tried < most:
        if is_too_high(point) or (tried > 1 and point.loss >= before.loss):
            bracket = [before, point]
            break
        if abs(point.slope) <= -_FLATTER * start.slope:
            bracket, done = [point], True
            break
        if point.slope >= 0:
            bracket = [before, point]
            break
        bounds = point.at + 0.01 * (point.at - before.at), point.at * 10
        before, point = point, evaluate(_minimum_of_cubic(before, point, bounds))
        count, tried = count + 1, tried + 1
    if not bracket:
        bracket = [start, point]

    stuck = False
    low, high = (0, 1) if bracket[0].loss <= bracket[-1].loss else (1, 0)
    while not done and tried < most:
        left, right = sorted((bracket[0].at, bracket[1].at))
        if (right - left) * reach < least:
            break
        at = _minimum_of_cubic(bracket[0], bracket[1])
        margin = 0.1 * (right - left)
        if min(right - at, at - left) < margin:  # nearly at an end: allowed once
            if stuck or at >= right or at <= left:
                at = right - margin if abs(at - right) < abs(at - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        point = evaluate(at)
        count, tried = count + 1, tried + 1
        if is_too_high(point) or point.loss >= bracket[low].loss:
            bracket[high] = point
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
        else:
            if abs(point.slope) <= -_FLATTER * start.slope:
                done = True
            elif point.slope * (bracket[high].at - bracket[low].at) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = point
    return bracket[low if len(bracket) > 1 else 0], count
