"""Decode an image file to pixels: EXIF orientation applied, transparency composited on white, resized."""

import struct
import threading
import zlib
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin, TiffImagePlugin

from cnnkit.config.picture_options import LARGEST_MAX_PIXELS, Resize
from cnnkit.data.images.faults import ImageFault, Reason, pillow_faults
from cnnkit.data.images.header import TRANSPOSE_OF_ORIENTATION, Header, open_image, orientation, read_file
from cnnkit.data.images.resize import Size, WidthHeight, fitted_size, resized

Channels = Literal[1, 3]
Pixels = npt.NDArray[np.uint8]

LARGE_IMAGE_PIXELS = 50_000_000  # pixels; larger images are decoded one at a time, since 100 million pixels take up to 700 MB

_large_image_lock = threading.Lock()


def read_image(source: Path | bytes, *, size: Size | None, resize: Resize, channels: Channels, max_pixels: int) -> Pixels:
    """Decode and resize an image; the result depends on the bytes only.

    EXIF orientation is applied, and transparent parts are composited on white.

    A JPEG is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size that is at least the requested size; then every image is
    resized by Pillow's antialiased bilinear `image.resize(size, BILINEAR, box)`.

    Of an animation the first frame is read. 16-bit grey is scaled by 1/257 (65535 becomes 255); of 16-bit color Pillow
    keeps the upper 8 bits. Grey is resized before it is repeated to three channels.

    Args:
        source: A file, or the bytes of one. Its content decides the format, not its name.
        size: (height, width) in pixels; None for the image's own size.
        resize: `stretch` ignores the aspect ratio; `crop` is a center crop; `letterbox` pads with black bars.
        channels: 1 for grey (ITU-R 601 luma), 3 for RGB.
        max_pixels: A file with more pixels (height × width) by its header is refused before decoding.

    Returns:
        `(height, width, channels)` uint8, 0..255.

    Raises:
        ImageFault: The file is missing, empty, corrupt, too large, or not an image.
    """
    return read_image_and_header(source, size=size, resize=resize, channels=channels, max_pixels=max_pixels)[0]


def read_image_and_header(
    source: Path | bytes, *, size: Size | None, resize: Resize, channels: Channels, max_pixels: int
) -> tuple[Pixels, Header]:
    """As `read_image`; also returns the header."""
    data = source if isinstance(source, bytes) else read_file(source)
    if not data:
        raise ImageFault(Reason.EMPTY, source=source)
    with pillow_faults(source, data, max_pixels):
        image, header = open_image(data, max_pixels)
        if header.format == "PNG":
            _verify_png(data)
        with _large_image_lock if image.width * image.height > LARGE_IMAGE_PIXELS else nullcontext():
            image, full = _upright(image, size, resize, channels)
            image = _to_l_or_rgb(image, channels)
    return _resized_pixels(image, full, size, resize, channels), header


def read_opened_image(image: Image.Image, *, size: Size | None, resize: Resize, channels: Channels) -> Pixels:
    """The pixels of an image that Pillow has opened or made, which is not changed; see `read_image`.

    A JPEG is decoded at its full size: its pixels may differ a little from those of its file. Pixels that Pillow has decoded before are
    taken as they are.

    Raises:
        ImageFault: It is corrupt, or has 32 bits per channel.
    """
    with pillow_faults(b"", b"", LARGEST_MAX_PIXELS):
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            _load_unmapped(image)
        copy = image.copy()
        upright = _apply_orientation(copy, orientation(image))
        upright = _to_l_or_rgb(upright, channels)
    return _resized_pixels(upright, upright.size, size, resize, channels)


def _load_unmapped(image: TiffImagePlugin.TiffImageFile) -> None:
    """Decode a TIFF that was opened by its path without mapping the file into memory.

    Pillow 13 maps an uncompressed one with the size after its orientation is applied, so that for the orientations 5 to 8, which exchange
    width and height, each row begins in the middle of another. A file that is read into memory first, as `read_image` does, is right.
    """
    path, image.filename = image.filename, ""
    try:
        image.load()
    finally:
        image.filename = path


def _resized_pixels(image: Image.Image, full: WidthHeight, size: Size | None, resize: Resize, channels: Channels) -> Pixels:
    """The pixels `(height, width, channels)` uint8 of an upright image in mode L or RGB, resized.

    Args:
        image: The image, perhaps decoded at a reduced scale.
        full: Its (width, height) before the reduction.
        size: (height, width) in pixels; None for the image's own size.
        resize: How an image of another aspect ratio is resized.
        channels: 1 or 3; grey is repeated to three channels.
    """
    if size is not None:
        image = resized(image, full, size, resize)
    if channels == 3 and image.mode == "L":
        image = image.convert("RGB")  # after resizing: a third of the work
    return np.asarray(image).reshape(image.height, image.width, channels)


def _verify_png(data: bytes) -> None:
    """Verify the checksum of every PNG chunk: Pillow skips those of pixel data and stops at the last row.

    Raises:
        EOFError: The file is truncated.
        SyntaxError: A checksum is wrong.
    """
    place, kind = 8, b""
    while kind != b"IEND":
        if len(data) < place + 12:
            raise EOFError("the file ends before its IEND chunk")
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        if len(data) < end + 4:
            raise EOFError(f"the file ends within its {kind.decode('latin-1')} chunk")
        if zlib.crc32(memoryview(data)[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise SyntaxError(f"wrong checksum of its {kind.decode('latin-1')} chunk")
        place = end + 4


def _upright(image: Image.Image, size: Size | None, resize: Resize, channels: Channels) -> tuple[Image.Image, WidthHeight]:
    """Decode an image and apply its EXIF orientation; a JPEG is decoded at a reduced scale where that has enough pixels.

    Returns:
        The image, and its full size (width, height) before the reduction.
    """
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        image.load()  # first: a PNG may have EXIF data after the pixels, and Pillow applies a TIFF's orientation on load
        image = _apply_orientation(image, orientation(image))
        return image, image.size
    exif_orientation = orientation(image)
    sideways = exif_orientation >= 5
    full = (image.height, image.width) if sideways else image.size
    wanted = full if size is None else fitted_size(full, size) if resize == "letterbox" else (size[1], size[0])
    image.draft("L" if channels == 1 else None, (wanted[1], wanted[0]) if sideways else wanted)
    image.load()
    return _apply_orientation(image, exif_orientation), full


def _apply_orientation(image: Image.Image, exif_orientation: int) -> Image.Image:
    return image.transpose(TRANSPOSE_OF_ORIENTATION[exif_orientation]) if exif_orientation in TRANSPOSE_OF_ORIENTATION else image


def _to_l_or_rgb(image: Image.Image, channels: Channels) -> Image.Image:
    """Convert to 8-bit `L` (grey images, or `channels` 1) or `RGB`; transparent parts are composited on white."""
    if image.mode in ("I", "F"):
        raise ImageFault(Reason.UNSUPPORTED, "32 bits, of which nobody knows what is black and what is white")
    if image.mode.startswith("I;16"):
        image = _from_16_bit(image)
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")  # convert only where needed: it copies up to 400 MB
        image = Image.new("RGB", image.size, "white")
        image.paste(rgba, mask=rgba)
    mode = "L" if channels == 1 or image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    levels = np.empty(values.shape, np.uint8)
    transparent = image.info.get("transparency")
    for row, level in zip(values, levels, strict=True):  # row by row: the whole array at once would take three more copies
        level[:] = (row.astype(np.uint32) + 128) // 257  # rounded: 65535 / 257 = 255
        if isinstance(transparent, int):
            level[row == transparent] = 255
    return Image.fromarray(levels)
