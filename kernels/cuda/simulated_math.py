"""`math` for formulas in the simulator: in the type given, by IEEE 754 where Python's raises."""

import math

import numpy as np

from micro.ieee import calculate

inf, nan, pi, e = math.inf, math.nan, math.pi, math.e


def _like_math(name: str):
    function = eval(f"lambda *arguments: math.{name}(*arguments)", {"math": math})

    def computed(*arguments):
        kind = np.result_type(*arguments)
        return (kind.type if kind.kind == "f" else np.float64)(calculate(function, *map(float, arguments)))

    computed.__name__ = name
    return computed


for _name, _member in vars(math).items():
    if callable(_member) and not _name.startswith("_"):
        globals()[_name] = _like_math(_name)
