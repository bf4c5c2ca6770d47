"""Grad-CAM heatmaps: which positions of an input support a prediction (Selvaraju et al. 2017, equations 1 and 2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Task
from cnnkit.evaluation.calibration import by_class
from cnnkit.model.unfold import unfold

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[Any]

BATCH = 32  # inputs whose feature maps and gradients are in memory at a time


@dataclass(frozen=True)
class Heatmaps:
    """Heatmaps of some inputs.

    Attributes:
        maps: `(n, rows, columns)` or `(n, steps)` float32, 0 or more, in the resolution of the layer; the unit is that of the scores.
        outputs: Index of the output that each map explains `(n,)`.
        predictions: The network's outputs `(n, outputs)`.
        layer: Name of the layer whose feature maps were used.
    """

    maps: Array
    outputs: Array
    predictions: Array
    layer: str

    def over(self, shape: Sequence[int]) -> Array:
        """The maps upsampled to an input's shape, `(height, width)` or `(steps,)`, each scaled to 0..1: `(n, *shape)`."""
        return np.stack([upsample(_scaled_to_one(each), shape) for each in self.maps])


class GradCam:
    """Computes Grad-CAM heatmaps of one network.

    Args:
        model: The network; takes raw inputs.
        task: Kind and names of its outputs.
        layer: Name of the layer whose feature maps are used; None for those of the last convolution.

    Raises:
        CnnkitError: There is no such layer, or no convolution.
    """

    def __init__(self, model: "keras.Model", task: Task, layer: str | None = None) -> None:
        import keras

        network = unfold(model)
        step = network.step(layer) if layer is not None else network.last_feature_maps()
        self.layer = step.name
        self._model = keras.Model(network.input, [step.output, network.scores, network.output])
        self._task = task

    def __call__(self, inputs: Array, outputs: Sequence[int] | Array | None = None) -> Heatmaps:
        """Compute the heatmaps of a batch of inputs.

        The weight of a channel is the mean of the score's gradient over all positions; the map is the ReLU of the weighted sum of
        the channels. The score is the logit before a final softmax or sigmoid, whose gradient vanishes where the network is
        confident. Where one sigmoid unit stands for two classes, the score of the first is the negative of the second's.

        Args:
            inputs: Raw inputs `(n, height, width, channels)` or `(n, steps, channels)`.
            outputs: Index of the output to explain for each input `(n,)`; the most probable where None.
        """
        batches = range(0, len(inputs), BATCH)
        parts = [self._batch(inputs[i : i + BATCH], outputs[i : i + BATCH] if outputs is not None else None) for i in batches]
        maps, chosen, predictions = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return Heatmaps(maps, chosen, predictions, self.layer)

    def _batch(self, inputs: Array, outputs: Sequence[int] | Array | None) -> tuple[Array, Array, Array]:
        import tensorflow as tf

        batch = tf.cast(inputs, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(batch)  # otherwise nothing after a frozen base would be recorded
            maps, scores, predictions = self._model(batch, training=False)
            if self._task.is_classification and scores.shape[1] == 1:
                scores = tf.concat([-scores, scores], axis=1)
            chosen = np.asarray(outputs) if outputs is not None else self._most_probable(predictions.numpy())
            explained = tf.gather(scores, chosen, batch_dims=1)
        gradients = tape.gradient(explained, maps, unconnected_gradients="zero")
        axes = list(range(1, len(maps.shape) - 1))
        weights = tf.reduce_mean(gradients, axes, keepdims=True)
        heatmap = tf.nn.relu(tf.reduce_sum(tf.cast(weights * maps, tf.float32), -1))
        return heatmap.numpy(), chosen, predictions.numpy()

    def _most_probable(self, predictions: Array) -> Array:
        return np.asarray(np.argmax(by_class(predictions) if self._task.is_classification else predictions, axis=1))


def upsample(heatmap: Array, shape: Sequence[int]) -> Array:
    """Upsample a map by linear interpolation between the centers of its cells.

    Args:
        heatmap: `(rows, columns)` or `(steps,)`.
        shape: The shape of the result, with the same number of axes.
    """
    from scipy import ndimage

    positions = [(np.arange(size) + 0.5) * cells / size - 0.5 for cells, size in zip(heatmap.shape, shape, strict=True)]
    upsampled: Array = ndimage.map_coordinates(heatmap.astype(np.float32), np.meshgrid(*positions, indexing="ij"), order=1, mode="nearest")
    return upsampled


def _scaled_to_one(heatmap: Array) -> Array:
    return heatmap / heatmap.max() if heatmap.max() > 0 else heatmap
