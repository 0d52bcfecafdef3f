"""Surfaces to walk down: functions of x and y, of which each has its lowest points at 0."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["SURFACES", "Surface"]


@dataclass(frozen=True)
class Surface:
    """A function of two numbers, and the part of it that is looked at.

    Args:
        height: of tensors x and y of one shape, or that broadcast.
        formula: as it is written.
        lesson: what to look for, in a sentence or two.
        x, y: from where to where.
        starts: where the walks begin.
        minima: where it is 0.
        steps: how many are walked.
    """

    name: str
    title: str
    height: Callable[[Any, Any], Any]
    formula: str
    lesson: str
    x: tuple[float, float]
    y: tuple[float, float]
    starts: tuple[tuple[float, float], ...]
    minima: tuple[tuple[float, float], ...]
    steps: int


def _rosenbrock(x: Any, y: Any) -> Any:
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def _valley(x: Any, y: Any) -> Any:
    return (x**2 + 25 * y**2) / 10


def _saddle(x: Any, y: Any) -> Any:
    return x**2 / 2 + (y**2 - 1) ** 2 / 4


def _four_hollows(x: Any, y: Any) -> Any:
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def _bumps(x: Any, y: Any) -> Any:
    return (x**2 + y**2) / 10 + (2 - (2 * x).cos() - (2 * y).cos()) / 2


SURFACES = (
    Surface(
        "rosenbrock", "Rosenbrock's banana", _rosenbrock, "(1 − x)² + 100 (y − x²)²",
        "The walls are steep and the floor of the bend is nearly flat: a rate that the walls allow is slow "
        "along the floor. Momentum gathers speed there.",
        (-2.0, 2.0), (-0.75, 2.25), ((-1.5, 2.0), (-0.5, -0.5)), ((1.0, 1.0),), 240,
    ),
    Surface(
        "valley", "Narrow valley", _valley, "(x² + 25 y²) / 10",
        "Plain steps go across the valley more than along it. RMSprop and Adam divide by the size of past "
        "gradients, so both directions move at one pace.",
        (-8.0, 8.0), (-6.0, 6.0), ((-7.0, 3.0), (6.0, 5.0)), ((0.0, 0.0),), 120,
    ),
    Surface(
        "saddle", "Saddle", _saddle, "x² / 2 + (y² − 1)² / 4",
        "Beside the ridge there is hardly a gradient to leave it by. What divides by the gradient's size "
        "leaves the saddle first.",
        (-2.0, 2.0), (-1.5, 1.5), ((-1.7, 0.01), (1.5, -0.2)), ((0.0, 1.0), (0.0, -1.0)), 120,
    ),
    Surface(
        "hollows", "Four minima (Himmelblau)", _four_hollows, "(x² + y − 11)² + (x + y² − 7)²",
        "All four minima are equally deep. Which one is found is decided by the optimizer, its rate, and "
        "whether it can stop where it arrives.",
        (-6.0, 6.0), (-4.5, 4.5), ((-0.5, -1.0), (5.5, 4.0)),
        ((3.0, 2.0), (-2.805118, 3.131313), (-3.779310, -3.283186), (3.584428, -1.848127)), 120,
    ),
    Surface(
        "bumps", "Bumpy bowl", _bumps, "(x² + y²) / 10 + 1 − (cos 2x + cos 2y) / 2",
        "Only one of the many hollows is the lowest. What has gathered speed rolls through shallow ones.",
        (-6.0, 6.0), (-4.5, 4.5), ((-5.2, 3.6), (4.4, -2.2)), ((0.0, 0.0),), 120,
    ),
)  # fmt: skip
