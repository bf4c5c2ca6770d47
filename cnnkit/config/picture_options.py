"""Options of the data section for reading image files."""

from typing import Literal

Resize = Literal["stretch", "crop", "letterbox"]

LARGEST_MAX_PIXELS = 178_956_970  # twice Pillow's MAX_IMAGE_PIXELS: above it Pillow raises DecompressionBombError itself
