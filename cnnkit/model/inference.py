"""Run a network in inference mode, with one graph for batches of any size."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.examples import Examples
from cnnkit.data.pipeline import batch_of
from cnnkit.errors import CnnkitError, count

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Array = npt.NDArray[Any]


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


def inference_function(network: "keras.Model") -> "tf.types.experimental.PolymorphicFunction":
    """A graph function from inputs `(batch, …)` float32 to outputs, traced once.

    Keras's `predict` traces a second time for a smaller last batch, which takes a second or more for a large network.
    """
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)]
    return tf.function(lambda batch: network(batch, training=False), input_signature=signature, autograph=False)


class KerasRuntime:
    """A Keras network as a function of NumPy arrays.

    Args:
        network: With one input of a fixed shape and one output.
    """

    def __init__(self, network: "keras.Model") -> None:
        self._network = network
        self._graph: Callable[[Any], Any] | None = None
        self._full_batch = batch_of(network.input_shape[1:])

    def __call__(self, inputs: Array) -> Array:
        """The outputs `(n, …)` float32 for inputs `(n, …)`.

        A few examples run eagerly; from the first full batch on, the network runs as a graph for any batch size.
        """
        import tensorflow as tf

        if self._graph is None and len(inputs) >= self._full_batch:
            self._graph = inference_function(self._network)
        outputs = (self._graph or (lambda batch: self._network(batch, training=False)))(tf.constant(inputs, tf.float32))
        return np.asarray(outputs, np.float32)


def outputs_for(run: Callable[[Array], Array], examples: Examples) -> Array:
    """The outputs `(n, outputs)` for each example, in their order; the next batch is read while one is computed.

    Args:
        run: A runtime: from a batch `(n, …)` float32 to its outputs.
        examples: Raw inputs.
    """
    size = batch_of(examples.input_shape)

    def read(start: int) -> Array:
        return examples.rows.read(examples.index[start : start + size]).astype(np.float32)

    parts = []
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read") as reader:
        following = reader.submit(read, 0)
        for start in range(0, len(examples), size):
            inputs = following.result()
            if start + size < len(examples):
                following = reader.submit(read, start + size)
            parts.append(run(inputs))
    return np.concatenate(parts)
