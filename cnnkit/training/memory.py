"""Memory: refuse a batch that cannot fit before the first step, and an error with a remedy for when memory ran out."""

import math
from typing import TYPE_CHECKING, Any

from cnnkit.data.rows import available_memory
from cnnkit.errors import CnnkitError
from cnnkit.keras_api.compat import all_uses, flat_layers

if TYPE_CHECKING:
    import keras

BYTES = 4  # per float32


class OutOfMemoryError(CnnkitError):
    """A batch does not fit into memory."""


def check_memory(model: "keras.Model", batch_size: int) -> None:
    """Refuse a batch that cannot fit: the outputs of the trained layers alone, all needed for gradients, exceed the free memory.

    TensorFlow would allocate more memory than there is, and the system would kill the process.

    Args:
        model: The model to train.
        batch_size: Examples in a batch.

    Raises:
        OutOfMemoryError: The outputs exceed the free memory.
    """
    needed = BYTES * batch_size * sum(_values(layer) for layer in flat_layers(model) if layer.trainable_variables)
    if needed > available_memory():
        raise OutOfMemoryError(
            f"a batch of {batch_size} takes {needed / 2**30:.1f} GB or more for the layers' outputs, "
            f"but {available_memory() / 2**30:.1f} GB of memory are free",
            _remedy(model, batch_size),
        )


def out_of_memory(model: "keras.Model", batch_size: int) -> OutOfMemoryError:
    """The error for memory that ran out in a training step."""
    return OutOfMemoryError(f"memory ran out with batches of {batch_size}", _remedy(model, batch_size))


def _remedy(model: "keras.Model", batch_size: int) -> str:
    """Suggest a batch size: at most half of this one, and small enough for all layers' outputs and their gradients."""
    bytes_per_example = 2 * BYTES * sum(_values(layer) for layer in flat_layers(model))
    fitting = max(1, available_memory() // max(1, bytes_per_example))
    suggested = max(1, min(batch_size // 2, 2 ** int(math.log2(fitting))))
    return f"Try `data: {{batch_size: {suggested}}}`, a smaller image_size, or fewer filters."


def _values(layer: Any) -> int:
    """The number of values in a layer's output for one example; 0 where unknown or where the layer is used more than once."""
    shapes = [tensor.shape[1:] for node in all_uses(layer) for tensor in node.output_tensors]
    return math.prod(shapes[0]) if len(shapes) == 1 and None not in shapes[0] else 0
