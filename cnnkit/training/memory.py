"""Whether a batch fits into memory: told before the first step where it surely does not, and when memory has run out."""

import math
from typing import TYPE_CHECKING, Any

from cnnkit.data.rows import available_memory
from cnnkit.errors import CnnkitError
from cnnkit.keras_api.compat import all_uses, flat_layers

if TYPE_CHECKING:
    import keras

BYTES = 4  # of a float32


def check_memory(model: "keras.Model", batch_size: int) -> None:
    """Refuse a batch of which the outputs of the trained layers alone, all needed for the gradients, exceed the free memory.

    TensorFlow takes memory that is not there without asking, and the system then kills the process.

    Raises:
        CnnkitError: They do.
    """
    least = BYTES * batch_size * sum(_values(layer) for layer in flat_layers(model) if layer.trainable_variables)
    if least > available_memory():
        raise CnnkitError(
            f"a batch of {batch_size} takes {least / 2**30:.1f} GB or more for the layers' outputs, "
            f"but {available_memory() / 2**30:.1f} GB of memory are free",
            _remedy(model, batch_size),
        )


def out_of_memory(model: "keras.Model", batch_size: int) -> CnnkitError:
    """The error for memory that ran out in a step."""
    return CnnkitError(f"memory ran out with batches of {batch_size}", _remedy(model, batch_size))


def _remedy(model: "keras.Model", batch_size: int) -> str:
    """A batch size to try: at most half of this one, and one whose outputs and their gradients fit."""
    each = 2 * BYTES * sum(_values(layer) for layer in flat_layers(model))
    fitting = max(1, available_memory() // max(1, each))
    tried = max(1, min(batch_size // 2, 2 ** int(math.log2(fitting))))
    return f"Try `data: {{batch_size: {tried}}}`, a smaller image_size, or fewer filters."


def _values(layer: Any) -> int:
    """Numbers that a layer gives for one example; 0 where that is not known."""
    shapes = [tensor.shape[1:] for node in all_uses(layer) for tensor in node.output_tensors]
    return math.prod(shapes[0]) if len(shapes) == 1 and None not in shapes[0] else 0
