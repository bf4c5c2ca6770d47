"""The figures of a run as rows of a page, from what `metrics.json` holds: by task, by class, and what was taken for what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.evaluation.classification import shares_of_rows
from cnnkit.plots.confusion import GAMMA, MOST_COUNTED_CLASSES
from cnnkit.report.plots import confusion_picture

Array = npt.NDArray[Any]

MOST_MIXED = 8  # pairs of classes that are told

_OVERALL: Mapping[str, Sequence[tuple[str, str]]] = {  # words and key, the headline first
    "classification": (
        ("accuracy", "accuracy"),
        ("balanced accuracy", "balanced_accuracy"),
        ("log loss", "log_loss"),
        ("ROC-AUC", "roc_auc"),
        ("average precision", "average_precision"),
        ("calibration error", "expected_calibration_error"),
    ),
    "multilabel": (
        ("macro F1", "macro_f1"),
        ("exact", "exact"),
        ("label accuracy", "accuracy"),
        ("log loss", "log_loss"),
        ("ROC-AUC", "roc_auc"),
        ("average precision", "average_precision"),
    ),
}
_BY_CLASS = ("precision", "recall", "f1", "roc_auc", "average_precision")
_OF_NUMBERS = (("MAE", "mae"), ("RMSE", "rmse"), ("R²", "r2"))


@dataclass(frozen=True)
class Figure:
    """One figure, with its 95 % interval where it has one; None where it is not known."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ByName:
    """Metrics of one class, label or number.

    Attributes:
        name: Its name.
        support: Examples that have it; None for a number.
        figures: In the order of the table's columns.
    """

    name: str
    support: int | None
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix: count, share of its row, and strength of its colour (0 to 1)."""

    count: int
    share: float
    strength: float


@dataclass(frozen=True)
class Mixed:
    """A class that was taken for another one: how often, and the share of its examples."""

    true: str
    said: str
    count: int
    share: float


@dataclass(frozen=True)
class Confusion:
    """What was taken for what.

    Attributes:
        cells: A row for each true class; empty where there are too many to count them in a page.
        picture: Data URI of the whole; empty where there are cells.
        mixed: The most frequent mistakes.
    """

    cells: tuple[tuple[Cell, ...], ...]
    picture: str
    mixed: tuple[Mixed, ...]


@dataclass(frozen=True)
class Metrics:
    """All figures of a run.

    Attributes:
        measured_on: What they were measured on.
        examples: How many that were.
        overall: The headline first.
        by_name: Class by class, label by label or number by number.
        confusion: Of classes; None for anything else.
    """

    measured_on: str
    examples: int
    overall: tuple[Figure, ...]
    by_name: tuple[ByName, ...]
    confusion: Confusion | None


def figures_for_page(metrics: Mapping[str, Any], task: Task) -> Metrics:
    """The figures in `metrics.json`, or of an evaluation's `as_dict`.

    Raises:
        KeyError, TypeError, ValueError: They are not those of the task.
    """
    if task.is_regression:
        rows = tuple(ByName(row["name"], None, _of_number(row)) for row in metrics["targets"])
        overall = rows[0].figures if len(rows) == 1 else _of_number(metrics["overall"])
    else:
        listed = metrics["labels" if task.is_multilabel else "classes"]
        rows = tuple(ByName(row["name"], int(row["support"]), tuple(Figure(key, _number(row[key])) for key in _BY_CLASS)) for row in listed)
        named = [*_OVERALL[task.kind], *((f"top-{k} accuracy", k) for k in metrics.get("top_k_accuracy", {}))]
        flat = {**metrics, **metrics.get("top_k_accuracy", {})}
        overall = tuple(_figure(name, flat[key], metrics["intervals"].get(key)) for name, key in named)
    confusion = confusion_for_page(np.array(metrics["confusion"]), task.names) if task.is_classification else None
    return Metrics(str(metrics["measured_on"]), int(metrics["examples"]), overall, rows, confusion)


def confusion_for_page(counts: Array, names: Sequence[str]) -> Confusion:
    """A confusion matrix `(classes, classes)`, rows true, as cells or a picture, with its most frequent mistakes."""
    shares = shares_of_rows(counts)
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_MIXED]
    pairs = [divmod(int(place), len(counts)) for place in order]
    mixed = tuple(Mixed(names[i], names[j], int(counts[i, j]), float(shares[i, j])) for i, j in pairs if wrong[i, j])
    if len(counts) > MOST_COUNTED_CLASSES:
        return Confusion((), confusion_picture(shares), mixed)
    filled = np.nan_to_num(shares)
    places = range(len(counts))
    cells = tuple(tuple(Cell(int(counts[i, j]), float(filled[i, j]), float(filled[i, j] ** GAMMA)) for j in places) for i in places)
    return Confusion(cells, "", mixed)


def _of_number(row: Mapping[str, Any]) -> tuple[Figure, ...]:
    return tuple(_figure(name, row[key], row["intervals"].get(key)) for name, key in _OF_NUMBERS)


def _figure(name: str, value: Any, interval: Any) -> Figure:
    """The interval is a record as evaluated, or as read from JSON."""
    ends = (interval["low"], interval["high"]) if interval else (None, None)
    return Figure(name, _number(value), *map(_number, ends))


def _number(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
