"""Figures of how good predictions are, from scikit-learn; plain arrays in, frozen records out.

A figure that is 0/0, such as the accuracy of a class without examples, is NaN (null in JSON), not 0.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.errors import CnnkitError

Array = npt.NDArray[Any]

ROUNDING = 1e-3  # by which float16 may carry a probability past 0 or 1


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
        macro_f1: Mean of the labels' F1, where one that is 0/0 counts as 0.
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
    """Figures of a regressor.

    Attributes:
        examples: How many were predicted.
        targets: Figures number by number.
        overall: Means of the numbers' MAE, RMSE and R², which say little where their units differ.
    """

    examples: int
    targets: tuple[TargetRow, ...]
    overall: TargetRow

    def as_dict(self) -> dict[str, Any]:
        """The figures ready for JSON."""
        return asdict(self)


def classification_figures(targets: Array, probabilities: Array, class_names: Sequence[str]) -> ClassificationFigures:
    """Figures of predicted probabilities against true classes.

    Args:
        targets: True class indices `(n,)`.
        probabilities: `(n, classes)`, 0 to 1; or, for two classes, that of the second one as `(n, 1)` or `(n,)`.
        class_names: Names by index.

    Raises:
        CnnkitError: Some probabilities are not finite or not from 0 to 1, or are of another number of classes.
    """
    from sklearn import metrics

    probabilities = _probabilities(probabilities)
    if probabilities.shape[1] == 1:
        probabilities = np.hstack([1 - probabilities, probabilities])
    _check_outputs(probabilities, class_names, "classes")
    labels = np.arange(len(class_names))
    targets = np.asarray(targets).reshape(-1)
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(targets, predicted, labels=labels, zero_division=np.nan)
    weights = np.where(probabilities.any(axis=1, keepdims=True), probabilities, 1)  # nothing given to any class favours none
    return ClassificationFigures(
        examples=len(targets),
        accuracy=float(metrics.accuracy_score(targets, predicted)),
        balanced_accuracy=float(np.nanmean(recall)),
        log_loss=float(metrics.log_loss(targets, weights / weights.sum(axis=1, keepdims=True), labels=labels)),
        classes=tuple(
            ClassRow(name, int(support[i]), float(recall[i]), float(precision[i]), float(f1[i])) for i, name in enumerate(class_names)
        ),
        confusion=metrics.confusion_matrix(targets, predicted, labels=labels),
    )


def multilabel_figures(targets: Array, probabilities: Array, label_names: Sequence[str]) -> MultilabelFigures:
    """Figures of predicted probabilities `(n, labels)` against labels `(n, labels)` of 0 and 1.

    Raises:
        CnnkitError: Some probabilities are not finite or not from 0 to 1, or are of another number of labels.
    """
    from sklearn import metrics

    probabilities = _probabilities(probabilities)
    _check_outputs(probabilities, label_names, "labels")
    true = np.asarray(targets).astype(int).reshape(probabilities.shape)
    predicted = (probabilities >= 0.5).astype(int)
    rows = []
    # Label by label, for scikit-learn takes a single column for two classes and would give the figures of the wrong one.
    for name, given, said in zip(label_names, true.T, predicted.T, strict=True):
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(given, said, average="binary", zero_division=np.nan)
        right = metrics.accuracy_score(given, said)
        rows.append(LabelRow(name, int(given.sum()), float(right), float(precision), float(recall), float(f1)))
    return MultilabelFigures(
        examples=len(true),
        exact=float((true == predicted).all(axis=1).mean()),
        accuracy=float((true == predicted).mean()),
        macro_f1=float(np.mean([0 if np.isnan(row.f1) else row.f1 for row in rows])),
        labels=tuple(rows),
    )


def regression_figures(targets: Array, predictions: Array, target_names: Sequence[str]) -> RegressionFigures:
    """Figures of predicted against true numbers.

    Args:
        targets: True values `(n,)` or `(n, outputs)`.
        predictions: Predicted values `(n, outputs)` or `(n,)`.
        target_names: Names, with units, of the outputs.

    Raises:
        CnnkitError: Some predictions are not finite, or are of another number of outputs.
    """
    predicted = _finite(predictions)
    _check_outputs(predicted, target_names, "numbers to predict")
    true = np.asarray(targets, np.float64).reshape(predicted.shape)
    rows = tuple(_target_row(name, true[:, index], predicted[:, index]) for index, name in enumerate(target_names))
    return RegressionFigures(len(true), rows, _target_row("overall", true, predicted))


def _target_row(name: str, true: Array, predicted: Array) -> TargetRow:
    from sklearn import metrics

    r2 = metrics.r2_score(true, predicted) if len(true) > 1 else np.nan  # undefined for a single example
    return TargetRow(
        name, float(metrics.mean_absolute_error(true, predicted)), float(metrics.root_mean_squared_error(true, predicted)), float(r2)
    )


def _probabilities(values: Array) -> Array:
    values = _finite(values)
    low, high = values.min(), values.max()
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise CnnkitError(
            f"the model gives values from {low:.4g} to {high:.4g}, which are not probabilities",
            "End the network with `activation: softmax`, or sigmoid for one unit or several labels.",
        )
    return values.clip(0, 1)


def _check_outputs(values: Array, names: Sequence[str], noun: str) -> None:
    if values.shape[1] != len(names):
        raise CnnkitError(
            f"the model predicts {values.shape[1]} {noun}, but the data has {len(names)}", "Name the data that it was trained on."
        )


def _finite(values: Array) -> Array:
    """The values as float64 `(n, outputs)`."""
    values = np.asarray(values, np.float64).reshape(len(values), -1)
    bad = int((~np.isfinite(values)).any(axis=1).sum())
    if bad:
        raise CnnkitError(
            f"{bad} of {len(values)} predictions are not finite numbers",
            "The network has diverged, or its input has NaN: train again with a lower learning rate, or look at the data.",
        )
    return values
