"""Preparation of a training batch inside the step: augmentation, label mixing, target encoding, class weights."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.schema import AUGMENTATIONS, MIXING
from cnnkit.config.target_encoding import TargetEncoding
from cnnkit.config.task import Task
from cnnkit.data.alternating_flip import AlternatingFlip
from cnnkit.data.encode import encode
from cnnkit.data.examples import Examples
from cnnkit.data.shift import Shift
from cnnkit.errors import BuildError, Fault, Path
from cnnkit.keras_api.building import build, first_sentence
from cnnkit.keras_api.checking import Entry

if TYPE_CHECKING:
    import keras


class BatchPreparation:
    """Applied to every training batch inside the training step's graph; never part of the model.

    The random states of its layers are seeded by the run's seed, and are variables of `layers`, so that checkpoints include them.

    Args:
        augment: Entries of `data.augment`.
        seed: The run's seed.
        task: The prediction task.
        weights: Weight of each class or label `(outputs,)`; None for none.
        encoding: Target encoding of the loss.
    """

    def __init__(
        self,
        augment: Sequence[Entry],
        seed: int,
        task: Task,
        weights: npt.NDArray[Any] | None,
        encoding: TargetEncoding,
    ) -> None:
        self._task = task
        self._weights = weights
        self._paths = [("data", "augment", index, *entry.key) for index, entry in enumerate(augment)]
        self.layers = [_layer(entry, ("data", "augment", index), seed + index) for index, entry in enumerate(augment)]
        self._features: Any = None
        self._mixes = [entry.name in MIXING for entry in augment]
        self._encoding = encoding

    @property
    def needs_places(self) -> bool:
        """Whether batches have to be those of `BatchSource.with_places`."""
        return any(isinstance(layer, AlternatingFlip) for layer in self.layers)

    @property
    def mixes_labels(self) -> bool:
        """Whether targets become soft labels `(batch, classes)`."""
        return any(self._mixes)

    def for_features(self) -> "BatchPreparation":
        """A copy for batches of precomputed features, whose inputs are augmented already: only target encoding and weights."""
        return BatchPreparation([], 0, self._task, self._weights, self._encoding)

    def with_frozen_base(self, features: "keras.Model") -> "BatchPreparation":
        """A copy that also runs the frozen base in inference mode, so that the head trains on features of freshly augmented images."""
        with_base = copy.copy(self)
        with_base._features = features
        return with_base

    @property
    def frozen_base(self) -> Any:
        """The base of `with_frozen_base`, as a model; None for none."""
        return self._features

    def without_frozen_base(self) -> "BatchPreparation":
        """A copy that does not run the base, for replicas that each run it on their slice."""
        without = copy.copy(self)
        without._features = None
        return without

    def encoded(self, inputs: Any, targets: Any) -> tuple[Any, Any]:
        """An evaluation batch: unchanged inputs, and targets in the encoding of the loss."""
        return inputs, encode(targets, self._encoding)

    def without_augmentation(self, inputs: Any, targets: Any) -> tuple[Any, Any]:
        """A batch as the model receives it, without augmentation."""
        inputs, targets = self.encoded(inputs, targets)
        return inputs if self._features is None else self._features(inputs, training=False), targets

    def check(self, input_shape: tuple[int, ...]) -> None:
        """Run the augmentation on one small batch, to find errors before training.

        Args:
            input_shape: Shape of one example, without the batch.

        Raises:
            BuildError: A layer rejects the inputs, or changes their shape.
        """
        import tensorflow as tf

        inputs = tf.zeros((2, *input_shape), tf.float32)
        targets = tf.zeros((2, self._task.outputs) if self.mixes_labels else (2,), tf.float32)
        places = (tf.range(2, dtype=tf.int64), tf.zeros((2,), tf.int64))
        for layer, mixes, path in zip(self.layers, self._mixes, self._paths, strict=True):
            try:
                inputs, targets = self._apply(layer, mixes, inputs, targets, *places)
            except (ValueError, TypeError, KeyError, NotImplementedError, tf.errors.OpError) as error:
                raise BuildError(Fault(path, f"cannot take inputs of {input_shape}: {first_sentence(error)}", on_key=True)) from error
            if tuple(inputs.shape[1:]) != input_shape:
                message = f"changes inputs of {input_shape} to {tuple(inputs.shape[1:])}"
                raise BuildError(Fault(path, message, "Layers that change the shape belong in `model.preprocess`.", on_key=True))

    def __call__(self, inputs: Any, targets: Any, rows: Any = None, epochs: Any = None) -> tuple[Any, ...]:
        """A batch for `train_step`: `(inputs, targets)`, or `(inputs, targets, sample_weight)` with weights.

        Args:
            inputs: `(batch, …)`, images in 0..255.
            targets: As in `Examples`, not yet encoded.
            rows: See `BatchSource.with_places`; wanted where `needs_places`.
            epochs: The same.
        """
        import tensorflow as tf

        if self.layers:
            inputs = tf.cast(inputs, tf.float32)
        classes, targets = targets, encode(targets, self._encoding)
        for layer, mixes in zip(self.layers, self._mixes, strict=True):
            inputs, targets = self._apply(layer, mixes, inputs, targets, rows, epochs)
        if self._features is not None:
            inputs = self._features(inputs, training=False)
        if self._weights is None:
            return inputs, targets
        return inputs, targets, self._sample_weights(targets if self.mixes_labels else classes)

    @staticmethod
    def _apply(layer: Any, mixes: bool, inputs: Any, targets: Any, rows: Any, epochs: Any) -> tuple[Any, Any]:
        if mixes:
            mixed = layer({"images": inputs, "labels": targets}, training=True)
            return mixed["images"], mixed["labels"]
        if isinstance(layer, AlternatingFlip):
            return layer(inputs, rows, epochs), targets
        if isinstance(layer, Shift):
            return layer(inputs), targets
        return layer(inputs, training=True), targets

    def _sample_weights(self, targets: Any) -> Any:
        """The sample weights `(batch,)`: the weight of the class; for soft labels or several labels the weighted mean."""
        import tensorflow as tf

        weights = tf.constant(self._weights, tf.float32)
        if self._task.is_classification and not self.mixes_labels:
            return tf.gather(weights, tf.cast(targets, tf.int32))
        totals = tf.reduce_sum(targets, axis=-1)
        mean = tf.linalg.matvec(targets, weights) / tf.maximum(totals, 1e-6)
        return tf.where(totals > 0, mean, tf.ones_like(mean))  # an example without any label has weight 1


_OWN_LAYERS: Mapping[str, Callable[..., Any]] = {"shift": Shift, "alternating_flip": AlternatingFlip}  # words of `AUGMENTATIONS`


def _layer(entry: Entry, path: Path, seed: int) -> Any:
    """The layer of an entry of `data.augment`: one of Keras's, or one of cnnkit's own."""
    if entry.name not in AUGMENTATIONS:
        return build("layers", entry, path, seed=seed)
    options = AUGMENTATIONS[entry.name].model_validate(entry.arguments)
    return _OWN_LAYERS[entry.name](**options.model_dump(), seed=seed)


def class_weights(choice: Any, examples: Examples, task: Task) -> npt.NDArray[Any] | None:
    """The weight of each class or label.

    Args:
        choice: `balanced` for n / (classes · count of the class), as in scikit-learn; {name: weight}, 1 for classes not named; None.
        examples: The training examples.
        task: The prediction task.

    Returns:
        `(outputs,)` float64; None where `choice` is None.
    """
    if choice is None:
        return None
    if choice == "balanced":
        counts = examples.targets.sum(axis=0) if task.is_multilabel else np.bincount(examples.targets, minlength=task.outputs)
        return np.where(counts > 0, counts.sum() / (task.outputs * np.maximum(counts, 1)), 0.0)
    return np.array([choice.get(name, 1.0) for name in task.names], np.float64)
