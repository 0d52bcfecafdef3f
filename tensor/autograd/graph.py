"""The graph of recorded operations: what PyTorch has under `autograd.graph`."""

from tensor.autograd.operation import Operation as Node

_ABSENT = {
    "saved_tensors_hooks": "torch.utils.checkpoint recomputes what would be saved",
    "save_on_cpu": "torch.utils.checkpoint recomputes what would be saved",
    "disable_saved_tensors_hooks": "there are no such hooks",
    "register_multi_grad_hook": "register_hook() takes each tensor",
    "allow_mutation_on_saved_tensors": "clone() what is to be changed",
    "get_gradient_edge": "grad_fn and its next_functions are the edges",
    "GradientEdge": "grad_fn and its next_functions are the edges",
    "increment_version": "change tensors by their own methods, which count",
}


def __getattr__(name: str):
    if name in _ABSENT:
        raise NotImplementedError(f"autograd.graph.{name} is not supported; {_ABSENT[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Node"]
