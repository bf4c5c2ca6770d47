"""Summarize a group of runs: mean, standard deviation and interval of every metric; of folds, the pooled metrics, too."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnkit.config.yaml_loader import read_file
from cnnkit.errors import CnnkitError, count
from cnnkit.evaluation.repeated_runs import MeanEstimate, mean_estimate
from cnnkit.experiments.out_of_fold import pool_folds
from cnnkit.io.atomic import write_json
from cnnkit.io.json_file import read_json
from cnnkit.metrics import Metric, MetricValue, measured_with_loss
from cnnkit.plots.repeats import plot_repeats
from cnnkit.runs.directory import RunDirectory
from cnnkit.runs.group import SUMMARY, GroupPlan
from cnnkit.runs.listing import custom_metric_names

PLOT = "summary.png"


@dataclass(frozen=True)
class RepeatedRun:
    """One run of a group.

    Attributes:
        name: Its folder's name, such as `seed-42`.
        number: Its seed, or the number of its fold.
        measured_on: Split and data set that its metrics were computed on.
        examples: Number of those examples.
        metrics: Its metrics, the headline first, the loss last.
        history: A row per epoch.
    """

    name: str
    number: int
    measured_on: str
    examples: int
    metrics: tuple[MetricValue, ...]
    history: Sequence[Mapping[str, float]]

    @property
    def seconds(self) -> float:
        """Wall time of its epochs."""
        return sum(row.get("seconds", 0.0) for row in self.history)

    def value(self, metric: Metric) -> float:
        """A metric of this run; NaN where it has none."""
        return next((each.value for each in self.metrics if each.metric == metric), math.nan)


@dataclass(frozen=True)
class RepeatSummary:
    """The summary of a group of runs.

    Attributes:
        folder: The group's folder.
        plan: What the group consists of.
        runs: Its runs.
        metrics: Metric -> mean, standard deviation and interval over the runs.
        pooled: Metrics of all held-out predictions of the folds together; empty for seeds.
        notes: Warnings to show beside the results.
        custom_metrics: Name -> Keras class of metrics that the config names; see `metrics.find`.
    """

    folder: Path
    plan: GroupPlan
    runs: tuple[RepeatedRun, ...]
    metrics: Mapping[Metric, MeanEstimate]
    pooled: tuple[MetricValue, ...]
    notes: tuple[str, ...]
    custom_metrics: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name of the config."""
        return str(self.plan.config["name"])

    @property
    def title(self) -> str:
        """The group in a few words: `digits, 5 seeds`."""
        return f"{self.name}, {count(len(self.runs), self.plan.kind[:-1])}"

    @property
    def measured_on(self) -> str:
        """What the metrics of the runs were computed on."""
        data = self.runs[0].measured_on
        total = sum(run.examples for run in self.runs)
        if self.plan.kind == "folds":
            return f"each of {total:,} examples held out once ({data.removeprefix('test set of ')})"
        sizes = sorted({run.examples for run in self.runs})
        return f"{data}, {' to '.join(f'{size:,}' for size in dict.fromkeys((sizes[0], sizes[-1])))} examples"

    @property
    def interval_note(self) -> str:
        """What the intervals are, in a sentence or two."""
        runs = len(self.runs)
        if self.plan.kind == "folds":
            return (
                f"Intervals: 95 %, Student's t over the {runs} folds, the variance corrected for the training examples that any two "
                "folds share (Nadeau and Bengio 2003)."
            )
        few = " With so few runs they are wide and uncertain." if runs < 5 else ""
        return f"Intervals of the mean: 95 %, Student's t over the {runs} runs.{few}"

    def as_dict(self) -> dict[str, Any]:
        """The summary ready for JSON."""
        return {
            "kind": self.plan.kind,
            "name": self.name,
            "measured_on": self.measured_on,
            "interval": self.interval_note,
            "notes": list(self.notes),
            "metrics": {metric.name: {"label": metric.label, **asdict(estimate)} for metric, estimate in self.metrics.items()},
            "pooled": {each.metric.name: {"value": each.value, "interval": each.interval} for each in self.pooled},
            "runs": [
                {
                    "name": run.name,
                    self.plan.kind[:-1]: run.number,
                    "measured_on": run.measured_on,
                    "examples": run.examples,
                    "epochs": len(run.history),
                    "seconds": round(run.seconds, 2),
                    "metrics": {each.metric.name: each.value for each in run.metrics},
                }
                for run in self.runs
            ],
        }


def summarize_repeats(folder: Path, plan: GroupPlan, runs: Sequence[Path]) -> RepeatSummary:
    """Summarize the finished runs of a group, and write `summary.json` and `summary.png` into its folder; of folds, `out-of-fold.csv`, too.

    Args:
        folder: The group's folder.
        plan: What the group consists of.
        runs: The folders of the runs.

    Raises:
        CnnkitError: A run has no evaluation, or its files are damaged.
    """
    summary = gather_repeats(folder, plan, runs, pooled=pool_folds(folder, runs) if plan.kind == "folds" else ())
    write_json(folder / SUMMARY, summary.as_dict())
    plot_repeats(
        {run.name: run.history for run in summary.runs},
        {metric: [run.value(metric) for run in summary.runs] for metric in summary.metrics},
        summary.metrics,
        folder / PLOT,
        summary.title,
        note=" ".join(summary.notes),
        custom=summary.custom_metrics,
    )
    return summary


def gather_repeats(folder: Path, plan: GroupPlan, runs: Sequence[Path], pooled: tuple[MetricValue, ...] = ()) -> RepeatSummary:
    """The summary of some finished runs of a group, from their small files.

    Args:
        folder: The group's folder.
        plan: What the group consists of.
        runs: The folders of the runs.
        pooled: Metrics of all held-out predictions of the folds together.

    Raises:
        CnnkitError: A run has no evaluation, or its files are damaged.
    """
    read = [_read_run(path, plan) for path in runs]
    found = tuple(run for run, _ in read)
    metrics = dict.fromkeys(each.metric for run in found for each in run.metrics)
    estimates = {
        metric: mean_estimate([run.value(metric) for run in found], folds=plan.kind == "folds", bounds=metric.bounds) for metric in metrics
    }
    notes = tuple(dict.fromkeys(note for _, notes in read for note in notes))
    return RepeatSummary(folder, plan, found, estimates, pooled, notes, custom_metric_names(runs[0]))


def _read_run(path: Path, plan: GroupPlan) -> tuple[RepeatedRun, list[str]]:
    """A run, and warnings to show beside its results."""
    directory = RunDirectory(path)
    try:
        results = read_json(directory.metrics)
        measured = measured_with_loss(results)
        examples = int(results["examples"])
        stand_in = results.get("stand_in_for")
    except FileNotFoundError:
        raise CnnkitError(f"{path}: has no evaluation: no example is held out", "Set `data.test` or `data.validation`.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CnnkitError(f"{directory.metrics}: is damaged", "Remove it; the same command writes it again.") from error
    notes = [f"{stand_in} could not be had: these results are of a stand-in."] if stand_in else []
    config = read_file(directory.config).value
    number = config["seed"] if plan.kind == "seeds" else config["data"]["fold"]["number"]
    return RepeatedRun(path.name, int(number), str(results["measured_on"]), examples, measured, directory.read_history()), notes
