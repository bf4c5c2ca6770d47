"""Plots of a sweep: the best value so far, and each trial as a line through its parameters."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnkit.metrics import Metric
from cnnkit.plots.style import FAINT, INK, SOFT, TRAINING, VALIDATION, finish, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_TICKS = 5  # values that are written beside an axis of parallel coordinates
LONGEST_TICK = 12  # characters of such a value


def plot_progress(values: Sequence[tuple[int, float]], metric: Metric, path: Path, title: str) -> None:
    """Plot the objective of each finished trial, and the best of them so far.

    Args:
        values: Number and objective of each finished trial, at least one.
        metric: The objective.
        path: The PNG to write.
        title: The sweep's name.
    """
    figure = new_figure(6.4, 3.8)
    draw_progress(figure.add_subplot(), values, metric)
    finish(figure, path, f"{title}: the best trial so far", "")


def draw_progress(axes: "Axes", values: Sequence[tuple[int, float]], metric: Metric) -> None:
    """Draw the panel of `plot_progress`."""
    from matplotlib.ticker import MaxNLocator

    numbers, measured = np.array([number for number, _ in values]), np.array([value for _, value in values], float)
    best = (np.maximum if metric.higher_is_better else np.minimum).accumulate(measured)
    axes.plot(numbers, measured, "o", color=TRAINING, markersize=4, alpha=0.8)
    axes.plot(numbers, best, color=VALIDATION, linewidth=1.8, drawstyle="steps-post")
    first = int(np.argmax(best == best[-1]))
    axes.plot(numbers[first], best[-1], "o", markersize=8, markerfacecolor="none", markeredgecolor=VALIDATION)
    axes.margins(y=0.15)
    low, high = _inner_range(measured)
    if low < high:
        axes.set_ylim(low, high)
    text = f"{metric.text(float(best[-1]))} in trial {numbers[first]}"
    above = 8 if metric.higher_is_better else -15
    late = len(numbers) > 1 and (numbers[first] - numbers[0]) / (numbers[-1] - numbers[0]) > 0.6
    axes.annotate(
        text,
        (numbers[first], best[-1]),
        xytext=(-4 if late else 4, above),
        textcoords="offset points",
        ha="right" if late else "left",
        fontsize=9,
        color=VALIDATION,
        weight="bold",
    )
    axes.set_xlabel("trial", color=SOFT, fontsize=9)
    axes.set_title(metric.label, loc="left", fontsize=11, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    style_axes(axes)


def _inner_range(values: "np.ndarray[Any, Any]") -> tuple[float, float]:
    """Limits that leave out far outliers, which would press all others into one line; with room at both ends."""
    finite = values[np.isfinite(values)]
    if len(finite) < 4:
        return 0.0, 0.0
    quarter, half = np.percentile(finite, [25, 75])
    reach = 3 * (half - quarter)
    inner = finite[(finite >= quarter - reach) & (finite <= half + reach)]
    room = 0.15 * (inner.max() - inner.min())
    return float(inner.min() - room), float(inner.max() + room)


def draw_parallel(
    axes: "Axes",
    trials: Sequence[tuple[Mapping[str, Any], float]],
    names: Mapping[str, str],
    metric: Metric,
    logarithmic: frozenset[str],
) -> None:
    """Draw each trial as a line through its parameters to its objective; the better, the stronger its color.

    Args:
        axes: The panel.
        trials: Parameter -> value, and the objective, of each finished trial.
        names: Parameter -> its label, in the order of the axes.
        metric: The objective, the last axis.
        logarithmic: Parameters that are drawn on a logarithmic scale.
    """
    columns = [_Scale([values[name] for values, _ in trials], logarithmic=name in logarithmic) for name in names]
    columns.append(_Scale([value for _, value in trials], logarithmic=False))
    order = sorted(range(len(trials)), key=lambda index: metric.sort_key(trials[index][1]), reverse=True)
    positions = range(len(columns))
    for rank, index in enumerate(order):
        share = (rank + 1) / len(order)
        is_best = rank == len(order) - 1
        axes.plot(
            positions,
            [column.heights[index] for column in columns],
            color=VALIDATION if share > 0.5 else TRAINING,
            alpha=1.0 if is_best else 0.15 + 0.5 * share**2,
            linewidth=2.6 if is_best else 1.1,
        )
    for position, column in enumerate(columns):
        axes.axvline(position, color=FAINT, linewidth=1, zorder=0)
        ground = {"facecolor": "#ffffff", "edgecolor": "none", "pad": 0.8, "alpha": 0.8}
        for height, text in column.ticks:
            place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
            axes.annotate(text, (position, height), fontsize=8, color=SOFT, bbox=ground, **place)  # type: ignore[arg-type]
    axes.set_xticks(list(positions), [*names.values(), metric.label], fontsize=9, color=INK)
    axes.set_xlim(-0.1, len(columns) - 0.7)
    axes.set_ylim(-0.06, 1.06)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


class _Scale:
    """Values of one axis as heights from 0 to 1, and the ticks beside it."""

    def __init__(self, values: Sequence[Any], *, logarithmic: bool) -> None:
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        if numeric:
            transform = math.log10 if logarithmic else float
            numbers = [transform(value) for value in values]
            distinct = sorted(set(values))
        else:
            distinct = list(dict.fromkeys(sorted(values, key=str)))
            numbers = [float(distinct.index(value)) for value in values]
        low, high = min(numbers), max(numbers)
        span = high - low or 1.0
        self.heights = [(number - low) / span if high > low else 0.5 for number in numbers]
        self.ticks: list[tuple[float, str]] = []
        if not numeric or len(distinct) <= MOST_TICKS:
            self.ticks = [(self.heights[values.index(value)], _tick(value)) for value in distinct]
        else:
            for share in (0.0, 0.5, 1.0):
                number = low + share * span
                self.ticks.append((share, _tick(10**number if logarithmic else number)))


def _tick(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = f"{value:.3g}" if isinstance(value, int | float) else " ".join(str(value).split())
    return text if len(text) <= LONGEST_TICK else f"{text[: LONGEST_TICK - 1]}…"
