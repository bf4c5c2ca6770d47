"""Does the exported model answer as the Keras model does? Both run on the same examples."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.calibration import by_class
from cnnkit.evaluation.outputs import probabilities_of

Array = npt.NDArray[Any]

MOST_DIFFERENCE = 1e-4  # of a float32 model's outputs; in standard deviations where numbers are predicted
MOST_LOSS = 0.01  # of accuracy after quantization: one point
LABEL_THRESHOLD = 0.5


@dataclass(frozen=True)
class Parity:
    """How an exported model compares with its Keras model.

    Attributes:
        examples: On how many both were run.
        split: What these are, such as `test`.
        largest_difference: Of any output; in the task's unit.
        mean_difference: Mean of the absolute differences.
        scale: What differences are divided by before they are judged: 1 for probabilities, the standard deviation of the Keras
            model's outputs for numbers.
        agreement: Share of examples with the same answer, 0 to 1: the class; all labels; or numbers that differ by at most a
            thousandth of the scale.
        ties: Examples whose answers differ, but whose best two classes are so close that rounding decides.
        metric: Name of the metric compared; empty where there are no targets.
        keras: Its value for the Keras model.
        exported: Its value for the exported model.
        tolerance: What was allowed: a difference of outputs, or of the metric where the model is quantized.
        passed: Whether it was kept to.
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

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def compare_outputs(
    keras: Array,
    exported: Array,
    task: Task,
    split: str,
    *,
    quantized: bool,
    tolerance: float | None = None,
    metric: tuple[str, Callable[[Array], float], bool] | None = None,
) -> Parity:
    """Compare the outputs of two models for the same examples.

    Args:
        keras: The Keras model's outputs `(n, outputs)`.
        exported: The exported model's outputs `(n, outputs)`.
        task: What they are.
        split: What the examples are called.
        quantized: Whether the metric decides, and not the outputs.
        tolerance: Largest difference allowed; None for `MOST_DIFFERENCE`, or `MOST_LOSS` where quantized.
        metric: Name, function of outputs, and whether higher is better; None where the examples have no targets.

    Raises:
        CnnkitError: The shapes differ.
    """
    if keras.shape != exported.shape:
        raise CnnkitError(f"the exported model gives {exported.shape[1:]} an example, the Keras model {keras.shape[1:]}")
    allowed = tolerance if tolerance is not None else MOST_LOSS if quantized else MOST_DIFFERENCE
    difference = np.abs(keras.astype(np.float64) - exported)
    finite = bool(np.isfinite(exported).all())
    scale = float(np.std(keras, dtype=np.float64)) or 1.0 if task.is_regression else 1.0
    largest = float(difference.max()) if finite else float("inf")
    same, ties = _agreement(keras, exported, task, scale, 2 * MOST_DIFFERENCE)
    values = (metric[1](keras), metric[1](exported)) if metric is not None and finite else None
    if quantized and values is not None and metric is not None:
        lost = (values[0] - values[1]) if metric[2] else (values[1] - values[0]) / scale
        passed = finite and lost <= allowed
    elif quantized:  # nothing to measure a metric on: the answers have to be the same
        passed = finite and float(same.mean()) >= 1 - allowed
    else:
        passed = finite and largest / scale <= allowed and bool((same | ties).all())
    return Parity(
        examples=len(keras),
        split=split,
        largest_difference=largest,
        mean_difference=float(difference.mean()) if finite else float("inf"),
        scale=scale,
        agreement=float(same.mean()),
        ties=int((ties & ~same).sum()),
        metric=metric[0] if metric is not None else "",
        keras=values[0] if values is not None else None,
        exported=values[1] if values is not None else None,
        tolerance=allowed,
        passed=passed,
    )


def _agreement(keras: Array, exported: Array, task: Task, scale: float, rounding: float) -> tuple[Array, Array]:
    """Whether each example has the same answer, and whether its answer is a tie."""
    if task.is_regression:
        same = (np.abs(keras - exported) <= 1e-3 * scale).all(axis=1)
        return same, np.zeros(len(keras), bool)
    if task.is_multilabel:
        labels: Array = probabilities_of(keras)
        same = ((labels >= LABEL_THRESHOLD) == (np.nan_to_num(exported) >= LABEL_THRESHOLD)).all(axis=1)
        distances: Array = np.abs(labels - LABEL_THRESHOLD)
        near: Array = (distances <= rounding).any(axis=1)  # type: ignore[assignment]  # NumPy types any() of an axis as a scalar too
        return same, near
    ours, theirs = by_class(keras), by_class(np.nan_to_num(exported))
    best = np.sort(ours, axis=1)
    gaps: Array = best[:, -1] - best[:, -2]
    return ours.argmax(axis=1) == theirs.argmax(axis=1), gaps <= rounding
