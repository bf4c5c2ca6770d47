"""What a picture file may ask for before it is decoded: files made to take memory or time are refused by their headers."""

import re
from pathlib import Path

from PIL import Image, TiffImagePlugin

from cnnkit.data.images.faults import ImageFault, Reason

LONGEST_SIDE = 65_535  # pixels: the most that JPEG and GIF can hold; of PNG, Pillow takes gigabytes for a side of 100 million

# Pixels for each byte of a file, above which it may hold FLAT_PIXELS at most. In PNG (deflate: 1,032 to 1, of 8 pixels a byte),
# GIF, BMP and baseline JPEG no file at all gets beyond 10,000; TIFF does with blank fax pages. Lossless WebP has no end (one
# colour takes no bits), while its photographs and drawings stay far below 1,000.
PIXELS_PER_BYTE = {"WEBP": 1_000}
MOST_PIXELS_PER_BYTE = 10_000
FLAT_PIXELS = 16_777_216  # 4096 x 4096: so that a white picture from any camera's sensor of 16 megapixels still opens

# Tiles are stored whole, also where they reach over the picture's edge, and the decoder takes memory for a whole one. Programs
# write tiles of 128 to 1024 pixels a side; twice that is allowed also where the picture is smaller.
TILE_PIXELS = 2048 * 2048

# Each scan of a progressive JPEG is another pass over the whole picture. Encoders write 10 to 15; libjpeg-turbo's own limit for
# untrusted files, like that of libtiff for JPEG inside of TIFF, is 100.
MOST_SCANS = 100

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in JPEG: neither a stuffed byte, nor a restart, nor filling
_SCAN, _END, _WITHOUT_LENGTH = 0xDA, 0xD9, (0x01, 0xD8)


def check_header(image: Image.Image, file_format: str, size_in_bytes: int, max_pixels: int, source: Path | bytes) -> None:
    """Refuse what an opened, not yet decoded picture would take.

    Args:
        image: As Pillow opened it.
        file_format: Its format.
        size_in_bytes: Of its file.
        max_pixels: The most pixels (width × height) that are decoded.
        source: What the error names.

    Raises:
        ImageFault: It has too many pixels, too long a side, too many pixels for its bytes, or too large tiles.
    """
    width, height = image.size
    pixels = width * height
    if max(width, height) > LONGEST_SIDE:
        raise ImageFault(Reason.SIDE, f"{width}x{height} pixels, {LONGEST_SIDE:,} a side are opened", source)
    if pixels > max_pixels:
        raise ImageFault(Reason.MAX_PIXELS, f"{width}x{height} pixels, max_pixels is {max_pixels}", source)
    if pixels > FLAT_PIXELS and pixels > size_in_bytes * PIXELS_PER_BYTE.get(file_format, MOST_PIXELS_PER_BYTE):
        raise ImageFault(Reason.FEW_BYTES, f"{width}x{height} pixels in {size_in_bytes:,} bytes", source)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiles(image, pixels, source)


def _check_tiles(image: TiffImagePlugin.TiffImageFile, pixels: int, source: Path | bytes) -> None:
    width, height = (image.tag_v2.get(tag) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
    if isinstance(width, int) and isinstance(height, int) and width * height > max(pixels, TILE_PIXELS):
        raise ImageFault(Reason.TILES, f"{width}x{height} pixels in a tile, {image.width}x{image.height} in the picture", source)


def check_scans(data: bytes, source: Path | bytes) -> None:
    """Refuse a JPEG of more than `MOST_SCANS` scans, before the first of them is decoded.

    Raises:
        ImageFault: It has more.
    """
    if data.count(b"\xff\xda") > MOST_SCANS and _count_scans(data) > MOST_SCANS:  # the first is quick, and enough for nearly all
        raise ImageFault(Reason.SCANS, f"more than {MOST_SCANS}", source)


def _count_scans(data: bytes) -> int:
    """The scans of a JPEG up to its end marker, at most `MOST_SCANS` + 1; those of thumbnails inside of segments are passed over."""
    place, scans = 2, 0
    while scans <= MOST_SCANS and (marker := _MARKER.search(data, place)):
        kind, place = marker.group()[1], marker.end()
        if kind == _END:
            break
        scans += kind == _SCAN
        if kind not in _WITHOUT_LENGTH:
            place += int.from_bytes(data[place : place + 2], "big")
    return scans
