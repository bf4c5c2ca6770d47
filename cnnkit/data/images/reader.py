"""How picture files become a network's inputs: decided once, by the data section and the input shape, and handed on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from cnnkit.config.picture_options import LARGEST_MAX_PIXELS, Resize
from cnnkit.config.schema import Data
from cnnkit.errors import CnnkitError

if TYPE_CHECKING:
    from cnnkit.data.images.decode import Pixels

Color = Literal["rgb", "grey"]


@dataclass(frozen=True)
class ImageReader:
    """Reads every picture alike: in training, evaluation, prediction and wherever its `model.json` goes.

    Attributes:
        size: Height and width in pixels, to which each picture is brought.
        color: `rgb` for three channels, `grey` for one.
        resize: How a picture of other proportions is fitted.
        max_pixels: Largest picture (width × height) that is opened.
    """

    size: tuple[int, int]
    color: Color
    resize: Resize
    max_pixels: int

    @classmethod
    def of(cls, data: Data | None, input_shape: tuple[int, ...]) -> "ImageReader | None":
        """As a `data` section says, for inputs of a shape; None where that is no shape of pictures.

        Args:
            data: The section; None for its defaults.
            input_shape: Shape of one example; pictures are `(height, width, 1)` or `(height, width, 3)`.
        """
        data = data if data is not None else Data.model_construct()
        if len(input_shape) != 3 or input_shape[2] not in (1, 3):
            return None
        return cls((input_shape[0], input_shape[1]), "grey" if input_shape[2] == 1 else "rgb", data.resize, data.max_pixels)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "ImageReader":
        """As `model.json` holds it.

        Raises:
            KeyError, TypeError, ValueError: It is damaged.
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
        """Shape of what is read: `(height, width, channels)`."""
        return (*self.size, 1 if self.color == "grey" else 3)

    @property
    def options(self) -> dict[str, Any]:
        """The same as entries of a `data` section."""
        return {"image_size": list(self.size), "color": self.color, "resize": self.resize, "max_pixels": self.max_pixels}

    def read(self, source: Path | bytes) -> "Pixels":
        """The pixels of a picture file, or of the bytes of one: `(height, width, channels)` uint8 in 0..255.

        Raises:
            ImageFault: It is missing, broken, too large, or no picture.
        """
        from cnnkit.data.images.decode import read_image  # Pillow and NumPy: listing runs reads only what `model.json` says

        channels: Literal[1, 3] = 1 if self.color == "grey" else 3
        return read_image(source, size=self.size, resize=self.resize, channels=channels, max_pixels=self.max_pixels)


def require_pictures(reader: ImageReader | None, input_shape: tuple[int, ...], what: str) -> ImageReader:
    """The reader of a model that takes pictures.

    Raises:
        CnnkitError: It takes none.
    """
    if reader is None:
        raise CnnkitError(f"{what}: the model takes arrays of {input_shape}, not pictures", "Give it an npz or npy file of such arrays.")
    return reader
