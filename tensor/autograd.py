"""Recording operations and running them backward.

Every operation is a subclass of `Operation`: `forward` beside `backward`, on arrays, through the kernel table
`k` of the tensor's device. `apply` runs `forward` and, where a gradient may be asked for, keeps the instance
as the result's `grad_fn`. An instance knows the results it was computed *from* (its edges), never its own
result, so a graph has no reference cycle and is freed as soon as the last tensor that needs it goes.
"""

import functools
import heapq
import inspect
import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tensor.operands import as_tensor_like


class _Mode(threading.local):
    enabled = True


_mode = _Mode()
_sequence = itertools.count()


def is_grad_enabled() -> bool:
    """Return whether operations are recorded in this thread."""
    return _mode.enabled


class _GradMode:
    """Switch recording on or off in this thread, as a context or a decorator of functions and generators."""

    _enabled = False

    def __init__(self):
        self._before: list[bool] = []

    def __enter__(self):
        self._before.append(_mode.enabled)
        _mode.enabled = self._enabled
        return self

    def __exit__(self, *exc):
        _mode.enabled = self._before.pop()
        return False

    def __call__(self, function: Callable) -> Callable:
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def switched(*args, **kwargs):
            with self._again():
                return function(*args, **kwargs)

        return switched

    def _again(self) -> "_GradMode":
        """Return a context like this one, for one call: calls may be nested, and run in several threads."""
        return type(self)()

    def _wrap_generator(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def switched(*args, **kwargs):
            # Between two values the caller runs, in the mode that is the caller's.
            generator = function(*args, **kwargs)
            step: Callable = functools.partial(next, generator)
            while True:
                try:
                    with self._again():
                        value = step()
                except StopIteration as stop:
                    return stop.value
                try:
                    step = functools.partial(generator.send, (yield value))
                except GeneratorExit:
                    with self._again():
                        generator.close()
                    raise
                except BaseException as error:
                    step = functools.partial(generator.throw, error)

        return switched


class no_grad(_GradMode):
    """Do not record operations: `with no_grad(): ...`, `@no_grad()` or `@no_grad`."""

    def __new__(cls, function: Callable | None = None):
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self, function: Callable | None = None):
        super().__init__()


class enable_grad(no_grad):
    """Record operations, also inside `no_grad`."""

    _enabled = True


class set_grad_enabled(_GradMode):
    """Switch recording at once, as a call; or for the length of a `with` block or of a function."""

    def __init__(self, mode: bool):
        super().__init__()
        self._enabled, self._previous = bool(mode), _mode.enabled
        _mode.enabled = self._enabled

    def __exit__(self, *exc):
        super().__exit__(*exc)
        _mode.enabled = self._previous
        return False

    def __call__(self, function: Callable) -> Callable:
        _mode.enabled = self._previous  # a decorator switches in the function only
        return super().__call__(function)

    def _again(self) -> _GradMode:
        return set_grad_enabled(self._enabled)


class inference_mode(_GradMode):
    """Do not record operations; with mode=False, record them.

    PyTorch forbids later recording of the results too; this engine does not.
    """

    def __new__(cls, mode: bool | Callable = True):
        return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: bool = True):
        super().__init__()
        self._enabled = not mode

    def _again(self) -> _GradMode:
        return inference_mode(not self._enabled)


class Version:
    """Counts in-place changes of one piece of memory; shared by all its views."""

    count = 0  # not set in an __init__, which would take half the time of making a tensor


class Operation:
    """One recorded operation.

    Subclasses define, as methods on arrays (never on tensors):
        forward(k, *arrays, **options) -> array
        backward(k, grad) -> gradient array of each input in turn (a tuple; None where there is none)
    and, in `forward`, keep what `backward` reads: `self.saved = (arrays among the inputs, ...)` and
    `self.result = out`, so that memory is let go early and in-place changes are noticed; shapes and options
    may be kept as attributes. `self.needs[i]` says whether input i takes part in the gradient.

    `backward` may return a gradient as it came: whoever writes into an array makes sure it is not shared.
    """

    name = ""  # what grad_fn prints, as in <TanhBackward0>; the class name unless set
    is_view = False  # the result shares the first input's memory; `show(array, options)` then makes it

    edges: Sequence = ()
    needs: tuple[bool, ...] = ()
    saved: Any = ()  # a tuple of arrays; None once released
    result: np.ndarray | None = None
    versions: Sequence[tuple] = ()
    options: dict
    input_shape: tuple[int, ...]
    hooks: "HookTable | None" = None
    retained: weakref.ref | None = None  # the tensor whose .grad is to be filled

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
        arrays, needs, enabled = [], [], _mode.enabled
        for t in inputs:
            arrays.append(t._array)
            # Only of a view can `requires_grad` be other than `_requires_grad`; the property takes 0.1 us.
            needs.append(enabled and (t._requires_grad or (t._base is not None and t.requires_grad)))
        node.needs = needs = tuple(needs)
        first = inputs[0]
        array = node.forward(first._kernels, *arrays, **options)
        out = first._wrap(array)
        if cls.is_view:
            out._become_view_of(first, ViewStep(cls, node.options, node.input_shape, array.shape))
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
        target._check_memory(node.op, others)
        recording = _mode.enabled and (
            any(t.requires_grad for t in inputs) or target._shows_recorded_memory()
        )
        if recording:
            target._check_in_place(node.op)
            node.needs = tuple([t.requires_grad for t in inputs])
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
        self.versions = versions = []
        for array in self.saved:
            for t in inputs:
                if t._array is array:
                    versions.append((array, t._version, t._version.count))
                    break
        if self.result is not None:
            versions.append((self.result, out._version, out._version.count + changes))

    def check_saved(self) -> None:
        """Raise PyTorch's errors: the graph was already freed, or a saved array was overwritten."""
        if self.saved is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after "
                "they have already been freed). Saved intermediate values of the graph are freed when you "
                "call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward "
                f"through the graph a second time. (operation: {self.op})"
            )
        for array, version, seen in self.versions:
            if version.count != seen:
                kind = _TYPE_NAMES.get(array.dtype.name, "Tensor")
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace "
                    f"operation: [torch.{kind} {list(array.shape)}], which {self.op}Backward0 needs, is at "
                    f"version {version.count}; expected version {seen} instead. Hint: use the operation that "
                    "makes a new tensor, or clone() before the in-place change."
                )

    def release(self) -> None:
        """Let go of what was saved."""
        if self.saved or self.result is not None:
            self.saved = self.result = None
            self.versions = ()

    # --- what a drawing or a curious reader sees -------------------------------------------------

    @property
    def op(self) -> str:
        """The operation's name."""
        return self.name or type(self).__name__

    @property
    def parents(self) -> tuple:
        """What this result was computed from: recorded operations and leaf tensors."""
        return tuple(edge for edge in self.edges if edge is not None)

    @property
    def next_functions(self) -> tuple:
        """Pairs (node, 0) as in PyTorch; a leaf appears as `AccumulateGrad`."""
        return tuple(
            (None if e is None else e if isinstance(e, Operation) else AccumulateGrad(e), 0)
            for e in self.edges
        )

    label = None
    data = None
    grad = None

    def __repr__(self) -> str:
        return f"<{self.op}Backward0>"


_TYPE_NAMES = {
    "float32": "FloatTensor",
    "float64": "DoubleTensor",
    "int64": "LongTensor",
    "int32": "IntTensor",
    "bool": "BoolTensor",
}


class AccumulateGrad:
    """The end of a path: where a leaf's gradient is added up."""

    def __init__(self, variable):
        self.variable = variable

    next_functions = ()

    def __repr__(self) -> str:
        return "<AccumulateGrad>"


def _edge_of(t):
    """Return where the gradient of `t` goes: its grad_fn, itself if it is a leaf, or nowhere."""
    return t.grad_fn or (t if t.requires_grad else None)


class Hook:
    """Handle of a registered hook; `remove()` takes it off again."""

    _ids = itertools.count()

    def __init__(self, hooks: "HookTable", function: Callable):
        self._hooks, self._id = weakref.ref(hooks), next(Hook._ids)
        hooks[self._id] = function

    def remove(self) -> None:
        """Take the hook off; a second call does nothing."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self._id, None)


class ViewStep(NamedTuple):
    """How one view was made of another, so that it can be made again: of a gradient, or of newer history."""

    kind: type[Operation]
    options: dict
    input_shape: tuple[int, ...]
    shape: tuple[int, ...]


def view_again(array: np.ndarray, steps: tuple[ViewStep, ...]) -> np.ndarray:
    """Return the view that `steps` make of an array of the base's shape and order in memory."""
    for step in steps:
        array = step.kind.show(array, step.options)
    return array


def record_views_again(base, steps: tuple[ViewStep, ...]) -> Operation:
    """Record the views that `steps` make of `base`, whose memory was written to; return the last."""
    edge = base.grad_fn
    for step in steps:
        node = step.kind()
        node.options, node.input_shape, node.shape = step.options, step.input_shape, step.shape
        node.dtype, node._kernels = base._array.dtype, base._kernels
        node.needs, node.edges, node.versions = (True,), (edge,), []
        node.sequence = next(_sequence)
        edge = node
    return edge


class HookTable(dict):
    """Hooks in order of registration (a dict that can be referred to weakly)."""


def _run_hooks(hooks: dict, k, grad: np.ndarray, like) -> np.ndarray:
    for hook in list(hooks.values()):
        given = like(grad)
        with no_grad():
            returned = hook(given)
        if returned is not None:
            if not hasattr(returned, "_array"):
                raise TypeError(
                    f"register_hook: expected Variable, but hook returned {type(returned).__name__!r}; "
                    "return a tensor, or None to leave the gradient"
                )
            if returned._array.dtype != grad.dtype:
                raise RuntimeError(
                    f"register_hook: the hook has changed the type of the gradient: {returned._array.dtype}, "
                    f"expected {grad.dtype}"
                )
            if tuple(returned.shape) != grad.shape:
                raise RuntimeError(
                    f"register_hook: the hook returned a gradient of shape {tuple(returned.shape)}, "
                    f"expected {grad.shape}"
                )
            grad = returned._array
        else:
            grad = given._array
    return grad


def _propagate(roots, grads, retain_graph: bool, inputs=None) -> dict:
    """Send gradients from `roots` to every leaf they were computed from.

    roots: tensors; grads: one array for each. Nodes run newest first: a node is always newer than what it
    was computed from, so all of its gradient has arrived when its turn comes, and no recursion is needed.

    inputs: None to add up into the leaves' `.grad`; else tensors whose gradients are returned instead, as a
    dict from id(tensor) to array; what does not lead to them is left alone.
    """
    wrap = roots[0]._wrap
    pending: dict = {}  # node, or id of a leaf -> gradient so far
    owned: set = set()  # keys of pending whose array this pass made, and may write into
    heap: list = []
    leaves: dict = {}
    wanted_nodes: dict = {}
    results: dict = {}
    runs = receives = None
    if inputs is not None:
        for t in inputs:
            if t.grad_fn is not None:
                wanted_nodes.setdefault(t.grad_fn, []).append(t)
        runs, receives = _lead_to(inputs, roots)

    def send(edge, grad, k) -> None:
        is_node = isinstance(edge, Operation)
        key = edge if is_node else id(edge)
        if receives is not None and key not in receives:
            return
        if key not in pending:
            pending[key] = grad
            if is_node:
                heapq.heappush(heap, (-edge.sequence, edge))
            else:
                leaves[key] = edge
        elif key in owned:
            k.forward("add", pending[key], grad, out=pending[key])
        else:
            pending[key] = k.forward("add", pending[key], grad)
            owned.add(key)

    for root, grad in zip(roots, grads, strict=True):
        send(_edge_of(root), grad, root._kernels)
    while heap:
        node = heapq.heappop(heap)[1]
        k = node._kernels
        grad = pending.pop(node)
        if owned:
            owned.discard(node)
        if node.hooks:
            grad = _run_hooks(node.hooks, k, grad, wrap)
        if runs is not None:
            for tensor in wanted_nodes.get(node, ()):
                results[id(tensor)] = grad
            if node not in runs:
                continue
        elif node.retained is not None:
            tensor = node.retained()
            if tensor is not None:
                accumulate(tensor, grad, k, wrap)
        node.check_saved()
        incoming = node.backward(k, grad)
        if not retain_graph:
            node.release()
        for edge, grad in zip(node.edges, incoming):  # noqa: B905 strict=True takes 0.3 us
            if edge is not None and grad is not None:
                send(edge, grad, k)
        grad = incoming = None  # or an array would count as shared below
    for key, leaf in leaves.items():
        grad = pending.pop(key)
        k = leaf._kernels
        if leaf._hooks:
            grad = _run_hooks(leaf._hooks, k, grad, wrap)
        if inputs is None:
            accumulate(leaf, grad, k, wrap)
        else:
            results[key] = grad
    return results


def _key(edge):
    return edge if isinstance(edge, Operation) else id(edge)


def _lead_to(inputs, roots) -> tuple[set, set]:
    """Return the nodes to run for the gradients of `inputs`, and these with what receives the gradients."""
    ends = {_key(_edge_of(t)) for t in inputs}
    consumers: dict = {}
    stack = [_edge_of(root) for root in roots]
    while stack:
        node = stack.pop()
        for edge in node.parents if isinstance(node, Operation) else ():
            key = _key(edge)
            if key not in consumers:
                consumers[key] = []
                stack.append(edge)
            consumers[key].append(node)
    runs, waiting = set(), list(ends)
    while waiting:
        for node in consumers.get(waiting.pop(), ()):
            if node not in runs:
                runs.add(node)
                waiting.append(node)
    return runs, runs | ends


def _is_shared(grad: np.ndarray) -> bool:
    """Return whether anybody but the caller, who holds it twice, has this gradient: it may go to two."""
    # Held by: two of the caller's names, this function's argument, and getrefcount's own.
    return grad.base is not None or sys.getrefcount(grad) > 4


def accumulate(leaf, grad: np.ndarray, k, wrap) -> None:
    """Add `grad` to `leaf.grad`."""
    if leaf._grad is None:
        leaf._grad = wrap(k.copy(grad) if _is_shared(grad) else grad)
    else:
        k.forward("add", leaf._grad._array, grad, out=leaf._grad._array)
        leaf._grad._version.count += 1


def _first_gradients(operation: str, roots, gradients) -> list[np.ndarray]:
    """Return the array that flows into each root: the one given, or 1.0 for a single element."""
    gradients = (None,) * len(roots) if gradients is None else gradients
    arrays = []
    for i, (root, given) in enumerate(zip(roots, gradients, strict=True)):
        if not root.requires_grad:
            raise RuntimeError(
                f"{operation}: element {i} of tensors does not require grad and does not have a grad_fn; set "
                "requires_grad=True on what it is computed from"
            )
        if given is None:
            if root._array.size != 1:
                raise RuntimeError(
                    f"{operation}: grad can be implicitly created only for scalar outputs, got shape "
                    f"{tuple(root.shape)}; reduce it (.sum() or .mean()) or pass the gradient"
                )
            arrays.append(root._kernels.full(root._array.shape, 1.0, root._array.dtype))
            continue
        given = as_tensor_like(root, given, root.dtype, operation)
        if given.shape != root.shape:
            raise RuntimeError(
                f"{operation}: Mismatch in shape: grad_output[{i}] has a shape of {given.shape} and "
                f"output[{i}] has a shape of {root.shape}."
            )
        arrays.append(given._array)
    return arrays


def _refuse_create_graph(create_graph: bool) -> None:
    if create_graph:
        raise NotImplementedError(
            "create_graph=True (gradients of gradients) is not supported yet; the nearest that exists: "
            "finite differences of a gradient"
        )


def _as_tuple(tensors) -> tuple:
    return (tensors,) if hasattr(tensors, "_array") else tuple(tensors)


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, *, inputs=None) -> None:
    """Compute the gradients of `tensors` in every leaf, and add them to the leaves' `.grad`.

    grad_tensors: what flows into each of `tensors`, of its shape; 1.0 if None, which only a tensor of one
    element allows. The graph is freed unless `retain_graph`. inputs: the only tensors to fill, if given.
    """
    _refuse_create_graph(create_graph)
    roots = _as_tuple(tensors)
    grads = _first_gradients("backward", roots, None if grad_tensors is None else _as_tuple(grad_tensors))
    wanted = None if inputs is None else _as_tuple(inputs)
    if wanted == ():
        raise RuntimeError("backward: `inputs` argument to `backward()` cannot be empty.")
    found = _propagate(roots, grads, bool(retain_graph), wanted)
    for t in wanted or ():
        if id(t) in found:
            accumulate(t, t._kernels.copy(found[id(t)]), t._kernels, t._wrap)


def grad(
    outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, allow_unused=False
) -> tuple:
    """Return the gradients of `outputs` in `inputs` as a tuple of tensors; no `.grad` changes.

    An input that the outputs do not depend on is an error, or None with `allow_unused`.
    """
    _refuse_create_graph(create_graph)
    roots, wanted = _as_tuple(outputs), _as_tuple(inputs)
    for t in wanted:
        if not t.requires_grad:
            raise RuntimeError("grad: One of the differentiated Tensors does not require grad")
    grads = _first_gradients("grad", roots, None if grad_outputs is None else _as_tuple(grad_outputs))
    found = _propagate(roots, grads, bool(retain_graph), wanted)
    if not allow_unused and any(id(t) not in found for t in wanted):
        raise RuntimeError(
            "grad: One of the differentiated Tensors appears to not have been used in the graph. Set "
            "allow_unused=True if this is the desired behavior."
        )
    results = []
    for t in wanted:
        array = found.get(id(t))
        if array is not None and _is_shared(array):  # held by `found` and by `array`
            array = t._kernels.copy(array)
        results.append(None if array is None else t._wrap(array))
    return tuple(results)
