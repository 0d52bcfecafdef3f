"""viz/plots: a figure says what it was given, in every odd case too, and its bytes are always the same."""

import io
import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[plot]'")

from viz import plots
from viz.document import read_template
from viz.plots import style

ROOT = Path(__file__).parents[3]
LABELS = tuple("0123456789")


def texts(figure):
    """Return all texts of a figure's SVG, which must be one; all of them are text and no outlines."""
    root = ET.fromstring(plots.to_bytes(figure, ".svg"))
    assert root.tag.endswith("svg")
    found = ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("}text")]
    return [text.replace("\u2002", "  ") for text in found]


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(plots.to_bytes(figure, ".png"))).convert("RGB"))


def rgb(colour):
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def epochs(count, **figures):
    return [{"epoch": n, **{key: f(n) for key, f in figures.items()}} for n in range(1, count + 1)]


RUN = epochs(
    5, loss=lambda n: 1.5 / n, accuracy=lambda n: 1 - 0.3 / n, test_loss=lambda n: 1.6 / n,
    test_accuracy=lambda n: 1 - 0.4 / n,
)  # fmt: skip


# --- the style ------------------------------------------------------------------------------------------


def test_colours_are_those_of_the_pages():
    css = read_template("base.css")
    light, dark = style.read_colours(), style.read_colours(dark=True)
    assert len(set(light.series)) == len(set(dark.series)) == 6
    for slot in range(6):
        first = [m.lower() for m in re.findall(rf"--series-{slot + 1}:\s*(#\w+)", css)][:2]
        assert first == [light.series[slot], dark.series[slot]]
    assert rgb(light.paper) > (200, 200, 200)
    assert rgb(dark.paper) < (60, 60, 60)


@pytest.mark.parametrize("dark", [False, True])
def test_the_paper_is_light_or_dark(dark):
    figure = plots.draw_curves([("a", RUN)], dark=dark)
    found = pixels(figure)
    assert tuple(found[0, 0]) == rgb(style.read_colours(dark).paper)
    assert (found == rgb(style.read_colours(dark).series[0])).all(axis=2).sum() > 50


def test_the_same_numbers_give_the_same_bytes_whatever_a_matplotlibrc_says(tmp_path):
    (tmp_path / "matplotlibrc").write_text("axes.facecolor: red\nfont.size: 30\nlines.linewidth: 9\n")
    program = (
        "import sys, hashlib; from viz import plots\n"
        "runs = [('a', [{'epoch': n, 'loss': 0.5 / n, 'accuracy': 0.5} for n in (1, 2)])]\n"
        "for end in ('.svg', '.png'):\n"
        "    print(hashlib.sha256(plots.to_bytes(plots.draw_curves(runs), end)).hexdigest())\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    found = set()
    for extra in (
        {},
        {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "MPLBACKEND": "tkagg", "TZ": "Asia/Tokyo"},
    ):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **extra},
        )  # fmt: skip
        found.add(done.stdout)
        assert done.stderr == ""
    assert len(found) == 1
    assert found.pop().endswith("False\n")


def test_settings_of_the_caller_are_left_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.to_bytes(plots.draw_curves([("a", RUN)], dark=True), ".png")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    "name",
    [
        "$x_1$ & <b>",
        "\x00\x1b[2J",
        "漢字😀",
        "_underscore",
        "a" * 300,
        "\udcff",
        "two\nlines",
        "{}%s\\",
        "-o",
    ],
)
def test_any_name_can_be_drawn(name):
    figure = plots.draw_curves([(name, RUN), ("b", RUN)])
    found = [text for text in texts(figure) if text.endswith("  0.32")]
    assert len(found) == 2
    assert all(len(text) < 45 for text in found)
    if name in ("$x_1$ & <b>", "_underscore", "{}%s\\"):
        assert f"{name}  0.32" in found


def test_parts_are_never_rounded_to_all_or_nothing():
    shown = [style.write_percent(x) for x in (0.0, 1e-9, 0.0123, 0.5, 0.99999, 1.0)]
    assert shown == ["0%", "<0.1%", "1.2%", "50.0%", ">99.9%", "100%"]


def test_labels_are_spread_and_stay_in_order():
    assert style.spread([0.9, 0.5, 0.1], 0.1) == pytest.approx([0.9, 0.5, 0.1])
    assert style.spread([], 0.1) == []
    for heights in ([0.5, 0.5, 0.5], [0.99, 0.98, 0.97, 0.1], [0.02, 0.01, 0.0], [0.6, 0.55, 0.5, 0.45]):
        moved = style.spread(heights, 0.1)
        assert all(a - b >= 0.1 - 1e-9 for a, b in pairwise(moved))
        assert min(moved) >= -1e-9
        assert max(moved) <= 1.0 + 1e-9


# --- curves -----------------------------------------------------------------------------------------------


def lines(figure, axes):
    """Return the curves of several points that are drawn in one of a figure's axes."""
    found = []
    for line in figure.axes[axes].lines:
        if line.get_transform() == figure.axes[axes].transData and line.get_marker() == "None":
            found.append((list(line.get_xdata()), list(line.get_ydata())))
    return found


def test_one_run_shows_training_and_test():
    figure = plots.draw_curves([("run", RUN)])
    numbers = [1, 2, 3, 4, 5]
    assert lines(figure, 0) == [(numbers, [e[key] for e in RUN]) for key in ("loss", "test_loss")]
    assert lines(figure, 1) == [(numbers, [e[key] for e in RUN]) for key in ("accuracy", "test_accuracy")]
    found = texts(figure)
    assert {"run", "loss", "accuracy", "epoch"} <= set(found)
    assert {"training  0.3", "test  0.32", "training  94.00%", "test  92.00%"} <= set(found)


def test_runs_of_different_lengths_and_kinds():
    scalar = epochs(9, loss=lambda n: 0.9**n, accuracy=lambda n: n / 9)
    figure = plots.draw_curves([("mlp", RUN), ("moons", scalar)])
    assert {"2 training runs", "mlp  0.32", "moons  0.387", "moons  100.00%", "mlp  92.00%"} <= set(
        texts(figure)
    )
    assert "on test data; dotted, and where there are none: on training data" in texts(figure)
    assert len(lines(figure, 0)) == 3  # the one's training and test, the other's training
    assert figure.axes[1].get_xlim()[1] >= 9
    assert "on training data" in texts(plots.draw_curves([("a", scalar), ("b", scalar)]))


def test_a_loss_that_falls_far_is_logarithmic():
    far = epochs(6, loss=lambda n: 10.0**-n, accuracy=lambda n: 0.5)
    assert plots.draw_curves([("a", far)]).axes[0].get_yscale() == "log"
    assert plots.draw_curves([("a", RUN)]).axes[0].get_yscale() == "linear"
    zero = epochs(6, loss=lambda n: 10.0**-n if n < 6 else 0.0, accuracy=lambda n: 0.5)
    figure = plots.draw_curves([("a", zero)])  # which has no logarithm
    assert figure.axes[0].get_yscale() == "linear"
    assert "training  0" in texts(figure)


def test_numbers_that_are_none_leave_a_gap():
    broken = [dict(entry) for entry in RUN]
    broken[1]["loss"], broken[4]["loss"], broken[2]["test_loss"] = math.nan, None, math.inf
    figure = plots.draw_curves([("a", broken)])
    (_, loss), (_, test_loss) = lines(figure, 0)
    assert [math.isnan(y) for y in loss] == [False, True, False, False, True]
    assert [math.isnan(y) for y in test_loss] == [False, False, True, False, False]
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[2, 5], [3]]
    assert "training  no number" in texts(figure)
    assert "×: not a finite number" in texts(figure)
    nothing = [{"epoch": 1, "loss": None, "accuracy": None}]
    assert "×: not a finite number" in texts(plots.draw_curves([("a", nothing)]))


def test_one_epoch_is_a_point():
    figure = plots.draw_curves([("a", RUN[:1])])
    points = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [list(line.get_ydata()) for line in points] == [[1.5], [1.6]]
    assert "1" in texts(figure)


def test_more_runs_than_colours():
    figure = plots.draw_curves([(f"run {k}", RUN) for k in range(14)])
    curves = [line for line in figure.axes[0].lines if len(line.get_xdata()) == len(RUN)]
    assert len({(line.get_color(), line.get_linestyle(), str(line._dash_pattern)) for line in curves}) == 14


def test_a_curve_is_drawn_anew_and_survives_a_full_disk():
    written, full = [], [True]

    def write(picture):
        if full[0]:
            raise OSError(28, "No space left on device")
        written.append(picture)

    curve = plots.Curve("Training mlp", ".svg", write, RUN[:2])
    curve.PART = 1e9  # draw each epoch
    curve.add("resume", model="mlp")
    curve.add("epoch", **RUN[2])
    assert not written
    full[0] = False
    curve.add("epoch", **RUN[3])
    curve.add("stop", epoch=4)
    curve.finish()
    assert len(written) == 1
    assert written[0] == plots.to_bytes(plots.draw_curves([("Training mlp", RUN[:4])]), ".svg")
    full[0] = True
    curve.add("epoch", **RUN[4])
    with pytest.raises(OSError, match="No space left"):
        curve.finish()


def test_drawing_takes_a_small_part_of_the_time(monkeypatch):
    now, written = [0.0], []
    monkeypatch.setattr("viz.plots.curves.time.perf_counter", lambda: now[0])

    def write(picture):
        written.append(now[0])
        now[0] += 1.0  # second that it takes

    curve = plots.Curve("a", ".svg", write)
    for n in range(1, 100):
        now[0] += 0.5
        curve.add("epoch", epoch=n, loss=1.0, accuracy=0.5)
    assert 4 <= len(written) <= 6
    curve.finish()
    assert written[-1] >= 49.5


# --- figures of a model -----------------------------------------------------------------------------------


def test_confusion_shows_every_number():
    matrix = np.random.default_rng(0).integers(1, 900, (10, 10))
    matrix[3, 4] = 0
    found = texts(plots.draw_confusion(matrix, LABELS, "A title"))
    for row in range(10):
        for column in range(10):
            if matrix[row, column]:
                assert f"{matrix[row, column]:,}" in found
    assert {"A title", "was taken for", "is", "recall", "precision"} <= set(found)
    right, everything = int(np.trace(matrix)), int(matrix.sum())
    assert f"{right:,} of {everything:,} test images right: {right / everything:.1%}" in found
    for k in range(10):
        assert f"{matrix[k, k] / matrix[k].sum():.1%}" in found
        assert f"{matrix[k, k] / matrix[:, k].sum():.1%}" in found


def test_confusion_without_a_mistake_and_without_a_class():
    found = texts(plots.draw_confusion(np.diag([100, 0, 50]), ("horizontal", "vertical", "diagonal")))
    assert "150 of 150 test images right: 100%" in found
    assert {"100", "0", "50"} <= set(found)
    assert found.count("100%") == 4
    assert found.count("–") == 2
    assert "123k" in texts(plots.draw_confusion(np.array([[123_456, 0], [1, 2]]), ("a", "b")))


def mistake(**given):
    return SimpleNamespace(
        **{"index": 0, "label": 4, "guess": 9, "sure": 0.983, "own": 0.01, "loss": 4.6, **given}
    )


def test_mistakes_show_the_guess_and_how_sure_it_was():
    shown = [mistake(), mistake(label=7, guess=1, sure=0.52, own=0.0)]
    images = np.random.default_rng(0).integers(0, 255, (2, 28, 28)).astype(np.uint8)
    figure = plots.draw_mistakes(images, shown, LABELS, 10_000, 157)
    found = texts(figure)
    assert {"9  98.3%", "is 4: 1.0%", "1  52.0%", "is 7: 0%"} <= set(found)
    assert "157 mistakes in 10,000 test images: 1.6%; here are the worst 2" in found
    drawn = [np.asarray(image.get_array()) for image in figure.axes[0].images]
    assert all(np.array_equal(a, b) for a, b in zip(drawn, images, strict=True))
    assert "9  >99.9%" in texts(plots.draw_mistakes(images[:1], [mistake(sure=0.99999)], LABELS, 9, 1))


def test_no_mistakes_at_all():
    found = texts(plots.draw_mistakes(np.zeros((0, 28, 28), np.uint8), [], LABELS, 100, 0, "Mistakes of mlp"))
    assert found == ["Mistakes of mlp", "No mistake in 100 test images."]


@pytest.mark.parametrize(
    "shape", [(128, 1, 28, 28), (64, 1, 3, 3), (7, 3, 5, 5), (1, 1, 3, 3), (13, 1, 2, 9)]
)
def test_filters_show_every_weight_once(shape):
    weights = np.random.default_rng(0).permutation(math.prod(shape)).reshape(shape).astype(np.float32) - 7
    figure = plots.draw_filters([SimpleNamespace(name="Layer", weights=weights)])
    (axes,) = [axes for axes in figure.axes if axes.images and axes.images[0].get_array().shape[0] > 1]
    drawn = axes.images[0].get_array()
    enlarged = max(1, round(12 / max(shape[2:])))
    assert (~np.ma.getmaskarray(drawn)).sum() == weights.size * enlarged**2
    seen, times = np.unique(np.ma.compressed(drawn).astype(np.float32), return_counts=True)
    assert np.array_equal(seen, np.unique(weights))
    assert set(times) == {enlarged**2}
    size = f"{shape[2]}x{shape[3]}"
    count = f"{shape[0]}x{shape[1]}" if shape[1] > 1 else shape[0]
    assert f"Layer: {count} filter{'s' * (count != 1)} of {size}" in texts(figure)


def test_filters_of_zeros():
    weights = np.zeros((4, 1, 3, 3), np.float32)
    assert "Layer: 4 filters of 3x3" in texts(
        plots.draw_filters([SimpleNamespace(name="Layer", weights=weights)])
    )


def test_flow_shows_each_layer():
    norms = np.exp(np.random.default_rng(0).standard_normal((60, 3)))
    norms[20, 1], norms[30, 2] = 0.0, math.nan
    figure = plots.draw_flow(np.arange(60) / 20, norms, ["a", "b", "c"], "Gradients of mlp")
    drawn = [line for line in figure.axes[0].lines if line.get_transform() == figure.axes[0].transData]
    for layer in range(3):
        y = np.asarray(drawn[2 * layer].get_ydata())
        kept = np.isfinite(y)
        assert np.array_equal(y[kept], norms[kept, layer])
        assert kept.sum() == (60 if layer == 0 else 59)
    found = texts(figure)
    assert {"a", "b", "c", "Gradients of mlp"} <= set(found)
    assert "gaps: 2 of 60 steps with a gradient of 0, or that is no number" in found
    strong = np.asarray(drawn[1].get_ydata())
    assert strong[30] == pytest.approx(np.exp(np.log(norms[26:35, 0]).mean()))
    assert strong[0] == pytest.approx(np.exp(np.log(norms[:5, 0]).mean()))


@pytest.mark.parametrize("norms", [[[1.0]], [[0.0]], [[0.0], [0.0]], [[math.nan], [2.0]]])
def test_flow_of_next_to_nothing(norms):
    found = texts(plots.draw_flow(np.arange(len(norms)) * 1.0, np.array(norms), ["Linear 2→3"]))
    assert ("Linear 2→3" in found) == any(math.isfinite(y) and y > 0 for (y,) in norms)


def test_activations_show_zeros_and_dead_units():
    edges, counts = np.linspace(-1.0, 1.0, 61), np.arange(60)
    layer = {"edges": edges, "counts": counts, "count": 2000, "units": 8}
    layers = [
        SimpleNamespace(name="Linear 4→8", rectifies=False, zeros=0, dead=0, **layer),
        SimpleNamespace(name="ReLU", rectifies=True, zeros=500, dead=3, **layer),
        SimpleNamespace(
            name="ReLU", rectifies=True, zeros=2000, dead=8, **{**layer, "counts": np.zeros(60, int)}
        ),
    ]
    figure = plots.draw_activations(layers, 1000, "Activations of mlp")
    found = texts(figure)
    assert {"Linear 4→8", "25.0% zeros", "3 of 8 units dead", "100% zeros", "8 of 8 units dead"} <= set(found)
    assert found.count("ReLU") == 2
    assert "what each layer gives for 1,000 test images; the histograms leave out zeros" in found
    below, above = figure.axes[0].patches[:2]
    assert np.array_equal(below.get_data().values + above.get_data().values, counts)


# --- what cannot be drawn -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["curve.pdf", "curve", "curve.svg.gz", ".svg"])
def test_another_ending(name):
    with pytest.raises(plots.PlotError, match=r"--plot .*: expected a name that ends in \.svg or \.png"):
        plots.check_output(Path(name), "--plot")


def test_without_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(plots.PlotError, match=r"not installed; pip install 'liftgrad\[plot\]'"):
        plots.check_output(Path("a.svg"))
