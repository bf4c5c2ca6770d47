"""Examples as pixels to look at: which values are black and white, and which slice of a volume is drawn."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BYTES, SHARES = (0.0, 255.0), (0.0, 1.0)  # the usual ranges of pixels


def value_range(inputs: Array) -> tuple[float, float]:
    """The values that are drawn black and white: those of bytes or shares for pixels in such a range, else the smallest and the largest.

    Args:
        inputs: Examples of one data set, of any shape; uint8 are bytes, however dark they are.
    """
    low, high = (float(extreme) for extreme in (np.nanmin(inputs), np.nanmax(inputs)))
    if inputs.dtype == np.uint8 or (low >= 0 and 1 < high <= BYTES[1]):
        return BYTES
    return SHARES if low >= 0 and high <= 1 else (low, high)


def shaded(example: Array, limits: tuple[float, float]) -> Array:
    """An example in shares of white, 0 to 1, as float64 of its shape; NaN is black."""
    low, high = limits
    share: Array = ((np.nan_to_num(example.astype(np.float64), nan=low) - low) / ((high - low) or 1.0)).clip(0, 1)
    return share


def middle_slice(example: Array) -> Array:
    """The slice in the middle of a volume `(depth, height, width, channels)`; an image as it is."""
    return example[len(example) // 2] if example.ndim == 4 else example


def as_pixels(example: Array, limits: tuple[float, float]) -> Array:
    """An image or the middle slice of a volume as uint8: grayscale `(height, width)` or RGB `(height, width, 3)`.

    Args:
        example: `(height, width, channels)` or `(depth, height, width, channels)`; of two channels, the first is drawn.
        limits: The values that are drawn black and white.
    """
    pixels = np.rint(shaded(middle_slice(example), limits) * 255).astype(np.uint8)
    return np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] < 3 else pixels[..., :3])
