"""The backward pass: gradients sent through what was recorded, newest operation first."""

import heapq
import sys
import warnings

import numpy as np

from tensor.autograd import anomaly_mode
from tensor.autograd.grad_mode import _mode, set_grad_enabled
from tensor.autograd.hooks import run_hooks as _run_hooks
from tensor.autograd.hooks import run_hooks_recorded as _run_hooks_recorded
from tensor.autograd.operation import Operation
from tensor.devices import kernels_of
from tensor.operands import as_tensor_like


def _edge_of(t):
    """Return where the gradient of `t` goes: its grad_fn, itself if it is a leaf, or nowhere."""
    return t.grad_fn or (t if t.requires_grad else None)


def _propagate(roots, grads, retain_graph: bool, inputs=None, table=None, run=None) -> dict:
    """Send gradients from `roots` to every leaf they were computed from.

    roots: tensors; grads: one array for each. Nodes run newest first: a node is always newer than what it
    was computed from, so all of its gradient has arrived when its turn comes, and no recursion is needed.

    inputs: None to add up into the leaves' `.grad`; else tensors whose gradients are returned instead, as a
    dict from id(tensor) to array; what does not lead to them is left alone.

    table: None, or `tensor.recorded`: then gradients are tensors, and what is computed of them is recorded.
    run: None, or what runs a node in the place of its `backward`, given (node, k, grad).
    """
    wrap = roots[0]._wrap
    run_hooks, add_up = (_run_hooks, accumulate) if table is None else (_run_hooks_recorded, _add_recorded)
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

    def send(edge, grad) -> None:
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
            k = kernels_of(grad) if table is None else table  # a gradient may have come from another device
            k.forward("add", pending[key], grad, out=pending[key])
        else:
            k = kernels_of(grad) if table is None else table
            pending[key] = k.forward("add", pending[key], grad)
            if table is None:
                owned.add(key)

    for root, grad in zip(roots, grads, strict=True):
        send(_edge_of(root), grad)
    while heap:
        node = heapq.heappop(heap)[1]
        k = node._kernels if table is None else table
        grad = pending.pop(node)
        if owned:
            owned.discard(node)
        if node.hooks:
            grad = run_hooks(node.hooks, grad, wrap)
        if node.notes is not None:
            node.notes.keep_grad(grad, k, wrap)
        if runs is not None:
            for tensor in wanted_nodes.get(node, ()):
                results[id(tensor)] = grad
            if node not in runs:
                continue
        elif node.retained is not None:
            tensor = node.retained()
            if tensor is not None:
                add_up(tensor, grad, k, wrap)
        node.check_saved()
        incoming = node.backward(k, grad) if run is None else run(node, k, grad)
        if not retain_graph:
            node.release()
        for edge, grad in zip(node.edges, incoming):  # noqa: B905 strict=True takes 0.3 us
            if edge is not None and grad is not None:
                send(edge, grad)
        grad = incoming = None  # or an array would count as shared below
    for key, leaf in leaves.items():
        grad = pending.pop(key)
        k = leaf._kernels
        if leaf._hooks:
            grad = run_hooks(leaf._hooks, grad, wrap)
        if inputs is None:
            add_up(leaf, grad, k, wrap)
            if leaf._after_accumulate:
                for hook in list(leaf._after_accumulate.values()):
                    hook(leaf)
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
        for edge in node.recorded_parents if isinstance(node, Operation) else ():
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


def _add_recorded(leaf, grad, k, wrap) -> None:
    """Make `leaf.grad` its sum with `grad`, a tensor, whose history it keeps."""
    leaf._grad = grad.clone() if leaf._grad is None else leaf._grad + grad


def _one_for(root, may_be_shared: bool):
    """Return 1.0 for a root of one element; on a GPU one that is there already, if nobody else can see it."""
    k, node = root._kernels, root._grad_fn
    hidden = node is not None and node.only_reads_gradient and node.hooks is None and node.retained is None
    if may_be_shared and hidden and root.is_cuda and not root._array.shape:
        return root._wrap(k.one(root._array.dtype))
    return root._wrap(k.full(root._array.shape, 1.0, root._array.dtype))


def _first_gradients(operation: str, roots, gradients, may_be_shared: bool) -> list:
    """Return the tensor that flows into each root: the one given, or 1.0 for a single element."""
    gradients = (None,) * len(roots) if gradients is None else gradients
    if len(gradients) != len(roots):
        raise RuntimeError(
            f"{operation}: got {len(roots)} tensors and {len(gradients)} gradients; give one gradient, or "
            "None, for each"
        )
    tensors = []
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
            tensors.append(_one_for(root, may_be_shared))
            continue
        given = as_tensor_like(root, given, root.dtype, operation)
        if given.device != root.device:
            raise RuntimeError(
                f"{operation}: invalid gradient at index {i} - expected device {root.device} but got "
                f"{given.device}; use gradient.to({str(root.device)!r})"
            )
        if given.shape != root.shape:
            raise RuntimeError(
                f"{operation}: Mismatch in shape: grad_output[{i}] has a shape of {given.shape} and "
                f"output[{i}] has a shape of {root.shape}."
            )
        tensors.append(given)
    return tensors


def _differentiate(operation: str, roots, gradients, retain_graph, create_graph, inputs) -> dict:
    """Run the backward pass; return what `_propagate` does."""
    retain_graph = create_graph if retain_graph is None else retain_graph
    run = anomaly_mode.watcher() if anomaly_mode.is_anomaly_enabled() else None
    before, _mode.only_inputs = _mode.only_inputs, inputs is not None
    try:
        return _run_pass(operation, roots, gradients, retain_graph, create_graph, inputs, run)
    finally:
        _mode.only_inputs = before


def _run_pass(operation, roots, gradients, retain_graph, create_graph, inputs, run) -> dict:
    with set_grad_enabled(bool(create_graph)):
        alone = not create_graph and inputs is None and run is None
        tensors = _first_gradients(operation, roots, gradients, alone)
        if not create_graph:
            arrays = [t._array for t in tensors]
            return _propagate(roots, arrays, bool(retain_graph), inputs, None, run)
        from tensor import recorded  # which is made of tensors, as nothing here is

        run = recorded.run if run is None else anomaly_mode.watcher(recorded.run)
        return _propagate(roots, tensors, bool(retain_graph), inputs, recorded, run)


def _as_tuple(tensors) -> tuple:
    return (tensors,) if hasattr(tensors, "_array") else tuple(tensors)


def backward(
    tensors, grad_tensors=None, retain_graph=None, create_graph=False, grad_variables=None, inputs=None
) -> None:
    """Compute the gradients of `tensors` in every leaf, and add them to the leaves' `.grad`.

    grad_tensors: what flows into each of `tensors`, of its shape; 1.0 if None, which only a tensor of one
    element allows. The graph is freed unless retain_graph, which is create_graph unless given. create_graph:
    record how the gradients are computed, so that they can be differentiated again. inputs: the only tensors
    to fill, if given. grad_variables: the old name of grad_tensors.
    """
    if grad_variables is not None:
        warnings.warn(
            "`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, stacklevel=2
        )
        if grad_tensors is not None:
            raise RuntimeError(
                "backward: `grad_tensors` and `grad_variables` (deprecated) arguments both passed to "
                "`backward()`. Please only use `grad_tensors`."
            )
        grad_tensors = grad_variables
    roots = _as_tuple(tensors)
    wanted = None if inputs is None else _as_tuple(inputs)
    if wanted == ():
        raise RuntimeError("backward: `inputs` argument to `backward()` cannot be empty.")
    if create_graph and inputs is None:
        warnings.warn(
            "Using backward() with create_graph=True will create a reference cycle between the parameter and "
            "its gradient which can cause a memory leak. We recommend using autograd.grad when creating the "
            "graph to avoid this. If you have to use this function, make sure to reset the .grad fields of "
            "your parameters to None after use to break the cycle and avoid the leak.",
            UserWarning,
            stacklevel=3,
        )
    given = None if grad_tensors is None else _as_tuple(grad_tensors)
    found = _differentiate("backward", roots, given, retain_graph, create_graph, wanted)
    for t in wanted or ():
        gradient = found.get(id(t))
        if gradient is None:
            continue
        if create_graph:
            _add_recorded(t, gradient, t._kernels, t._wrap)
        else:
            accumulate(t, t._kernels.copy(gradient), t._kernels, t._wrap)


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
) -> tuple:
    """Return the gradients of `outputs` in `inputs` as a tuple of tensors; no `.grad` changes.

    create_graph: record how they are computed, so that they can be differentiated again; the graph is kept.
    An input that the outputs do not depend on is an error; or None with allow_unused, or zeros with
    materialize_grads. is_grads_batched: grad_outputs have a dim in front, and so have the gradients.
    only_inputs: True, the only value that PyTorch has left.
    """
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate "
            "gradient for other parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    if is_grads_batched:
        options = (create_graph, only_inputs, allow_unused, False, materialize_grads)
        return _grads_of_batch(_as_tuple(outputs), inputs, _as_tuple(grad_outputs), retain_graph, options)
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    roots, wanted = _as_tuple(outputs), _as_tuple(inputs)
    for t in wanted:
        if not t.requires_grad:
            raise RuntimeError("grad: One of the differentiated Tensors does not require grad")
    given = None if grad_outputs is None else _as_tuple(grad_outputs)
    found = _differentiate("grad", roots, given, retain_graph, create_graph, wanted)
    for i, t in enumerate(wanted):
        if not (allow_unused or materialize_grads or id(t) in found):
            raise RuntimeError(
                f"grad: The differentiated Tensor at index {i} appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior."
            )
    results = []
    for t in wanted:
        gradient = found.get(id(t))
        if gradient is None:
            empty = t._kernels.zeros(t._array.shape, t._array.dtype) if materialize_grads else None
            results.append(None if empty is None else t._wrap(empty))
        elif create_graph:
            results.append(gradient)
        else:
            if _is_shared(gradient):  # held by `found` and by `gradient`
                gradient = t._kernels.copy(gradient)
            results.append(t._wrap(gradient))
    return tuple(results)


def _grads_of_batch(outputs, inputs, grad_outputs, retain_graph, options) -> tuple:
    """Return the gradients for each of a batch of `grad_outputs`, put together along a dim in front."""
    from tensor.join import stack

    count = grad_outputs[0].shape[0]
    rows = []
    for i in range(count):
        keep = True if i + 1 < count else retain_graph
        rows.append(grad(outputs, inputs, [g[i] for g in grad_outputs], keep, *options))
    return tuple(None if column[0] is None else stack(column) for column in zip(*rows, strict=True))
