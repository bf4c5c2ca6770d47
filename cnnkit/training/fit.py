"""The training loop: epochs of optimizer steps, run several at a time, with Keras's own callbacks and train_step.

Keras's `fit` is not called, because its data order cannot be told from seed and epoch, its steps per execution are fixed
before the first is timed, and a signal ends it in the middle of a step.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.pipeline import BatchSource
from cnnkit.training.checkpoint.manager import CheckpointManager
from cnnkit.training.history import DivergedError, History, OpenEpoch, Row
from cnnkit.training.memory import check_memory, out_of_memory
from cnnkit.training.phases import LayerState

if TYPE_CHECKING:
    import keras

SECONDS_PER_EXECUTION = 0.25  # steps between two looks at progress and signals: few calls from Python, yet soon answered
FIRST_STEPS = 4


class Listener(Protocol):
    """Told of what happens while training; draws the progress."""

    def on_phase(self, number: int, count: int, words: str, layers: Sequence[LayerState]) -> None:
        """Before a phase: its number from 1, how many there are, what trains, and the layers with weights."""

    def on_resume(self, rows: Sequence[Row], step: int) -> None:
        """Before training goes on: the epochs done so far, and the optimizer steps done in the one that is open."""

    def on_notice(self, text: str) -> None:
        """Something that must not be overlooked."""

    def on_frozen(self, parameters: int, checksum: str) -> None:
        """After a phase: its frozen weights were compared byte by byte, and are what they were."""

    def on_features(self, done: int, total: int) -> None:
        """While features of a frozen base are computed."""

    def on_steps(self, epoch: int, step: int, logs: Row, images_per_second: float) -> None:
        """After some optimizer steps: epoch and step count from 1; logs are means over the epoch so far."""

    def on_epoch(self, row: Row) -> None:
        """After an epoch and its validation."""


@dataclass
class Fit:
    """Trains a compiled model through one phase.

    Attributes:
        model: Compiled; it is changed in place.
        train: Examples to learn from, shuffled anew each epoch.
        validation: Examples to measure on after each epoch; None for none.
        preparation: What is done to each training batch before its step.
        until: The last epoch, counted from 1 over all phases; those that the history has are done.
        history: What happened so far; rows are added to it.
        seed: What the order of the examples follows.
        callbacks: Keras callbacks; batch callbacks are called after each execution, not after each step.
        listener: Told of progress.
        should_stop: Asked after each execution; True ends training there.
        checkpoint_manager: Restores and saves the training state; None where nothing is to be saved.
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

    def run(self) -> None:
        """Train to the last epoch, or until a callback or the user ends it.

        Raises:
            DivergedError: The loss is not finite any more.
            CnnkitError: Memory has run out, or would.
        """
        import keras
        import tensorflow as tf

        check_memory(self.model, self.train.batch_size)
        try:
            self._run_steps = _step_runner(self.model, self.train, self.preparation)
            self._watchers = keras.callbacks.CallbackList(list(self.callbacks), model=self.model, epochs=self.until, steps=self.train.steps)
            self._run_epochs()
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            raise out_of_memory(self.model, self.train.batch_size) from error

    def _run_epochs(self) -> None:
        """All epochs that are left."""
        started = time.perf_counter()
        model, history = self.model, self.history
        model.stop_training = False
        self._watchers.on_train_begin()
        open_epoch = self.checkpoint_manager.restore(self.callbacks) if self.checkpoint_manager is not None else OpenEpoch()
        model.stop_training = open_epoch.stopped
        while len(history.rows) < self.until and not model.stop_training and not history.interrupted:
            self._run_epoch(open_epoch)
            open_epoch = OpenEpoch()
        history.seconds += time.perf_counter() - started
        if history.interrupted:
            return
        model.optimizer.finalize_variable_values(model.trainable_variables)  # as fit does: the moving average, where asked for
        self._watchers.on_train_end()

    def _run_epoch(self, begun: OpenEpoch) -> None:
        """One epoch with its validation, its row and its checkpoint; or what is left of one that was begun before."""
        model, history, epoch = self.model, self.history, len(self.history.rows)
        started = time.perf_counter() - begun.seconds
        if not begun.step:
            self._watchers.on_epoch_begin(epoch)
            model.reset_metrics()
        logs = self._take_steps(epoch, begun.step, started)
        if history.interrupted:
            return
        training_seconds = time.perf_counter() - started
        if self.validation is not None:
            logs |= self._validate(logs)
        row = {"epoch": epoch + 1, **logs, "learning_rate": float(model.optimizer.learning_rate)}
        row["seconds"] = round(time.perf_counter() - started, 3)
        row["images_per_second"] = round(self.train.count / training_seconds, 1)
        history.rows.append(row)
        self._watchers.on_epoch_end(epoch, dict(logs))
        self.listener.on_epoch(row)
        self._save(OpenEpoch(stopped=model.stop_training))
        history.interrupted = self.should_stop()

    def _take_steps(self, epoch: int, done: int, started: float) -> Row:
        """The steps of one pass over the training examples that are left; the mean loss and metrics over the whole pass."""
        import tensorflow as tf

        model, train = self.model, self.train
        iterator = iter(train.shuffled(self.seed, epoch, skip=done))
        count, logs, first, seconds = FIRST_STEPS, {}, done, 0.0
        if done == train.steps:  # all that was missing is the validation
            logs = {name: float(value) for name, value in model.get_metrics_result().items()}
        while done < train.steps:
            count = min(
                count, train.steps - done, self.checkpoint_manager.steps_left(done) if self.checkpoint_manager is not None else count
            )
            self._watchers.on_train_batch_begin(done)
            before = time.perf_counter()
            results, bad = self._run_steps(iterator, tf.constant(count))
            logs = {name: float(value) for name, value in results.items()}
            elapsed = time.perf_counter() - before
            if int(bad) >= 0:
                place = f"in epoch {epoch + 1}, step {done + int(bad) + 1}"
                raise DivergedError(f"the loss became {logs['loss']}", place, float(model.optimizer.learning_rate))
            done, seconds = done + count, seconds + elapsed
            self._watchers.on_train_batch_end(done - 1, dict(logs))
            self.listener.on_steps(epoch + 1, done, logs, min((done - first) * train.batch_size, train.count) / seconds)
            self.history.interrupted = self.should_stop()
            due = self.checkpoint_manager is not None and done < train.steps and self.checkpoint_manager.is_due(done)
            if due or self.history.interrupted:
                self._save(OpenEpoch(done, time.perf_counter() - started))
            if self.history.interrupted:
                break
            count = max(1, int(count * SECONDS_PER_EXECUTION / elapsed))
        return logs

    def _validate(self, logs: Row) -> Row:
        assert self.validation is not None
        batches = self.validation.in_order()
        if self.preparation.mixes_labels:
            batches = batches.map(self.preparation.one_hot)
        measured = self.model.evaluate(batches, verbose=0, return_dict=True)
        return {f"val_{name}": float(measured[name]) for name in logs}

    def _save(self, epoch: OpenEpoch) -> None:
        if self.checkpoint_manager is not None:
            self.checkpoint_manager.save(self.callbacks, epoch)


def _step_runner(model: "keras.Model", train: BatchSource, preparation: BatchPreparation) -> Callable[[Any, Any], Any]:
    """A graph function that runs Keras's own `train_step` a given number of times.

    It returns the metrics so far, and the first of the steps after which the loss was not finite (-1: none).
    """
    import tensorflow as tf

    for inputs, targets in train.batches(np.arange(1)):  # Keras makes the metrics' variables at first use, which a graph's loop may not
        model.evaluate(*preparation.plain(inputs, targets), verbose=0)
    model.optimizer.build(model.trainable_variables)

    def run_steps(iterator: Any, count: Any) -> Any:
        bad = tf.constant(-1)
        for step in tf.range(count):
            loss = model.train_step(preparation(*next(iterator)))["loss"]
            bad = tf.where((bad < 0) & ~tf.math.is_finite(loss), step, bad)
        return model.get_metrics_result(), bad

    runner: Callable[[Any, Any], Any] = tf.function(run_steps, reduce_retracing=True)
    return runner
