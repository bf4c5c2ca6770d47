"""Does the exported model answer as the Keras model does? Both run on the same examples."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.calibration import by_class
from cnnkit.evaluation.metrics import compute_metrics
from cnnkit.io.atomic import without_nan
from cnnkit.metrics import TASK_METRICS, MetricValue
from cnnkit.prediction.predict import LABEL_THRESHOLD

Array = npt.NDArray[Any]

MOST_DIFFERENCE = 1e-4  # of a float32 model's outputs; in standard deviations where numbers are predicted
MOST_LOSS = 0.01  # of the headline metric after quantization: one point; of errors, in standard deviations
ROUNDING = 1e-9  # by which 0.95 - 0.94 exceeds 0.01
SAME_NUMBER = 1e-3  # standard deviations by which two numbers may differ and be the same answer


@dataclass(frozen=True)
class Parity:
    """How an exported model compares with its Keras model.

    Attributes:
        examples: On how many both were run.
        split: What these are, such as `test`.
        largest_difference: Of any output; in the task's unit.
        mean_difference: Mean of the absolute differences.
        scale: What differences are divided by before they are compared with the tolerance: 1 for probabilities, the standard deviation
            of the Keras model's outputs for numbers.
        agreement: Share of examples with the same answer, 0 to 1, ties left out: the class; all labels; or numbers that differ by at
            most a thousandth of the scale.
        ties: Examples with different answers whose best two classes, or a label and its threshold, are closer than the tolerance: rounding
            decides them.
        metric: Label of the headline metric; empty where there are no targets.
        keras: Its value for the Keras model.
        exported: Its value for the exported model.
        tolerance: What was allowed: a difference of outputs, or of the headline metric where the model is quantized.
        passed: Whether it was kept to.
        metrics: All metrics that have an interval, for both models.
    """

    examples: int
    split: str
    largest_difference: float
    mean_difference: float
    scale: float
    agreement: float
    ties: int
    metric: str
    keras: float | None
    exported: float | None
    tolerance: float
    passed: bool
    metrics: tuple["ComparedMetric", ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; infinite differences are null."""
        plain = asdict(self) | {"metrics": {each.keras.metric.name: each.as_dict() for each in self.metrics}}
        return dict(without_nan(plain))


@dataclass(frozen=True)
class ComparedMetric:
    """A metric of both models on the same examples."""

    keras: MetricValue
    exported: MetricValue

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: value and 95 % interval of both."""
        return {
            name: {"value": each.value, "low": each.interval and each.interval[0], "high": each.interval and each.interval[1]}
            for name, each in (("keras", self.keras), ("exported", self.exported))
        }


def compare_outputs(
    keras: Array, exported: Array, task: Task, split: str, *, quantized: bool, tolerance: float | None = None, targets: Array | None = None
) -> Parity:
    """Compare the outputs of two models for the same examples.

    Args:
        keras: The Keras model's outputs `(n, outputs)`.
        exported: The exported model's outputs `(n, outputs)`.
        task: What they are.
        split: What the examples are called.
        quantized: Whether the headline metric decides, and not the outputs.
        tolerance: Largest difference allowed; None for `MOST_DIFFERENCE`, or `MOST_LOSS` where quantized.
        targets: True targets `(n,)` or `(n, outputs)`; None for none.

    Raises:
        CnnkitError: The shapes differ, or the Keras model's own outputs are not finite.
    """
    if keras.shape != exported.shape:
        raise CnnkitError(f"the exported model gives {exported.shape[1:]} an example, the Keras model {keras.shape[1:]}")
    if not np.isfinite(keras).all():
        raise CnnkitError("the Keras model gives values that are not finite", "Train the run again with a lower learning rate.")
    allowed = tolerance if tolerance is not None else MOST_LOSS if quantized else MOST_DIFFERENCE
    finite = bool(np.isfinite(exported).all())
    difference = np.abs(keras.astype(np.float64) - exported) if finite else np.full(keras.shape, np.inf)
    scale = (float(np.std(keras, dtype=np.float64)) or 1.0) if task.is_regression else 1.0
    same = same_answers(keras, exported, task, scale)
    ties = ~same & _near_a_tie(keras, task, MOST_DIFFERENCE if quantized else allowed)
    metrics = _compared_metrics(targets, keras, exported, task) if targets is not None and finite else ()
    headline = metrics[0] if metrics else None
    if not finite:
        passed = False
    elif not quantized:
        passed = float(difference.max()) / scale <= allowed and (task.is_regression or bool((same | ties).all()))
    elif headline is not None:
        passed = _lost(headline) / scale <= allowed + ROUNDING
    else:  # nothing to measure a metric on: the answers have to be the same
        passed = float(same.mean()) >= 1 - allowed
    return Parity(
        examples=len(keras),
        split=split,
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        scale=scale,
        agreement=float(same[~ties].mean()) if not ties.all() else 1.0,
        ties=int(ties.sum()),
        metric=headline.keras.metric.label if headline is not None else "",
        keras=headline.keras.value if headline is not None else None,
        exported=headline.exported.value if headline is not None else None,
        tolerance=allowed,
        passed=passed,
        metrics=metrics,
    )


def same_answers(first: Array, second: Array, task: Task, scale: float = 1.0) -> Array:
    """Whether each example has the same answer in both outputs `(n, outputs)`: the class, all labels, or nearly the same numbers."""
    if task.is_regression:
        return np.asarray((np.abs(first - second) <= SAME_NUMBER * scale).all(axis=1))
    second = np.nan_to_num(second)
    if task.is_multilabel:
        return np.asarray(((first >= LABEL_THRESHOLD) == (second >= LABEL_THRESHOLD)).all(axis=1))
    return np.asarray(by_class(first).argmax(axis=1) == by_class(second).argmax(axis=1))


def _near_a_tie(outputs: Array, task: Task, margin: float) -> Array:
    """Whether the answer of each example is within a margin of another one."""
    if task.is_regression:
        return np.zeros(len(outputs), bool)
    if task.is_multilabel:
        return np.asarray((np.abs(outputs - LABEL_THRESHOLD) <= margin).any(axis=1))
    best = np.sort(by_class(outputs), axis=1)
    return np.asarray(best[:, -1] - best[:, -2] <= margin)


def _compared_metrics(targets: Array, keras: Array, exported: Array, task: Task) -> tuple[ComparedMetric, ...]:
    """The metrics with an interval, the headline metric first."""
    known = TASK_METRICS[task.kind]
    ours, theirs = (_measured(compute_metrics(targets, outputs, task).as_dict(), known) for outputs in (keras, exported))
    return tuple(ComparedMetric(ours[name], theirs[name]) for name in ours if name in theirs)


def _measured(results: Mapping[str, Any], known: Any) -> dict[str, MetricValue]:
    headline = known.overall[0]
    return {each.metric.name: each for each in known.measured(results) if each.metric.has_interval or each.metric is headline}


def _lost(headline: ComparedMetric) -> float:
    change = headline.keras.value - headline.exported.value
    return change if headline.keras.metric.higher_is_better else -change
