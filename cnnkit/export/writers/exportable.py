"""A model made fit for converters while it is converted: constants that they see, recurrent layers without loops."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnkit.artifacts.formats import Format
from cnnkit.keras_api.compat import all_uses, flat_layers

if TYPE_CHECKING:
    import keras

MOST_STEPS = 512  # of a recurrent layer that is unrolled: each step becomes operations of its own


@contextmanager
def exportable(model: "keras.Model", target: Format) -> Iterator[None]:
    """Context manager: layers as a converter wants them; afterwards they are as before.

    Tensors that a layer keeps, such as the mean of Normalization, become arrays: tf2onnx takes tensors for inputs of the model.
    For a format without loops, recurrent layers are unrolled.

    Args:
        model: Changed in place.
        target: The format.
    """
    before: list[tuple[Any, str, Any]] = []

    def change(layer: Any, name: str, value: Any) -> None:
        before.append((layer, name, getattr(layer, name)))
        setattr(layer, name, value)

    import tensorflow as tf

    try:
        for layer in flat_layers(model):
            for name, value in list(vars(layer).items()):
                if isinstance(value, tf.Tensor) and hasattr(value, "numpy"):
                    change(layer, name, np.asarray(value))
            for recurrent in [] if target.has_loops else _short_recurrent(layer):
                change(recurrent, "unroll", True)
        yield
    finally:
        for layer, name, value in reversed(before):
            setattr(layer, name, value)


def _short_recurrent(layer: Any) -> list[Any]:
    """The recurrent layers of a layer of the graph: itself, or the two of a Bidirectional; none where it has too many steps."""
    import keras

    if isinstance(layer, keras.layers.Bidirectional):
        found = [layer.forward_layer, layer.backward_layer]
    else:
        found = [layer] if isinstance(layer, keras.layers.RNN) else []
    uses = all_uses(layer) if found else []  # what is inside of a Bidirectional has none of its own
    steps = {use.input_tensors[0].shape[1] for use in uses}
    return found if steps and all(each is not None and each <= MOST_STEPS for each in steps) else []
