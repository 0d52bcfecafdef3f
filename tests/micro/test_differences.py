"""Slopes by finite differences: near the truth for all formulas; honest at kinks, poles and jumps."""

import math

import pytest

from micro.differences import measure_slope
from micro.formulas import FORMULAS
from micro.ieee import calculate

POINTS = [(0.3, 0.6), (-0.4, 0.7), (0.55, -0.25), (0.9, 2.5), (1e-3, 0.45)]


@pytest.mark.parametrize("name", FORMULAS)
def test_slopes_of_all_formulas(name):
    formula = FORMULAS[name]
    options = tuple(formula.options.values())
    for point in POINTS:
        operands = list(point[: len(formula.variables)])
        out = calculate(formula.forward, *operands, *options)
        for place, derivative in enumerate(formula.derivatives):

            def function(x, place=place, operands=operands):
                moved = [*operands[:place], x, *operands[place + 1 :]]
                return calculate(formula.forward, *moved, *options)

            slope, note = measure_slope(function, operands[place])
            if math.isfinite(out):
                exact = calculate(derivative, *operands, out, 1.0, *options)
                assert slope == pytest.approx(exact, rel=1e-6, abs=1e-8)
                assert note == ""


@pytest.mark.parametrize(
    ("function", "x", "exact"),
    [
        (FORMULAS["exp"].forward, 20.0, math.exp(20.0)),
        (FORMULAS["exp"].forward, -700.0, math.exp(-700.0)),
        (FORMULAS["log"].forward, 1e-8, 1e8),
        (FORMULAS["log"].forward, 1e8, 1e-8),
        (FORMULAS["sqrt"].forward, 1e-6, 500.0),
        (lambda x: x * x, 1e150, 2e150),
        (lambda x: x * x, 0.0, 0.0),
        (lambda x: 3.0, 1.0, 0.0),
        (lambda x: math.sin(1e4 * x), 0.1, 1e4 * math.cos(1e3)),
    ],
)
def test_hard_slopes(function, x, exact):
    slope, note = measure_slope(lambda x: calculate(function, x), x)
    assert slope == pytest.approx(exact, rel=1e-5)
    assert note == ""


def test_kinks():
    slope, note = measure_slope(FORMULAS["relu"].forward, 0.0)
    assert slope == pytest.approx(0.5)
    assert note == "kink at 0: slope 0 from the left, 1 from the right"
    slope, note = measure_slope(abs, 0.0)
    assert slope == pytest.approx(0.0)
    assert note == "kink at 0: slope -1 from the left, 1 from the right"
    assert measure_slope(lambda x: max(x, 7.0), 7.0)[1].startswith("kink at 7: slope 0 from the left, 1")


def test_where_there_is_no_slope():
    assert measure_slope(abs, math.nan) == (None, "no slope can be measured at nan")
    assert measure_slope(abs, math.inf) == (None, "no slope can be measured at inf")
    log = FORMULAS["log"].forward
    assert measure_slope(lambda x: calculate(log, x), 0.0)[0] is None
    sqrt = FORMULAS["sqrt"].forward
    slope, note = measure_slope(lambda x: calculate(sqrt, x), 0.0)
    assert (slope, note) == (None, "no slope can be measured: not finite on both sides")


def test_a_jump():
    assert measure_slope(lambda x: math.copysign(1.0, x), 0.0) == (None, "jumps at 0: no slope")
