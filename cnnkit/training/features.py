"""Features of a frozen base, computed once; the head is trained on them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.examples import Examples
from cnnkit.data.pipeline import BatchSource, Share, evaluation_batch
from cnnkit.data.rows import ArrayRows, DiskRows, Rows, available_memory, scratch_rows
from cnnkit.keras_api.compat import all_uses, with_constant_weights
from cnnkit.model.inference import inference_function
from cnnkit.training.phases import base_of
from cnnkit.training.step import Devices, OneDevice

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Array = npt.NDArray[Any]
Augment = Callable[[Any, Any, Any, Any], tuple[Any, ...]]  # from a batch of `BatchSource.with_places`


@dataclass(frozen=True)
class SplitModel:
    """A model split in two that share its layers: the frozen base up to the features, and the trained head."""

    features: "keras.Model"
    head: "keras.Model"


class FrozenFeatures:
    """A frozen network as a graph whose weights are constants, so that TensorFlow folds each BatchNormalization into its convolution.

    That takes a fifth less time, and changes the features by no more than float32 rounding.

    Args:
        network: Maps raw inputs to features.
    """

    def __init__(self, network: "keras.Model") -> None:
        self.shape = tuple(network.output_shape[1:])
        self._run = with_constant_weights(inference_function(network).get_concrete_function())

    def __call__(self, inputs: Any) -> Array:
        """Features `(batch, *self.shape)` float32 of a batch of raw inputs `(batch, height, width, channels)`."""
        import tensorflow as tf

        result: Array = self._run(tf.cast(inputs, tf.float32))[0].numpy()
        return result


class PassSource(BatchSource):
    """Batches of features from several augmented passes over the same examples; the epochs cycle through the passes."""

    def __init__(self, passes: Sequence[Examples], batch_size: int, *, balanced: bool) -> None:
        super().__init__(passes[0], batch_size, balanced=balanced)
        self._passes = [BatchSource(examples, batch_size, balanced=balanced) for examples in passes]

    def shared(self, share: Share) -> "PassSource":
        """This source: features are read whole."""
        return self

    def shuffled(self, seed: int, epoch: int, skip: int = 0) -> "tf.data.Dataset":
        """The batches of the pass that an epoch uses, shuffled as by `BatchSource.order`."""
        return self._passes[epoch % len(self._passes)].shuffled(seed, epoch, skip)


def split_model(model: "keras.Model") -> SplitModel | None:
    """Split a model after its frozen base and the layers without weights that follow it, such as pooling.

    Returns:
        The two parts; None without a base, where the base or a layer before it has trainable weights, or where it is the last layer.
    """
    import keras

    base = base_of(model)
    if base is None or model.layers.index(base) == len(model.layers) - 1:
        return None
    tensor = all_uses(base)[-1].output_tensors[0]
    while (following := _only_consumer(model, tensor)) is not None and _is_fixed(following):
        tensor = all_uses(following)[-1].output_tensors[0]
    features = keras.Model(model.inputs, tensor)
    return SplitModel(features, keras.Model(tensor, model.output)) if not features.trainable_variables else None


def _only_consumer(model: "keras.Model", tensor: Any) -> Any:
    """The only layer that takes a tensor as input; None where there are several or none."""
    consumers = [layer for layer in model.layers for node in all_uses(layer) if any(each is tensor for each in node.input_tensors)]
    return consumers[0] if len(consumers) == 1 else None


def _is_fixed(layer: Any) -> bool:
    """Whether a layer is deterministic and has no weights."""
    name = type(layer).__name__
    return name.startswith("Global") or name in ("Flatten", "MaxPooling2D", "AveragePooling2D", "Reshape")


def compute_features(
    features: FrozenFeatures,
    examples: Examples,
    folder: Path,
    on_progress: Callable[[int], None],
    augment: Augment | None = None,
    devices: Devices | None = None,
) -> Examples:
    """Compute features of examples: in memory where they take at most half of the free memory, else in a temporary file.

    Of several workers, each computes every so many batches, and gets the features of the others.

    Args:
        features: Maps raw inputs to features.
        examples: Raw inputs with targets.
        folder: Folder for the temporary file, where one is needed.
        on_progress: Called with the number of examples done, by all workers alike.
        augment: Augmentation of the inputs, drawn alike by all workers; None for none.
        devices: What the workers exchange features by; None for this process alone.

    Returns:
        Features `(n, …)` float32 as inputs, with the same targets.
    """
    devices = devices or OneDevice()
    shape = (len(examples), *features.shape)
    rows: Rows
    writable: DiskRows | None = None
    array = np.empty((0,), np.float32)
    if int(np.prod(shape, dtype=np.int64)) * 4 > available_memory() // 2:
        rows = writable = scratch_rows(folder, "features-", shape, np.dtype(np.float32))
    else:
        array = np.empty(shape, np.float32)
        rows = ArrayRows(array)
    done = 0
    for values in _feature_batches(features, examples, augment, devices):
        if writable is not None:
            writable.write(np.arange(done, done + len(values)), values)
        else:
            array[done : done + len(values)] = values
        done += len(values)
        on_progress(done)
    return Examples(rows, np.arange(len(examples)), examples.targets)


def _feature_batches(features: FrozenFeatures, examples: Examples, augment: Augment | None, devices: Devices) -> Iterator[Array]:
    """Features `(batches of all workers, …)` of the examples in their order."""
    size, count, workers = min(64, evaluation_batch(examples)), len(examples), devices.workers
    source, positions = BatchSource(examples, size).with_places(), np.arange(count)
    own = positions[positions // size % workers == devices.worker]
    batches = iter(source.in_order() if augment is not None else source.batches(own))
    for start in range(0, count, size * workers):
        values = np.zeros((size, *features.shape), np.float32)
        for worker in range(min(workers, -(-(count - start) // size))):
            if augment is None and worker != devices.worker:
                continue
            inputs, targets, *places = next(batches)
            augmented = augment(inputs, targets, *places)[0] if augment is not None else inputs
            if worker == devices.worker:
                values[: len(inputs)] = features(augmented)
        yield devices.exchange(values).reshape(-1, *features.shape)[: count - start]
