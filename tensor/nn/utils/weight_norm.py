"""Weights as a direction and a length (Salimans and Kingma 2016)."""

from tensor.nn.parameter import Parameter


def lengths(v, dim: int | None):
    """Return the norm of each slice along `dim`, in a shape that broadcasts; of all of it for None."""
    if dim is None:
        return v.norm()
    others = [d for d in range(v.ndim) if d != dim % v.ndim]
    return v.norm(2, dim=others, keepdim=True) if others else v.abs()


class WeightNorm:
    """The hook that computes weight = g * v / norm(v) before each call of a module."""

    def __init__(self, name: str, dim: int | None):
        self.name, self.dim = name, None if dim == -1 else dim

    def compute_weight(self, module):
        """Return the weight."""
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return v * (g / lengths(v, self.dim))

    def __call__(self, module, args) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module, name: str = "weight", dim: int | None = 0):
    """Train a parameter as its length `{name}_g` and its direction `{name}_v`; returns the module.

    dim: along which each slice has a length of its own; None: one length of all.
    """
    for hook, _ in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm) and hook.name == name:
            raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
    found, fn = getattr(module, name), WeightNorm(name, dim)
    delattr(module, name)
    module.register_parameter(name + "_g", Parameter(lengths(found.detach(), fn.dim).clone()))
    module.register_parameter(name + "_v", Parameter(found.detach()))
    setattr(module, name, fn.compute_weight(module))
    module.register_forward_pre_hook(fn)
    return module


def remove_weight_norm(module, name: str = "weight"):
    """Make the parameter one again, of the value it has; ValueError if `weight_norm` had not been called."""
    for key, (hook, _) in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            weight = hook.compute_weight(module)
            delattr(module, name)
            for part in ("_g", "_v"):
                delattr(module, name + part)
            setattr(module, name, Parameter(weight.detach()))
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
