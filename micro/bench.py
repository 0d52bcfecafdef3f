"""Time micrograd's moons demo on both engines: `python -m micro.bench`.

One step is the demo's own code: a 2-16-16-1 MLP over 100 points, hinge loss and L2 term, forward and
backward, default interpreter settings, cyclic collector on. Both engines run in turns in one process, so
that a busy machine slows both; each run starts after a full collection, so that none pays for the other's
garbage.
"""

import gc
import importlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

Engine = tuple[Any, Any]
"""The classes Value and MLP of one engine."""


@dataclass
class Result:
    """Seconds per step, run by run; `micrograd` stays empty where it is not installed."""

    ours: list[float] = field(default_factory=list)
    micrograd: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """How many times faster than micrograd, by medians; nan without it."""
        return median(self.micrograd) / median(self.ours) if self.micrograd else math.nan

    def __str__(self) -> str:
        lines = [f"moons demo, forward + backward, median of {len(self.ours)}:"]
        lines.append(f"  liftgrad   {median(self.ours) * 1e3:8.1f} ms")
        if self.micrograd:
            lines.append(f"  micrograd  {median(self.micrograd) * 1e3:8.1f} ms")
            lines.append(f"  ratio      {self.ratio:8.1f} (same loss, same gradients)")
        else:
            lines.append("  micrograd is not installed: no comparison (pip install micrograd)")
        return "\n".join(lines)


def bench_moons(repeats: int = 5, samples: int = 100) -> Result:
    """Run the demo's step `repeats` times on each engine; raise where their losses or gradients differ."""
    if repeats < 1:
        raise ValueError(f"bench_moons: expected at least one repeat, got {repeats}")
    engines = [name for name in ("micro", "micrograd") if _load(name)]
    steps = {name: demo_step(name, samples) for name in engines}
    answers = [step() for step in steps.values()]  # warms up, too
    if len(answers) == 2:
        _check_same(*answers)
    result = Result()
    for _ in range(repeats):
        for name, step in steps.items():
            gc.collect()
            start = perf_counter()
            step()
            (result.ours if name == "micro" else result.micrograd).append(perf_counter() - start)
    return result


def _load(name: str) -> Engine | None:
    engine = "micro.value" if name == "micro" else f"{name}.engine"
    try:
        return importlib.import_module(engine).Value, importlib.import_module(f"{name}.nn").MLP
    except ModuleNotFoundError as error:
        if error.name != name:  # something inside it is missing: that is not for us to hide
            raise
        return None


def demo_step(name: str = "micro", samples: int = 100) -> Callable[[], tuple[float, list[float]]]:
    """Return micrograd's demo as a function of nothing: its loss, and the gradients of its parameters.

    name: the engine that runs it, "micro" or "micrograd"; ModuleNotFoundError where it is not installed.
    """
    engine = _load(name)
    if engine is None:
        raise ModuleNotFoundError(f"demo_step: {name} is not installed; pip install {name}", name=name)
    Value, MLP = engine
    X, y = _moons(samples)
    random.seed(1337)
    model = MLP(2, [16, 16, 1])

    def step() -> tuple[float, list[float]]:
        inputs = [list(map(Value, xrow)) for xrow in X]
        scores = list(map(model, inputs))
        losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(y, scores, strict=True)]
        data_loss = sum(losses) * (1.0 / len(losses))
        alpha = 1e-4
        reg_loss = alpha * sum(p * p for p in model.parameters())
        total_loss = data_loss + reg_loss

        model.zero_grad()
        total_loss.backward()
        return total_loss.data, [p.grad for p in model.parameters()]

    return step


def _moons(samples: int) -> tuple[list[tuple[float, float]], list[int]]:
    """Two noisy half circles, as the demo's; the package of generators lies a floor above this one."""
    draw = random.Random(1337)
    points, labels = [], []
    for i in range(samples):
        angle, upper = math.pi * draw.random(), i % 2 == 0
        x, y = math.cos(angle), math.sin(angle)
        if not upper:
            x, y = 1.0 - x, 0.5 - y
        points.append((x + draw.gauss(0.0, 0.1), y + draw.gauss(0.0, 0.1)))
        labels.append(-1 if upper else 1)
    return points, labels


def _check_same(ours: tuple[float, list[float]], theirs: tuple[float, list[float]]) -> None:
    pairs = zip([ours[0], *ours[1]], [theirs[0], *theirs[1]], strict=True)
    for a, b in pairs:
        if not math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12):
            raise AssertionError(f"bench_moons: the engines disagree, {a} and {b}")


if __name__ == "__main__":
    print(bench_moons())
