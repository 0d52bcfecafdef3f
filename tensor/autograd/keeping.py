"""Keeping what a recorded computation passes through: every value, every input, every gradient.

An operation saves only what its backward reads. To look at a computation one wants the rest as well. Within
`keep_values()` each operation leaves a `Kept` beside what it records: what it was computed from, constants
included, a copy of its result, its options, and, after a backward pass, its gradient. Operations that
autograd does not record, for want of anything that requires gradients, leave a node for looks alone.

Outside of it nothing is asked: `keep_values` puts another `Operation.apply` in the place of the usual one.
"""

import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from micro.stepper import AROUND_CALLS
from tensor.autograd.grad_mode import _GradMode, _mode
from tensor.autograd.operation import Operation, next_sequence
from tensor.devices import to_host

_apply = Operation.__dict__["apply"].__func__
_apply_in_place = Operation.__dict__["apply_in_place"].__func__


class Kept:
    """What a node was computed from and what came of it; arrays are copies, as tensors."""

    __slots__ = ("data", "grad", "options", "parents", "places", "seen", "values", "version")

    def __init__(self, parents: tuple, values: tuple, options: dict):
        self.parents = parents  # nodes and leaves, in order and with repeats, also those without gradient
        self.values = values  # what each of them held
        self.options = options
        self.places: list[int] | None = None  # of the parents among all arguments, where some are no tensors
        self.data: Any = None
        self.grad: Any = None
        self.version: Any = None
        self.seen = -1  # the version of the result's memory that `data` is a copy of

    def keep_result(self, out, with_values: bool) -> None:
        """Keep a copy of `out`, a tensor."""
        self.version, self.seen = out._version, out._version.count
        if with_values:
            self.data = _copy(out)

    def keep_grad(self, grad, k, wrap) -> None:
        """Keep a copy of a gradient, an array or a tensor; it takes the place of an earlier pass's."""
        self.grad = _copy(grad) if hasattr(grad, "_array") else wrap(k.copy(grad))


class Leaf:
    """A tensor that nothing recorded led to, as it was when it was used; it may have changed since.

    It does not hold the tensor: a graph that did would hold itself once a result overwrites the tensor.
    """

    parents = ()
    op = ""

    def __init__(self, t, with_values: bool):
        self._tensor: Any = weakref.ref(t)
        self._version: Any = t._version
        self._seen = t._version.count
        self.shape, self.dtype, self._label = t.shape, t.dtype, t.label
        self.given_name: str | None = None  # of a parameter or an input: its name in a trace
        self.requires_grad = t.requires_grad
        self.is_view = t._base is not None
        self.kind = t.kind
        if self.kind == "input" and not (t.requires_grad or t.ndim or t.label):
            self.kind = "constant"
        self.data: Any = _copy(t) if with_values else None

    @property
    def tensor(self) -> Any:
        """The tensor, or None if it is gone."""
        return self._tensor()

    @property
    def label(self) -> str | None:
        """The tensor's label, or the name of a parameter."""
        t = self._tensor()
        return (self._label if t is None else t.label) or self.given_name

    @property
    def grad(self):
        """The tensor's gradient so far; None if there is none."""
        t = self._tensor()
        return None if t is None else t._grad

    def holds(self, t) -> bool:
        """Return whether this is `t`, unchanged."""
        if self._tensor() is not t or self._version is not t._version or self._seen != t._version.count:
            return False
        # Compared, too: what is written through t.data or t.numpy() counts no versions.
        return self.data is None or _same(self.data._array, t._array)

    def __repr__(self) -> str:
        name = f" {self.label!r}" if self.label else ""
        return f"<{self.kind}{name}: {self.dtype!r} {tuple(self.shape)}>"


_leaves: "weakref.WeakValueDictionary[int, Leaf]" = weakref.WeakValueDictionary()  # by id of the tensor


def _copy(t):
    return t._wrap(t._kernels.copy(t._array))


def _same(a, b) -> bool:
    a, b = to_host(a), to_host(b)
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def node_of(t, with_values: bool = True):
    """Return what stands for a tensor in a graph: what made it, or a leaf."""
    node = t.grad_fn or t._made_by
    if node is not None:
        return node
    leaf = _leaves.get(id(t))
    if leaf is None or not leaf.holds(t) or (with_values and leaf.data is None):
        leaf = _leaves[id(t)] = Leaf(t, with_values)
    return leaf


def _value_of(t, node):
    if isinstance(node, Leaf):
        return node.data
    kept = node.notes
    if kept is None or kept.data is None:
        return _copy(t)
    current = kept.version is t._version and kept.seen == t._version.count and kept.data.shape == t.shape
    return kept.data if current else _copy(t)


class Keeping:
    """How a thread keeps: with values or only what was computed from what; and who is told of each node."""

    __slots__ = ("claim", "values")

    def __init__(self, values: bool, claim=None):
        self.values, self.claim = values, claim

    def look_at(self, inputs, options: dict) -> Kept:
        """Return what is known before an operation, which may overwrite its inputs."""
        parents = tuple([node_of(t, self.values) for t in inputs])
        values = tuple(map(_value_of, inputs, parents)) if self.values else ()
        return Kept(parents, values, options)

    def leave(self, node, kept: Kept, out) -> None:
        """Leave with `node`, of which came `out`, what was kept."""
        kept.keep_result(out, self.values)
        self.leave_alone(node, kept)

    def leave_alone(self, node, kept: Kept) -> None:
        """Leave with `node` what was kept of its inputs."""
        node.notes = kept
        if self.claim is not None:
            self.claim(node)

    def leave_unrecorded(self, kind: type[Operation], kept: Kept, out) -> None:
        """Make a node, for looks, of an operation that autograd has not recorded."""
        node = kind.__new__(kind)
        node.sequence, node.edges = next_sequence(), [None] * len(kept.parents)
        node.options = kept.options  # some name themselves by them
        node.shape, node.dtype, node._kernels = out._array.shape, out._array.dtype, out._kernels
        out._made_by = node
        self.leave(node, kept, out)


def _apply_and_keep(cls, *inputs, **options):
    keeping = _mode.keeping
    if keeping is None:
        return _apply(cls, *inputs, **options)
    kept = keeping.look_at(inputs, options)
    out = _apply(cls, *inputs, **options)
    if out._grad_fn is not None:
        keeping.leave(out._grad_fn, kept, out)
    else:
        keeping.leave_unrecorded(cls, kept, out)
    return out


def _apply_in_place_and_keep(cls, target, *others, **options):
    keeping = _mode.keeping
    if keeping is None:
        return _apply_in_place(cls, target, *others, **options)
    changed = target if target._base is None else target._base
    before = changed._grad_fn
    kept = keeping.look_at((target, *others), options)
    owner = kept if changed is target else keeping.look_at((changed, *others), options)
    _apply_in_place(cls, target, *others, **options)
    after = changed._grad_fn
    if after is not before and after is not None:
        keeping.leave(after, owner, changed)
    elif changed._made_by is not None:
        keeping.leave_unrecorded(cls, owner, changed)
        if changed is not target:
            keeping.leave_unrecorded(cls, kept, target)
    return target


def share_notes(node, source) -> None:
    """Let `node` come from `source`, which was put before it and others: what led to it leads there."""
    notes = node.notes
    if notes is None:
        return
    if source.notes is None:
        source.notes = Kept(notes.parents, notes.values, {})
        source.notes.data = notes.values[0] if notes.values else None
    notes.parents = (source,)


_switch_count = 0
_lock = threading.Lock()


def _switch(change: int) -> None:
    """Let operations keep as long as a thread wants it; at other times nobody asks."""
    global _switch_count
    with _lock:
        _switch_count += change
        keep = _switch_count > 0
        Operation.apply = classmethod(_apply_and_keep if keep else _apply)  # type: ignore
        in_place = _apply_in_place_and_keep if keep else _apply_in_place
        Operation.apply_in_place = classmethod(in_place)  # type: ignore


def _set(keeping: Keeping | None) -> None:
    before, _mode.keeping = _mode.keeping, keeping
    _switch((keeping is not None) - (before is not None))


class paused:
    """Keep nothing within the block."""

    def __enter__(self) -> Keeping | None:
        self._before = _mode.keeping
        _mode.keeping = None  # the switch stays: the block is short
        return self._before

    def __exit__(self, *exc) -> None:
        _mode.keeping = self._before


class watching:
    """Tell claim(node) of every node made within the block; values are kept if they were before."""

    def __init__(self, claim):
        self._claim = claim

    def __enter__(self) -> None:
        self._before = _mode.keeping
        _set(Keeping(self._before is not None and self._before.values, self._claim))

    def __exit__(self, *exc) -> None:
        _set(self._before)


def is_watched() -> bool:
    """Return whether somebody is told of the operations of this thread, or their values are kept."""
    return _mode.keeping is not None


def is_keeping_values() -> bool:
    """Return whether operations of this thread keep their values."""
    return _mode.keeping is not None and _mode.keeping.values


class keep_values(_GradMode):
    """Keep what operations pass through, to be looked at: `with keep_values(): ...` or `@keep_values`.

    Each node then answers `data`, `grad` (after a backward pass) and `parents`, constants among them, so that
    `viz.draw` and `micro.step` show every number. They are copies: in-place changes do not reach them. They
    take as much memory as all results together, and are freed with the graph. keep: False keeps nothing.
    """

    def __new__(cls, keep: bool | Callable = True):
        return cls()(keep) if callable(keep) else super().__new__(cls)

    def __init__(self, keep: bool | Callable = True):
        super().__init__()
        self._keep = bool(keep)
        self._outer: list[Keeping | None] = []

    def __enter__(self):
        before = _mode.keeping
        self._outer.append(before)
        _set(_keeping(self._keep, before))
        return self

    def __exit__(self, *exc):
        _set(self._outer.pop())
        return False

    def _again(self) -> "keep_values":
        return keep_values(self._keep)


class set_keep_values(keep_values):
    """Switch keeping at once, as a call; or for the length of a `with` block or of a function."""

    def __init__(self, keep: bool):
        super().__init__(keep)
        self._previous = _mode.keeping
        _set(_keeping(self._keep, self._previous))

    def __exit__(self, *exc):
        super().__exit__(*exc)
        _set(self._previous)
        return False

    def __call__(self, function):
        _set(self._previous)  # a decorator switches in the function only
        return super().__call__(function)


AROUND_CALLS.append(keep_values)


def _keeping(keep: bool, before: Keeping | None) -> Keeping | None:
    claim = None if before is None else before.claim
    return Keeping(keep, claim) if keep or claim is not None else None
