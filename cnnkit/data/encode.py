"""Targets of examples as a loss takes them."""

from typing import Any

from cnnkit.config.target_encoding import TargetEncoding


def encode(targets: Any, encoding: TargetEncoding) -> Any:
    """A batch's targets in the form that its loss and metrics want; works inside a graph.

    Args:
        targets: As `Examples` has them: class indices `(n,)`, labels `(n, labels)` or numbers `(n, outputs)`.
        encoding: The form wanted.

    Returns:
        A tensor: see `TargetEncoding.form`.
    """
    import tensorflow as tf

    if encoding.form == "one-hot":
        return tf.one_hot(targets, encoding.outputs)
    if encoding.form == "one column":
        return tf.cast(tf.reshape(targets, (-1, 1)), tf.float32)
    return targets
