"""Train one trial: a normal run whose final metrics are those of the validation examples, pruned by the study."""

import math
from typing import Literal

from cnnkit.errors import BuildError, CnnkitError, ConfigError
from cnnkit.experiments.sweep.study import Claim, SweepStudy
from cnnkit.io.json_file import read_json
from cnnkit.metrics import EPOCH, VALIDATION_PREFIX
from cnnkit.runs.directory import RunDirectory, read_state
from cnnkit.training.fit import Listener
from cnnkit.training.history import DivergedError, PrunedError, Row
from cnnkit.training.memory import OutOfMemoryError
from cnnkit.training.prepare import Prepared
from cnnkit.training.recorder import ForwardingListener
from cnnkit.training.run import train, write_missing
from cnnkit.training.session import Display, training_displayed

Outcome = Literal["told", "interrupted"]

_OF_THIS_TRIAL = (DivergedError, ConfigError, BuildError, OutOfMemoryError)  # errors that another trial need not have


def run_trial(study: SweepStudy, claim: Claim, display: Display) -> Outcome:
    """Train a claimed trial, from its beginning or from its last checkpoint, and tell the study its result.

    Args:
        study: The study.
        claim: The trial.
        display: Shows the run.

    Returns:
        `interrupted` where a signal stopped it: its run is saved, and the trial is to be claimed again.

    Raises:
        CnnkitError: No trial can be trained: the disk is full, or there are no validation examples.
    """
    directory = claim.run.folder.directory
    if read_state(directory) == "pruned":  # the worker was killed before it could tell
        claim.run.folder.lock.release()
        study.prune(claim)
        return "told"
    try:
        interrupted = _train(study, claim, display)
    except PrunedError:
        study.prune(claim)
        return "told"
    except _OF_THIS_TRIAL as error:
        study.fail(claim, str(error))
        return "told"
    if interrupted:
        study.interrupted(claim)
        return "interrupted"
    study.complete(claim, _final_value(directory, study.plan.objective.name))
    return "told"


def _train(study: SweepStudy, claim: Claim, display: Display) -> bool:
    """Train to the end, or find the run finished; whether a signal stopped it."""
    run = claim.run
    if run.is_finished and (run.resumed is None or not run.resumed.unusable_files):
        run.folder.lock.release()
        return False
    prepared = run.prepare(without_test=True)
    _require_validation(prepared)
    with training_displayed(prepared, display) as displayed:
        listener = TrialListener(study, claim, displayed, prepared.epochs)
        result = write_missing(prepared, listener) if run.is_finished else train(prepared, listener)
    return result.history.interrupted


def _require_validation(prepared: Prepared) -> None:
    if prepared.dataset.validation is None:
        prepared.lock.release()
        raise CnnkitError(
            f"{prepared.metadata.data}: a sweep chooses by the validation examples, and there are none",
            "Hold out a share of the training examples: `data: {validation: 0.1}`.",
        )


def _final_value(directory: RunDirectory, objective: str) -> float:
    """The objective of the model that a finished run saved.

    Raises:
        CnnkitError: `metrics.json` does not have it.
    """
    try:
        value = read_json(directory.metrics)[objective.removeprefix(VALIDATION_PREFIX)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{directory.metrics}: has no {objective.removeprefix(VALIDATION_PREFIX)} ({type(error).__name__})"
        raise CnnkitError(message, "Choose another objective, such as val_loss.") from error
    return math.nan if value is None else float(value)


class TrialListener(ForwardingListener):
    """Reports each epoch of a trial to its study, ends the run where the pruner says so, and forwards every event.

    Args:
        study: The study.
        claim: The trial.
        listener: Receives the events.
        epochs: Epochs of the whole run; after the last one there is nothing to save by pruning.
    """

    def __init__(self, study: SweepStudy, claim: Claim, listener: Listener, epochs: int) -> None:
        super().__init__(listener)
        self._study, self._claim, self._epochs = study, claim, epochs

    def on_notice(self, text: str) -> None:
        """Forward, with the trial that it is about."""
        super().on_notice(f"trial {self._claim.number}: {text}")

    def on_epoch(self, row: Row) -> None:
        """Report the objective, and forward.

        Raises:
            PrunedError: The pruner ends the trial.
        """
        super().on_epoch(row)
        epoch = int(row[EPOCH])
        should_prune = self._study.report(self._claim, epoch, row[self._study.plan.objective.name])
        if should_prune and epoch < self._epochs:
            raise PrunedError
