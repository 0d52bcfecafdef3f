"""What a model computes, and which of its modules computed what.

`trace_call` runs a model once and looks on: every node of the computation is claimed by the module whose call
made it, the innermost where calls are nested. It knows neither Value nor Tensor: a `Tracer` tells it which
nodes stand behind what goes into a call and comes out of it. An engine that can tell of every node as it is
made does; of one that cannot, a call has what its results were computed from and nobody had before: there, a
node that a module gets in another way than as an argument is that module's.
"""

import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

Node = Any
"""A node of a computation: it answers `parents` and `op`."""


@dataclass(frozen=True)
class Kind:
    """Shape and dtype of what a call took or gave; a number that stands alone has the shape ()."""

    shape: tuple[int, ...]
    dtype: Any = None


@dataclass
class Call:
    """One call of a module, in the order in which they began.

    number: counts the calls of this module, from 0. parent: the index of the call it happened in, None for
    the model's own. inputs, outputs: what of them holds numbers, in order; lists, tuples, dicts are opened.
    """

    path: str
    number: int
    parent: int | None
    inputs: tuple[Kind, ...] = ()
    outputs: tuple[Kind, ...] = ()


@dataclass
class ModuleTrace:
    """What there is to know of one module: class, parameters (elements, with those below it), calls."""

    path: str
    kind: str
    parameters: int
    trainable: int
    calls: list[Call] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of the first output of the last call; None without one."""
        return self.calls[-1].outputs[0].shape if self.calls and self.calls[-1].outputs else None

    @property
    def dtype(self) -> Any:
        """The dtype of the first output of the last call; None without one."""
        return self.calls[-1].outputs[0].dtype if self.calls and self.calls[-1].outputs else None


@dataclass(repr=False)
class Trace:
    """One run of a model. Nodes are known by `id(node)`; the trace keeps those that lead to its roots alive.

    output: what the model returned. roots: the nodes of it, each once. modules: by path, "" for the model, in
    the order of registration; also those that were not called. scope: the path of the module that made a
    node, or to which a parameter belongs; a node from before the call has none. call: the index in `calls` of
    the call that made a node. names: of parameters, buffers and inputs. nodes: all, each after its parents.
    """

    output: Any
    roots: tuple[Node, ...]
    modules: dict[str, ModuleTrace]
    calls: list[Call]
    scope: dict[int, str]
    call: dict[int, int]
    names: dict[int, str]
    inputs: tuple[Node, ...]
    nodes: list[Node]

    @property
    def kind(self) -> str:
        """The class of the model."""
        return self.modules[""].kind

    def __repr__(self) -> str:
        """Return a table of the modules: path, class, parameters, the output's shape, operations, calls."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            path = self.scope.get(id(node))
            if path is not None and node.op:
                counts[path] = counts.get(path, 0) + 1
        rows = [["module", "class", "parameters", "output", "operations", "calls"]]
        for m in self.modules.values():
            shape = "" if m.shape is None else str(m.shape)
            cells = [m.path or "(model)", m.kind, f"{m.parameters:,}", shape, str(counts.get(m.path, 0))]
            rows.append([*cells, str(len(m.calls))])
        widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
        return "\n".join(line.rstrip() for line in lines)


class Tracer:
    """How one engine's models are looked at; what is here suits nodes that are the results themselves."""

    node_type: type = object

    def modules(self, model: Any) -> Iterable[tuple[str, Any]]:
        """Yield the modules of a model with their paths, itself first, as "", each module once."""
        raise NotImplementedError

    def parameters(self, model: Any) -> Iterable[tuple[str, Any]]:
        """Yield its parameters, and what else belongs to a module, with their paths."""
        raise NotImplementedError

    def count(self, module: Any) -> tuple[int, int]:
        """Return how many numbers its parameters have, and how many of these are trained."""
        raise NotImplementedError

    def node_of(self, result: Any) -> Node:
        """Return the node that stands for a result."""
        return result

    def owner(self, node: Node) -> Any:
        """Return the parameter or input that a leaf stands for."""
        return node

    def is_result(self, value: Any) -> bool:
        """Return whether a value holds numbers that were computed."""
        return isinstance(value, self.node_type)

    def describe(self, tree: Any) -> Iterator[Kind]:
        """Yield shape and dtype of what holds numbers."""
        raise NotImplementedError

    def tell_name(self, node: Node, name: str) -> None:
        """Let a leaf know the name of the parameter or input that it stands for."""

    def signature(self, model: Any) -> inspect.Signature:
        """Return the signature that names the inputs of a model."""
        return inspect.signature(model)

    def recording(self, claim: Callable[[Node], None]) -> AbstractContextManager[Any]:
        """Return a context in which claim(node) is called for each node, where the engine can tell."""
        return nullcontext()


def results_in(tree: Any, tracer: Tracer, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the results in nested tuples, lists, dicts and dataclasses, with their names."""
    # Not recursive: outputs nest as deep as a program likes, and may hold themselves.
    seen: set[int] = set()
    stack = [(name, tree)]
    while stack:
        name, value = stack.pop()
        if tracer.is_result(value):
            yield name, value
            continue
        parts = parts_of(value)
        if parts and id(value) not in seen:
            seen.add(id(value))
            stack.extend((f"{name}.{key}" if name else str(key), part) for key, part in reversed(parts))


def parts_of(value: Any) -> list[tuple[Any, Any]]:
    """Return what a dict, tuple, list or dataclass holds, with the keys, numbers or names."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, (tuple, list)):
        return list(enumerate(value))
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return [(name, getattr(value, name, None)) for name in value.__dataclass_fields__]
    return []


class _Run:
    """A run that is being looked at: the calls that are open, and what has been claimed so far."""

    def __init__(self, model: Any, tracer: Tracer) -> None:
        self.tracer = tracer
        self.paths = {id(module): path for path, module in tracer.modules(model)}
        self.calls: list[Call] = []
        self.open: list[tuple[int, Any]] = []  # the index of a call, and its module
        self.counts: dict[str, int] = {}
        self.claimed: dict[int, int | None] = {}  # by id of the node: the call, or None for outside
        self.walked: set[int] = set()  # ids of nodes whose parents have been seen to
        self.alive: list[Node] = []  # an id is a living object's only

    def claim(self, node: Node) -> None:
        """Let the innermost call have a node, unless it has been claimed before."""
        if id(node) not in self.claimed:
            self.claimed[id(node)] = self.open[-1][0] if self.open else None
            self.alive.append(node)

    def claim_behind(self, tree: Any) -> None:
        """Let the innermost call have what results were computed from and nobody has claimed."""
        stack = [self.tracer.node_of(result) for _, result in results_in(tree, self.tracer)]
        while stack:
            node = stack.pop()
            if id(node) not in self.walked:
                self.claim(node)
                self.walked.add(id(node))
                stack.extend(node.parents)

    def expects(self, module: Any) -> bool:
        """Return whether a call of `module` is one to look at, and not the way to its base class's."""
        return id(module) in self.paths and not (self.open and self.open[-1][1] is module)

    def call(self, module: Any, function: Callable[..., Any], args: tuple, kwargs: dict) -> Any:
        """Run a call of a module."""
        inputs = (*args, *kwargs.values())
        self.claim_behind(inputs)  # they were made before: by the caller
        path = self.paths[id(module)]
        number = self.counts[path] = self.counts.get(path, -1) + 1
        parent = self.open[-1][0] if self.open else None
        call = Call(path, number, parent, self._describe(inputs))
        self.open.append((len(self.calls), module))
        self.calls.append(call)
        try:
            output = function(*args, **kwargs)
            self.claim_behind(output)
        finally:
            self.open.pop()
        call.outputs = self._describe((output,))
        return output

    def _describe(self, values: tuple) -> tuple[Kind, ...]:
        return tuple([kind for value in values for kind in self.tracer.describe(value)])


class _Runs(threading.local):
    def __init__(self) -> None:
        self.open: list[_Run] = []


_runs = _Runs()
_lock = threading.Lock()
_watched: dict[type, tuple[Any, int]] = {}  # classes: their own `__call__`, and how many runs look on


def _definer_of_call(kind: type) -> type:
    for base in kind.__mro__:
        if "__call__" in vars(base):
            return base
    raise TypeError(f"trace: {kind.__name__} cannot be called; give it a __call__, or a forward")


def _watcher(original: Any) -> Callable[..., Any]:
    """Return what stands in for a class's `__call__`: it lets this thread's run look on."""

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        function = original.__get__(self, type(self))
        if _runs.open and _runs.open[-1].expects(self):
            return _runs.open[-1].call(self, function, args, kwargs)
        return function(*args, **kwargs)

    return functools.wraps(original)(__call__) if callable(original) else __call__


@contextmanager
def _watching(kinds: set[type]) -> Iterator[None]:
    """Put watchers in the place of the `__call__` of classes; the last to leave puts the old ones back."""
    with _lock:
        for kind in kinds:
            original, count = _watched.get(kind, (vars(kind)["__call__"], 0))
            _watched[kind] = original, count + 1
            if not count:
                kind.__call__ = _watcher(original)  # type: ignore[method-assign]
    try:
        yield
    finally:
        with _lock:
            for kind in kinds:
                original, count = _watched[kind]
                if count > 1:
                    _watched[kind] = original, count - 1
                else:
                    del _watched[kind]
                    kind.__call__ = original  # type: ignore[method-assign]


def trace_call(model: Any, args: tuple, kwargs: dict, tracer: Tracer) -> Trace:
    """Call `model` once and return what it computed, module by module.

    Nothing is left behind: the classes' `__call__` is watched only until the call returns, or raises.
    """
    run = _Run(model, tracer)
    kinds = {_definer_of_call(type(model))}
    for _, module in tracer.modules(model):
        with suppress(TypeError):  # a list of modules need not be one that can be called
            kinds.add(_definer_of_call(type(module)))
    with _watching(kinds), tracer.recording(run.claim):
        _runs.open.append(run)
        try:
            output = model(*args, **kwargs)
        finally:
            _runs.open.pop()
        nodes = (tracer.node_of(result) for _, result in results_in(output, tracer))
        roots = tuple({id(node): node for node in nodes}.values())
        named_inputs = _name_inputs(model, args, kwargs, tracer)
    return _gather(run, model, output, roots, named_inputs)


def _name_inputs(model: Any, args: tuple, kwargs: dict, tracer: Tracer) -> list[tuple[str, Node]]:
    """Return the inputs' nodes, named as `forward` names them: "x", or "x.0" for what a list holds."""
    tree: Any = {**{f"input{n}": value for n, value in enumerate(args)}, **kwargs}
    with suppress(TypeError, ValueError):  # a function of C tells no names
        bound = tracer.signature(model).bind(*args, **kwargs).arguments
        tree = {}
        for name, parameter in tracer.signature(model).parameters.items():
            if name in bound and parameter.kind is parameter.VAR_KEYWORD:
                tree.update(bound[name])
            elif name in bound:
                tree[name] = bound[name]
    return [(name, tracer.node_of(result)) for name, result in results_in(tree, tracer)]


def _gather(run: _Run, model: Any, output: Any, roots: tuple, inputs: list[tuple[str, Node]]) -> Trace:
    """Return the trace of a run: of its nodes, those that lead to the roots."""
    tracer = run.tracer
    modules: dict[str, ModuleTrace] = {}
    for path, module in tracer.modules(model):
        modules[path] = ModuleTrace(path, type(module).__name__, *tracer.count(module))
    for call in run.calls:
        modules[call.path].calls.append(call)

    owners = {id(owner): name for name, owner in tracer.parameters(model)}
    given = {id(node): name for name, node in reversed(inputs)}  # the first name of what is given twice
    names: dict[int, str] = {}
    scope: dict[int, str] = {}
    calls: dict[int, int] = {}
    nodes = sort_by_parents(roots)
    for node in nodes:
        key, name = id(node), owners.get(id(tracer.owner(node)))
        claimed = run.claimed.get(key)
        if name is not None:
            names[key], scope[key] = name, _home(name, modules)
            tracer.tell_name(node, name)
        elif key in given:
            names[key] = given[key]
            tracer.tell_name(node, given[key])
        elif claimed is not None:
            scope[key], calls[key] = run.calls[claimed].path, claimed
    held = tuple({id(node): node for _, node in inputs}.values())
    return Trace(output, roots, modules, run.calls, scope, calls, names, held, nodes)


def _home(name: str, modules: dict[str, ModuleTrace]) -> str:
    """Return the path of the module that a parameter belongs to: the longest that its name begins with."""
    path = name.rpartition(".")[0]
    while path not in modules:
        path = path.rpartition(".")[0]
    return path


def sort_by_parents(roots: Sequence[Node]) -> list[Node]:
    """Return `roots` and all they were computed from, each once, every node after its parents."""
    # Not recursive: a training loop records chains far deeper than Python's stack.
    order: list[Node] = []
    seen: set[int] = set()
    for root in roots:
        if id(root) in seen:
            continue
        seen.add(id(root))
        stack = [(root, iter(root.parents))]
        while stack:
            node, parents = stack[-1]
            for parent in parents:
                if id(parent) not in seen:
                    seen.add(id(parent))
                    stack.append((parent, iter(parent.parents)))
                    break
            else:
                order.append(node)
                stack.pop()
    return order
