"""Runs side by side: how their configs differ, how they learned, their metrics, and whether the difference is more than chance."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.differences import differences
from cnnkit.config.load import resolved
from cnnkit.data.sources.image_files import label_texts
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.calibration import by_class
from cnnkit.evaluation.paired_tests import PairedTest, holm, mcnemar, wilcoxon
from cnnkit.metrics import LOSS, TASK_METRICS, MetricValue
from cnnkit.model.loading.load import load_model
from cnnkit.plots.comparison import plot_comparison
from cnnkit.prediction.evaluate import Evaluation, evaluate_model
from cnnkit.runs.reopen import Reopened, reopened

Array = npt.NDArray[Any]

CHANCE = 0.05  # p below which a difference is called more than chance


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs.

    Attributes:
        name: Its folder's name.
        folder: Its folder.
        measured_on: Which examples its metrics were measured on.
        examples: How many those are.
        metrics: Label -> value, those of its task.
        epochs: Epochs done.
        seconds: How long they took.
        parameters: Parameters of the network.
        note: A warning to show beside the results; may be empty.
    """

    name: str
    folder: str
    measured_on: str
    examples: int
    metrics: Mapping[str, MetricValue]
    epochs: int
    seconds: float
    parameters: int
    note: str

    def as_dict(self) -> dict[str, Any]:
        """The run ready for JSON."""
        values = {"figures" if each.name == "metrics" else each.name: getattr(self, each.name) for each in fields(self)}
        return {**values, "figures": {label: measured.value for label, measured in self.metrics.items()}}


@dataclass(frozen=True)
class Versus:
    """The first run against another one.

    Attributes:
        other: The name of the other run.
        test: The paired test; None where there can be none.
        corrected: Its p, corrected by Holm for the number of tests; NaN without a test.
        why_not: Why there is no test; empty where there is one.
    """

    other: str
    test: PairedTest | None
    corrected: float
    why_not: str

    @property
    def more_than_chance(self) -> bool:
        """Whether so large a difference would be rare among runs that are equally good."""
        return self.test is not None and self.corrected < CHANCE


@dataclass(frozen=True)
class RunComparison:
    """Some runs, the first against all others.

    Attributes:
        runs: The runs.
        differences: Dotted key -> its value in each run's config, of the keys that differ.
        versus: The first against each other.
        curves: The picture of how they learned.
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
class _Seen:
    """What a comparison needs of a run once its data is released."""

    run: ComparedRun
    config: Mapping[str, Any]
    history: Sequence[Mapping[str, float]]
    kind: str
    identity: str
    outcome: Array


def compare_runs(paths: Sequence[Path], picture: Path | None = None) -> RunComparison:
    """Open runs one after another, measure their saved models, and hold the first against each other.

    Args:
        paths: Runs, two or more.
        picture: The PNG of the curves to write; `comparison.png` in the first run's folder where None.

    Raises:
        CnnkitError: There are fewer than two, or one has no model or no data any more.
    """
    if len(paths) < 2:
        raise CnnkitError(f"only {paths[0] if paths else 'nothing'} is named", "Name two or more runs: `cnnkit compare runs/a runs/b`.")
    seen = []
    for path in paths:
        with reopened(path) as run:
            seen.append(_measure(run))
            first = seen[0].run
    named = [f"{each.run.name} ({number})" if [s.run.name for s in seen].count(each.run.name) > 1 else each.run.name
             for number, each in enumerate(seen, 1)]  # fmt: skip
    target = picture or Path(first.folder) / "comparison.png"
    note = " ".join(dict.fromkeys(each.run.note for each in seen if each.run.note))
    plot_comparison(dict(zip(named, (each.history for each in seen), strict=True)), target, note)
    versus = [_against(seen[0], other, name) for other, name in zip(seen[1:], named[1:], strict=True)]
    return RunComparison(
        tuple(replace(each.run, name=name) for each, name in zip(seen, named, strict=True)),
        _changed([each.config for each in seen]),
        tuple(_corrected(versus)),
        target,
    )


def _measure(run: Reopened) -> _Seen:
    split, examples = run.held_out
    model = load_model(run.model)
    evaluation = evaluate_model(model, run.model, [examples], run.metadata, split)
    history = run.directory.read_history()
    compared = ComparedRun(
        name=run.directory.path.resolve().name,
        folder=str(run.directory.path),
        measured_on=evaluation.as_dict()["measured_on"],
        examples=len(examples),
        metrics={each.metric.label: each for each in _measured(evaluation)},
        epochs=len(history),
        seconds=sum(row.get("seconds", 0.0) for row in history),
        parameters=model.count_params(),
        note=run.metadata.note,
    )
    return _Seen(compared, resolved(run.loaded.config), history, run.metadata.task.kind, _identity(run), _outcome(evaluation))


def _measured(evaluation: Evaluation) -> tuple[MetricValue, ...]:
    """The metrics of the evaluation's task, and the loss as compiled."""
    task = TASK_METRICS[evaluation.metadata.task.kind]
    return (*task.measured(evaluation.metrics.as_dict()), MetricValue(LOSS, evaluation.measured.get(LOSS.name, np.nan)))


def _outcome(evaluation: Evaluation) -> Array:
    """For each example `(n,)` whether the model is right (has every label right); or its error, in spreads of the true numbers."""
    task, targets, predictions = evaluation.metadata.task, np.asarray(evaluation.targets), evaluation.predictions
    if task.is_regression:
        targets = targets.reshape(predictions.shape)
        spread = targets.std(axis=0)
        error: Array = (np.abs(predictions - targets) / np.where(spread > 0, spread, 1)).mean(axis=1)
        return error
    if task.is_multilabel:
        exact: Array = ((predictions >= 0.5) == (targets >= 0.5)).all(axis=1)
        return exact
    right: Array = by_class(predictions).argmax(axis=1) == targets.reshape(-1)
    return right


def _identity(run: Reopened) -> str:
    """What two runs share when they are measured on the same examples with the same targets, in whatever size they see them."""
    split, examples = run.held_out
    targets = "\n".join(label_texts(examples.targets, run.dataset.task)).encode("utf-8", "surrogateescape")
    return hashlib.sha256(targets + run.loaded.source.identity(run.dataset, split, examples)).hexdigest()


def _against(first: _Seen, other: _Seen, name: str) -> Versus:
    if first.kind != other.kind:
        return Versus(name, None, np.nan, f"one does {first.kind}, the other {other.kind}")
    if first.identity != other.identity:
        return Versus(name, None, np.nan, f"they were not measured on the same examples ({first.run.measured_on}, {other.run.measured_on})")
    test = wilcoxon if first.kind == "regression" else mcnemar
    return Versus(name, test(first.outcome, other.outcome), np.nan, "")


def _corrected(versus: Sequence[Versus]) -> list[Versus]:
    values = iter(holm([each.test.p for each in versus if each.test is not None]))
    return [Versus(each.other, each.test, next(values), "") if each.test is not None else each for each in versus]


def _changed(configs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """The keys in which any config differs from the first, with the values of all; the run's name is not one of them."""
    keys = list(dict.fromkeys(key for other in configs[1:] for key in differences(configs[0], other) if key != "name"))
    whole = [key for key in keys if not any(key != other and re.match(rf"{re.escape(other)}[.\[]", key) for other in keys)]
    return {key: tuple(_value(config, key) for config in configs) for key in whole}


def _value(config: Any, key: str) -> Any:
    for part in re.findall(r"[^.\[\]]+", key):
        config = config[int(part)] if isinstance(config, list) else config.get(part) if isinstance(config, Mapping) else None
    return config
