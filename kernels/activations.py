"""Which formulas may come with a matrix product, on its results before they are stored."""

from micro.formulas import FORMULAS

ACTIVATIONS = frozenset(
    name
    for name, formula in FORMULAS.items()
    if len(formula.variables) == 1 and not formula.options and formula.needs[0] <= {"out"}
)
"""Formulas of one variable whose derivative needs their result alone: what goes into them is not kept."""


def check_activation(name: str | None, operation: str = "linear") -> None:
    """Raise ValueError for a name that is none of `ACTIVATIONS`; None is no activation."""
    if name is not None and name not in ACTIVATIONS:
        raise ValueError(
            f"{operation}: expected an activation of {', '.join(sorted(ACTIVATIONS))}, "
            f"got {name!r}; apply another to the result"
        )
