"""Dtype policies: layers that compute in 16 bits with float32 weights, and a float32 copy of such a model for use."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

FLOAT32 = "float32"
LOSS_SCALED = "mixed_float16"  # the policy whose gradients underflow without loss scaling


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Context manager: layers built inside have the Keras dtype policy of this name, where they are given no other dtype."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def in_float32(model: "keras.Model") -> "keras.Model":
    """A copy of a model that computes in float32, with the same weights, not compiled; the model itself where it has no other policy.

    Args:
        model: With layers of any dtype policies; its weights are float32 in all of them.
    """
    import keras

    config = {**keras.saving.serialize_keras_object(model), "compile_config": None}  # its schedule may be one of cnnkit's own
    converted = _with_float32_policies(config)
    if converted == config:
        return model
    copy = keras.saving.deserialize_keras_object(converted)
    copy.set_weights(model.get_weights())
    return copy


def _with_float32_policies(value: Any) -> Any:
    """A serialized model with float32 in place of each mixed dtype policy."""
    if isinstance(value, list):
        return [_with_float32_policies(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "DTypePolicy" and value["config"]["name"].startswith("mixed_"):
        return {**value, "config": {**value["config"], "name": FLOAT32}}
    return {key: _with_float32_policies(item) for key, item in value.items()}
