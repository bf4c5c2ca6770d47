"""Grad-CAM: which places of an input speak for an answer (Selvaraju et al. 2017, equations 1 and 2)."""

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
        outputs: Which output each map is for `(n,)`.
        answers: What the network gave `(n, outputs)`.
        layer: Name of the layer whose output was looked at.
    """

    maps: Array
    outputs: Array
    answers: Array
    layer: str

    def over(self, shape: Sequence[int]) -> Array:
        """The maps spread over an input of some places, `(height, width)` or `(steps,)`: `(n, *shape)`, each 0 to 1."""
        return np.stack([spread(_to_one(each), shape) for each in self.maps])


class GradCam:
    """Makes heatmaps of one network, which is opened once for many inputs.

    Args:
        model: The network, raw inputs in.
        task: What its outputs mean.
        layer: Name of the layer to look at; where left out, the last feature maps that a convolution made.

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
        """The heatmaps of some inputs.

        The weight of a channel is the mean over all places of the score's gradient; the map is the weighted sum of the channels,
        where it is positive. The score is that before a last softmax or sigmoid, whose own gradient vanishes where the network
        is sure. Where one unit stands for two classes, the score of the first is that of the second with its sign changed.

        Args:
            inputs: Raw inputs `(n, …)`.
            outputs: Which output to explain, for each input `(n,)`; the one with the largest answer where left out.
        """
        batches = range(0, len(inputs), BATCH)
        parts = [self._batch(inputs[i : i + BATCH], outputs[i : i + BATCH] if outputs is not None else None) for i in batches]
        maps, chosen, answers = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return Heatmaps(maps, chosen, answers, self.layer)

    def _batch(self, inputs: Array, outputs: Sequence[int] | Array | None) -> tuple[Array, Array, Array]:
        import tensorflow as tf

        given = tf.cast(inputs, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(given)  # or nothing behind a frozen base would be recorded
            maps, scores, answers = self._model(given, training=False)
            if self._task.is_classification and scores.shape[1] == 1:
                scores = tf.concat([-scores, scores], axis=1)
            chosen = np.asarray(outputs) if outputs is not None else self._largest(answers.numpy())
            explained = tf.gather(scores, chosen, batch_dims=1)
        gradients = tape.gradient(explained, maps, unconnected_gradients="zero")
        places = list(range(1, len(maps.shape) - 1))
        weights = tf.reduce_mean(gradients, places, keepdims=True)
        heatmap = tf.nn.relu(tf.reduce_sum(tf.cast(weights * maps, tf.float32), -1))
        return heatmap.numpy(), chosen, answers.numpy()

    def _largest(self, answers: Array) -> Array:
        return np.asarray(np.argmax(by_class(answers) if self._task.is_classification else answers, axis=1))


def spread(heatmap: Array, shape: Sequence[int]) -> Array:
    """A coarse map `(rows, columns)` or `(steps,)` spread over more places, linearly between the middles of its cells.

    Args:
        heatmap: The map.
        shape: Places wanted.
    """
    from scipy import ndimage

    places = [(np.arange(size) + 0.5) * cells / size - 0.5 for cells, size in zip(heatmap.shape, shape, strict=True)]
    spread_map: Array = ndimage.map_coordinates(heatmap.astype(np.float32), np.meshgrid(*places, indexing="ij"), order=1, mode="nearest")
    return spread_map


def _to_one(heatmap: Array) -> Array:
    return heatmap / heatmap.max() if heatmap.max() > 0 else heatmap
