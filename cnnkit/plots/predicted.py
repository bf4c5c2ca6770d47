"""Plots of predicted against true values of a regression."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.plots.style import INK, SOFT, VALIDATION, finish, new_figure, style_axes, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS = 9  # targets that are drawn
MOST_DRAWN_DOTS = 1000  # examples above which an SVG contains the dots as one bitmap


def plot_predictions(
    targets: npt.NDArray[Any], predictions: npt.NDArray[Any], names: Sequence[str], path: Path, title: str, note: str = ""
) -> None:
    """Plot predicted against true values, a panel per target, with the line on which they are equal.

    Args:
        targets: True values `(n, outputs)`.
        predictions: Predicted values `(n, outputs)`.
        names: Names of the targets, with units; of many, the first `MOST_PANELS` are drawn.
        path: The PNG to write.
        title: The run's name.
        note: A warning about the results; in a red box where not empty.
    """
    count = len(names[:MOST_PANELS])
    columns = 2 if count == 4 else min(count, 3)
    side = 5.4 if count == 1 else 4.2
    figure = new_figure(side * columns + 0.4, side * -(-count // columns) + 0.6)
    for index, name in enumerate(names[:count]):
        axes = figure.add_subplot(-(-count // columns), columns, index + 1)
        draw_predictions(axes, targets[:, index], predictions[:, index], name)
    finish(figure, path, title if count == len(names) else f"{title} · the first {count} of {len(names)} numbers", note)


def draw_predictions(axes: "Axes", targets: npt.NDArray[Any], predictions: npt.NDArray[Any], name: str) -> None:
    """Draw a panel of `plot_predictions`: predicted against true values `(n,)` of one target."""
    both = np.concatenate([targets, predictions])
    low, high = float(both.min()), float(both.max())
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1
    limits = (low - room, high + room)
    opacity = float(np.clip(1200 / len(targets), 0.06, 0.6))  # so that many examples show as density
    size, as_pixels = (14 if len(targets) <= 1000 else 7), len(targets) > MOST_DRAWN_DOTS
    axes.scatter(targets, predictions, s=size, alpha=opacity, color=VALIDATION, linewidths=0, rasterized=as_pixels)
    axes.plot(limits, limits, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "predicted = true", (1, 1), xytext=(0, 3), xycoords="axes fraction", textcoords="offset points", ha="right", va="bottom",
        fontsize=8, color=INK,
    )  # fmt: skip
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel(wrap(f"true {name}", 3.8, lines=2), color=SOFT)
    axes.set_ylabel(wrap(f"predicted {name}", 3.8, lines=2), color=SOFT)
    style_axes(axes)
