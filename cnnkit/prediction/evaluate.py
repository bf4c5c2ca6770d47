"""Measure a saved model on a test set, as a user would: load the file, predict, compare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnkit.config.target_encoding import encoding_of_compiled
from cnnkit.config.task import Task
from cnnkit.data.encode import encode
from cnnkit.data.examples import Examples
from cnnkit.evaluation.metrics import ClassificationMetrics, Metrics, RegressionMetrics, compute_metrics
from cnnkit.model.inference import inference_function, outputs_for, require_fit
from cnnkit.model.loading.load import load_model
from cnnkit.plots.confusion import plot_confusion
from cnnkit.plots.predicted import plot_predictions
from cnnkit.plots.reliability import plot_reliability
from cnnkit.runs.directory import RunDirectory
from cnnkit.runs.metadata import ModelMetadata

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Evaluation:
    """A model's metrics on a test set.

    Attributes:
        split: Which examples it was measured on.
        measured: Keras's own loss and metrics, as compiled.
        metrics: Metrics of the task, overall and by class, label or number.
        targets: What was to be predicted `(n,)` or `(n, outputs)`.
        predictions: What the model gave `(n, outputs)` float32.
        metadata: What data and names stand behind the numbers.
    """

    split: str
    measured: Mapping[str, float]
    metrics: Metrics
    targets: Any
    predictions: Any
    metadata: ModelMetadata

    def as_dict(self) -> dict[str, Any]:
        """The metrics ready for JSON, with what they were measured on."""
        return {
            "measured_on": f"{self.split} set of {self.metadata.data}",
            "stand_in_for": self.metadata.stand_in_for or None,
            "notices": list(self.metadata.notices),
            **self.measured,
            **self.metrics.as_dict(),
        }


def evaluate_file(path: Path, examples: Examples, metadata: ModelMetadata, split: str = "test") -> Evaluation:
    """Load a model file and measure it; the arguments are those of `evaluate_model`.

    Raises:
        CnnkitError: The file cannot be loaded, or does not fit the data.
    """
    return evaluate_model(load_model(path), path, [examples], metadata, split)


def evaluate_model(model: "keras.Model", path: Path, parts: Sequence[Examples], metadata: ModelMetadata, split: str) -> Evaluation:
    """Measure a model.

    Args:
        model: With its compiled loss and metrics.
        path: The `.keras` file that it comes from.
        parts: Raw inputs `(n, …)` and targets `(n, …)`, all together.
        metadata: Names of the classes or numbers.
        split: What the examples are called where the metrics appear.

    Raises:
        CnnkitError: The model does not fit the data.
    """
    for part in parts:
        require_fit(model, path, part, metadata.data)
    function = inference_function(model)
    predictions = np.concatenate([outputs_for(function, part) for part in parts])
    targets = np.concatenate([part.targets for part in parts])
    measured = compiled_metrics(model, predictions, targets, metadata.task) if model.compiled else {}
    return Evaluation(split, measured, compute_metrics(targets, predictions, metadata.task), targets, predictions, metadata)


def compiled_metrics(model: "keras.Model", predictions: Any, targets: Any, task: Task) -> dict[str, float]:
    """The loss and metrics with which a model was compiled, of predictions that are there already: the network runs once.

    Args:
        model: Compiled.
        predictions: What it gave `(n, outputs)`.
        targets: What was to be predicted; class indices become one-hot where the loss wants that.
        task: What is predicted.

    Returns:
        Value by name; metrics that do not fit the loss's targets, or are more than one number, are left out.
    """
    import keras

    verdict = keras.Sequential([keras.Input(predictions.shape[1:]), keras.layers.Identity()])
    compiled = model.get_compile_config()
    encoding = encoding_of_compiled(compiled, task, predictions.shape[1])
    verdict.compile_from_config({"loss": encoding.loss, "metrics": list(encoding.metrics)})
    results = verdict.evaluate(predictions, np.asarray(encode(targets, encoding)), batch_size=1024, verbose=0, return_dict=True)
    penalties = float(sum(model.losses)) if model.losses else 0.0  # regularizers of the weights, which Keras counts to the loss
    return {"loss": float(results.pop("loss")) + penalties, **{name: float(value) for name, value in results.items() if not np.ndim(value)}}


def write_evaluation(evaluation: Evaluation, directory: RunDirectory, title: str) -> list[Path]:
    """Write `metrics.json` and the task's pictures into a run's folder; the pictures' paths."""
    directory.write_metrics(evaluation.as_dict())
    note, names, metrics = evaluation.metadata.note, evaluation.metadata.task.names, evaluation.metrics
    if isinstance(metrics, ClassificationMetrics):
        plot_confusion(metrics.confusion, names, directory.confusion, title, note)
        plot_reliability(metrics.reliability, directory.reliability, title, note)
        return [directory.confusion, directory.reliability]
    if isinstance(metrics, RegressionMetrics):
        targets = evaluation.targets.reshape(evaluation.predictions.shape)
        plot_predictions(targets, evaluation.predictions, names, directory.predictions, title, note)
        return [directory.predictions]
    return []
