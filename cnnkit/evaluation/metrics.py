"""The figures that fit a task: one place to get them, whatever is predicted."""

from typing import Any

from cnnkit.data.task import Task
from cnnkit.evaluation.classification import ClassificationFigures, ClassRow, classification_figures
from cnnkit.evaluation.multilabel import LabelRow, MultilabelFigures, multilabel_figures
from cnnkit.evaluation.regression import RegressionFigures, TargetRow, regression_figures

__all__ = [
    "ClassRow",
    "ClassificationFigures",
    "Figures",
    "LabelRow",
    "MultilabelFigures",
    "RegressionFigures",
    "TargetRow",
    "classification_figures",
    "figures_of",
    "multilabel_figures",
    "regression_figures",
]

Figures = ClassificationFigures | MultilabelFigures | RegressionFigures


def figures_of(targets: Any, predictions: Any, task: Task) -> Figures:
    """Figures of predictions `(n, outputs)` against targets `(n,)` or `(n, outputs)`.

    Raises:
        CnnkitError: The predictions are not finite, not probabilities where they have to be, or of another number.
    """
    if task.is_classification:
        return classification_figures(targets, predictions, task.names)
    if task.is_multilabel:
        return multilabel_figures(targets, predictions, task.names)
    return regression_figures(targets, predictions, task.names)
