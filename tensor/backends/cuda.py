"""`torch.backends.cuda`: how products are computed on a GPU."""

from tensor.switches import get_float32_matmul_precision, set_float32_matmul_precision


class _Matmul:
    """Switches of matrix products; those of half precision keep what they are given."""

    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True

    @property
    def allow_tf32(self) -> bool:
        """Whether float32 may be multiplied in TF32: one switch with `set_float32_matmul_precision`."""
        return get_float32_matmul_precision() != "highest"

    @allow_tf32.setter
    def allow_tf32(self, allowed: bool) -> None:
        set_float32_matmul_precision("high" if allowed else "highest")


matmul = _Matmul()


def is_built() -> bool:
    """Return whether there are CUDA kernels: False."""
    return False
