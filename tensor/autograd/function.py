"""Functions whose backward the user writes: a subclass of `Function` with `forward` and `backward`."""

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any

from tensor.autograd.grad_mode import is_grad_enabled, no_grad
from tensor.autograd.keeping import Kept, paused
from tensor.autograd.operation import Operation, Output, raise_modified, with_history


class FunctionCtx:
    """What `forward` hands on to `backward`: saved tensors, marks, and any attribute the user sets."""

    needs_input_grad: tuple[bool, ...] = ()
    _to_save: tuple = ()
    _saved: list | None = None
    _freed = False
    _dirty: tuple = ()
    _non_differentiable: tuple = ()
    _materialize = True
    _node: Any = None

    def save_for_backward(self, *tensors) -> None:
        """Keep tensors, inputs or outputs or others, or None, for `saved_tensors`; once, within forward."""
        for i, t in enumerate(tensors):
            if t is not None and not hasattr(t, "_array"):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {i} is of type "
                    f"{type(t).__name__}; set it as an attribute: ctx.name = value"
                )
        self._to_save = tensors

    def save_for_forward(self, *tensors) -> None:
        """Do nothing: forward-mode differentiation does not exist here."""

    def mark_dirty(self, *tensors) -> None:
        """Say which inputs forward has changed in place; it must return them too."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors) -> None:
        """Say which outputs get no gradient."""
        self._non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Say whether backward gets zeros (True, as without this call) or None for outputs not used."""
        self._materialize = bool(value)

    @property
    def saved_tensors(self) -> tuple:
        """What was saved, with its history; RuntimeError if it was changed in place, or freed."""
        if self._freed:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after "
                "they have already been freed). Saved intermediate values of the graph are freed when you "
                "call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward "
                "through the graph a second time or if you need to access saved tensors after calling "
                "backward."
            )
        if self._saved is None:  # still within forward
            return self._to_save
        return tuple(None if entry is None else self._recall(*entry) for entry in self._saved)

    def _recall(self, array, version, seen, edge, number, wrap):
        if version.count != seen:
            raise_modified(array, version.count, seen, type(self).__name__)
        if number is not None:
            edge = self._node().node_of(number, array, version, wrap)
        return with_history(array, edge, version, wrap)


class Function:
    """A function with a derivative of its own (PyTorch's `torch.autograd.Function`).

    Subclasses define static methods, on tensors:
        forward(ctx, *args) -> a tensor or a tuple of tensors; or forward(*args) and
            setup_context(ctx, inputs, output)
        backward(ctx, *grads) -> the gradient of each argument in turn; None for what is no tensor
    and are called by `apply(*args)`. Nothing is recorded in forward. A backward made of tensor functions can
    be differentiated in turn (`create_graph=True`); `once_differentiable` says that it cannot.
    """

    generate_vmap_rule = False

    def __call__(self, *args, **kwargs):
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style "
            f"autograd function with static forward method: {type(self).__name__}.apply(...)"
        )

    @staticmethod
    def forward(*args, **kwargs):
        """Compute the result; to be defined."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Keep what backward needs, where forward takes no ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """Compute the gradients of the arguments; to be defined."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use "
            "it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx, *grad_inputs):
        """Raise: forward-mode differentiation does not exist here."""
        raise NotImplementedError("jvp: forward-mode differentiation is not supported; use backward")

    @classmethod
    def apply(cls, *args, **kwargs):
        """Run forward on the arguments, and record it if a gradient may be asked for."""
        with_setup = cls.setup_context is not Function.setup_context
        if with_setup:
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, {}
        elif kwargs:  # a tensor given by name is an argument like the others
            bound = inspect.signature(cls.forward).bind(None, *args, **kwargs)
            args, kwargs = bound.args[1:], bound.kwargs
        kind, node_kind = _kinds(cls)
        ctx = kind()
        ctx.needs_input_grad = tuple(hasattr(a, "_array") and a.requires_grad for a in args)
        recording = is_grad_enabled() and True in ctx.needs_input_grad
        edges = [
            (a.grad_fn or a) if need else None for a, need in zip(args, ctx.needs_input_grad, strict=True)
        ]
        with no_grad(), paused() as keeping:
            kept = None
            if keeping is not None:
                kept = keeping.look_at([a for a in args if hasattr(a, "_array")], {})
                kept.places = [i for i, a in enumerate(args) if hasattr(a, "_array")]
            if with_setup:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args, **kwargs)
        given = output if isinstance(output, tuple) else (output,)
        if not recording:
            for out in given if kept is not None else ():
                if hasattr(out, "_array") and not any(out is a for a in args):
                    keeping.leave_unrecorded(node_kind, Kept(kept.parents, kept.values, {}), out)
            return output
        if not any(hasattr(out, "_array") for out in given):
            return output
        node = node_kind()
        results = node.record(ctx, args, edges, given)
        if kept is not None:
            _keep_results(keeping, node, kept, results)
        return results if isinstance(output, tuple) else results[0]


def _keep_results(keeping, node, kept: Kept, results: tuple) -> None:
    tensors = [out for out in results if hasattr(out, "_array") and out.requires_grad]
    if len(results) == 1:
        keeping.leave(node, kept, tensors[0])
        return
    keeping.leave_alone(node, kept)  # it has several results, each of which has a node
    for out in tensors:
        if out._grad_fn is not None:
            keeping.leave(out._grad_fn, Kept((node,), (None,), {}), out)


@functools.cache
def _kinds(function: type[Function]) -> tuple[type[FunctionCtx], type["FunctionNode"]]:
    """Return the classes of the function's contexts and of its nodes, under the name that PyTorch prints."""
    scope = {"__module__": "torch.autograd.function"}
    name = function.__name__ + "Backward"
    node = type(name, (FunctionNode,), {**scope, "function": function, "printed_name": function.__name__})
    return type(name, (FunctionCtx,), dict(scope)), node


class FunctionNode(Operation):
    """One application of a Function; its attributes are those of the ctx."""

    function: type[Function]
    ctx: FunctionCtx
    outputs: list[Callable] = []  # noqa: RUF012 replaced, never changed: references to the nodes of results
    repeatable = False

    def record(self, ctx: FunctionCtx, args, edges, given) -> tuple:
        """Become the history of what forward gave; return the results."""
        self.ctx, ctx._node = ctx, weakref.ref(self)
        self.received: dict[int, Any] = {}
        self.expected = [(a._array.shape, a._array.dtype) if hasattr(a, "_array") else None for a in args]
        tensors = [(number, out) for number, out in enumerate(given) if hasattr(out, "_array")]
        first = tensors[0][1]
        self.wrap = first._wrap
        self.record_again(edges, first)
        inputs = {id(a._array): i for i, a in enumerate(args) if hasattr(a, "_array")}
        numbers = {id(out._array): number for number, out in tensors}
        self._save(inputs, numbers, edges)
        several = len(given) > 1
        self.results = [
            (out._array.shape, out._array.dtype) if hasattr(out, "_array") else None for out in given
        ]
        results, nodes = list(given), []
        for number, out in tensors:
            node = Output(self, number, out) if several else self
            nodes.append((number, node))
            results[number] = self._result(number, out, node, args, inputs)
        if several:
            found = {number: weakref.ref(node) for number, node in nodes}
            self.outputs = [found.get(number, lambda: None) for number in range(len(given))]
        ctx._dirty = ctx._non_differentiable = ()
        return tuple(results)

    def node_of(self, number: int, array, version, wrap) -> Operation:
        """Return the node of one result, whose array this is."""
        if not self.outputs:
            return self
        node = self.outputs[number]()
        if node is None:  # the result was dropped, and its node with it: backward may still go through it
            out = wrap(array)
            out._version = version
            node = Output(self, number, out)
            self.outputs[number] = weakref.ref(node)
        return node

    def _save(self, inputs, numbers, edges) -> None:
        ctx = self.ctx
        dirty = {id(t) for t in ctx._dirty}
        saved: list = []
        for t in ctx._to_save:
            if t is None:
                saved.append(None)
                continue
            i, number = inputs.get(id(t._array)), numbers.get(id(t._array))
            if id(t) in dirty or i is None:
                i = None
            edge = None if i is None else edges[i]
            if i is not None or _is_constant(t, ctx):
                number = None
            saved.append((t._array, t._version, t._version.count, edge, number, t._wrap))
        ctx._saved, ctx._to_save = saved, ()

    def _result(self, number, out, node, args, inputs):
        """Return the tensor, or another one on its memory, whose history is `node`."""
        ctx = self.ctx
        if any(out is t for t in ctx._dirty):
            place = inputs.get(id(out._array))
            if place is None:
                raise RuntimeError(
                    f"{self.op}: a tensor that was marked dirty is no input; mark only inputs that forward "
                    "changes in place"
                )
            if out.is_leaf and out.requires_grad:
                raise RuntimeError(
                    f"{self.op}: a leaf Variable that requires grad has been used in an in-place operation."
                )
            if out._base is not None and (place or node is not self):
                raise NotImplementedError(
                    f"{self.op}: a view that is changed in place must be the first argument, and the only "
                    "result; pass a clone()"
                )
            out._version.count += 1
            out._change_history(node)
            return out
        if _is_constant(out, ctx):
            return out.detach() if id(out._array) in inputs else out
        if id(out._array) in inputs or out._base is not None or out.requires_grad:
            version = out._version
            out = out._wrap(out._array.view())
            out._version, out._untracked = version, True  # a change in place would pass its history by
        out._grad_fn, out._requires_grad = node, True
        return out

    # --- backward ---------------------------------------------------------------------------------

    def backward(self, k, grad):
        with no_grad():
            found = self._gradients(self._incoming(grad, k, self.wrap), k)
        return tuple([None if g is None else g._array for g in found])

    def backward_recorded(self, k, grad):
        return self._gradients(self._incoming(grad, k, lambda t: t), k)

    def _incoming(self, grad, k, wrap) -> list:
        """Return the gradient of each result: what has come, else zeros, or None if these are not wanted."""
        if not self.outputs:
            return [wrap(grad)]
        received, self.received = self.received, {}
        grads: list = []
        for number, expected in enumerate(self.results):
            if number in received:
                grads.append(wrap(received[number]))
            elif expected is None or not self.ctx._materialize:
                grads.append(None)
            else:
                grads.append(wrap(k.zeros(*expected)))
        return grads

    def _gradients(self, grads, k) -> list:
        """Return what the user's backward makes of the gradients: checked, of the arguments' shapes."""
        own = self.function.backward is not Function.backward
        found = (self.function.backward if own else self.function.vjp)(self.ctx, *grads)
        found = list(found) if isinstance(found, tuple) else [found]
        name, count = self.name(), len(self.expected)
        for g in found:
            if g is not None and not hasattr(g, "_array"):
                raise RuntimeError(
                    f"{name}: expected Variable or None (got {type(g).__name__}); backward returns a tensor, "
                    "or None, for each argument of forward"
                )
        if len(found) > count and all(g is None for g in found[count:]):
            del found[count:]
        if len(found) != count:
            raise RuntimeError(
                f"function {name} returned an incorrect number of gradients (expected {count}, got "
                f"{len(found)})"
            )
        for i, expected in enumerate(self.expected):
            if expected is None and found[i] is not None:
                raise RuntimeError(
                    f"function {name} returned a gradient different than None at position {i + 1}, but the "
                    "corresponding forward input was not a Variable"
                )
        return [
            None if g is None or edge is None else self._fit(i, g, expected)
            for i, (g, expected, edge) in enumerate(zip(found, self.expected, self.edges, strict=True))
        ]

    def _fit(self, i, g, expected):
        shape, dtype = expected
        if tuple(g.shape) != shape:
            tail = tuple(g.shape)[max(g.ndim - len(shape), 0) :]
            fits = len(tail) == len(shape) and all(n in (1, m) for n, m in zip(shape, tail, strict=True))
            if not fits:
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {i} - got "
                    f"{list(g.shape)} but expected shape compatible with {list(shape)}"
                )
            lead = g.ndim - len(shape)
            dims = (*range(lead), *(lead + d for d, n in enumerate(shape) if n == 1))
            g = g.sum(dims).reshape(shape)
        return g.to(dtype) if g._array.dtype != dtype else g

    # --- the rest ------------------------------------------------------------------------------------

    def check_saved(self) -> None:
        """Do nothing: `saved_tensors` is where PyTorch looks, too."""

    def release(self) -> None:
        if self.ctx._saved:
            self.ctx._saved, self.ctx._freed = [], True

    def _full_name(self) -> str:
        return type(self).__name__

    __repr__ = object.__repr__

    def __getattr__(self, name: str):
        if name.startswith("__") or name == "ctx":
            raise AttributeError(name)
        return getattr(self.ctx, name)


def _is_constant(t, ctx: FunctionCtx) -> bool:
    return t._array.dtype.kind != "f" or any(t is other for other in ctx._non_differentiable)


class _NoMore(Operation):
    """The history of a gradient that cannot be differentiated: an error where that is tried."""

    name = "Error"
    overload = None

    def backward(self, k, grad):
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )


def once_differentiable(backward: Callable) -> Callable:
    """Say of a Function's backward that it cannot be differentiated: with create_graph this is an error."""

    @functools.wraps(backward)
    def wrapper(ctx, *grads):
        with no_grad():
            found = backward(ctx, *grads)
        if not is_grad_enabled() or not any(hasattr(g, "_array") and g.requires_grad for g in grads):
            return found
        several = isinstance(found, tuple)
        results = [_ended(t, grads) if hasattr(t, "_array") else t for t in (found if several else (found,))]
        return tuple(results) if several else results[0]

    return wrapper


def _ended(t, grads):
    out = t.detach()
    node = _NoMore()
    node.record_again([(g.grad_fn or g) for g in grads if hasattr(g, "_array") and g.requires_grad], out)
    out._grad_fn, out._requires_grad = node, True
    return out
