"""What all optimisers share: groups of parameters with their settings, and state kept for each parameter."""

import functools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from copy import deepcopy
from itertools import chain
from operator import is_
from typing import Any

from tensor import creation
from tensor.autograd import Hook, HookTable, enable_grad
from tensor.devices import is_capturing
from tensor.engine import Tensor
from tensor.optim.batch import Batch, check_fit, share_memory


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required: Any = _Required()
"""The default of a setting that has none: each group of parameters must give it."""


_pre_hooks_of_all, _post_hooks_of_all = HookTable(), HookTable()


def register_optimizer_step_pre_hook(hook: Callable) -> Hook:
    """Call hook(optimizer, args, kwargs) before every step of every optimiser."""
    return Hook(_pre_hooks_of_all, hook)


def register_optimizer_step_post_hook(hook: Callable) -> Hook:
    """Call hook(optimizer, args, kwargs) after every step of every optimiser."""
    return Hook(_post_hooks_of_all, hook)


def _watched(step: Callable) -> Callable:
    """Return a `step` that calls the hooks, once where it calls that of a base class, and is noticed."""

    @functools.wraps(step)
    def watched(self: "Optimizer", *args, **kwargs):
        self._opt_called = True  # schedulers warn where they come first
        if self._within_step:
            return step(self, *args, **kwargs)
        if is_capturing():
            self._check_capturable()
        own = vars(self)  # one that wraps another optimiser may not have called __init__
        for hook in [*_pre_hooks_of_all.values(), *own.get("_step_pre_hooks", HookTable()).values()]:
            returned = hook(self, (self, *args), kwargs)
            if returned is not None:
                if not (isinstance(returned, tuple) and len(returned) == 2):
                    raise RuntimeError(
                        f"step: {hook} must return None or a tuple of (new_args, new_kwargs), got {returned}."
                    )
                (_, *args), kwargs = returned
        self._within_step = True
        try:
            out = step(self, *args, **kwargs)
        finally:
            self._within_step = False
        for hook in [*own.get("_step_post_hooks", HookTable()).values(), *_post_hooks_of_all.values()]:
            hook(self, (self, *args), kwargs)
        return out

    return watched


_HOOKS = (
    "_step_pre_hooks",
    "_step_post_hooks",
    "_state_dict_pre_hooks",
    "_state_dict_post_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


class Optimizer:
    """Changes parameters by their gradients. Subclasses define `step`.

    params: tensors, (name, tensor) pairs, or dicts {"params": tensors, setting: value, ...}, one for each
    group; what a group does not set comes from `defaults`. `param_groups` may be changed between steps (that
    is how the learning rate falls). `state` maps each parameter to a dict.
    """

    _like_parameter: tuple[str, ...] = ()
    """The state of the parameter's shape that compiled code works on."""

    _counts_in_tensors = False  # whether "step" in the state is a tensor
    _scheduled = _opt_called = _within_step = False
    _step_pre_hooks: HookTable
    _step_post_hooks: HookTable
    _state_dict_pre_hooks: HookTable
    _state_dict_post_hooks: HookTable
    _load_state_dict_pre_hooks: HookTable
    _load_state_dict_post_hooks: HookTable

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _watched(cls.__dict__["step"])  # type: ignore[method-assign]

    def __init__(self, params: Iterable, defaults: dict[str, Any]):
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{params.type()}; use [parameter]"
            )
        for name in _HOOKS:
            setattr(self, name, HookTable())
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._batches: dict[int, tuple] = {}  # position of a group -> parameters of the last step, batches
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own: {"params": tensors, "lr": 0.1}."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of "
                "tensors in sets will change between runs. Please use a list instead."
            )
        params = [params] if isinstance(params, Tensor) else list(params)
        names = [p[0] for p in params if isinstance(p, tuple)]
        if names:
            if len(names) != len(params):
                raise ValueError(
                    "all optimizer params should be with/without names. Some param names are missing"
                )
            param_group["param_names"] = names
            params = [p[1] for p in params]
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}"
                )
            if not (p.is_leaf or p.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        param_group["params"] = params
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter {name}"
                )
            param_group.setdefault(name, default)
        if len(params) != len(set(params)):
            warnings.warn("optimizer contains a parameter group with duplicate parameters", stacklevel=3)
        for group in self.param_groups:
            if ("param_names" in group) != ("param_names" in param_group):
                raise ValueError("all optimizer param groups should be with/without names.")
            if not set(group["params"]).isdisjoint(params):
                raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop every parameter's gradient, or fill it with zeros (set_to_none=False)."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                elif p.grad is not None:
                    if not p.grad.is_leaf:
                        p.grad.detach_()
                    p.grad.requires_grad_(False).zero_()

    # --- hooks -----------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable) -> Hook:
        """Call hook(optimizer, args, kwargs) before each step; what it returns replaces the arguments."""
        return Hook(self._step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> Hook:
        """Call hook(optimizer, args, kwargs) after each step."""
        return Hook(self._step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Hook:
        """Call hook(optimizer) before `state_dict`."""
        return Hook(self._state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Hook:
        """Call hook(optimizer, state_dict) on what `state_dict` returns; its result replaces it."""
        return Hook(self._state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Hook:
        """Call hook(optimizer, state_dict) before `load_state_dict`; its result replaces the state dict."""
        return Hook(self._load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Hook:
        """Call hook(optimizer) after `load_state_dict`."""
        return Hook(self._load_state_dict_post_hooks, hook, prepend)

    # --- stepping --------------------------------------------------------------------------------------

    _captures = False  # whether steps go into CUDA graphs as they are
    _counts_on_gpu = False  # whether they do with capturable=True

    def _check_capturable(self) -> None:
        """Raise RuntimeError unless a step may be captured in a CUDA graph."""
        chosen = all(group.get("capturable", False) for group in self.param_groups)
        if self._captures or (chosen and self._counts_on_gpu):
            return
        name = type(self).__name__
        if self._counts_on_gpu:
            raise RuntimeError(
                f"Attempting CUDA graph capture of step() for an instance of {name} but param_groups' "
                f"capturable is False; make it so: {name}(..., capturable=True) counts steps on the GPU"
            )
        raise RuntimeError(
            f"step: {name} cannot be captured in a CUDA graph: it counts its steps on the CPU; SGD can, and "
            "with capturable=True Adam, AdamW, Adamax, RMSprop, Adadelta, Rprop, ASGD"
        )

    @_watched
    def step(self, closure=None):
        """Change every parameter that has a gradient.

        closure: computes the loss anew, runs backward on it and returns it; `step` then returns it too.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for i, group in enumerate(self.param_groups):
            self._update_group(i, group)
        return loss

    def _update_group(self, position: int, group: dict[str, Any]) -> None:
        params = [p for p in group["params"] if p._grad is not None]
        names = self._state_names(group)
        last, batches = self._batches.get(position, ((), ()))
        same = len(last) == len(params) and all(map(is_, last, params))
        if not same or not all(batch.is_current(names, self.state) for batch in batches):
            batches = self._arrange(params, names)
            self._batches[position] = params, batches
        for batch in batches:
            self._update(batch, batch.read(), group)
            batch.written()

    def _arrange(self, params: list[Tensor], names: tuple[str, ...]) -> list["Batch"]:
        """Return batches of the parameters of one device and type; one for each if any share memory."""
        for p in params:
            p._check_memory("step", ())
            assert p._grad is not None
            check_fit(p._array, p._grad._array)
        alone = share_memory(params)  # then one after the other: threads would race
        together: dict[Any, list[tuple]] = {}
        for i, p in enumerate(params):
            state = self.state[p] if names else {}
            with p._kernels.graphs.at_once() if p.is_cuda else nullcontext():  # else each replay begins anew
                fresh = bool(names) and self._init_state(p, state, names)
            for name in names:
                check_fit(p._array, state[name]._array)
            together.setdefault(i if alone else (p.device.type, p._array.dtype), []).append((p, state, fresh))
        return [Batch(names, *zip(*rows, strict=True)) for rows in together.values()]

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Return the names of the state `_update` works on: tensors of the parameter's shape and type."""
        return self._like_parameter

    def _init_state(self, p: Tensor, state: dict[str, Any], names: tuple[str, ...]) -> bool:
        """Fill the state of a parameter that has none yet; return whether it had none."""
        return self._init_counted(p, state, dict.fromkeys(names, 0.0))

    def _update(self, batch: "Batch", grads: list, group: dict[str, Any]) -> None:
        """Change the parameters of a batch; grads: one contiguous array for each."""
        raise NotImplementedError(f"{type(self).__name__} defines no step")

    def _init_counted(self, p: Tensor, state: dict[str, Any], values: dict[str, float]) -> bool:
        """Fill an empty state with a count of steps and tensors filled with numbers."""
        if state:
            return False
        # A tensor, as in PyTorch: what is saved here loads there. Of the host: see `Batch.count`.
        state["step"] = creation.tensor(0.0, device="cpu")
        for name, value in values.items():
            state[name] = p._wrap(p._kernels.full(p._array.shape, value, p._array.dtype))
        return True

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name not in _HOOKS}
        return state | {"_batches": {}}  # addresses mean nothing to a copy, or to another process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in _HOOKS:
            self.__dict__.setdefault(name, HookTable())

    # --- saving and loading ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return {"state": {position: dict}, "param_groups": list}: parameters are counted over all groups.

        The tensors are the optimiser's own, not copies.
        """
        for hook in self._state_dict_pre_hooks.values():
            hook(self)
        positions: dict[Tensor, int] = {}
        for p in chain.from_iterable(group["params"] for group in self.param_groups):
            positions.setdefault(p, len(positions))
        groups = [
            {name: value for name, value in group.items() if name != "params"}
            | {"params": [positions[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {positions.get(p, p): entries for p, entries in self.state.items()}
        found = {"state": state, "param_groups": groups}
        for hook in self._state_dict_post_hooks.values():
            returned = hook(self, found)
            found = found if returned is None else returned
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict()` returned: copies its state and its groups' settings.

        ValueError if it belongs to other groups, or to parameters of other shapes; then nothing is changed.
        """
        state_dict = dict(state_dict)
        for hook in self._load_state_dict_pre_hooks.values():
            returned = hook(self, state_dict)
            state_dict = state_dict if returned is None else returned
        saved_groups = deepcopy(state_dict["param_groups"])
        if len(saved_groups) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups: "
                f"{len(saved_groups)}, expected {len(self.param_groups)}"
            )
        parameters: dict[int, Tensor] = {}
        for saved, group in zip(saved_groups, self.param_groups, strict=True):
            if len(saved["params"]) != len(group["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's "
                    f"group: {len(saved['params'])} parameters, expected {len(group['params'])}"
                )
            parameters.update(zip(saved["params"], group["params"], strict=True))
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for key, entries in state_dict["state"].items():
            if key in parameters:
                p = parameters[key]
                state[p] = {name: self._fit(name, value, p) for name, value in entries.items()}
            else:
                state[key] = deepcopy(entries)
        for saved, group in zip(saved_groups, self.param_groups, strict=True):
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])
            for name, value in self.defaults.items():  # settings that an older program did not save
                saved.setdefault(name, value)
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._load_state_dict_post_hooks.values():
            hook(self)

    def _fit(self, name: str, value, p: Tensor):
        """Return a copy of one saved value, its tensors in the parameter's dtype and on its device."""
        if isinstance(value, dict):
            return {key: self._fit(key, entry, p) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._fit("", entry, p) for entry in value)
        if name == "step" and isinstance(value, int | float) and self._counts_in_tensors:
            return creation.tensor(float(value), device="cpu")  # as early versions of PyTorch saved it
        if not isinstance(value, Tensor):
            return deepcopy(value)
        if name == "step":  # a count, whatever the parameter's type
            return value.detach().cpu().clone() if value.is_cuda else value.detach().clone()
        if name in self._like_parameter and value.shape != p.shape:  # kernels run over both by one count
            raise ValueError(
                f"loaded state dict does not fit: {name} has shape {tuple(value.shape)}, its parameter "
                f"{tuple(p.shape)}"
            )
        value = value.detach().to(p.device, p.dtype if p.is_floating_point() else value.dtype)
        return value._wrap(value._kernels.copy(value._array))

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
            lines.append("")
        return "\n".join(lines)[:-1] + "\n)" if self.param_groups else lines[0] + ")"


def check_settings(**settings: Any) -> None:
    """Raise ValueError for a setting that is negative or nan, under PyTorch's name for it."""
    names = {"lr": "learning rate", "eps": "epsilon value"}
    for name, value in settings.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ValueError(f"Tensor {name} must be 1-element")
        if not value >= 0.0:
            raise ValueError(f"Invalid {names.get(name, f'{name} value')}: {value}")


def refuse_differentiable(optimizer: "Optimizer", differentiable: bool) -> None:
    """Raise NotImplementedError if updates are to be recorded."""
    if differentiable:
        raise NotImplementedError(
            f"{type(optimizer).__name__}: differentiable=True is not supported: updates are not recorded; "
            "write the step as an expression of the gradients of autograd.grad(..., create_graph=True)"
        )


def check_implementation(foreach: bool | None, fused: bool | None) -> None:
    """Raise RuntimeError for two of PyTorch's implementations at once; here there is one."""
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def check_betas(betas: Any) -> None:
    """Raise ValueError unless both are in [0, 1)."""
    for i in (0, 1):
        if not 0.0 <= betas[i] < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}")
