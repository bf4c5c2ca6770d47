"""Pixels of picture files, against plain NumPy and Pillow; hostile files give an ImageFault and nothing else.

Over 300 lines: each file format and each hostile file goes through the one reader.
"""

import io
import itertools
import logging
import os
import struct
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnkit.config.picture_options import LARGEST_MAX_PIXELS
from cnnkit.data.images.decode import read_image, read_image_and_header
from cnnkit.data.images.faults import ImageFault, Reason
from cnnkit.data.images.header import Header, read_header
from cnnkit.data.images.resize import center_box

MAX_PIXELS = 10_000_000
LOSSLESS = {"PNG": {}, "BMP": {}, "TIFF": {"compression": "tiff_lzw"}, "WEBP": {"lossless": True}}
EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "BMP": ".bmp", "WEBP": ".webp", "TIFF": ".tif"}


def picture(height: int, width: int, seed: int = 0, channels: int = 3) -> Any:
    """A smooth picture with some texture (height, width, channels) uint8, so that JPEG keeps it nearly as it is."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(40, 216, (4, 4, 3), np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    texture = random.normal(0, 2, (height, width, 3))
    values = np.clip(np.asarray(coarse) + texture, 0, 255).astype(np.uint8)
    return values[..., :channels] if channels > 1 else values[..., 0]


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def pixels(source: Path | bytes, size: Any = None, resize: Any = "stretch", channels: Any = 3, max_pixels: int = MAX_PIXELS) -> Any:
    return read_image(source, size=size, resize=resize, channels=channels, max_pixels=max_pixels)


def fault(source: Path | bytes, max_pixels: int = MAX_PIXELS) -> ImageFault:
    with pytest.raises(ImageFault) as caught:
        pixels(source, max_pixels=max_pixels)
    return caught.value


# --- what is read ---


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_lossless_formats_give_back_the_very_pixels(file_format: str) -> None:
    rgb = picture(23, 31)
    data = encoded(Image.fromarray(rgb), file_format, **LOSSLESS[file_format])
    read, header = read_image_and_header(data, size=None, resize="stretch", channels=3, max_pixels=MAX_PIXELS)
    np.testing.assert_array_equal(read, rgb)
    assert read.dtype == np.uint8
    assert header == Header(file_format, "RGB", 31, 23)


def test_jpeg_gives_nearly_the_pixels() -> None:
    rgb = picture(64, 96)
    assert np.abs(pixels(encoded(Image.fromarray(rgb), "JPEG", quality=95)).astype(int) - rgb).mean() < 3


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(file_format: str) -> None:
    red, blue = (Image.new("RGB", (8, 6), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(red, file_format, save_all=True, append_images=[blue], **options)
    np.testing.assert_array_equal(pixels(data), np.full((6, 8, 3), (255, 0, 0)))


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_black_and_white_keep_their_levels(channels: int) -> None:
    grey = picture(9, 12, channels=1)
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(grey), "PNG"), channels=channels), np.repeat(grey[..., None], channels, 2))
    mask = grey > 128
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(mask), "PNG"), channels=channels)[..., 0], mask * np.uint8(255))


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_transparent_pictures_stand_on_white(file_format: str) -> None:
    rgb, alpha = picture(16, 16), np.arange(256, dtype=np.uint8).reshape(16, 16)
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
    read = pixels(encoded(Image.fromarray(np.dstack([rgb, alpha])), file_format, **options))
    opacity = alpha[..., None] / 255
    assert np.abs(read - (rgb * opacity + 255 * (1 - opacity))).max() <= 1


def test_grey_with_alpha_transparent_palettes_and_colour_keys_stand_on_white() -> None:
    grey, alpha = picture(16, 16, channels=1), np.arange(256, dtype=np.uint8).reshape(16, 16)
    read = pixels(encoded(Image.fromarray(np.dstack([grey, alpha]), "LA"), "PNG"))
    opacity = alpha / 255
    assert np.abs(read[..., 0] - (grey * opacity + 255 * (1 - opacity))).max() <= 1

    indices = np.arange(16, dtype=np.uint8).reshape(4, 4) % 3
    palette = Image.fromarray(indices, "P")
    palette.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200])
    colours = np.array([(200, 10, 10), (10, 200, 10), (10, 10, 200)])
    np.testing.assert_array_equal(pixels(encoded(palette, "PNG")), colours[indices])
    on_white = np.array([(200, 10, 10), (255, 255, 255), (10, 10, 200)])
    for file_format in ("PNG", "GIF"):
        np.testing.assert_array_equal(pixels(encoded(palette, file_format, transparency=1)), on_white[indices])
    half = np.round(colours * 0.5 + 255 * 0.5)
    assert np.abs(pixels(encoded(palette, "PNG", transparency=b"\x80\x80\x80")) - half[indices]).max() <= 1

    key = encoded(Image.fromarray(colours[indices].astype(np.uint8)), "PNG", transparency=(10, 200, 10))
    np.testing.assert_array_equal(pixels(key), on_white[indices])


def test_cmyk_is_turned_into_rgb() -> None:
    cmyk = np.random.default_rng(0).integers(0, 256, (8, 8, 4), np.uint8)
    inks = cmyk / 255
    expected = 255 * (1 - inks[..., :3]) * (1 - inks[..., 3:])
    assert np.abs(pixels(encoded(Image.fromarray(cmyk, "CMYK"), "TIFF")) - expected).max() <= 1.5
    flat = Image.new("CMYK", (16, 16), (255, 0, 0, 51))  # cyan with a fifth of black; photo shops write CMYK as JPEG
    assert np.abs(pixels(encoded(flat, "JPEG", quality=100)).astype(int) - (0, 204, 204)).max() <= 2


@pytest.mark.parametrize(("file_format", "kind"), [("PNG", "<u2"), ("TIFF", "<u2"), ("TIFF", ">u2")])
def test_sixteen_bits_are_scaled_not_cut(file_format: str, kind: str) -> None:
    values = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
    image = Image.fromarray(values) if kind == "<u2" else Image.frombytes("I;16B", (20, 20), values.astype(kind).tobytes())
    read = pixels(encoded(image, file_format), channels=1)[..., 0]
    np.testing.assert_array_equal(read, np.round(values / 257))


def test_a_transparent_level_of_sixteen_bits_becomes_white() -> None:
    values = np.array([[0, 30000, 65535]], np.uint16)
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(values), "PNG", transparency=30000), channels=1)[0, :, 0], [0, 255, 255])


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_32_bits_are_refused(mode: str) -> None:
    raised = fault(encoded(Image.new(mode, (4, 4)), "TIFF"))
    assert str(raised) == (
        "image: unsupported kind of pixels (32 bits, of which nobody knows what is black and what is white)\n"
        "    Convert it to 8 or 16 bits a channel, grey or RGB, or leave it out of the data."
    )


# What a camera does to an upright picture when it stores it with an orientation; EXIF 2.3, tag 274.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: np.rot90(a, 2),
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_exif_orientation_is_honoured(tmp_path: Path, file_format: str, orientation: int) -> None:
    upright = picture(40, 64)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = LOSSLESS.get(file_format, {"quality": 95, "subsampling": 0})
    path = tmp_path / f"turned{EXTENSIONS[file_format]}"
    path.write_bytes(encoded(Image.fromarray(np.ascontiguousarray(STORED[orientation](upright))), file_format, exif=exif, **options))
    for reading, expected in (
        (pixels(path), upright),
        (pixels(path, (10, 16)), pixels(encoded(Image.fromarray(upright), "PNG"), (10, 16))),
    ):
        difference = np.abs(reading.astype(int) - expected)
        assert difference.mean() < 4 if file_format == "JPEG" else difference.max() == 0
    header = read_header(path, MAX_PIXELS)
    assert (header.height, header.width) == (40, 64)


def test_broken_exif_data_do_not_spoil_a_picture() -> None:
    image = Image.fromarray(picture(16, 24))
    data = encoded(image, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    np.testing.assert_array_equal(pixels(data), pixels(encoded(image, "JPEG")))


def test_the_name_does_not_decide_the_format(tmp_path: Path) -> None:
    path = tmp_path / "really_a_gif.jpg"
    Image.new("RGB", (5, 5), "red").save(path, "GIF")
    np.testing.assert_array_equal(pixels(path), np.full((5, 5, 3), (255, 0, 0)))
    assert read_header(path, MAX_PIXELS) == Header("GIF", "P", 5, 5)


# --- resizing ---


def test_stretch_averages_what_it_covers() -> None:
    grey = picture(64, 96, channels=1)
    data = encoded(Image.fromarray(np.kron(grey, np.ones((8, 8), np.uint8))), "PNG")
    assert np.abs(pixels(data, (64, 96), channels=1)[..., 0].astype(int) - grey).mean() < 3
    noise = np.random.default_rng(0).integers(0, 256, (400, 400), np.uint8)
    assert pixels(encoded(Image.fromarray(noise), "PNG"), (20, 20), channels=1).std() < 8  # of single pixels: 74


def test_the_own_size_changes_nothing_and_half_of_it_is_the_antialiased_mean() -> None:
    rgb = picture(32, 48)
    data = encoded(Image.fromarray(rgb), "PNG")
    triangle = np.array([1, 3, 3, 1]) / 8  # bilinear, twice as wide for half the size: at 0.5 and 1.5 places from the middle
    rows = np.einsum("k,ikwc->iwc", triangle, np.stack([rgb[i : i + 4] for i in range(1, 29, 2)]).astype(float))
    means = np.einsum("k,hikc->hic", triangle, np.stack([rows[:, i : i + 4] for i in range(1, 45, 2)], axis=1))
    for resize in ("stretch", "crop", "letterbox"):
        np.testing.assert_array_equal(pixels(data, (32, 48), resize), rgb)
        halved = pixels(data, (16, 24), resize)[1:-1, 1:-1].astype(float)
        assert np.abs(halved - means).max() <= 1  # Pillow rounds after each axis


@pytest.mark.parametrize("factor", [1.17, 1.56, 1.9, 2.5, 5.0])
def test_shrinking_is_about_the_mean_of_the_area(factor: float) -> None:
    side, fine = 160, 8
    rgb = picture(round(side * factor), round(side * factor))
    nearest = (np.arange(side * fine) * len(rgb) / (side * fine)).astype(int)  # each new pixel as 8x8 points of the old ones
    expected = rgb[nearest][:, nearest].reshape(side, fine, side, fine, 3).mean((1, 3))
    assert np.abs(pixels(encoded(Image.fromarray(rgb), "PNG"), (side, side)) - expected).mean() < 1.2


def test_crop_keeps_the_middle_and_letterbox_keeps_all_between_black_bars() -> None:
    rgb = np.zeros((40, 80, 3), np.uint8)
    rgb[:, :20], rgb[:, 20:60], rgb[:, 60:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    for image in (rgb, rgb.transpose(1, 0, 2)):
        data = encoded(Image.fromarray(np.ascontiguousarray(image)), "PNG")
        cropped, boxed = pixels(data, (40, 40), "crop"), pixels(data, (40, 40), "letterbox")
        if image is not rgb:
            cropped, boxed = cropped.transpose(1, 0, 2), boxed.transpose(1, 0, 2)
        np.testing.assert_array_equal(cropped, np.full((40, 40, 3), (0, 255, 0)))
        assert not boxed[:10].any()
        assert not boxed[30:].any()
        np.testing.assert_array_equal(boxed[10:30, :9], np.full((20, 9, 3), (255, 0, 0)))
        np.testing.assert_array_equal(boxed[10:30, 31:], np.full((20, 9, 3), (0, 0, 255)))


@pytest.mark.parametrize("side", [28, 100, 224, 299])
def test_the_box_of_a_crop_lies_inside_an_image_of_any_size_and_is_as_large_as_its_shorter_side(side: int) -> None:
    for shorter in range(1, 2001):
        for full in ((shorter, 2000), (2000, shorter), (shorter, shorter + 1)):
            left, top, right, bottom = center_box(full, full, (side, side))
            assert 0 <= left < right <= full[0]
            assert 0 <= top < bottom <= full[1]
            assert (right - left, bottom - top) == pytest.approx((min(full), min(full)))
            assert (left + right, top + bottom) == pytest.approx(full)


def test_an_image_whose_shorter_side_rounds_to_more_than_itself_is_cropped() -> None:
    read = pixels(encoded(Image.new("RGB", (600, 450), "white"), "PNG"), (224, 224), "crop")  # 224 * (450 / 224) > 450
    assert read.shape == (224, 224, 3)


@pytest.mark.parametrize("resize", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 375), (90, 700)])
def test_a_jpeg_decoded_at_reduced_scale_keeps_what_is_wanted(
    resize: str, height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import JpegImagePlugin

    rgb = picture(height, width)
    decoded = []
    load = JpegImagePlugin.JpegImageFile.load
    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", lambda self: (decoded.append(self.size), load(self))[1])
    for target, orientation in itertools.product([(60, 60), (40, 90), (160, 160)], [1, 6]):
        decoded.clear()
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = np.ascontiguousarray(STORED[orientation](rgb))
        read = pixels(encoded(Image.fromarray(stored), "JPEG", quality=95, subsampling=0, exif=exif), target, resize)
        expected = pixels(encoded(Image.fromarray(rgb), "PNG"), target, resize)
        assert read.shape == (*target, 3)
        assert np.abs(read.astype(int) - expected).mean() < 3
        decoded_width, decoded_height = decoded[0] if orientation == 1 else decoded[0][::-1]
        scale = min(target[0] / height, target[1] / width)
        needed = (height * scale, width * scale) if resize == "letterbox" else target
        smallest = 1 if needed[0] > height or needed[1] > width else 0
        assert smallest or (decoded_height >= round(needed[0]) and decoded_width >= round(needed[1]))
        if min(height / needed[0], width / needed[1]) >= 2:
            assert decoded_height <= height // 2 + 1  # or nothing was gained


@pytest.mark.parametrize("resize", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1), (2, 3), (32, 32)])
def test_any_shape_fits_any_size(resize: str, height: int, width: int) -> None:
    for file_format, size, channels in itertools.product(["JPEG", "PNG"], [(1, 1), (7, 5), (32, 64)], [1, 3]):
        read = pixels(encoded(Image.new("RGB", (width, height), "white"), file_format), size, resize, channels)
        assert read.shape == (*size, channels)
        assert read.max() == 255


def test_threads_and_routes_give_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "one.jpg"
    Image.fromarray(picture(375, 500)).save(path)
    first = pixels(path, (160, 160))
    with ThreadPoolExecutor(4) as workers:
        for other in workers.map(lambda _: pixels(path, (160, 160)), range(16)):
            np.testing.assert_array_equal(other, first)
    np.testing.assert_array_equal(pixels(path.read_bytes(), (160, 160)), first)


# --- what is refused ---


def test_each_fault_has_its_reason_and_message(tmp_path: Path) -> None:
    missing, empty, text, tiff = (tmp_path / name for name in ("missing.jpg", "empty.png", "text.jpg", "short.tif"))
    empty.touch()
    text.write_text("hello, this is no picture at all")
    tiff.write_bytes(b"II*\0\x08\0\0\0")
    jpeg, png = (encoded(Image.fromarray(picture(32, 32)), file_format) for file_format in ("JPEG", "PNG"))
    replace = "\n    Replace the file, or leave it out of the data."
    expected = {
        missing: (Reason.MISSING, f"{missing}: missing\n    Check the path."),
        tmp_path: (
            Reason.UNREADABLE,
            f"{tmp_path}: unreadable (not a regular file)\n    Check that it is a file which you may read.",
        ),
        empty: (Reason.EMPTY, f"{empty}: empty{replace}"),
        text: (
            Reason.NOT_AN_IMAGE,
            f"{text}: not a JPEG, PNG, GIF, BMP, WebP or TIFF image\n    Convert it to one of these formats, or leave it out of the data.",
        ),
        tiff: (Reason.CORRUPT, f"{tiff}: corrupt (its header cannot be read){replace}"),
        jpeg[:-200]: (Reason.TRUNCATED, None),
        jpeg[:60]: (Reason.TRUNCATED, f"image: truncated (Truncated File Read){replace}"),
        png[:40]: (Reason.TRUNCATED, f"image: truncated (its header cannot be read){replace}"),
        jpeg[:180] + jpeg[-2:]: (Reason.TRUNCATED, None),
        b"": (Reason.EMPTY, f"image: empty{replace}"),
    }
    for source, (reason, message) in expected.items():
        raised = fault(source)
        assert raised.reason == reason
        assert message is None or str(raised) == message
    for path in (missing, tmp_path, empty, text, tiff):
        with pytest.raises(ImageFault) as caught:
            read_header(path, MAX_PIXELS)
        assert str(caught.value) == expected[path][1]


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    assert fault(pipe).detail == "not a regular file"


def test_formats_outside_the_list_are_refused() -> None:
    for file_format in ("PPM", "ICO", "TGA", "PCX", "EPS"):
        assert fault(encoded(Image.new("RGB", (16, 16)), file_format)).reason == Reason.NOT_AN_IMAGE


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(3_000_000), 9)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [3200, 10_000, 50_000])
def test_a_decompression_bomb_is_refused_from_its_header(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(side, side))
    assert path.stat().st_size < 4000
    tracemalloc.start()
    raised = fault(path)
    with pytest.raises(ImageFault, match="over max_pixels"):
        read_header(path, MAX_PIXELS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert raised.reason == Reason.MAX_PIXELS
    if side < 15_000:
        assert str(raised) == (
            f"{path}: over max_pixels ({side}x{side} pixels, max_pixels is 10000000)\n"
            "    Make the picture smaller, or raise max_pixels (to 178956970 at most)."
        )
    else:  # beyond what Pillow opens
        assert str(raised).startswith(f"{path}: over max_pixels (more than 178956970 pixels, max_pixels is 10000000)")
    assert peak < 1_000_000


def test_max_pixels_is_the_last_size_allowed() -> None:
    data = encoded(Image.new("RGB", (20, 10)), "PNG")
    assert pixels(data, max_pixels=200).shape == (10, 20, 3)
    assert fault(data, max_pixels=199).reason == Reason.MAX_PIXELS


def small_files() -> Iterator[tuple[str, bytes]]:
    image = Image.fromarray(picture(24, 32))
    yield from ((file_format, encoded(image, file_format)) for file_format in ("JPEG", "PNG", "GIF", "BMP", "WEBP"))
    yield "JPEG", encoded(image, "JPEG", progressive=True)
    yield "JPEG", encoded(image, "JPEG", restart_marker_blocks=1)


@pytest.mark.parametrize(
    ("file_format", "data"), list(small_files())[:2] + list(small_files())[5:], ids=["jpeg", "png", "progressive", "restarts"]
)
def test_every_truncated_jpeg_and_png_is_named(file_format: str, data: bytes) -> None:
    for length in [*range(40, len(data), max(1, len(data) // 60)), *range(len(data) - 30, len(data))]:
        for size in (None, (8, 8)):
            with pytest.raises(ImageFault) as caught:
                pixels(data[:length], size)
            assert caught.value.reason == Reason.TRUNCATED, (length, len(data), str(caught.value))


def test_every_flipped_bit_of_a_png_is_named() -> None:
    data = encoded(Image.fromarray(picture(8, 8)), "PNG")
    for place in range(8, len(data)):
        mutated = bytearray(data)
        mutated[place] ^= 0x10
        fault(bytes(mutated))


def mutations(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    random = np.random.default_rng(seed)
    for number in range(count):
        mutated = bytearray(data)
        for place in random.integers(0, len(data) if number % 2 else min(len(data), 200), random.integers(1, 12)):
            mutated[place] = random.integers(256)
        yield bytes(mutated[: random.integers(1, len(data))] if number % 3 == 0 else mutated)


def survive(data: bytes, count: int, seed: int) -> int:
    """Read mutations of a file; how many were refused. Anything but pixels or an ImageFault fails the test."""
    refused = 0
    for mutated in mutations(data, count, seed):
        try:
            read = pixels(mutated, (16, 16))
        except ImageFault:
            refused += 1
        else:
            assert read.shape == (16, 16, 3)
    return refused


@pytest.mark.parametrize("number", range(6))
def test_mutated_files_give_pixels_or_a_fault(number: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    count = 60
    file_format, data = [*small_files(), ("TIFF", encoded(Image.fromarray(picture(24, 32)), "TIFF", compression="tiff_lzw"))][
        number if number < 5 else -1
    ]
    with caplog.at_level(logging.CRITICAL), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert survive(data, count, seed=number) >= count // 5, file_format
    assert not told
    assert capfd.readouterr() == ("", "") or file_format == "TIFF"  # libtiff writes to stderr by itself


@pytest.mark.slow
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_a_thousand_mutated_files_give_pixels_or_a_fault(file_format: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert survive(encoded(Image.fromarray(picture(48, 64)), file_format), 1000, seed=1) >= 200
    assert capfd.readouterr() == ("", "") or file_format == "TIFF"  # libtiff writes to stderr by itself


def test_filters_of_warnings_are_left_as_they_were() -> None:
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda data: pixels(data[1]), list(small_files()) * 4))
    assert list(warnings.filters) == before


def test_the_largest_max_pixels_is_what_pillow_itself_still_opens() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert LARGEST_MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS
