"""The state of a run while it trains: kept in checkpoints, put back exactly, and gone back to when the loss diverges."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnnkit.config.schema import Train
from cnnkit.keras_api.compat import schedule_of, set_schedule
from cnnkit.training.checkpoint.snapshot import (
    all_finite,
    augmentation_variables,
    fits,
    restore_callbacks,
    restore_variables,
    snapshot,
    snapshot_callbacks,
    variables_of,
)
from cnnkit.training.checkpoint.store import Array, Checkpoint, CheckpointStore
from cnnkit.training.history import DivergedError, History, OpenEpoch

if TYPE_CHECKING:
    import keras

MOST_HALVINGS = 3  # times that `on_nan: restore` goes back before it gives up
MANY = 2**62


@dataclass
class Best:
    """The epoch with the lowest validation loss so far, over all phases (0: none yet)."""

    epoch: int = 0
    loss: float = math.inf

    def look(self, row: dict[str, float]) -> None:
        """Note the epoch of a row if it was the best one."""
        if row.get("val_loss", math.inf) < self.loss:
            self.epoch, self.loss = int(row["epoch"]), row["val_loss"]


@dataclass
class TrainingState:
    """Where a run stands, and its checkpoints.

    Attributes:
        model: The whole model.
        augmentation: The layers of `data.augment`.
        train: The config's section.
        checkpoints: Where they are kept.
        fixed: What every checkpoint tells of the run: its config, the data's fingerprint.
        last_phase: Number of the last phase, from 0.
        history: What happened so far.
        best: The best epoch so far.
        phase: The phase under way, from 0.
        phase_begun: Epochs that were done when it began.
        halvings: How often the learning rate was halved after the loss had diverged.
        pending: What has to be put back when the phase under way is built; None for nothing.
        forced: Whether to go on although the config or the data has changed: what still fits is put back.
        saving_seconds: Wall time that checkpoints have taken in this process.
    """

    model: "keras.Model"
    augmentation: Sequence[Any]
    train: Train
    checkpoints: CheckpointStore
    fixed: dict[str, Any]
    last_phase: int
    history: History = field(default_factory=History)
    best: Best = field(default_factory=Best)
    phase: int = 0
    phase_begun: int = 0
    halvings: int = 0
    pending: Checkpoint | None = None
    forced: bool = False
    saving_seconds: float = 0.0
    _augmentation_at_start: dict[str, Array] = field(default_factory=dict)

    def take_up(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint: its history now, its variables when the phase is built."""
        state = checkpoint.state
        self.history.rows[:] = [dict(row) for row in state["history"]]
        self.history.seconds, self.history.feature_seconds = state["seconds"], state["feature_seconds"]
        self.best = Best(**state["best"])
        self.halvings = state["halvings"]
        self.phase, self.phase_begun = state["phase"] + state["phase_ended"], state["phase_begun"]
        self.pending = checkpoint

    def begin_phase(self) -> None:
        """Before a phase is built: give the whole model its weights, and the augmentation the state with which the phase began."""
        augmentation = {"augment": augmentation_variables(self.augmentation)}
        if self.pending is not None:
            restore_variables({"model": self.model.variables}, self.pending.arrays)
            source = "augment" if self.pending.state["phase_ended"] else "start"
            if not self.forced or fits(augmentation["augment"], source, self.pending.arrays):
                restore_variables(augmentation, self.pending.arrays, source)
        self._augmentation_at_start = snapshot(augmentation)
        if self.pending is None or self.pending.state["phase_ended"]:
            self.phase_begun = len(self.history.rows)
        if self.pending is None and not self.history.rows:  # a checkpoint to go back to, and proof that they can be written
            self._save_between(ended_phase=-1)

    def end_phase(self) -> None:
        """After a phase: where another one follows, a checkpoint from which that begins."""
        self.pending, self.halvings = None, 0
        if self.phase < self.last_phase:
            self._save_between(ended_phase=self.phase)
        self.phase += 1

    def _save_between(self, ended_phase: int) -> None:
        groups = {"model": self.model.variables, "augment": augmentation_variables(self.augmentation)}
        with self.timed():
            self.save(OpenEpoch(), snapshot(groups), ended_phase=ended_phase)

    def go_back(self, fault: DivergedError) -> str:
        """After the loss diverged: take up the last checkpoint with half the learning rate; what the user is told of it.

        Raises:
            DivergedError: The config does not want that, it was tried often enough, or there is no checkpoint.
        """
        checkpoint, _ = self.checkpoints.newest()
        if self.train.on_nan != "restore" or self.halvings >= MOST_HALVINGS or checkpoint is None:
            raise fault
        halvings = self.halvings + 1
        self.take_up(checkpoint)
        self.halvings = halvings
        epoch, step = checkpoint.state["epoch"], checkpoint.state["step"]
        place = f"step {step} of epoch {epoch + 1}" if step else f"the end of epoch {epoch}" if epoch else "the beginning"
        return (
            f"Training diverged {fault.place}. It goes on from {place} with half the learning rate ({halvings} of {MOST_HALVINGS} times)."
        )

    def slow_down(self, optimizer: Any) -> None:
        """Halve the learning rate of a new optimizer as often as it was halved before in this phase."""
        if not self.halvings:
            return
        factor = 0.5**self.halvings
        if is_scheduled(optimizer):
            set_schedule(optimizer, _scaled(schedule_of(optimizer), factor))
        else:
            optimizer.learning_rate = float(optimizer.learning_rate) * factor

    def restore_best(self) -> str:
        """Give the model the weights of the best epoch; what the user has to be told, empty for nothing."""
        if not self.best.epoch or self.best.epoch == len(self.history.rows):
            return ""
        checkpoint = self.checkpoints.of_epoch(self.best.epoch)
        if checkpoint is None or not fits(self.model.variables, "model", checkpoint.arrays):
            return f"The checkpoint of the best epoch ({self.best.epoch}) is gone or damaged: the last weights are used."
        kept = {id(weight) for weight in self.model.weights}
        for index, variable in enumerate(self.model.variables):
            if id(variable) in kept:
                variable.assign(checkpoint.arrays[f"model.{index}"])
        return ""

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Within: what is done counts as saving."""
        begun = time.perf_counter()
        yield
        self.saving_seconds += time.perf_counter() - begun

    def save(self, epoch: OpenEpoch, arrays: dict[str, Array], callbacks: Sequence[Any] = (), *, ended_phase: int | None = None) -> None:
        """Write a checkpoint; `ended_phase` where one is left and the next one has not begun."""
        begun = self._augmentation_at_start if ended_phase is None else {}
        state = {
            **self.fixed,
            "phase": self.phase if ended_phase is None else ended_phase,
            "phase_ended": ended_phase is not None,
            "phase_begun": self.phase_begun,
            "epoch": len(self.history.rows),
            "step": epoch.step,
            "open_seconds": round(epoch.seconds, 3),
            "stopped": epoch.stopped,
            "history": self.history.rows,
            "seconds": self.history.seconds,
            "feature_seconds": self.history.feature_seconds,
            "best": {"epoch": self.best.epoch, "loss": self.best.loss},
            "halvings": self.halvings,
            "callbacks": list(callbacks),
        }
        self.checkpoints.save(Checkpoint(state, {**arrays, **{name.replace("augment", "start"): array for name, array in begun.items()}}))


class PhaseCheckpointManager:
    """Keeps the state of one phase: what `Fit` asks of a checkpoint_manager.

    Args:
        run: The state of the whole run.
        trained: The compiled model of the phase, which may be a part of the whole one.
    """

    def __init__(self, run: TrainingState, trained: "keras.Model") -> None:
        self._run, self._trained = run, trained
        self._every_steps, self._every_seconds = run.train.checkpoint_interval
        self._last = time.monotonic()

    def restore(self, callbacks: Sequence[Any]) -> OpenEpoch:
        """Put back what was kept of this phase, where it had begun.

        Raises:
            CnnkitError: The checkpoint is of another network, optimizer or callbacks, and that was not forced.
        """
        run, self._last = self._run, time.monotonic()
        pending, run.pending = run.pending, None
        if pending is None or pending.state["phase_ended"]:
            return OpenEpoch()
        groups, optimizer = variables_of(run.model, self._trained, run.augmentation), self._trained.optimizer
        if run.forced:
            groups = {name: variables for name, variables in groups.items() if fits(variables, name, pending.arrays)}
        given = float(optimizer.learning_rate)
        restore_variables(groups, pending.arrays)
        if run.forced:
            if not is_scheduled(optimizer):
                optimizer.learning_rate = given
            return OpenEpoch()
        if not is_scheduled(optimizer):
            optimizer.learning_rate = float(optimizer.learning_rate) * 0.5 ** (run.halvings - pending.state["halvings"])
        restore_callbacks(callbacks, pending.state["callbacks"], pending.arrays)
        return OpenEpoch(pending.state["step"], pending.state["open_seconds"], pending.state["stopped"])

    def steps_left(self, step: int) -> int:
        """Optimizer steps from `step` of an epoch to the next checkpoint inside it; many where none is wanted by steps."""
        return self._every_steps - step % self._every_steps if self._every_steps else MANY

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint inside an epoch is due after a step."""
        if self._every_steps:
            return step % self._every_steps == 0
        return time.monotonic() - self._last >= self._every_seconds

    def keep(self, callbacks: Sequence[Any], epoch: OpenEpoch) -> None:
        """Write a checkpoint.

        Raises:
            DivergedError: A weight is not a finite number any more, so that there is nothing worth keeping.
        """
        with self._run.timed():
            self._keep(callbacks, epoch)
        self._last = time.monotonic()

    def _keep(self, callbacks: Sequence[Any], epoch: OpenEpoch) -> None:
        run = self._run
        arrays = snapshot(variables_of(run.model, self._trained, run.augmentation))
        if not all_finite({name: array for name, array in arrays.items() if name.startswith("model.")}):
            done = len(run.history.rows)
            place = f"by step {epoch.step} of epoch {done + 1}" if epoch.step else f"by the end of epoch {done}"
            raise DivergedError("a weight became NaN or infinite", place, float(self._trained.optimizer.learning_rate))
        plain, remembered = snapshot_callbacks(callbacks)
        if not epoch.step and run.history.rows:
            run.best.look(run.history.rows[-1])
        run.save(epoch, {**arrays, **remembered}, plain)


def is_scheduled(optimizer: Any) -> bool:
    """Whether an optimizer's learning rate follows a schedule, so that it is no variable of its own."""
    return schedule_of(optimizer) is not None


def _scaled(schedule: Any, factor: float) -> Any:
    """A learning-rate schedule whose every rate is `factor` times that of another."""
    import keras

    class Scaled(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> Any:
            return schedule(step) * factor

        def get_config(self) -> Any:
            return schedule.get_config()

    return Scaled()
