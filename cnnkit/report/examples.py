"""The test examples that a report shows: the most confident mistakes and the least confident correct predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.evaluation.calibration import by_class

Array = npt.NDArray[Any]

GROUP_SIZE = 12  # examples of each group


@dataclass(frozen=True)
class Choice:
    """A chosen example.

    Attributes:
        position: Its index in the evaluated split.
        output: Index of the output that its heatmap explains.
        lines: Prediction and true target, a line each: term, name, value.
    """

    position: int
    output: int
    lines: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Group:
    """A group of examples in a report.

    Attributes:
        title: Heading.
        empty: Text to show where the group is empty.
        choices: The examples, the most extreme first.
    """

    title: str
    empty: str
    choices: tuple[Choice, ...]


def informative_examples(targets: Array, predictions: Array, task: Task, count: int = GROUP_SIZE) -> tuple[Group, Group]:
    """Choose the most informative predictions of a model, wrong and correct ones.

    Args:
        targets: True values `(n,)` or `(n, outputs)`.
        predictions: The model's outputs `(n, outputs)`.
        task: Kind and names of the outputs.
        count: Largest number of examples per group.

    Returns:
        The most confident mistakes and the least confident correct predictions; of a regression, the worst and the best predictions.
    """
    if task.is_regression:
        return _by_error(np.asarray(targets, float).reshape(predictions.shape), predictions, task.names, count)
    if task.is_multilabel:
        return _by_label(np.asarray(targets).reshape(predictions.shape) >= 0.5, predictions, task.names, count)
    return _by_class(np.asarray(targets).reshape(-1), by_class(predictions), task.names, count)


def _by_class(targets: Array, probabilities: Array, names: Sequence[str], count: int) -> tuple[Group, Group]:
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)

    def choice(position: int) -> Choice:
        row, true = probabilities[position], int(targets[position])
        other, word = (true, "true") if true != predicted[position] else (int(np.argsort(-row, kind="stable")[1]), "or")
        lines = (("predicted", int(predicted[position])), (word, other))
        return Choice(position, int(predicted[position]), tuple((key, names[index], percent(row[index])) for key, index in lines))

    right = predicted == targets
    return _mistakes_and_hits(right, confidence, confidence, choice, count)


def _by_label(targets: Array, probabilities: Array, names: Sequence[str], count: int) -> tuple[Group, Group]:
    """Mistakes by their most confident wrong label, correct predictions by their least confident label."""
    predicted, confidence = probabilities >= 0.5, np.maximum(probabilities, 1 - probabilities)
    wrong = predicted != targets
    worst, narrowest = np.where(wrong, confidence, 0), confidence

    def choice(position: int) -> Choice:
        label = int(worst[position].argmax() if wrong[position].any() else narrowest[position].argmin())
        true = ", ".join(name for name, present in zip(names, targets[position], strict=True) if present) or "none"
        word = "predicted" if predicted[position, label] else "not predicted"
        return Choice(position, label, ((word, names[label], percent(probabilities[position, label])), ("true", true, "")))

    return _mistakes_and_hits(~wrong.any(axis=1), worst.max(axis=1), narrowest.min(axis=1), choice, count)


def _mistakes_and_hits(right: Array, of_mistakes: Array, of_hits: Array, choice: Any, count: int) -> tuple[Group, Group]:
    mistakes = np.argsort(np.where(right, np.inf, -of_mistakes), kind="stable")[: min(count, int((~right).sum()))]
    hits = np.argsort(np.where(right, of_hits, np.inf), kind="stable")[: min(count, int(right.sum()))]
    return (
        Group("Most confident mistakes", "There is no mistake among the examples.", tuple(choice(int(i)) for i in mistakes)),
        Group("Least confident hits", "No example was predicted correctly.", tuple(choice(int(i)) for i in hits)),
    )


def _by_error(targets: Array, predictions: Array, names: Sequence[str], count: int) -> tuple[Group, Group]:
    """By the mean absolute error over the targets, each divided by its standard deviation to be independent of units."""
    deviation = targets.std(axis=0)
    errors = np.abs(predictions - targets) / np.where(deviation > 0, deviation, 1)
    order = np.argsort(errors.mean(axis=1), kind="stable")

    def choice(position: int) -> Choice:
        output = int(errors[position].argmax())
        value, true = float(predictions[position, output]), float(targets[position, output])
        target = ("number", names[output], "") if len(names) > 1 else None
        lines = (target, ("predicted", f"{value:,.4g}", ""), ("true", f"{true:,.4g}", f"{value - true:+,.3g}"))
        return Choice(position, output, tuple(line for line in lines if line is not None))

    worst, best = order[::-1][:count], order[:count]
    return (
        Group("Worst predictions", "There is no example.", tuple(choice(int(i)) for i in worst)),
        Group("Best predictions", "There is no example.", tuple(choice(int(i)) for i in best)),
    )


def percent(share: float) -> str:
    """A probability in percent; values close to 0 or 1 are not rounded to them."""
    if share in {0, 1}:
        return f"{share:.0%}"
    return ">99.9%" if share > 0.9995 else "<0.1%" if share < 0.0005 else f"{share:.1%}"
