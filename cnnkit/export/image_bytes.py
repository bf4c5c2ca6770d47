"""A SavedModel's signature for encoded image files: TensorFlow's own decoding and resize, as near to cnnkit's reader as they come."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cnnkit.artifacts.model_metadata import ModelMetadata

if TYPE_CHECKING:
    import keras


def bytes_function(model: "keras.Model", metadata: ModelMetadata) -> Callable[[Any], Any] | None:
    """A function from encoded JPEG, PNG, GIF or BMP files `(batch,)` to the model's outputs; None for a model of no pictures.

    It decodes at full size and resizes with TensorFlow's antialiased bilinear filter. cnnkit decodes JPEG files at a reduced scale
    where they are much larger, obeys EXIF orientation and uses Pillow's filter, so outputs differ a little.
    """
    reader = metadata.image_reader
    if reader is None:
        return None
    import tensorflow as tf

    height, width = reader.size
    channels = 1 if reader.color == "grey" else 3

    def pixels(content: Any) -> Any:
        image = tf.io.decode_image(content, channels=channels, expand_animations=False)
        image.set_shape((None, None, channels))
        if reader.resize == "letterbox":
            fitted = tf.image.resize_with_pad(image, height, width, antialias=True)
        elif reader.resize == "crop":
            fitted = _cropped(image, height, width)
        else:
            fitted = tf.image.resize(image, (height, width), antialias=True)
        return tf.clip_by_value(tf.round(fitted), 0.0, 255.0)

    def run(contents: Any) -> Any:
        batch = tf.map_fn(pixels, contents, fn_output_signature=tf.TensorSpec((height, width, channels), tf.float32))
        return model(batch, training=False)

    return run


def _cropped(image: Any, height: int, width: int) -> Any:
    """The image resized so that it covers the size, and its middle cut out."""
    import tensorflow as tf

    size = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = tf.reduce_max(tf.constant([height, width], tf.float32) / size)
    covering = tf.maximum(tf.cast(tf.round(size * scale), tf.int32), [height, width])
    return tf.image.resize_with_crop_or_pad(tf.image.resize(image, covering, antialias=True), height, width)
