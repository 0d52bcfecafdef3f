"""Numbers are written alike by the engine's side and by the browser's."""

import math
import random
import struct

import pytest

from viz.demos.numbers import pack, shown
from viz.document import read_template


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1, "1"), (-3.0, "-3"), (0.5, "0.5000"), (1 / 3, "0.3333"),
        (-2 / 3, "-0.6667"), (12345.678, "12346"), (999999.5, "1.000e6"), (1e6, "1.000e6"),
        (0.0001, "0.0001000"), (0.00009999, "9.999e-5"), (0.000099999, "0.0001000"),
        (1e300, "1.000e300"), (5e-324, "4.941e-324"),
        (math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan"), (0.99999, "1.000"), (100.0, "100"),
        (1234.5, "1235"), (1235.5, "1236"), (0.03125, "0.03125"), (1.0625, "1.063"), (-123456.5, "-123457"),
    ],
)  # fmt: skip
def test_shown(number, text):
    assert shown(number) == text


def test_digits():
    assert [shown(math.pi * 1e-6, digits) for digits in (1, 2, 6)] == ["3e-6", "3.1e-6", "3.14159e-6"]
    assert [shown(math.pi, digits) for digits in (1, 2, 6)] == ["3", "3.1", "3.14159"]


def many_numbers():
    """Return numbers of every size, ties between two roundings, and what has a name of its own."""
    draw = random.Random(0)
    numbers = [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308]
    numbers += [sign * 10.0**power * near for power in range(-9, 12) for sign in (1, -1)
                for near in (1, 1 - 1e-16, 1 - 1e-5, 1 - 4e-5, 1 - 5e-5, 1 - 6e-5, 0.5, 5.5)]  # fmt: skip
    numbers += [n / 2**power for power in range(0, 14) for n in (1, 3, 5, 8193, 20001, 65535)]
    numbers += [draw.gauss(0, 1) * 10 ** draw.uniform(-12, 9) for _ in range(2000)]
    numbers += [struct.unpack("<d", draw.randbytes(8))[0] for _ in range(500)]
    return numbers


def test_the_browser_writes_the_same(browser):
    page = browser.new_page()
    page.add_script_tag(
        content=read_template("numbers.js") + "globalThis.shown = shown; globalThis.unpack = unpack;"
    )
    for digits in (1, 2, 4, 6):
        numbers = many_numbers()
        texts = [shown(number, digits) for number in numbers]
        # as bits: a page's JSON holds no infinity
        seen = page.evaluate(
            "([bits, digits]) => bits.map(([high, low]) => {"
            "const view = new DataView(new ArrayBuffer(8)); view.setUint32(0, high); view.setUint32(4, low);"
            "return shown(view.getFloat64(0), digits); })",
            [[struct.unpack(">II", struct.pack(">d", number)) for number in numbers], digits],
        )
        wrong = [
            (n, ours, theirs) for n, ours, theirs in zip(numbers, texts, seen, strict=True) if ours != theirs
        ]
        assert not wrong
    numbers = many_numbers()
    packed = page.evaluate("(numbers) => numbers.map((x) => shown(unpack(x)))", pack(numbers))
    assert packed == [shown(number) for number in numbers]
    page.close()


def test_packed_numbers_are_shown_as_they_were():
    numbers = many_numbers()
    numbers.append(0.123449999)  # six digits of it are 0.12345, whose four are others
    for number, short in zip(numbers, pack(numbers), strict=True):
        assert shown(float(short)) == shown(number)
        assert isinstance(short, str) != math.isfinite(number)
    assert pack([0.1234567, 2.0, math.nan]) == [0.123457, 2, "nan"]
