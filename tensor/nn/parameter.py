"""The Parameter, under the name programs import it by; it is defined beside the Tensor."""

from tensor.engine import Parameter

__all__ = ["Parameter"]
