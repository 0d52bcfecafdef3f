"""Slopes by finite differences: what a local derivative is compared with."""

import math
from collections.abc import Callable

_EPSILON = 2.0**-52


def measure_slope(function: Callable[[float], float], x: float) -> tuple[float | None, str]:
    """Return the slope of `function` at x by central differences in float64, and what there is to say.

    Of several distances the one is taken whose result changes least when it is halved. The slope is None
    where there is nothing to measure; the note then says why, and names a kink where the slope jumps.
    """
    if not math.isfinite(x):
        return None, f"no slope can be measured at {x}"
    middle = function(x)
    if not math.isfinite(middle):
        return None, f"no slope can be measured where the value is {middle}"
    best, least = None, math.inf
    size = max(abs(x), 1e-3)
    for scale in (size, abs(x), 1.0):
        for power in range(-1, -9, -1):
            h = scale * 10.0**power
            far, near = _central(function, x, h), _central(function, x, h / 2.0)
            if far is None or near is None:
                continue
            noise = 4.0 * _EPSILON * (abs(middle) + abs(x * near)) / h
            error = abs(far - near) + noise
            if error < least:
                best, least = near + (near - far) / 3.0, error
    if best is None:
        return None, "no slope can be measured: not finite on both sides"
    note = _find_kink(function, x, middle, size)
    return (None if note.startswith("jump") else best), note


def _central(function: Callable[[float], float], x: float, h: float) -> float | None:
    low, high = x - h, x + h
    if low == high:
        return None
    slope = (function(high) - function(low)) / (high - low)
    return slope if math.isfinite(slope) else None


def _find_kink(function: Callable[[float], float], x: float, middle: float, size: float) -> str:
    """Return what to say if the slopes on the two sides differ, however near one looks."""
    sides = []
    for h in (1e-4 * size, 1e-6 * size):
        left = (middle - function(x - h)) / h
        right = (function(x + h) - middle) / h
        if not abs(right - left) > 1e-3 * max(1.0, abs(left), abs(right)):
            return ""
        sides.append((left, right))
    (far_left, far_right), (left, right) = sides
    # at a jump of the function itself, and where it is only steep, the slopes grow with nearness
    if abs(right - left) > 2.0 * abs(far_right - far_left):
        return f"jumps at {x:g}: no slope"
    if abs(right - left) < 0.5 * abs(far_right - far_left):
        return ""
    return f"kink at {x:g}: slope {left:.4g} from the left, {right:.4g} from the right"
