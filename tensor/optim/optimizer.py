"""What all optimisers share: groups of parameters with their settings, and state kept for each parameter."""

import warnings
from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

from tensor.autograd import enable_grad
from tensor.engine import Tensor


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required: Any = _Required()
"""The default of a setting that has none: each group of parameters must give it."""


class Optimizer:
    """Changes parameters by their gradients. Subclasses define `step`.

    params: tensors, (name, tensor) pairs, or dicts {"params": tensors, setting: value, ...}, one for each
    group; what a group does not set comes from `defaults`. `param_groups` may be changed between steps (that
    is how the learning rate falls). `state` maps each parameter to a dict.
    """

    def __init__(self, params: Iterable, defaults: dict[str, Any]):
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{params.type()}; use [parameter]"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
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

    def step(self, closure=None):
        """Change every parameter that has a gradient.

        closure: computes the loss anew, runs backward on it and returns it; `step` then returns it too.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._update_group(group)
        return loss

    def _update_group(self, group: dict[str, Any]) -> None:
        raise NotImplementedError(f"{type(self).__name__} defines no step")

    # --- saving and loading ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return {"state": {position: dict}, "param_groups": list}: parameters are counted over all groups.

        The tensors are the optimiser's own, not copies.
        """
        positions: dict[Tensor, int] = {}
        for p in chain.from_iterable(group["params"] for group in self.param_groups):
            positions.setdefault(p, len(positions))
        groups = [
            {name: value for name, value in group.items() if name != "params"}
            | {"params": [positions[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {positions.get(p, p): entries for p, entries in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict()` returned: copies its state and its groups' settings.

        ValueError if it belongs to other groups, or to parameters of other shapes; then nothing is changed.
        """
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
                state[p] = {name: _fit(name, value, p) for name, value in entries.items()}
            else:
                state[key] = deepcopy(entries)
        for saved, group in zip(saved_groups, self.param_groups, strict=True):
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])
            for name, value in self.defaults.items():  # settings that an older program did not save
                saved.setdefault(name, value)
        self.state, self.param_groups = state, saved_groups

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
            lines.append("")
        return "\n".join(lines)[:-1] + "\n)" if self.param_groups else lines[0] + ")"


def _fit(name: str, value, p: Tensor):
    """Return a copy of one saved value, in the parameter's dtype."""
    if not isinstance(value, Tensor):
        return deepcopy(value)
    if name == "step":  # a count, whatever the parameter's type
        return value.detach().clone()
    if value.ndim and value.shape != p.shape:  # kernels run over both by one count
        raise ValueError(
            f"loaded state dict does not fit: {name} has shape {tuple(value.shape)}, its parameter "
            f"{tuple(p.shape)}"
        )
    value = value.detach().to(p.dtype)
    return value._wrap(value._kernels.copy(value._array))


def flatten_parameter(p: Tensor, *others: Tensor):
    """Return the elements of a parameter, and of tensors of its shape and dtype, as arrays in a row.

    That of the parameter shows its memory, or is a copy if it is not contiguous: see `write_back`.
    """
    p._check_memory("step", ())
    array = p._array
    arrays = [array.ravel()]  # not reshape(-1): that keeps the steps of one that is not contiguous
    for other in others:
        a = other._array
        if a.shape != array.shape or a.dtype != array.dtype:
            raise RuntimeError(
                f"step: a parameter of shape {array.shape} and type {array.dtype} has a gradient or state of "
                f"shape {a.shape} and type {a.dtype}; after changing parameters make a new optimizer"
            )
        arrays.append(a.ravel())
    return arrays


def write_back(p: Tensor, flat) -> None:
    """Note that the parameter has changed, and copy `flat` into it if that is not its own memory."""
    array = p._array
    if not array.flags.c_contiguous:
        p._kernels.write(array, flat.reshape(array.shape))
    p._version.count += 1
