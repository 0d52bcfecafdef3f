"""Helpers around parameters: limiting gradients, all parameters as one vector; sequences of other lengths."""

from typing import Any

from tensor import random
from tensor.nn.utils import parametrizations, parametrize, rnn
from tensor.nn.utils.clip_grad import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from tensor.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from tensor.nn.utils.spectral_norm import remove_spectral_norm, spectral_norm
from tensor.nn.utils.weight_norm import remove_weight_norm, weight_norm

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "skip_init",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]


def skip_init(module_cls, *args: Any, **kwargs: Any):
    """Make a module whose parameters need not be drawn; here they are, and no numbers are taken for it."""
    source = random.find_generator()
    state = source.get_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        source.set_state(state)
