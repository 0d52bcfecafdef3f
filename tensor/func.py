"""Functions of functions (PyTorch's `torch.func`): gradients, Jacobians and their products, composable.

Arguments may be tensors, or tuples, lists and dicts of them. Each call differentiates a copy of its argument
in the graph, so that they nest: `grad(grad(f))`. `vmap` does not exist.
"""

import functools
from collections.abc import Callable
from typing import Any

from tensor.autograd import Operation, enable_grad
from tensor.autograd import grad as _grad
from tensor.join import stack

# --- trees of tensors --------------------------------------------------------------------------------


def _flatten(tree) -> list:
    if hasattr(tree, "_array"):
        return [tree]
    if isinstance(tree, dict):
        return [t for key in tree for t in _flatten(tree[key])]
    if isinstance(tree, tuple | list):
        return [t for part in tree for t in _flatten(part)]
    return []


def _map(function: Callable, tree):
    """Return a tree like `tree` with `function` of each tensor."""
    if hasattr(tree, "_array"):
        return function(tree)
    if isinstance(tree, dict):
        return type(tree)((key, _map(function, value)) for key, value in tree.items())
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[_map(function, part) for part in tree])
    if isinstance(tree, tuple | list):
        return type(tree)(_map(function, part) for part in tree)
    return tree


def _like(tree, values: list):
    """Return a tree like `tree` with `values` in the place of its tensors."""
    remaining = iter(values)
    return _map(lambda _: next(remaining), tree)


# --- points to differentiate at ------------------------------------------------------------------------


def _fresh(tree):
    """Return the tree's tensors as new points of the graph, to differentiate at."""
    return _map(lambda t: t.view_as(t) if t.requires_grad else t.detach().requires_grad_(), tree)


def _let_go(result, points):
    """Return the result, detached if nothing but `points` and what they were made of is behind it."""
    own = {id(t) for t in _flatten(points)}

    def depends(t) -> bool:
        seen, stack_ = set(), [t.grad_fn or t]
        while stack_:
            edge = stack_.pop()
            if id(edge) in seen:
                continue
            seen.add(id(edge))
            if isinstance(edge, Operation):
                stack_.extend(edge.parents)
            elif edge.requires_grad and id(edge) not in own:
                return True
        return False

    return _map(lambda t: t if t.requires_grad and depends(t) else t.detach(), result)


def _with_points(args: tuple, argnums, operation: str) -> tuple[tuple, Any]:
    """Return the arguments with points in the place of those chosen, and these points."""
    chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for n in chosen:
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"{operation}: Got argnum={n}, but only {len(args)} positional inputs")
    chosen = tuple(n % len(args) for n in chosen)
    points = {n: _fresh(args[n]) for n in chosen}
    made = tuple(points.get(n, arg) for n, arg in enumerate(args))
    tree = points[chosen[0]] if isinstance(argnums, int) else tuple(points[n] for n in chosen)
    if not _flatten(tree):
        raise ValueError(f"{operation}: expected tensors to differentiate in, got {tree!r:.60}")
    return made, tree


def _split_aux(operation: str, result, has_aux: bool):
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise RuntimeError(
            f"{operation}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return result


def _gradients(outputs: list, tree, weights=None):
    """Return the gradients in the tensors of a tree, as such a tree; zeros where there are none."""
    tensors = _flatten(tree)
    kept = [i for i, out in enumerate(outputs) if out.requires_grad]
    if not kept:
        return _map(lambda t: t.new_zeros(t.shape), tree)
    found = _grad(
        [outputs[i] for i in kept], tensors, None if weights is None else [weights[i] for i in kept],
        create_graph=True, materialize_grads=True,
    )  # fmt: skip
    return _like(tree, list(found))


def grad_and_value(func, argnums=0, has_aux=False) -> Callable:
    """Return a function that returns (gradient of func in the argument, value of func).

    func returns one number, or (number, aux) with has_aux: then the value is (number, aux). argnums: one
    position, or several for a tuple of gradients.
    """

    @functools.wraps(func)
    def gradient_and_value(*args, **kwargs):
        with enable_grad():
            made, tree = _with_points(args, argnums, "grad")
            value, aux = _split_aux("grad", func(*made, **kwargs), has_aux)
            if not hasattr(value, "_array"):
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a single tensor, got "
                    f"{type(value).__name__}"
                )
            if value.ndim:
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor with "
                    f"{value.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
                )
            found = _gradients([value], tree)
            found, value, aux = _let_go((found, value, aux), tree)
        return found, ((value, aux) if has_aux else value)

    return gradient_and_value


def grad(func, argnums=0, has_aux=False) -> Callable:
    """Return a function that returns the gradient of func, which returns one number, in an argument.

    argnums: one position, or several for a tuple. has_aux: func returns (number, aux), and the new function
    (gradient, aux).
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def gradient(*args, **kwargs):
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def vjp(func, *primals, has_aux=False) -> tuple:
    """Return (func(*primals), the function of a vector v that returns v^T J); with has_aux also aux."""
    with enable_grad():
        points = _fresh(primals)
        output, aux = _split_aux("vjp", func(*points), has_aux)
        flat = _flatten(output)
        value, aux = _let_go((output, aux), points)

    def vjp_fn(*cotangents, **_):
        with enable_grad():
            tree = cotangents[0] if len(cotangents) == 1 and not isinstance(output, tuple) else cotangents
            if isinstance(output, tuple) and len(cotangents) == 1 and isinstance(cotangents[0], tuple | list):
                tree = cotangents[0]
            weights = _flatten(tree)
            if len(weights) != len(flat) or any(
                w.shape != out.shape for w, out in zip(weights, flat, strict=True)
            ):
                raise RuntimeError(
                    "vjp_fn: expected cotangents like the outputs, of shapes "
                    f"{[tuple(t.shape) for t in flat]}, got {[tuple(t.shape) for t in weights]}"
                )
            return _let_go(_gradients(flat, points, weights), points)

    return (value, vjp_fn, aux) if has_aux else (value, vjp_fn)


def jvp(func, primals, tangents, *, strict=False, has_aux=False) -> tuple:
    """Return (func(*primals), J v) for tangents v like the primals; with has_aux also aux.

    By two backward passes, the second through the first.
    """
    if not isinstance(primals, tuple):
        raise RuntimeError("jvp(f, primals, tangents): Expected primals to be a tuple. ")
    with enable_grad():
        points = _fresh(primals)
        output, aux = _split_aux("jvp", func(*points), has_aux)
        flat = _flatten(output)
        dual = [out.new_zeros(out.shape).requires_grad_() for out in flat]
        first = _flatten(_gradients(flat, points, dual))
        products = _gradients(first, dual, _flatten(tangents))
        value, found, aux = _let_go((output, _like(output, products), aux), (points, dual))
    return (value, found, aux) if has_aux else (value, found)


def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None, _preallocate_and_copy=False) -> Callable:
    """Return a function that returns the Jacobian of func in an argument: of the output's shape, then its.

    One backward pass for each element of the output, so that chunk_size, which limits how many PyTorch does
    at a time, changes nothing.
    """

    @functools.wraps(func)
    def jacobian(*args, **kwargs):
        with enable_grad():
            made, tree = _with_points(args, argnums, "jacrev")
            output, aux = _split_aux("jacrev", func(*made, **kwargs), has_aux)

            def of(out):
                rows = [_flatten(_gradients([e], tree)) for e in (out.reshape(-1) if out.numel() else ())]
                tensors = _flatten(tree)
                found = [
                    stack([row[i] for row in rows]).reshape((*out.shape, *t.shape))
                    if rows
                    else t.new_zeros((*out.shape, *t.shape))
                    for i, t in enumerate(tensors)
                ]
                return _like(tree, found)

            found, aux = _let_go((_map(of, output), aux), tree)
        return (found, aux) if has_aux else found

    return jacobian


def jacfwd(func, argnums=0, has_aux=False, *, chunk_size=None, randomness="error") -> Callable:
    """Return what `jacrev` does: forward-mode differentiation does not exist, the numbers are the same."""
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func, argnums=0) -> Callable:
    """Return a function that returns the second derivatives of func in an argument."""
    return jacrev(jacrev(func, argnums), argnums)


def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None):
    """Raise NotImplementedError: batches are handled by functions that take them, or by a loop."""
    raise NotImplementedError(
        "vmap is not supported; write the function for a batch (most take leading dims), or "
        "stack([func(row) for row in batch])"
    )


def functional_call(
    module, parameter_and_buffer_dicts, args=None, kwargs=None, *, tie_weights=True, strict=False
):
    """Return module(*args, **kwargs) computed with the given parameters and buffers in place of its own.

    parameter_and_buffer_dicts: a dict from names as of named_parameters() to tensors, or several such dicts.
    strict: RuntimeError unless all are given. Tied parameters are replaced together unless tie_weights is
    False.
    """
    dicts = parameter_and_buffer_dicts
    given = dict(dicts) if isinstance(dicts, dict) else {k: v for d in dicts for k, v in d.items()}
    own = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    unknown = [name for name in given if name not in own]
    missing = [name for name in own if name not in given]
    if strict and (unknown or missing):
        raise RuntimeError(f"functional_call: Missing key(s): {missing}. Unexpected key(s): {unknown}.")
    if tie_weights:
        by_tensor = {id(own[name]): value for name, value in given.items() if name in own}
        given.update({n: by_tensor[id(t)] for n, t in own.items() if n not in given and id(t) in by_tensor})
    places = []
    for name, value in given.items():
        if name in own:
            path, _, last = name.rpartition(".")
            owner = module.get_submodule(path)
            table = owner._parameters if last in owner._parameters else owner._buffers
            places.append((table, last, table[last], value))
    if args is None:
        args = ()
    try:
        for table, last, _, value in places:
            table[last] = value
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for table, last, before, _ in places:
            table[last] = before
