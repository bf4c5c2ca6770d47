"""A SavedModel's own reading of image files against cnnkit's image reader, in each resize mode."""

import io

import numpy as np
import pytest
from PIL import Image

from cnnkit.data.images.reader import ImageReader
from cnnkit.export.image_bytes import bytes_function, png_files, read_pixels

MODES = ("stretch", "crop", "letterbox")


def encoded(width: int, height: int, kind: str, mode: str = "RGB") -> bytes:
    """A smooth image with detail, as photographs have it."""
    random = np.random.default_rng(width)
    coarse = Image.fromarray(random.integers(0, 255, (8, 10, 3), np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.clip(np.asarray(coarse, np.int16) + random.integers(-12, 12, (height, width, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, format=kind, **({"quality": 90} if kind == "jpeg" else {}))
    return buffer.getvalue()


def both(content: bytes, reader: ImageReader) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow as tf

    ours = reader.read(content).astype(np.int16)
    return ours, np.asarray(read_pixels(tf.constant(content), reader)).astype(np.int16)


@pytest.mark.parametrize("resize", MODES)
@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (70, 61), (20, 9), (32, 24)])
def test_png_pixels_differ_by_at_most_one_level(resize, width, height) -> None:
    ours, theirs = both(encoded(width, height, "png"), ImageReader((24, 32), "rgb", resize, 10**7))
    assert ours.shape == theirs.shape == (24, 32, 3)
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize("resize", MODES)
@pytest.mark.parametrize(("width", "height"), [(500, 375), (256, 192), (100, 90), (61, 70), (30, 30)])
def test_jpeg_files_are_decoded_at_the_same_reduced_scale(resize, width, height) -> None:
    ours, theirs = both(encoded(width, height, "jpeg"), ImageReader((24, 32), "rgb", resize, 10**7))
    assert np.abs(ours - theirs).max() <= 2
    assert np.abs(ours - theirs).mean() < 0.3


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_grey_networks_read_colour_and_grey_files(kind) -> None:
    for mode in ("RGB", "L"):
        ours, theirs = both(encoded(200, 150, kind, mode), ImageReader((24, 32), "grey", "stretch", 10**7))
        assert theirs.shape == (24, 32, 1)
        assert np.abs(ours - theirs).max() <= 3  # TensorFlow's grey of a colour PNG is rounded otherwise


def test_colour_networks_read_grey_files() -> None:
    ours, theirs = both(encoded(200, 150, "png", "L"), ImageReader((24, 32), "rgb", "stretch", 10**7))
    assert np.abs(ours - theirs).max() <= 1
    assert (theirs == theirs[..., :1]).all()


def test_a_batch_of_files_of_any_size_reaches_the_network() -> None:
    import keras
    import tensorflow as tf

    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    reader = ImageReader((8, 8), "rgb", "stretch", 10**7)
    files = [encoded(40, 30, "png"), encoded(500, 375, "jpeg"), encoded(9, 90, "bmp")]
    run = bytes_function(model, reader)
    assert run is not None
    means = np.stack([reader.read(content).mean(axis=(0, 1)) for content in files])
    assert np.abs(np.asarray(run(tf.constant(files))) - means).max() < 0.6


def test_a_network_of_signals_takes_no_files() -> None:
    assert bytes_function(None, None) is None  # type: ignore[arg-type]


def test_examples_become_png_files_that_read_as_they_were() -> None:
    random = np.random.default_rng(0)
    for channels, color in ((1, "grey"), (3, "rgb")):
        examples = random.integers(0, 256, (3, 6, 5, channels), np.uint8)
        reader = ImageReader((6, 5), color, "stretch", 10**7)  # type: ignore[arg-type]
        assert all((reader.read(content) == example).all() for content, example in zip(png_files(examples), examples, strict=True))
