"""How pixels come about, in one sentence, repeated by plain Pillow without a line of cnnkit, and kept from release to release.

A JPEG is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size that is still at least the size wanted; then Pillow's
antialiased bilinear resize brings every picture to that size. `python tests/test_golden_pixels.py` writes the files anew.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parent / "golden_pixels"
PICTURES = ("photo.jpg", "drawing.png")
SIZES = ((24, 32), (48, 60), (100, 150))  # height, width: a quarter of the JPEG's, a half, and enlarged


def reduced(image: Any, smallest: tuple[int, int]) -> Any:
    """A JPEG at the scale at which it is still at least (width, height): libjpeg's own, by Pillow's `draft`."""
    scale = next(scale for scale in (8, 4, 2, 1) if min(image.width // smallest[0], image.height // smallest[1]) >= scale or scale == 1)
    if image.format == "JPEG":
        image.draft(None, (image.width // scale, image.height // scale))
    return image


def by_plain_pillow(path: Path, size: tuple[int, int], resize: str) -> Any:
    height, width = size
    with Image.open(path) as image:
        full_width, full_height = image.size
        if resize == "letterbox":
            factor = min(width / full_width, height / full_height)
            inner = round(full_width * factor), round(full_height * factor)
            canvas = Image.new("RGB", (width, height))
            canvas.paste(
                reduced(image, inner).resize(inner, Image.Resampling.BILINEAR), ((width - inner[0]) // 2, (height - inner[1]) // 2)
            )
            return np.asarray(canvas)
        small = reduced(image, (width, height))
        factor = min(full_width / width, full_height / height)
        left = small.width * (1 - width * factor / full_width) / 2 if resize == "crop" else 0
        top = small.height * (1 - height * factor / full_height) / 2 if resize == "crop" else 0
        box = (left, top, small.width - left, small.height - top)
        return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR, box))


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("resize", ["stretch", "crop", "letterbox"])
def test_pixels_are_those_of_plain_pillow_and_of_earlier_releases(name: str, resize: Any) -> None:
    from cnnkit.data.images.reader import ImageReader

    golden = np.load(FOLDER / "pixels.npz")
    for size in SIZES:
        read = ImageReader(size, "rgb", resize, 100_000_000).read(FOLDER / name)
        np.testing.assert_array_equal(read, by_plain_pillow(FOLDER / name, size, resize))
        difference = np.abs(read.astype(int) - golden[f"{name} {resize} {size[0]}x{size[1]}"])
        assert difference.max() <= (2 if name.endswith(".jpg") else 0)  # libjpeg's transforms differ by a level between builds


def write() -> None:
    """Write the pictures where they are missing, and what plain Pillow makes of them."""
    FOLDER.mkdir(exist_ok=True)
    random = np.random.default_rng(7)
    coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).resize((131, 97), Image.Resampling.BICUBIC)
    if not (FOLDER / "photo.jpg").exists():
        coarse.save(FOLDER / "photo.jpg", quality=85)
        sharp = np.asarray(coarse) // 32 * 32 + random.integers(0, 2, (97, 131, 1), np.uint8) * 16
        Image.fromarray(sharp.astype(np.uint8)).quantize(32).convert("RGB").save(FOLDER / "drawing.png", optimize=True)
    arrays = {
        f"{name} {resize} {size[0]}x{size[1]}": by_plain_pillow(FOLDER / name, size, resize)
        for name in PICTURES
        for resize in ("stretch", "crop", "letterbox")
        for size in SIZES
    }
    np.savez_compressed(FOLDER / "pixels.npz", **arrays)


if __name__ == "__main__":
    write()
