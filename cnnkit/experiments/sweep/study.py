"""The trials of a sweep in Optuna's storage: claim the next one, report its epochs, tell its result.

A trial belongs to the worker that holds the lock of its run; a running trial without one belongs to nobody, so its worker was
killed, and the next worker that claims a trial resumes it. Claims are made one at a time, under a lock in the sweep's folder.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnkit.errors import BuildError, CnnkitError, ConfigError
from cnnkit.experiments.sweep.folder import TRIALS, SweepFolder, open_folder
from cnnkit.experiments.sweep.plan import SweepPlan
from cnnkit.experiments.sweep.storage import StorageAddress, open_storage, storage_errors
from cnnkit.experiments.worker_pool import LOG
from cnnkit.io.file_lock import exclusive
from cnnkit.runs.lock import RunLockedError, is_locked
from cnnkit.training.open_run import OpenedRun, open_run

if TYPE_CHECKING:
    import optuna

MOST_ATTEMPTS = 5  # workers that may be killed in the same epoch of a trial before it counts as failed

FOLDER_ID, ERROR, ATTEMPTS, EXHAUSTED = "folder", "error", "attempts", "exhausted"  # user attributes of the study and of trials


@dataclass(frozen=True)
class Claim:
    """A trial that this process is to train.

    Attributes:
        number: Its number, from 0.
        trial: Optuna's trial.
        run: Its run, locked by this process.
    """

    number: int
    trial: "optuna.Trial"
    run: OpenedRun


class SweepStudy:
    """Optuna's study of a sweep; made by `open_study`."""

    def __init__(self, plan: SweepPlan, folder: SweepFolder, address: StorageAddress, study: "optuna.Study", storage: Any) -> None:
        self.plan, self.folder, self._address, self._study, self._storage = plan, folder, address, study, storage
        setattr(study, "stop", self._exhaust)  # noqa: B010 - BruteForceSampler calls it after the last combination

    def claim(self) -> Claim | None:
        """The next trial for this process: one whose worker was killed, else a new one; None where there is none now.

        Raises:
            CnnkitError: The storage failed, or a trial's folder cannot be used.
        """
        with self._one_at_a_time():
            trials = self._study.get_trials(deepcopy=False)
            left = [each.number for each in trials if not each.state.is_finished() and not is_locked(self.folder.trial(each.number))]
            for number in left:
                claim = self._claim(self._trial(number))
                if claim is not None:
                    return claim
            while len(trials) < self.plan.trials and not self._study.user_attrs.get(EXHAUSTED):
                claim = self._claim(self._study.ask())
                if claim is not None:
                    return claim
                trials = self._study.get_trials(deepcopy=False)
        return None

    @property
    def is_complete(self) -> bool:
        """Whether all trials are finished."""
        with self._storage_errors():
            trials = self._study.get_trials(deepcopy=False)
            all_there = len(trials) >= self.plan.trials or bool(self._study.user_attrs.get(EXHAUSTED))
            return all_there and all(trial.state.is_finished() for trial in trials)

    def trials(self) -> "list[optuna.trial.FrozenTrial]":
        """All trials, as Optuna has them."""
        with self._storage_errors():
            trials: list[optuna.trial.FrozenTrial] = self._study.get_trials(deepcopy=False)
        return trials

    def importances(self) -> dict[str, float]:
        """Share of each parameter in the differences between trials, by Optuna's default evaluator; empty with too few trials."""
        import optuna

        complete = [trial for trial in self.trials() if trial.state == optuna.trial.TrialState.COMPLETE]
        if len(complete) < 2 or len({trial.value for trial in complete}) < 2:
            return {}
        return {name: float(share) for name, share in optuna.importance.get_param_importances(self._study).items() if math.isfinite(share)}

    def report(self, claim: Claim, epoch: int, value: float) -> bool:
        """Record the objective after an epoch, once; whether the pruner ends the trial there.

        Args:
            claim: The trial.
            epoch: The epoch, from 1. A resumed trial may repeat epochs that were recorded before.
            value: The objective.
        """
        with self._storage_errors():
            if epoch not in self._frozen(claim.number).intermediate_values:
                claim.trial.report(value, epoch)
            return bool(claim.trial.should_prune())

    def complete(self, claim: Claim, value: float) -> None:
        """Record the result of a trial."""
        if math.isfinite(value):
            with self._storage_errors():
                self._study.tell(claim.number, value, skip_if_finished=True)
        else:
            self.fail(claim, f"{self.plan.objective.name} is not a finite number")

    def prune(self, claim: Claim) -> None:
        """Record that the pruner ended a trial."""
        import optuna

        with self._storage_errors():
            self._study.tell(claim.number, state=optuna.trial.TrialState.PRUNED, skip_if_finished=True)

    def fail(self, claim: Claim, reason: str) -> None:
        """Record that a trial cannot be trained."""
        self._fail(claim.trial, claim.number, reason)

    def interrupted(self, claim: Claim) -> None:
        """Record that a trial was stopped by the user and not by what it does, so that this is no failed attempt."""
        with self._storage_errors():
            claim.trial.set_user_attr(ATTEMPTS, [0, 0])

    def _claim(self, trial: "optuna.Trial") -> Claim | None:
        """Choose the values that a trial still lacks and lock its run; None where another process has it, or it cannot be trained."""
        number = trial.number
        self._study.sampler = self.plan.sampler(number)
        values = {name: _suggest(trial, name, distribution) for name, distribution in self.plan.space.distributions.items()}
        try:
            run = open_run(self.plan.trial_config(values), self.folder.trial(number))
        except RunLockedError:
            return None
        except (ConfigError, BuildError) as error:  # the values are not valid together; any other error is not that of this trial
            self._fail(trial, number, str(error))
            return None
        if not run.is_finished and self._count_attempt(trial) > MOST_ATTEMPTS:
            run.folder.lock.release()
            self._fail(trial, number, f"its worker was killed {MOST_ATTEMPTS} times in the same epoch; see {self.folder.path / LOG}")
            return None
        return Claim(number, trial, run)

    def _count_attempt(self, trial: "optuna.Trial") -> int:
        """How often workers have begun to train a trial since it last got an epoch further."""
        epochs = len(self._frozen(trial.number).intermediate_values)
        count, before = trial.user_attrs.get(ATTEMPTS, [0, 0])
        count = count + 1 if epochs == before else 1
        trial.set_user_attr(ATTEMPTS, [count, epochs])
        return count

    def _fail(self, trial: "optuna.Trial", number: int, reason: str) -> None:
        import optuna

        with self._storage_errors():
            trial.set_user_attr(ERROR, reason)
            self._study.tell(number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)

    def _frozen(self, number: int) -> "optuna.trial.FrozenTrial":
        return self._study.get_trials(deepcopy=False)[number]

    def _trial(self, number: int) -> "optuna.Trial":
        """Optuna's trial of a number, to go on with."""
        import optuna

        self._study.sampler = self.plan.sampler(number)
        study = self._storage.get_study_id_from_name(self._study.study_name)
        return optuna.Trial(self._study, self._storage.get_trial_id_from_study_id_trial_number(study, number))

    def _exhaust(self) -> None:
        self._study.set_user_attr(EXHAUSTED, True)

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        with exclusive(self.folder.claims), self._storage_errors():
            yield

    def _storage_errors(self) -> contextlib.AbstractContextManager[None]:
        return storage_errors(self._address, self.folder)


def open_study(plan: SweepPlan, folder: SweepFolder, address: StorageAddress) -> tuple[SweepStudy, str]:
    """Open the study of a sweep, or begin it.

    Returns:
        The study, and a notice for the user, which may be empty.

    Raises:
        CnnkitError: The folder or the storage holds another sweep, or cannot be used.
    """
    import optuna

    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        lock = exclusive(folder.claims)
        with lock:
            record = open_folder(folder, plan.bound, address.described(folder))
            storage, notice = open_storage(address, folder)
            with storage_errors(address, folder):
                study = optuna.create_study(
                    storage=storage,
                    study_name=plan.name,
                    direction="maximize" if plan.objective.higher_is_better else "minimize",
                    sampler=plan.sampler(0),
                    pruner=plan.pruner(),
                    load_if_exists=True,
                )
                _require_own(study, record.id, folder, address)
    except OSError as error:
        if isinstance(error, CnnkitError):
            raise
        raise CnnkitError(f"{folder.path}: the sweep's folder cannot be written ({error.strerror})", "Name another --sweep-dir.") from error
    return SweepStudy(plan, folder, address, study, storage), notice


def _require_own(study: "optuna.Study", identity: str, folder: SweepFolder, address: StorageAddress) -> None:
    """Bind a new study to its folder, or check that a study is that of this folder.

    Raises:
        CnnkitError: It is that of another folder, or the folder has trials that the study does not know.
    """
    owner = study.user_attrs.get(FOLDER_ID)
    if owner is None and any(folder.path.glob(TRIALS)):
        raise CnnkitError(
            f"{folder.path}: has trials, but {address.described(folder)} has none of them",
            "Restore it, or begin anew under another name: `--set name=NAME`.",
        )
    if owner is None:
        study.set_user_attr(FOLDER_ID, identity)
    elif owner != identity:
        raise CnnkitError(
            f"{address.described(folder)}: has a sweep '{study.study_name}' of another folder than {folder.path}",
            "Name this one otherwise (`--set name=NAME`); or, to join that sweep from another machine, name its folder "
            "on a file system that both share: `--sweep-dir DIR`.",
        )


def _suggest(trial: "optuna.Trial", name: str, distribution: Any) -> Any:
    """The value of a parameter in a trial: the one it has, else a newly chosen one."""
    import optuna

    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    limits: Mapping[str, Any] = {"step": distribution.step, "log": distribution.log}
    if isinstance(distribution, optuna.distributions.IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high, **limits)
    return trial.suggest_float(name, distribution.low, distribution.high, **limits)
