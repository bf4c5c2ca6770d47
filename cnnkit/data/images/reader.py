"""ImageReader: reads image files into a network's inputs, identically in training, evaluation and prediction."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from cnnkit.config.picture_options import LARGEST_MAX_PIXELS, Resize
from cnnkit.errors import CnnkitError

if TYPE_CHECKING:
    from PIL import Image

    from cnnkit.config.schema import Data
    from cnnkit.data.images.decode import Pixels

Color = Literal["rgb", "grey"]


@dataclass(frozen=True)
class ImageReader:
    """Settings for reading image files; stored in `model.json`.

    Attributes:
        size: (height, width) in pixels to which each image is resized.
        color: `rgb` for three channels, `grey` for one.
        resize: How an image of another aspect ratio is resized.
        max_pixels: Largest image (width × height, in pixels) that is opened.
    """

    size: tuple[int, int]
    color: Color
    resize: Resize
    max_pixels: int

    @classmethod
    def of(cls, data: "Data | None", input_shape: tuple[int, ...]) -> "ImageReader | None":
        """The reader of a `data` section for an input shape; None where that is not an image shape.

        Args:
            data: The section; None for its defaults.
            input_shape: Shape of one example; images are `(height, width, 1)` or `(height, width, 3)`.
        """
        if len(input_shape) != 3 or input_shape[2] not in (1, 3):
            return None
        if data is None:
            from cnnkit.config.schema import Data  # lazily: a model with its own reader is used without the schema

            data = Data.model_construct()
        return cls((input_shape[0], input_shape[1]), "grey" if input_shape[2] == 1 else "rgb", data.resize, data.max_pixels)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "ImageReader":
        """The reader stored in `model.json`.

        Raises:
            KeyError, TypeError, ValueError: The entry is invalid.
        """
        height, width = stored["size"]
        color, resize, max_pixels = stored["color"], stored["resize"], stored["max_pixels"]
        numbers = (height, width, max_pixels)
        if any(type(number) is not int or number < 1 for number in numbers) or max_pixels > LARGEST_MAX_PIXELS:
            raise ValueError(numbers)
        if color not in get_args(Color) or resize not in get_args(Resize):
            raise ValueError(color, resize)
        return cls((height, width), color, resize, max_pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image as read: `(height, width, channels)`."""
        return (*self.size, 1 if self.color == "grey" else 3)

    @property
    def options(self) -> dict[str, Any]:
        """The settings as entries of a `data` section."""
        return {"image_size": list(self.size), "color": self.color, "resize": self.resize, "max_pixels": self.max_pixels}

    def read(self, source: Path | bytes) -> "Pixels":
        """The pixels of an image file, or of the bytes of one: `(height, width, channels)` uint8 in 0..255.

        Raises:
            ImageFault: It is missing, corrupt, too large, or not an image.
        """
        from cnnkit.data.images.decode import read_image  # lazily: listing runs reads `model.json` without Pillow and NumPy

        return read_image(source, size=self.size, resize=self.resize, channels=self._channels, max_pixels=self.max_pixels)

    def read_opened(self, image: "Image.Image") -> "Pixels":
        """The pixels of an image that Pillow has opened or made: `(height, width, channels)` uint8 in 0..255.

        Raises:
            ImageFault: It is corrupt, or has 32 bits per channel.
        """
        from cnnkit.data.images.decode import read_opened_image

        return read_opened_image(image, size=self.size, resize=self.resize, channels=self._channels)

    @property
    def _channels(self) -> Literal[1, 3]:
        return 1 if self.color == "grey" else 3


def require_image_reader(reader: ImageReader | None, input_shape: tuple[int, ...], what: str) -> ImageReader:
    """The reader, required.

    Args:
        reader: The model's reader; None where it takes no images.
        input_shape: The model's input shape, for the message.
        what: The subject of the message, such as a path.

    Raises:
        CnnkitError: The model takes no images.
    """
    if reader is None:
        raise CnnkitError(f"{what}: the model takes arrays of {input_shape}, not pictures", "Give it an npz or npy file of such arrays.")
    return reader
