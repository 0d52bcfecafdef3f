"""What a convolution does: its numbers are the engine's, and those of the definition."""

import json
import re

import numpy as np
import pytest

from tensor.data import digits
from viz.demos import conv


@pytest.fixture(scope="module")
def recording(demo_page):
    """Return what the page holds."""
    text = demo_page("conv").read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])


def unpack(text, unit=1):
    """Read what `pack_wholes` wrote, by its description."""
    values = []
    for token in text.split():
        whole, _, count = token.partition("*")
        values += [int(whole)] * int(count or 1)
    return np.array(values) / unit


def square(text, unit=1):
    values = unpack(text, unit)
    side = round(len(values) ** 0.5)
    return values.reshape(1, 1, side, side)


def test_whole_numbers_are_packed():
    assert conv.pack_wholes([0.0, 0.0, 0.0, 1.5, -2.0, -2.0], 2) == "0*3 3 -4 -4"
    assert unpack(conv.pack_wholes([0.25, -1.0, -1.0, -1.0], 4), 4).tolist() == [0.25, -1, -1, -1]
    with pytest.raises(ValueError, match=r"expected whole numbers of 1/2, got 0\.25"):
        conv.pack_wholes([1.0, 0.25], 2)


def test_the_pictures_are_typical_digits_in_ten_levels_of_ink(recording):
    images, labels = digits.generate(2500, 0)
    for label in range(10):
        kind = images[labels == label].astype(float)
        image = min(kind, key=lambda one: np.square(one - kind.mean(0)).sum())
        small = image.reshape(14, 2, 14, 2).mean((1, 3))
        for size, wanted in ((14, small), (28, image)):
            levels = square(recording["pictures"][conv.SIZES.index(size)][label])[0, 0]
            assert np.array_equal(levels, np.rint(wanted * 9 / 255))


@pytest.mark.parametrize("label", [0, 3, 7])
def test_every_number_is_that_of_the_definition(recording, reference_conv, label):
    for s, size in enumerate(conv.SIZES):
        x = square(recording["pictures"][s][label])
        assert x.shape == (1, 1, size, size)
        for number, kernel in enumerate(recording["kernels"]):
            unit = kernel["unit"]
            w = square(kernel["weights"], unit)
            assert w.shape[2] == kernel["size"]
            middle = np.zeros_like(w)
            middle[0, 0, w.shape[2] // 2, w.shape[2] // 2] = 1
            for stride in conv.STRIDES:
                for padding in conv.PADDINGS:
                    run = recording["runs"][s][label][number][stride - 1][padding]
                    geometry = (stride, stride), (padding, padding), (1, 1), 1
                    y = reference_conv.conv2d(x, w, None, *geometry)
                    target = reference_conv.conv2d(x, middle, None, *geometry)
                    assert np.array_equal(square(run["y"], unit), y)
                    one = np.zeros(y.size)
                    one[np.abs(y).argmax()] = 1
                    wanted = {
                        "pixel": (y.flatten()[one.argmax()], one.reshape(y.shape)),
                        "sum": (y.sum(), np.ones_like(y)),
                        "squares": (((y - target) ** 2).sum() / 2, y - target),
                    }
                    for (name, _), losses in zip(conv.LOSSES, run["losses"], strict=True):
                        loss, gy = wanted[name]
                        assert losses["loss"] == loss
                        assert np.array_equal(square(losses["gy"], unit), gy)
                        gx = reference_conv.conv2d_dx(gy, w, x.shape[2:], *geometry)
                        gw = reference_conv.conv2d_dweight(gy, x, w.shape[2:], *geometry)
                        assert np.array_equal(square(losses["gx"], unit**2), gx)
                        assert np.array_equal(square(losses["gw"], unit), gw)


def test_the_learned_kernel_was_learned(recording):
    kernel = recording["kernels"][-1]
    weights = unpack(kernel["weights"], 16)
    assert len(weights) == 25
    assert np.abs(weights).max() == 1
    assert len(set(weights.tolist())) > 8
    accuracy = int(re.search(r"names (\d+)% of others", kernel["note"])[1])
    assert 80 <= accuracy <= 100


def test_another_seed_gives_other_digits_and_another_kernel(monkeypatch):
    for name, few in {"EPOCHS": 1, "SIZES": (14,), "STRIDES": (2,), "PADDINGS": (0,)}.items():
        monkeypatch.setattr(conv, name, few)
    mine, other = conv.record(0), conv.record(2**64 - 1)
    for a, b in zip(mine["pictures"][0], other["pictures"][0], strict=True):
        assert a != b
    assert other["kernels"][:-1] == mine["kernels"][:-1]
    assert other["kernels"][-1]["weights"] != mine["kernels"][-1]["weights"]
