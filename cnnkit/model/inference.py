"""Run a network as in use: inference mode, one graph for batches of any size."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.examples import Examples
from cnnkit.data.pipeline import BatchSource, evaluation_batch

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def inference_function(network: "keras.Model") -> "tf.types.experimental.PolymorphicFunction":
    """A graph function from inputs `(batch, …)` float32 to outputs, traced once.

    Keras's `predict` traces a second time where the last batch is smaller, which takes a second or more for a large network.
    """
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)]
    return tf.function(lambda batch: network(batch, training=False), input_signature=signature, autograph=False)


def outputs_for(function: "tf.types.experimental.PolymorphicFunction", examples: Examples) -> npt.NDArray[Any]:
    """The outputs `(n, outputs)` of an `inference_function` for each example, in their order; inputs are read a batch at a time."""
    import tensorflow as tf

    batches = BatchSource(examples, evaluation_batch(examples)).in_order()
    return np.concatenate([function(tf.cast(inputs, tf.float32)).numpy() for inputs, _ in batches])
