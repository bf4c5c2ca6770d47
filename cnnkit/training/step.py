"""What a training loop runs on its devices: the interface of one device and of several, and the steps of one."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.pipeline import BatchSource

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[Any]


class Steps(Protocol):
    """Training steps and validation of one compiled model."""

    def batches(self, seed: int, epoch: int, skip: int) -> Iterator[Any]:
        """An iterator over the training batches of an epoch, without the first `skip`, for `run`."""

    def run(self, batches: Iterator[Any], count: Any) -> tuple[Any, Any]:
        """Take `count` (int32) optimizer steps in one graph call.

        Returns:
            The metrics over the epoch so far, by name, and the index of the first step with a non-finite loss, or -1.
        """

    def validate(self, events: Any) -> dict[str, float]:
        """Loss and metrics on the validation examples, with the events of Keras's `evaluate` for a `CallbackList`."""


class Devices(Protocol):
    """The devices that a run trains on: their number, and how the processes that share a run exchange values.

    Attributes:
        replicas: Copies of the model that train together, each on a slice of every batch.
        workers: Processes that share the run.
        worker: Number of this process from 0, the chief, which alone writes the run.
    """

    replicas: int
    workers: int
    worker: int

    def scope(self) -> AbstractContextManager[Any]:
        """Context manager in which the variables of networks and optimizers are created."""

    def steps(self, model: "keras.Model", train: BatchSource, validation: BatchSource | None, preparation: BatchPreparation) -> Steps:
        """Training steps and validation of a compiled model.

        Args:
            model: Compiled; trained in place.
            train: Training examples; the first one gives the shapes by which the metrics are built.
            validation: Validation examples; None for none.
            preparation: Augmentation, label mixing and class weights, applied to each training batch.
        """

    def exchange(self, values: Array) -> Array:
        """The values `(…)` of all workers as `(workers, …)`; every worker has to call it, with the same shape and dtype."""


class OneDevice:
    """One device in one process: Keras's own `train_step`."""

    replicas, workers, worker = 1, 1, 0

    def scope(self) -> AbstractContextManager[Any]:
        """No strategy."""
        return nullcontext()

    def steps(self, model: "keras.Model", train: BatchSource, validation: BatchSource | None, preparation: BatchPreparation) -> Steps:
        """Keras's own steps."""
        return OneDeviceSteps(model, train, validation, preparation)

    def exchange(self, values: Array) -> Array:
        """The values of this process alone."""
        return values[np.newaxis]


class StepRunner:
    """Batches of an epoch and a graph call that takes a number of steps on them, the same on one device and on several.

    Args:
        model: Compiled.
        train: Training examples.
        preparation: Applied to each batch.
        take_step: Takes one optimizer step on a prepared batch, in a graph; returns the mean loss over the epoch so far.
    """

    def __init__(
        self, model: "keras.Model", train: BatchSource, preparation: BatchPreparation, take_step: Callable[[tuple[Any, ...]], Any]
    ) -> None:
        import tensorflow as tf

        self._train = train.with_places() if preparation.needs_places else train

        def run_steps(iterator: Any, count: Any) -> Any:
            bad = tf.constant(-1)
            for step in tf.range(count):
                loss = take_step(preparation(*next(iterator)))
                bad = tf.where((bad < 0) & ~tf.math.is_finite(loss), step, bad)
            return model.get_metrics_result(), bad

        self._run = tf.function(run_steps, reduce_retracing=True)

    def batches(self, seed: int, epoch: int, skip: int) -> Iterator[Any]:
        """An iterator over the training batches of an epoch, without the first `skip`."""
        return iter(self._train.shuffled(seed, epoch, skip=skip))

    def run(self, batches: Iterator[Any], count: Any) -> tuple[Any, Any]:
        """Take optimizer steps; see `Steps.run`."""
        results: tuple[Any, Any] = self._run(batches, count)
        return results


class OneDeviceSteps(StepRunner):
    """Steps on one device; for the arguments see `Devices.steps`."""

    def __init__(self, model: "keras.Model", train: BatchSource, validation: BatchSource | None, preparation: BatchPreparation) -> None:
        build_training_variables(model, train, preparation)
        train_step = _train_step(model)
        super().__init__(model, train, preparation, lambda batch: train_step(batch)["loss"])
        self._model, self._validation, self._preparation = model, validation, preparation

    def validate(self, events: Any) -> dict[str, float]:
        """Loss and metrics on the validation examples."""
        assert self._validation is not None
        batches = self._validation.in_order().map(self._preparation.encoded)
        results: dict[str, float] = self._model.evaluate(batches, verbose=0, callbacks=events, return_dict=True)
        return results


def _train_step(model: "keras.Model") -> Callable[[Any], Any]:
    """Keras's own `train_step`, compiled by XLA where the model is compiled so."""
    import tensorflow as tf

    step: Callable[[Any], Any] = model.train_step
    return tf.function(step, reduce_retracing=True, jit_compile=True) if model.jit_compile else step


def build_training_variables(
    model: "keras.Model",
    train: BatchSource,
    preparation: BatchPreparation,
    scope: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> None:
    """Create the variables of a model's loss, metrics and optimizer; those of the optimizer in `scope`."""
    for inputs, targets in train.batches(np.arange(1)):
        build_metrics(model, *preparation.without_augmentation(inputs, targets))
    if not model.optimizer.built:
        with scope():
            model.optimizer.build(model.trainable_variables)


def build_metrics(model: "keras.Model", inputs: Any, targets: Any) -> None:
    """Create the variables of a model's loss and metrics, which Keras does at first use and cannot do inside a `tf.function` loop.

    A prediction of zeros is enough for it, so the network itself need not be traced.
    """
    import tensorflow as tf

    prediction = tf.zeros((1, *model.output_shape[1:]))
    model.compute_loss(inputs, targets, prediction)
    model.compute_metrics(inputs, targets, prediction)
    model.reset_metrics()
