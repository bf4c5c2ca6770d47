"""`shift` of `data.augment`: each image by its own random number of whole pixels, with reflected borders."""

from typing import Any


class Shift:
    """Shifts each image of a batch by whole pixels, drawn evenly and independently for each axis.

    The same as padding an image by reflection (NumPy's `reflect`: the edge itself is not repeated) and cropping it at a random
    position. Keras's RandomTranslation shifts by fractions of pixels, which it interpolates, and its RandomCrop crops a whole batch at
    one position.

    Args:
        pixels: Largest shift in each direction; smaller than height and width.
        seed: Seed of the random state.
    """

    def __init__(self, pixels: int, seed: int) -> None:
        import keras

        self._pixels = pixels
        self._random = keras.random.SeedGenerator(seed)

    @property
    def variables(self) -> list[Any]:
        """The random state, for checkpoints."""
        return [self._random.state]

    def __call__(self, images: Any) -> Any:
        """Shifted images `(batch, height, width, channels)`, in the dtype of `images`."""
        import keras
        import tensorflow as tf

        shape = tf.shape(images)
        shifts = keras.random.randint((2, shape[0]), -self._pixels, self._pixels + 1, seed=self._random)
        for axis in (1, 2):
            images = tf.gather(images, _reflected(shifts[axis - 1], shape[axis]), axis=axis, batch_dims=1)
        return images


def _reflected(shifts: Any, size: Any) -> Any:
    """Source positions `(batch, size)` along an axis that is shifted by `(batch,)`; positions outside are reflected at the edges."""
    import tensorflow as tf

    positions = tf.abs(tf.range(size) + shifts[:, tf.newaxis])
    return size - 1 - tf.abs(size - 1 - positions)
