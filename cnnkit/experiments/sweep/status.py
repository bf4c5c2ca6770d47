"""Where a sweep stands: a row per trial, from Optuna's storage and the locks of the runs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from cnnkit.errors import escape_unprintable
from cnnkit.experiments.sweep.study import ERROR, SweepStudy
from cnnkit.metrics import Metric
from cnnkit.runs.lock import is_locked

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

TrialState = Literal["finished", "pruned", "failed", "running", "interrupted"]


@dataclass(frozen=True)
class TrialRow:
    """A trial.

    Attributes:
        number: Its number, from 0.
        state: Finished, pruned, failed, running; or interrupted, to be resumed.
        value: The objective: of a finished trial that of the saved model, else that after its last epoch; NaN where there is none.
        values: Parameter -> value.
        epochs: Epochs done.
        seconds: Wall time since it began, or until its end.
        error: Why it failed; empty where it did not.
    """

    number: int
    state: TrialState
    value: float
    values: Mapping[str, Any]
    epochs: int
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class SweepStatus:
    """Where a sweep stands.

    Attributes:
        name: Its name.
        objective: The validation column that is optimized.
        wanted: How many trials there are to be.
        rows: The trials so far, by number.
        parameters: The paths of the search space.
        log_scaled: Those of them that are searched on a logarithmic scale.
    """

    name: str
    objective: Metric
    wanted: int
    rows: tuple[TrialRow, ...]
    parameters: tuple[str, ...]
    log_scaled: frozenset[str] = frozenset()

    @property
    def finished(self) -> tuple[TrialRow, ...]:
        """The finished trials."""
        return tuple(row for row in self.rows if row.state == "finished")

    @property
    def ended(self) -> tuple[TrialRow, ...]:
        """The trials that will not be trained any further."""
        return tuple(row for row in self.rows if row.state in ("finished", "pruned", "failed"))

    @property
    def best(self) -> TrialRow | None:
        """The finished trial with the best objective, the earliest of several; None where none is finished."""
        return min(self.finished, key=lambda row: self.objective.sort_key(row.value), default=None)

    @property
    def names(self) -> dict[str, str]:
        """Path of each parameter -> the shortest end of it that no other one has, such as `learning_rate`."""
        paths = {name: name.split(".") for name in self.parameters}

        def ending(name: str, length: int) -> str:
            return ".".join(paths[name][-length:])

        names = {}
        for name, parts in paths.items():
            lengths = range(1, len(parts) + 1)
            unique = (n for n in lengths if all(ending(other, n) != ending(name, n) for other in paths if other != name))
            names[name] = escape_unprintable(ending(name, next(unique, len(parts))))
        return names

    def count(self, state: TrialState) -> int:
        """The number of trials in a state."""
        return sum(row.state == state for row in self.rows)


def value_text(value: Any) -> str:
    """A parameter's value in a few characters, as YAML spells it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else escape_unprintable(str(value))


def status_of(study: SweepStudy) -> SweepStatus:
    """Where the sweep of a study stands.

    Raises:
        CnnkitError: The storage failed.
    """
    plan = study.plan
    logarithmic = frozenset(name for name, each in plan.space.distributions.items() if getattr(each, "log", False))
    rows = tuple(_row(study, trial) for trial in study.trials())
    return SweepStatus(plan.name, plan.objective, plan.trials, rows, tuple(plan.space.distributions), logarithmic)


def _row(study: SweepStudy, trial: "FrozenTrial") -> TrialRow:
    intermediate = trial.intermediate_values
    last = intermediate[max(intermediate)] if intermediate else math.nan
    value = trial.value if trial.state.name == "COMPLETE" and trial.value is not None else last
    end = trial.datetime_complete or datetime.now()
    seconds = (end - trial.datetime_start).total_seconds() if trial.datetime_start is not None else 0.0
    error = str(trial.user_attrs.get(ERROR, ""))
    return TrialRow(trial.number, _state(study, trial), float(value), dict(trial.params), len(intermediate), seconds, error)


def _state(study: SweepStudy, trial: "FrozenTrial") -> TrialState:
    told: dict[str, TrialState] = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}
    if trial.state.name in told:
        return told[trial.state.name]
    return "running" if is_locked(study.folder.trial(trial.number)) else "interrupted"
