"""The checkpoint manager of a run: saves its training state, restores it exactly, rolls back when the loss diverges."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnnkit.artifacts.model_metadata import SavedEpoch
from cnnkit.config.kept_epoch import EpochChoice
from cnnkit.errors import CnnkitError
from cnnkit.keras_api.compat import has_averages_in_model
from cnnkit.training.checkpoint.callbacks import (
    CallbackState,
    restore_callbacks,
    restored_epoch,
    snapshot_callbacks,
)
from cnnkit.training.checkpoint.snapshot import (
    AUGMENTATION,
    AUGMENTATION_AT_PHASE_START,
    MODEL,
    all_finite,
    augmentation_variables,
    fits,
    has_weights,
    restore_variables,
    restore_weights,
    snapshot,
    snapshot_averages,
    variables_of,
)
from cnnkit.training.checkpoint.state import MOST_HALVINGS, BestEpoch, RunIdentity, TrainingState
from cnnkit.training.checkpoint.store import Array, Checkpoint, CheckpointStore
from cnnkit.training.history import DivergedError, History, OpenEpoch
from cnnkit.training.learning_rate import is_scheduled, learning_rate_of, multiply_learning_rate

if TYPE_CHECKING:
    import keras

NO_LIMIT = 2**62


@dataclass
class CheckpointManager:
    """Training state of a run, saved to and restored from checkpoints.

    Attributes:
        model: The whole model.
        augmentation: The layers of `data.augment`.
        checkpoints: The checkpoint files.
        run: Config and data fingerprint, stored in every checkpoint.
        interval: Interval between checkpoints within an epoch as (optimizer steps, seconds); the one that does not apply is 0.
        rolls_back: Whether training resumes from the last checkpoint when the loss diverges.
        last_phase: Number of the last phase, from 0.
        choice: How epochs are compared, and whether the weights of the best one are saved.
        history: The history so far.
        best: The best epoch so far; its checkpoint is retained.
        saved_epoch: Once training has ended, the epoch whose weights the model has; None where unknown.
        phase: The current phase, from 0.
        epochs_before_phase: Epochs done when it began.
        halvings: How often the learning rate was halved in this phase after the loss had diverged.
        pending: Checkpoint to restore once the phase's model is compiled; None for none.
        forced: Whether to resume although the config or the data has changed: only variables that still fit are restored. False again
            once a checkpoint of the changed run is written.
        saving_seconds: Wall time that saving checkpoints has taken in this process.
    """

    model: "keras.Model"
    augmentation: Sequence[Any]
    checkpoints: CheckpointStore
    run: RunIdentity
    interval: tuple[int, float]
    rolls_back: bool
    last_phase: int
    choice: EpochChoice
    history: History = field(default_factory=History)
    best: BestEpoch = field(default_factory=BestEpoch)
    saved_epoch: SavedEpoch | None = None
    phase: int = 0
    epochs_before_phase: int = 0
    halvings: int = 0
    pending: Checkpoint | None = None
    forced: bool = False
    saving_seconds: float = 0.0
    _trained: "keras.Model | None" = None
    _steps_per_epoch: int = 0
    _saved_at: float = 0.0
    _augmentation_at_phase_start: dict[str, Array] = field(default_factory=dict)

    def resume_from(self, checkpoint: Checkpoint) -> None:
        """Resume from a checkpoint: its history now, its variables when the phase begins.

        Raises:
            CnnkitError: It is of a phase that the config does not have.
        """
        state = checkpoint.state
        if state.phase > self.last_phase:
            raise CnnkitError(
                f"the checkpoint is of phase {state.phase + 1}, but the config ends with phase {self.last_phase + 1}",
                "Train it anew instead.",
            )
        self.history.rows[:] = [dict(row) for row in state.history]
        self.history.seconds, self.history.feature_seconds = state.seconds, state.feature_seconds
        self.best, self.halvings = BestEpoch.among(self.history.rows, self.choice.metric), state.halvings
        self.phase, self.epochs_before_phase = state.phase, state.epochs_before_phase
        self.pending = checkpoint

    def begin_phase(self) -> None:
        """Before a phase is built: restore the model, and augmentation as it was when the phase began.

        Raises:
            CnnkitError: The checkpoint is of another network.
        """
        augmentation = augmentation_variables(self.augmentation)
        if self.pending is not None:
            restore_variables({MODEL: self.model.variables}, self.pending.arrays)
            group = AUGMENTATION_AT_PHASE_START if self.pending.state.phase_started else AUGMENTATION
            if not self.forced or fits(augmentation, group, self.pending.arrays):
                restore_variables({group: augmentation}, self.pending.arrays)
        self._augmentation_at_phase_start = snapshot({AUGMENTATION_AT_PHASE_START: augmentation})
        if self.pending is None or not self.pending.state.phase_started:
            self.epochs_before_phase = len(self.history.rows)
        if self.pending is None and not self.history.rows:  # a checkpoint to roll back to, and proof that checkpoints can be written
            self._save_between_phases()

    def set_trained_model(self, trained: "keras.Model", steps_per_epoch: int) -> None:
        """Set the phase's compiled model, which may be a part of the whole one; its state is saved and restored from now on."""
        self._trained, self._steps_per_epoch = trained, steps_per_epoch

    def end_phase(self) -> None:
        """After a phase: save a checkpoint for the start of the next one, if there is one."""
        self.pending, self.halvings = None, 0
        self.phase += 1
        self.epochs_before_phase = len(self.history.rows)
        if self.phase <= self.last_phase:
            self._save_between_phases()

    def _save_between_phases(self) -> None:
        with self._timed():
            arrays = snapshot({MODEL: self.model.variables, AUGMENTATION: augmentation_variables(self.augmentation)})
            self._write(OpenEpoch(), arrays, phase_started=False)

    def roll_back(self, fault: DivergedError) -> str:
        """After divergence: return to the last checkpoint with half the learning rate.

        Returns:
            A notice for the user.

        Raises:
            DivergedError: The run does not roll back, the limit of `MOST_HALVINGS` is reached, or there is no checkpoint.
        """
        checkpoint, _ = self.checkpoints.newest()
        if not self.rolls_back or self.halvings >= MOST_HALVINGS or checkpoint is None:
            raise fault
        halvings = self.halvings + 1
        self.resume_from(checkpoint)
        self.halvings = halvings
        epoch, step = checkpoint.state.epoch, checkpoint.state.step
        position = f"step {step} of epoch {epoch + 1}" if step else f"the end of epoch {epoch}" if epoch else "the beginning"
        rate = f"half the learning rate ({halvings} of {MOST_HALVINGS} times)"
        return f"Training diverged {fault.step_location}. It resumes from {position} with {rate}."

    def reduce_learning_rate(self, optimizer: Any) -> None:
        """Halve the learning rate of a new optimizer as often as this phase has been rolled back."""
        multiply_learning_rate(optimizer, 0.5**self.halvings)

    def note_epoch(self, callbacks: Sequence[Any]) -> None:
        """At the end of a phase: note the epoch of the model's weights, which is the last one or one that a callback has restored."""
        done = len(self.history.rows)
        number, monitor = restored_epoch(callbacks) or (done, "")
        self.saved_epoch = SavedEpoch(number, done, monitor) if done and not self.history.interrupted else None

    @property
    def best_to_save(self) -> SavedEpoch | None:
        """The best epoch, where its weights are to be saved; None before the first, and where those of the last epoch are."""
        best = self.best.epoch if self.choice.keeps_best else 0
        return SavedEpoch(best, len(self.history.rows), self.choice.metric.name) if best else None

    def keep_epoch(self) -> str:
        """At the end of training: restore the weights of the best epoch where they are to be saved, and note which epoch they are of.

        The weights of an epoch are those with which training would have ended after it: with `use_ema`, the moving averages.

        Returns:
            A notice for the user where the checkpoint of the best epoch is missing or damaged; else empty.
        """
        best = self.best_to_save
        if best is None:
            return ""
        by_callback = self.saved_epoch is not None and bool(self.saved_epoch.monitor)  # it has put other weights into the model
        if best.number < best.of or self.history.interrupted or by_callback:
            checkpoint = self.checkpoints.of_epoch(best.number)
            if checkpoint is None or not has_weights(self.model, checkpoint.arrays):
                return f"The checkpoint of the best epoch ({best.number}) is missing or damaged: the last weights are used."
            restore_weights(self.model, checkpoint.arrays)
        self.saved_epoch = best
        return ""

    def restore(self, callbacks: Sequence[Any]) -> OpenEpoch:
        """Restore optimizer, metrics, augmentation and callbacks of a phase that had begun; called once all of them are built.

        Returns:
            Progress within the current epoch.

        Raises:
            CnnkitError: The checkpoint is of another network, optimizer or callbacks, and resuming was not forced.
        """
        assert self._trained is not None
        self._saved_at = time.monotonic()
        pending, self.pending = self.pending, None
        if pending is None or not pending.state.phase_started:
            return OpenEpoch()
        groups, optimizer = variables_of(self.model, self._trained, self.augmentation), self._trained.optimizer
        if self.forced:
            groups = {name: variables for name, variables in groups.items() if fits(variables, name, pending.arrays)}
        configured = learning_rate_of(optimizer)
        restore_variables(groups, pending.arrays)
        if self.forced:
            if not is_scheduled(optimizer):
                optimizer.learning_rate = configured
            return OpenEpoch()
        state = pending.state
        if state.step > self._steps_per_epoch:
            message = f"the checkpoint is of step {state.step} of an epoch that has {self._steps_per_epoch}"
            raise CnnkitError(message, "Train it anew instead.")
        if not is_scheduled(optimizer):
            optimizer.learning_rate = learning_rate_of(optimizer) * 0.5 ** (self.halvings - state.halvings)
        restore_callbacks(callbacks, state.callbacks, pending.arrays)
        return OpenEpoch(state.step, state.epoch_seconds, state.stopped)

    def steps_left(self, step: int) -> int:
        """Optimizer steps from `step` of an epoch to the next checkpoint within it; `NO_LIMIT` where the interval is not in steps."""
        every, _ = self.interval
        return every - step % every if every else NO_LIMIT

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint within an epoch is due after a step."""
        every, seconds = self.interval
        return step % every == 0 if every else time.monotonic() - self._saved_at >= seconds

    def save(self, callbacks: Sequence[Any], epoch: OpenEpoch) -> None:
        """Write a checkpoint during a phase.

        Raises:
            DivergedError: A weight is NaN or infinite; nothing is written.
        """
        assert self._trained is not None
        with self._timed():
            arrays = snapshot(variables_of(self.model, self._trained, self.augmentation))
            if not all_finite({name: array for name, array in arrays.items() if name.startswith(f"{MODEL}.")}):
                done = len(self.history.rows)
                location = f"by step {epoch.step} of epoch {done + 1}" if epoch.step else f"by the end of epoch {done}"
                raise DivergedError("a weight became NaN or infinite", location, learning_rate_of(self._trained.optimizer))
            states, weights = snapshot_callbacks(callbacks)
            if not epoch.step and self.history.rows:
                self.best = BestEpoch.among(self.history.rows, self.choice.metric)
                arrays |= {} if has_averages_in_model(callbacks) else snapshot_averages(self.model, self._trained.optimizer)
            arrays |= self._augmentation_at_phase_start | weights
            self._write(epoch, arrays, phase_started=True, callbacks=states)
        self._saved_at = time.monotonic()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Context manager: adds its wall time to `saving_seconds`."""
        begun = time.perf_counter()
        yield
        self.saving_seconds += time.perf_counter() - begun

    def _write(self, epoch: OpenEpoch, arrays: dict[str, Array], *, phase_started: bool, callbacks: Sequence[CallbackState] = ()) -> None:
        state = TrainingState(
            run=self.run,
            phase=self.phase,
            phase_started=phase_started,
            epochs_before_phase=self.epochs_before_phase,
            step=epoch.step,
            epoch_seconds=round(epoch.seconds, 3),
            stopped=epoch.stopped,
            history=[dict(row) for row in self.history.rows],
            seconds=self.history.seconds,
            feature_seconds=self.history.feature_seconds,
            best=self.best,
            halvings=self.halvings,
            callbacks=list(callbacks),
        )
        self.checkpoints.save(Checkpoint(state, arrays))
        self.forced = False
