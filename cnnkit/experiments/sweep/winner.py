"""The winner of a sweep: its config, and its metrics with fresh seeds, which say how much of the best trial was luck.

The best of many trials is chosen because it is high, so part of its value is noise that does not come again (the winner's curse).
Retrained on the same splits with seeds that no trial had, each run measured once on the test examples, it shows what to expect.
"""

import math
import statistics
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cnnkit.config.load import LoadedConfig
from cnnkit.config.stack import set_entry
from cnnkit.config.validate import validate
from cnnkit.config.yaml_loader import Document
from cnnkit.config.yaml_writer import write_yaml
from cnnkit.errors import CnnkitError, Mark, count
from cnnkit.experiments.repeats import MOST_RUNS
from cnnkit.experiments.sweep.run import OpenSweep
from cnnkit.experiments.sweep.status import TrialRow, status_of
from cnnkit.experiments.worker import RunTask
from cnnkit.experiments.worker_pool import OnEvent, train_runs
from cnnkit.io.atomic import write_json, write_text
from cnnkit.io.json_file import read_json
from cnnkit.metrics import VALIDATION_PREFIX, Metric
from cnnkit.runs.directory import RunDirectory

LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Best:
    """The best trial of a sweep.

    Attributes:
        trial: The trial.
        config: Its config.
        path: The file that its config was written to.
    """

    trial: TrialRow
    config: LoadedConfig
    path: Path


@dataclass(frozen=True)
class Winner:
    """The winner of a sweep with fresh seeds.

    Attributes:
        objective: The objective of the sweep.
        trial: Number of the best trial.
        trial_value: Its objective, the best of the sweep.
        trials: The number of finished trials that it is the best of.
        seeds: The fresh seeds.
        validation: The objective of each retrained run on the validation examples.
        test: The same metric on the test examples; empty where there are none.
    """

    objective: Metric
    trial: int
    trial_value: float
    trials: int
    seeds: tuple[int, ...]
    validation: tuple[float, ...]
    test: tuple[float, ...]

    def mean(self, values: Sequence[float]) -> float:
        """The mean of some runs."""
        return statistics.fmean(values)

    def deviation(self, values: Sequence[float]) -> float | None:
        """The standard deviation over some runs (n - 1); None for one run."""
        return statistics.stdev(values) if len(values) > 1 else None

    @property
    def gap(self) -> float:
        """How much better the best trial was than the mean of the retrained runs on the same validation examples."""
        difference = self.trial_value - self.mean(self.validation)
        return difference if self.objective.higher_is_better else -difference

    @property
    def sentence(self) -> str:
        """What the gap means, in plain words."""
        text = self.objective.text
        if self.gap <= 0:
            return (
                f"With fresh seeds the winner is no worse than its trial (by {text(-self.gap)} better): "
                "its place in the sweep was not luck."
            )
        return (
            f"Winner's curse: the best of {count(self.trials, 'trial')} was {text(self.gap)} better than its own config with fresh seeds, "
            "on the same validation examples. So much of it was luck; expect the retrained values."
        )

    def as_dict(self) -> dict[str, Any]:
        """The winner ready for JSON."""
        return {
            "objective": self.objective.name,
            "trial": self.trial,
            "trial_value": self.trial_value,
            "finished_trials": self.trials,
            "seeds": list(self.seeds),
            "validation": self._summary(self.validation),
            "test": self._summary(self.test) if self.test else None,
            "gap": self.gap,
        }

    def _summary(self, values: Sequence[float]) -> dict[str, Any]:
        return {"values": list(values), "mean": self.mean(values), "standard_deviation": self.deviation(values)}


def write_best_config(sweep: OpenSweep) -> Best:
    """Write the config of the best trial, which trains that trial's network again.

    Raises:
        CnnkitError: No trial is finished, or the file cannot be written.
    """
    status = status_of(sweep.study)
    best = status.best
    if best is None:
        raise CnnkitError(f"{sweep.folder.path}: no trial is finished, so there is no winner", "Run the sweep first: leave out --best.")
    config = sweep.study.plan.space.config_of(best.values)
    path = sweep.folder.best_config
    head = (
        f"# The best of {count(len(status.finished), 'finished trial')} of the sweep {status.name}: trial {best.number}, "
        f"{status.objective.name} {status.objective.text(best.value)}.\n#\n#   cnnkit train {path}\n\n"
    )
    write_text(path, head + write_yaml(config.document.value))
    return Best(best, config, path)


def retrain_winner(sweep: OpenSweep, best: Best, seeds: int, workers: int, on_event: OnEvent) -> tuple[Winner | None, int]:
    """Retrain the winner with fresh seeds, on the splits of the sweep, and measure each run once on the test examples.

    Args:
        sweep: The sweep.
        best: Its best trial.
        seeds: How many seeds.
        workers: The number of worker processes.
        on_event: Called with the progress of the runs.

    Returns:
        The winner, None where a signal interrupted its training; and the exit status of that signal, or 0. The same call resumes it.

    Raises:
        CnnkitError: There are too many seeds, a run cannot be trained, or a file cannot be written.
    """
    if seeds > MOST_RUNS:
        raise CnnkitError(f"--seeds: {seeds}: more than {MOST_RUNS:,} runs", "Name fewer, such as `--best --seeds 5`.")
    fresh = [(best.config.config.seed + number) % (LARGEST_SEED + 1) for number in range(1, seeds + 1)]
    folders = [sweep.folder.retrained(best.trial.number, seed) for seed in fresh]
    tasks = [
        RunTask(f"seed {seed}", _with_seed(best.config, seed), folder) for seed, folder in zip(fresh, folders, strict=True)
    ]  # fmt: skip
    folders[0].parent.mkdir(exist_ok=True)
    exit_status = train_runs(tasks, min(workers, len(tasks)), folders[0].parent, on_event)
    if exit_status:
        return None, exit_status
    objective = sweep.study.plan.objective
    measured = [_measure(folder, objective) for folder in folders]
    test = tuple(test for _, test in measured if test is not None)
    finished = len(status_of(sweep.study).finished)
    validation = tuple(value for value, _ in measured)
    winner = Winner(objective, best.trial.number, best.trial.value, finished, tuple(fresh), validation, test)
    write_json(sweep.folder.winner, winner.as_dict())
    return winner, 0


def read_winner(sweep: OpenSweep) -> Winner | None:
    """The winner that was retrained last; None where there is none, or where another trial is the best now."""
    try:
        stored = _StoredWinner.model_validate(read_json(sweep.folder.winner))
    except (OSError, ValueError):
        return None
    status = status_of(sweep.study)
    if status.best is None or status.best.number != stored.trial:
        return None
    test = stored.test.values if stored.test is not None else ()
    return Winner(
        sweep.study.plan.objective,
        stored.trial,
        stored.trial_value,
        stored.finished_trials,
        tuple(stored.seeds),
        tuple(stored.validation.values),
        tuple(test),
    )


class _StoredRuns(BaseModel):
    """The objective of retrained runs in `winner.json`."""

    values: list[float]


class _StoredWinner(BaseModel):
    """The content of `winner.json`."""

    trial: int
    trial_value: float
    finished_trials: int
    seeds: list[int]
    validation: _StoredRuns
    test: _StoredRuns | None


def _with_seed(loaded: LoadedConfig, seed: int) -> LoadedConfig:
    """The config with another seed, on the same splits."""
    value = deepcopy(loaded.document.value)
    mark = Mark("--seeds")
    set_entry(value, "data.seed", loaded.config.data_seed, mark)
    set_entry(value, "seed", seed, mark)
    config, faults = validate(value)
    assert config is not None, faults  # only the seeds differ from a valid config
    return LoadedConfig(config, Document(value, loaded.document.keys, loaded.document.values))


def _measure(folder: Path, objective: Metric) -> tuple[float, float | None]:
    """The objective of a run's saved model on its validation examples, and on its test examples where it has any."""
    from cnnkit.prediction.evaluate import evaluate_model
    from cnnkit.runs.reopen import reopened

    column = objective.name.removeprefix(VALIDATION_PREFIX)
    with reopened(folder) as run:
        validation = run.dataset.validation
        assert validation is not None  # else no trial could have been trained
        value = evaluate_model(run.open(), [validation], run.metadata, "validation").as_dict()[column]
        if run.dataset.test is None:
            return float(value), None
    stored = read_json(RunDirectory(folder).metrics)[column]
    return float(value), math.nan if stored is None else float(stored)
