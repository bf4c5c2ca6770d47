"""Compare groups of runs: mean and spread of every metric, and tests of the first group against each of the others."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnkit.config.catalogue import BUILT_IN
from cnnkit.config.schema import SOURCES
from cnnkit.errors import CnnkitError, format_value
from cnnkit.evaluation.paired_tests import holm
from cnnkit.evaluation.repeated_runs import MeanDifference, paired_difference, welch_difference
from cnnkit.experiments.compare_runs import SIGNIFICANCE_LEVEL, changed_entries
from cnnkit.experiments.repeat_summary import RepeatSummary, gather_repeats
from cnnkit.metrics import Metric
from cnnkit.plots.repeats import plot_groups
from cnnkit.runs.group import find_group, finished_runs

WHICH_EXAMPLES = (
    "input",
    "target",
    "separator",
    "group",
    "split",
    "task",
    "classes",
    "limit",
    "exclude",
    "on_bad_file",
)  # entries of `data` that decide which examples are divided, and how


@dataclass(frozen=True)
class GroupVersus:
    """The first group against another one.

    Attributes:
        other: Name of the other group.
        differences: Metric -> difference of the means, first minus other; empty where none can be tested.
        corrected: The p-value of the headline metric with Holm's correction for the number of groups; NaN without a test.
        why_not: Why there is no test; empty where there is one.
    """

    other: str
    differences: Mapping[Metric, MeanDifference]
    corrected: float
    why_not: str

    @property
    def more_than_chance(self) -> bool:
        """Whether the corrected p-value is below `SIGNIFICANCE_LEVEL`."""
        return self.corrected < SIGNIFICANCE_LEVEL


@dataclass(frozen=True)
class GroupComparison:
    """The comparison of groups of runs.

    Attributes:
        groups: Name of a group -> its summary.
        differences: Dotted config key -> its value in each group, for the keys that differ.
        versus: The first group against each of the others.
        plot: Path of the plot.
    """

    groups: Mapping[str, RepeatSummary]
    differences: Mapping[str, tuple[Any, ...]]
    versus: tuple[GroupVersus, ...]
    plot: Path

    @property
    def headline(self) -> Metric:
        """The metric that the verdict is about: the first one of the first group."""
        return next(iter(next(iter(self.groups.values())).metrics))

    def as_dict(self) -> dict[str, Any]:
        """The comparison ready for JSON."""
        return {
            "groups": {name: {"folder": str(each.folder), **each.as_dict()} for name, each in self.groups.items()},
            "differences": {key: list(values) for key, values in self.differences.items()},
            "versus": [
                {
                    "first": next(iter(self.groups)),
                    "other": each.other,
                    "differences": {metric.name: asdict(found) for metric, found in each.differences.items()},
                    "headline": self.headline.name,
                    "corrected": each.corrected,
                    "correction": "Holm",
                    "more_than_chance": each.more_than_chance,
                    "why_not": each.why_not,
                }
                for each in self.versus
            ],
            "plot": str(self.plot),
        }


def are_groups(paths: Sequence[Path]) -> bool:
    """Whether the paths, or names in `runs/`, are groups of runs.

    Raises:
        CnnkitError: Some are, and others are not.
    """
    found = [path for path in paths if find_group(path) is not None]
    if found and len(found) < len(paths):
        other = next(path for path in paths if path not in found)
        raise CnnkitError(
            f"{found[0]} is a group of runs, {other} is not", "Compare groups with groups: `cnnkit compare runs/a-seeds runs/b-seeds`."
        )
    return bool(found)


def compare_groups(paths: Sequence[Path], picture: Path | None = None) -> GroupComparison:
    """Compare groups of runs by the metrics of their finished runs; runs are paired where both groups have the same seeds or folds.

    Args:
        paths: Two or more groups.
        picture: The PNG to write; `comparison.png` in the first group's folder where None.

    Raises:
        CnnkitError: There are fewer than two, or a group has fewer than two finished runs.
    """
    if len(paths) < 2:
        raise CnnkitError(f"only {paths[0]} is named", "Name two or more groups: `cnnkit compare runs/a-seeds runs/b-seeds`.")
    summaries = [_summary(path) for path in paths]
    names = [summary.folder.resolve().name for summary in summaries]
    names = [f"{name} ({number})" if names.count(name) > 1 else name for number, name in enumerate(names, 1)]
    first = summaries[0]
    versus = [_versus(first, other, name) for other, name in zip(summaries[1:], names[1:], strict=True)]
    groups = dict(zip(names, summaries, strict=True))
    target = picture if picture is not None else first.folder / "comparison.png"
    shared = [metric for metric in first.metrics if all(metric in other.metrics for other in summaries)]
    values = {metric: {name: [run.value(metric) for run in each.runs] for name, each in groups.items()} for metric in shared}
    plot_groups(values, target, " against ".join(names), note=" ".join(dict.fromkeys(note for each in summaries for note in each.notes)))
    return GroupComparison(groups, changed_entries([each.plan.config for each in summaries]), tuple(_with_holm(versus, first)), target)


def _summary(path: Path) -> RepeatSummary:
    group = find_group(path)
    assert group is not None
    return gather_repeats(*group, finished_runs(*group))


def _versus(first: RepeatSummary, other: RepeatSummary, name: str) -> GroupVersus:
    why_not = _why_not(first, other)
    if why_not:
        return GroupVersus(name, {}, math.nan, why_not)
    differences = {metric: _difference(first, other, metric) for metric in first.metrics if metric in other.metrics}
    return GroupVersus(name, {metric: found for metric, found in differences.items() if found is not None}, math.nan, "")


def _why_not(first: RepeatSummary, other: RepeatSummary) -> str:
    if first.plan.kind != other.plan.kind:
        return f"one is a group of {first.plan.kind}, the other of {other.plan.kind}"
    if next(iter(first.metrics)) not in other.metrics:
        return "they have other metrics"
    if first.runs[0].measured_on != other.runs[0].measured_on:
        return f"they were measured on other data ({first.runs[0].measured_on}, {other.runs[0].measured_on})"
    if first.plan.kind == "folds" and (changed := _differing(_division(first), _division(other))):
        return f"their folds are different divisions of the data: {changed}"
    if first.plan.kind == "seeds" and (changed := _differing(_measured_examples(first), _measured_examples(other))):
        return f"they were not measured on the same examples: {changed}"
    return ""


def _division(group: RepeatSummary) -> dict[str, Any]:
    """Name -> value of all that the division into folds depends on."""
    config, data = group.plan.config, group.plan.config["data"]
    seed = data.get("seed")
    return {
        "the number of folds": group.plan.folds,
        "the seed of the data": config["seed"] if seed is None else seed,
        **{f"data.{key}": data.get(key) for key in (*SOURCES, *WHICH_EXAMPLES)},
    }


def _measured_examples(group: RepeatSummary) -> dict[str, Any]:
    """Name -> value of all that decides on which examples the runs of several seeds are measured.

    A limit takes away training examples only; of built-in sets and divided npz files before validation examples are drawn from them.
    """
    data, on_validation = group.plan.config["data"], group.runs[0].measured_on.startswith("validation")
    limits = on_validation and bool(data.get("dataset") or data.get("npz"))
    keys = [*SOURCES, *(key for key in WHICH_EXAMPLES if key != "limit" or limits), "validation" if on_validation else "test"]
    built_in = BUILT_IN.get(data.get("dataset") or "")
    if on_validation or built_in is None or not built_in.of_keras:  # the test examples of those of Keras are always the same
        keys.append("seed")
    return {f"data.{key}": data.get(key) for key in keys}


def _differing(first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The entries in which two groups differ, with both values; empty where there are none."""
    rows = ((key, value, other[key]) for key, value in first.items() if value != other[key])
    return ", ".join(f"{key} is {format_value(one)} and {format_value(another)}" for key, one, another in rows)


def _difference(first: RepeatSummary, other: RepeatSummary, metric: Metric) -> MeanDifference | None:
    """The difference in one metric, over pairs where one group's seeds or folds are all in the other; None where it is undefined."""
    ours, theirs = ({run.number: run.value(metric) for run in each.runs if not math.isnan(run.value(metric))} for each in (first, other))
    paired = sorted(ours.keys() & theirs.keys())
    if min(len(ours), len(theirs)) < 2:
        return None
    if len(paired) == min(len(ours), len(theirs)):
        folds = first.plan.kind == "folds"
        ours_paired, theirs_paired = ([values[number] for number in paired] for values in (ours, theirs))
        return paired_difference(ours_paired, theirs_paired, folds=folds, bounds=metric.bounds)
    return welch_difference(list(ours.values()), list(theirs.values()), bounds=metric.bounds)


def _with_holm(versus: Sequence[GroupVersus], first: RepeatSummary) -> list[GroupVersus]:
    headline = next(iter(first.metrics))
    tested = [each for each in versus if headline in each.differences and not math.isnan(each.differences[headline].p)]
    corrected = dict(zip(map(id, tested), holm([each.differences[headline].p for each in tested]), strict=True))
    return [GroupVersus(each.other, each.differences, corrected.get(id(each), math.nan), each.why_not) for each in versus]
