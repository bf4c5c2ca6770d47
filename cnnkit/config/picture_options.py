"""What the data section may say of how picture files are read."""

from typing import Literal

Resize = Literal["stretch", "crop", "letterbox"]

LARGEST_MAX_PIXELS = 178_956_970  # twice Pillow's MAX_IMAGE_PIXELS: above it Pillow refuses by itself, whatever we allow
