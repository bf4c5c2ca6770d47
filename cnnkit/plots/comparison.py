"""Plot of the learning curves of several runs: a panel for each metric, a line for each run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cnnkit.metrics import VALIDATION_PREFIX, training_columns
from cnnkit.plots.style import COLORS, INK, SOFT, finish, new_figure, shorten, style_axes

MOST_PANELS = 6


def plot_comparison(histories: Mapping[str, Sequence[Mapping[str, float]]], path: Path, note: str = "") -> None:
    """Plot validation curves as solid and training curves as dotted lines, for all metrics of the runs.

    Args:
        histories: Name of a run -> its history, a row per epoch with `epoch`, metrics, and the same with `val_`.
        path: The PNG to write.
        note: A warning about the results; in a red box where not empty.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    names = training_columns(row for rows in histories.values() for row in rows)[:MOST_PANELS]
    columns = 2 if len(names) in (2, 4) else min(max(len(names), 1), 3)
    rows = max(1, -(-len(names) // columns))
    figure = new_figure(5 * columns + 0.4, 3.6 * rows + 1.1)
    colors = [COLORS[index % len(COLORS)] for index in range(len(histories))]
    for index, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, index + 1)
        for history, color in zip(histories.values(), colors, strict=True):
            epochs = [row["epoch"] for row in history]
            training, validation = (np.array([row.get(key, np.nan) for row in history], float) for key in (name, VALIDATION_PREFIX + name))
            has_validation = np.isfinite(validation).any()
            axes.plot(epochs, np.where(np.isfinite(training), training, np.nan), color=color, linewidth=1.2, linestyle=(0, (1, 2.2)))
            if has_validation:
                marker = "o" if len(epochs) <= 30 else ""
                finite = np.where(np.isfinite(validation), validation, np.nan)
                axes.plot(epochs, finite, color=color, linewidth=1.8, marker=marker, markersize=3.5)
        axes.set_title(name, loc="left", fontsize=11, color=INK)
        axes.set_xlabel("epoch", color=SOFT, fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        style_axes(axes)
    handles = [Line2D([], [], color=color, linewidth=2.5) for color in colors]
    handles += [Line2D([], [], color=SOFT, linewidth=1.8), Line2D([], [], color=SOFT, linewidth=1.2, linestyle=(0, (1, 2.2)))]
    labels = [*map(shorten, histories), "validation", "training"]
    figure.legend(handles, labels, loc="outside lower left", ncols=min(len(labels), 2 * columns), frameon=False, fontsize=9, labelcolor=INK)
    finish(figure, path, f"{len(histories)} runs compared", note)
