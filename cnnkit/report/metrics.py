"""A run's metrics for the report, from the content of `metrics.json`: overall, by class, and the confusion matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.evaluation.classification import shares_of_rows
from cnnkit.metrics import TASK_METRICS, MetricValue
from cnnkit.plots.confusion import GAMMA, MOST_COUNTED_CLASSES
from cnnkit.report.plots import confusion_picture

Array = npt.NDArray[Any]

MOST_CONFUSED = 8  # pairs of classes in the list of the most frequent mistakes


@dataclass(frozen=True)
class MetricsRow:
    """Metrics of one class, label or number.

    Attributes:
        name: Its name.
        support: Number of examples that have it; None for a regression target.
        metrics: Values in the order of the table's columns.
    """

    name: str
    support: int | None
    metrics: tuple[MetricValue, ...]


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix: count, share of its row, and color intensity (0 to 1)."""

    count: int
    share: float
    strength: float


@dataclass(frozen=True)
class ConfusedPair:
    """A class that was predicted as another one: number and share of its examples."""

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix.

    Attributes:
        cells: A row for each true class; empty where there are too many classes for a table.
        picture: Data URI of the matrix as an image; empty where there are cells.
        pairs: The most frequent mistakes.
    """

    cells: tuple[tuple[Cell, ...], ...]
    picture: str
    pairs: tuple[ConfusedPair, ...]


@dataclass(frozen=True)
class PageMetrics:
    """All metrics of a run.

    Attributes:
        measured_on: Split and data set that they were computed on.
        examples: Number of those examples.
        overall: Metrics over all outputs, the headline metric first.
        rows: Metrics by class, label or target, and of the baseline that always predicts a target's mean.
        confusion: The confusion matrix of a classification; else None.
    """

    measured_on: str
    examples: int
    overall: tuple[MetricValue, ...]
    rows: tuple[MetricsRow, ...]
    confusion: Confusion | None


def metrics_for_page(results: Mapping[str, Any], task: Task) -> PageMetrics:
    """The metrics in `metrics.json`, or of an evaluation's `as_dict`.

    Raises:
        KeyError, TypeError, ValueError: The metrics are not those of the task.
    """
    known = TASK_METRICS[task.kind]
    listed = results[known.rows]
    rows = tuple(MetricsRow(row["name"], None if task.is_regression else int(row["support"]), known.measured_in(row)) for row in listed)
    baseline = results.get("baseline", ())  # older runs and other tasks have none
    rows += tuple(MetricsRow(f"{row['name']}, always its mean", None, known.measured_in(row)) for row in baseline)
    overall = known.measured(results)
    if not overall or overall[0].metric != known.overall[0]:
        raise KeyError(known.overall[0].name)
    confusion = confusion_for_page(np.array(results["confusion"]), task.names) if task.is_classification else None
    return PageMetrics(str(results["measured_on"]), int(results["examples"]), overall, rows, confusion)


def confusion_for_page(counts: Array, names: Sequence[str]) -> Confusion:
    """A confusion matrix `(classes, classes)`, rows true, as cells or an image, with its most frequent mistakes."""
    shares = shares_of_rows(counts)
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSED]
    pairs = [divmod(int(index), len(counts)) for index in order]
    confused = tuple(ConfusedPair(names[i], names[j], int(counts[i, j]), float(shares[i, j])) for i, j in pairs if wrong[i, j])
    if len(counts) > MOST_COUNTED_CLASSES:
        return Confusion((), confusion_picture(shares), confused)
    filled = np.nan_to_num(shares)
    indices = range(len(counts))
    cells = tuple(tuple(Cell(int(counts[i, j]), float(filled[i, j]), float(filled[i, j] ** GAMMA)) for j in indices) for i in indices)
    return Confusion(cells, "", confused)
