"""The layers of a model that have weights, whatever contains them."""

from typing import TYPE_CHECKING, Any

from cnnkit.keras_api.compat import flat_layers

if TYPE_CHECKING:
    import keras


def layers_with_weights(model: "keras.Model") -> list[Any]:
    """The layers that have weights, those of nested models and wrappers included; not the nested models themselves.

    A wrapper such as Bidirectional stands beside the layers that it wraps, and has the same weights.
    """
    import keras

    return [layer for layer in flat_layers(model, include_self=False) if layer.weights and not isinstance(layer, keras.Model)]
