"""Image files to pixels: the one route by which every command reads a picture, and the words for those it cannot read."""

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from cnnkit.errors import CnnkitError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "MPO")  # MPO is what some cameras write into .jpg
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 turn the picture on its side
_DECODER_ERRORS = (  # what Pillow's decoders raise on broken bytes has no base of its own
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
    ArithmeticError, RuntimeError, NotImplementedError, AssertionError,
)  # fmt: skip

Resize = Literal["stretch", "crop", "letterbox"]
Pixels = npt.NDArray[np.uint8]

Image.MAX_IMAGE_PIXELS = None  # the limit is the config's own `max_pixels`, applied to the header below


class ImageFault(CnnkitError):
    """A file that gives no pixels.

    Attributes:
        reason: Why, in a few words that are the same for all files of that sort.
    """

    def __init__(self, source: object, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{source}: {reason}")


@dataclass(frozen=True)
class Header:
    """What a file says of itself before it is decoded."""

    format: str
    mode: str
    width: int
    height: int


def read_header(source: Path, max_pixels: int) -> Header:
    """Format, mode and size (upright, as EXIF orientation says) of an image file.

    Raises:
        ImageFault: It is not a readable image, or has more than `max_pixels` pixels.
    """
    with _opened(source, max_pixels) as image:
        width, height = image.size[::-1] if _lies_on_its_side(image) else image.size
        return Header(image.format or "", image.mode, width, height)


def read_image(source: Path | bytes, *, size: tuple[int, int] | None, resize: Resize, channels: int, max_pixels: int) -> Pixels:
    """The pixels of an image, the same for the same bytes whoever asks.

    EXIF orientation is honoured, transparency laid on white, 16-bit values scaled to 8 bits, the first frame taken. JPEGs
    that are much larger than wanted are decoded at 1/2, 1/4 or 1/8 of their size, which is never below the size wanted.

    Args:
        source: A file, or the bytes of one.
        size: (height, width) in pixels; None for the image's own.
        resize: How another shape is fitted: `stretch`, `crop` (the middle) or `letterbox` (black bars).
        channels: 3 for RGB, 1 for grey.
        max_pixels: Largest width x height that is decoded.

    Returns:
        `(height, width, channels)` uint8.

    Raises:
        ImageFault: The file is missing, empty, not an image, damaged, cut short or too large.
    """
    name = source if isinstance(source, Path) else "image"
    with _opened(source, max_pixels) as image:
        try:
            if size is not None and image.format in ("JPEG", "MPO"):
                _draft(image, size, resize)
            image.load()
            upright = ImageOps.exif_transpose(image) if image.getexif().get(_ORIENTATION, 1) != 1 else image
            flat = _flatten(upright, "RGB" if channels == 3 else "L")
            fitted = flat if size is None else _fit(flat, size, resize)
            return np.asarray(fitted, np.uint8).reshape(fitted.height, fitted.width, channels)
        except MemoryError:
            raise ImageFault(name, "takes more memory to decode than there is") from None
        except _DECODER_ERRORS as error:
            raise ImageFault(name, "is cut short" if "truncated" in str(error).lower() else "is damaged") from None


@contextmanager
def _opened(source: Path | bytes, max_pixels: int) -> Iterator[Image.Image]:
    name = source if isinstance(source, Path) else "image"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken metadata, which does not touch the pixels
        try:
            data = source.read_bytes() if isinstance(source, Path) else source
        except FileNotFoundError:
            raise ImageFault(name, "there is no such file") from None
        except OSError as error:
            raise ImageFault(name, f"cannot be read ({error.strerror})") from None
        if not data:
            raise ImageFault(name, "is empty")
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError:
            raise ImageFault(name, "is not a JPEG, PNG, GIF, BMP, WebP or TIFF image") from None
        except _DECODER_ERRORS:
            raise ImageFault(name, "is damaged") from None
        if image.width * image.height > max_pixels:
            raise ImageFault(name, f"has more than {max_pixels:,} pixels (data.max_pixels)")
        with image:
            yield image


def _lies_on_its_side(image: Image.Image) -> bool:
    try:
        return image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except _DECODER_ERRORS:
        return False


def _draft(image: Image.Image, size: tuple[int, int], resize: Resize) -> None:
    """Let the JPEG decoder skip detail: at the largest of 1/1 to 1/8 that leaves no side below what is needed."""
    height, width = size[::-1] if _lies_on_its_side(image) else size
    scales = (width / image.width, height / image.height)
    scale = min(scales) if resize == "letterbox" else max(scales)
    if scale <= 0.5:
        image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))


def _flatten(image: Image.Image, mode: str) -> Image.Image:
    """One of RGB or L, transparency on white, values of 8 bits."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float64)
        top = 65535.0 if values.max(initial=0) > 255 or image.mode.startswith("I;16") else 255.0
        image = Image.fromarray(np.clip(np.round(values * (255.0 / top)), 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, picture).convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _fit(image: Image.Image, size: tuple[int, int], resize: Resize) -> Image.Image:
    height, width = size
    if image.size == (width, height):
        return image
    options: dict[str, Any] = {"resample": Image.Resampling.BILINEAR, "reducing_gap": 2.0}
    if resize == "stretch":
        return image.resize((width, height), **options)
    scales = (width / image.width, height / image.height)
    if resize == "crop":
        scale = max(scales)
        taken_width, taken_height = width / scale, height / scale
        left, top = (image.width - taken_width) / 2, (image.height - taken_height) / 2
        return image.resize((width, height), box=(left, top, left + taken_width, top + taken_height), **options)
    scale = min(scales)
    inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(image.resize(inner, **options), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas
