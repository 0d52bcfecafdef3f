"""Numbers and arrays as they are shown: in full, by their corners, in one line."""

import numpy as np
import pytest

from micro.text import shorten, show_corners, show_number, show_quantity, summarize


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (2.0, "2.0"),
        (-6.0, "-6.0"),
        (2 / 3, "0.6667"),
        (0.25, "0.25"),
        (1e-7, "1e-07"),
        (-0.00012346, "-0.0001235"),
        (1234567.0, "1.235e+06"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (3, "3"),
        (True, "True"),
    ],
)
def test_show_number(number, text):
    assert show_number(number) == text


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (None, "·"),
        (np.float32(0.5), "0.5"),
        (np.array(0.5), "0.5"),
        (np.array([1, 2]), "[1, 2]"),
        (np.array([[1.0, 2.0], [3.0, 0.1]]), "[[1.0, 2.0],\n[3.0, 0.1]]"),
        (np.zeros(10, dtype=np.float32), "float32 (10,)"),
        (np.zeros((64, 784), dtype=np.int64), "int64 (64, 784)"),
        (np.zeros((0, 3)), "float64 (0, 3)"),
    ],
)
def test_show_quantity(quantity, text):
    assert show_quantity(quantity) == text


# --- corners -----------------------------------------------------------------------------------------


def test_a_small_array_is_shown_in_full_in_columns():
    assert show_corners(np.array([[1.0, -2.0], [100.5, 0.25]])) == "[  1.0,  -2.0]\n[100.5,  0.25]"
    assert show_corners(np.array([1, 2, 3])) == "[1, 2, 3]"
    assert show_corners(np.array(2.5)) == "2.5"


def test_a_large_array_is_shown_by_its_corners():
    lines = show_corners(np.arange(10000).reshape(100, 100)).splitlines()
    assert lines[0] == "[   0,    1,    2, …,   97,   98,   99]"
    assert lines[3] == "…"
    assert lines[-1] == "[9900, 9901, 9902, …, 9997, 9998, 9999]"
    assert len(lines) == 7
    assert len({len(line) for line in lines if line != "…"}) == 1


def test_an_ellipsis_never_stands_for_one_element():
    assert show_corners(np.arange(7)) == "[0, 1, 2, 3, 4, 5, 6]"
    assert show_corners(np.arange(8)) == "[0, 1, 2, …, 5, 6, 7]"


def test_each_matrix_of_more_dimensions_is_named_by_its_place():
    lines = show_corners(np.arange(8).reshape(2, 2, 2)).splitlines()
    assert lines == ["[0, :, :]", "[0, 1]", "[2, 3]", "[1, :, :]", "[4, 5]", "[6, 7]"]
    lines = show_corners(np.zeros((9, 4, 1, 1))).splitlines()
    assert lines[0::2][:3] == ["[0, 0, :, :]", "[0, 1, :, :]", "[0, 2, :, :]"]
    assert "…" in lines
    assert lines[-2] == "[8, 3, :, :]"
    assert len(lines) < 20


def test_an_array_without_elements_has_no_corners():
    assert show_corners(np.zeros((0, 3), dtype=np.float32)) == "float32 (0, 3)"


# --- one line ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([3.0, -4.0]), "float64 (2,)  norm 5.0  min -4.0  mean -0.5  max 3.0"),
        (np.array([[True, False]]), "bool (1, 2)  norm 1.0  min 0  mean 0.5  max 1"),
        (np.array([200, 200], dtype=np.uint8), "uint8 (2,)  norm 282.8427  min 200  mean 200.0  max 200"),
        (np.zeros(3, dtype=np.float32), "float32 (3,)  norm 0.0  min 0.0  mean 0.0  max 0.0"),
        (np.zeros((0, 2)), "float64 (0, 2)"),
        (np.array([1e300, 1e300]), "float64 (2,)  norm 1.414e+300  min 1e+300  mean 1e+300  max 1e+300"),
        (
            np.array([np.nan, 2.0, np.inf]),
            "float64 (3,)  norm 2.0  min 2.0  mean 2.0  max 2.0  1 nan, 1 inf",
        ),
        (np.array([np.nan, np.nan]), "float64 (2,)  2 nan"),
    ],
)
def test_summarize(array, text):
    assert summarize(array) == text


def test_what_is_no_array_of_numpy_is_summarized_by_its_kind():
    class Array:
        shape, dtype = (2, 3), "float16"

    assert summarize(Array()) == "float16 (2, 3)"


def test_shorten():
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "ab…"
