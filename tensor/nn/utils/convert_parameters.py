"""All parameters as one vector, and back."""

from collections.abc import Iterable

from tensor.engine import Tensor
from tensor.join import cat


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return all elements of the parameters in a row, (total,); gradients flow through."""
    return cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Let the parameters show consecutive parts of `vec`: they share its memory, as in PyTorch."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        if end > vec.numel():
            raise RuntimeError(
                f"vector_to_parameters: a vector of {vec.numel()} elements is too short for the parameters"
            )
        parameter.data = vec[start:end].view_as(parameter).data
        start = end
