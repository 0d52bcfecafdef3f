"""Helpers around parameters: limiting gradients, all parameters as one vector; sequences of other lengths."""

from tensor.nn.utils import rnn
from tensor.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_
from tensor.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "rnn", "vector_to_parameters"]
