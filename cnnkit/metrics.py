"""The metric registry: each metric's label, direction, number format, range, and whether it has a confidence interval.

A new metric of the final evaluation is computed in `evaluation/` and gets its record here; screens, reports, comparisons, the
list of runs and sorting use it. Metrics of Keras, which are columns of a run's history, are found by `find`.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

EPOCH = "epoch"
COSTS = ("learning_rate", "seconds", "images_per_second")  # columns of a history that are logged beside its metrics
VALIDATION_PREFIX = "val_"  # prefix of a history column that was measured on the validation examples
LOSS_COLUMN = "loss"
RESULT_KEYS = frozenset((  # keys of an evaluation's results that hold no metric: a metric of Keras must not be called so
    "measured_on", "tta", "stand_in_for", "notices", "examples", "intervals", "top_k_accuracy", "macro", "weighted", "classes", "labels",
    "confusion", "confusion_normalized", "reliability", "targets", "overall", "baseline",
))  # fmt: skip
ABSENT = "–"  # printed for an undefined value, such as 0/0

Bounds = tuple[float, float]  # the lowest and the highest value that a metric can have
UNBOUNDED: Bounds = (-math.inf, math.inf)
FRACTION: Bounds = (0.0, 1.0)  # of shares, means of shares, and areas below curves
FROM_ZERO: Bounds = (0.0, math.inf)


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: Its name in code: the key of its interval, and of its value unless `key` is set.
        label: Its display name.
        higher_is_better: Whether a larger value means a better model.
        format: Number format: `share` (a fraction) with four decimals, `quantity` (in some unit) with five significant digits.
        has_interval: Whether `evaluation/` computes a 95 % bootstrap confidence interval for it.
        key: Key of its value in the results, dotted where nested.
        remark: What it averages over, in a few words.
        abbreviation: Short label; empty to use `label`.
        one_of_two: Whether with two classes it is computed for the second (positive) class only.
        bounds: The lowest and the highest value that it can have; infinite where there is none, or none is known.
    """

    name: str
    label: str
    higher_is_better: bool
    format: Literal["share", "quantity"] = "share"
    has_interval: bool = False
    key: str = ""
    remark: str = ""
    abbreviation: str = ""
    one_of_two: bool = False
    bounds: Bounds = UNBOUNDED

    def text(self, value: float | None) -> str:
        """A formatted value; a dash for None and NaN."""
        if value is None or math.isnan(value):
            return ABSENT
        return f"{value:#.5g}" if self.format == "quantity" and 0 < abs(value) < 1 else number_text(value)

    def best(self, values: Iterable[float]) -> float:
        """The best of some values, NaN ignored; NaN where all are NaN."""
        known = [value for value in values if not math.isnan(value)]
        return (max if self.higher_is_better else min)(known, default=math.nan)

    def sort_key(self, value: float) -> float:
        """Sort key: ascending from the best value to the worst."""
        return -value if self.higher_is_better else value

    def measured(self, results: Mapping[str, Any]) -> "MetricValue | None":
        """Its value and interval in results, such as those in `metrics.json`; None where the results lack it."""
        value: Any = results
        for part in (self.key or self.name).split("."):
            if not isinstance(value, Mapping) or part not in value:
                return None
            value = value[part]
        intervals = results.get("intervals") if self.has_interval else None
        ends = intervals.get(self.name) if isinstance(intervals, Mapping) else None
        low, high = (_number(ends.get(end)) if isinstance(ends, Mapping) else math.nan for end in ("low", "high"))
        return MetricValue(self, _number(value), None if math.isnan(low) or math.isnan(high) else (low, high))


@dataclass(frozen=True)
class MetricValue:
    """A metric's value.

    Attributes:
        metric: Which metric.
        value: NaN where it is undefined.
        interval: Its 95 % confidence interval (low, high); None where there is none.
    """

    metric: Metric
    value: float
    interval: tuple[float, float] | None = None

    @property
    def text(self) -> str:
        """The formatted value."""
        return self.metric.text(self.value)

    def interval_text(self, between: str) -> str:
        """The formatted interval, with `between` between its ends; empty where there is none."""
        return "" if self.interval is None else between.join(map(self.metric.text, self.interval))


@dataclass(frozen=True)
class TaskMetrics:
    """The metrics of one kind of task, and their keys in the results of an evaluation.

    Attributes:
        overall: Metrics over all outputs, the headline first.
        by_row: Metrics of each class, label or regression target.
        rows: Key of the list of rows, one per class, label or regression target.
        container: Key of the overall metrics; empty where they are at the top level.
        marker: A key that only results of this task have.
    """

    overall: tuple[Metric, ...]
    by_row: tuple[Metric, ...]
    rows: str
    container: str
    marker: str

    def measured(self, results: Mapping[str, Any]) -> tuple[MetricValue, ...]:
        """The overall metrics present in some results."""
        values: Any = results.get(self.container) if self.container else results
        found = [metric.measured(values if isinstance(values, Mapping) else {}) for metric in self.overall]
        return tuple(value for value in found if value is not None)

    def measured_in(self, row: Mapping[str, Any]) -> tuple[MetricValue, ...]:
        """The metrics of one class, label or regression target."""
        return tuple(metric.measured(row) or MetricValue(metric, math.nan) for metric in self.by_row)


LOSS = Metric(LOSS_COLUMN, "loss", higher_is_better=False)
ACCURACY = Metric("accuracy", "accuracy", higher_is_better=True, has_interval=True, bounds=FRACTION)
LABEL_ACCURACY = replace(ACCURACY, label="label accuracy", remark="share of single labels")
LOG_LOSS = Metric("log_loss", "log loss", higher_is_better=False, bounds=FROM_ZERO)
ROC_AUC = Metric("roc_auc", "ROC-AUC", higher_is_better=True, remark="mean, class against the rest", one_of_two=True, bounds=FRACTION)
AVERAGE_PRECISION = replace(ROC_AUC, name="average_precision", label="average precision", abbreviation="AP")
CALIBRATION_ERROR = Metric(
    "expected_calibration_error", "calibration error", higher_is_better=False, remark="probability against share right", bounds=FRACTION
)
F1 = Metric("f1", "F1", higher_is_better=True, bounds=FRACTION)
MACRO_F1 = Metric("macro_f1", "macro F1", higher_is_better=True, has_interval=True, bounds=FRACTION)
MAE = Metric("mae", "MAE", higher_is_better=False, format="quantity", has_interval=True, bounds=FROM_ZERO)
RMSE = replace(MAE, name="rmse", label="RMSE")
R2 = Metric("r2", "R²", higher_is_better=True, has_interval=True, bounds=(-math.inf, 1.0))

_BY_CLASS = (
    Metric("precision", "precision", higher_is_better=True, bounds=FRACTION),
    Metric("recall", "recall", higher_is_better=True, bounds=FRACTION),
    F1,
    ROC_AUC,
    AVERAGE_PRECISION,
)
_MEAN_OF_LABELS: Mapping[str, Any] = {"remark": "mean of the labels", "one_of_two": False}

TASK_METRICS: Mapping[str, TaskMetrics] = {
    "classification": TaskMetrics(
        overall=(
            ACCURACY,
            replace(ACCURACY, name="balanced_accuracy", label="balanced accuracy", remark="mean of the classes' recalls"),
            LOG_LOSS,
            ROC_AUC,
            AVERAGE_PRECISION,
            CALIBRATION_ERROR,
            replace(MACRO_F1, has_interval=False, key="macro.f1", remark="mean of the classes' F1"),
            Metric("top_3_accuracy", "top-3 accuracy", higher_is_better=True, key="top_k_accuracy.3", bounds=FRACTION),
            Metric("top_5_accuracy", "top-5 accuracy", higher_is_better=True, key="top_k_accuracy.5", bounds=FRACTION),
        ),
        by_row=_BY_CLASS,
        rows="classes",
        container="",
        marker="balanced_accuracy",
    ),
    "multilabel": TaskMetrics(
        overall=(
            replace(MACRO_F1, remark="mean of the labels' F1"),
            Metric("exact", "exact", higher_is_better=True, has_interval=True, remark="every label right", bounds=FRACTION),
            LABEL_ACCURACY,
            LOG_LOSS,
            replace(ROC_AUC, **_MEAN_OF_LABELS),
            replace(AVERAGE_PRECISION, **_MEAN_OF_LABELS),
        ),
        by_row=_BY_CLASS,
        rows="labels",
        container="",
        marker="macro_f1",
    ),
    "regression": TaskMetrics(
        overall=(MAE, RMSE, R2),
        by_row=(MAE, RMSE, R2),
        rows="targets",
        container="overall",
        marker="overall",
    ),
}


def find(column: str, custom: Mapping[str, str] | None = None) -> Metric:
    """The metric of a history column, by its name with or without `val_` and a trailing number: `val_auc_3`.

    Registered names have their record's direction. Others are better the higher they are, unless their name contains a word such as
    `loss` or `error`.

    Args:
        column: The column; it is also the metric's label, since configs and callbacks use that name.
        custom: Name that a config gives a metric -> its Keras class, which then decides the direction: `{"distance": "MeanAbsoluteError"}`.
    """
    name = column.removeprefix(VALIDATION_PREFIX)
    plain = re.sub(r"_\d+$", "", name)
    kind = (custom or {}).get(name) or (custom or {}).get(plain)
    record = None if kind else _REGISTERED.get(plain)
    if record is not None:
        return Metric(column, column, record.higher_is_better, record.format)
    return Metric(column, column, higher_is_better=not _LOWER_IS_BETTER_WORDS & set(_words(kind or plain)))


def custom_names(entries: object) -> dict[str, str]:
    """The names that a config's list of metrics gives to Keras's metrics: `[{AUC: {name: pr}}]` gives `{"pr": "AUC"}`."""
    pairs = [pair for entry in (entries if isinstance(entries, Sequence) else ()) if isinstance(entry, Mapping) for pair in entry.items()]
    return {str(given["name"]): str(kind) for kind, given in pairs if isinstance(given, Mapping) and "name" in given}


def metric_columns(rows: Iterable[Mapping[str, float]]) -> list[str]:
    """The loss and metrics of a history, training and validation, in column order, without epoch and cost columns."""
    return [column for column in dict.fromkeys(column for row in rows for column in row) if column not in (EPOCH, *COSTS)]


def training_columns(rows: Iterable[Mapping[str, float]]) -> list[str]:
    """The training loss and metrics of a history, without the `val_` columns."""
    return [column for column in metric_columns(rows) if not column.startswith(VALIDATION_PREFIX)]


def headline_column(row: Mapping[str, float]) -> str:
    """The headline column of a history: the first metric other than the loss, on the validation examples where there are any."""
    columns = metric_columns([row])
    candidates = [column for column in columns if column.startswith(VALIDATION_PREFIX)] or columns
    return next(
        (column for column in candidates if column.removeprefix(VALIDATION_PREFIX) != LOSS_COLUMN), candidates[0] if candidates else ""
    )


def measured_with_loss(results: Mapping[str, Any]) -> tuple[MetricValue, ...]:
    """The overall metrics in the results of an evaluation, the headline first, and the loss as compiled; empty where there are none."""
    task = next((task for task in TASK_METRICS.values() if task.marker in results), None)
    loss = LOSS.measured(results)
    return () if task is None else (*task.measured(results), *([loss] if loss is not None else []))


def headline(results: Mapping[str, Any]) -> MetricValue | None:
    """The headline metric of a model, from the results in `metrics.json`; None where it is missing or undefined."""
    for task in TASK_METRICS.values():
        first = task.measured(results)[:1] if task.marker in results else ()
        if first and first[0].metric is task.overall[0] and not math.isnan(first[0].value):
            return first[0]
    return None


def labelled(label: str) -> Metric:
    """The registered metric with a label; KeyError where there is none."""
    return {metric.label: metric for metric in _ALL}[label]


def number_text(value: float) -> str:
    """A number with four decimals, fewer from 10 up; a dash for NaN."""
    if math.isnan(value):
        return ABSENT
    size = abs(value)
    return f"{value:.3e}" if size >= 1e6 else f"{value:,.{4 if size < 10 else 3 if size < 100 else 2 if size < 1000 else 1}f}"


def _number(value: Any) -> float:
    """A finite number from results; NaN for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _words(name: str) -> list[str]:
    """The words of a metric's or a Keras class's name, in lower case: `MeanSquaredError` -> mean, squared, error."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name))
    return re.split(r"[^a-z0-9]+", spaced.lower())


_ALL = (LOSS, *(metric for task in TASK_METRICS.values() for metric in (*task.overall, *task.by_row)))
_REGISTERED = {metric.name: metric for metric in _ALL}
_LOWER_IS_BETTER_WORDS = frozenset((
    "loss", "error", "entropy", "crossentropy", "hinge", "divergence", "cosh", "logcosh", "poisson", "false",
    "mae", "mse", "mape", "msle", "rmse", "kld", "bce",
))  # fmt: skip
