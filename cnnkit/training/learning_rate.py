"""The current learning rate of an optimizer, on one device or several."""

from typing import Any


def learning_rate_of(optimizer: Any) -> float:
    """The learning rate of the next step: of a constant one, of a schedule, or of a variable that is mirrored over devices."""
    import keras

    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))
