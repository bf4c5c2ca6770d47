"""Metrics of a multi-label classifier, computed by scikit-learn.

A metric that is 0/0, such as the recall of a label that no example has, is NaN (null in JSON), not 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.evaluation.bootstrap import Interval, interval, resampled_sums
from cnnkit.evaluation.one_against_rest import Averages, averages, mean, ranking
from cnnkit.evaluation.outputs import check_outputs, probabilities_of

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LabelRow:
    """Metrics of one label, predicted where its probability is at least 0.5; AUC and average precision rank by probability."""

    name: str
    support: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    average_precision: float


@dataclass(frozen=True)
class MultilabelMetrics:
    """Metrics of a multi-label classifier.

    Attributes:
        examples: Number of examples.
        exact: Share of examples with all labels correct (subset accuracy).
        accuracy: Share of correct predictions over all examples and labels.
        macro_f1: Mean of the labels' F1, where 0/0 counts as 0.
        log_loss: Mean over examples and labels of -ln(probability of the true value).
        roc_auc: Mean of the labels' areas under the ROC curve.
        average_precision: Mean of the labels' average precisions.
        intervals: Name of a metric -> its 95 % interval.
        macro: Unweighted averages over the labels.
        weighted: Averages over the labels, weighted by support.
        labels: Metrics by label.
    """

    examples: int
    exact: float
    accuracy: float
    macro_f1: float
    log_loss: float
    roc_auc: float
    average_precision: float
    intervals: Mapping[str, Interval]
    macro: Averages
    weighted: Averages
    labels: tuple[LabelRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """The metrics as JSON values."""
        return asdict(self)


def multilabel_metrics(targets: Array, probabilities: Array, label_names: Sequence[str]) -> MultilabelMetrics:
    """Compute the metrics of predicted probabilities `(n, labels)` against labels `(n, labels)` of 0 and 1.

    Raises:
        CnnkitError: Some probabilities are not finite or not from 0 to 1, or the number of labels differs.
    """
    from sklearn import metrics

    probabilities = probabilities_of(probabilities)
    check_outputs(probabilities, label_names, "labels")
    true = np.asarray(targets).astype(int).reshape(probabilities.shape)
    predicted = (probabilities >= 0.5).astype(int)
    rows = []
    # One label at a time: scikit-learn takes a single column for two classes and would return the metrics of the wrong one.
    for index, name in enumerate(label_names):
        label_true, label_predicted = true[:, index], predicted[:, index]
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(
            label_true, label_predicted, average="binary", zero_division=np.nan
        )
        right = float(metrics.accuracy_score(label_true, label_predicted))
        ranked = ranking(label_true == 1, probabilities[:, index])
        rows.append(LabelRow(name, int(label_true.sum()), right, float(precision), float(recall), float(f1), *ranked))
    each = np.array([(row.precision, row.recall, row.f1) for row in rows])
    macro = averages(each, np.ones(len(rows)))
    return MultilabelMetrics(
        examples=len(true),
        exact=float((true == predicted).all(axis=1).mean()),
        accuracy=float((true == predicted).mean()),
        macro_f1=macro.f1,
        log_loss=float(metrics.log_loss(true.ravel(), probabilities.ravel(), labels=[0, 1])),
        roc_auc=mean([row.roc_auc for row in rows]),
        average_precision=mean([row.average_precision for row in rows]),
        intervals=_intervals(true, predicted),
        macro=macro,
        weighted=averages(each, true.sum(axis=0)),
        labels=tuple(rows),
    )


def _intervals(true: Array, predicted: Array) -> dict[str, Interval]:
    """Intervals from resampled sums of true positives, of true plus predicted labels (for F1), and of correct predictions."""
    labels, right = true.shape[1], true == predicted
    sums = resampled_sums(
        np.hstack([true & predicted, true + predicted, right.all(axis=1, keepdims=True), right.mean(axis=1, keepdims=True)])
    )
    hits, either = sums[:, :labels], sums[:, labels : 2 * labels]
    f1 = np.divide(2 * hits, either, out=np.zeros(hits.shape), where=either > 0)
    exact, accuracy = sums[:, -2] / len(true), sums[:, -1] / len(true)
    return {"exact": interval(exact), "accuracy": interval(accuracy), "macro_f1": interval(f1.mean(axis=1))}
