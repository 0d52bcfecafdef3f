"""What all optimisers share: groups of parameters with their settings, and state kept for each parameter."""

import warnings
from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy
from itertools import chain, pairwise
from operator import is_
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

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
        """Return batches of the parameters of one element type; one for each if any share memory."""
        for p in params:
            p._check_memory("step", ())
            assert p._grad is not None
            _check_fit(p._array, p._grad._array)
        alone = _share_memory(params)  # then one after the other: threads would race
        together: dict[Any, list[tuple]] = {}
        for i, p in enumerate(params):
            state = self.state[p] if names else {}
            fresh = bool(names) and self._init_state(p, state, names)
            for name in names:
                _check_fit(p._array, state[name]._array)
            together.setdefault(i if alone else p._array.dtype, []).append((p, state, fresh))
        return [Batch(names, *zip(*rows, strict=True)) for rows in together.values()]

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Return the names of the state `_update` works on: tensors of the parameter's shape and type."""
        raise NotImplementedError(f"{type(self).__name__} defines no step")

    def _init_state(self, p: Tensor, state: dict[str, Any], names: tuple[str, ...]) -> bool:
        """Fill the state of a parameter that has none yet; return whether it had none."""
        raise NotImplementedError(f"{type(self).__name__} defines no step")

    def _update(self, batch: "Batch", grads: list, group: dict[str, Any]) -> None:
        """Change the parameters of a batch; grads: one contiguous array for each."""
        raise NotImplementedError(f"{type(self).__name__} defines no step")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_batches": {}}  # addresses mean nothing to a copy, or to another process

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


class Batch:
    """Parameters of one element type that one kernel call changes: their arrays, and where these lie.

    It is good for as long as these very arrays are the parameters' and their state's (`is_current`): most
    steps find everything where the one before left it.
    """

    def __init__(self, names: tuple[str, ...], params, states, fresh):
        self.names, self.params, self.states = names, params, states
        self.fresh = np.array(fresh)  # (parameters,) bool: whose state was made for the coming step
        self.kernels = params[0]._kernels
        rows = [[p, *map(state.get, names)] for p, state in zip(params, states, strict=True)]
        # What was found, flat: these lists are compared at every step.
        self.found = [(tensor, tensor._array) for row in rows for tensor in row]
        self.entries: list[tuple[Tensor, dict, list]] = []
        if names:
            for row, state in zip(rows, states, strict=True):
                self.entries.append((row[0], state, list(zip(names, row[1:], strict=True))))
        self.copies: list[tuple] = []  # (array, copy) of what is not contiguous: worked on, then written back
        columns = [[self._in_order(tensor._array) for tensor in column] for column in zip(*rows, strict=True)]
        self.table = self.kernels.Arrays(*columns)

    def _in_order(self, array):
        if array.flags.c_contiguous:
            return array
        self.copies.append((array, self.kernels.copy(array)))
        return self.copies[-1][1]

    def is_current(self, names: tuple[str, ...], state: dict) -> bool:
        """Return whether no tensor and no array was replaced by another; `state` is the optimiser's."""
        if names != self.names:
            return False
        for tensor, array in self.found:
            if tensor._array is not array:
                return False
        for p, entries, tensors in self.entries:
            if state.get(p) is not entries:
                return False
            for name, tensor in tensors:
                if entries.get(name) is not tensor:
                    return False
        return True

    def read(self) -> list:
        """Return the gradients as contiguous arrays, checked; bring the copies up to date."""
        grads = []
        for p in self.params:
            array, grad = p._array, p._grad._array
            if grad.shape != array.shape or grad.dtype != array.dtype:
                raise _does_not_fit(array, grad)
            grads.append(grad if grad.flags.c_contiguous else self.kernels.copy(grad))
        for array, copy in self.copies:
            self.kernels.write(copy, array)
        return grads

    def written(self) -> None:
        """Note that parameters and state have changed."""
        self.fresh[:] = False
        for array, copy in self.copies:
            self.kernels.write(array, copy)
        for p in self.params:
            p._version.count += 1


def _does_not_fit(array, other) -> RuntimeError:
    return RuntimeError(
        f"step: a parameter of shape {array.shape} and type {array.dtype} has a gradient or state of "
        f"shape {other.shape} and type {other.dtype}; after changing parameters make a new optimizer"
    )


def _check_fit(array, other) -> None:
    if other.shape != array.shape or other.dtype != array.dtype:
        raise _does_not_fit(array, other)


def _share_memory(params: list[Tensor]) -> bool:
    spans = sorted(byte_bounds(p._array) for p in params)
    return any(start < end for (_, end), (start, _) in pairwise(spans))
