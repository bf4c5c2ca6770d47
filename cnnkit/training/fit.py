"""The training loop: epochs of optimizer steps, several in one graph call, with Keras's own train_step and callbacks.

It gives the weights, the history and the callback events of Keras's `fit` on the same batches. `fit` itself is not called,
because its data order does not follow from seed and epoch, so a run could not be resumed within an epoch; because its steps per
execution are fixed before the first one is timed; and because a signal interrupts it in the middle of a step.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.pipeline import BatchSource
from cnnkit.model.whitening import Whitening
from cnnkit.training.agreement import Decision, agree, of_chief
from cnnkit.training.checkpoint.manager import CheckpointManager
from cnnkit.training.history import DivergedError, History, OpenEpoch, Row
from cnnkit.training.learning_rate import learning_rate_of
from cnnkit.training.memory import check_memory, out_of_memory
from cnnkit.training.phases import LayerState
from cnnkit.training.step import Devices, OneDevice

if TYPE_CHECKING:
    import keras

SECONDS_PER_EXECUTION = 0.25  # of one graph call: long enough for few calls from Python, short enough to react to a signal soon
FIRST_STEPS = 4  # in the first graph call, which is timed to choose the number of steps of the next

NOT_LOGS = ("epoch", "learning_rate", "seconds", "images_per_second")  # history columns that are not in the logs of callbacks


class Listener(Protocol):
    """Receives the progress of a run, to print or to log it."""

    def on_phase(self, number: int, count: int, train: str, layers: Sequence[LayerState]) -> None:
        """Before a phase: its number from 1, the number of phases, its `train` setting, and the layers with weights."""

    def on_resume(self, rows: Sequence[Row], step: int) -> None:
        """Before a resumed run continues: the history so far, and the optimizer steps done in the unfinished epoch."""

    def on_notice(self, text: str) -> None:
        """A warning for the user."""

    def on_frozen(self, parameters: int, checksum: str) -> None:
        """After a phase: the number of frozen parameters, and their SHA-256, which equals the one before the phase."""

    def on_features(self, done: int, total: int) -> None:
        """While the features of a frozen base are computed: examples done, and the total number."""

    def on_steps(self, epoch: int, step: int, logs: Row, images_per_second: float) -> None:
        """After some optimizer steps: epoch and step count from 1; logs are means over the epoch so far."""

    def on_epoch(self, row: Row) -> None:
        """After an epoch and its validation."""


@dataclass
class Fit:
    """Trains a compiled model through one phase.

    An execution is one graph call of one or more optimizer steps. As in Keras with `steps_per_execution`, batch events and
    `stop_training` are handled between executions.

    Attributes:
        model: Compiled; trained in place. Its `jit_compile` is respected; `steps_per_execution` is chosen by time.
        train: Training examples, shuffled anew each epoch.
        validation: Validation examples, evaluated after each epoch; None for none.
        preparation: Augmentation, label mixing and class weights, applied to each training batch.
        until: Number of the last epoch, from 1 over all phases; training begins after the last row of `history`.
        history: A row per finished epoch; extended in place.
        seed: Seed of the order of the training examples.
        callbacks: Keras callbacks; they get the events of `fit`, including those of validation.
        listener: Receives progress.
        should_stop: Called after each execution; True interrupts training there.
        checkpoint_manager: Saves and restores the state; None for no checkpoints.
        devices: What the steps run on. Of several workers, the chief decides when to save and how many steps to take, and
            each can ask for a stop.
        whitening: Freezes the biases of the model's convolution `whiten` after some epochs; None where it has none.
    """

    model: "keras.Model"
    train: BatchSource
    validation: BatchSource | None
    preparation: BatchPreparation
    until: int
    history: History
    seed: int
    callbacks: Sequence[Any]
    listener: Listener
    should_stop: Callable[[], bool]
    checkpoint_manager: CheckpointManager | None = None
    devices: Devices = field(default_factory=OneDevice)
    whitening: Whitening | None = None

    def run(self) -> None:
        """Train to the last epoch, until a callback sets `stop_training`, or until `should_stop` returns True.

        Raises:
            DivergedError: The loss became NaN or infinite.
            CnnkitError: Memory ran out, or a batch cannot fit into it.
        """
        import keras
        import tensorflow as tf

        check_memory(self.model, self.train.batch_size)
        try:
            self._steps = self.devices.steps(self.model, self.train, self.validation, self.preparation)
            self._trained = list(self.model.trainable_variables)  # that the optimizer is built for
            self._events = keras.callbacks.CallbackList(
                list(self.callbacks), model=self.model, verbose=0, epochs=self.until, steps=self.train.steps
            )
            self._run_epochs()
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            raise out_of_memory(self.model, self.train.batch_size) from error

    def _run_epochs(self) -> None:
        """Run the remaining epochs of the phase, in the order of events of Keras's `fit`."""
        self._counted_until = time.perf_counter()
        model, history = self.model, self.history
        model.stop_training = False
        self._events.on_train_begin()
        self._freeze(len(history.rows))  # before the restore, as new steps reset the metrics
        unfinished = self.checkpoint_manager.restore(self.callbacks) if self.checkpoint_manager is not None else OpenEpoch()
        stopped = unfinished.stopped
        while len(history.rows) < self.until and not stopped and not history.interrupted:
            self._run_epoch(unfinished)
            unfinished, stopped = OpenEpoch(), model.stop_training
        self._count_time()
        if history.interrupted:
            return
        model.optimizer.finalize_variable_values(self._trained)  # with `use_ema`: the moving averages become the weights
        last = history.rows[-1] if history.rows else {}
        self._events.on_train_end({name: value for name, value in last.items() if name not in NOT_LOGS})

    def _run_epoch(self, unfinished: OpenEpoch) -> None:
        """Run one epoch, or the rest of an unfinished one: steps, validation, history row, checkpoint."""
        model, history, epoch = self.model, self.history, len(self.history.rows)
        started = time.perf_counter() - unfinished.seconds
        if not unfinished.step:
            self._freeze(epoch)
            model.reset_metrics()
            self._events.on_epoch_begin(epoch)
        logs, steps = self._take_steps(epoch, unfinished.step, started)
        if history.interrupted:
            return
        training_seconds = time.perf_counter() - started
        if self.validation is not None:
            logs |= self._validate(logs)
        row = {"epoch": epoch + 1, **logs, "learning_rate": learning_rate_of(model.optimizer)}
        row["seconds"] = round(time.perf_counter() - started, 3)
        row["images_per_second"] = round(self._examples(steps) / training_seconds, 1)
        history.rows.append(row)
        self._events.on_epoch_end(epoch, dict(logs))
        self.listener.on_epoch(row)
        self._save(OpenEpoch(stopped=model.stop_training))
        history.interrupted = agree(self.devices, Decision(self.should_stop())).stop

    def _freeze(self, epoch: int) -> None:
        """Freeze what is no longer trained from an epoch on; the steps are traced anew where that changes."""
        if self.whitening is not None and self.whitening.freeze(self.model, epoch):
            self._steps = self.devices.steps(self.model, self.train, self.validation, self.preparation)

    def _take_steps(self, epoch: int, done: int, started: float) -> tuple[Row, int]:
        """Take the optimizer steps of an epoch that follow the first `done`.

        Returns:
            The mean loss and metrics over the whole epoch, and the number of steps done in it: fewer than there are batches
            where a callback has set `stop_training`, or where `history.interrupted` was set.
        """
        import tensorflow as tf

        model, train = self.model, self.train
        batches = self._steps.batches(self.seed, epoch, done)
        count, logs, first, seconds = FIRST_STEPS, {}, done, 0.0
        if done == train.steps:  # interrupted between the last step and the validation
            logs = {name: float(value) for name, value in model.get_metrics_result().items()}
        while done < train.steps:
            count = min(
                count, train.steps - done, self.checkpoint_manager.steps_left(done) if self.checkpoint_manager is not None else count
            )
            self._events.on_train_batch_begin(done)
            before = time.perf_counter()
            results, first_bad = self._steps.run(batches, tf.constant(count))
            logs = of_chief(self.devices, {name: float(value) for name, value in results.items()})
            elapsed = time.perf_counter() - before
            bad = int(first_bad)
            if bad >= 0:
                location = f"in epoch {epoch + 1}, step {done + bad + 1}"
                raise DivergedError(f"the loss became {logs['loss']}", location, learning_rate_of(model.optimizer))
            done, seconds = done + count, seconds + elapsed
            self._events.on_train_batch_end(done - 1, dict(logs))
            self.listener.on_steps(epoch + 1, done, logs, (self._examples(done) - self._examples(first)) / seconds)
            if model.stop_training:  # before `should_stop`: a resumed epoch would not know that it was to end here
                break
            due = self.checkpoint_manager is not None and done < train.steps and self.checkpoint_manager.is_due(done)
            following = Decision(self.should_stop(), due, max(1, int(count * SECONDS_PER_EXECUTION / elapsed)))
            decided = agree(self.devices, following)
            self.history.interrupted, count = decided.stop, decided.steps
            if decided.save or decided.stop:
                self._save(OpenEpoch(done, time.perf_counter() - started))
            if decided.stop:
                break
        return logs, done

    def _examples(self, steps: int) -> int:
        """The number of examples in the first steps of an epoch, whose last batch may be smaller."""
        return min(steps * self.train.batch_size, self.train.count)

    def _validate(self, logs: Row) -> Row:
        measured = self._steps.validate(self._events)
        return of_chief(self.devices, {f"val_{name}": float(measured[name]) for name in logs})

    def _count_time(self) -> None:
        """Add the wall time since the last call to that of the history."""
        now = time.perf_counter()
        self.history.seconds += now - self._counted_until
        self._counted_until = now

    def _save(self, epoch: OpenEpoch) -> None:
        self._count_time()
        if self.checkpoint_manager is not None:
            self.checkpoint_manager.save(self.callbacks, epoch)
