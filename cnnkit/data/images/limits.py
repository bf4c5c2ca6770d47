"""Limits on image files, checked before decoding: files crafted to take memory or time are refused by their headers."""

import re

from PIL import Image, TiffImagePlugin

from cnnkit.data.images.faults import ImageFault, Reason

MAX_SIDE = 65_535  # pixels: the most that JPEG and GIF can hold; Pillow allocates gigabytes for a PNG with a side of 100 million

# Pixels per byte of a file, above which it may have MAX_FLAT_PIXELS at most. PNG (deflate: 1,032 to 1, of 8 pixels a byte), GIF,
# BMP and baseline JPEG cannot exceed 10,000; TIFF does with blank fax pages. Lossless WebP is unbounded (a single color takes
# no bits), while its photographs and drawings stay far below 1,000.
MAX_PIXELS_PER_BYTE = {"WEBP": 1_000}
DEFAULT_MAX_PIXELS_PER_BYTE = 10_000
MAX_FLAT_PIXELS = 16_777_216  # 4096 x 4096: so that a blank image of 16 megapixels is accepted

# Tiles are stored in full, also where they extend beyond the image, and the decoder allocates a full one. Programs write tiles
# of 128 to 1024 pixels a side; twice that is allowed also where the image is smaller.
TILE_PIXELS = 2048 * 2048

# Each scan of a progressive JPEG is another pass over the whole image. Encoders write 10 to 15; libjpeg-turbo's own limit for
# untrusted files, like that of libtiff for JPEG inside of TIFF, is 100.
MAX_SCANS = 100

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # JPEG marker: not a stuffed byte, restart marker or fill byte
_SCAN, _END, _WITHOUT_LENGTH = 0xDA, 0xD9, (0x01, 0xD8)


def check_header(image: Image.Image, file_format: str, size_in_bytes: int, max_pixels: int) -> None:
    """Refuse an opened, not yet decoded image that exceeds the limits.

    Args:
        image: The image, opened by Pillow.
        file_format: Its format.
        size_in_bytes: Size of its file.
        max_pixels: Maximum number of pixels (width × height).

    Raises:
        ImageFault: It has too many pixels, too long a side, too many pixels for its bytes, or too large tiles.
    """
    width, height = image.size
    pixels = width * height
    if max(width, height) > MAX_SIDE:
        raise ImageFault(Reason.SIDE, f"{width}x{height} pixels, {MAX_SIDE:,} a side are opened")
    if pixels > max_pixels:
        raise ImageFault(Reason.MAX_PIXELS, f"{width}x{height} pixels, max_pixels is {max_pixels}")
    if pixels > MAX_FLAT_PIXELS and pixels > size_in_bytes * MAX_PIXELS_PER_BYTE.get(file_format, DEFAULT_MAX_PIXELS_PER_BYTE):
        raise ImageFault(Reason.FEW_BYTES, f"{width}x{height} pixels in {size_in_bytes:,} bytes")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiles(image, pixels)


def _check_tiles(image: TiffImagePlugin.TiffImageFile, pixels: int) -> None:
    width, height = (image.tag_v2.get(tag) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
    if isinstance(width, int) and isinstance(height, int) and width * height > max(pixels, TILE_PIXELS):
        raise ImageFault(Reason.TILES, f"{width}x{height} pixels in a tile, {image.width}x{image.height} in the picture")


def check_scans(data: bytes) -> None:
    """Refuse a JPEG of more than `MAX_SCANS` scans, before the first of them is decoded.

    Raises:
        ImageFault: It has more.
    """
    if data.count(b"\xff\xda") > MAX_SCANS and _count_scans(data) > MAX_SCANS:  # the first count is a fast upper bound
        raise ImageFault(Reason.SCANS, f"more than {MAX_SCANS}")


def _count_scans(data: bytes) -> int:
    """Number of scans of a JPEG, at most `MAX_SCANS` + 1; embedded thumbnails are skipped."""
    place, scans = 2, 0
    while scans <= MAX_SCANS and (marker := _MARKER.search(data, place)):
        kind, place = marker.group()[1], marker.end()
        if kind == _END:
            break
        scans += kind == _SCAN
        if kind not in _WITHOUT_LENGTH:
            place += int.from_bytes(data[place : place + 2], "big")
    return scans
