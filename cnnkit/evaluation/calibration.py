"""Whether a classifier's probabilities can be taken at their word: expected calibration error and the reliability curve."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.evaluation.plots import INK, SOFT, VALIDATION, WRONG, calm, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]

BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """The examples whose class was given a probability above `low` and up to `high`.

    Attributes:
        low: Lower edge.
        high: Upper edge.
        examples: How many there are.
        confidence: Mean probability that they were given; NaN without examples.
        accuracy: Share of them that was right; NaN without examples.
    """

    low: float
    high: float
    examples: int
    confidence: float
    accuracy: float


def expected_calibration_error(probabilities: Array, targets: Array, bins: int = BINS) -> float:
    """Mean gap between a prediction's probability and the share that is right, over bins of the top class's probability.

    Guo et al. 2017, "On Calibration of Modern Neural Networks": the sum over the bins of
    examples / all examples * |accuracy - confidence|.

    Args:
        probabilities: `(n, classes)`, 0 to 1; or, for two classes, that of the second one as `(n, 1)` or `(n,)`.
        targets: True class indices `(n,)`.
        bins: Bins of equal width from 0 to 1.
    """
    return weighted_gap(reliability(probabilities, targets, bins))


def weighted_gap(curve: Sequence[ReliabilityBin]) -> float:
    """The expected calibration error of a reliability curve."""
    total = sum(group.examples for group in curve)
    return sum(group.examples * abs(group.accuracy - group.confidence) for group in curve if group.examples) / total


def reliability(probabilities: Array, targets: Array, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """The share that is right by the probability of the predicted class; arguments as of `expected_calibration_error`."""
    probabilities = by_class(probabilities)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == np.asarray(targets).reshape(-1)
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], confidence)  # an edge belongs to the bin below it, as in scikit-learn's calibration_curve
    count = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, weights=values, minlength=bins) for values in (confidence, right))
    means = (np.divide(total, count, out=np.full(bins, np.nan), where=count > 0) for total in sums)
    columns = (edges[:-1].tolist(), edges[1:].tolist(), count.tolist(), *(values.tolist() for values in means))
    return tuple(ReliabilityBin(*row) for row in zip(*columns, strict=True))


def by_class(probabilities: Array) -> Array:
    """Probabilities as float64 `(n, classes)`, also those of one sigmoid unit, which gives the second class's alone."""
    values = np.asarray(probabilities, np.float64).reshape(len(probabilities), -1)
    return np.hstack([1 - values, values]) if values.shape[1] == 1 else values


def plot_reliability(curve: Sequence[ReliabilityBin], path: Path, title: str, note: str = "") -> None:
    """Draw the share that is right over the probability given, above how many predictions were given which.

    Args:
        curve: Bins of equal width.
        path: The PNG to write.
        title: The run's name.
        note: What the reader must know of the figures; set apart in red where not empty.
    """
    figure = new_figure(5.4, 6.4)
    draw_reliability(figure, curve)
    finish(figure, path, title, note)


def draw_reliability(figure: "Figure", curve: Sequence[ReliabilityBin]) -> None:
    """Fill a figure with what `plot_reliability` shows."""
    above, below = figure.subplots(2, sharex=True, height_ratios=(3.4, 1))
    filled = [group for group in curve if group.examples]
    width = curve[0].high - curve[0].low
    centres = [(group.low + group.high) / 2 for group in filled]
    accuracy, confidence = ([getattr(group, name) for group in filled] for name in ("accuracy", "confidence"))
    above.bar(centres, accuracy, width, color=VALIDATION, alpha=0.25, edgecolor="white", linewidth=1)
    gaps = np.subtract(confidence, accuracy)
    above.bar(confidence, gaps, 0.012, accuracy, color=WRONG[2])
    above.plot(confidence, accuracy, color=VALIDATION, marker="o", markersize=4.5, linewidth=1.4)
    above.plot((0, 1), (0, 1), color=INK, linewidth=1, linestyle=(0, (4, 3)))
    above.annotate(
        f"expected calibration error {weighted_gap(curve):.4f}", (0, 1), xytext=(9, -9), xycoords="axes fraction",
        textcoords="offset points", ha="left", va="top", fontsize=10, color=WRONG[2], weight="bold",
    )  # fmt: skip
    above.annotate("below the line: too sure", (0.98, 0.03), ha="right", fontsize=8.5, color=SOFT)
    above.set(xlim=(0, 1), ylim=(0, 1))
    above.set_ylabel("share that was right", color=SOFT)
    below.bar(centres, [group.examples for group in filled], width, color=SOFT, edgecolor="white", linewidth=1)
    below.set_ylabel("predictions", color=SOFT)
    below.set_xlabel("probability given to the predicted class", color=SOFT)
    for axes in (above, below):
        calm(axes)
