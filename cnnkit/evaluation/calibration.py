"""Calibration of a classifier's probabilities: expected calibration error and reliability curve."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """The examples whose predicted class has a probability above `low` and up to `high`.

    Attributes:
        low: Lower edge.
        high: Upper edge.
        examples: Number of examples.
        confidence: Mean probability of the predicted class; NaN without examples.
        accuracy: Share of correct predictions; NaN without examples.
    """

    low: float
    high: float
    examples: int
    confidence: float
    accuracy: float


def expected_calibration_error(probabilities: Array, targets: Array, bins: int = BINS) -> float:
    """Mean gap between confidence and accuracy, over bins of the predicted class's probability.

    Guo et al. 2017, "On Calibration of Modern Neural Networks": the sum over the bins of
    examples / all examples * |accuracy - confidence|.

    Args:
        probabilities: `(n, classes)`, 0 to 1; or, for two classes, that of the second one as `(n, 1)` or `(n,)`.
        targets: True class indices `(n,)`.
        bins: Number of bins of equal width from 0 to 1.
    """
    return weighted_gap(reliability(probabilities, targets, bins))


def weighted_gap(curve: Sequence[ReliabilityBin]) -> float:
    """The expected calibration error of a reliability curve."""
    total = sum(group.examples for group in curve)
    return sum(group.examples * abs(group.accuracy - group.confidence) for group in curve if group.examples) / total


def reliability(probabilities: Array, targets: Array, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """The reliability curve: accuracy by the probability of the predicted class; for the arguments see `expected_calibration_error`."""
    probabilities = by_class(probabilities)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == np.asarray(targets).reshape(-1)
    edges = np.linspace(0, 1, bins + 1)
    bin_index = np.searchsorted(edges[1:-1], confidence)  # an edge belongs to the bin below it, as in scikit-learn's calibration_curve
    count = np.bincount(bin_index, minlength=bins)
    sums = (np.bincount(bin_index, weights=values, minlength=bins) for values in (confidence, right))
    means = (np.divide(total, count, out=np.full(bins, np.nan), where=count > 0) for total in sums)
    columns = (edges[:-1].tolist(), edges[1:].tolist(), count.tolist(), *(values.tolist() for values in means))
    return tuple(ReliabilityBin(*row) for row in zip(*columns, strict=True))


def by_class(probabilities: Array) -> Array:
    """Probabilities as float64 `(n, classes)`; those of one sigmoid unit, `(n, 1)` or `(n,)`, become two columns."""
    values = np.asarray(probabilities, np.float64).reshape(len(probabilities), -1)
    return np.hstack([1 - values, values]) if values.shape[1] == 1 else values
