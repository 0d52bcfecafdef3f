"""Turn the text of `tensor/data/strokes.py` into the flat arrays that compiled code walks."""

from typing import NamedTuple

import numpy as np

from tensor.data.strokes import FAMILIES


class StrokeTables(NamedTuple):
    """The families as flat arrays, for compiled code; V variants of P points lie one after another."""

    points: np.ndarray
    """(total, 2) float64: control points in 0..1, each family's variants in turn."""
    stroke_of_point: np.ndarray
    """(total,) int64: which stroke of its variant a point belongs to."""
    family_start: np.ndarray
    """(families,) int64: where a family's points begin."""
    family_points: np.ndarray
    """(families,) int64: points in each variant of a family."""
    family_variants: np.ndarray
    """(families,) int64: variants in a family."""
    family_share: np.ndarray
    """(families,) float64: cumulative weight within its digit; the last of a digit is 1."""
    digit_start: np.ndarray
    """(11,) int64: a digit's families are `digit_start[d]` to `digit_start[d + 1]`."""


def parse_variant(text: str) -> tuple[list[tuple[float, float]], list[int]]:
    """Read "x,y x,y! / x,y" into points in 0..1 and the stroke of each; a corner becomes two equal points."""
    points: list[tuple[float, float]] = []
    strokes: list[int] = []
    for stroke, part in enumerate(text.split("/")):
        for word in part.split():
            x, y = (float(number) / 100.0 for number in word.rstrip("!").split(","))
            repeats = 2 if word.endswith("!") else 1
            points += [(x, y)] * repeats
            strokes += [stroke] * repeats
    return points, strokes


def stroke_tables() -> StrokeTables:
    """Return all families as flat arrays; a ValueError names a family whose variants do not match."""
    points: list[tuple[float, float]] = []
    strokes: list[int] = []
    starts, sizes, variants, shares, digit_start = [], [], [], [], [0]
    for digit, families in enumerate(FAMILIES):
        total = sum(weight for weight, _ in families)
        share = 0.0
        for weight, texts in families:
            parsed = [parse_variant(text) for text in texts]
            if any(other != parsed[0][1] for _, other in parsed):
                raise ValueError(
                    f"strokes: the variants of digit {digit} beginning {texts[0]!r} differ in form"
                )
            share += weight / total
            starts.append(len(points))
            sizes.append(len(parsed[0][0]))
            variants.append(len(parsed))
            shares.append(share)
            for variant_points, variant_strokes in parsed:
                points += variant_points
                strokes += variant_strokes
        shares[-1] = 1.0
        digit_start.append(len(starts))
    return StrokeTables(
        np.array(points, np.float64),
        np.array(strokes, np.int64),
        np.array(starts, np.int64),
        np.array(sizes, np.int64),
        np.array(variants, np.int64),
        np.array(shares, np.float64),
        np.array(digit_start, np.int64),
    )
