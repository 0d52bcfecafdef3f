"""Checking derivatives: what backward gives beside finite differences, also of gradients."""

import warnings

from tensor.autograd.backpropagation import grad
from tensor.autograd.grad_mode import no_grad


class GradcheckError(RuntimeError):
    """A derivative that is not what finite differences say."""


def _tensors(values) -> tuple:
    return tuple(values) if isinstance(values, tuple | list) else (values,)


def _floats(values) -> list:
    return [v for v in values if hasattr(v, "_array") and v.dtype.is_floating_point]


def _check_inputs(inputs) -> None:
    if not any(hasattr(t, "_array") and t.requires_grad for t in inputs):
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have "
            "requires_grad=True."
        )
    for i, t in enumerate(inputs):
        if not hasattr(t, "_array") or not t.requires_grad:
            continue
        if t._array.dtype.itemsize < 8:
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This "
                "check will likely fail if all the inputs are not of double precision floating point or "
                "complex. ",
                UserWarning,
                stacklevel=4,
            )
        if (
            0 in t.stride()
            and t.numel() > 1
            and any(s == 0 and n > 1 for s, n in zip(t.stride(), t.shape, strict=True))
        ):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                "non-overlapping to be able to compute the numerical gradients correctly. You should call "
                ".contiguous on the input before passing it to gradcheck."
            )
        t.retain_grad()


def _numerical(function, inputs, x, eps):
    """Return, for each output, the Jacobian in `x` by central differences: (elements of x, of the output)."""
    rows: list = []
    flat = x.data.view(-1) if x.is_contiguous() else None
    if flat is None:
        raise RuntimeError("gradcheck: expected contiguous inputs; pass x.contiguous()")
    with no_grad():
        for position in range(flat.numel()):
            before = flat[position].item()
            flat[position] = before + eps
            right = [out.detach().clone() for out in _floats(_tensors(function(*inputs)))]
            flat[position] = before - eps
            left = [out.detach().clone() for out in _floats(_tensors(function(*inputs)))]
            flat[position] = before
            rows.append([(r - m) / (2 * eps) for r, m in zip(right, left, strict=True)])
    return rows


def _columns(rows, number, like, count):
    """Return the Jacobian of output `number` as a tensor."""
    jacobian = like.new_zeros((len(rows), count))
    for i, row in enumerate(rows):
        jacobian[i] = row[number].reshape(-1)
    return jacobian


def _analytical(output, wanted, nondeterministic) -> list:
    """Return the Jacobians of an output by backward passes, one for each of its elements."""
    jacobians = [t.new_zeros((t.numel(), output.numel())) for t in wanted]
    for column in range(output.numel()):
        one_hot = output.new_zeros(output.numel())
        one_hot[column] = 1.0
        one_hot = one_hot.reshape(output.shape)
        found = grad(output, wanted, one_hot, retain_graph=True, allow_unused=True)
        again = grad(output, wanted, one_hot, retain_graph=True, allow_unused=True)
        for jacobian, g, h, t in zip(jacobians, found, again, wanted, strict=True):
            if g is None:
                continue
            if g.dtype is not t.dtype or g.shape != t.shape:
                raise GradcheckError("Analytical gradient has incorrect size or dtype")
            nondeterministic[0] = max(nondeterministic[0], (g - h).abs().max().item() if g.numel() else 0.0)
            jacobian[:, column] = g.reshape(-1)
    return jacobians


def _slow_check(function, inputs, outputs, wanted, eps, atol, rtol, nondet_tol) -> None:
    indices = [i for i, t in enumerate(inputs) if any(t is w for w in wanted)]
    numerical = [_numerical(function, inputs, t, eps) for t in wanted]
    for o, output in enumerate(outputs):
        nondeterministic = [0.0]
        if output.requires_grad:
            analytical = _analytical(output, wanted, nondeterministic)
        else:
            analytical = [t.new_zeros((t.numel(), output.numel())) for t in wanted]
        for i, t, rows, found in zip(indices, wanted, numerical, analytical, strict=True):
            expected = _columns(rows, o, t, output.numel())
            if not found.to(expected.dtype).allclose(expected, rtol, atol):
                raise GradcheckError(
                    f"Jacobian mismatch for output {o} with respect to input {i},\n"
                    f"numerical:{expected}\nanalytical:{found}\n"
                )
        if nondeterministic[0] > nondet_tol:
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output multiple "
                "times gives different values, although analytical gradient matches numerical gradient."
                f"The tolerance for nondeterminism was {nondet_tol}."
            )


def _fast_check(function, inputs, outputs, wanted, eps, atol, rtol, nondet_tol) -> None:
    """Compare u^T J v, for one random u and v of each pair, in the place of every element of J."""
    from tensor.random import Generator

    source = Generator().manual_seed(0)
    directions = [t.new_zeros(t.shape).normal_(generator=source) for t in wanted]
    weights = [t.new_zeros(t.shape).uniform_(generator=source) for t in outputs]
    indices = [i for i, t in enumerate(inputs) if any(t is w for w in wanted)]
    for i, t, v in zip(indices, wanted, directions, strict=True):
        with no_grad():
            before = t.detach().clone()
            t.data.copy_(before + v * eps)
            right = [out.detach().clone() for out in _floats(_tensors(function(*inputs)))]
            t.data.copy_(before - v * eps)
            left = [out.detach().clone() for out in _floats(_tensors(function(*inputs)))]
            t.data.copy_(before)
        for o, (output, u) in enumerate(zip(outputs, weights, strict=True)):
            expected = ((right[o] - left[o]) / (2 * eps) * u).sum()
            found = expected.new_zeros(())
            if output.requires_grad:
                g = grad(output, t, u, retain_graph=True, allow_unused=True)[0]
                h = grad(output, t, u, retain_graph=True, allow_unused=True)[0]
                if g is not None:
                    found = (g * v).sum()
                    if g.numel() and (g - h).abs().max().item() > nondet_tol:
                        raise GradcheckError("Backward is not reentrant: two runs give different values.")
            scale = max(1.0, (t.numel() * output.numel()) ** 0.5)
            if not found.to(expected.dtype).allclose(expected, rtol, atol * scale):
                raise GradcheckError(
                    f"Jacobian mismatch for output {o} with respect to input {i},\n"
                    f"numerical:{expected}\nanalytical:{found}\n\nThe above quantities relating the "
                    "numerical and analytical jacobians are computed in fast mode. Run with "
                    "fast_mode=False to see the Jacobians."
                )


def _check_undefined(function, inputs, outputs, wanted) -> None:
    """Check that backward takes no gradient for some, or all, outputs."""
    roots = [out for out in outputs if out.requires_grad]
    for only in roots if len(roots) > 1 else ():
        grad(only, wanted, only.new_zeros(only.shape), retain_graph=True, allow_unused=True)


def gradcheck(
    func,
    inputs,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_batched_forward_grad=False,
    check_forward_ad=False,
    check_backward_ad=True,
    fast_mode=False,
    masked=None,
) -> bool:
    """Return whether backward gives the derivatives of `func` that central differences give.

    func: of the tensors `inputs`, one or a tuple, best float64 (UserWarning otherwise); the inputs that
    require grad are checked. eps: the step; atol, rtol: as of allclose. raise_exception: GradcheckError on a
    mismatch, else False. nondet_tol: how far two backward passes may differ. fast_mode: one random direction
    in the place of every element. check_undefined_grad: outputs whose gradient is not given must do.
    Forward-mode and batched checks do not exist.
    """
    if check_batched_grad or check_batched_forward_grad or check_forward_ad or masked:
        raise NotImplementedError(
            "gradcheck: check_batched_grad, check_batched_forward_grad, check_forward_ad and masked need "
            "vmap, forward-mode differentiation or sparse tensors, which do not exist here; leave them out"
        )
    inputs = _tensors(inputs)
    try:
        _check_inputs(inputs)
        outputs = _floats(_tensors(func(*inputs)))
        wanted = [t for t in inputs if hasattr(t, "_array") and t.requires_grad]
        if not check_backward_ad:
            return True
        check = _fast_check if fast_mode else _slow_check
        check(func, inputs, outputs, wanted, eps, atol, rtol, nondet_tol)
        if check_undefined_grad:
            _check_undefined(func, inputs, outputs, wanted)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    gen_non_contig_grad_outputs=False,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_fwd_over_rev=False,
    check_rev_over_rev=True,
    fast_mode=False,
    masked=False,
) -> bool:
    """Return whether the gradient of `func`'s gradient is what central differences give; as `gradcheck`.

    grad_outputs: what flows into the outputs; random if None.
    """
    if check_fwd_over_rev:
        raise NotImplementedError("gradgradcheck: forward-mode differentiation does not exist here")
    inputs = _tensors(inputs)
    outputs = [out for out in _floats(_tensors(func(*inputs))) if out.requires_grad]
    if grad_outputs is None:
        grads = tuple(out.new_empty(out.shape).uniform_(-1, 1).requires_grad_() for out in outputs)
        if gen_non_contig_grad_outputs:
            raise NotImplementedError(
                "gradgradcheck: gen_non_contig_grad_outputs is not supported; pass grad_outputs"
            )
    else:
        grads = _tensors(grad_outputs)
    count = len(grads)

    def gradient(*args):
        values, incoming = args[:-count], args[-count:]
        results = [out for out in _floats(_tensors(func(*values))) if out.requires_grad]
        wanted = [t for t in values if hasattr(t, "_array") and t.requires_grad]
        found = grad(results, wanted, incoming, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    if not check_rev_over_rev:
        return True
    return gradcheck(
        _with_grad(gradient), (*inputs, *grads), eps=eps, atol=atol, rtol=rtol,
        raise_exception=raise_exception, nondet_tol=nondet_tol, check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes, check_batched_grad=check_batched_grad, fast_mode=fast_mode,
        masked=masked,
    )  # fmt: skip


def _with_grad(function):
    from tensor.autograd.grad_mode import enable_grad

    return enable_grad()(function)
