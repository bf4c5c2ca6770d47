"""The range of pixel values: 0 to 255 in image files, and in arrays what they hold, such as 0 to 1."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SAMPLED = 500  # images of an array, evenly spaced, whose values are read
DARKEST_PHOTOGRAPHS = 128  # the largest value of images that are taken for 0 to 255 is at least this


@dataclass(frozen=True)
class PixelRange:
    """Smallest and largest value of the images."""

    low: float
    high: float

    @classmethod
    def of(cls, images: npt.NDArray[np.generic]) -> "PixelRange":
        """The range that some images `(n, …)` come from; 0 to 255 for a constant."""
        low, high = float(images.min()), float(images.max())
        if low == high or (low >= 0 and DARKEST_PHOTOGRAPHS <= high <= 255):
            return IN_FILES
        return cls(0.0, 1.0) if low >= 0 and high <= 1 else cls(min(low, 0.0), high)

    @property
    def is_usual(self) -> bool:
        """Whether it is that of image files, which Keras's layers and bases expect."""
        return self == IN_FILES

    def rescaling(self, low: float, high: float) -> str:
        """The arguments of a Rescaling layer that maps it to another range."""
        scale = (high - low) / (self.high - self.low)
        return f"scale: {scale:.6g}, offset: {low - self.low * scale:.6g}"

    @property
    def argument(self) -> str:
        """The further argument of RandomBrightness and RandomContrast; empty where their default is right."""
        return "" if self.is_usual else f", value_range: [{self.low:.6g}, {self.high:.6g}]"


IN_FILES = PixelRange(0.0, 255.0)
