"""Plots of repeated runs: the learning curves of all runs in one panel a metric, and the final metrics, a dot a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnkit.metrics import VALIDATION_PREFIX, Metric, find, training_columns
from cnnkit.plots.style import COLORS, FAINT, INK, SOFT, TRAINING, VALIDATION, finish, new_figure, shorten, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cnnkit.evaluation.repeated_runs import MeanEstimate

MOST_CURVES = 3  # panels of learning curves
MOST_METRICS = 9  # rows of dots

Histories = Mapping[str, Sequence[Mapping[str, float]]]


def plot_repeats(
    histories: Histories,
    values: "Mapping[Metric, Sequence[float]]",
    estimates: "Mapping[Metric, MeanEstimate]",
    path: Path,
    title: str,
    note: str = "",
    custom: Mapping[str, str] | None = None,
) -> None:
    """Plot the curves of all runs, and a row of dots for each final metric.

    Args:
        histories: Name of a run -> its history, a row per epoch with `epoch`, metrics, and the same with `val_`.
        values: Metric -> its final value in each run.
        estimates: Metric -> its mean and interval.
        path: The PNG to write.
        title: The group's name.
        note: A warning about the results; in a red box where not empty.
        custom: Name -> Keras class of metrics that the config names; see `metrics.find`.
    """
    names = curve_names(histories)
    shown = list(values)[:MOST_METRICS]
    columns = max(len(names), 1)
    figure = new_figure(5.0 * columns + 0.4, 3.4 + 0.6 * len(shown) + 1.2)
    grid = figure.add_gridspec(2, columns, height_ratios=(3.4, 0.6 * len(shown) + 0.3))
    for index, name in enumerate(names):
        draw_curves(figure.add_subplot(grid[0, index]), histories, find(name, custom))
    inner = grid[1, :].subgridspec(len(shown), 1)
    for index, metric in enumerate(shown):
        draw_dots(figure.add_subplot(inner[index]), metric, values[metric], estimates[metric])
    finish(figure, path, title, note)


def curve_names(histories: Histories) -> list[str]:
    """The training columns of the histories that are plotted."""
    return training_columns(row for rows in histories.values() for row in rows)[:MOST_CURVES]


def draw_curves(axes: "Axes", histories: Histories, metric: Metric) -> None:
    """Draw the curves of all runs: a thin line each, and their mean; of the validation examples where there are any, else of training."""
    from matplotlib.ticker import MaxNLocator

    column = VALIDATION_PREFIX + metric.name
    is_validated = any(column in row for rows in histories.values() for row in rows)
    key, color = (column, VALIDATION) if is_validated else (metric.name, TRAINING)
    longest = max((len(rows) for rows in histories.values()), default=0)
    curves = np.full((len(histories), longest), np.nan)
    for index, rows in enumerate(histories.values()):
        curves[index, : len(rows)] = [row.get(key, np.nan) for row in rows]
    curves[~np.isfinite(curves)] = np.nan
    epochs = np.arange(1, longest + 1)
    for curve in curves:
        axes.plot(epochs, curve, color=color, linewidth=0.9, alpha=0.45)
    together = np.isfinite(curves).all(axis=0)  # a mean of those that are left would jump where one stops early
    axes.plot(epochs[together], curves[:, together].mean(axis=0), color=color, linewidth=2.2)
    axes.set_title(f"{'validation' if is_validated else 'training'} {metric.label}", loc="left", fontsize=11, color=INK)
    axes.set_xlabel("epoch", color=SOFT, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    style_axes(axes)


def draw_dots(axes: "Axes", metric: Metric, values: Sequence[float], estimate: "MeanEstimate") -> None:
    """Draw a metric: a dot a run, the mean as a line, its interval as a bar."""
    known = np.array([value for value in values if np.isfinite(value)])
    if np.isfinite(estimate.low):
        axes.axvspan(estimate.low, estimate.high, ymin=0.25, ymax=0.75, color=FAINT, linewidth=0)
    if np.isfinite(estimate.mean):
        axes.axvline(estimate.mean, ymin=0.1, ymax=0.9, color=VALIDATION, linewidth=2)
    axes.plot(known, _spread(known), "o", color=VALIDATION, markersize=5.5, alpha=0.6, markeredgewidth=0)
    axes.set_ylim(-1, 1)
    axes.set_yticks([0], [metric.label])
    axes.margins(x=0.08)
    style_axes(axes)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", labelcolor=INK)
    axes.spines["left"].set_visible(False)


def plot_groups(values: "Mapping[Metric, Mapping[str, Sequence[float]]]", path: Path, title: str, note: str = "") -> None:
    """Plot the final metrics of several groups of runs: a panel a metric, a row of dots a group, its mean as a line.

    Args:
        values: Metric -> name of a group -> the metric in each of its runs.
        path: The PNG to write.
        title: The title.
        note: A warning about the results; in a red box where not empty.
    """
    shown = list(values)[:MOST_METRICS]
    columns = min(max(len(shown), 1), 3)
    rows = max(1, -(-len(shown) // columns))
    groups = len(next(iter(values.values()), ()))
    figure = new_figure(4.6 * columns + 0.4, rows * (0.9 + 0.38 * groups) + 0.9)
    for index, metric in enumerate(shown):
        axes = figure.add_subplot(rows, columns, index + 1)
        for place, each in enumerate(values[metric].values()):
            known = np.array([value for value in each if np.isfinite(value)])
            color = COLORS[place % len(COLORS)]
            axes.plot(known, -place + 0.3 * _spread(known), "o", color=color, markersize=5.5, alpha=0.6, markeredgewidth=0)
            if len(known):
                axes.plot([known.mean()] * 2, [-place - 0.35, -place + 0.35], color=color, linewidth=2)
        axes.set_yticks(-np.arange(groups), [shorten(name) for name in values[metric]] if index % columns == 0 else [""] * groups)
        axes.set_ylim(-groups + 0.4, 0.6)
        axes.margins(x=0.08)
        axes.set_title(metric.label, loc="left", fontsize=11, color=INK)
        style_axes(axes)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", labelcolor=INK)
    finish(figure, path, title, note)


def _spread(values: "np.typing.NDArray[Any]") -> "np.typing.NDArray[Any]":
    """Heights of dots: those of equal or close values one above the other."""
    heights = np.zeros(len(values))
    if len(values) < 2:
        return heights
    near = (values.max() - values.min()) * 0.015
    for index in range(1, len(values)):
        taken = {float(heights[other]) for other in range(index) if abs(values[other] - values[index]) <= near}
        heights[index] = next((height for height in (0.0, 0.4, -0.4, 0.8, -0.8) if height not in taken), 0.0)
    return heights
