"""The held-out predictions of all folds together: a table with a row an example, and metrics."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cnnkit.config.task import Task
from cnnkit.data.sources.image_files import label_texts
from cnnkit.evaluation.calibration import by_class
from cnnkit.evaluation.metrics import compute_metrics
from cnnkit.io.atomic import write_text
from cnnkit.metrics import TASK_METRICS, MetricValue
from cnnkit.prediction.evaluate import Evaluation, evaluate_model
from cnnkit.runs.reopen import Reopened, reopened

TABLE = "out-of-fold.csv"


def pool_folds(folder: Path, runs: Sequence[Path]) -> tuple[MetricValue, ...]:
    """Predict the held-out examples of each fold by the model that was trained without them, and write them as one table.

    The table has the example (its name in `manifest.csv`, or its position among the training examples of a built-in set), the fold, the
    true and the predicted value; of classes and labels also the probability of each.

    Args:
        folder: The folder for the table.
        runs: The folders of the runs, by fold.

    Returns:
        The metrics of all these predictions together, with bootstrap intervals over the examples.

    Raises:
        CnnkitError: A model or the data cannot be read.
    """
    evaluations, rows = [], []
    for fold, path in enumerate(runs, 1):
        with reopened(path) as run:
            split, examples = run.held_out
            evaluation = evaluate_model(run.open(), [examples], run.metadata, split)
            rows += [(name, fold, *values) for name, values in zip(_names(run, split), _values(evaluation), strict=True)]
        evaluations.append(evaluation)
    task = evaluations[0].metadata.task
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([("example", "fold", *_columns(task)), *rows])
    write_text(folder / TABLE, buffer.getvalue())
    targets, predictions = (np.concatenate([getattr(each, name) for each in evaluations]) for name in ("targets", "predictions"))
    return TASK_METRICS[task.kind].measured(compute_metrics(targets, predictions, task).as_dict())


def _names(run: Reopened, split: str) -> Sequence[str]:
    """The name of each held-out example."""
    if run.dataset.manifest:
        return [name for name, _, part in run.dataset.manifest if part == split]
    return [str(index) for index in run.held_out[1].index]


def _columns(task: Task) -> tuple[str, ...]:
    if task.is_regression:
        return tuple(f"{word} {name}" for name in task.names for word in ("true", "predicted"))
    return ("true", "predicted", *task.names)


def _values(evaluation: Evaluation) -> Iterator[tuple[str | float, ...]]:
    """The values of each row, in the order of the columns."""
    task, predictions = evaluation.metadata.task, np.asarray(evaluation.predictions)
    if task.is_regression:
        targets = np.asarray(evaluation.targets).reshape(predictions.shape)
        for pair in np.stack([targets, predictions], axis=2).reshape(len(targets), -1):
            yield tuple(map(float, pair))
        return
    probabilities = predictions if task.is_multilabel else by_class(predictions)
    decided = probabilities >= 0.5 if task.is_multilabel else probabilities.argmax(axis=1)
    true, predicted = (label_texts(np.asarray(values), task) for values in (evaluation.targets, decided))
    for first, second, shares in zip(true, predicted, probabilities, strict=True):
        yield (first, second, *(round(float(share), 6) for share in shares))
