"""Points in the plane for the scalar engine: plain floats, from the standard library alone."""

import math
import random

Point = tuple[float, float]


def moons(count: int = 100, noise: float = 0.1, seed: int = 1337) -> tuple[list[Point], list[int]]:
    """Draw two interleaving half circles; return `count` points and their labels, shuffled.

    The upper moon (label -1) is the unit circle's upper half, the lower one (label +1) is centred on (1,
    0.5): the geometry of scikit-learn's `make_moons`, whose classes 0 and 1 become -1 and +1. The upper moon
    has count // 2 points. `noise` is the standard deviation added to each coordinate. Raises ValueError for a
    negative count or noise.
    """
    if count < 0 or noise < 0:
        raise ValueError(f"moons: count and noise must not be negative, got {count} and {noise}")
    generator = random.Random(seed)
    upper = count // 2
    lower = count - upper
    samples = []
    for i in range(upper):
        angle = math.pi * i / max(upper - 1, 1)
        samples.append((math.cos(angle), math.sin(angle), -1))
    for i in range(lower):
        angle = math.pi * i / max(lower - 1, 1)
        samples.append((1.0 - math.cos(angle), 0.5 - math.sin(angle), 1))
    generator.shuffle(samples)
    points = [(x + generator.gauss(0.0, noise), y + generator.gauss(0.0, noise)) for x, y, _ in samples]
    return points, [label for _, _, label in samples]


def separable(count: int = 100, seed: int = 1337, margin: float = 0.1) -> tuple[list[Point], list[int]]:
    """Draw `count` points in the square -1..1 that a straight line separates; return them and their labels.

    Labels are +1 on one side and -1 on the other, in turn; no point is nearer to the line than `margin`
    (0 to 0.5). The line is drawn from the seed too. Raises ValueError for a negative count or another margin.
    """
    if count < 0:
        raise ValueError(f"separable: count must not be negative, got {count}")
    if not 0.0 <= margin <= 0.5:  # beyond 0.7 a side of the square may hold no such point
        raise ValueError(f"separable: margin must be from 0 to 0.5, got {margin}")
    generator = random.Random(seed)
    angle = generator.uniform(0.0, 2.0 * math.pi)
    across, up = math.cos(angle), math.sin(angle)
    offset = generator.uniform(-0.2, 0.2)
    points: list[Point] = []
    labels: list[int] = []
    while len(points) < count:
        label = 1 if len(points) % 2 == 0 else -1
        x, y = generator.uniform(-1.0, 1.0), generator.uniform(-1.0, 1.0)
        distance = label * (across * x + up * y - offset)
        if distance > 0.0 and distance >= margin:
            points.append((x, y))
            labels.append(label)
    return points, labels
