"""A picture of how runs learned: a panel for each metric, a line for each run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cnnkit.metrics import VALIDATION_PREFIX, training_columns
from cnnkit.plots.style import COLOURS, INK, SOFT, calm, finish, new_figure, short

MOST_PANELS = 6


def plot_comparison(histories: Mapping[str, Sequence[Mapping[str, float]]], path: Path, note: str = "") -> None:
    """Draw validation curves as lines and training curves as dots, of the metrics that any of the runs has.

    Args:
        histories: Name of a run -> a row an epoch with `epoch`, names, and the same names with `val_`.
        path: The PNG to write.
        note: A warning about the results; in a red box where not empty.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    names = training_columns(row for rows in histories.values() for row in rows)[:MOST_PANELS]
    columns = 2 if len(names) in (2, 4) else min(max(len(names), 1), 3)
    rows = max(1, -(-len(names) // columns))
    figure = new_figure(5 * columns + 0.4, 3.6 * rows + 1.1)
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(histories))]
    for place, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, place + 1)
        for history, colour in zip(histories.values(), colours, strict=True):
            epochs = [row["epoch"] for row in history]
            training, validation = (np.array([row.get(key, np.nan) for row in history], float) for key in (name, VALIDATION_PREFIX + name))
            watched = np.isfinite(validation).any()
            axes.plot(epochs, np.where(np.isfinite(training), training, np.nan), color=colour, linewidth=1.2, linestyle=(0, (1, 2.2)))
            if watched:
                mark = "o" if len(epochs) <= 30 else ""
                axes.plot(
                    epochs, np.where(np.isfinite(validation), validation, np.nan), color=colour, linewidth=1.8, marker=mark, markersize=3.5
                )
        axes.set_title(name, loc="left", fontsize=11, color=INK)
        axes.set_xlabel("epoch", color=SOFT, fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        calm(axes)
    handles = [Line2D([], [], color=colour, linewidth=2.5) for colour in colours]
    handles += [Line2D([], [], color=SOFT, linewidth=1.8), Line2D([], [], color=SOFT, linewidth=1.2, linestyle=(0, (1, 2.2)))]
    labels = [*map(short, histories), "validation", "training"]
    figure.legend(handles, labels, loc="outside lower left", ncols=min(len(labels), 2 * columns), frameon=False, fontsize=9, labelcolor=INK)
    finish(figure, path, f"{len(histories)} runs compared", note)
