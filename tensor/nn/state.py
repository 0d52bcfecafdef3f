"""What a module saves, and loading it: the dict of tensors by dotted name."""

from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tensor.autograd import Hook, HookTable
from tensor.engine import Parameter, Tensor

_EXTRA = "_extra_state"  # the key of what `get_extra_state` returns


class _IncompatibleKeys(namedtuple("_IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What `load_state_dict` did not find, and what it could not place."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class Saved:
    """What lets a Module be saved and loaded."""

    _version: int = 1  # of the format of what this kind of module saves
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]
    _non_persistent_buffers: set[str]
    _state_hooks: dict[str, HookTable]

    # --- saving ----------------------------------------------------------------------------------------

    def state_dict(self, *args, destination=None, prefix: str = "", keep_vars: bool = False):
        """Return every parameter and persistent buffer by dotted name; they share the module's memory.

        prefix: put before every name. keep_vars: the parameters themselves, not detached from the graph.
        """
        for name, value in zip(("destination", "prefix", "keep_vars"), args, strict=False):
            destination = value if name == "destination" else destination
            prefix = value if name == "prefix" else prefix
            keep_vars = value if name == "keep_vars" else keep_vars
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()  # the version of each module's format
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_hooks["before saving"].values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_hooks["after saving"].values():
            hook(self, destination, prefix, metadata)
        return destination

    def _save_to_state_dict(self, destination, prefix: str, keep_vars: bool) -> None:
        """Add what this module itself saves; subclasses may add to it."""
        for name, tensor in self._named_state():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not Saved.get_extra_state:
            destination[prefix + _EXTRA] = self.get_extra_state()

    def _named_state(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self._parameters.items():
            if parameter is not None:
                yield name, parameter
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers:
                yield name, buffer

    def get_extra_state(self) -> Any:
        """Return what is saved beside the tensors; a subclass that has such a thing defines it."""
        raise RuntimeError(
            "Reached a code path in Module.get_extra_state() that should never be called: define it"
        )

    def set_extra_state(self, state: Any) -> None:
        """Take what `get_extra_state` had returned."""
        raise RuntimeError(
            "Reached a code path in Module.set_extra_state() that should never be called: define it"
        )

    # --- loading ---------------------------------------------------------------------------------------

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False):
        """Copy saved tensors into this module's; returns (missing_keys, unexpected_keys).

        strict: a missing or an unexpected key is an error. A tensor of another shape is one in any case.
        One RuntimeError lists everything that is wrong, and then nothing has been loaded.
        assign: take the tensors themselves in place of copying into the module's own.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        metadata = getattr(state_dict, "_metadata", None)
        state = OrderedDict(state_dict)
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        writes: list[Callable[[], None]] = []  # done at the end, if nothing is wrong

        def load(module, state, prefix: str) -> None:
            found = {} if metadata is None else metadata.get(prefix[:-1], {})
            local = {**found, "assign_to_params_buffers": assign, "writes": writes}
            module._load_from_state_dict(state, prefix, local, True, missing, unexpected, errors)
            for name, child in module._modules.items():
                if child is not None:
                    below = f"{prefix}{name}."
                    load(child, {k: v for k, v in state.items() if k.startswith(below)}, below)
            result = _IncompatibleKeys(missing, unexpected)
            for hook in module._state_hooks["after loading"].values():
                if hook(module, result) is not None:
                    raise AssertionError(
                        "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to "
                        "return new values, if incompatible_keys need to be modified, it should be done "
                        "inplace."
                    )

        load(self, state, "")
        if strict and unexpected:
            listed = ", ".join(f'"{k}"' for k in unexpected)
            errors.insert(0, f"Unexpected key(s) in state_dict: {listed}. ")
        if strict and missing:
            errors.insert(0, "Missing key(s) in state_dict: " + ", ".join(f'"{k}"' for k in missing) + ". ")
        if errors:
            name = type(self).__name__
            raise RuntimeError(f"Error(s) in loading state_dict for {name}:\n\t" + "\n\t".join(errors))
        for write in writes:
            write()
        return _IncompatibleKeys(missing, unexpected)

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        """Check what is there for this module itself, and note what to write; subclasses may do more.

        state_dict: what begins with `prefix`; may be changed. The lists are added to.
        """
        for hook in self._state_hooks["before loading"].values():
            hook(
                self,
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
        own = dict(self._named_state())
        writes, assign = local_metadata["writes"], local_metadata["assign_to_params_buffers"]
        for name, tensor in own.items():
            key = prefix + name
            if key not in state_dict:
                if strict:
                    missing_keys.append(key)
                continue
            saved = state_dict[key]
            if not isinstance(saved, Tensor):
                error_msgs.append(
                    f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object '
                    f"from checkpoint but received {type(saved)}"
                )
            elif not self._is_lazy(tensor) and saved.shape != tensor.shape:
                error_msgs.append(
                    f"size mismatch for {key}: copying a param with shape {saved.shape!r} from checkpoint, "
                    f"the shape in current model is {tensor.shape!r}."
                )
            else:
                writes.append(self._writer(name, tensor, saved, assign))
        if type(self).set_extra_state is not Saved.set_extra_state:
            if prefix + _EXTRA in state_dict:
                writes.append(lambda: self.set_extra_state(state_dict[prefix + _EXTRA]))
            elif strict:
                missing_keys.append(prefix + _EXTRA)
        for key in state_dict if strict else ():
            name, *below = key[len(prefix) :].split(".", 1)
            known = name in self._modules if below else name in own
            if name == _EXTRA and not below:
                known = type(self).set_extra_state is not Saved.set_extra_state
            if key.startswith(prefix) and not known:
                unexpected_keys.append(key)

    @staticmethod
    def _is_lazy(tensor: Tensor) -> bool:
        return hasattr(tensor, "materialize")

    def _writer(self, name: str, tensor: Tensor, saved: Tensor, assign: bool) -> Callable[[], None]:
        def write() -> None:
            if self._is_lazy(tensor):
                tensor.materialize(saved.shape)
            if not assign:
                tensor.detach().copy_(saved.detach())
                return
            new = saved
            if isinstance(tensor, Parameter) and not isinstance(saved, Parameter):
                new = Parameter(saved.detach(), tensor.requires_grad)
            setattr(self, name, new)

        return write

    # --- hooks -----------------------------------------------------------------------------------------

    def register_state_dict_pre_hook(self, hook) -> Hook:
        """Call hook(module, prefix, keep_vars) before this module is saved."""
        return Hook(self._state_hooks["before saving"], hook)

    def register_state_dict_post_hook(self, hook) -> Hook:
        """Call hook(module, state_dict, prefix, local_metadata) after it is saved; it may change the dict."""
        return Hook(self._state_hooks["after saving"], hook)

    def register_load_state_dict_pre_hook(self, hook) -> Hook:
        """Call hook(module, state_dict, prefix, ...) before this module is loaded; it may change the dict.

        The further arguments are those of PyTorch: local_metadata, strict, missing_keys, unexpected_keys,
        error_msgs.
        """
        return Hook(self._state_hooks["before loading"], hook)

    def register_load_state_dict_post_hook(self, hook) -> Hook:
        """Call hook(module, incompatible_keys) after loading; it may change the two lists of keys."""
        return Hook(self._state_hooks["after loading"], hook)


def new_state_hooks() -> dict[str, HookTable]:
    """Return the tables of a new module's hooks around saving and loading."""
    moments = ("before saving", "after saving", "before loading", "after loading")
    return {moment: HookTable() for moment in moments}
