"""Compare runs: differences of their configs, learning curves, metrics, and paired tests of the first run against the others."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.differences import differing_entries, entry_at
from cnnkit.config.load import resolved
from cnnkit.data.sources.image_files import label_texts
from cnnkit.errors import CnnkitError, dotted
from cnnkit.evaluation.calibration import by_class
from cnnkit.evaluation.paired_tests import PairedTest, holm, mcnemar, wilcoxon
from cnnkit.metrics import LOSS, TASK_METRICS, MetricValue
from cnnkit.plots.comparison import plot_comparison
from cnnkit.prediction.evaluate import Evaluation, evaluate_model
from cnnkit.runs.reopen import Reopened, reopened

Array = npt.NDArray[Any]

SIGNIFICANCE_LEVEL = 0.05  # p-value below which a difference counts as more than chance


@dataclass(frozen=True)
class ComparedRun:
    """One of the compared runs.

    Attributes:
        name: Its folder's name.
        folder: Its folder.
        measured_on: Split and data set that its metrics were computed on.
        examples: Number of those examples.
        metrics: Label -> value of the metrics of its task.
        epochs: Epochs done.
        seconds: Their wall time.
        parameters: Number of parameters of the network; None where its format does not tell.
        note: A warning to show beside the results; may be empty.
    """

    name: str
    folder: str
    measured_on: str
    examples: int
    metrics: Mapping[str, MetricValue]
    epochs: int
    seconds: float
    parameters: int | None
    note: str

    def as_dict(self) -> dict[str, Any]:
        """The run ready for JSON."""
        values = {"figures" if each.name == "metrics" else each.name: getattr(self, each.name) for each in fields(self)}
        return {**values, "figures": {label: measured.value for label, measured in self.metrics.items()}}


@dataclass(frozen=True)
class Versus:
    """The first run against another one.

    Attributes:
        other: Name of the other run.
        test: The paired test; None where none is possible.
        corrected: Its p-value with Holm's correction for the number of tests; NaN without a test.
        why_not: Why there is no test; empty where there is one.
    """

    other: str
    test: PairedTest | None
    corrected: float
    why_not: str

    @property
    def more_than_chance(self) -> bool:
        """Whether the corrected p-value is below `SIGNIFICANCE_LEVEL`."""
        return self.test is not None and self.corrected < SIGNIFICANCE_LEVEL


@dataclass(frozen=True)
class RunComparison:
    """The comparison of runs.

    Attributes:
        runs: The runs.
        differences: Dotted config key -> its value in each run, for the keys that differ.
        versus: The first run against each of the others.
        curves: Path of the plot of learning curves.
    """

    runs: tuple[ComparedRun, ...]
    differences: Mapping[str, tuple[Any, ...]]
    versus: tuple[Versus, ...]
    curves: Path

    def as_dict(self) -> dict[str, Any]:
        """The comparison ready for JSON."""
        against = [
            {**asdict(each), "first": self.runs[0].name, "correction": "Holm", "more_than_chance": each.more_than_chance}
            for each in self.versus
        ]
        changed = {key: list(values) for key, values in self.differences.items()}
        return {"runs": [run.as_dict() for run in self.runs], "differences": changed, "versus": against, "curves": str(self.curves)}


@dataclass(frozen=True)
class _MeasuredRun:
    """The data of a run that a comparison needs after the run is closed."""

    run: ComparedRun
    config: Mapping[str, Any]
    history: Sequence[Mapping[str, float]]
    kind: str
    identity: str
    outcome: Array


def compare_runs(paths: Sequence[Path], picture: Path | None = None) -> RunComparison:
    """Reopen runs one after another, evaluate their saved models, and compare the first with each of the others.

    Args:
        paths: Two or more runs.
        picture: The PNG of the curves to write; `comparison.png` in the first run's folder where None.

    Raises:
        CnnkitError: There are fewer than two, or the model or data of one is missing.
    """
    if len(paths) < 2:
        raise CnnkitError(f"only {paths[0] if paths else 'nothing'} is named", "Name two or more runs: `cnnkit compare runs/a runs/b`.")
    measured_runs = []
    for path in paths:
        with reopened(path) as run:
            measured_runs.append(_measure(run))
            first = measured_runs[0].run
    named = [f"{each.run.name} ({number})" if [s.run.name for s in measured_runs].count(each.run.name) > 1 else each.run.name
             for number, each in enumerate(measured_runs, 1)]  # fmt: skip
    target = picture or Path(first.folder) / "comparison.png"
    note = " ".join(dict.fromkeys(each.run.note for each in measured_runs if each.run.note))
    plot_comparison(dict(zip(named, (each.history for each in measured_runs), strict=True)), target, note)
    versus = [_paired_comparison(measured_runs[0], other, name) for other, name in zip(measured_runs[1:], named[1:], strict=True)]
    return RunComparison(
        tuple(replace(each.run, name=name) for each, name in zip(measured_runs, named, strict=True)),
        changed_entries([each.config for each in measured_runs]),
        tuple(_with_holm(versus)),
        target,
    )


def _measure(run: Reopened) -> _MeasuredRun:
    split, examples = run.held_out
    opened = run.open()
    evaluation = evaluate_model(opened, [examples], run.metadata, split)
    history = run.directory.read_history()
    compared = ComparedRun(
        name=run.name,
        folder=str(run.directory.path),
        measured_on=evaluation.as_dict()["measured_on"],
        examples=len(examples),
        metrics={each.metric.label: each for each in _measured(evaluation)},
        epochs=len(history),
        seconds=sum(row.get("seconds", 0.0) for row in history),
        parameters=opened.keras_model.count_params() if opened.keras_model is not None else None,
        note=run.metadata.note,
    )
    return _MeasuredRun(compared, resolved(run.loaded.config), history, run.metadata.task.kind, _identity(run), _outcome(evaluation))


def _measured(evaluation: Evaluation) -> tuple[MetricValue, ...]:
    """The metrics of the evaluation's task, and the loss as compiled."""
    task = TASK_METRICS[evaluation.metadata.task.kind]
    return (*task.measured(evaluation.metrics.as_dict()), MetricValue(LOSS, evaluation.measured.get(LOSS.name, np.nan)))


def _outcome(evaluation: Evaluation) -> Array:
    """Per-example results `(n,)`: whether the prediction is correct (for labels, all of them); for a regression, the absolute error.

    Errors are divided by each target's standard deviation and averaged over the targets.
    """
    task, targets, predictions = evaluation.metadata.task, np.asarray(evaluation.targets), evaluation.predictions
    if task.is_regression:
        targets = targets.reshape(predictions.shape)
        deviation = targets.std(axis=0)
        error: Array = (np.abs(predictions - targets) / np.where(deviation > 0, deviation, 1)).mean(axis=1)
        return error
    if task.is_multilabel:
        exact: Array = ((predictions >= 0.5) == (targets >= 0.5)).all(axis=1)
        return exact
    right: Array = by_class(predictions).argmax(axis=1) == targets.reshape(-1)
    return right


def _identity(run: Reopened) -> str:
    """A hash that is equal for two runs evaluated on the same examples with the same targets, whatever their image size."""
    split, examples = run.held_out
    targets = "\n".join(label_texts(examples.targets, run.dataset.task)).encode("utf-8", "surrogateescape")
    return hashlib.sha256(targets + run.loaded.source.identity(run.dataset, split, examples)).hexdigest()


def _paired_comparison(first: _MeasuredRun, other: _MeasuredRun, name: str) -> Versus:
    if first.kind != other.kind:
        return Versus(name, None, np.nan, f"one does {first.kind}, the other {other.kind}")
    if first.identity != other.identity:
        return Versus(name, None, np.nan, f"they were not measured on the same examples ({first.run.measured_on}, {other.run.measured_on})")
    test = wilcoxon if first.kind == "regression" else mcnemar
    return Versus(name, test(first.outcome, other.outcome), np.nan, "")


def _with_holm(versus: Sequence[Versus]) -> list[Versus]:
    values = iter(holm([each.test.p for each in versus if each.test is not None]))
    return [Versus(each.other, each.test, next(values), "") if each.test is not None else each for each in versus]


def changed_entries(configs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Config keys in which any config differs from the first, without the run's name, with the values of all configs."""
    paths = list(dict.fromkeys(path for other in configs[1:] for path, _ in differing_entries(configs[0], other) if path != ("name",)))
    outermost = [path for path in paths if not any(path[:length] in paths for length in range(len(path)))]
    return {dotted(path): tuple(entry_at(config, path) for config in configs) for path in outermost}
