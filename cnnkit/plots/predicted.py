"""Predicted against true numbers of a regression."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.plots.style import INK, SOFT, VALIDATION, calm, finish, new_figure, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS = 9  # numbers to predict that are drawn
MOST_DRAWN_DOTS = 1000  # examples that a drawing of lines (SVG) holds one by one


def plot_predictions(
    targets: npt.NDArray[Any], predictions: npt.NDArray[Any], names: Sequence[str], path: Path, title: str, note: str = ""
) -> None:
    """Draw predicted against true numbers, a panel each, with the line on which they are equal.

    Args:
        targets: True values `(n, outputs)`.
        predictions: Predicted values `(n, outputs)`.
        names: What is predicted, with its unit; of many, the first nine are drawn.
        path: The PNG to write.
        title: The run's name.
        note: A warning about the results; in a red box where not empty.
    """
    shown = len(names[:MOST_PANELS])
    columns = 2 if shown == 4 else min(shown, 3)
    side = 5.4 if shown == 1 else 4.2
    figure = new_figure(side * columns + 0.4, side * -(-shown // columns) + 0.6)
    for index, name in enumerate(names[:shown]):
        axes = figure.add_subplot(-(-shown // columns), columns, index + 1)
        draw_predictions(axes, targets[:, index], predictions[:, index], name)
    finish(figure, path, title if shown == len(names) else f"{title} · the first {shown} of {len(names)} numbers", note)


def draw_predictions(axes: "Axes", targets: npt.NDArray[Any], predictions: npt.NDArray[Any], name: str) -> None:
    """Draw predicted against true values `(n,)` of one number; what `plot_predictions` has in each panel."""
    both = np.concatenate([targets, predictions])
    low, high = float(both.min()), float(both.max())
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1
    limits = (low - room, high + room)
    opacity = float(np.clip(1200 / len(targets), 0.06, 0.6))  # so that many examples show as density, not as one blot
    size, as_pixels = (14 if len(targets) <= 1000 else 7), len(targets) > MOST_DRAWN_DOTS
    axes.scatter(targets, predictions, s=size, alpha=opacity, color=VALIDATION, linewidths=0, rasterized=as_pixels)
    axes.plot(limits, limits, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "predicted = true", (1, 1), xytext=(0, 3), xycoords="axes fraction", textcoords="offset points", ha="right", va="bottom",
        fontsize=8, color=INK,
    )  # fmt: skip
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel(wrapped(f"true {name}", 3.8, lines=2), color=SOFT)
    axes.set_ylabel(wrapped(f"predicted {name}", 3.8, lines=2), color=SOFT)
    calm(axes)
