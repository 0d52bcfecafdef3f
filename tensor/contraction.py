"""Sums of products named by letters: einsum and tensordot, through batched matrix products."""

import math
import string

from tensor.operands import normalize_dim, normalize_dims, to_sizes
from tensor.products import Bmm, require_tensors, same_type

_LETTERS = string.ascii_uppercase + string.ascii_lowercase


class _Labels:
    """The subscripts of one einsum: of each operand and of the result, each a list of labels.

    A label is a letter, or ("...", n) for dim n, counted from the last, of what the dots stand for.
    """

    def __init__(self, equation: str, operands):
        plain = equation.replace(" ", "")
        left, arrow, right = plain.partition("->")
        terms = left.split(",")
        if len(terms) != len(operands):
            many = "more" if len(operands) > len(terms) else "fewer"
            raise RuntimeError(
                f"einsum(): {many} operands were provided than specified in the equation {equation!r}: "
                f"{len(operands)} for {len(terms)}"
            )
        self.inputs = [
            self._of_operand(t, x, n) for n, (t, x) in enumerate(zip(terms, operands, strict=True))
        ]
        self.sizes = self._sizes(operands)
        dots = max((sum(isinstance(label, tuple) for label in labels) for labels in self.inputs), default=0)
        all_dots = [("...", n) for n in range(dots - 1, -1, -1)]
        if arrow:
            self.output = self._of_result(right, all_dots)
        else:
            letters = [label for labels in self.inputs for label in labels if isinstance(label, str)]
            self.output = [*all_dots, *sorted(x for x in set(letters) if letters.count(x) == 1)]

    def _of_operand(self, term: str, x, position: int) -> list:
        letters = term.replace("...", "", 1)
        _check_letters(letters, f"operand {position}")
        covered = x.ndim - len(letters)
        if ("..." in term and covered < 0) or ("..." not in term and covered):
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({len(letters)}) does not match the "
                f"number of dimensions ({x.ndim}) for operand {position}"
                + (" and no ellipsis was given" if "..." not in term else "")
            )
        before, dots, after = term.partition("...")
        middle = [("...", n) for n in range(covered - 1, -1, -1)] if dots else []
        return [*before, *middle, *after]

    def _of_result(self, term: str, all_dots: list) -> list:
        letters = term.replace("...", "", 1)
        _check_letters(letters, "the output")
        for letter in letters:
            if letters.count(letter) > 1:
                raise RuntimeError(
                    f"einsum(): output subscript {letter} appears more than once in the output"
                )
            if letter not in self.sizes:
                raise RuntimeError(
                    f"einsum(): output subscript {letter} does not appear in the equation for any input"
                )
        before, dots, after = term.partition("...")
        return [*before, *(all_dots if dots else []), *after]

    def _sizes(self, operands) -> dict:
        sizes: dict = {}
        for position, (labels, x) in enumerate(zip(self.inputs, operands, strict=True)):
            for label, size in zip(labels, x.shape, strict=True):
                known = sizes.get(label, 1)
                if size != 1 and known not in (1, size):
                    name = label if isinstance(label, str) else "..."
                    raise RuntimeError(
                        f"einsum(): subscript {name} has size {size} for operand {position} which does not "
                        f"broadcast with previously seen size {known}"
                    )
                sizes[label] = size if known == 1 else known
        return sizes


def _check_letters(letters: str, where: str) -> None:
    for letter in letters:
        if letter not in _LETTERS:
            raise RuntimeError(
                f"einsum(): invalid subscript given for {where}: {letter!r}; subscripts must be in [a-zA-Z]"
            )


def _as_equation(operands) -> tuple[str, list]:
    """Return the equation and the operands of the form einsum(a, [0, 1], b, [1, 2], [0, 2])."""
    given = list(operands)
    result = None
    if len(given) % 2:
        result = given.pop()
    if not all(hasattr(x, "_array") for x in given[::2]):
        raise TypeError("einsum: expected an equation and Tensors, or Tensors each followed by its sublist")
    terms = [_as_term(sublist) for sublist in given[1::2]]
    equation = ",".join(terms)
    return equation if result is None else f"{equation}->{_as_term(result)}", given[::2]


def _as_term(sublist) -> str:
    letters = []
    for number in sublist:
        if number is not Ellipsis and not 0 <= number < len(_LETTERS):
            raise ValueError(
                f"einsum: subscripts in a sublist must be within the range [0, {len(_LETTERS)}), got {number}"
            )
        letters.append("..." if number is Ellipsis else _LETTERS[number])
    return "".join(letters)


def einsum(equation, *operands):
    """Return the sum of products that `equation` names: "ij,jk->ik" is a matrix product.

    A letter names a dim; letters missing in the result are summed over, a letter twice in one operand takes
    its diagonal, "..." stands for the dims not named, which broadcast. Without "->" the result has the
    letters that appear once, in alphabetical order. Also einsum(a, [0, 1], b, [1, 2], [0, 2]), with numbers
    for letters and Ellipsis for the dots.
    """
    if not isinstance(equation, str):
        equation, operands = _as_equation((equation, *operands))
    elif len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError("einsum(): must provide at least one operand")
    for x in operands:
        if not hasattr(x, "_array"):
            raise TypeError(f"einsum: expected Tensors, got {type(x).__name__}; wrap it: tensor(...)")
    same_type("einsum", *operands)
    names = _Labels(equation, operands)
    left, labels = _diagonals(operands[0], names.inputs[0])
    waiting = [_diagonals(x, own) for x, own in zip(operands[1:], names.inputs[1:], strict=True)]
    later = [set(names.output)]
    for _, own in reversed(waiting[1:]):
        later.append(later[-1] | set(own))
    if not waiting:
        return _arrange(left, labels, names.output)
    for (right, own), needed in zip(waiting, reversed(later), strict=True):
        left, labels = _contract(left, labels, right, own, needed)
    if labels == names.output:
        return left
    out = _arrange(left, labels, names.output)
    return out.view(tuple(out.shape))  # so PyTorch names the last step


def _diagonals(x, labels: list):
    """Return `x` with dims of one letter taken as one, their diagonal."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if x.shape[first] != x.shape[second]:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated for an operand but the sizes don't match, "
                    f"{x.shape[second]} != {x.shape[first]}"
                )
            x = x.diagonal(0, first, second).movedim(-1, first)
            del labels[second]
    return x, labels


def _sum_over(x, labels: list, kept) -> tuple:
    gone = [d for d, label in enumerate(labels) if label not in kept]
    return (x.sum(gone) if gone else x), [label for label in labels if label in kept]


def _arrange(x, labels: list, output: list):
    """Return `x` with the dims of `output`, in that order: others are summed over."""
    x = x.permute([*(labels.index(label) for label in output), *_others(labels, output)])
    gone = tuple(range(len(output), x.ndim))
    return x.sum(gone) if gone else x


def _others(labels: list, output: list) -> list[int]:
    return [d for d, label in enumerate(labels) if label not in output]


def _contract(a, labels_a: list, b, labels_b: list, needed: set) -> tuple:
    """Return the product of two operands, summed over what is not needed any more, and its labels."""
    every = {*labels_a, *labels_b}
    a, labels_a = _sum_over(a, labels_a, needed | set(labels_b))
    b, labels_b = _sum_over(b, labels_b, needed | set(labels_a))
    a, labels_a, b, labels_b = _sum_broadcast(a, labels_a, b, labels_b, needed)
    shared = [label for label in labels_a if label in labels_b]
    summed = [label for label in shared if label not in needed]
    batch = [label for label in shared if label in needed]
    rows = [label for label in labels_a if label not in shared]
    columns = [label for label in labels_b if label not in shared]
    if not summed:  # nothing to add up: products only
        joint = [*labels_a, *columns]
        out = _spread(a, labels_a, joint) * _spread(b, labels_b, joint)
        return (out if every == set(joint) else out.view(tuple(out.shape))), joint
    size = dict(zip(labels_a, a.shape, strict=True))
    for label, n in zip(labels_b, b.shape, strict=True):
        size[label] = n if size.get(label, 1) == 1 else size[label]
    left = _grouped(a, labels_a, (batch, rows, summed), size)
    right = _grouped(b, labels_b, (batch, summed, columns), size)
    out = Bmm.apply(left, right)
    joint = [*batch, *rows, *columns]
    return out.view(tuple(size[label] for label in joint)), joint


def _sum_broadcast(a, labels_a: list, b, labels_b: list, needed: set) -> tuple:
    """Sum first over dims of size 1 on one side that broadcast along the other and then vanish."""
    for label in [label for label in labels_a if label in labels_b and label not in needed]:
        da, db = labels_a.index(label), labels_b.index(label)
        if a.shape[da] == b.shape[db]:
            continue
        if a.shape[da] == 1:
            a, b = a.squeeze(da), b.sum(db)
        else:
            a, b = a.sum(da), b.squeeze(db)
        labels_a = labels_a[:da] + labels_a[da + 1 :]
        labels_b = labels_b[:db] + labels_b[db + 1 :]
    return a, labels_a, b, labels_b


def _spread(x, labels: list, joint: list):
    """Return `x` with the dims of `joint`, of size 1 where it has none."""
    x = x.permute([labels.index(label) for label in joint if label in labels])
    sizes = iter(x.shape)
    return x.reshape(tuple(next(sizes) if label in labels else 1 for label in joint))


def _grouped(x, labels: list, groups, size: dict):
    """Return `x` as three dims, each a group of its dims joined."""
    order = [label for group in groups for label in group]
    x = x.permute([labels.index(label) for label in order])
    wanted = tuple(size[label] for label in order)
    if tuple(x.shape) != wanted:
        x = x.expand(wanted)
    return x.reshape(tuple(math.prod(size[label] for label in group) for group in groups))


def tensordot(a, b, dims=2, out=None):
    """Return the sum of products over dims of `a` and `b`.

    dims: a number n, the last n of `a` with the first n of `b`; or two lists of dims that go together.
    """
    if out is not None:
        raise NotImplementedError("tensordot: out= is not supported; write out.copy_(tensordot(...))")
    same_type("tensordot", a, b)
    dims = dims.tolist() if hasattr(dims, "_array") else dims
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError(
                f"tensordot expects dims <= ndim_a or ndim_b, but got dims={dims} for {a.ndim} and {b.ndim}"
            )
        first: tuple[int, ...] = tuple(range(a.ndim - dims, a.ndim))
        second: tuple[int, ...] = tuple(range(dims))
    else:
        first, second = (to_sizes(((d,) if isinstance(d, int) else d,)) for d in dims)
        first = tuple(normalize_dim(d, a.ndim, "tensordot") for d in first)
        second = tuple(normalize_dim(d, b.ndim, "tensordot") for d in second)
    if len(first) != len(second):
        raise RuntimeError(f"tensordot: both dimension lists should have same length, got {first}, {second}")
    for own, x in ((first, a), (second, b)):
        if own:
            normalize_dims(own, x.ndim, "tensordot")  # none twice
    for d, e in zip(first, second, strict=True):
        if a.shape[d] != b.shape[e] and 1 not in (a.shape[d], b.shape[e]):
            raise RuntimeError(
                f"tensordot: contracted dimensions need to match, but first has size {a.shape[d]} in dim {d} "
                f"and second has size {b.shape[e]} in dim {e}"
            )
        if a.shape[d] != b.shape[e]:  # as PyTorch: a dim of size 1 broadcasts
            a = (
                a
                if a.shape[d] != 1
                else a.expand([b.shape[e] if n == d else m for n, m in enumerate(a.shape)])
            )
            b = (
                b
                if b.shape[e] != 1
                else b.expand([a.shape[d] if n == e else m for n, m in enumerate(b.shape)])
            )
    rows = [d for d in range(a.ndim) if d not in first]
    columns = [d for d in range(b.ndim) if d not in second]
    shape = (*(a.shape[d] for d in rows), *(b.shape[d] for d in columns))
    depth = math.prod(a.shape[d] for d in first)
    left = a.permute([*rows, *first]).reshape(math.prod(a.shape[d] for d in rows), depth)
    right = b.permute([*second, *columns]).reshape(depth, math.prod(b.shape[d] for d in columns))
    return left.matmul(right).view(shape)


def inner(input, other):
    """Return the sums of products along the last dims: (..., n) with (---, n) gives (..., ---)."""
    require_tensors("inner", input, other)
    if not input.ndim or not other.ndim:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            f"inner: the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    return tensordot(input, other, ((-1,), (-1,)))
