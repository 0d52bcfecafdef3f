"""Recording operations and running them backward."""

from tensor.autograd import functional, grad_mode, graph
from tensor.autograd.anomaly_mode import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from tensor.autograd.backpropagation import accumulate, backward, grad
from tensor.autograd.copy_slices import CopySlices
from tensor.autograd.function import Function
from tensor.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from tensor.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from tensor.autograd.hooks import Hook, HookTable
from tensor.autograd.keeping import is_keeping_values, keep_values, set_keep_values
from tensor.autograd.operation import (
    AccumulateGrad,
    Operation,
    Step,
    Version,
    ViewStep,
    record_views_again,
    view_again,
    with_history,
)
from tensor.autograd.variable import Variable
