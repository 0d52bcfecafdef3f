"""Formulas, comparisons and choices, recorded."""

from micro.formulas import FORMULAS
from tensor import elementwise, rounding
from tensor.formula import OPERATIONS
from tensor.recorded.basis import Touch, array_of, kernels, tensor_of
from tensor.recorded.formula import on_tensors, used_in_conditions_only

_UNTOUCHED = frozenset(["clamp", "maximum", "minimum", "fmax", "fmin"])
"""Formulas whose derivative, as in PyTorch, is not connected with what it only compares."""


def forward(name, x, *more, out=None):
    """Apply a formula; `out` is not written to, since what it held may be needed: the result is new."""
    count = len(FORMULAS[name].variables) - 1
    operands = [tensor_of(v) for v in (x, *more[:count])]
    options = {"options": more[count:]} if more[count:] else {}
    return OPERATIONS[name].apply(*operands, **options)


def derivative(name, position, args, out, grad, options=()):
    """Return the gradient of a formula's argument, computed by the formula's own derivative on tensors."""
    formula = FORMULAS[name]
    names = (*formula.variables, "out")
    reads = formula.needs[position]
    values = {"grad": grad}
    for variable, value in zip(names, (*args, out), strict=True):
        if variable in reads:
            value = tensor_of(value)
            # Of one shape: a gate knows each element's gradient only before those of a row are added up.
            values[variable] = value if value.shape == grad.shape else value.expand(grad.shape)
    values.update(zip(formula.options, options, strict=False))
    for option, default in formula.options.items():
        values.setdefault(option, default)
    function = formula.derivatives[position]
    found = on_tensors(function)(values)
    if not hasattr(found, "_array"):  # a derivative that is constant
        return grad.new_full(grad.shape, found)
    found = found if found.shape == grad.shape else found.expand(grad.shape)
    if name not in _UNTOUCHED:
        for variable in used_in_conditions_only(function):
            value = values.get(variable)
            if getattr(value, "requires_grad", False):
                found = Touch.apply(found, value)
    return found


def compare(name, *arrays):
    """Compare; nothing flows through a comparison."""
    return tensor_of(kernels().compare(name, *map(array_of, arrays)))


def where(condition, x, y):
    """Choose by a condition."""
    return elementwise.Where.apply(tensor_of(x), tensor_of(y), tensor_of(condition))


def divide_rounded(x, y, rounding):
    """Divide and round: constant between jumps."""
    return tensor_of(kernels().divide_rounded(array_of(x), array_of(y), rounding))


def round(x, how):
    """Round: constant between jumps."""
    return tensor_of(kernels().round(array_of(x), how))


def remainder(x, y):
    """Return what is left of x / y rounded down."""
    return rounding.Remainder.apply(tensor_of(x), tensor_of(y))


def keep_scaled(x, kept, scale):
    """Scale where kept, else 0: linear, and its own adjoint."""
    from tensor.recorded.basis import linear

    call = ("keep_scaled", (array_of(kept), scale))
    return linear(x, call, call)
