"""Plots: what they draw is what they are given, and texts from users do not break them.

Over 300 lines: the claims on one plot each, of which many share a helper.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from cnnkit.config.task import Task
from cnnkit.interpret.plots import plot_feature_maps
from cnnkit.io.atomic import WriteError
from cnnkit.metrics import ACCURACY, LOSS
from cnnkit.plots import contact_sheet
from cnnkit.plots.confusion import plot_confusion
from cnnkit.plots.curves import draw_curve, plot_curves
from cnnkit.plots.pixels import shaded, value_range
from cnnkit.plots.predicted import plot_predictions
from cnnkit.plots.style import new_figure, shorten

HOSTILE = ("$x_{", "[red]", "中文 🎉", "a" * 400, "two\nlines", "\udcff\x00", "")


def history(epochs):
    rows = []
    for epoch in range(1, epochs + 1):
        loss = 2 / epoch
        row = {"epoch": epoch, "loss": loss, "accuracy": 1 - loss / 3, "val_loss": loss + 0.01 * epoch, "val_accuracy": 0.9 - loss / 3}
        rows.append(row | {"learning_rate": 0.001, "seconds": 2.5, "images_per_second": 900.0})
    return rows


def curves(path, title="cifar", note=""):
    plot_curves(history(6), path, title, note)


def confusion(path, title="cifar", note=""):
    plot_confusion(np.array([[8, 2], [0, 5]]), ("cat", "dog"), path, title, note)


def predictions(path, title="cifar", note=""):
    plot_predictions(np.arange(5.0)[:, None], np.arange(5.0)[:, None] ** 1.1, ["age"], path, title, note)


@pytest.fixture
def drawn(monkeypatch):
    """The figures as they are just before they become pixels."""
    figures = []
    draw = FigureCanvasAgg.draw

    def keep(canvas):
        figures.append(canvas.figure)
        draw(canvas)

    monkeypatch.setattr(FigureCanvasAgg, "draw", keep)
    return figures


def words(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


@pytest.mark.parametrize("draw", [curves, confusion, predictions])
def test_a_picture_decodes_at_150_dots_per_inch_of_its_size(draw, tmp_path, drawn):
    draw(tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        picture.load()
        assert picture.size == tuple(int(150 * inches) for inches in drawn[0].get_size_inches())
        assert picture.getextrema()[0] != (255, 255)
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize("draw", [curves, confusion, predictions])
def test_the_same_content_gives_the_same_bytes(draw, tmp_path):
    draw(tmp_path / "first.png", note="a note")
    draw(tmp_path / "second.png", note="a note")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    with Image.open(tmp_path / "first.png") as picture:
        assert set(picture.info) == {"dpi"}  # neither date nor version, which would change the bytes


@pytest.mark.parametrize("draw", [curves, confusion, predictions])
def test_a_note_stands_in_the_picture_in_red(draw, tmp_path, drawn):
    def reddish(path):
        with Image.open(path) as picture:
            red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB"), int), -1, 0)
        return int(((red > 140) & (green < 60) & (blue < 80)).sum())

    note = "Trained on shapes, a stand-in for cifar10."
    draw(tmp_path / "with.png", note=note)
    draw(tmp_path / "without.png")
    assert note in [text.replace("\n", " ") for text in words(drawn[0])]
    assert reddish(tmp_path / "with.png") > reddish(tmp_path / "without.png") + 500


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_makes_a_picture_fail(name, tmp_path):
    plot_confusion(np.array([[3, 1], [0, 0]]), (name, "b"), tmp_path / "confusion.png", name, name)
    plot_predictions(np.arange(3.0)[:, None], np.arange(3.0)[:, None], [name], tmp_path / "predictions.png", name, name)
    curves(tmp_path / "curves.png", name, name)
    assert len(list(tmp_path.iterdir())) == 3


def test_dollars_and_underscores_are_drawn_as_they_are(tmp_path, drawn):
    plot_confusion(np.eye(2, dtype=int), ("$x_1$", "b"), tmp_path / "a.png", "$t_1$", "$n_1$")
    plot_predictions(np.arange(3.0)[:, None], np.arange(3.0)[:, None], ["$x_1$"], tmp_path / "b.png", "$t_1$", "$n_1$")
    shown = [text for figure in drawn for text in figure.findobj(Text) if "$" in text.get_text()]
    assert {text.get_text() for text in shown} == {"$x_1$", "$t_1$", "$n_1$", "true $x_1$", "predicted $x_1$"}
    assert not any(text.get_parse_math() for text in shown)


def test_long_names_keep_the_end_by_which_they_differ():
    assert shorten("super class number 12") == "super clas…mber 12"
    assert shorten("eighteen letters!!") == "eighteen letters!!"
    assert shorten("a  b\nc") == "a b c"


def test_each_metric_has_a_panel_with_both_curves_named(tmp_path, drawn):
    curves(tmp_path / "curves.png")
    panels = drawn[0].axes
    assert [axes.get_title(loc="left") for axes in panels] == ["loss", "accuracy"]
    for axes, name in zip(panels, ("loss", "accuracy"), strict=True):
        training, validation, _ = axes.lines
        assert training.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
        assert training.get_ydata().tolist() == [row[name] for row in history(6)]
        assert validation.get_ydata().tolist() == [row[f"val_{name}"] for row in history(6)]
        assert {"training", "validation"} <= {text.get_text() for text in axes.texts}


def test_the_best_epoch_is_the_lowest_of_losses_and_the_highest_of_scores(tmp_path, drawn):
    losses = ("loss", "head_loss", "mae", "mse_1", "root_mean_squared_error", "binary_crossentropy", "false_positives", "logcosh")
    scores = ("accuracy", "top_k_categorical_accuracy", "auc", "r2_score", "precision", "maelstrom")
    values = [0.5, 0.25, np.nan, 0.75, np.inf, 0.5]
    rows = [{"epoch": i + 3} | {f"{twin}{name}": v for name in losses + scores for twin in ("", "val_")} for i, v in enumerate(values)]
    plot_curves(rows, tmp_path / "curves.png", "run")
    marked = {(axes.get_title(loc="left"), text.get_text()) for axes in drawn[0].axes for text in axes.texts if " at " in text.get_text()}
    assert marked == {(name, "0.25 at epoch 4") for name in losses} | {(name, "0.75 at epoch 6") for name in scores}


def test_without_validation_nothing_is_marked_best(tmp_path, drawn):
    plot_curves([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}], tmp_path / "curves.png", "run")
    assert not [text for text in words(drawn[0]) if "validation" in text or "at epoch" in text]


def test_metrics_that_begin_in_a_later_epoch_are_drawn(tmp_path, drawn):
    plot_curves([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0, "val_loss": 1.5}], tmp_path / "curves.png", "run")
    assert "1.5 at epoch 2" in words(drawn[0])


@pytest.mark.parametrize("size", [(4.0, 2.7), (5.6, 4.1)])
@pytest.mark.parametrize("metric", [LOSS, ACCURACY])
def test_the_label_of_the_best_epoch_covers_no_curve(metric, size):
    """The curves of an overfitting network: that of training continues to where the label would be by default."""
    training = [0.442, 0.585, 0.644, 0.681, 0.709, 0.729, 0.747, 0.760, 0.776, 0.788]
    validation = [0.520, 0.598, 0.642, 0.675, 0.687, 0.703, 0.695, 0.709, 0.712, 0.699]
    sign = 1 if metric.higher_is_better else -1
    rows = [
        {"epoch": i + 1, metric.name: sign * a, f"val_{metric.name}": sign * b}
        for i, (a, b) in enumerate(zip(training, validation, strict=True))
    ]
    figure = new_figure(*size)
    axes = figure.add_subplot()
    draw_curve(axes, rows, metric)
    figure.canvas.draw()
    (label,) = (text for text in axes.texts if "at epoch" in text.get_text())
    box = label.get_window_extent()
    assert axes.bbox.y0 < box.y0
    assert box.y1 < axes.bbox.y1
    for line in axes.lines[:2]:
        x, y = line.get_data()
        fine = np.linspace(1, 10, 1000)
        assert not box.count_contains(axes.transData.transform(np.column_stack([fine, np.interp(fine, x, y)])))


@pytest.mark.parametrize("epochs", [1, 2, 200])
def test_epoch_ticks_are_whole_numbers(epochs, tmp_path, drawn):
    plot_curves(history(epochs), tmp_path / "curves.png", "run")
    ticks = drawn[0].axes[0].get_xticks()
    assert len(ticks) > 0
    assert ticks.tolist() == ticks.round().tolist()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_run_that_diverged_at_once_is_still_drawn(bad, tmp_path):
    plot_curves([{"epoch": 1, "loss": bad, "val_loss": bad, "accuracy": 0.1, "val_accuracy": 0.1}], tmp_path / "curves.png", "run")
    assert (tmp_path / "curves.png").exists()


def test_curves_that_end_together_have_names_that_do_not_overlap(tmp_path, drawn):
    plot_curves([{"epoch": i, "loss": 1 / i, "val_loss": 1 / i} for i in range(1, 9)], tmp_path / "curves.png", "run")
    first, second = (text.get_window_extent() for text in drawn[0].axes[0].texts if text.get_text() in ("training", "validation"))
    assert not first.overlaps(second)


def test_cells_hold_their_counts_and_are_coloured_by_the_share_of_their_row(tmp_path, drawn):
    counts = np.array([[6, 2, 0], [0, 0, 0], [30, 0, 10]])
    plot_confusion(counts, ("a", "b", "c"), tmp_path / "confusion.png", "run")
    axes = drawn[0].axes[0]
    cells = {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "6\n75%", (0, 1): "2\n25%", (2, 0): "30\n75%", (2, 2): "10\n25%"}
    wrong, right = (image.get_array() for image in axes.images)
    assert right.filled(-1).tolist() == [[0.75, -1, -1], [-1, 0, -1], [-1, -1, 0.25]]
    assert wrong.filled(-1).tolist() == [[-1, 0.25, 0], [0, -1, 0], [0.75, 0, -1]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


@pytest.mark.parametrize(("classes", "counted"), [(2, True), (20, True), (21, False), (100, False)])
def test_counts_are_left_out_where_there_is_no_room(classes, counted, tmp_path, drawn):
    plot_confusion(np.eye(classes, dtype=int) * 7, [f"class {i}" for i in range(classes)], tmp_path / "confusion.png", "run")
    assert words(drawn[0]).count("7\n100%") == (classes if counted else 0)


@pytest.mark.parametrize("classes", [2, 20, 100])
def test_class_names_are_large_enough_to_read_and_do_not_overlap(classes, tmp_path, drawn):
    names = [f"a rather long class name {i}" for i in range(classes)]
    plot_confusion(np.ones((classes, classes), int), names, tmp_path / "confusion.png", "run")
    labels = drawn[0].axes[0].get_yticklabels()
    boxes = [label.get_window_extent() for label in labels]
    assert min(label.get_fontsize() for label in labels) >= 5
    assert not any(above.overlaps(below) for above, below in pairwise(boxes))
    assert min(box.x0 for box in boxes) >= 0


def test_predictions_stand_over_the_targets_with_the_line_of_equality(tmp_path, drawn):
    targets, predicted = np.array([1.0, 2, 4]), np.array([1.5, 2, 3])
    plot_predictions(targets[:, None], predicted[:, None], ["price in €"], tmp_path / "predictions.png", "run")
    axes = drawn[0].axes[0]
    assert axes.collections[0].get_offsets().tolist() == [[1, 1.5], [2, 2], [4, 3]]
    (line,) = axes.lines
    assert tuple(line.get_xdata()) == tuple(line.get_ydata()) == axes.get_xlim() == axes.get_ylim()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("true price in €", "predicted price in €")


@pytest.mark.parametrize(("outputs", "panels", "title"), [(2, 2, "run"), (4, 4, "run"), (11, 9, "run · the first 9 of 11 numbers")])
def test_each_number_to_predict_has_a_panel_up_to_nine(outputs, panels, title, tmp_path, drawn):
    values = np.arange(5.0)[:, None] * np.arange(1, outputs + 1)
    plot_predictions(values, values + 1, [f"n{i}" for i in range(outputs)], tmp_path / "predictions.png", "run")
    axes = drawn[0].axes
    assert [each.get_xlabel() for each in axes] == [f"true n{i}" for i in range(panels)]
    assert axes[1].collections[0].get_offsets().tolist() == [[2 * i, 2 * i + 1] for i in range(5)]
    assert title in words(drawn[0])


@pytest.mark.parametrize("value", [0.0, 3.0, -2.0])
def test_one_prediction_is_drawn_in_the_middle(value, tmp_path, drawn):
    plot_predictions(np.array([[value]]), np.array([[value]]), ["age"], tmp_path / "predictions.png", "run")
    low, high = drawn[0].axes[0].get_xlim()
    assert low < value < high
    assert (low + high) / 2 == pytest.approx(value)


def test_no_picture_touches_the_global_state_of_pyplot(tmp_path):
    from matplotlib import _pylab_helpers, rcParams

    before = dict(rcParams)
    for draw in (curves, confusion, predictions):
        draw(tmp_path / "picture.png")
    assert dict(rcParams) == before
    assert not _pylab_helpers.Gcf.figs


def test_a_picture_that_cannot_be_drawn_leaves_the_old_one(tmp_path, monkeypatch):
    curves(tmp_path / "curves.png")
    before = (tmp_path / "curves.png").read_bytes()

    def fail(_image, path, **_options):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(WriteError, match=r"curves\.png: cannot be written \(disk full\)"):
        curves(tmp_path / "curves.png", note="other")
    assert (tmp_path / "curves.png").read_bytes() == before


def test_a_volume_is_drawn_by_its_middle_slice_and_shares_of_white_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.imshow", lambda axes, pixels, **options: drawn.append(pixels))
    volumes = np.zeros((2, 5, 4, 6, 1), np.float32)
    volumes[:, 2, 1, 3] = 1.0  # the middle slice
    volumes[:, 4] = 0.5
    task = Task("classification", ("a", "b"))
    contact_sheet._draw([(volumes, np.array([0, 1])), (volumes / 2, np.array([0, 1]))], task, tmp_path / "s.png", "title", "")
    assert [pixels.shape for pixels in drawn] == [(4, 6)] * 4
    assert [int(pixels.max()) for pixels in drawn] == [255, 128, 255, 128]  # an example and its darkened version, twice
    assert [np.argwhere(pixels).tolist() for pixels in drawn] == [[[1, 3]]] * 4


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        (np.array([0, 1, 3], np.uint8), (0, 255)),  # dark, but bytes
        (np.array([0.0, 254.6]), (0, 255)),
        (np.array([0.2, 0.9]), (0, 1)),
        (np.array([-1.0, 3.0, np.nan]), (-1, 3)),
        (np.array([20.0, 4000.0]), (20, 4000)),
    ],
)
def test_black_and_white_are_those_of_bytes_of_shares_or_of_the_data(values: np.ndarray, limits: tuple[float, float]) -> None:
    assert value_range(values) == limits
    low, high = limits
    assert shaded(np.array([low, (low + high) / 2, high, np.nan]), limits).tolist() == [0, 0.5, 1, 0]


def test_a_tall_narrow_map_is_drawn_on_a_picture_of_ordinary_size(tmp_path: Path) -> None:
    plot_feature_maps(np.random.default_rng(0).normal(size=(4096, 8, 32)), "conv", tmp_path / "m.png")
    with Image.open(tmp_path / "m.png") as image:
        width, height = image.size
    assert height < 3 * width
