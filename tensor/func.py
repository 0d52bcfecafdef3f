"""Functions of functions (PyTorch's `torch.func`): gradients, Jacobians and their products, composable.

Arguments may be tensors, or tuples, lists and dicts of them. Each call differentiates a copy of its argument
in the graph, so that they nest: `grad(grad(f))`.
"""

import functools
from collections.abc import Callable
from typing import Any

from tensor import random
from tensor.autograd import Operation, enable_grad
from tensor.autograd import grad as _grad
from tensor.join import stack
from tensor.trees import flatten, like, map_tensors

# --- points to differentiate at ------------------------------------------------------------------------


def _fresh(tree):
    """Return the tree's tensors as new points of the graph, to differentiate at."""
    return map_tensors(lambda t: t.view_as(t) if t.requires_grad else t.detach().requires_grad_(), tree)


def _let_go(result, points):
    """Return the result, detached if nothing but `points` and what they were made of is behind it."""
    own = {id(t) for t in flatten(points)}

    def depends(t) -> bool:
        seen, stack_ = set(), [t.grad_fn or t]
        while stack_:
            edge = stack_.pop()
            if id(edge) in seen:
                continue
            seen.add(id(edge))
            if isinstance(edge, Operation):
                stack_.extend(edge.recorded_parents)
            elif edge.requires_grad and id(edge) not in own:
                return True
        return False

    return map_tensors(lambda t: t if t.requires_grad and depends(t) else t.detach(), result)


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
    if not flatten(tree):
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
    tensors = flatten(tree)
    kept = [i for i, out in enumerate(outputs) if out.requires_grad]
    if not kept:
        return map_tensors(lambda t: t.new_zeros(t.shape), tree)
    found = _grad(
        [outputs[i] for i in kept], tensors, None if weights is None else [weights[i] for i in kept],
        create_graph=True, materialize_grads=True,
    )  # fmt: skip
    return like(tree, list(found))


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
        flat = flatten(output)
        value, aux = _let_go((output, aux), points)

    def vjp_fn(*cotangents, **_):
        with enable_grad():
            tree = cotangents[0] if len(cotangents) == 1 and not isinstance(output, tuple) else cotangents
            if isinstance(output, tuple) and len(cotangents) == 1 and isinstance(cotangents[0], tuple | list):
                tree = cotangents[0]
            weights = flatten(tree)
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
        flat = flatten(output)
        dual = [out.new_zeros(out.shape).requires_grad_() for out in flat]
        first = flatten(_gradients(flat, points, dual))
        products = _gradients(first, dual, flatten(tangents))
        value, found, aux = _let_go((output, like(output, products), aux), (points, dual))
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
                rows = [flatten(_gradients([e], tree)) for e in (out.reshape(-1) if out.numel() else ())]
                tensors = flatten(tree)
                found = [
                    stack([row[i] for row in rows]).reshape((*out.shape, *t.shape))
                    if rows
                    else t.new_zeros((*out.shape, *t.shape))
                    for i, t in enumerate(tensors)
                ]
                return like(tree, found)

            found, aux = _let_go((map_tensors(of, output), aux), tree)
        return (found, aux) if has_aux else found

    return jacobian


def jacfwd(func, argnums=0, has_aux=False, *, chunk_size=None, randomness="error") -> Callable:
    """Return what `jacrev` does: forward-mode differentiation does not exist, the numbers are the same."""
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func, argnums=0) -> Callable:
    """Return a function that returns the second derivatives of func in an argument."""
    return jacrev(jacrev(func, argnums), argnums)


def _mapped(dims, tree) -> list[tuple]:
    """Return (part, dim) for each part of a tree; dims are as vmap takes them: one for all, or a tree."""
    if isinstance(tree, dict):
        keys = list(tree)
        parts = [tree[key] for key in keys]
        if isinstance(dims, dict) and set(dims) == set(tree):
            dims = [dims[key] for key in keys]
    elif isinstance(tree, tuple | list):
        parts = list(tree)
    else:
        if dims is not None and not isinstance(dims, int):
            raise ValueError(f"vmap: in_dims has {dims!r} where the inputs have a {type(tree).__name__}")
        return [(tree, dims)]
    if dims is None or isinstance(dims, int):
        dims = [dims] * len(parts)
    if not isinstance(dims, tuple | list) or len(dims) != len(parts):
        raise ValueError(f"vmap: in_dims is not compatible with the structure of inputs, at {dims!r}")
    return [pair for dim, part in zip(dims, parts, strict=True) for pair in _mapped(dim, part)]


def _row(tree, parts, index: int):
    """Return a tree with row `index` of each mapped part; `parts` yields what `_mapped` returned."""
    if isinstance(tree, dict):
        return {key: _row(value, parts, index) for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        rows = [_row(part, parts, index) for part in tree]
        return type(tree)(*rows) if hasattr(tree, "_fields") else type(tree)(rows)
    part, dim = next(parts)
    return part if dim is None else part.select(dim, index)


def _join(outputs: list, dims):
    """Return a tree like each of `outputs`, of their tensors stacked along `dims`."""
    first = outputs[0]
    if isinstance(first, dict):
        at = dims if isinstance(dims, dict) else dict.fromkeys(first, dims)
        return {key: _join([out[key] for out in outputs], at[key]) for key in first}
    if isinstance(first, tuple | list):
        each = list(dims) if isinstance(dims, tuple | list) else [dims] * len(first)
        if len(each) != len(first):
            raise ValueError(f"vmap: out_dims {dims!r} is not compatible with {len(first)} outputs")
        joined = [_join([out[i] for out in outputs], dim) for i, dim in enumerate(each)]
        return type(first)(*joined) if hasattr(first, "_fields") else type(first)(joined)
    if not hasattr(first, "_array"):
        raise ValueError(f"vmap: the function must only return Tensors, got type {type(first)} as a return")
    if dims is None:
        return first
    if isinstance(dims, tuple | list) and len(dims) == 1:
        (dims,) = dims
    return stack(outputs, dims)


def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None) -> Callable:
    """Return a function that does for each row of its arguments what func does for one, and stacks that.

    in_dims: along which dim an argument has its rows, None for one that every call gets whole; one for all
    arguments, or a tuple of them, which may hold tuples and dicts where the arguments do. Arguments given by
    name are given whole. out_dims: where the rows go in the results. randomness: "error" (drawing
    raises RuntimeError), "same" (every call draws the same) or "different".

    The function is called once for each row, so that what depends on values works too, and time grows with
    their number; operations that take a batch are faster. chunk_size changes nothing. With "different", the
    numbers are not those that PyTorch draws for all rows at once. Raises ValueError where sizes differ.
    """
    if randomness not in ("error", "same", "different"):
        raise RuntimeError(
            f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}"
        )

    @functools.wraps(func)
    def mapped(*args, **kwargs):
        if isinstance(in_dims, tuple | list) and len(in_dims) != len(args):
            raise ValueError(
                f"vmap: in_dims is not compatible with the structure of inputs: {len(in_dims)} dims for "
                f"{len(args)} arguments"
            )
        parts = _mapped(in_dims, args)
        for part, dim in parts:
            if dim is not None and not hasattr(part, "_array"):
                raise ValueError(
                    f"vmap: Got in_dim={dim} for an input but the input is of type {type(part)}. We cannot "
                    "vmap over non-Tensor arguments, please use None as the respective in_dim"
                )
            if dim is not None and not -part.ndim <= dim < part.ndim:
                raise ValueError(
                    f"vmap: Got in_dim={dim} for some input, but that input is a Tensor of dimensionality "
                    f"{part.ndim}"
                )
        sizes = [part.shape[dim] for part, dim in parts if dim is not None]
        if not sizes:
            raise ValueError("vmap: at least one input must be mapped: in_dims is None everywhere")
        if len(set(sizes)) > 1:
            raise ValueError(
                "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
                f"{sizes} for the mapped dimension"
            )
        if not sizes[0]:
            raise ValueError("vmap: there is no row to call the function with")
        before, outputs = random.states(), []
        for index in range(sizes[0]):
            if randomness == "same":
                random.set_states(before)
            remaining = iter(parts)
            outputs.append(func(*_row(args, remaining, index), **kwargs))
            if randomness == "error" and random.states() != before:
                raise RuntimeError(
                    "vmap: called random operation while in randomness error mode. Please either use the "
                    "'same' or 'different' randomness flags on vmap or perform the randomness operation out "
                    "of vmap"
                )
        return _join(outputs, out_dims)

    return mapped


def stack_module_state(models) -> tuple[dict, dict]:
    """Return (parameters, buffers) of modules of one kind, each stacked along a new first dim, for `vmap`.

    Parameters are new leaves that require a gradient if theirs do. RuntimeError without a module, or where
    they are of several classes or in different modes.
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")

    def stacked(states: list[dict], leaves: bool) -> dict:
        made = {key: stack([state[key].detach() for state in states]) for key in states[0]}
        return {k: t.requires_grad_(leaves and states[0][k].requires_grad) for k, t in made.items()}

    parameters = stacked([dict(m.named_parameters()) for m in models], True)
    return parameters, stacked([dict(m.named_buffers()) for m in models], False)


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
