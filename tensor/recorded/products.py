"""Matrix products and convolutions, recorded: the derivatives of each are others of them."""

from tensor import conv, products
from tensor.autograd import Operation
from tensor.recorded.basis import tensor_of


def matmul(a, b):
    """Return a @ b; batch dims broadcast."""
    return products.Matmul.apply(tensor_of(a), tensor_of(b))


def linear(x, weight, bias):
    """Return x @ weight.T + bias."""
    return products.Linear.apply(*[tensor_of(v) for v in (x, weight, bias) if v is not None])


def conv2d(x, weight, bias, *geometry):
    """Convolve."""
    operands = [tensor_of(v) for v in (x, weight, bias) if v is not None]
    return conv.Convolution.apply(*operands, geometry=geometry)


def conv2d_dx(grad, weight, input_hw, *geometry):
    """Return the gradient of a convolution in its input, which is the transposed convolution."""
    operands = tensor_of(grad), tensor_of(weight)
    return conv.TransposedConvolution.apply(*operands, geometry=geometry, output_hw=tuple(input_hw))


def conv2d_dparameters(grad, x, kernel, *geometry):
    """Return the gradients of a convolution in its weight and in its bias."""
    return conv2d_dweight(grad, x, kernel, *geometry), tensor_of(grad).sum((0, 2, 3))


def conv2d_dweight(grad, x, kernel, *geometry):
    """Return the gradient of a convolution in its weight."""
    return ConvolutionWeight.apply(tensor_of(grad), tensor_of(x), kernel=tuple(kernel), geometry=geometry)


class ConvolutionWeight(Operation):
    """The gradient of a convolution in its weight: bilinear in the incoming gradient and the input."""

    name = "Convolution"

    def forward(self, k, grad, x, kernel, geometry):
        self.saved = (grad if self.needs[1] else None, x if self.needs[0] else None)
        self.geometry, self.input_hw = geometry, x.shape[2:]
        return k.conv2d_dweight(grad, x, kernel, *geometry)

    def backward(self, k, grad):
        incoming, x = self.saved
        return (
            k.conv2d(x, grad, None, *self.geometry) if self.needs[0] else None,
            k.conv2d_dx(incoming, grad, self.input_hw, *self.geometry) if self.needs[1] else None,
        )
