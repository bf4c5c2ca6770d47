"""The training loop: epochs of optimizer steps, run several at a time, with Keras's own callbacks and train_step.

Keras's `fit` is not called, because its data order cannot be told from seed and epoch, its steps per execution are fixed
before the first is timed, and a signal ends it in the middle of a step.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cnnkit.data.pipeline import BatchSource
from cnnkit.errors import CnnkitError
from cnnkit.training.batch import BatchPreparation
from cnnkit.training.phases import LayerState

if TYPE_CHECKING:
    import keras

SECONDS_PER_EXECUTION = 0.25  # steps between two looks at progress and signals: few calls from Python, yet soon answered
FIRST_STEPS = 4

Row = dict[str, float]


class Listener(Protocol):
    """Told of what happens while training; draws the progress."""

    def on_phase(self, number: int, count: int, words: str, layers: Sequence[LayerState]) -> None:
        """Before a phase: its number from 1, how many there are, what trains, and the layers with weights."""

    def on_features(self, done: int, total: int) -> None:
        """While features of a frozen base are computed."""

    def on_steps(self, epoch: int, step: int, logs: Row, images_per_second: float) -> None:
        """After some optimizer steps: epoch and step count from 1; logs are means over the epoch so far."""

    def on_epoch(self, row: Row) -> None:
        """After an epoch and its validation."""


class BestWeights:
    """The weights at the lowest validation loss so far, in memory; nothing where they are not to be kept."""

    def __init__(self, model: "keras.Model", *, keep: bool) -> None:
        self._model, self._keep = model, keep
        self._loss = math.inf
        self._weights: Any = None
        self.epoch = 0

    def on_epoch(self, row: Row) -> None:
        """Remember the weights if the epoch was the best one."""
        if self._keep and row.get("val_loss", math.inf) < self._loss:
            self._loss, self.epoch = row["val_loss"], int(row["epoch"])
            self._weights = self._model.get_weights()

    def restore(self) -> None:
        """Put the best weights back."""
        if self._weights is not None:
            self._model.set_weights(self._weights)


@dataclass
class History:
    """What happened, a row an epoch.

    Attributes:
        rows: epoch (from 1), loss and metrics, the same with `val_`, learning_rate, seconds (training and validation),
            images_per_second (training alone).
        interrupted: Whether training was asked to stop before its end.
        seconds: Wall time of the loop.
        feature_seconds: Wall time in which features of a frozen base were computed.
    """

    rows: list[Row] = field(default_factory=list)
    interrupted: bool = False
    seconds: float = 0.0
    feature_seconds: float = 0.0


def fit(
    model: "keras.Model",
    train: BatchSource,
    validation: BatchSource | None,
    preparation: BatchPreparation,
    *,
    epochs: int,
    history: History,
    seed: int,
    callbacks: Sequence[Any],
    listener: Listener,
    should_stop: Callable[[], bool],
) -> None:
    """Train a compiled model.

    Args:
        model: Compiled; it is changed in place.
        train: Examples to learn from, shuffled anew each epoch.
        validation: Examples to measure on after each epoch; None for none.
        preparation: What is done to each training batch before its step.
        epochs: Passes over the training examples, after those that the history has.
        history: What happened in earlier phases; rows are added to it.
        seed: What the order of the examples follows.
        callbacks: Keras callbacks; batch callbacks are called after each execution, not after each step.
        listener: Told of progress.
        should_stop: Asked after each execution; True ends training there.

    Raises:
        CnnkitError: The loss is not finite any more.
    """
    import keras

    started = time.perf_counter()
    run_steps = _step_runner(model, train, preparation)
    watchers = keras.callbacks.CallbackList(list(callbacks), model=model, epochs=epochs, steps=train.steps)
    model.stop_training = False
    watchers.on_train_begin()
    first = len(history.rows)
    for epoch in range(first, first + epochs):
        watchers.on_epoch_begin(epoch)
        epoch_started = time.perf_counter()
        logs = _run_epoch(model, train, epoch, seed, run_steps, watchers, listener, should_stop, history)
        if history.interrupted:
            break
        training_seconds = time.perf_counter() - epoch_started
        if validation is not None:
            batches = validation.in_order()
            if preparation.mixes_labels:
                batches = batches.map(preparation.one_hot)
            measured = model.evaluate(batches, verbose=0, return_dict=True)
            logs |= {f"val_{name}": float(measured[name]) for name in logs}
        row = {"epoch": epoch + 1, **logs, "learning_rate": float(model.optimizer.learning_rate)}
        row["seconds"] = round(time.perf_counter() - epoch_started, 3)
        row["images_per_second"] = round(train.count / training_seconds, 1)
        history.rows.append(row)
        watchers.on_epoch_end(epoch, dict(logs))
        listener.on_epoch(row)
        if model.stop_training or should_stop():
            history.interrupted = should_stop()
            break
    model.optimizer.finalize_variable_values(model.trainable_variables)  # as fit does: the moving average, where asked for
    watchers.on_train_end()
    history.seconds += time.perf_counter() - started


def _run_epoch(
    model: "keras.Model",
    train: BatchSource,
    epoch: int,
    seed: int,
    run_steps: Callable[[Any, Any], Any],
    watchers: Any,
    listener: Listener,
    should_stop: Callable[[], bool],
    history: History,
) -> Row:
    """One pass over the training examples; the mean loss and metrics over it."""
    import tensorflow as tf

    model.reset_metrics()
    iterator = iter(train.shuffled(seed, epoch))
    done, count, logs = 0, FIRST_STEPS, {}
    seconds = 0.0
    while done < train.steps:
        count = min(count, train.steps - done)
        watchers.on_train_batch_begin(done)
        before = time.perf_counter()
        logs = {name: float(value) for name, value in run_steps(iterator, tf.constant(count)).items()}
        elapsed = time.perf_counter() - before
        done, seconds = done + count, seconds + elapsed
        watchers.on_train_batch_end(done - 1, dict(logs))
        if not math.isfinite(logs["loss"]):
            raise _diverged(model, epoch, done, logs["loss"])
        listener.on_steps(epoch + 1, done, logs, min(done * train.batch_size, train.count) / seconds)
        if should_stop():
            history.interrupted = True
            return logs
        count = max(1, int(count * SECONDS_PER_EXECUTION / elapsed))
    return logs


def _step_runner(model: "keras.Model", train: BatchSource, preparation: BatchPreparation) -> Callable[[Any, Any], Any]:
    """A graph function that runs Keras's own `train_step` a given number of times and returns the metrics so far."""
    import tensorflow as tf

    for batch in train.batches(np.arange(1)):  # Keras makes the metrics' variables at first use, which a graph's loop may not
        model.evaluate(*(preparation.one_hot(*batch) if preparation.mixes_labels else batch), verbose=0)
    model.optimizer.build(model.trainable_variables)

    def run_steps(iterator: Any, count: Any) -> Any:
        for _ in tf.range(count):
            model.train_step(preparation(*next(iterator)))
        return model.get_metrics_result()

    runner: Callable[[Any, Any], Any] = tf.function(run_steps, reduce_retracing=True)
    return runner


def _diverged(model: "keras.Model", epoch: int, step: int, loss: float) -> CnnkitError:
    rate = float(model.optimizer.learning_rate)
    return CnnkitError(
        f"the loss became {loss} in epoch {epoch + 1}, at step {step} or shortly before, with a learning rate of {rate:g}",
        f"Try a learning rate of {rate / 10:g}, `clipnorm: 1.0` in the optimizer, or look for extreme values in the data.",
    )
