"""Steps on several replicas: each computes its slice of every global batch, and the result is that of one device up to rounding.

The loss is computed on the predictions of the whole batch, which every replica gathers from all others: so it is the loss of one
device, whatever its reduction and however uneven the slices are. Each replica then propagates the gradient of its own slice
backwards; the sum over the replicas is the gradient of the batch. It is summed before the optimizer clips or accumulates it.
BatchNormalization computes its statistics over the whole batch while the step is traced; metrics are updated once per process.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.pipeline import BatchSource, Share, bounds_of
from cnnkit.keras_api.compat import (
    data_loss,
    gradients_are_summed,
    loss_tracker,
    outputs_with_logits,
    regularization_losses,
    replica_tracing,
)
from cnnkit.training.step import build_training_variables

if TYPE_CHECKING:
    import keras


class ReplicatedSteps:
    """Training steps and validation on all replicas of a strategy.

    Args:
        strategy: A mirrored `tf.distribute` strategy, in whose scope the model and its optimizer were built.
        share: The replicas of this process.
        model: Compiled outside of the scope, so that metrics are plain variables.
        train: Training examples.
        validation: Validation examples; None for none.
        preparation: Augmentation, label mixing and class weights; applied to the whole batch, in every process alike.
    """

    def __init__(
        self,
        strategy: Any,
        share: Share,
        model: "keras.Model",
        train: BatchSource,
        validation: BatchSource | None,
        preparation: BatchPreparation,
    ) -> None:
        import tensorflow as tf

        self._strategy, self._share, self._model = strategy, share, model
        self._base = preparation.frozen_base
        self._preparation = preparation.without_frozen_base()
        self._train = train if preparation.layers else train.shared(share)  # augmentation draws and mixes over the whole batch
        if preparation.needs_places:
            self._train = self._train.with_places()
        self._validation = validation.shared(share) if validation is not None else None
        build_training_variables(model, train, preparation, strategy.scope)
        gradients_are_summed(model.optimizer)
        self._run = tf.function(self._run_steps, reduce_retracing=True)
        self._test = tf.function(self._test_step, reduce_retracing=True)

    def batches(self, seed: int, epoch: int, skip: int) -> Iterator[Any]:
        """An iterator over the training batches of an epoch."""
        return iter(self._train.shuffled(seed, epoch, skip=skip))

    def run(self, batches: Iterator[Any], count: Any) -> tuple[Any, Any]:
        """Take optimizer steps."""
        results: tuple[Any, Any] = self._run(batches, count)
        return results

    def validate(self, events: Any) -> dict[str, float]:
        """Loss and metrics on the validation examples, in the order of events of Keras's `evaluate`."""
        assert self._validation is not None
        events.on_test_begin()
        self._model.reset_metrics()
        logs: dict[str, float] = {}
        for step, (inputs, targets) in enumerate(self._validation.in_order()):
            events.on_test_batch_begin(step)
            logs = {name: float(value) for name, value in self._test(inputs, targets).items()}
            events.on_test_batch_end(step, dict(logs))
        events.on_test_end(dict(logs))
        return logs

    def _run_steps(self, iterator: Any, count: Any) -> Any:
        import tensorflow as tf

        bad = tf.constant(-1)
        for step in tf.range(count):
            loss = self._train_step(*self._preparation(*next(iterator)))["loss"]
            bad = tf.where((bad < 0) & ~tf.math.is_finite(loss), step, bad)
        return self._model.get_metrics_result(), bad

    def _train_step(self, inputs: Any, targets: Any, weights: Any = None) -> Any:
        """One optimizer step on a global batch; the metrics over the epoch so far."""
        with replica_tracing(self._model):
            results = self._strategy.run(self._replica_train_step, args=(inputs, targets, weights))
        predictions, loss = (self._strategy.experimental_local_results(each)[0] for each in results)
        return self._update_metrics(loss, inputs, targets, predictions, weights)

    def _test_step(self, inputs: Any, targets: Any) -> Any:
        """Predictions and loss of a global batch; the metrics over all batches so far."""
        inputs, targets = self._preparation.encoded(inputs, targets)
        with replica_tracing(self._model):
            results = self._strategy.run(self._replica_predict, args=(inputs, targets))
        *outputs, penalties = (self._strategy.experimental_local_results(each)[0] for each in results)
        loss = data_loss(self._model, targets, outputs) + penalties
        return self._update_metrics(loss, inputs, targets, outputs[0])

    def _update_metrics(self, loss: Any, inputs: Any, targets: Any, predictions: Any, weights: Any = None) -> Any:
        import tensorflow as tf

        loss_tracker(self._model).update_state(loss, sample_weight=tf.shape(targets)[0])
        return self._model.compute_metrics(inputs, targets, predictions, sample_weight=weights)

    def _replica_train_step(self, inputs: Any, targets: Any, weights: Any) -> Any:
        """The part of one replica: forward and backward on its slice, then the same update as every other replica.

        Returns:
            Predictions of the whole batch `(batch, …)` float32 and its loss, equal on all replicas.
        """
        import tensorflow as tf

        model, optimizer, replicas = self._model, self._model.optimizer, self._share.replicas
        variables = model.trainable_variables
        part = _Slice(self._share, tf.shape(targets)[0])
        inputs = part.of_inputs(inputs, is_shared=self._train.share is not None)
        if self._base is not None:
            inputs = self._base(inputs, training=False)
        with tf.GradientTape() as tape:
            own = outputs_with_logits(model(inputs, training=True))
            of_weights, of_activities = regularization_losses(model)
        outputs, activities = part.gather(own, self._train.batch_size, of_activities)
        with tf.GradientTape() as loss_tape:
            loss_tape.watch(outputs)
            loss = data_loss(model, targets, outputs, weights)
            scaled = optimizer.scale_loss(loss)
        of_outputs = loss_tape.gradient(scaled, outputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        of_own = [tf.cast(each[part.start : part.stop] * part.repetition, own[0].dtype) for each in of_outputs]
        scale = optimizer.scale_loss(tf.constant(1.0))
        gradients = tape.gradient(
            [*own, of_weights, of_activities], variables, output_gradients=[*of_own, scale / replicas, scale * part.weight]
        )
        present = [gradient for gradient in gradients if gradient is not None]
        summed = iter(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, present))
        optimizer.apply([None if gradient is None else next(summed) for gradient in gradients], variables)
        return outputs[0], loss + of_weights + activities

    def _replica_predict(self, inputs: Any, targets: Any) -> Any:
        """Predictions of the whole batch with their logits where there are any, and the regularization losses."""
        import tensorflow as tf

        assert self._validation is not None
        part = _Slice(self._share, tf.shape(targets)[0])
        own_inputs = part.of_inputs(inputs, is_shared=self._validation.share is not None)
        own = outputs_with_logits(self._model(own_inputs, training=False))
        of_weights, of_activities = regularization_losses(self._model)
        outputs, activities = part.gather(own, self._validation.batch_size, of_activities)
        return *outputs, of_weights + activities


class _Slice:
    """The slice of a global batch that the replica computes in whose context this is built.

    A batch with fewer examples than replicas (the last one of an epoch) is computed whole by every replica, because
    TensorFlow's convolutions give a wrong shape for an empty batch.

    Attributes:
        start: First example.
        stop: The one after the last.
        repetition: Factor of its gradient: 1, or 1 / replicas where all compute the same.
        weight: Its share of the batch, for means over examples.
    """

    def __init__(self, share: Share, count: Any) -> None:
        import tensorflow as tf

        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        self._share, self._count = share, count
        self.start, self.stop = bounds_of(count, replica, replica, share.replicas)
        is_divided = count >= share.replicas
        self.repetition = tf.where(is_divided, 1.0, 1.0 / share.replicas)
        self.weight = tf.cast(self.stop - self.start, tf.float32) / tf.cast(count, tf.float32) * self.repetition
        self._is_unique = is_divided | (replica == 0)

    def of_inputs(self, inputs: Any, *, is_shared: bool) -> Any:
        """The slice of inputs `(n, …)`: of the whole batch, or of the part that this process has read."""
        if not is_shared:
            return inputs[self.start : self.stop]
        offset, _ = bounds_of(self._count, self._share.first, self._share.last, self._share.replicas)
        return inputs[self.start - offset : self.stop - offset]

    def gather(self, own: Sequence[Any], batch_size: int, activities: Any) -> tuple[list[Any], Any]:
        """Outputs of the whole batch `(batch, …)` float32 from those of the slice, and the mean of a loss over all slices.

        One sum of outputs padded with zeros to `batch_size`: inside a loop, a collective needs the same shape every time.
        """
        import tensorflow as tf

        padded = [self._padded(each, batch_size) for each in own]
        context = tf.distribute.get_replica_context()
        *gathered, mean = context.all_reduce(tf.distribute.ReduceOp.SUM, [*padded, activities * self.weight])
        return [each[: self._count] for each in gathered], mean

    def _padded(self, own: Any, batch_size: int) -> Any:
        """Outputs of the slice in their place among zeros; only zeros where another replica computes the same slice."""
        import tensorflow as tf

        padding = [[self.start, batch_size - self.stop], *([[0, 0]] * (len(own.shape) - 1))]
        padded = tf.pad(tf.cast(own, tf.float32), padding)
        padded = tf.where(self._is_unique, padded, tf.zeros_like(padded))
        padded.set_shape((batch_size, *own.shape[1:]))
        return padded
