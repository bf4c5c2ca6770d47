"""Plot of runs on corrupted examples: a panel for each corruption, a line for each run, and a bar chart of the areas."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnkit.plots.style import COLORS, FAINT, INK, SOFT, finish, new_figure, shorten, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cnnkit.robustness.results import Curve, Probe

COLUMNS = 4
MOST_BARS_WITH_NUMBERS = 16
LONGEST_NAME = 32  # characters of a run's name that fit below the panels


def plot_probes(probes: "Sequence[Probe]", path: Path) -> None:
    """Plot the curves of one or more runs that were probed on the same examples.

    Args:
        probes: Results of the runs, the main one first.
        path: The PNG to write.
    """
    names = [curve.name for curve in probes[0].curves]
    panels = len(names) + 1  # the last one holds the areas
    columns = panels if panels < COLUMNS else next(n for n in (4, 3) if n == 3 or panels % 4 != 1)
    rows = -(-panels // columns)
    wide = columns == 2
    figure = new_figure((4.6 if wide else 3.3) * columns + 0.3, (3.6 if wide else 2.75) * rows + (1.2 if len(probes) > 1 else 0.9))
    first = probes[0]
    top = 1.0 if first.metric.higher_is_better else 1.08 * max(max(curve.values) for each in probes for curve in each.curves)
    for index in range(len(names)):
        axes = figure.add_subplot(rows, columns, index + 1)
        for each, color in zip(probes, _cycle(len(probes)), strict=True):
            draw_curve(axes, each.curves[index], color, marked=len(probes) == 1)
        axes.set_ylim(0, top)
        label_axes(axes, first.curves[index], first.metric.label if index % columns == 0 else "")
    _draw_areas(figure.add_subplot(rows, columns, panels), probes, names)
    if len(probes) > 1:
        from matplotlib.lines import Line2D

        handles = [Line2D([], [], color=color, linewidth=2.5) for color in _cycle(len(probes))]
        labels = [
            f"{each.run if len(each.run) <= LONGEST_NAME else shorten(each.run)}, {first.metric.label} {each.clean:.3f} clean"
            for each in probes
        ]
        figure.legend(
            handles, labels, loc="outside lower left", ncols=min(len(probes), 2 if wide else 3), frameon=False, fontsize=9, labelcolor=INK
        )
    subject = f"{first.run}: " if len(probes) == 1 else ""
    title = f"{subject}{first.metric.label} on corrupted examples ({first.examples:,} of the {first.measured_on})"
    finish(figure, path, title, first.note)


def draw_curve(axes: "Axes", curve: "Curve", color: str, *, marked: bool) -> None:
    """Draw a metric over the strengths of one corruption.

    Args:
        axes: The panel.
        curve: The curve.
        color: Color of the line.
        marked: Whether to mark the clean value and fill the area, as for a single curve.
    """
    x = _positions(curve)
    axes.plot(x, curve.values, color=color, linewidth=1.8, marker="o", markersize=3.5)
    if marked:
        clean = curve.values[curve.strengths.index(curve.clean)]
        axes.axhline(clean, color=color, linewidth=0.8, linestyle=(0, (2, 3)))
        axes.fill_between(x, curve.values, color=color, alpha=0.08, linewidth=0)
    axes.set_xticks(x, [f"{strength:g}" for strength in curve.strengths])


def _positions(curve: "Curve") -> np.ndarray:
    return np.log2(curve.strengths) if curve.in_ratios else np.asarray(curve.strengths, float)


def label_axes(axes: "Axes", curve: "Curve", label: str) -> None:
    """Label a panel with the corruption, its unit and, unless `label` is empty, the metric."""
    style_axes(axes)
    axes.set_title(curve.name, loc="left", fontsize=11, color=INK)
    axes.set_xlabel(curve.unit, color=SOFT, fontsize=9)
    axes.tick_params(axis="x", labelsize=8)
    if label:
        axes.set_ylabel(label, color=SOFT, fontsize=9)
    else:
        axes.tick_params(axis="y", labelleft=False)


def _draw_areas(axes: "Axes", probes: "Sequence[Probe]", names: Sequence[str]) -> None:
    """A group of bars per corruption: the area under each curve relative to the clean value."""
    from matplotlib.patheffects import withStroke

    height = 0.8 / len(probes)
    for number, (each, color) in enumerate(zip(probes, _cycle(len(probes)), strict=True)):
        rows = np.arange(len(names)) - 0.4 + height * (number + 0.5)
        areas = [curve.area for curve in each.curves]
        axes.barh(rows, np.nan_to_num(areas), height * 0.85, color=color)
        if len(probes) * len(names) <= MOST_BARS_WITH_NUMBERS:
            for row, area in zip(rows, areas, strict=True):
                halo = [withStroke(linewidth=2.5, foreground="white")]
                position = (float(np.nan_to_num(area)), row)
                axes.annotate(
                    f"{area:.2f}", position, (3, 0), textcoords="offset points", va="center", fontsize=8, color=INK, path_effects=halo
                )
    axes.axvline(1, color=SOFT, linewidth=0.8, linestyle=(0, (2, 3)))
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.invert_yaxis()
    axes.set_title("area relative to clean", loc="left", fontsize=11, color=INK)
    axes.set_xlabel("1: the corruption changes nothing", color=SOFT, fontsize=9)
    style_axes(axes)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, max(1.18, 1.1 * max(np.nan_to_num(curve.area) for each in probes for curve in each.curves)))
    axes.spines["bottom"].set_color(FAINT)


def _cycle(count: int) -> list[str]:
    return [COLORS[index % len(COLORS)] for index in range(count)]
