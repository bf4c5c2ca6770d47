"""A model made fit for converters while it is converted: constants that they see, recurrent layers without loops."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnkit.artifacts.formats import ONNX, Format
from cnnkit.keras_api.compat import all_uses, flat_layers

if TYPE_CHECKING:
    import keras

MOST_STEPS = 512  # of a recurrent layer that is unrolled: each step becomes operations of its own


@contextmanager
def exportable(model: "keras.Model", target: Format) -> Iterator[None]:
    """Context manager: layers as a converter wants them; afterwards they are as before.

    Tensors that a layer keeps, such as the mean of Normalization, become arrays: tf2onnx takes tensors for inputs of the model.
    For a format without loops, recurrent layers are unrolled. For ONNX, which has no complementary error function, GELU is computed from
    the error function.

    Args:
        model: Changed in place.
        target: The format.
    """
    before: list[tuple[Any, str, Any]] = []

    def change(layer: Any, name: str, value: Any) -> None:
        before.append((layer, name, getattr(layer, name)))
        setattr(layer, name, value)

    import keras
    import tensorflow as tf

    try:
        for layer in flat_layers(model):
            for name, value in list(vars(layer).items()):
                if isinstance(value, tf.Tensor) and hasattr(value, "numpy"):
                    change(layer, name, np.asarray(value))
            if target is ONNX and getattr(layer, "activation", None) is keras.activations.gelu:
                change(layer, "activation", _gelu_of_erf)
            for recurrent in [] if target.has_loops else _short_recurrent(layer):
                change(recurrent, "unroll", True)
        yield
    finally:
        for layer, name, value in reversed(before):
            setattr(layer, name, value)


def _gelu_of_erf(values: Any) -> Any:
    """GELU, x · Φ(x) (Hendrycks and Gimpel 2016)."""
    import tensorflow as tf

    return 0.5 * values * (1 + tf.math.erf(values / math.sqrt(2)))


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


def call_with_zeros(model: "keras.Model", shapes: Sequence[Sequence[int | None]]) -> None:
    """Call a model on one example of zeros: Keras exports only a model that was called.

    Args:
        model: The model.
        shapes: Shape of each input, without the batch; a size that is open is taken as 1.
    """
    examples = [np.zeros((1, *(size or 1 for size in shape)), np.float32) for shape in shapes]
    model(examples if len(examples) > 1 else examples[0], training=False)


def export_for_inference(model: "keras.Model", target: Format, path: Path) -> None:
    """Write a model by Keras's own exporter, in inference mode.

    To ONNX and OpenVINO Keras leaves the mode open, and a preprocessing layer such as Resizing, whose own default is training, then
    sets it for a base that follows: the file would have the base's Dropout in it.

    Args:
        model: From raw inputs `(batch, …)` to outputs.
        target: ONNX or OpenVINO.
        path: The file to write.
    """
    import keras

    class InferenceOnly(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name=model.name)
            self.inner = model

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs, training=False)

    wrapped, shapes = InferenceOnly(), [each.shape[1:] for each in model.inputs]
    call_with_zeros(wrapped, shapes)
    specs = [keras.InputSpec(dtype="float32", shape=(None, *shape), name=f"input_{index}") for index, shape in enumerate(shapes)]
    wrapped.export(str(path), format=target.name, verbose=False, input_signature=[specs] if len(specs) > 1 else specs)
