"""One-vs-rest metrics of a class or label, and averages over classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Averages:
    """Precision, recall and F1 averaged over classes or labels, where 0/0 counts as 0, as in scikit-learn."""

    precision: float
    recall: float
    f1: float


def averages(rows: Array, weights: Array) -> Averages:
    """The weighted means of precision, recall and F1 `(classes, 3)`; NaN where all weights are 0."""
    if not weights.any():
        return Averages(np.nan, np.nan, np.nan)
    return Averages(*np.average(np.nan_to_num(rows), axis=0, weights=weights).tolist())


def ranking(positive: Array, scores: Array) -> tuple[float, float]:
    """Area under the ROC curve, and average precision.

    Args:
        positive: Whether each example belongs to the class `(n,)`.
        scores: Scores `(n,)`, higher where the class is more probable.

    Returns:
        Both; NaN without positive examples, and for the area without negative ones.
    """
    from sklearn import metrics

    if not positive.any():
        return np.nan, np.nan
    # A single sort for both; roc_auc_score and average_precision_score take six times as long for the same values.
    _, false, _, true, _ = metrics.confusion_matrix_at_thresholds(positive, scores)
    recall = np.append(0, true / true[-1])
    area = np.nan if positive.all() else float(metrics.auc(np.append(0, false / false[-1]), recall))
    return area, float(np.sum(np.diff(recall) * true / (true + false)))


def mean(values: Sequence[float]) -> float:
    """The mean of the values that are not NaN; NaN where all are."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan
