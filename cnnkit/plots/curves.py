"""Plots of learning curves, and of series against each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.metrics import VALIDATION_PREFIX, Metric, find, training_columns
from cnnkit.plots.style import FAINT, INK, RIGHT, SOFT, TRAINING, VALIDATION, WRONG, finish, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ABOVE, BELOW = (9, 21, 33), (-15, -27, -39)  # baselines of a label that are tried, in points above its value, nearest first
LETTER_WIDTH, LETTER_HEIGHT = 6.5, 7  # of a bold label of 9 points, in points, on average


def plot_curves(
    history: Sequence[Mapping[str, float]], path: Path, title: str, note: str = "", custom: Mapping[str, str] | None = None
) -> None:
    """Plot training and validation values of the loss and metrics over the epochs, with the best validation epoch marked.

    Args:
        history: A row per epoch with `epoch`, metrics, and the same with `val_`; NaN and missing values leave a gap.
        path: The PNG to write.
        title: The run's name.
        note: A warning about the results; in a red box where not empty.
        custom: Name -> Keras class of metrics that the config names; see `metrics.find`.
    """
    metrics = [find(name, custom) for name in training_columns(history)]
    columns = 2 if len(metrics) == 4 else min(len(metrics), 3)
    rows = -(-len(metrics) // columns)
    figure = new_figure(5.2 * columns + 0.4, 3.4 * rows + 0.7)
    for index, metric in enumerate(metrics):
        draw_curve(figure.add_subplot(rows, columns, index + 1), history, metric)
    finish(figure, path, title, note)


def draw_curve(axes: "Axes", history: Sequence[Mapping[str, float]], metric: Metric) -> None:
    """Draw a panel of `plot_curves`: one metric, whose name is a column of the history, over the epochs."""
    from matplotlib.ticker import MaxNLocator

    axes.margins(y=0.12)
    epochs = np.array([row["epoch"] for row in history])
    room = 0.02 * (epochs[-1] - epochs[0]) or 0.5
    training, validation = (
        np.array([row.get(key, np.nan) for row in history], float) for key in (metric.name, VALIDATION_PREFIX + metric.name)
    )
    curves = [(training, "training", TRAINING), (validation, "validation", VALIDATION)]
    curves = [(values, label, color) for values, label, color in curves if np.isfinite(values).any()]
    for values, _, color in curves:
        axes.plot(epochs, _gaps(values), color=color, linewidth=1.8, marker="o" if len(epochs) <= 30 else "", markersize=3.5)
    axes.set_title(metric.label, loc="left", fontsize=11, color=INK)
    axes.set_xlabel("epoch", color=SOFT, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(epochs[0] - room, epochs[-1] + room)
    axes.set_ylim(*axes.get_ylim())
    style_axes(axes)
    _label_ends(axes, epochs, curves)
    if np.isfinite(validation).any():
        _mark_best(axes, epochs, [_gaps(values) for values, _, _ in curves], metric)


def _gaps(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.where(np.isfinite(values), values, np.nan)


def _label_ends(axes: "Axes", epochs: npt.NDArray[Any], curves: Sequence[tuple[npt.NDArray[Any], str, str]]) -> None:
    """Write each curve's name beside its last value; overlapping names are moved apart."""
    low, high = axes.get_ylim()
    ends = [int(np.flatnonzero(np.isfinite(values))[-1]) for values, _, _ in curves]
    heights = np.array([(values[end] - low) / (high - low) for (values, _, _), end in zip(curves, ends, strict=True)])
    if len(curves) == 2 and (missing := 0.07 - abs(heights[0] - heights[1])) > 0:
        heights += np.array([1, -1]) * (missing / 2 if heights[0] >= heights[1] else -missing / 2)
    for (_, label, color), end, height in zip(curves, ends, heights, strict=True):
        position = (epochs[end], low + height * (high - low))
        axes.annotate(
            label, position, xytext=(7, 0), textcoords="offset points", va="center", fontsize=9, color=color, annotation_clip=False
        )


def _mark_best(axes: "Axes", epochs: npt.NDArray[Any], curves: Sequence[npt.NDArray[Any]], metric: Metric) -> None:
    """Circle the best value of the last curve, and write it with its epoch within the panel, where it covers the curves least."""
    from matplotlib.patheffects import withStroke

    values = curves[-1]
    best = int(np.nanargmax(values) if metric.higher_is_better else np.nanargmin(values))
    axes.plot(epochs[best], values[best], "o", markersize=8, markerfacecolor="none", markeredgecolor=VALIDATION)
    low, high = axes.get_xlim()
    across = (epochs[best] - low) / (high - low)
    alignment, shift, start = ("left", -5, 0.0) if across < 0.2 else ("right", 5, -1.0) if across > 0.8 else ("center", 0, -0.5)
    text = f"{values[best]:.4g} at epoch {epochs[best]:.0f}"
    width = len(text) * LETTER_WIDTH
    fine = np.linspace(epochs[0], epochs[-1], 500)
    points = np.concatenate([np.column_stack([fine, np.interp(fine, epochs, each)]) for each in curves])
    position = (epochs[best], values[best])
    height = _label_height(axes, points, position, (shift + start * width, width), above=metric.higher_is_better)
    axes.annotate(
        text, position, xytext=(shift, height), textcoords="offset points", ha=alignment, fontsize=9, color=VALIDATION, weight="bold",
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )  # fmt: skip


def _label_height(
    axes: "Axes", curves: npt.NDArray[Any], position: tuple[float, float], span: tuple[float, float], *, above: bool
) -> float:
    """The baseline of a label, in points above its position, at which it covers the fewest points of the curves.

    Args:
        axes: The panel, its limits set. Its size is that before the layout, a little larger than that after it.
        curves: Many points of the curves `(points, 2)`: epoch and value.
        position: The labelled epoch and value.
        span: Left edge of the label relative to its position, and its width, in points of 1/72 inch.
        above: Whether above is preferred to below.
    """
    scale: Any = axes.figure.dpi_scale_trans.inverted()  # from pixels to inches
    x, y = 72 * scale.transform(axes.transData.transform(position))
    others = 72 * scale.transform(axes.transData.transform(curves))
    (_, bottom), (_, top) = 72 * scale.transform(axes.transAxes.transform([(0, 0), (1, 1)]))
    beside = others[(others[:, 0] > x + span[0]) & (others[:, 0] < x + span[0] + span[1]), 1]

    def covered(height: float) -> int:
        distances = beside - (y + height + LETTER_HEIGHT / 2)
        return int((np.abs(distances) < LETTER_HEIGHT / 2 + 2).sum())

    heights = [height for pair in zip(ABOVE, BELOW, strict=True) for height in (pair if above else pair[::-1])]
    inside = [height for height in heights if bottom < y + height and y + height + LETTER_HEIGHT < top]
    return min(inside or heights, key=covered)


def plot_lines(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], labels: tuple[str, str], path: Path, title: str, note: str = ""
) -> None:
    """Plot two or more series in one panel.

    Args:
        lines: Name -> x and y of each series, the main one first.
        labels: Labels of the x axis and the y axis.
        path: The PNG to write.
        title: The run's name.
        note: A warning about the results; in a red box where not empty.
    """
    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot()
    for (name, (x, y)), color in zip(lines.items(), (VALIDATION, TRAINING, RIGHT[3], WRONG[2]), strict=False):
        axes.plot(x, y, color=color, linewidth=1.8, marker="o", markersize=4, label=name)
    first = next(iter(lines.values()))[0]
    if len(first) > 1 and max(first) > 20 * min(first):
        axes.set_xscale("log")
        axes.set_xticks(first, [f"{value:,.0f}" for value in first])
        axes.minorticks_off()
    axes.set_xlabel(labels[0], color=INK)
    axes.set_ylabel(labels[1], color=INK, parse_math=False)
    axes.legend(frameon=False)
    axes.grid(visible=True, color=FAINT, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    finish(figure, path, title, note)
