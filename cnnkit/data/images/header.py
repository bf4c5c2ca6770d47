"""Open image files without decoding them: supported formats, header, EXIF orientation."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# Importing the plugins registers their formats: Pillow would otherwise import all its plugins at the first WebP or TIFF.
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from cnnkit.data.images.faults import PILLOW_RAISES, ImageFault, Reason, first_line, pillow_faults
from cnnkit.data.images.limits import check_header, check_scans
from cnnkit.io.regular_file import regular_file_size

FORMATS = tuple(
    plugin.format
    for plugin in (
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        GifImagePlugin.GifImageFile,
        BmpImagePlugin.BmpImageFile,
        WebPImagePlugin.WebPImageFile,
        TiffImagePlugin.TiffImageFile,
    )
)
SUFFIXES = {  # file extension in lower case -> expected format
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
TRANSPOSE_OF_ORIENTATION = {  # EXIF orientation -> the transpose that undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Header:
    """Metadata of an image file, read without decoding.

    Attributes:
        format: One of `FORMATS`.
        mode: Pillow's mode: `L`, `RGB`, `RGBA`, `P`, `CMYK`, `I;16`, …
        width: In pixels, after EXIF orientation.
        height: In pixels, after EXIF orientation.
    """

    format: str
    mode: str
    width: int
    height: int


def read_header(path: Path, max_pixels: int) -> Header:
    """Format, mode and size of an image file, without decoding it.

    Raises:
        ImageFault: The file is missing, empty, too large, or not an image.
    """
    size = _file_size(path)
    with pillow_faults(path, b"", max_pixels), path.open("rb") as file:
        return _open(file, size, max_pixels)[1]


def read_file(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        ImageFault: It is missing, empty, unreadable, or no regular file.
    """
    _file_size(path)
    try:
        return path.read_bytes()
    except (OSError, MemoryError) as error:
        raise ImageFault(Reason.UNREADABLE, first_line(error), path) from error


def open_image(data: bytes, max_pixels: int) -> tuple[Image.Image, Header]:
    """Open an image with Pillow, check the limits on its size, and return it with its header.

    Args:
        data: All bytes of its file.
        max_pixels: An image of more pixels (width × height) is refused.

    Raises:
        ImageFault: It is not an image, or exceeds the limits on memory or time.
    """
    image, header = _open(io.BytesIO(data), len(data), max_pixels)
    if header.format == "JPEG":
        check_scans(data)
    return image, header


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where the EXIF data are missing or corrupt; the pixels may be valid."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except PILLOW_RAISES:
        return 1
    return found if found in TRANSPOSE_OF_ORIENTATION else 1


def _file_size(path: Path) -> int:
    """The size in bytes of a regular, non-empty file."""
    try:
        size = regular_file_size(path)
    except FileNotFoundError as error:
        raise ImageFault(Reason.MISSING, source=path) from error
    except (OSError, ValueError) as error:
        raise ImageFault(Reason.UNREADABLE, first_line(error), path) from error
    if not size:
        raise ImageFault(Reason.EMPTY, source=path)
    return size


def _open(file: IO[bytes], size_in_bytes: int, max_pixels: int) -> tuple[Image.Image, Header]:
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        file.seek(0)
        start = file.read(16)
        if any(accept and accept(start) is True for _, accept in map(Image.OPEN.__getitem__, FORMATS)):
            raise SyntaxError("its header cannot be read") from error
        raise ImageFault(Reason.NOT_AN_IMAGE) from error
    # Pillow's MPO is a JPEG with further images after the first, as written by phones
    file_format = "JPEG" if image.format == "MPO" else str(image.format)
    check_header(image, file_format, size_in_bytes, max_pixels)
    width, height = image.size
    # EXIF data after a PNG's pixels would force decoding; Pillow reports a TIFF's size with orientation applied
    if "exif" in image.info and file_format != "TIFF" and orientation(image) >= 5:
        width, height = height, width
    return image, Header(file_format, image.mode, width, height)
