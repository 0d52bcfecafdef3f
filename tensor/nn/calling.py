"""Calling a module: `forward`, and the hooks before and after it, on the way forward and on the way back."""

import warnings
from collections.abc import Callable
from typing import Any

from tensor.autograd import Hook, HookTable
from tensor.engine import Tensor
from tensor.join import cat
from tensor.shape import view

_forward_pre_hooks = HookTable()  # of all modules
_forward_hooks = HookTable()
_backward_pre_hooks = HookTable()
_backward_hooks = HookTable()


def _forward_unimplemented(self, *input: Any) -> None:
    """Compute the output; subclasses define it. Call the module itself, so that its hooks run."""
    raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')


def is_called_plainly(module: "Called") -> bool:
    """Return whether to call a module is to call its `forward`: no hook, and no other call."""
    return type(module).__call__ is _CALL and not (
        module._forward_pre_hooks
        or module._forward_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or _forward_pre_hooks
        or _forward_hooks
        or _backward_hooks
        or _backward_pre_hooks
    )


class Called:
    """What makes a Module callable."""

    forward: Callable[..., Any] = _forward_unimplemented
    _forward_pre_hooks: HookTable
    _forward_hooks: HookTable
    _backward_pre_hooks: HookTable
    _backward_hooks: HookTable

    def __call__(self, *args, **kwargs):
        if (
            self._forward_pre_hooks
            or self._forward_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or _forward_pre_hooks
            or _forward_hooks
            or _backward_hooks
            or _backward_pre_hooks
        ):
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    def _call_with_hooks(self, args: tuple, kwargs: dict):
        ran: set[int] = set()
        try:
            return self._call_in_order(args, kwargs, ran)
        except Exception:
            for hooks in (_forward_hooks, self._forward_hooks):
                for key, (hook, with_kwargs, always) in list(hooks.items()):
                    if always and key not in ran:
                        _call_always(hook, (self, args, kwargs, None) if with_kwargs else (self, args, None))
            raise

    def _call_in_order(self, args: tuple, kwargs: dict, ran: set[int]):
        for hook, with_kwargs in [*_forward_pre_hooks.values(), *self._forward_pre_hooks.values()]:
            returned = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if returned is None:
                continue
            if not with_kwargs:
                args = returned if isinstance(returned, tuple) else (returned,)
            elif isinstance(returned, tuple) and len(returned) == 2:
                args, kwargs = returned
            else:
                raise RuntimeError(
                    "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                    f"but got {returned}."
                )
        back = None
        if self._backward_hooks or self._backward_pre_hooks or _backward_hooks or _backward_pre_hooks:
            back = _WayBack(self)
            args = back.mark_inputs(args)
        out = self.forward(*args, **kwargs)
        for hooks in (_forward_hooks, self._forward_hooks):
            for key, (hook, with_kwargs, _) in list(hooks.items()):
                ran.add(key)
                returned = hook(self, args, kwargs, out) if with_kwargs else hook(self, args, out)
                if returned is not None:
                    out = returned
        return out if back is None else back.mark_outputs(out)

    def register_forward_pre_hook(self, hook, *, prepend: bool = False, with_kwargs: bool = False) -> Hook:
        """Call hook(module, args) before `forward`; what it returns replaces the arguments.

        with_kwargs: call hook(module, args, kwargs), which returns None or (args, kwargs).
        """
        return Hook(self._forward_pre_hooks, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> Hook:
        """Call hook(module, args, output) after `forward`; what it returns replaces the output.

        with_kwargs: call hook(module, args, kwargs, output). always_call: call it with None for the output
        if `forward` raises.
        """
        return Hook(self._forward_hooks, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook, prepend: bool = False) -> Hook:
        """Call hook(module, grad_output) when the outputs' gradients are there.

        grad_output: a tuple, one for each output; what the hook returns replaces them.
        """
        return Hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook, prepend: bool = False) -> Hook:
        """Call hook(module, grad_input, grad_output) when the gradients of the arguments are there.

        Both are tuples: one for each positional argument and each output, None where there is none. What the
        hook returns replaces grad_input.
        """
        return Hook(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook) -> Hook:
        """Do as `register_full_backward_hook`.

        PyTorch's function of this name, which it advises against, gives the gradients of the last operation
        in `forward` for grad_input; here they are those of the module's arguments.
        """
        return self.register_full_backward_hook(hook)


def _call_always(hook, arguments: tuple) -> None:
    try:
        hook(*arguments)
    except Exception as error:
        warnings.warn(
            "module forward hook with ``always_call=True`` raised an exception that was silenced as another "
            f"error was raised in forward: {error}",
            stacklevel=5,
        )


class _WayBack:
    """One call of a module whose gradients are looked at: first those of the outputs, then of the inputs.

    Several tensors are joined into one and taken apart again, so that their gradients arrive together.
    """

    def __init__(self, module):
        self.module = module
        self.pre_hooks = [*_backward_pre_hooks.values(), *module._backward_pre_hooks.values()]
        self.hooks = [*_backward_hooks.values(), *module._backward_hooks.values()]
        self.grad_outputs: tuple = ()
        self.has_inputs = False
        self.count = 0  # of positional arguments

    def mark_inputs(self, args: tuple) -> tuple:
        self.count = len(args)
        marked, self.has_inputs = _mark(args, self._at_inputs if self.hooks else None)
        return marked

    def mark_outputs(self, out):
        if not isinstance(out, Tensor | tuple):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but "
                f"received {type(out)}",
                stacklevel=4,
            )
            return out
        marked, _ = _mark(out if isinstance(out, tuple) else (out,), self._at_outputs)
        return marked if isinstance(out, tuple) else marked[0]

    def _at_outputs(self, grads: tuple) -> tuple:
        for hook in self.pre_hooks:
            returned = hook(self.module, grads)
            if returned is not None:
                grads = _replaced(returned, grads, "grad_output")
        self.grad_outputs = grads
        if not self.has_inputs:
            if self.hooks:
                warnings.warn(
                    "Full backward hook is firing when gradients are computed with respect to module outputs "
                    "since no inputs require gradients; its grad_input is None",
                    stacklevel=2,
                )
            for hook in self.hooks:
                if hook(self.module, (None,) * self.count, grads) is not None:
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return "
                        "None or None for all gradients."
                    )
        return grads

    def _at_inputs(self, grads: tuple) -> tuple:
        for hook in self.hooks:
            returned = hook(self.module, grads, self.grad_outputs)
            if returned is not None:
                grads = _replaced(returned, grads, "grad_input")
        return grads


def _replaced(returned, grads: tuple, name: str) -> tuple:
    returned = returned if isinstance(returned, tuple) else (returned,)
    if len(returned) != len(grads):
        raise RuntimeError(
            f"Backward hook returned an invalid number of {name}, got {len(returned)}, but expected "
            f"{len(grads)}"
        )
    return returned


def _mark(values: tuple, at_gradients) -> tuple[tuple, bool]:
    """Return `values` with its tensors passed on in such a way that at_gradients(their gradients) is called.

    The gradients are a tuple as long as `values`, and so is what the function returns, which replaces them.
    Also returns whether there is a tensor that takes a gradient.
    """
    places = [n for n, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
    if not places or at_gradients is None:
        return values, bool(places)
    tensors = [values[n] for n in places]
    alone = len(tensors) == 1
    joint = view(tensors[0], tensors[0].shape) if alone else cat([t.reshape(-1) for t in tensors])

    def run(grad):
        parts = [grad] if alone else _split(grad, tensors)
        grads: list[Any] = [None] * len(values)
        for place, part in zip(places, parts, strict=True):
            grads[place] = part
        after = at_gradients(tuple(grads))
        kept = [part if after[n] is None else after[n] for n, part in zip(places, parts, strict=True)]
        if all(new is old for new, old in zip(kept, parts, strict=True)):
            return None
        return kept[0] if alone else cat([part.reshape(-1) for part in kept])

    joint.register_hook(run)
    marked = list(values)
    for place, tensor in zip(places, [joint] if alone else _split(joint, tensors), strict=True):
        marked[place] = tensor
    return tuple(marked), True


def _split(flat: Tensor, like: list[Tensor]) -> list[Tensor]:
    parts, start = [], 0
    for t in like:
        parts.append(flat[start : start + t.numel()].reshape(t.shape))
        start += t.numel()
    return parts


def register_module_forward_pre_hook(hook) -> Hook:
    """Call hook(module, args) before the `forward` of every module; see `register_forward_pre_hook`."""
    return Hook(_forward_pre_hooks, (hook, False))


def register_module_forward_hook(hook, *, with_kwargs: bool = False, always_call: bool = False) -> Hook:
    """Call hook(module, args, output) after the `forward` of every module; see `register_forward_hook`."""
    return Hook(_forward_hooks, (hook, with_kwargs, always_call))


def register_module_full_backward_pre_hook(hook) -> Hook:
    """Call hook(module, grad_output) for every module; see `register_full_backward_pre_hook`."""
    return Hook(_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook) -> Hook:
    """Call hook(module, grad_input, grad_output) for every module; see `register_full_backward_hook`."""
    return Hook(_backward_hooks, hook)


_CALL = Called.__call__
