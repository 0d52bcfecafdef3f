"""Recording operations.

Every operation is a subclass of `Operation`: `forward` beside `backward`, on arrays, through the kernel table
`k` of the tensor's device. `apply` runs `forward` and, where a gradient may be asked for, keeps the instance
as the result's `grad_fn`. An instance knows the results it was computed *from* (its edges), never its own
result, so a graph has no reference cycle and is freed as soon as the last tensor that needs it goes.
"""

import copy
import functools
import itertools
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from kernels import cpu
from tensor.autograd.grad_mode import _mode
from tensor.autograd.hooks import Hook, HookTable
from tensor.devices import join, kernels_of

_sequence = itertools.count()


def next_sequence() -> int:
    """Return a number less than that of any operation recorded from now on."""
    return next(_sequence)


class Version:
    """Counts in-place changes of one piece of memory; shared by all its views."""

    count = 0  # not set in an __init__, which would take half the time of making a tensor

    def __repr__(self) -> str:
        return str(self.count)  # programs print t._version, a number in PyTorch

    def __index__(self) -> int:
        return self.count

    def __eq__(self, other) -> bool:
        return self is other or (isinstance(other, int) and self.count == other)

    __hash__ = object.__hash__


def _run_hooked(reference, method, before, after, k, grad):
    """Run a node's backward between its hooks, which take tensors."""
    node = reference()
    from tensor.engine import Tensor

    is_array = not isinstance(grad, Tensor)

    def wrap(g):
        return Tensor._wrap(g) if is_array and g is not None else g

    def array(g):
        return g._array if is_array and g is not None else g

    outputs = (wrap(grad),)
    for hook in list(before.values()):
        outputs = hook(outputs) or outputs
    inputs = tuple(wrap(g) for g in method(node, k, array(outputs[0])))
    for hook in list(after.values()):
        inputs = hook(inputs, outputs) or inputs
    return tuple(array(g) for g in inputs)


class _Name:
    """What `name` is of an operation: to be set, the word that is printed; to be asked, PyTorch's method."""

    def __get__(self, node, kind):
        return (kind.printed_name or kind.__name__) if node is None else node._full_name

    def __set__(self, node, word: str) -> None:
        node.printed_name = word


_SAVED = {"_saved_self": 0, "_saved_other": 1, "_saved_result": None}  # to the number of the input


class Operation:
    """One recorded operation.

    Subclasses define, as methods on arrays (never on tensors):
        forward(k, *arrays, **options) -> array
        backward(k, grad) -> gradient array of each input in turn (a tuple; None where there is none)
    and, in `forward`, keep what `backward` reads: `self.saved = (arrays among the inputs, ...)` and
    `self.result = out`, so that memory is let go early and in-place changes are noticed; shapes and options
    may be kept as attributes. `self.needs[i]` says whether input i takes part in the gradient.

    `backward` may return a gradient as it came: whoever writes into an array makes sure it is not shared.

    With `create_graph=True` the same `backward` runs on tensors, with `tensor.recorded` in place of the
    kernel table, so that what it computes is recorded in turn. Then what was saved stands for tensors with
    their history: an array among the inputs for that input, `result` for the result.
    """

    printed_name = ""  # as in <TanhBackward0>; a subclass sets it by `name = "Tanh"`, else it is the class's
    # The digit it prints: PyTorch numbers the signatures of a name: sum() is 0, sum(dim) 1; None: none.
    overload: int | str | None = 0
    crosses_devices = False  # its inputs may be on several devices
    is_view = False  # the result shares the first input's memory; `show(array, options)` then makes it

    edges: Sequence = ()
    shown_edges: Sequence | None = None  # what `next_functions` shows where PyTorch records it otherwise
    needs: tuple[bool, ...] = ()
    saved: Any = ()  # a tuple of arrays; None once released
    result: np.ndarray | None = None
    versions: Sequence[tuple] = ()
    options: dict
    input_shape: tuple[int, ...]
    constants: tuple[str, ...] = ()  # attributes that keep floats of which no gradient is to be computed

    # For who looks on: how it is written, as "{0} @ {1}"; in words what for each input
    # its backward computes; whether inputs broadcast; whether running it again does the same and no more;
    # whether it hands its gradient over to the operation before it instead of returning it.
    written: str = ""
    gradients_in_words: tuple[str, ...] = ()
    drawn_name = ""  # where PyTorch's name is that of the last of several steps, such as View
    broadcasts = False
    repeatable = True
    hands_over = False
    only_reads_gradient = False  # its backward neither writes to its gradient nor hands it on

    hooks: "HookTable | None" = None
    retained: weakref.ref | None = None  # the tensor whose .grad is to be filled
    notes: Any = None  # what `keep_values` left here, to be looked at

    def __init_subclass__(cls, **options) -> None:
        super().__init_subclass__(**options)
        word = cls.__dict__.get("name")
        if isinstance(word, str):  # of an instance, `name` is PyTorch's method
            cls.printed_name = word
            del cls.name

    def forward(self, k, *arrays, **options):
        raise NotImplementedError

    def backward(self, k, grad):
        raise NotImplementedError

    @staticmethod
    def show(array, options):
        """Return the view of `array` that `forward` makes."""
        raise NotImplementedError

    def overwrite(self, k, target, *arrays, **options) -> None:
        """Run `forward(target, *arrays)` and write the result over `target`."""
        k.write(target, self.forward(k, target, *arrays, **options))
        if self.result is not None:
            self.result = target

    @classmethod
    def apply(cls, *inputs, **options):
        """Run on tensors of one device; record if a gradient may be asked for."""
        node = cls()
        arrays, needs, enabled, k = [], [], _mode.enabled, cpu
        for t in inputs:
            array = t._array
            arrays.append(array)
            if array.__class__ is not ndarray:
                k = kernels_of(array) if k is cpu else k
            # Only of a view can `requires_grad` be other than `_requires_grad`; the property takes 0.1 us.
            needs.append(enabled and (t._requires_grad or (t._base is not None and t.requires_grad)))
        if k is not cpu and not cls.crosses_devices:
            inputs = join(cls.printed_name or cls.__name__, inputs)
            arrays = [t._array for t in inputs]
        node.needs = needs = tuple(needs)
        first = inputs[0]
        array = node.forward(k, *arrays, **options)
        out = first._wrap(array)
        if cls.is_view:
            out._become_view_of(first, ViewStep(cls, node.options, node.input_shape, array.shape))
            if not enabled:
                out._untracked = True
        if True in needs and array.dtype.kind == "f":
            node._record(inputs, out)
            out._grad_fn = node
            out._requires_grad = True
        return out

    @classmethod
    def apply_in_place(cls, target, *others, **options):
        """Run on tensors, overwriting `target`, which becomes this operation's result."""
        inputs = (target, *others)
        node = cls()
        for t in inputs:
            if t._array.__class__ is not ndarray:
                inputs = (target, *join(node.op, inputs, target)[1:])
                others = inputs[1:]
                break
        target._check_memory(node.op, others)
        needs, recording = (), False
        if _mode.enabled:
            needs = tuple([t._requires_grad or (t._base is not None and t.requires_grad) for t in inputs])
            recording = True in needs or (target._base is not None and target._base.requires_grad)
        if recording:
            target._check_in_place(node.op)
            node.needs = needs
        else:
            node.needs = (False,) * len(inputs)
        node.overwrite(target._kernels, *[t._array for t in inputs], **options)
        if recording:
            node._record(inputs, target, changes=1)
        target._version.count += 1
        if recording:
            target._change_history(node)
        return target

    def _record(self, inputs, out, changes: int = 0) -> None:
        """Note where gradients go, and at which version each saved array is; `out` is about to change."""
        self.sequence = next(_sequence)
        self.edges = edges = []
        for t, need in zip(inputs, self.needs):  # noqa: B905 strict=True takes 0.3 us
            # The edge is the grad_fn or the leaf itself; only of a view can `_grad_fn` be out of date.
            edges.append(((t._grad_fn if t._base is None else t.grad_fn) or t) if need else None)
        array = out._array
        self.shape, self.dtype, self._kernels = array.shape, array.dtype, out._kernels
        versions: list[tuple]
        self.versions = versions = []
        for array in self.saved:
            for i, t in enumerate(inputs):
                if t._array is array:
                    versions.append((array, t._version, t._version.count, i))
                    break
        if self.result is not None:
            versions.append((self.result, out._version, out._version.count + changes, None))

    def check_saved(self) -> None:
        """Raise PyTorch's errors: the graph was already freed, or a saved array was overwritten."""
        if self.saved is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after "
                "they have already been freed). Saved intermediate values of the graph are freed when you "
                "call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward "
                f"through the graph a second time. (operation: {self.op})"
            )
        for array, version, seen, _ in self.versions:
            if version.count != seen:
                raise_modified(array, version.count, seen, self.name())

    # --- gradients of gradients --------------------------------------------------------------------

    def backward_recorded(self, k, grad):
        """Return what `backward` does, computed from tensors and recorded; k: `tensor.recorded`."""
        return self.on_tensors(grad._wrap).backward(k, grad)

    def on_tensors(self, wrap) -> "Operation":
        """Return a copy of this node in which tensors, with their history, stand for what was saved."""
        twin = copy.copy(self)
        twin.__dict__.pop("backward", None)  # a hook of this node runs around the original
        for name, value in self.__dict__.items():
            if isinstance(value, ndarray) and name != "result" and name not in self.constants:
                self._check_constant(value)
        twin.saved = tuple([self.remember(i, array, wrap) for i, array in enumerate(self.saved)])
        if self.result is not None:
            twin.result = self._remember_result(wrap)
        return twin

    def remember(self, position: int, array, wrap):
        """Return number `position` of `saved` as a tensor with the history it had."""
        for known, version, _, i in self.versions:
            if known is array and i is not None:
                return with_history(array, self.edges[i], version, wrap)
        if array is None:
            return None
        if "saved" not in self.constants:
            self._check_constant(array)
        return wrap(array)

    def _remember_result(self, wrap):
        return with_history(self.result, self, self.versions[-1][1], wrap)

    def record_again(self, edges, out) -> None:
        """Record this node as if it had computed `out`, a tensor, from what `edges` lead to."""
        self.sequence, self.edges = next(_sequence), edges
        self.needs = tuple([edge is not None for edge in edges])
        array = out._array
        self.shape, self.dtype, self._kernels = array.shape, array.dtype, out._kernels
        self.versions = [] if self.result is None else [(array, out._version, out._version.count, None)]

    def _check_constant(self, array) -> None:
        if array.dtype.kind == "f":
            raise NotImplementedError(
                f"create_graph: {self.op} keeps floats for its backward that are neither an input nor the "
                "result, so the gradient of its gradient would miss a part; compute the function from other "
                "operations, or its derivative by autograd.Function"
            )

    def release(self) -> None:
        """Let go of what was saved."""
        if self.saved or self.result is not None:
            self.saved = self.result = None
            self.versions = ()

    # --- hooks of a node ---------------------------------------------------------------------------

    def register_prehook(self, hook) -> "Hook":
        """Call hook(grad_outputs), a tuple, before this node runs backward; what it returns replaces it."""
        return Hook(self._hooked()[0], hook)

    def register_hook(self, hook) -> "Hook":
        """Call hook(grad_inputs, grad_outputs), tuples, after; what it returns replaces grad_inputs."""
        return Hook(self._hooked()[1], hook)

    def _hooked(self) -> tuple[HookTable, HookTable]:
        """Return the tables of both kinds; with them, hide `backward` behind what runs them."""
        if "around" not in self.__dict__:
            self.around = before, after = HookTable(), HookTable()
            kind = type(self)
            self.backward, self.backward_recorded = (  # type: ignore[method-assign]
                functools.partial(_run_hooked, weakref.ref(self), method, before, after)
                for method in (kind.backward, kind.backward_recorded)
            )
        return self.around

    # --- what a drawing or a curious reader sees -------------------------------------------------

    @property
    def word(self) -> str:
        """The operation as PyTorch prints it, without what follows."""
        return self.printed_name or type(self).__name__

    @property
    def op(self) -> str:
        """The operation's name in drawings and steps."""
        return self.drawn_name or self.word

    @property
    def parents(self) -> tuple:
        """What this result was computed from: recorded operations and leaf tensors.

        Where values are kept, all inputs, in order; else those that get a gradient.
        """
        return self.recorded_parents if self.notes is None else self.notes.parents

    @property
    def recorded_parents(self) -> tuple:
        """Where gradients go: recorded operations and leaf tensors."""
        return tuple(edge for edge in self.edges if edge is not None)

    @property
    def next_functions(self) -> tuple:
        """Pairs (node, number of its result) as in PyTorch; a leaf appears as `AccumulateGrad`."""
        edges = self.edges if self.shown_edges is None else self.shown_edges
        return tuple(_function_of(edge) for edge in edges)

    def __getattr__(self, name: str):
        """Return what was saved, as PyTorch names it: `_saved_self`, `_saved_other`, `_saved_result`."""
        if name in _SAVED and type(self).__getattr__ is Operation.__getattr__:
            from tensor.engine import Tensor

            self.check_saved()
            for array, version, _, i in self.versions:
                if i == _SAVED[name]:
                    return with_history(array, self if i is None else self.edges[i], version, Tensor._wrap)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    label: str | None = None
    kind = "operation"

    @property
    def data(self):
        """The result, a tensor, if values are kept (`keep_values`); else None."""
        return None if self.notes is None else self.notes.data

    @property
    def grad(self):
        """The gradient of the result in the last backward pass, a tensor, if values are kept; else None."""
        return None if self.notes is None else self.notes.grad

    def _full_name(self) -> str:
        """Return the name under which PyTorch knows the operation."""
        return self.word if self.overload is None else f"{self.word}Backward{self.overload}"

    name: Any = _Name()

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


def with_history(array, edge, version, wrap):
    """Return a tensor around an array that was saved, whose gradient goes to `edge`, if there is one."""
    if edge is None:
        return wrap(array)
    if not isinstance(edge, Operation):
        if edge._array is array:
            return edge
        node = _Remembered(edge, array, edge._kernels)  # the leaf was given other data
    else:
        node = edge
    t = wrap(array)
    t._version, t._grad_fn, t._requires_grad = version, node, True
    return t


_TYPE_NAMES = {
    "float32": "FloatTensor",
    "float64": "DoubleTensor",
    "int64": "LongTensor",
    "int32": "IntTensor",
    "bool": "BoolTensor",
}


def raise_modified(array, count: int, seen: int, needed_by: str):
    """Raise PyTorch's error for an array that was changed in place after it was saved."""
    kind = _TYPE_NAMES.get(array.dtype.name, "Tensor")
    raise RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[torch.{kind} {list(array.shape)}], which {needed_by} needs, is at version {count}; expected "
        f"version {seen} instead. Hint: use the operation that makes a new tensor, or clone() before the "
        "in-place change."
    )


class Output(Operation):
    """One of several results of an operation, which gets their gradients, by number, in `received`."""

    overload = None
    repeatable = False
    hands_over = True

    def __init__(self, source: Operation, number: int, out):
        self.source, self.number = source, number
        self.record_again([source], out)

    def backward(self, k, grad):
        self.source.received[self.number] = grad
        return (k.zeros((), grad.dtype),)  # only so that the source has its turn

    @property
    def op(self) -> str:
        return self.source.op

    @property
    def next_functions(self) -> tuple:
        return self.source.next_functions

    def _full_name(self) -> str:
        return self.source.name()

    def __getattr__(self, name: str):
        if name.startswith("__") or name == "source":
            raise AttributeError(name)
        return getattr(self.source, name)

    def __repr__(self) -> str:
        return repr(self.source)


class _Remembered(Operation):
    """What a leaf held when it was used; its gradient is the leaf's."""

    name = "Alias"
    gradients_in_words = ("grad",)

    def __init__(self, leaf, array, kernels):
        self.sequence = next(_sequence)
        self.edges, self.needs = [leaf], (True,)
        self.shape, self.dtype, self._kernels = array.shape, array.dtype, kernels

    def backward(self, k, grad):
        return (grad,)


def _function_of(edge) -> tuple:
    if isinstance(edge, Output):
        return edge.source, edge.number
    if edge is None or isinstance(edge, Operation | Step):
        return edge, 0
    return AccumulateGrad(edge), 0


class Step:
    """A step that PyTorch records by itself and that is part of a node here: only to be looked at."""

    def __init__(self, name: str, *edges):
        self._name, self._edges = name, edges

    @property
    def next_functions(self) -> tuple:
        """Pairs (node, number of its result), as of any node."""
        return tuple(_function_of(edge) for edge in self._edges)

    def name(self) -> str:
        """Return the name under which PyTorch knows the step."""
        return f"{self._name}Backward0"

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


class AccumulateGrad:
    """The end of a path: where a leaf's gradient is added up."""

    def __init__(self, variable):
        self.variable = variable

    next_functions = ()

    def name(self) -> str:
        """Return the name under which PyTorch knows it."""
        return "torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"


class ViewStep(NamedTuple):
    """How one view was made of another, so that it can be made again: of a gradient, or of newer history."""

    kind: type[Operation]
    options: dict
    input_shape: tuple[int, ...]
    shape: tuple[int, ...]


def view_again(base, steps: tuple[ViewStep, ...]):
    """Return the view that `steps` make of an array, or a tensor, of the base's shape and order in memory."""
    on_tensors = hasattr(base, "_array")
    for step in steps:
        base = step.kind.apply(base, **step.options) if on_tensors else step.kind.show(base, step.options)
    return base


def record_views_again(base, steps: tuple[ViewStep, ...]) -> Operation:
    """Record the views that `steps` make of `base`, whose memory was written to; return the last."""
    edge = base.grad_fn
    for step in steps:
        node = step.kind()
        node.options, node.input_shape = step.options, step.input_shape
        node.record_again([edge], base)
        node.shape = step.shape
        edge = node
    return edge
