"""A SavedModel's signature for encoded image files: cnnkit's image reader in TensorFlow's operators, and how near it comes."""

import io
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.images.faults import ImageFault
from cnnkit.data.images.reader import ImageReader

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[Any]

BYTES_SIGNATURE = "serving_bytes"
FILES = 64  # files on which the difference is measured


@dataclass(frozen=True)
class BytesDifference:
    """How the signature for image files compares with cnnkit's own reader before the same exported model.

    Attributes:
        files: Number of files compared.
        of: What they are: files of the run's data, or test examples written as PNG.
        largest_difference: Of any output.
        agreement: Share of the files with the same answer, 0 to 1.
        refused: Files that TensorFlow cannot decode, of those that cnnkit can.
    """

    files: int
    of: str
    largest_difference: float
    agreement: float
    refused: int

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def bytes_function(model: "keras.Model", reader: ImageReader | None) -> Callable[[Any], Any] | None:
    """A function from encoded JPEG, PNG, GIF or BMP files `(batch,)` to the model's outputs; None for a model of no images.

    As cnnkit's reader, it decodes JPEG files at a reduced scale where they are much larger than the input, and resizes with an
    antialiased triangle filter. Unlike it, it takes no account of EXIF orientation and drops transparency.
    """
    if reader is None:
        return None
    import tensorflow as tf

    def run(contents: Any) -> Any:
        batch = tf.map_fn(
            lambda content: read_pixels(content, reader), contents, fn_output_signature=tf.TensorSpec(reader.shape, tf.float32)
        )
        return model(batch, training=False)

    return run


def read_pixels(content: Any, reader: ImageReader) -> Any:
    """The pixels of one encoded image: `(height, width, channels)` float32, whole numbers in 0..255.

    Args:
        content: A scalar string tensor.
        reader: Size, colors and resize.
    """
    import tensorflow as tf

    size = tf.constant(reader.size, tf.int32)
    image, full = _decoded(content, reader, size)
    decoded = tf.cast(tf.shape(image)[:2], tf.float64)
    if reader.resize == "letterbox":
        fitted = _fitted(full, size)
        scaled = _resampled(image, tf.zeros(2, tf.float64), decoded, fitted)
        before = (size - fitted) // 2
        after = size - fitted - before
        pixels = tf.pad(scaled, [[before[0], after[0]], [before[1], after[1]], [0, 0]])
    elif reader.resize == "crop":
        whole, target = tf.cast(full, tf.float64), tf.cast(size, tf.float64)
        part = target * tf.reduce_min(whole / target) / whole  # shares of height and width inside the crop
        pixels = _resampled(image, decoded * (1 - part) / 2, decoded * part, size)
    else:
        pixels = _resampled(image, tf.zeros(2, tf.float64), decoded, size)
    return tf.ensure_shape(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), reader.shape)


def _decoded(content: Any, reader: ImageReader, size: Any) -> tuple[Any, Any]:
    """The decoded image, a JPEG at the smallest scale that is at least the wanted size; and its full (height, width)."""
    import tensorflow as tf

    channels = reader.shape[2]

    def jpeg() -> tuple[Any, Any]:
        full = tf.image.extract_jpeg_shape(content)[:2]
        wanted = _fitted(full, size) if reader.resize == "letterbox" else size
        times = tf.reduce_min(full // wanted)
        scales = [
            lambda ratio=ratio: tf.io.decode_jpeg(content, channels=channels, ratio=ratio, dct_method="INTEGER_ACCURATE")
            for ratio in (1, 2, 4, 8)
        ]
        return tf.switch_case(tf.add_n([tf.cast(times >= ratio, tf.int32) for ratio in (2, 4, 8)]), scales), full

    def other() -> tuple[Any, Any]:
        image = tf.io.decode_image(content, channels=channels, expand_animations=False)
        return image, tf.shape(image)[:2]

    image, full = tf.cond(tf.io.is_jpeg(content), jpeg, other)
    return tf.ensure_shape(image, (None, None, channels)), full


def _fitted(full: Any, size: Any) -> Any:
    """(height, width) of an image scaled to fit within a size."""
    import tensorflow as tf

    whole = tf.cast(full, tf.float64)
    scale = tf.reduce_min(tf.cast(size, tf.float64) / whole)
    return tf.maximum(tf.cast(tf.round(whole * scale), tf.int32), 1)


def _resampled(image: Any, start: Any, extent: Any, size: Any) -> Any:
    """A box of an image, from `start` on and of some `extent` (height, width), resized with an antialiased triangle filter."""
    import tensorflow as tf

    scale = tf.cast(size, tf.float64) / extent
    (pixels,) = tf.unstack(
        tf.raw_ops.ScaleAndTranslate(
            images=image[None],
            size=size,
            scale=tf.cast(scale, tf.float32),
            translation=tf.cast(-start * scale, tf.float32),
            kernel_type="triangle",
            antialias=True,
        ),
        num=1,
    )
    return pixels


def measure_bytes_difference(
    folder: Path, reader: ImageReader, run: Callable[[Array], Array], files: Iterable[bytes], of: str, same: Callable[[Array, Array], Array]
) -> BytesDifference | None:
    """Compare the signature for image files with cnnkit's reader, file by file.

    Args:
        folder: The SavedModel.
        reader: cnnkit's reader.
        run: The SavedModel's signature for pixels.
        files: Contents of image files.
        of: What they are.
        same: From two arrays of outputs `(n, outputs)`: whether each example has the same answer `(n,)`.

    Returns:
        The difference; None where no file could be compared.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures[BYTES_SIGNATURE]
    ours, theirs, refused = [], [], 0
    for content in files:
        try:
            pixels = reader.read(content)
        except ImageFault:
            continue
        try:
            (outputs,) = signature(tf.constant([content])).values()
        except tf.errors.InvalidArgumentError:
            refused += 1
            continue
        ours.append(run(pixels[None].astype(np.float32)))
        theirs.append(np.asarray(outputs))
    if not ours:
        return None
    first, second = np.concatenate(ours), np.concatenate(theirs)
    return BytesDifference(len(first), of, float(np.abs(first - second).max()), float(same(first, second).mean()), refused)


def png_files(examples: Array) -> list[bytes]:
    """Images `(n, height, width, 1 or 3)` in 0..255 as the contents of PNG files."""
    from PIL import Image

    contents = []
    for pixels in np.clip(np.rint(examples), 0, 255).astype(np.uint8):
        buffer = io.BytesIO()
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, format="png")
        contents.append(buffer.getvalue())
    return contents
