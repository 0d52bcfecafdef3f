"""Weights divided by their largest singular value (Miyato et al. 2018)."""

from tensor.autograd import no_grad
from tensor.nn import conv
from tensor.nn.parameter import Parameter


def _unit(v, eps: float):
    return v / v.norm().clamp(min=eps)


def as_rows(weight, dim: int):
    """Return a weight as a matrix (size along dim, the rest)."""
    return (weight.movedim(dim, 0) if dim else weight).flatten(1)


class SpectralNorm:
    """The hook that estimates the singular value by power iteration, and divides the weight by it."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float):
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name, self.dim = name, dim
        self.n_power_iterations, self.eps = n_power_iterations, eps

    def compute_weight(self, module, do_power_iteration: bool):
        """Return the weight; with do_power_iteration first make the estimate better."""
        weight = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        matrix = as_rows(weight, self.dim)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(_unit(matrix.T @ u, self.eps))
                    u.copy_(_unit(matrix @ v, self.eps))
            u, v = u.clone(), v.clone()  # a second call before backward changes the buffers
        return weight / (u @ (matrix @ v))

    def __call__(self, module, args) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def spectral_norm(
    module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
):
    """Divide a parameter by an estimate of its largest singular value at each call; returns the module.

    The parameter becomes `{name}_orig`; the estimate is kept in the buffers `{name}_u` and `{name}_v`. dim:
    which counts the rows of the matrix; by default 0, for transposed convolutions 1.
    """
    if dim is None:
        dim = 1 if isinstance(module, conv.ConvTranspose1d | conv.ConvTranspose2d) else 0
    for hook, _ in module._forward_pre_hooks.values():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
    fn, weight = SpectralNorm(name, n_power_iterations, dim, eps), module._parameters[name]
    if weight is None:
        raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
    with no_grad():
        rows, columns = as_rows(weight, dim).shape
        u = _unit(weight.new_zeros(rows).normal_(0, 1), eps)
        v = _unit(weight.new_zeros(columns).normal_(0, 1), eps)
    delattr(module, name)
    module.register_parameter(name + "_orig", weight)
    setattr(module, name, weight.data)  # in place of the parameter until the first call
    module.register_buffer(name + "_u", u)
    module.register_buffer(name + "_v", v)
    module.register_forward_pre_hook(fn)
    return module


def remove_spectral_norm(module, name: str = "weight"):
    """Make the parameter one again, of the value it has; ValueError without `spectral_norm` before."""
    for key, (hook, _) in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            with no_grad():
                weight = hook.compute_weight(module, do_power_iteration=False)
            delattr(module, name)
            for part in ("_u", "_v", "_orig"):
                delattr(module, name + part)
            module.register_parameter(name, Parameter(weight.detach()))
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"spectral_norm of '{name}' not found in {module}")
