"""The backward pass: gradients sent through what was recorded, newest operation first."""

import heapq
import sys

import numpy as np

from tensor.autograd.hooks import run_hooks as _run_hooks
from tensor.autograd.operation import Operation
from tensor.operands import as_tensor_like


def _edge_of(t):
    """Return where the gradient of `t` goes: its grad_fn, itself if it is a leaf, or nowhere."""
    return t.grad_fn or (t if t.requires_grad else None)


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
