"""A picture file's bytes to upright pixels, on white where it is transparent, in the size wanted."""

import struct
import threading
import zlib
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin

from cnnkit.config.picture_options import Resize
from cnnkit.data.images.faults import ImageFault, Reason, pillow_faults
from cnnkit.data.images.header import TURNED, Header, open_image, orientation, read_file
from cnnkit.data.images.resize import Size, WidthHeight, fitted_size, resized

Channels = Literal[1, 3]
Pixels = npt.NDArray[np.uint8]

GIANT = 50_000_000  # pixels from which pictures are decoded one at a time: 100 million take up to 700 MB

_in_turn = threading.Lock()


def read_image(source: Path | bytes, *, size: Size | None, resize: Resize, channels: Channels, max_pixels: int) -> Pixels:
    """The pixels of a picture, upright, on white where it is transparent; the same bytes always give the same pixels.

    A JPEG is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size that is still at least the size wanted; then Pillow's
    antialiased bilinear resize, `image.resize(size, BILINEAR, box)`, brings every picture to that size.

    Of an animation it is the first frame. 16-bit grey is scaled by 1/257 (65535 becomes 255); of 16-bit colours Pillow
    keeps the upper 8 bits. Grey is resized as grey, before it becomes three equal channels.

    Args:
        source: A file, or the bytes of one. Its content decides the format, not its name.
        size: Height and width wanted, in pixels; None for the picture's own.
        resize: `stretch` ignores the proportions; `crop` keeps the middle; `letterbox` keeps all, between black bars.
        channels: 1 for grey (ITU-R 601 luma), 3 for RGB.
        max_pixels: A file whose header tells more (height × width) is refused before it is decoded.

    Returns:
        `(height, width, channels)` uint8, 0..255.

    Raises:
        ImageFault: The file is missing, empty, broken, too large, or no picture.
    """
    return read_image_and_header(source, size=size, resize=resize, channels=channels, max_pixels=max_pixels)[0]


def read_image_and_header(
    source: Path | bytes, *, size: Size | None, resize: Resize, channels: Channels, max_pixels: int
) -> tuple[Pixels, Header]:
    """As `read_image`, with what the header says."""
    data = source if isinstance(source, bytes) else read_file(source)
    if not data:
        raise ImageFault(Reason.EMPTY, source=source)
    with pillow_faults(source, data):
        image, header = open_image(data, source, max_pixels)
        if header.format == "PNG":
            _verify_png(data)
        with _in_turn if image.width * image.height > GIANT else nullcontext():
            image, full = _upright(image, size, resize, channels)
            image = _plain(image, channels, source)
    if size is not None:
        image = resized(image, full, size, resize)
    if channels == 3 and image.mode == "L":
        image = image.convert("RGB")  # only now: grey is resized as grey, a third of the work
    return np.asarray(image).reshape(image.height, image.width, channels), header


def _verify_png(data: bytes) -> None:
    """Check every chunk of a PNG up to its last: Pillow leaves the pixels' checksums unread and stops at the last row.

    Raises:
        EOFError: The file ends before its last chunk does.
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
    """The decoded picture, turned as its EXIF data say, and its full size.

    A JPEG is reduced on the way where that leaves enough pixels.
    """
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        image.load()  # first: a PNG may hold its EXIF data behind the pixels, and Pillow turns a TIFF as it loads
        image = _turned(image, orientation(image))
        return image, image.size
    turn = orientation(image)
    sideways = turn >= 5
    full = (image.height, image.width) if sideways else image.size
    wanted = full if size is None else fitted_size(full, size) if resize == "letterbox" else (size[1], size[0])
    image.draft("L" if channels == 1 else None, (wanted[1], wanted[0]) if sideways else wanted)
    image.load()
    return _turned(image, turn), full


def _turned(image: Image.Image, turn: int) -> Image.Image:
    return image.transpose(TURNED[turn]) if turn in TURNED else image


def _plain(image: Image.Image, channels: Channels, source: Path | bytes) -> Image.Image:
    """The picture as 8-bit `L` or, where it has colours that are wanted, `RGB`; transparent parts on white."""
    if image.mode in ("I", "F"):
        raise ImageFault(Reason.UNSUPPORTED, "32 bits, of which nobody knows what is black and what is white", source)
    if image.mode.startswith("I;16"):
        image = _from_16_bit(image)
    if image.has_transparency_data:
        cut_out = image if image.mode == "RGBA" else image.convert("RGBA")  # which would copy, up to 400 MB
        image = Image.new("RGB", image.size, "white")
        image.paste(cut_out, mask=cut_out)
    mode = "L" if channels == 1 or image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    levels = np.empty(values.shape, np.uint8)
    transparent = image.info.get("transparency")
    for row, level in zip(values, levels, strict=True):  # row by row: of all at once there would be three more copies
        level[:] = (row.astype(np.uint32) + 128) // 257  # rounded: 65535 / 257 = 255
        if isinstance(transparent, int):
            level[row == transparent] = 255
    return Image.fromarray(levels)
