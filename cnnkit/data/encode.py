"""Encode targets for the loss and metrics."""

from typing import Any

from cnnkit.config.target_encoding import TargetEncoding


def encode(targets: Any, encoding: TargetEncoding) -> Any:
    """Encode a batch's targets for the loss and metrics; works inside a TensorFlow graph.

    Args:
        targets: As in `Examples`: class indices `(n,)`, labels `(n, labels)` or numbers `(n, outputs)`.
        encoding: The target encoding.

    Returns:
        A tensor: see `TargetEncoding.form`.
    """
    import tensorflow as tf

    if encoding.form == "one-hot":
        return tf.one_hot(targets, encoding.outputs)
    if encoding.form == "one column":
        return tf.cast(tf.reshape(targets, (-1, 1)), tf.float32)
    return targets
