"""Evaluate a saved model on a test set: load the file, predict, compute metrics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.artifacts.opening import OpenModel, open_model
from cnnkit.config.target_encoding import encoding_of_compiled
from cnnkit.config.task import Task
from cnnkit.data.encode import encode
from cnnkit.data.examples import Examples
from cnnkit.evaluation.metrics import ClassificationMetrics, Metrics, RegressionMetrics, compute_metrics
from cnnkit.io.atomic import write_json
from cnnkit.model.inference import outputs_for
from cnnkit.plots.confusion import plot_confusion
from cnnkit.plots.predicted import plot_predictions
from cnnkit.plots.reliability import plot_reliability
from cnnkit.prediction.tta import OF_NUMBERS, Tta, describe_tta
from cnnkit.prediction.views import averaged_over_views
from cnnkit.runs.directory import RunDirectory

if TYPE_CHECKING:
    import keras

OutputsOf = Callable[[Callable[[Any], Any], Examples], Any]  # from a runtime and examples to outputs `(n, outputs)`


@dataclass(frozen=True)
class Evaluation:
    """A model's metrics on a test set.

    Attributes:
        split: Name of the split.
        measured: Keras's loss and metrics, as compiled.
        metrics: Metrics of the task, overall and by class, label or target.
        targets: True targets `(n,)` or `(n, outputs)`.
        predictions: The model's outputs `(n, outputs)` float32.
        metadata: Data set, and names of the classes, labels or targets.
        tta: The test-time augmentation of the predictions; None for none.
    """

    split: str
    measured: Mapping[str, float]
    metrics: Metrics
    targets: Any
    predictions: Any
    metadata: ModelMetadata
    tta: Tta | None = None

    @property
    def measured_on(self) -> str:
        """Split and data set, and how the predictions were computed where not by one run of the model for each example."""
        return f"{self.split} set of {self.metadata.data}" + (f", {describe_tta(self.tta)}" if self.tta is not None else "")

    def as_dict(self) -> dict[str, Any]:
        """The metrics as JSON values, with the data that they were computed on."""
        return {
            "measured_on": self.measured_on,
            "tta": self.tta,
            "stand_in_for": self.metadata.stand_in_for or None,
            "notices": list(self.metadata.notices),
            "epoch": asdict(self.metadata.epoch) if self.metadata.epoch is not None else None,
            **self.measured,
            **self.metrics.as_dict(),
        }


def evaluate_file(
    path: Path, examples: Examples, metadata: ModelMetadata, split: str = "test", outputs: OutputsOf = outputs_for
) -> Evaluation:
    """Load a model file and evaluate it; for the arguments see `evaluate_model`.

    Raises:
        CnnkitError: The file cannot be loaded, or does not fit the data.
    """
    return evaluate_model(open_model(path, compiled=True), [examples], metadata, split, outputs)


def evaluate_model(
    opened: OpenModel,
    parts: Sequence[Examples],
    metadata: ModelMetadata,
    split: str,
    outputs: OutputsOf = outputs_for,
    tta: Tta | None = None,
) -> Evaluation:
    """Evaluate a model on examples.

    Args:
        opened: The model; a Keras model with its compiled loss and metrics.
        parts: Raw inputs `(n, height, width, channels)` or `(n, steps, channels)` with targets; concatenated.
        metadata: Names of the classes, labels or targets.
        split: Name of the examples where the metrics are shown.
        outputs: Computes the outputs of a runtime for examples; several workers share them out.
        tta: The test-time augmentation: views of each image whose outputs are averaged; None for none.

    Raises:
        CnnkitError: The model does not fit the data, or takes no images, whose views could be averaged.
    """
    run = averaged_over_views(opened.run, tta, opened.input_shape)
    if tta is not None and metadata.task.is_regression:
        metadata = replace(metadata, notices=(*metadata.notices, OF_NUMBERS))
    for part in parts:
        opened.require_fit(part, metadata.data)
    predictions = np.concatenate([outputs(run, part) for part in parts])
    targets = np.concatenate([part.targets for part in parts])
    model = opened.keras_model
    measured = compiled_metrics(model, predictions, targets, metadata.task) if model is not None and model.compiled else {}
    return Evaluation(split, measured, compute_metrics(targets, predictions, metadata.task), targets, predictions, metadata, tta)


def compiled_metrics(model: "keras.Model", predictions: Any, targets: Any, task: Task) -> dict[str, float]:
    """A model's compiled loss and metrics of predictions, without running the network again.

    Args:
        model: The compiled model.
        predictions: Its outputs `(n, outputs)`.
        targets: True targets `(n,)` or `(n, outputs)`; class indices are one-hot encoded where the loss needs that.
        task: Kind and names of the outputs.

    Returns:
        Name -> value, without metrics that need another target encoding than the loss or are not scalar.
    """
    import keras

    metrics_model = keras.Sequential([keras.Input(predictions.shape[1:]), keras.layers.Identity()])
    compiled = model.get_compile_config()
    encoding, metrics = encoding_of_compiled(compiled, task, predictions.shape[1])
    metrics_model.compile_from_config({"loss": compiled.get("loss"), "metrics": metrics})
    results = metrics_model.evaluate(predictions, np.asarray(encode(targets, encoding)), batch_size=1024, verbose=0, return_dict=True)
    regularized = [weight for weight in model.trainable_weights if weight.regularizer is not None]
    penalties = sum(float(weight.regularizer(weight)) for weight in regularized)  # Keras adds them to the loss, and those of activities
    return {"loss": float(results.pop("loss")) + penalties, **{name: float(value) for name, value in results.items() if not np.ndim(value)}}


def write_evaluation(evaluation: Evaluation, directory: RunDirectory, title: str) -> list[Path]:
    """Write `metrics.json` and the task's plots into a run's folder; with test-time augmentation, only a file of metrics of its own.

    Returns:
        Paths of the plots.
    """
    if evaluation.tta is not None:
        write_json(directory.tta_metrics(evaluation.tta), evaluation.as_dict())
        return []
    directory.write_metrics(evaluation.as_dict())
    note, names, metrics = evaluation.metadata.note, evaluation.metadata.task.names, evaluation.metrics
    if isinstance(metrics, ClassificationMetrics):
        plot_confusion(metrics.confusion, names, directory.confusion, title, note)
        plot_reliability(metrics.reliability, directory.reliability, title, note)
    elif isinstance(metrics, RegressionMetrics):
        targets = evaluation.targets.reshape(evaluation.predictions.shape)
        plot_predictions(targets, evaluation.predictions, names, directory.predictions, title, note)
    return directory.evaluation_plots(evaluation.metadata.task.kind)
