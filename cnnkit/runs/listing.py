"""List the runs in a folder from their small files, without TensorFlow; damaged runs are listed, too."""

import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from cnnkit.config.yaml_loader import read_file
from cnnkit.errors import CnnkitError, did_you_mean, format_value
from cnnkit.io.json_file import read_json
from cnnkit.metrics import Metric, custom_names, find, headline, headline_column
from cnnkit.runs.directory import RunDirectory
from cnnkit.runs.group import GROUP
from cnnkit.runs.lock import is_locked
from cnnkit.runs.names import RUNS, SortKey

State = Literal["finished", "interrupted", "pruned", "running", "failed", "unknown"]

_STATES_OF_A_GROUP: tuple[State, ...] = ("running", "failed", "unknown", "interrupted", "finished")  # the first that a run of it has

_NOT_RUNS = ("checkpoints", "cache")  # folders inside a run


@dataclass(frozen=True)
class ListedRun:
    """A run in a list.

    Attributes:
        name: Its folder, relative to the listed folder.
        data: The data set that it was trained on.
        stand_in_for: The requested data set that `data` replaces; empty where `data` is the requested one.
        metric: Its headline metric; of a run without an evaluation, a column of its history. None where there is neither yet.
        value: The metric's value; None where it is missing or not finite.
        epochs: Epochs done.
        seconds: Wall time in seconds; that of its epochs where it is not finished.
        started: Start time in ISO 8601; empty where unknown.
        state: Finished, interrupted, pruned, running, failed or unknown.
        faults: Messages about damaged or missing files.
        runs: Number of runs; more than one for a group of seeds or folds, of which everything else is the mean or the sum.
        deviation: Standard deviation of the metric over the finished runs of a group; None for a single run.
    """

    name: str
    data: str
    stand_in_for: str
    metric: Metric | None
    value: float | None
    epochs: int
    seconds: float
    started: str
    state: State
    faults: tuple[str, ...]
    runs: int = 1
    deviation: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The run ready for JSON."""
        values = {"figure" if each.name == "metric" else each.name: getattr(self, each.name) for each in fields(self)}
        label = self.metric.label if self.metric is not None else ""
        return {**values, "figure": label, "stand_in_for": self.stand_in_for or None, "started": self.started or None}


def list_runs(folder: Path = RUNS, sort: SortKey = "when") -> list[ListedRun]:
    """List the runs in a folder and its subfolders, such as those of a comparison; a group of seeds or folds is one row.

    Args:
        folder: The folder to search; it may be a run itself, or a group, whose runs are then listed.
        sort: First the newest run; the first name, data set or state; the best metric; the most epochs; or the longest time.

    Raises:
        CnnkitError: The folder does not exist, or has no run, or there is no such order.
    """
    if not isinstance(sort, str) or sort not in _ORDER:  # from Python
        orders = [key for key in _ORDER if key != "figure"]
        raise CnnkitError(f"sort: {format_value(sort)} is no order.{did_you_mean(str(sort), orders)}", f"There are {', '.join(orders)}.")
    remedy = "Train one first: `cnnkit train configs/cifar.yaml`; or name the folder that has runs."
    if not folder.is_dir():
        raise CnnkitError(f"{folder}: no such folder", remedy)
    runs = []
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _NOT_RUNS and not name.startswith("."))
        if GROUP in files and Path(path) != folder and (members := _members(Path(path))):
            runs.append(_as_one(members, Path(path).relative_to(folder).as_posix()))
            folders.clear()
            continue
        if "environment.json" in files or {"config.yaml", "model.keras"} <= set(files):
            runs.append(read_run(Path(path), folder))
    if not runs:
        raise CnnkitError(f"{folder}: there is no run in it, nor in folders below", remedy)
    return sorted(sorted(runs, key=lambda run: run.started, reverse=True), key=_ORDER[sort])


def _members(group: Path) -> list[ListedRun]:
    """The runs of a group of seeds or folds, in natural order."""
    paths = [path for path in group.iterdir() if (path / "environment.json").exists()]
    return sorted((read_run(path, group) for path in paths), key=_ORDER["name"])


def _as_one(members: Sequence[ListedRun], name: str) -> ListedRun:
    """A group of runs as one row: the mean of the metric of its finished runs, the sum of epochs and times."""
    finished = [run for run in members if run.state == "finished"] or members
    first = finished[0]
    values = [run.value for run in finished if run.value is not None and run.metric == first.metric]
    states = [run.state for run in members]
    return ListedRun(
        name=name,
        data=first.data,
        stand_in_for=first.stand_in_for,
        metric=first.metric,
        value=statistics.fmean(values) if values else None,
        epochs=sum(run.epochs for run in members),
        seconds=sum(run.seconds for run in members),
        started=min((run.started for run in members if run.started), default=""),
        state=next(state for state in _STATES_OF_A_GROUP if state in states),
        faults=tuple(f"{run.name}: {fault}" for run in members for fault in run.faults),
        runs=len(members),
        deviation=statistics.stdev(values) if len(values) > 1 else None,
    )


def _metric_order(run: ListedRun) -> tuple[bool, str, float]:
    if run.metric is None or run.value is None:
        return True, "", 0.0
    return False, run.metric.label, run.metric.sort_key(run.value)


_ORDER: Mapping[SortKey, Callable[[ListedRun], Any]] = {
    "when": lambda run: 0,
    "name": lambda run: _natural_key(run.name),
    "data": lambda run: (run.data, run.stand_in_for),
    "metric": _metric_order,
    "figure": _metric_order,
    "epochs": lambda run: -run.epochs,
    "time": lambda run: -run.seconds,
    "state": lambda run: run.state,
}


def _natural_key(name: str) -> tuple[str, int]:
    """Sort key of natural order: `cifar-2` before `cifar-10`."""
    stem, _, number = name.rpartition("-")
    return (stem, int(number)) if stem and number.isdecimal() else (name, 0)


def read_run(path: Path, folder: Path) -> ListedRun:
    """Read one run from the small files in its folder.

    Args:
        path: Its folder.
        folder: The folder that its name is relative to; `path` itself for the name of its folder.
    """
    faults: list[str] = []
    environment = _json(path / "environment.json", faults, required=True)
    metrics = _json(path / "metrics.json", faults, required=False)
    history = _history(path, faults)
    stored = environment.get("data")
    data = stored if isinstance(stored, dict) else {}
    metric, value = _headline(metrics, history, path)
    return ListedRun(
        name=path.relative_to(folder).as_posix() if path != folder else path.resolve().name,
        data=str(data.get("name", "")),
        stand_in_for=str(data.get("stand_in_for") or ""),
        metric=metric,
        value=value,
        epochs=len(history),
        seconds=_number(environment.get("seconds")) or sum(row.get("seconds", 0.0) for row in history),
        started=str(environment.get("started") or ""),
        state=_state(environment, path),
        faults=tuple(faults),
    )


def _state(environment: Mapping[str, Any], path: Path) -> State:
    """The state in `environment.json`; a running one whose process no longer holds the lock counts as interrupted."""
    stored = environment.get("state")
    if stored == "running":
        return "running" if is_locked(path) else "interrupted"
    return stored if stored in ("finished", "interrupted", "pruned", "failed") else "unknown"


def _headline(metrics: Mapping[str, Any], history: Sequence[Mapping[str, float]], path: Path) -> tuple[Metric | None, float | None]:
    measured = headline(metrics)
    if measured is not None:
        return measured.metric, measured.value
    column = headline_column(history[-1]) if history else ""
    return (find(column, custom_metric_names(path)), _number(history[-1][column])) if column else (None, None)


def custom_metric_names(path: Path) -> dict[str, str]:
    """Name -> Keras class of the metrics that the run's config names; empty where the config cannot be read."""
    try:
        config = read_file(path / "config.yaml").value
    except (CnnkitError, OSError):
        return {}
    train = config.get("train") if isinstance(config, dict) else None
    return custom_names(train.get("metrics")) if isinstance(train, dict) else {}


def _number(value: Any) -> float | None:
    """A finite number from a file; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < float("inf") else None


def _json(path: Path, faults: list[str], *, required: bool) -> dict[str, Any]:
    try:
        value = read_json(path)
    except FileNotFoundError:
        if required:
            faults.append(f"{path.name} is missing")
        return {}
    except (OSError, ValueError):
        value = None
    if not isinstance(value, dict):
        faults.append(f"{path.name} is damaged")
        return {}
    return value


def _history(path: Path, faults: list[str]) -> list[dict[str, float]]:
    if not (path / "history.csv").exists():
        return []
    try:
        return RunDirectory(path).read_history()
    except CnnkitError:
        faults.append("history.csv is damaged")
        return []
