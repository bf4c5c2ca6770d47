"""Measure a saved model on a test set, as a user would: load the file, predict, compare."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.data.examples import Examples
from cnnkit.data.pipeline import EVALUATION_BATCH, BatchSource
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.metrics import ClassificationFigures, RegressionFigures, classification_figures, regression_figures
from cnnkit.evaluation.plots import plot_confusion, plot_predictions
from cnnkit.model.load import load_model
from cnnkit.run_directory import Meaning, RunDirectory


@dataclass(frozen=True)
class Evaluation:
    """A model's figures on a test set.

    Attributes:
        measured: Keras's own loss and metrics, as compiled.
        figures: Figures by class, or by number.
        targets: What was to be predicted `(n,)` or `(n, outputs)`.
        predictions: What the model gave `(n, outputs)` float32.
        meaning: What data and names stand behind the numbers.
    """

    measured: Mapping[str, float]
    figures: ClassificationFigures | RegressionFigures
    targets: Any
    predictions: Any
    meaning: Meaning

    def as_dict(self) -> dict[str, Any]:
        """The figures ready for JSON, with what they were measured on."""
        return {
            "measured_on": f"test set of {self.meaning.data}",
            "stand_in_for": self.meaning.stand_in_for or None,
            "notices": list(self.meaning.notices),
            **self.measured,
            **self.figures.as_dict(),
        }


def evaluate_file(path: Path, examples: Examples, meaning: Meaning) -> Evaluation:
    """Load a model file and measure it.

    Args:
        path: A `.keras` file with its compiled loss and metrics.
        examples: Raw inputs `(n, …)` and targets `(n, …)`.
        meaning: Names of the classes or numbers.

    Raises:
        CnnkitError: The file cannot be loaded, or does not fit the data.
    """
    model = load_model(path)
    wanted = tuple(model.input_shape[1:])
    if wanted != examples.inputs.shape[1:]:
        raise CnnkitError(f"{path}: takes inputs of {wanted}, but {meaning.data} has {examples.inputs.shape[1:]}", "Name the config of its data.")
    source = BatchSource(examples, EVALUATION_BATCH)
    measured: dict[str, float] = {}
    if model.compiled:
        results = model.evaluate(source.in_order(), verbose=0, return_dict=True)
        measured = {"loss": float(results.pop("loss")), **{name: float(value) for name, value in results.items()}}
    predictions = model.predict(source.in_order(), verbose=0)
    return Evaluation(measured, figures_of(examples.targets, predictions, meaning), examples.targets, predictions, meaning)


def figures_of(targets: Any, predictions: Any, meaning: Meaning) -> ClassificationFigures | RegressionFigures:
    """The figures that fit the task: by class where there are classes, else by number."""
    if meaning.class_names:
        return classification_figures(targets, predictions, meaning.class_names)
    return regression_figures(targets, predictions, meaning.target_names)


def write_evaluation(evaluation: Evaluation, directory: RunDirectory, title: str) -> Path:
    """Write `metrics.json` and the picture into a run's folder; the picture's path."""
    directory.write_metrics(evaluation.as_dict())
    note = evaluation.meaning.note
    if isinstance(evaluation.figures, ClassificationFigures):
        plot_confusion(evaluation.figures.confusion, evaluation.meaning.class_names, directory.confusion, title, note)
        return directory.confusion
    name = evaluation.meaning.target_names[0]
    plot_predictions(evaluation.targets, evaluation.predictions[:, 0], name, directory.predictions, title, note)
    return directory.predictions
