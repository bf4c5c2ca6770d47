"""A temperature inside a classifier: its logits are divided by one number before they become probabilities."""

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import keras

Activation = Literal["softmax", "sigmoid"]

LAYER = "temperature"  # the name of the layer that divides, by which a calibrated model is known


def logits_model(model: "keras.Model", activation: Activation) -> "keras.Model":
    """The part of a classifier from its input to its logits `(batch, outputs)`, before any temperature; it shares all weights.

    Args:
        model: A functional model. Where its last layer is a Dense one with that activation, the layer loses it: the model
            is then good for nothing else.
        activation: What makes probabilities of the logits.
    """
    import keras

    last = model.layers[-1]
    divides = next((layer for layer in model.layers if layer.name == LAYER), None)
    if divides is not None:
        logits = divides.input
    elif _is_activation(last, activation):
        logits = last.input
    elif isinstance(last, keras.layers.Dense) and last.activation is keras.activations.get(activation):
        inputs = last.input
        last.activation = keras.activations.linear
        logits = last(inputs)
    else:  # something else stands last, such as the mean of several branches
        logits = _inverse(model.output, activation)
    return keras.Model(model.input, logits, name=model.name)


def with_temperature(logits: "keras.Model", temperature: float, activation: Activation) -> "keras.Model":
    """The classifier of some logits divided by a temperature (Guo et al. 2017, equation 9); the largest stays the largest.

    Args:
        logits: What `logits_model` gives.
        temperature: Above 1 for less certainty, below 1 for more.
        activation: What makes probabilities of the logits.
    """
    import keras

    divided = keras.layers.Rescaling(1 / temperature, dtype="float32", name=LAYER)(logits.output)
    probabilities = keras.layers.Activation(activation, dtype="float32", name="probabilities")(divided)
    return keras.Model(logits.input, probabilities, name=logits.name)


def _is_activation(layer: "keras.Layer", activation: Activation) -> bool:
    import keras

    if isinstance(layer, keras.layers.Softmax):
        return activation == "softmax"
    return isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.get(activation)


def _inverse(probabilities: Any, activation: Activation) -> Any:
    """Logits of which the activation makes these probabilities again; of 0 and 1 the nearest that float32 has room for."""
    from keras import ops

    if activation == "softmax":
        return ops.log(ops.maximum(probabilities, 1e-37))
    inside = ops.clip(probabilities, 1e-7, 1 - 1e-7)
    return ops.log(inside) - ops.log(1 - inside)
