"""Figures of how good predictions are, from scikit-learn; plain arrays in, frozen records out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.errors import CnnkitError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ClassRow:
    """One class: `accuracy` is the share of its examples that were recognized (its recall)."""

    name: str
    support: int
    accuracy: float
    precision: float
    f1: float


@dataclass(frozen=True)
class ClassificationFigures:
    """Figures of a classifier.

    Attributes:
        examples: How many were predicted.
        accuracy: Share that was right.
        balanced_accuracy: Mean over the classes (those with examples) of the share that was right.
        log_loss: Mean of -ln(probability given to the right class).
        classes: Figures class by class.
        confusion: Counts `(classes, classes)`, rows what it was, columns what was predicted.
    """

    examples: int
    accuracy: float
    balanced_accuracy: float
    log_loss: float
    classes: tuple[ClassRow, ...]
    confusion: Array

    def as_dict(self) -> dict[str, Any]:
        """The figures ready for JSON."""
        return {**asdict(self), "confusion": self.confusion.tolist()}


@dataclass(frozen=True)
class LabelRow:
    """One label of several: figures of saying it where its probability is 0.5 or more."""

    name: str
    support: int
    accuracy: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class MultilabelFigures:
    """Figures of a network that gives any number of labels.

    Attributes:
        examples: How many were predicted.
        exact: Share of examples with every label right.
        accuracy: Share of all single labels that were right.
        macro_f1: Mean of the labels' F1.
        labels: Figures label by label.
    """

    examples: int
    exact: float
    accuracy: float
    macro_f1: float
    labels: tuple[LabelRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """The figures ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class TargetRow:
    """One number to predict: mean absolute error and root mean squared error in its unit, and R²."""

    name: str
    mae: float
    rmse: float
    r2: float


@dataclass(frozen=True)
class RegressionFigures:
    """Figures of a regressor, number by number."""

    examples: int
    targets: tuple[TargetRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """The figures ready for JSON."""
        return asdict(self)


def classification_figures(targets: Array, probabilities: Array, class_names: Sequence[str]) -> ClassificationFigures:
    """Figures of predicted probabilities against true classes.

    Args:
        targets: True class indices `(n,)`.
        probabilities: `(n, classes)`; or, for two classes, that of the second one as `(n, 1)` or `(n,)`.
        class_names: Names by index.

    Raises:
        CnnkitError: Some probabilities are not finite.
    """
    from sklearn import metrics

    probabilities = _finite(np.asarray(probabilities, np.float64))
    if probabilities.ndim == 1 or probabilities.shape[1] == 1:
        positive = probabilities.reshape(-1)
        probabilities = np.stack([1 - positive, positive], axis=1)
    labels = np.arange(len(class_names))
    targets = np.asarray(targets).reshape(-1)
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(targets, predicted, labels=labels, zero_division=0)
    totals = probabilities.sum(axis=1, keepdims=True)
    present = support > 0
    return ClassificationFigures(
        examples=len(targets),
        accuracy=float(metrics.accuracy_score(targets, predicted)),
        balanced_accuracy=float(recall[present].mean()),
        log_loss=float(metrics.log_loss(targets, probabilities / np.where(totals > 0, totals, 1), labels=labels)),
        classes=tuple(
            ClassRow(name, int(support[i]), float(recall[i]), float(precision[i]), float(f1[i])) for i, name in enumerate(class_names)
        ),
        confusion=metrics.confusion_matrix(targets, predicted, labels=labels),
    )


def multilabel_figures(targets: Array, probabilities: Array, label_names: Sequence[str]) -> MultilabelFigures:
    """Figures of predicted probabilities `(n, labels)` against labels `(n, labels)` of 0 and 1.

    Raises:
        CnnkitError: Some probabilities are not finite.
    """
    from sklearn import metrics

    true = np.asarray(targets).astype(int)
    predicted = (_finite(np.asarray(probabilities, np.float64)) >= 0.5).astype(int)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(true, predicted, average=None, zero_division=0)
    right = (true == predicted).mean(axis=0)
    rows = (
        LabelRow(name, int(support[i]), float(right[i]), float(precision[i]), float(recall[i]), float(f1[i]))
        for i, name in enumerate(label_names)
    )
    exact = float(metrics.accuracy_score(true, predicted))
    return MultilabelFigures(len(true), exact, float(right.mean()), float(f1.mean()), tuple(rows))


def regression_figures(targets: Array, predictions: Array, target_names: Sequence[str]) -> RegressionFigures:
    """Figures of predicted against true numbers.

    Args:
        targets: True values `(n,)` or `(n, outputs)`.
        predictions: Predicted values `(n, outputs)` or `(n,)`.
        target_names: Names, with units, of the outputs.

    Raises:
        CnnkitError: Some predictions are not finite.
    """
    from sklearn import metrics

    outputs = len(target_names)
    true = np.asarray(targets, np.float64).reshape(-1, outputs)
    predicted = _finite(np.asarray(predictions, np.float64)).reshape(-1, outputs)
    rows = []
    for index, name in enumerate(target_names):
        pair = true[:, index], predicted[:, index]
        r2 = float(metrics.r2_score(*pair)) if len(true) > 1 else float("nan")  # undefined for a single example
        rows.append(TargetRow(name, float(metrics.mean_absolute_error(*pair)), float(metrics.root_mean_squared_error(*pair)), r2))
    return RegressionFigures(len(true), tuple(rows))


def _finite(values: Array) -> Array:
    bad = int((~np.isfinite(values.reshape(len(values), -1))).any(axis=1).sum())
    if bad:
        raise CnnkitError(
            f"{bad} of {len(values)} predictions are not finite numbers",
            "The network has diverged, or its input has NaN: train again with a lower learning rate, or look at the data.",
        )
    return values
