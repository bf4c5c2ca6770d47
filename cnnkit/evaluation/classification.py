"""Metrics of a classifier, computed by scikit-learn.

A metric that is 0/0, such as the recall of a class without examples, is NaN (null in JSON), not 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.evaluation.bootstrap import Interval, interval, resampled_counts
from cnnkit.evaluation.calibration import ReliabilityBin, by_class, reliability, weighted_gap
from cnnkit.evaluation.one_against_rest import Averages, averages, mean, ranking
from cnnkit.evaluation.outputs import check_outputs, probabilities_of

Array = npt.NDArray[Any]

TOP = (3, 5)  # k of the top-k accuracies, each where there are more than k classes


@dataclass(frozen=True)
class ClassRow:
    """Metrics of one class, one-vs-rest.

    Attributes:
        name: Its name.
        support: Number of its examples.
        accuracy: Share of its examples predicted as it; equal to the recall.
        precision: Share of the examples predicted as it that belong to it.
        recall: Share of its examples predicted as it.
        f1: Harmonic mean of precision and recall.
        roc_auc: Area under the ROC curve, one-vs-rest.
        average_precision: Area under the precision-recall curve (sum over recall steps), one-vs-rest.
    """

    name: str
    support: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    average_precision: float


@dataclass(frozen=True)
class ClassificationMetrics:
    """Metrics of a classifier.

    Attributes:
        examples: Number of examples.
        accuracy: Share of correct predictions.
        balanced_accuracy: Mean recall over the classes that have examples.
        top_k_accuracy: `3`, `5` -> share whose true class is among the k most probable; only for k below the number of classes.
        log_loss: Mean of -ln(probability of the true class).
        roc_auc: Mean of the classes' areas under the ROC curve; of two classes, that of the second.
        average_precision: Mean of the classes' average precisions; of two classes, that of the second.
        expected_calibration_error: Mean gap between confidence and accuracy, 0 to 1.
        intervals: Name of a metric -> its 95 % interval.
        macro: Unweighted averages over the classes that occur or are predicted.
        weighted: Averages over the classes, weighted by support.
        classes: Metrics by class.
        confusion: Counts `(classes, classes)`, rows true, columns predicted.
        reliability: The reliability curve.
    """

    examples: int
    accuracy: float
    balanced_accuracy: float
    top_k_accuracy: Mapping[str, float]
    log_loss: float
    roc_auc: float
    average_precision: float
    expected_calibration_error: float
    intervals: Mapping[str, Interval]
    macro: Averages
    weighted: Averages
    classes: tuple[ClassRow, ...]
    confusion: Array
    reliability: tuple[ReliabilityBin, ...]

    @property
    def confusion_normalized(self) -> Array:
        """The confusion matrix `(classes, classes)` normalized by row; NaN for a class without examples."""
        return shares_of_rows(self.confusion)

    def as_dict(self) -> dict[str, Any]:
        """The metrics as JSON values."""
        normalized = self.confusion_normalized.tolist()
        return {**asdict(self), "confusion": self.confusion.tolist(), "confusion_normalized": normalized}


def classification_metrics(targets: Array, probabilities: Array, class_names: Sequence[str]) -> ClassificationMetrics:
    """Compute the metrics of predicted probabilities against true classes.

    Args:
        targets: True class indices `(n,)`.
        probabilities: `(n, classes)`, 0 to 1; or, for two classes, that of the second one as `(n, 1)` or `(n,)`.
        class_names: Names by index.

    Raises:
        CnnkitError: Some probabilities are not finite or not from 0 to 1, or the number of classes differs.
    """
    from sklearn import metrics

    probabilities = by_class(probabilities_of(probabilities))
    check_outputs(probabilities, class_names, "classes")
    labels = np.arange(len(class_names))
    targets = np.asarray(targets).reshape(-1)
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(targets, predicted, labels=labels, zero_division=np.nan)
    confusion = metrics.confusion_matrix(targets, predicted, labels=labels)
    weights = np.where(probabilities.any(axis=1, keepdims=True), probabilities, 1)  # probabilities that are all 0 become uniform
    ranked = [ranking(targets == label, probabilities[:, label]) for label in labels]
    rows = tuple(
        ClassRow(name, int(support[i]), float(recall[i]), float(precision[i]), float(recall[i]), float(f1[i]), *ranked[i])
        for i, name in enumerate(class_names)
    )
    each, occurring = np.stack([precision, recall, f1], axis=1), ~np.isnan(f1)
    area, average_precision = ranked[1] if len(labels) == 2 else (mean([row[column] for row in ranked]) for column in (0, 1))
    curve = reliability(probabilities, targets)
    return ClassificationMetrics(
        examples=len(targets),
        accuracy=float(metrics.accuracy_score(targets, predicted)),
        balanced_accuracy=float(np.nanmean(recall)),
        top_k_accuracy={
            str(k): float(metrics.top_k_accuracy_score(targets, probabilities, k=k, labels=labels)) for k in TOP if k < len(class_names)
        },
        log_loss=float(metrics.log_loss(targets, weights / weights.sum(axis=1, keepdims=True), labels=labels)),
        roc_auc=area,
        average_precision=average_precision,
        expected_calibration_error=weighted_gap(curve),
        intervals=_intervals(confusion),
        macro=averages(each, occurring),
        weighted=averages(each, support),
        classes=rows,
        confusion=confusion,
        reliability=curve,
    )


def shares_of_rows(confusion: Array) -> Array:
    """A confusion matrix `(classes, classes)` normalized by row; NaN in a row without examples."""
    total = confusion.sum(axis=1, keepdims=True)
    shares: Array = np.divide(confusion, total, out=np.full(confusion.shape, np.nan), where=total > 0)
    return shares


def _intervals(confusion: Array) -> dict[str, Interval]:
    """Intervals of accuracy and balanced accuracy, from the numbers of correct and wrong predictions by class."""
    right = np.diagonal(confusion)
    drawn = resampled_counts(np.stack([right, confusion.sum(axis=1) - right]))  # (resamples, correct or wrong, classes)
    right, support = drawn[:, 0], drawn.sum(axis=1)
    recall = np.divide(right, support, out=np.zeros(right.shape), where=support > 0)
    balanced = recall.sum(axis=1) / (support > 0).sum(axis=1)
    return {"accuracy": interval(right.sum(axis=1) / confusion.sum()), "balanced_accuracy": interval(balanced)}
