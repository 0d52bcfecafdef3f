"""`torch.backends.cuda`: there is no CUDA; its switches keep what they are given."""

from types import SimpleNamespace

matmul = SimpleNamespace(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
)


def is_built() -> bool:
    """Return whether there are CUDA kernels: False."""
    return False
