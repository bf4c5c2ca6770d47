"""Plot of the confusion matrix."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.plots.style import FAINT, INK, RIGHT, SOFT, WRONG, finish, new_figure, shorten

MOST_COUNTED_CLASSES = 20  # largest number of classes for which counts are written into the cells
CELL = 0.52  # inches per cell with a count
GAMMA = 0.6  # exponent of the color scale, below 1 to make small shares visible


def plot_confusion(confusion: npt.NDArray[Any], class_names: Sequence[str], path: Path, title: str, note: str = "") -> None:
    """Plot a confusion matrix: correct in blue, wrong in orange, darker for a larger share of the row.

    Args:
        confusion: Counts `(classes, classes)`, rows true, columns predicted; up to `MOST_COUNTED_CLASSES` classes, they are written
            into the cells with their share of the row.
        class_names: Names by index.
        path: The PNG to write.
        title: The run's name.
        note: A warning about the results; in a red box where not empty.
    """
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    count = len(class_names)
    counted = count <= MOST_COUNTED_CLASSES
    side = CELL * max(count, 4) if counted else float(np.clip(0.11 * count, CELL * MOST_COUNTED_CLASSES, 22))
    figure = new_figure(side + 2.9, side + 2.1)
    axes = figure.add_subplot()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    scale = PowerNorm(GAMMA, 0, 1)  # on a linear scale a share of 5 % would look like 0
    diagonal = np.eye(count, dtype=bool)
    for index, (colors, label, hidden) in enumerate(((WRONG, "wrong", diagonal), (RIGHT, "right", ~diagonal))):
        color_map = LinearSegmentedColormap.from_list(label, colors)
        image = axes.imshow(np.ma.array(shares, mask=hidden), cmap=color_map, norm=scale)
        bar = figure.colorbar(image, cax=axes.inset_axes((1 + (0.5 - 0.25 * index) / side, 0, 0.16 / side, 1)))
        bar.outline.set_visible(False)
        steps = [0, 0.1, 0.4, 1] if side < 4 else [0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1]
        bar.set_ticks(steps if hidden is diagonal else [])
        bar.ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        bar.ax.tick_params(length=0, labelsize=8, labelcolor=SOFT)
        bar.ax.set_xlabel(label, color=colors[2], fontsize=8, rotation=90)
    names, size = [shorten(name) for name in class_names], float(np.clip(58 * side / count, 2, 9))
    level = count <= 4 and max(map(len, names)) <= 10
    axes.set_xticks(range(count), names, fontsize=size, color=INK, rotation=0 if level else 90)
    axes.set_yticks(range(count), names, fontsize=size, color=INK)
    if counted:
        for row, column in np.argwhere(confusion):
            value, strength = int(confusion[row, column]), shares[row, column] ** GAMMA
            color, weight = "white" if strength > 0.62 else INK, "bold" if row == column else "normal"
            text, size = f"{value}\n{_percent(shares[row, column])}", 7.5 if value < 1e5 else 6
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=color, weight=weight, linespacing=1.15)
    axes.set_xlabel("predicted", color=SOFT)
    axes.set_ylabel("true", color=SOFT)
    axes.tick_params(length=0)
    axes.spines[:].set_color(FAINT)
    finish(figure, path, title, note)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"
