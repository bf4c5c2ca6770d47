"""Run a network in inference mode, with one graph for batches of any size."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.examples import Examples
from cnnkit.data.pipeline import BatchSource, evaluation_batch
from cnnkit.errors import CnnkitError, count

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def input_shape_of(network: "keras.Model", path: Path) -> tuple[int, ...]:
    """Input shape of a network, without the batch.

    Args:
        network: The network.
        path: Its file, for the error message.

    Raises:
        CnnkitError: It does not have exactly one input of a fixed shape and one output.
    """
    inputs, outputs = len(network.inputs), len(network.outputs)
    if (inputs, outputs) != (1, 1):
        raise CnnkitError(f"{path}: has {count(inputs, 'input')} and {count(outputs, 'output')}", "A model with one of each is wanted.")
    shape = tuple(network.input_shape[1:])
    if None in shape:
        raise CnnkitError(f"{path}: takes inputs of {shape}, which leaves their size open", "Save it with a fixed input shape.")
    return shape


def require_fit(network: "keras.Model", path: Path, examples: Examples, data: str) -> None:
    """Check that a network's input shape is that of some examples.

    Args:
        network: The network.
        path: Its file, for the error message.
        examples: Raw inputs `(n, …)`.
        data: Name of the examples, for the error message.

    Raises:
        CnnkitError: Its input shape differs, or it has several inputs.
    """
    if (wanted := input_shape_of(network, path)) != examples.input_shape:
        raise CnnkitError(f"{path}: takes inputs of {wanted}, but {data} has {examples.input_shape}", "Name the config of its data.")


def inference_function(network: "keras.Model") -> "tf.types.experimental.PolymorphicFunction":
    """A graph function from inputs `(batch, …)` float32 to outputs, traced once.

    Keras's `predict` traces a second time for a smaller last batch, which takes a second or more for a large network.
    """
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)]
    return tf.function(lambda batch: network(batch, training=False), input_signature=signature, autograph=False)


def outputs_for(function: "tf.types.experimental.PolymorphicFunction", examples: Examples) -> npt.NDArray[Any]:
    """The outputs `(n, outputs)` of an `inference_function` for each example, in their order; inputs are read a batch at a time."""
    import tensorflow as tf

    batches = BatchSource(examples, evaluation_batch(examples)).in_order()
    return np.concatenate([function(tf.cast(inputs, tf.float32)).numpy() for inputs, _ in batches])
