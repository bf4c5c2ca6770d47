"""The reliability diagram of a classifier."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnkit.evaluation.calibration import ReliabilityBin, weighted_gap
from cnnkit.plots.style import INK, SOFT, VALIDATION, WRONG, finish, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_reliability(curve: Sequence[ReliabilityBin], path: Path, title: str, note: str = "") -> None:
    """Plot accuracy over confidence, above a histogram of the confidence.

    Args:
        curve: Bins of equal width, as from `evaluation.calibration.reliability`.
        path: The PNG to write.
        title: The run's name.
        note: A warning about the results; in a red box where not empty.
    """
    figure = new_figure(5.4, 6.4)
    draw_reliability(figure, curve)
    finish(figure, path, title, note)


def draw_reliability(figure: "Figure", curve: Sequence[ReliabilityBin]) -> None:
    """Draw the content of `plot_reliability` into a figure."""
    diagram, histogram = figure.subplots(2, sharex=True, height_ratios=(3.4, 1))
    filled = [group for group in curve if group.examples]
    width = curve[0].high - curve[0].low
    centres = [(group.low + group.high) / 2 for group in filled]
    accuracy, confidence = ([getattr(group, name) for group in filled] for name in ("accuracy", "confidence"))
    diagram.bar(centres, accuracy, width, color=VALIDATION, alpha=0.25, edgecolor="white", linewidth=1)
    gaps = np.subtract(confidence, accuracy)
    diagram.bar(confidence, gaps, 0.012, accuracy, color=WRONG[2])
    diagram.plot(confidence, accuracy, color=VALIDATION, marker="o", markersize=4.5, linewidth=1.4)
    diagram.plot((0, 1), (0, 1), color=INK, linewidth=1, linestyle=(0, (4, 3)))
    diagram.annotate(
        f"expected calibration error {weighted_gap(curve):.4f}", (0, 1), xytext=(9, -9), xycoords="axes fraction",
        textcoords="offset points", ha="left", va="top", fontsize=10, color=WRONG[2], weight="bold",
    )  # fmt: skip
    diagram.annotate("below the line: overconfident", (0.98, 0.03), ha="right", fontsize=8.5, color=SOFT)
    diagram.set(xlim=(0, 1), ylim=(0, 1))
    diagram.set_ylabel("share that was right", color=SOFT)
    histogram.bar(centres, [group.examples for group in filled], width, color=SOFT, edgecolor="white", linewidth=1)
    histogram.set_ylabel("predictions", color=SOFT)
    histogram.set_xlabel("probability given to the predicted class", color=SOFT)
    for axes in (diagram, histogram):
        style_axes(axes)
