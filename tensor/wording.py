"""Operations of tensors in words: how each is written, and what its backward computes."""

import functools
import re
from collections.abc import Mapping
from types import EllipsisType
from typing import Any

from micro.formulas import POW, Formula
from micro.symbolic import fill, show_constant, write_derivative, write_forward
from micro.text import NOT_THERE
from tensor.autograd.copy_slices import CopySlices
from tensor.elementwise import Copy

_UNSAID = ("overload", "name", "sign", "has_weight", "has_bias", "geometry", "layout")


def write(node, names: list[str], options: Mapping | None = None) -> str:
    """Return an operation as it is written, of operands of these names: `x * y`, `sum(x, dim=0)`."""
    formula, options = _formula_of(node), options_of(node) if options is None else options
    if formula is not None:
        template = write_forward(formula, tuple(options.get("options", ())))
        return fill(template, dict(zip(node.formula.variables, names, strict=False)))
    if isinstance(node, CopySlices):
        return _write_in_place(node, names)
    if "index" in options and len(names) == 1:
        return f"{names[0]}[{_show_index(options['index'], [])}]"
    if "layout" in options and type(node).__name__ == "Index":
        return f"{names[0]}[{_show_index(options['layout'], names[1:])}]"
    if "layout" in options:
        return f"{names[0]}, with {_write_put(node, names, options)}"
    if node.written and len(names) >= node.written.count("{"):
        return node.written.format(*names)
    if "values" in options and len(names) == 2:  # found by another kernel, as the largest are, where they are
        names = [names[0], f"indices={names[1]}"]
    said = [f"{name}={_show_option(value)}" for name, value in _said(node, options).items()]
    return f"{_function_name(node)}({', '.join([*names, *said])})"


def write_flow(node, place: int, names: list[str], own: str) -> str:
    """Return in words what an operation's backward computes for operand number `place`."""
    formula = _formula_of(node)
    if formula is not None:
        known = dict(zip(node.formula.variables, names, strict=False))
        known["out"] = own if "out" in names else "out"
        options = tuple(options_of(node).get("options", ()))
        return fill(write_derivative(formula, options, place, _constants(node)), known)
    if isinstance(node, CopySlices):
        return _write_flow_in_place(node, place, names, own)
    texts = node.gradients_in_words
    if not texts:
        return f"the backward of {_function_name(node)}"
    text = texts[min(place, len(texts) - 1)]
    text = re.sub(r"\bout\b", own, text) if "out" in names else text
    return re.sub(r"\{(\d)\}", lambda m: names[int(m[1])] if int(m[1]) < len(names) else NOT_THERE, text)


def options_of(node) -> Mapping:
    """Return what an operation was called with beside its operands, as far as it is known."""
    if node.notes is not None and node.notes.options:
        return node.notes.options
    options = node.__dict__.get("options", {})
    return options if isinstance(options, dict) else {"options": options}


def _formula_of(node):
    """Return the formula an operation is; of a power by a constant, the formula of that power."""
    formula = getattr(node, "formula", None)
    if formula is POW and node.notes is not None and node.notes.parents[1].kind == "constant":
        exponent = node.notes.parents[1].data
        if exponent is not None and exponent.ndim == 0:
            forward = functools.partial(POW.forward, float(exponent.item()))
            return Formula("pow", forward, POW.derivatives[:1], "")
    if formula is not None and len(formula.options) != len(options_of(node).get("options", ())):
        return None
    return formula


def _constants(node) -> dict[str, float]:
    """Return the variables of a formula that are unnamed constants, with their numbers."""
    parents = () if node.notes is None else node.notes.parents
    return {
        variable: float(parent.data.item())
        for variable, parent in zip(node.formula.variables, parents, strict=False)
        if parent.kind == "constant"
        and not parent.label
        and parent.data is not None
        and parent.data.ndim == 0
    }


# --- a view that was overwritten ---------------------------------------------------------------------


def _target(node: CopySlices, name: str) -> str:
    """Return the view of `name` that was overwritten, as it is written: `y[1:]`."""
    for step in node.steps:
        if "index" in step.options:
            name = f"{name}[{_show_index(step.options['index'], [])}]"
        else:
            name = f"{_snake(step.kind.__name__)}({name})"
    return name


def _write_in_place(node: CopySlices, names: list[str]) -> str:
    """Return `y, with y[1:] = y[1:] * 10`."""
    target = _target(node, names[0])
    inner, operands = node.inner, [target, *names[1:]]
    options = options_of(node) or options_of(inner)
    if isinstance(inner, Copy):  # as what fills is
        change = f"{target} = {' '.join(names[1:]) or NOT_THERE}"
    elif "layout" in options:
        change = _write_put(inner, operands, options)
    else:
        change = f"{target} = {write(inner, operands, options)}"
    return f"{names[0]}, with {change}"


def _write_put(node, names: list[str], options: Mapping) -> str:
    """Return `y[v1] = v2`, where positions were overwritten or added to."""
    place = f"{names[0]}[{_show_index(options['layout'], names[2:])}]"
    return f"{place} {'+=' if options.get('accumulate') else '='} {(*names, NOT_THERE)[1]}"


def _write_flow_in_place(node: CopySlices, place: int, names: list[str], own: str) -> str:
    target, inner = _target(node, names[0]), node.inner
    if isinstance(inner, Copy):  # as what fills is
        return f"grad, 0 at {target}" if place == 0 else f"grad at {target}"
    words = write_flow(inner, place, [target, *names[1:]], own)
    if _formula_of(inner) is None:
        return f"grad, and at {target}: {words}" if place == 0 else f"at {target}: {words}"
    words = f"({words})" if " " in words or words.startswith("-") else words
    return f"grad, and at {target} grad * {words}" if place == 0 else f"grad * {words} at {target}"


# --- names and options -------------------------------------------------------------------------------


def _function_name(node) -> str:
    function = getattr(node, "function", None)
    if function is not None:
        return function.__name__
    kind = type(node).__name__
    # one class may serve several functions, and then knows which; PyTorch writes Cumsum what is CumSum here
    known = kind.startswith("_") or "name" in options_of(node) or node.op.lower() == kind.lower()
    return _snake(node.op if known else kind)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[0-9A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _said(node, options: Mapping) -> dict[str, Any]:
    """Return the options that are worth saying, by the names under which PyTorch takes them."""
    said = {name: value for name, value in options.items() if _is_said(name, value)}
    if "pair" in said and "offset" not in options:
        said |= dict(zip(("dim0", "dim1"), said.pop("pair"), strict=True))
    if "keepdim" in options and "dims" in options:
        dims = said.pop("dims", None)
        known = node.notes is not None and node.notes.parents
        if dims is not None and not (known and len(dims) == len(node.notes.parents[0].shape)):
            said = {"dim": dims[0] if len(dims) == 1 else dims, **said}
    if "geometry" in options:
        names = (("stride", 1), ("padding", 0), ("dilation", 1))
        for (name, default), pair in zip(names, options["geometry"], strict=False):
            value = pair[0] if len(set(pair)) == 1 else tuple(pair)
            said |= {} if value == default else {name: value}
        groups = options["geometry"][3]
        said |= {} if groups == 1 else {"groups": groups}
    return said


def _is_said(name: str, value) -> bool:
    if value is None or value is False or hasattr(value, "shape") or name in _UNSAID:
        return False
    if (name, value) in (("ignore_index", -100), ("correction", 1)):
        return False
    return isinstance(value, bool | int | float | str | tuple | list | slice) and len(repr(value)) <= 40


def _show_index(index, names: list[str]) -> str:
    """Return an index as it is written: `0, 1:, ::2, ..., v1`. names: of the tensors among its parts."""
    said, following = [], iter(names)
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, slice):
            ends = [part.start, part.stop, part.step][: 2 if part.step in (None, 1) else 3]
            said.append(":".join("" if end is None else str(end) for end in ends))
        elif part is None or isinstance(part, int | EllipsisType):
            said.append("..." if part is Ellipsis else str(part))
        else:
            said.append(next(following, NOT_THERE))
    return ", ".join(said)


def _show_option(value) -> str:
    return show_constant(value) if type(value) is float else repr(value)
