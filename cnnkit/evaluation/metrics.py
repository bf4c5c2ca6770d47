"""Compute the metrics of any task."""

from typing import Any

from cnnkit.config.task import Task
from cnnkit.evaluation.classification import ClassificationMetrics, ClassRow, classification_metrics
from cnnkit.evaluation.multilabel import LabelRow, MultilabelMetrics, multilabel_metrics
from cnnkit.evaluation.regression import RegressionMetrics, TargetRow, regression_metrics

__all__ = [
    "ClassRow",
    "ClassificationMetrics",
    "LabelRow",
    "Metrics",
    "MultilabelMetrics",
    "RegressionMetrics",
    "TargetRow",
    "classification_metrics",
    "compute_metrics",
    "multilabel_metrics",
    "regression_metrics",
]

Metrics = ClassificationMetrics | MultilabelMetrics | RegressionMetrics


def compute_metrics(targets: Any, predictions: Any, task: Task) -> Metrics:
    """Metrics of predictions `(n, outputs)` against targets `(n,)` or `(n, outputs)`.

    Raises:
        CnnkitError: The predictions are not finite, not probabilities where required, or of another number of outputs.
    """
    if task.is_classification:
        return classification_metrics(targets, predictions, task.names)
    if task.is_multilabel:
        return multilabel_metrics(targets, predictions, task.names)
    return regression_metrics(targets, predictions, task.names)
