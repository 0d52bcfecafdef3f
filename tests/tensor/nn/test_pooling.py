"""nn/pooling.py: modules pass their options on, and print as PyTorch's."""

import numpy as np
import pytest

import tensor
from tensor import nn

# Each module and what PyTorch 2.13 prints of it.
MODULES = {
    "MaxPool1d(3, 2, 1)": "MaxPool1d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)",
    "MaxPool1d(2, dilation=2, ceil_mode=True)": (
        "MaxPool1d(kernel_size=2, stride=2, padding=0, dilation=2, ceil_mode=True)"
    ),
    "MaxPool2d(2)": "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
    "MaxPool2d((2, 3), stride=(1, 2), padding=1)": (
        "MaxPool2d(kernel_size=(2, 3), stride=(1, 2), padding=1, dilation=1, ceil_mode=False)"
    ),
    "MaxPool2d(2, return_indices=True)": (
        "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"
    ),
    "AvgPool1d(2, 1)": "AvgPool1d(kernel_size=(2,), stride=(1,), padding=(0,))",
    "AvgPool1d((3,), padding=1, ceil_mode=True, count_include_pad=False)": (
        "AvgPool1d(kernel_size=(3,), stride=(3,), padding=(1,))"
    ),
    "AvgPool2d(2)": "AvgPool2d(kernel_size=2, stride=2, padding=0)",
    "AvgPool2d(3, 2, 1, True, False)": "AvgPool2d(kernel_size=3, stride=2, padding=1)",
    "AvgPool2d(2, divisor_override=3)": "AvgPool2d(kernel_size=2, stride=2, padding=0)",
    "AdaptiveAvgPool1d(3)": "AdaptiveAvgPool1d(output_size=3)",
    "AdaptiveAvgPool2d((None, 3))": "AdaptiveAvgPool2d(output_size=(None, 3))",
    "AdaptiveMaxPool1d(4)": "AdaptiveMaxPool1d(output_size=4)",
    "AdaptiveMaxPool2d((2, 3), return_indices=True)": "AdaptiveMaxPool2d(output_size=(2, 3))",
}


def build(module, text: str):
    return eval(text, {name: getattr(module.nn, name) for name in nn.__all__ if "Pool" in name})


@pytest.mark.parametrize("text", MODULES)
def test_prints_as_recorded(text: str, engines) -> None:
    for engine in engines:
        assert repr(build(engine, text)) == MODULES[text]


@pytest.mark.parametrize("text", MODULES)
def test_values_and_gradients(check, text: str) -> None:
    shape = (2, 3, 9) if "1d" in text else (2, 3, 7, 8)
    check.op(text, lambda T, x: build(T, text)(x), [check.numbers(*shape)], all_layouts=False)


def test_attributes(engines) -> None:
    for engine in engines:
        pool = engine.nn.MaxPool2d(3)
        assert (pool.kernel_size, pool.stride, pool.padding, pool.dilation) == (3, 3, 0, 1)
        assert (pool.return_indices, pool.ceil_mode) == (False, False)
        assert not list(pool.parameters())
        average = engine.nn.AvgPool1d(2)
        assert (average.kernel_size, average.stride, average.padding) == ((2,), (2,), (0,))
        assert average.count_include_pad is True
        assert engine.nn.AvgPool2d(2).divisor_override is None
        assert engine.nn.AdaptiveMaxPool2d((None, 2)).output_size == (None, 2)


def test_in_a_network() -> None:
    model = nn.Sequential(nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    x = tensor.arange(64.0).reshape(1, 1, 8, 8).requires_grad_()
    out = model(x)
    assert out.tolist() == [[36.0]]
    out.backward()
    expected = np.zeros((8, 8))
    expected[1::2, 1::2] = 1 / 16
    np.testing.assert_array_equal(x.grad.numpy()[0, 0], expected)
