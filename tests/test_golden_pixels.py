"""How pixels come about, in one sentence, repeated by plain Pillow without a line of cnnkit, and kept from release to release.

A JPEG is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size that is still at least the size wanted; then Pillow's
antialiased bilinear resize brings every picture to that size. The TIFF is CMYK, uncompressed, and lies on its side. `python tests/test_golden_pixels.py` writes the files anew.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

FOLDER = Path(__file__).parent / "golden_pixels"
PICTURES = ("photo.jpg", "drawing.png", "scan.tiff")
SIZES = ((24, 32), (48, 60), (100, 150))  # height, width: a quarter of the JPEG's, a half, and enlarged


def reduced(image: Any, smallest: tuple[int, int]) -> Any:
    """A JPEG at the scale at which it is still at least (width, height): libjpeg's own, by Pillow's `draft`."""
    scale = next(scale for scale in (8, 4, 2, 1) if min(image.width // smallest[0], image.height // smallest[1]) >= scale or scale == 1)
    if image.format == "JPEG":
        image.draft(None, (image.width // scale, image.height // scale))
    return image


def by_plain_pillow(path: Path, size: tuple[int, int], resize: str) -> Any:
    height, width = size
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        if image.format == "TIFF":
            image = ImageOps.exif_transpose(image).convert("RGB")  # noqa: PLW2901 - the picture upright
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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_an_uncompressed_tiff_of_any_orientation_is_read_as_pillow_reads_its_bytes(tmp_path: Path, mode: str, orientation: int) -> None:
    """Opened by its path, Pillow 13 exchanges its sides before it maps its rows: not so here, from the file or opened by the user."""
    from cnnkit.data.images.reader import ImageReader

    colours = np.random.default_rng(3).integers(0, 256, (40, 52, 3), np.uint8)
    grey = np.random.default_rng(4).integers(0, 65536, (40, 52), np.uint16)
    picture = Image.fromarray(grey) if mode == "I;16" else Image.fromarray(colours).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "scan.tiff"
    picture.save(path, exif=exif)
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        upright = ImageOps.exif_transpose(image)
    if mode == "I;16":  # 65535 / 257 = 255
        upright = Image.fromarray((np.asarray(upright) / 257).round().astype(np.uint8))
    expected = np.asarray(upright.convert("RGB"))
    assert expected.shape == ((40, 52, 3) if orientation < 5 else (52, 40, 3))
    reader = ImageReader((expected.shape[0], expected.shape[1]), "rgb", "stretch", 100_000_000)
    np.testing.assert_array_equal(reader.read(path), expected)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(reader.read_opened(opened), expected)
        assert opened.filename == str(path)


def write() -> None:
    """Write the pictures where they are missing, and what plain Pillow makes of them."""
    FOLDER.mkdir(exist_ok=True)
    random = np.random.default_rng(7)
    coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).resize((131, 97), Image.Resampling.BICUBIC)
    if not (FOLDER / "photo.jpg").exists():
        coarse.save(FOLDER / "photo.jpg", quality=85)
        sharp = np.asarray(coarse) // 32 * 32 + random.integers(0, 2, (97, 131, 1), np.uint8) * 16
        Image.fromarray(sharp.astype(np.uint8)).quantize(32).convert("RGB").save(FOLDER / "drawing.png", optimize=True)
    if not (FOLDER / "scan.tiff").exists():
        exif = Image.Exif()
        exif[0x0112] = 6  # rotated by a quarter turn
        coarse.resize((66, 49)).convert("CMYK").save(FOLDER / "scan.tiff", exif=exif)
    arrays = {
        f"{name} {resize} {size[0]}x{size[1]}": by_plain_pillow(FOLDER / name, size, resize)
        for name in PICTURES
        for resize in ("stretch", "crop", "letterbox")
        for size in SIZES
    }
    np.savez_compressed(FOLDER / "pixels.npz", **arrays)


if __name__ == "__main__":
    write()
