"""Derivatives of functions of tensors: Jacobians, Hessians, and their products with vectors."""

from tensor.autograd.backpropagation import grad
from tensor.autograd.grad_mode import enable_grad


def _as_tuple(given, argument: str, operation: str) -> tuple[bool, tuple]:
    """Return whether a tuple was given, and it; TypeError for what is no tensor."""
    is_tuple = isinstance(given, tuple | list)
    values = tuple(given) if is_tuple else (given,)
    for i, value in enumerate(values):
        if not hasattr(value, "_array"):
            if is_tuple:
                raise TypeError(
                    f"The {argument} given to {operation} must be either a Tensor or a tuple of Tensors but "
                    f"the value at index {i} has type {type(value)}."
                )
            raise TypeError(
                f"The {argument} given to {operation} must be either a Tensor or a tuple of Tensors but the "
                f"given {argument} has type {type(value)}."
            )
    return is_tuple, values


def _leaves(inputs, create_graph: bool) -> tuple:
    """Return tensors to differentiate in: with create_graph, in the graph of the given ones."""
    if create_graph:
        return tuple(t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in inputs)
    return tuple(t.detach().requires_grad_() for t in inputs)


def _check_vector(v, like, names: str) -> None:
    if len(v) != len(like):
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(v)}.")
    for i, (one, other) in enumerate(zip(v, like, strict=True)):
        if one.shape != other.shape:
            prepend = f"Entry {i} in " if len(v) > 1 else ""
            raise RuntimeError(
                f"{prepend}v has invalid size: should be {other.shape!r} but got {one.shape!r}."
            )


def _vector(v, like, operation: str, of: str) -> tuple:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"The vector v can only be None if {of} is a single Tensor with a single element."
                if of.startswith("the inp")
                else "The vector v can only be None if the user-provided function returns a single Tensor "
                "with a single element."
            )
        return tuple(t.new_ones(t.shape) for t in like)
    _, v = _as_tuple(v, "v", operation)
    _check_vector(v, like, of)
    return v


def _strictly(tensors, what: str) -> None:
    for i, t in enumerate(tensors):
        if not t.requires_grad:
            raise RuntimeError(what.format(i=i))


_CONSTANT_OUTPUT = (
    "Output {i} of the user-provided function does not require gradients. The outputs must be computed in a "
    "differentiable manner from the input when running in strict mode."
)


_INDEPENDENT = (
    "The output of the user-provided function is independent of input {i}. This is not allowed in strict "
    "mode."
)
_CONSTANT_JACOBIAN = (
    "The jacobian of the user-provided function is independent of input {i}. This is not allowed in strict "
    "mode."
)


def _fill(found, inputs, strict: bool, what: str) -> tuple:
    """Return gradients with zeros for those that there are not; RuntimeError in strict mode."""
    if strict:
        for i, g in enumerate(found):
            if g is None:
                raise RuntimeError(what.format(i=i))
    return tuple(t.new_zeros(t.shape) if g is None else g for g, t in zip(found, inputs, strict=True))


def _done(values, is_tuple: bool, create_graph: bool):
    values = values if create_graph else tuple(t.detach() for t in values)
    return values if is_tuple else values[0]


def _run(func, leaves, operation: str, strict: bool) -> tuple[bool, tuple]:
    is_tuple, outputs = _as_tuple(func(*leaves), "outputs of the user-provided function", operation)
    if strict:
        _strictly(outputs, _CONSTANT_OUTPUT)
    return is_tuple, outputs


def _gradient(outputs, inputs, v=None, create_graph=False) -> tuple:
    """Return the gradients of outputs, some of which may be constant; None where there is none."""
    kept = [i for i, out in enumerate(outputs) if out.requires_grad]
    if not kept:
        return (None,) * len(inputs)
    return grad(
        [outputs[i] for i in kept], inputs, None if v is None else [v[i] for i in kept],
        retain_graph=True, create_graph=create_graph, allow_unused=True,
    )  # fmt: skip


def vjp(func, inputs, v=None, create_graph=False, strict=False) -> tuple:
    """Return (outputs, v^T J): the product of a vector and the Jacobian of `func` at `inputs`.

    v: of the outputs' shapes; may be None for one output of one element.
    """
    with enable_grad():
        is_tuple, inputs = _as_tuple(inputs, "inputs", "vjp")
        leaves = _leaves(inputs, create_graph)
        out_tuple, outputs = _run(func, leaves, "vjp", strict)
        v = _vector(v, outputs, "vjp", "the outputs")
        found = _gradient(outputs, leaves, v, create_graph)
        found = _fill(found, leaves, strict, _INDEPENDENT)
    return _done(outputs, out_tuple, create_graph), _done(found, is_tuple, create_graph)


def jvp(func, inputs, v=None, create_graph=False, strict=False) -> tuple:
    """Return (outputs, J v): the product of the Jacobian of `func` at `inputs` and a vector.

    Computed by two backward passes, the second through the first. v: of the inputs' shapes; may be None for
    one input of one element.
    """
    with enable_grad():
        _, inputs = _as_tuple(inputs, "inputs", "jvp")
        v = _vector(v, inputs, "jvp", "the input to the user-provided function")
        leaves = _leaves(inputs, create_graph)
        out_tuple, outputs = _run(func, leaves, "jvp", strict)
        # v^T J of a v that is a variable is linear in it, and its gradient is J.
        dual = tuple(out.new_zeros(out.shape).requires_grad_() for out in outputs)
        found = _gradient(outputs, leaves, dual, True)
        found = _fill(found, leaves, strict, _INDEPENDENT)
        products = _fill(_gradient(found, dual, v, create_graph), dual, False, "")
    return _done(outputs, out_tuple, create_graph), _done(products, out_tuple, create_graph)


def _stack_rows(rows, output, leaf):
    """Return gradients of an output's elements as one tensor of the output's shape and the leaf's."""
    from tensor.join import stack

    if not rows:
        return leaf.new_zeros((*output.shape, *leaf.shape))
    return stack(rows).reshape((*output.shape, *leaf.shape))


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """Return the Jacobian of `func` at `inputs`: of the output's shape, then the input's.

    A tuple for several inputs, a tuple of tuples for several outputs. create_graph: the Jacobian can be
    differentiated. strict: RuntimeError for an output that an input has no part in, else zeros. vectorize:
    in PyTorch a quicker way to the same numbers; here they are computed row by row in any case.
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode"')
    if strategy == "forward-mode":
        raise NotImplementedError(
            'jacobian: strategy="forward-mode" is not supported; leave it out: the numbers are the same'
        )
    with enable_grad():
        is_tuple, inputs = _as_tuple(inputs, "inputs", "jacobian")
        leaves = _leaves(inputs, create_graph)
        out_tuple, outputs = _run(func, leaves, "jacobian", strict)
        table = []
        for o, output in enumerate(outputs):
            rows: list[list] = [[] for _ in leaves]
            for element in output.reshape(-1) if output.numel() else ():
                found = _fill(
                    _gradient((element,), leaves, None, create_graph),
                    leaves,
                    strict,
                    f"Output {o} of the user-provided function is independent of input {{i}}. This is not "
                    "allowed in strict mode.",
                )
                for row, g in zip(rows, found, strict=True):
                    row.append(g)
            table.append(tuple(_stack_rows(r, output, t) for r, t in zip(rows, leaves, strict=True)))
        if not create_graph:
            table = [tuple(t.detach() for t in row) for row in table]
    of_inputs = tuple(row if is_tuple else row[0] for row in table)
    return of_inputs if out_tuple else of_inputs[0]


def _scalar(func, operation: str):
    def checked(*inputs):
        out_tuple, outputs = _as_tuple(func(*inputs), "outputs of the user-provided function", operation)
        if out_tuple or not hasattr(outputs[0], "_array"):
            raise RuntimeError(f"The function given to {operation} should return a single Tensor")
        if outputs[0].numel() != 1:
            raise RuntimeError(
                f"The Tensor returned by the function given to {operation} should contain a single element"
            )
        return outputs[0].squeeze()

    return checked


def hessian(
    func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"
):
    """Return the second derivatives of `func`, which returns one number, at `inputs`.

    Of the input's shape twice; for several inputs a tuple of tuples. Options as of `jacobian`.
    """
    is_tuple, inputs = _as_tuple(inputs, "inputs", "hessian")
    scalar = _scalar(func, "hessian")

    def gradient(*values):
        found = jacobian(scalar, values, create_graph=True, strict=strict)
        return tuple(found)

    found = jacobian(
        gradient, inputs, create_graph=create_graph, strict=strict, strategy=outer_jacobian_strategy
    )
    return found if is_tuple else found[0][0]


def vhp(func, inputs, v=None, create_graph=False, strict=False) -> tuple:
    """Return (output, v^T H): the product of a vector and the Hessian of `func`, which returns one number."""
    with enable_grad():
        is_tuple, inputs = _as_tuple(inputs, "inputs", "vhp")
        v = _vector(v, inputs, "vhp", "the input to the user-provided function")
        leaves = _leaves(inputs, create_graph)
        output = _scalar(func, "vhp")(*leaves)
        if strict:
            _strictly((output,), _CONSTANT_OUTPUT)
        first = _gradient((output,), leaves, None, True)
        first = _fill(first, leaves, strict, _INDEPENDENT)
        found = _gradient(first, leaves, v, create_graph)
        found = _fill(found, leaves, strict, _CONSTANT_JACOBIAN)
    return _done((output,), False, create_graph), _done(found, is_tuple, create_graph)


def hvp(func, inputs, v=None, create_graph=False, strict=False) -> tuple:
    """Return (output, H v): as `vhp`, since a Hessian is symmetric."""
    return vhp(func, inputs, v, create_graph, strict)
