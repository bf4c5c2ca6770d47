"""Temperature scaling: fit a temperature on a run's validation examples, write it into the model, evaluate before and after.

Guo et al. 2017, "On Calibration of Modern Neural Networks".
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.artifacts.model_metadata import read_metadata
from cnnkit.data.examples import Examples
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.calibration import by_class, expected_calibration_error
from cnnkit.evaluation.outputs import finite
from cnnkit.io.atomic import write_json
from cnnkit.model.inference import KerasRuntime, outputs_for
from cnnkit.model.temperature import Activation, logits_model, with_temperature
from cnnkit.prediction.evaluate import evaluate_file, write_evaluation
from cnnkit.runs.directory import RunDirectory, find_run
from cnnkit.runs.lock import RunLock
from cnnkit.runs.reopen import Reopened, reopened

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[Any]

LOWEST, HIGHEST = 0.01, 100.0  # search range of the temperature

ON_TEST = (
    "The temperature was fitted on the test examples (data.validation: test), so on them the probabilities look truer than they are. "
    "Hold out a share instead: `data: {validation: 0.1}`."
)


@dataclass(frozen=True)
class CalibrationMetrics:
    """How well probabilities are calibrated; of several labels, each example-label pair counts by itself.

    Attributes:
        expected_calibration_error: Mean gap between confidence and accuracy; 0 is best.
        log_loss: Mean of -ln(probability of the true class); 0 is best.
        accuracy: Share of correct predictions, which a temperature does not change.
    """

    expected_calibration_error: float
    log_loss: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """A fitted temperature and its effect.

    Attributes:
        temperature: The logits are divided by it.
        fitted_on: The examples that it was fitted on.
        examples: Number of those examples.
        before: Split -> metrics without a temperature.
        after: Split -> metrics with it.
        note: A warning to show beside the metrics; may be empty.
    """

    temperature: float
    fitted_on: str
    examples: int
    before: dict[str, CalibrationMetrics]
    after: dict[str, CalibrationMetrics]
    note: str

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def calibrate_run(path: Path | None) -> Calibration:
    """Calibrate a run's model: write the temperature into `model.keras`, and repeat the final evaluation with it.

    `calibration.json` records the temperature, and the calibration metrics before and after.
    A model that is already calibrated is fitted again from its original logits.

    Args:
        path: The run; None for the newest.

    Raises:
        CnnkitError: There is no such run, it is being written, it is a regression, or its validation examples do not
            determine a temperature.
    """
    directory = find_run(path)
    metadata = read_metadata(directory.model)
    if metadata is None:
        raise CnnkitError(f"{directory.path}: has no model.json that names its classes", "Train the run again.")
    if metadata.task.is_regression:
        raise CnnkitError(f"{directory.path}: predicts numbers, and a temperature is for probabilities", "Name a run of a classifier.")
    lock = RunLock(directory.path)
    try:
        with reopened(directory.path) as run:
            return _calibrated(run, directory)
    finally:
        lock.release()


def _calibrated(run: Reopened, directory: RunDirectory) -> Calibration:
    validation, on_test = run.dataset.validation, run.dataset.watches_test
    if validation is None or not len(validation):
        raise CnnkitError(
            f"{directory.path}: has no validation examples to fit a temperature on", "Train with some: `data: {validation: 0.1}`."
        )
    opened = run.open()
    opened.require_fit(validation, run.metadata.data)
    model = opened.require_keras("calibration")
    compiled = model.get_compile_config()
    one_of_several = run.metadata.task.is_classification and int(model.output_shape[-1]) > 1
    activation: Activation = "softmax" if one_of_several else "sigmoid"
    to_logits = logits_model(model, activation)
    splits = {name: examples for name, examples in run.dataset.splits.items() if name != "train"}
    logits = {name: _logits(to_logits, examples) for name, examples in splits.items()}
    fitted_on = next(iter(splits))
    temperature = fit_temperature(logits[fitted_on], validation.targets, activation)
    before, after = (
        {name: _calibration_metrics(logits[name] / divisor, examples.targets, activation) for name, examples in splits.items()}
        for divisor in (1.0, temperature)
    )
    calibrated = with_temperature(to_logits, temperature, activation)
    if compiled:
        calibrated.compile_from_config(compiled)
    stored = read_metadata(run.model)
    assert stored is not None
    notices = tuple(notice for notice in stored.notices if notice != ON_TEST) + ((ON_TEST,) if on_test else ())
    directory.save_model(calibrated, replace(stored, notices=notices), recalibrated=True)
    result = Calibration(
        temperature, f"{fitted_on} set of {run.metadata.data}", len(validation), before, after, replace(run.metadata, notices=notices).note
    )
    write_json(directory.calibration, result.as_dict())
    name, examples = run.held_out
    evaluation = evaluate_file(run.model, examples, replace(run.metadata, notices=notices), name)
    write_evaluation(evaluation, directory, run.loaded.config.name)
    return result


def fit_temperature(logits: Array, targets: Array, activation: Activation) -> float:
    """The temperature at which the mean negative log likelihood of the targets is smallest.

    It is convex in 1 / temperature, so the root of its derivative is the one minimum.

    Args:
        logits: `(n, outputs)`.
        targets: Class indices `(n,)` for softmax; 0 and 1 `(n, outputs)` for sigmoid.
        activation: The activation that turns logits into probabilities.

    Raises:
        CnnkitError: The minimum is not between `LOWEST` and `HIGHEST`, as where every prediction is correct.
    """
    from scipy.optimize import brentq

    one_hot = np.eye(logits.shape[1])
    true = one_hot[np.ravel(targets).astype(int)] if activation == "softmax" else np.reshape(targets, logits.shape)

    def slope(log_temperature: float) -> float:
        """The derivative by 1 / temperature: mean over the examples of Σ (probability − truth) · logit."""
        gap = _probabilities(logits / np.exp(log_temperature), activation) - true
        return float((gap * logits).sum(axis=1).mean())

    low, high = np.log(LOWEST), np.log(HIGHEST)
    if not slope(low) > 0 > slope(high):
        raise CnnkitError(
            f"no temperature from {LOWEST} to {HIGHEST:g} is best for the {len(logits):,} validation examples",
            "That is so where all of them are predicted right, or no better than by chance: hold out more with `data.validation`.",
        )
    return float(np.exp(brentq(slope, low, high, xtol=1e-12)))


def _logits(to_logits: "keras.Model", examples: Examples) -> Array:
    """The logits of examples, float64 `(n, outputs)`."""
    return finite(outputs_for(KerasRuntime(to_logits), examples))


def _probabilities(logits: Array, activation: Activation) -> Array:
    from scipy.special import expit, softmax

    values: Array = softmax(logits, axis=1) if activation == "softmax" else expit(logits)
    return values


def _calibration_metrics(logits: Array, targets: Array, activation: Activation) -> CalibrationMetrics:
    """The calibration metrics of logits; with several labels per example, each label counts by itself."""
    from sklearn.metrics import accuracy_score, log_loss

    probabilities = _probabilities(logits, activation)
    if activation == "sigmoid":
        probabilities, targets = by_class(probabilities.ravel()), np.ravel(targets).astype(int)
    return CalibrationMetrics(
        expected_calibration_error(probabilities, targets),
        float(log_loss(targets, probabilities, labels=np.arange(probabilities.shape[1]))),
        float(accuracy_score(targets, probabilities.argmax(axis=1))),
    )
