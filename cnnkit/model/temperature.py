"""Temperature scaling inside a classifier: logits are divided by a scalar before the activation (Guo et al. 2017)."""

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import keras

Activation = Literal["softmax", "sigmoid"]

LAYER = "temperature"  # name of the scaling layer, which identifies a calibrated model


def logits_model(model: "keras.Model", activation: Activation) -> "keras.Model":
    """The part of a classifier from its input to its logits `(batch, outputs)`, before any temperature scaling; shares all weights.

    Args:
        model: A functional model. Where its last layer is Dense with that activation, the activation is removed in place: the
            model must not be used afterwards.
        activation: The activation that maps logits to probabilities.
    """
    import keras

    last = model.layers[-1]
    scaling = next((layer for layer in model.layers if layer.name == LAYER), None)
    if scaling is not None:
        logits = scaling.input
    elif _is_activation(last, activation):
        logits = last.input
    elif isinstance(last, keras.layers.Dense) and last.activation is keras.activations.get(activation):
        inputs = last.input
        last.activation = keras.activations.linear
        logits = last(inputs)
    else:  # another last layer, such as the mean of several branches
        logits = _inverse_activation(model.output, activation)
    return keras.Model(model.input, logits, name=model.name)


def with_temperature(logits: "keras.Model", temperature: float, activation: Activation) -> "keras.Model":
    """A classifier with its logits divided by a temperature (Guo et al. 2017, equation 9); the argmax does not change.

    Args:
        logits: The return value of `logits_model`.
        temperature: Positive; above 1 lowers confidence, below 1 raises it.
        activation: The activation that maps logits to probabilities.
    """
    import keras

    divided = keras.layers.Rescaling(1 / temperature, dtype="float32", name=LAYER)(logits.output)
    probabilities = keras.layers.Activation(activation, dtype="float32", name="probabilities")(divided)
    return keras.Model(logits.input, probabilities, name=logits.name)


def temperature_of(model: "keras.Model") -> float | None:
    """The temperature inside a classifier; None where it was not calibrated."""
    divides = next((layer for layer in model.layers if layer.name == LAYER), None)
    return 1 / float(divides.scale) if divides is not None else None


def _is_activation(layer: "keras.Layer", activation: Activation) -> bool:
    import keras

    if isinstance(layer, keras.layers.Softmax):
        return activation == "softmax"
    return isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.get(activation)


def _inverse_activation(probabilities: Any, activation: Activation) -> Any:
    """Logits that the activation maps to these probabilities; 0 and 1 are clipped to values that float32 can represent."""
    from keras import ops

    if activation == "softmax":
        return ops.log(ops.maximum(probabilities, 1e-37))
    inside = ops.clip(probabilities, 1e-7, 1 - 1e-7)
    return ops.log(inside) - ops.log(1 - inside)
